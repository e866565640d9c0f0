"""The judge pass: rankings + relevance judgements -> one value per metric, stage and query, by ir_measures.

Knows no clock and no price. Rankings of chunks are judged on documents: a document stands where its best chunk does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ragprof.core import StageName, files
from ragprof.core.errors import BadInput, NonFiniteScore, UnknownName
from ragprof.core.recorded import of_recording, write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.evals.recorded import COUNTS, RANKING, ROUNDING, manifest_of, ranking_stages

if TYPE_CHECKING:
    import pandas as pd


SCORE_COLUMNS = ("pipeline", "stage", "metric", "query_id", "value")
Run: TypeAlias = dict[str, dict[str, float]]
"""query_id -> document_id -> score, as TREC has it."""
Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
TRIAL = {"q": {"a": 1, "b": 0}}, {"q": {"a": 1.0, "b": 0.5}}
"""Judgements and a run on which a measure shows whether it works."""
FAMILIES = ("AP", "Judged@10", "P@5", "R@20", "RR@10", "Success@5", "nDCG@10", "nDCG", "RR", "Bpref", "Rprec")


@of_recording
def judge(folder: Path, evaluation: EvaluationSet, *, metrics: Sequence[str]) -> pd.DataFrame:
    """Write scores.parquet and judgement.json into a recording and return the scores: none without judgements."""
    import pandas as pd

    parsed = [measure(name) for name in metrics] if evaluation.is_judged else []
    manifest = manifest_of(folder)
    declared = {pipeline["name"]: pipeline for pipeline in manifest.pipelines}
    tables = [
        scores_of(table, evaluation.qrels, parsed, stages=ranking_stages(declared[name], table)).assign(pipeline=name)[
            list(SCORE_COLUMNS)
        ]
        for name, table in rankings(folder).items()
    ]
    scores = pd.concat(tables, ignore_index=True)
    files.write_table(folder / "scores.parquet", scores)
    facts = {
        "qrels_sha256": evaluation.qrels_sha256,
        "queries": len(evaluation.queries),
        "judged": evaluation.is_judged,
        "notices": list(evaluation.notices),
        "recording": manifest.recording,
    }
    write_sealed(folder / "judgement.json", facts, "scores.parquet")
    return scores


def rankings(folder: Path) -> dict[str, pd.DataFrame]:
    """The ranking tables of a recording by pipeline, in the order of its manifest."""
    names = manifest_of(folder).names
    return {name: RANKING.read(folder / "rankings" / f"{name}.parquet") for name in names}


def scores_of(
    ranking_table: pd.DataFrame, qrels: Qrels, measures: Sequence[Any], *, stages: Sequence[StageName]
) -> pd.DataFrame:
    """Scores of one pipeline at the stages that it ranks at. A judged query without a ranking scores 0."""
    import pandas as pd

    rows: list[tuple[str, str, str, float]] = []
    for stage in stages:
        at_stage = ranking_table[ranking_table["stage"] == stage]
        rows.extend((stage, *row) for row in _per_query(trec_run(at_stage), qrels, measures))
    return pd.DataFrame(rows, columns=["stage", "metric", "query_id", "value"]).astype({"value": float})


def trec_run(at_stage: pd.DataFrame) -> Run:
    """A run at document level, in the ranking's order. Raises NonFiniteScore on NaN.

    Scores are those of the best chunk, except where they tie: see `falling`.
    """
    if not np.isfinite(at_stage["score"].astype(float)).all():
        raise NonFiniteScore("a ranking holds a score that is NaN or infinite; record it again")
    best = at_stage.sort_values("rank").drop_duplicates(["query_id", "document_id"])
    return {
        str(query_id): dict(zip(rows["document_id"], falling(rows["score"]), strict=True))
        for query_id, rows in best.groupby("query_id", sort=False)
    }


def falling(scores: Iterable[float]) -> list[float]:
    """Scores of a ranking, best first, as they are; one that would tie is moved just below the one before it.

    trec_eval compares single precision and breaks ties by doc_id, other tools break them otherwise: without ties,
    all of them judge the order that the pipeline had.
    """
    result: list[float] = []
    for score in scores:
        if result and np.float32(score) >= np.float32(result[-1]):
            result.append(float(np.nextafter(np.float32(result[-1]), np.float32(-np.inf))))
        else:
            result.append(float(score))
    return result


def measure(name: str) -> Any:
    """A measure of ir_measures by its name. Raises UnknownName, also for one that cannot be computed here."""
    import ir_measures

    try:
        parsed = ir_measures.parse_measure(name)
        if parsed.params.get("cutoff") == 0:
            raise ValueError("trec_eval would end the process")
        list(ir_measures.iter_calc([parsed], *TRIAL))
    except Exception:
        raise UnknownName("metric", name, FAMILIES) from None
    return parsed


def canonical(metrics: Iterable[str]) -> tuple[str, ...]:
    """The names under which scores are written: `MAP` is `AP`. Raises UnknownName."""
    return tuple(dict.fromkeys(str(measure(name)) for name in metrics))


def _countable(grades: Mapping[str, int]) -> dict[str, int]:
    """The grades of a query as trec_eval can count them: it ends the process where all of them are below 0."""
    if grades and max(grades.values()) < 0:
        return dict.fromkeys(grades, 0)
    return dict(grades)


def _per_query(run: Run, qrels: Qrels, measures: Sequence[Any]) -> list[tuple[str, str, float]]:
    import ir_measures

    values = {(str(measure), query_id): 0.0 for measure in measures for query_id in qrels}
    if not values:
        return []
    judged = {query_id: _countable(grades) for query_id, grades in qrels.items()}
    for metric in ir_measures.iter_calc(list(measures), judged, run):
        name, value = str(metric.measure), float(metric.value)
        if not name.startswith(COUNTS) and not -ROUNDING <= value <= 1 + ROUNDING:
            raise BadInput(
                f"{name} of query '{metric.query_id}' came out as {value:g}, and it cannot lie outside 0 to 1; "
                "check the grades of the query's judgements"
            )
        if (name, metric.query_id) in values:
            values[name, metric.query_id] = value
    return [(name, query_id, value) for (name, query_id), value in values.items()]
