"""The candidates of an arm at one depth, as the search ordered them and as the reranker does. Computes no figure.

How far two rankings of the same queries agree: the first result, the first k, the order of what both hold.

Kendall's tau is variant b, which counts ties (Kendall, Biometrika 33, 1945), of the documents that both rankings hold.
A query that either ranking lacks takes no part. Reads no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core.ranking import best_first, id_ranks
from ragprof.statistics.draws import Array
from ragprof.studies.reranker.data import RerankerData


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


MEASURES = ("same_first", "overlap", "kendall_tau")
DECIMALS = 12
"""Beyond them tau is rounding only: the same order is exactly 1."""


def agreement(data: RerankerData, first: pd.DataFrame, second: pd.DataFrame, *, k: int) -> dict[str, dict[str, Any]]:
    """Estimates of MEASURES. Each ranking has query_id, rank (from 1), doc_id and score.

    `overlap` is the share of the first k (of the shorter ranking, where that is shorter) that both hold.
    """
    both = first.merge(second, on=["query_id", "doc_id"], suffixes=("_first", "_second"))
    figures = pd.DataFrame(index=pd.Index(data.query_ids), columns=list(MEASURES), dtype=float)
    asked = figures.index.intersection(pd.Index(first["query_id"])).intersection(pd.Index(second["query_id"]))
    top = both[(both["rank_first"] <= k) & (both["rank_second"] <= k)].groupby("query_id").size()
    same = both[(both["rank_first"] == 1) & (both["rank_second"] == 1)].groupby("query_id").size()
    lengths = [each.groupby("query_id").size().reindex(asked).clip(upper=k) for each in (first, second)]
    figures.loc[asked, "same_first"] = same.reindex(asked).fillna(0).astype(float)
    figures.loc[asked, "overlap"] = top.reindex(asked).fillna(0) / np.minimum(lengths[0], lengths[1])
    figures["kendall_tau"] = pd.Series(_taus(both), dtype=float).reindex(figures.index)
    return dict(zip(MEASURES, data.draws.estimates(figures.to_numpy(float)), strict=True))


def unknown() -> dict[str, dict[str, Any]]:
    """Where there is no ranking to compare."""
    return {measure: {"mean": None, "interval": None, "n": 0} for measure in MEASURES}


def kendall_tau(first: Array, second: Array) -> float:
    """Variant b of two lists of scores; NaN below two, or where all of one are equal."""
    from scipy.stats import kendalltau

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return round(float(kendalltau(first, second, variant="b").statistic), DECIMALS)


def _taus(both: pd.DataFrame) -> dict[str, float]:
    pairs = both.groupby("query_id")[["score_first", "score_second"]]
    return {str(query_id): kendall_tau(*rows.to_numpy(float).T) for query_id, rows in pairs}
