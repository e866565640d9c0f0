"""Latency of a depth composed from what other depths took, and how far that is from what was timed live.

For each depth in turn, nothing that was timed at it is used:
1. For every other depth and timed query, the median over rounds of the reranker's time.
2. rerank_ns = a + b x candidates + c x candidate_tokens, with a, b, c >= 0 (Lawson and Hanson's non-negative least
   squares), each row divided by its measured time, so that errors count in proportion to what they are errors of.
3. For each query that was timed at the depth: the median, over its rows at the other depths, of everything but the
   reranker (end to end minus reranking), plus what the model says of its candidates and their tokens at this depth.
4. The composed p50 is the median of those sums over queries.
At least two other depths are needed; with fewer nothing is composed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.candidates import searched
from ragprof.studies.reranking.data import RerankerData

METHOD = (
    "composed: everything but the reranker as measured at the other depths, plus a + b x candidates + c x tokens fitted"
    " (non-negative least squares) to the reranker's times at the other depths; compared with what was timed live"
)
NEEDED_DEPTHS = 2


def composed_p50s(data: RerankerData, arm: str) -> dict[int, float]:
    """Depth -> composed p50 in ns, for the depths for which there is one."""
    rows = data.table("live", arm)
    found = {int(depth): _composed(data, arm, rows, int(depth)) for depth in data.arm(arm)["depths"]}
    return {depth: p50 for depth, p50 in found.items() if p50 is not None}


def latency_check(data: RerankerData, arm: str) -> dict[str, Any] | None:
    """Composed against live medians, as shares of the live ones; None where no depth has both."""
    errors = {}
    for depth, composed in composed_p50s(data, arm).items():
        live = float(data.timed(arm, depth)["end_to_end_ns"].median())
        errors[depth] = composed / live - 1
    if not errors:
        return None
    worst = max(errors, key=lambda depth: abs(errors[depth]))
    mean = float(np.mean([abs(error) for error in errors.values()]))
    return {
        "method": METHOD,
        "largest_error": abs(errors[worst]),
        "mean_error": mean,
        "sentence": (
            f"Latency composed from the other depths is off by {100 * mean:.1f} % on average and by "
            f"{100 * abs(errors[worst]):.1f} % at most (depth {worst}, too {'high' if errors[worst] > 0 else 'low'}) "
            "from what was timed live."
        ),
    }


def _composed(data: RerankerData, arm: str, rows: pd.DataFrame, depth: int) -> float | None:
    others = rows[(rows["depth"] != depth) & rows["end_to_end_ns"].notna()]
    reranked = others[(others["depth"] > 0) & others["rerank_ns"].notna()]
    asked = sorted(set(rows.loc[rows["depth"] == depth, "query_id"]) & set(others["query_id"]))
    if not asked or reranked["depth"].nunique() < NEEDED_DEPTHS:
        return None
    sizes = _sizes(data, arm, depth).reindex(asked).fillna(0).to_numpy(float)
    return float(np.median(_rest(others).loc[asked].to_numpy(float) + _design(sizes) @ _fitted(reranked)))


def _fitted(rows: pd.DataFrame) -> Array:
    """a, b and c."""
    from scipy.optimize import nnls

    cells = rows.groupby(["depth", "query_id"])[["candidates", "candidate_tokens", "rerank_ns"]].median()
    cells = cells[cells["rerank_ns"] > 0]
    if cells.empty:
        return np.zeros(3)
    taken = cells["rerank_ns"].to_numpy(float)
    weighed = _design(cells[["candidates", "candidate_tokens"]].to_numpy(float)) / taken[:, None]
    scale = np.maximum(weighed.max(axis=0), np.finfo(float).tiny)
    return np.asarray(nnls(weighed / scale, np.ones(len(taken)))[0] / scale)


def _design(sizes: Array) -> Array:
    return np.column_stack([np.ones(len(sizes)), sizes])


def _rest(rows: pd.DataFrame) -> pd.Series:
    """Median of everything but the reranker, by query."""
    rest = rows["end_to_end_ns"] - rows["rerank_ns"].fillna(0)
    return rest.groupby(rows["query_id"]).median()


def _sizes(data: RerankerData, arm: str, depth: int) -> pd.DataFrame:
    """Candidates and their tokens by query, from the rankings and not from the clock."""
    groups = searched(data, arm, depth).groupby("query_id")["tokens"]
    return pd.DataFrame({"candidates": groups.size(), "candidate_tokens": groups.sum()})
