"""The judge pass: rankings + relevance judgements -> one value per metric, stage and query, by ir_measures.

Knows no clock and no price. Rankings of chunks are judged on documents: a document stands where its best chunk does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.core import RANKED_STAGES
from ragprof.corpus import EvaluationSet
from ragprof.errors import NonFiniteScore, UnknownName

SCORE_COLUMNS = ("pipeline", "stage", "metric", "query_id", "value")
Run: TypeAlias = dict[str, dict[str, float]]
"""query_id -> document_id -> score, as TREC has it."""
Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
FAMILIES = ("AP", "Judged@10", "P@5", "R@20", "RR@10", "Success@5", "nDCG@10", "nDCG", "RR", "Bpref", "RBP(p=0.8)")


def judge(folder: Path, evaluation: EvaluationSet, *, metrics: Sequence[str]) -> pd.DataFrame:
    """Write scores.parquet and judgement.json into a recording and return the scores."""
    parsed = [measure(name) for name in metrics]
    tables = [
        scores_of(ranking_table, evaluation.qrels, parsed).assign(pipeline=pipeline)[list(SCORE_COLUMNS)]
        for pipeline, ranking_table in rankings(folder).items()
    ]
    scores = pd.concat(tables, ignore_index=True)
    files.write_table(folder / "scores.parquet", scores)
    facts = {
        "qrels_sha256": evaluation.qrels_sha256,
        "queries": len(evaluation.queries),
        "notices": list(evaluation.notices),
    }
    files.write_json(folder / "judgement.json", facts)
    return scores


def rankings(folder: Path) -> dict[str, pd.DataFrame]:
    """The ranking tables of a recording by pipeline, in the order of its manifest."""
    names = [pipeline["name"] for pipeline in files.read_json(folder / "manifest.json")["config"]["pipelines"]]
    return {name: files.read_table(folder / "rankings" / f"{name}.parquet") for name in names}


def scores_of(ranking_table: pd.DataFrame, qrels: Qrels, measures: Sequence[Any]) -> pd.DataFrame:
    """Scores of one pipeline at every stage that it ranks at. A judged query without a ranking scores 0."""
    rows: list[tuple[str, str, str, float]] = []
    for stage in RANKED_STAGES:
        at_stage = ranking_table[ranking_table["stage"] == stage]
        if len(at_stage):
            rows.extend((stage, *row) for row in _per_query(trec_run(at_stage), qrels, measures))
    return pd.DataFrame(rows, columns=["stage", "metric", "query_id", "value"])


def trec_run(at_stage: pd.DataFrame) -> Run:
    """A run at document level. Scores are those of the best chunk; raises NonFiniteScore on NaN."""
    if not np.isfinite(at_stage["score"]).all():
        raise NonFiniteScore("a ranking holds a score that is NaN or infinite; record it again")
    best = at_stage.sort_values("rank").drop_duplicates(["query_id", "document_id"])
    run: Run = {}
    for query_id, document_id, score in zip(best["query_id"], best["document_id"], best["score"], strict=True):
        run.setdefault(query_id, {})[document_id] = float(score)
    return run


def measure(name: str) -> Any:
    """A measure of ir_measures by its name. Raises UnknownName."""
    import ir_measures

    try:
        return ir_measures.parse_measure(name)
    except (NameError, ValueError, AssertionError, SyntaxError):
        raise UnknownName("metric", name, FAMILIES) from None


def _per_query(run: Run, qrels: Qrels, measures: Sequence[Any]) -> list[tuple[str, str, float]]:
    import ir_measures

    values = {(str(measure), query_id): 0.0 for measure in measures for query_id in qrels}
    judged = {query_id: dict(grades) for query_id, grades in qrels.items()}
    for metric in ir_measures.iter_calc(list(measures), judged, run):
        if (str(metric.measure), metric.query_id) in values:
            values[str(metric.measure), metric.query_id] = float(metric.value)
    return [(name, query_id, value) for (name, query_id), value in values.items()]
