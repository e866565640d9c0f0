"""The questions of a recording: the score of each with every pipeline, and what each stage ranked for one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.core.errors import BadInput
from ragprof.evals.recorded import RANKING, SCORES, read_manifest
from ragprof.report import figures

DEEPEST = 20
"""Ranks that are shown."""


def questions_of(folder: Path) -> dict[str, Any]:
    """The leading metric of every question after each pipeline's last ranked stage; those that differ most first."""
    scores = SCORES.read(folder / "scores.parquet")
    metric = read_manifest(folder)["config"]["metrics"][0]
    scores = scores[scores["metric"] == metric]
    last = scores.groupby("pipeline")["stage"].agg(lambda stages: "rerank" if "rerank" in set(stages) else "search")
    final = scores[scores["stage"] == scores["pipeline"].map(last)]
    table = final.pivot_table(index="query_id", columns="pipeline", values="value", sort=False)
    order = (table.max(axis=1) - table.min(axis=1)).sort_values(ascending=False, kind="stable").index
    rows = [[str(query), *(_value(value) for value in table.loc[query])] for query in order]
    return {"metric": metric, "pipelines": [str(name) for name in table.columns], "rows": rows}


def question_of(folder: Path, query_id: str) -> dict[str, Any]:
    """What each pipeline's stages ranked for one question: ids in order, with where the search had them."""
    found = []
    for name in (pipeline["name"] for pipeline in read_manifest(folder)["config"]["pipelines"]):
        path = folder / "rankings" / f"{name}.parquet"
        ranked = RANKING.read(path)
        ranked = ranked[ranked["query_id"] == query_id]
        stages = {
            str(stage): rows.sort_values("rank").head(DEEPEST) for stage, rows in ranked.groupby("stage", sort=False)
        }
        searched = stages.get("search", ranked.iloc[:0])
        before = dict(zip(searched["doc_id"].astype(str), searched["rank"].astype(int).tolist(), strict=True))
        found.append({"pipeline": name, "stages": {stage: _listed(rows, before) for stage, rows in stages.items()}})
    if not any(each["stages"] for each in found):
        raise BadInput(f"no pipeline ranked anything for question '{query_id}'", file=folder)
    return {"question": query_id, "pipelines": found}


def _listed(rows: pd.DataFrame, before: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"rank": int(rank), "doc": str(doc), "score": figures.score(float(score)), "was": before.get(str(doc))}
        for rank, doc, score in zip(rows["rank"], rows["doc_id"], rows["score"], strict=True)
    ]


def _value(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 6)
