"""Differences of two recordings whose judgements a model made: as it judged, and corrected by people, for the notes.

Gates judge figures as the judgements have them; these lines stand beside them and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ragprof.report.figures import difference, span
from ragprof.statistics.powered import FEWEST_DRAWN, DrawnQueries, powered_mean
from ragprof.studies.gate.evidence import PipelinePair, SideEvidence

DECIDES_NOTHING = "gates and verdicts are of the judgements as they are"


def correction_notes(base: SideEvidence, candidate: SideEvidence, pairs: Sequence[PipelinePair]) -> Iterator[str]:
    """A line for each pipeline, or why there is none; nothing where people made the judgements."""
    if base.labelled is None and candidate.labelled is None:
        return
    for side in (base, candidate):
        if side.labelled is None:
            kept = "a baseline keeps no labels" if side.source == "baseline" else "it was recorded without its labels"
            yield (
                f"Quality rests on grades of a model, and no difference is corrected by people, because of "
                f"'{side.label}': {kept}."
            )
            return
    for pair in pairs:
        before, after = _of(base.labelled, pair.base.pipeline), _of(candidate.labelled, pair.name)
        said = [_words(metric, before[metric], after[metric]) for metric in after if metric in before]
        found = [words for words in said if words]
        if found:
            yield f"{pair.name}: {'; '.join(found)}. These are corrected; {DECIDES_NOTHING}."
        else:
            yield (
                f"{pair.name}: quality rests on grades of a model, and people have judged fewer than {FEWEST_DRAWN} of "
                "the drawn questions: no difference is corrected."
            )


def _of(labelled: pd.DataFrame | None, pipeline: str) -> dict[str, pd.DataFrame]:
    """metric -> rows by query_id."""
    if labelled is None:
        return {}
    mine = labelled[labelled["pipeline"] == pipeline]
    return {str(metric): rows.set_index("query_id") for metric, rows in mine.groupby("metric", sort=False)}


def _words(metric: str, before: pd.DataFrame, after: pd.DataFrame) -> str:
    """ "nDCG@10 +0.012 by the model, corrected +0.010 (95% CI -0.002 to +0.022)"; empty below the fewest draws."""
    queries = [query for query in after.index if query in before.index]
    first, second = before.loc[queries], after.loc[queries]
    drawn = second[second["draw"].notna() & first["by_people"].notna()].sort_values("draw")
    # Draws count as far as both sides have them from the first on.
    whole = drawn["draw"].to_numpy() == np.arange(len(drawn))
    drawn = drawn[np.cumprod(whole).astype(bool)]
    if len(drawn) < FEWEST_DRAWN or len(queries) < len(after):
        return ""
    by_model = (second["by_model"] - first["by_model"]).to_numpy(float)
    by_people = (drawn["by_people"] - first.loc[drawn.index, "by_people"]).to_numpy(float)
    places = np.array([queries.index(query) for query in drawn.index], np.int64)
    found = powered_mean(by_model, by_people, DrawnQueries(places, drawn["chance"].to_numpy(float)))
    if found.interval is None:
        return ""
    naive = difference(float(by_model[second["graded"].to_numpy(bool)].mean()))
    return (
        f"{metric} {naive} by the model, corrected by people {difference(found.mean)} "
        f"(95% CI {span(found.interval, difference)})"
    )
