"""What a reranker does: how much quality it adds and how many milliseconds. Knows no price and reads no file.

Both are paired: the same queries with the reranker and without it, `without` being the search order at the pipeline's
own depth. A query's time is the mean over its live rounds; an added quantile is the quantile of these times with the
reranker minus the quantile without it, over the queries that were timed both ways, resampled together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ragprof.studies.query_draws import Array, ends, resampled
from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.figures import known, means, sign_flip_ps

QUANTILES = {"p50": 0.50, "p95": 0.95}


def metrics_of(data: RerankerData, arm: str) -> list[str]:
    """The metrics of the statement: the study's first, each once."""
    k = data.arm(arm)["own_k"]
    wanted = [data.metric, "nDCG@10", "RR@10", "Success@5", f"R@{k}", f"evidence@{k}"]
    return list(dict.fromkeys(wanted))


def quality_gain(data: RerankerData, arm: str, depth: int | None = None) -> dict[str, Any]:
    """metric -> {"difference", "interval", "p", "n", "without", "with"}; a query counts where both are known."""
    metrics = metrics_of(data, arm)
    without = np.stack([data.plain(arm, metric) for metric in metrics])
    reranked = np.stack([data.reranked(arm, metric, depth) for metric in metrics])
    gains = reranked - without
    drawn = means(data, gains)
    ps = sign_flip_ps(gains, seed=data.seed)
    return {
        metric: _gain(drawn[:, row], gains[row], p=ps[row], without=without[row], reranked=reranked[row])
        for row, metric in enumerate(metrics)
    }


def _gain(drawn: Array, gains: Array, *, p: float, without: Array, reranked: Array) -> dict[str, Any]:
    both = ~np.isnan(gains)
    found = resampled(drawn, known(gains))
    return {
        "difference": found["mean"],
        "interval": found["interval"],
        "p": p if both.any() else None,
        "n": found["n"],
        "without": float(without[both].mean()) if both.any() else None,
        "with": float(reranked[both].mean()) if both.any() else None,
    }


def added_latency(data: RerankerData, arm: str, depth: int | None = None) -> dict[str, Any]:
    """Milliseconds' worth of ns that the reranker adds at p50 and p95; null where nothing was timed both ways."""
    plain, reranked = end_to_end(data, arm, 0), end_to_end(data, arm, depth or data.arm(arm)["own_depth"])
    both = ~np.isnan(plain) & ~np.isnan(reranked)
    timed = int(both.sum())
    quantiles = list(QUANTILES.values())
    nowhere = np.full(len(both), np.nan)
    added = drawn_quantiles(data, np.where(both, reranked, nowhere), quantiles) - drawn_quantiles(
        data, np.where(both, plain, nowhere), quantiles
    )
    result: dict[str, Any] = {}
    for column, name in enumerate(QUANTILES):
        result[f"added_{name}_ns"] = round(float(added[0, column])) if timed else None
        result[f"added_{name}_interval_ns"] = _whole(ends(added[:, column])) if timed > 1 else None
    return {**result, "timed_queries": timed}


def end_to_end(data: RerankerData, arm: str, depth: int) -> Array:
    """ns of each query, the mean over its rounds, at a depth (0: without the reranker); NaN where it was not timed."""
    rows = data.timed(arm, depth)
    by_query = rows["end_to_end_ns"].astype(float).groupby(rows["query_id"]).mean()
    return np.asarray(by_query.reindex(data.query_ids).to_numpy(float, na_value=np.nan))


def drawn_quantiles(data: RerankerData, values: Array, quantiles: list[float]) -> Array:
    """Quantiles of the known values, found and in every resample: (1 + replicates, quantiles).

    Interpolated as numpy does; NaN where nothing is known or a resample drew nothing that is.
    """
    timed = np.flatnonzero(~np.isnan(values))
    if not timed.size:
        return np.full((len(data.draws.counts), len(quantiles)), np.nan)
    rising = timed[np.argsort(values[timed], kind="stable")]
    upto = data.draws.counts[:, rising].cumsum(axis=1)
    return np.stack([_quantile(values[rising], upto, quantile) for quantile in quantiles], axis=1)


def _quantile(rising: Array, upto: Array, quantile: float) -> Array:
    """The quantile of the multiset that holds the i-th value upto[i] - upto[i - 1] times, of each row."""
    total = upto[:, -1]
    place = quantile * np.maximum(total - 1, 0)
    low, high = np.floor(place), np.ceil(place)
    last = len(rising) - 1
    below, above = (rising[np.minimum((upto <= at[:, None]).sum(1), last)] for at in (low, high))
    return np.asarray(np.where(total > 0, below + (place - low) * (above - below), np.nan))


def _whole(interval: list[float | None] | None) -> list[int | None] | None:
    return None if interval is None else [None if end is None else round(end) for end in interval]
