"""The candidates of an arm at one depth, as the search ordered them and as the reranker does. Computes no figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.ranking import best_first, id_ranks
from ragprof.studies.reranking.data import RerankerData


def searched(data: RerankerData, arm: str, depth: int) -> pd.DataFrame:
    """The first `depth` candidates of each query that has any, sorted by query_id and rank.

    From the set of that depth where it was written (listwise rerankers), else the first ones of the deepest set.
    """
    rows = data.table("candidates", arm)
    if rows.empty:
        return rows
    written = rows["depth"].unique()
    chosen = depth if depth in written else written.max()
    mine = rows[(rows["depth"] == chosen) & (rows["rank"] <= depth)]
    return mine.sort_values(["query_id", "rank"], ignore_index=True)


def order_after(rows: pd.DataFrame, column: str = "rerank_score") -> NDArray[np.int64]:
    """Positions of `searched` rows query by query, each by score, ties by doc_id, both descending."""
    ids = rows["doc_id"].to_numpy(object)
    unique, codes = np.unique(ids, return_inverse=True)
    inside = best_first(rows[column].to_numpy(float), id_ranks(list(unique))[codes])
    queries = rows["query_id"].to_numpy(object)[inside]
    return np.asarray(inside[np.argsort(queries, kind="stable")])


def reranked(data: RerankerData, arm: str, depth: int) -> pd.DataFrame:
    """`searched` in the reranker's order: `rank` is the new one, `score` the reranker's."""
    rows = searched(data, arm, depth)
    if rows.empty:
        return rows.assign(score=rows.get("rerank_score"))
    ordered = rows.iloc[order_after(rows)].reset_index(drop=True)
    return ordered.assign(rank=ordered.groupby("query_id").cumcount() + 1, score=ordered["rerank_score"])


def is_inert(data: RerankerData, arm: str) -> bool:
    """Whether the reranker leaves every query's candidates of the own depth as the search ordered them."""
    rows = searched(data, arm, int(data.arm(arm)["own_depth"]))
    return bool(rows.empty or np.array_equal(order_after(rows), np.arange(len(rows))))
