"""Scores of the traces whose question is judged: each trace is a run of its own. Knows no clock and no price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ragprof.core import RANKED_STAGES, files
from ragprof.core.recorded import seal_again
from ragprof.evals.traced import TRACES
from ragprof.judge.scores import SCORE_COLUMNS, Qrels, measure, scores_of
from ragprof.studies.trace.effects import RANKED


def judge_traces(folder: Path, qrels: Qrels, *, metrics: Sequence[str]) -> None:
    """Write scores.parquet: a value a metric, stage and judged trace. A trace that found nothing scores 0.

    A pipeline has no scores where not one of the passages that it found has an id of the judgements: its traces know
    them by other ids, and a 0 would say nothing of its search.
    """
    known = {doc_id for judged in qrels.values() for doc_id in judged}
    traces = TRACES.read(folder / "traces.parquet")
    asked = traces[traces["question"].notna()]
    ranked = RANKED.read(folder / "ranked.parquet")
    measures = [measure(name) for name in metrics]
    tables = []
    for pipeline, rows in asked.groupby("pipeline", observed=True):
        own: dict[str, Mapping[str, int]] = {
            str(key): qrels.get(str(question), {})
            for key, question in zip(rows["query_id"].tolist(), rows["question"].tolist(), strict=True)
        }
        mine = ranked[ranked["pipeline"] == pipeline].astype(dict.fromkeys(("query_id", "document_id"), str))
        if len(mine) and known.isdisjoint(mine["document_id"]):
            continue
        stages = [stage for stage in RANKED_STAGES if (mine["stage"] == stage).any()]
        scores = scores_of(mine, own, measures, stages=stages)
        tables.append(scores.assign(pipeline=str(pipeline))[list(SCORE_COLUMNS)])
    empty = pd.DataFrame(columns=list(SCORE_COLUMNS)).astype({"value": float})
    files.write_table(folder / "scores.parquet", pd.concat(tables, ignore_index=True) if tables else empty)
    seal_again(folder / "manifest.json", folder / "scores.parquet")
