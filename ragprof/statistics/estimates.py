"""Intervals and tests, on scipy. Every function takes a seed, so that a report can be made again to the last digit.

Latency observations come in clusters (the same query in several rounds): quantiles resample queries, not clicks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ragprof.core import Estimate
from ragprof.core.errors import NonFiniteScore

RESAMPLES = 2_000
CONFIDENCE = 0.95
POWER = 0.8


def mean_estimate(values: ArrayLike, *, seed: int = 0) -> Estimate:
    """Mean over queries with a percentile bootstrap interval. The same seed resamples the same queries everywhere."""
    array = _finite(values)
    if array.size == 0:
        return Estimate(None, None, 0)
    mean = float(array.mean())
    if array.size == 1:
        return Estimate(mean, None, 1)
    if np.ptp(array) == 0:
        return Estimate(mean, (mean, mean), int(array.size))
    result = stats.bootstrap(
        (array,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile", rng=seed
    )
    return Estimate(
        mean, (float(result.confidence_interval.low), float(result.confidence_interval.high)), int(array.size)
    )


def quantile_estimates(clusters: Sequence[ArrayLike], quantiles: Sequence[float], *, seed: int = 0) -> list[Estimate]:
    """Quantiles of all observations; the interval resamples whole clusters (queries with all their rounds).

    For the interval the clusters are first thinned to the smallest number of rounds that any of them has, so that
    they weigh the same. None where nothing was observed; no interval with a single cluster.
    """
    arrays = [_finite(cluster) for cluster in clusters if np.size(cluster)]
    if not arrays:
        return [Estimate(None, None, 0) for _ in quantiles]
    every = np.concatenate(arrays)
    values = np.quantile(every, quantiles)
    if len(arrays) == 1:
        return [Estimate(float(value), None, int(every.size)) for value in values]
    replicates = np.quantile(_resampled(arrays, seed), quantiles, axis=1)
    lows, highs = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=1)
    return [
        Estimate(float(value), (float(low), float(high)), int(every.size))
        for value, low, high in zip(values, lows, highs, strict=True)
    ]


def _resampled(arrays: Sequence[NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
    """RESAMPLES rows, each the observations of as many clusters as there are, drawn with replacement."""
    rounds = min(array.size for array in arrays)
    table = np.stack([array[:rounds] for array in arrays])
    chosen = np.random.default_rng(seed).integers(0, len(table), size=(RESAMPLES, len(table)))
    return table[chosen].reshape(RESAMPLES, -1)


def paired_p(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided paired randomisation (sign-flip) test of equal means; 1.0 where no query differs.

    Smucker, Allan and Carterette: A comparison of statistical significance tests for IR evaluation, CIKM 2007.
    """
    left, right = _finite(first), _finite(second)
    if not np.any(left != right):
        return 1.0
    result = stats.permutation_test(
        (left, right), _mean_difference, permutation_type="samples", vectorized=True, n_resamples=9_999, rng=seed
    )
    return float(result.pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979): adjusted p by name, in the order given."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def more_queries_needed(differences: ArrayLike, *, alpha: float = 0.05) -> int | None:
    """How many queries beyond these would show this mean difference with power 0.8; None where there is none.

    n = ((z_{1-alpha/2} + z_{power}) * sd / |mean|)^2, the normal approximation of the paired test.
    """
    array = _finite(differences)
    if array.size < 2 or array.mean() == 0:
        return None
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))
    needed = math.ceil((z * array.std(ddof=1) / abs(array.mean())) ** 2)
    return int(max(0, needed - array.size))


def _mean_difference(left: NDArray[np.float64], right: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(np.mean(left, axis=axis) - np.mean(right, axis=axis))


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.all(np.isfinite(array)):
        raise NonFiniteScore("a value to be averaged is NaN or infinite; nothing can be said of its mean")
    return array


QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def quantiles(rows: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """p50, p95, p99 with intervals over queries, mean, n observations, number of queries."""
    clusters = [group.to_numpy() for _, group in rows.groupby("query_id")["duration_ns"]]
    estimates = quantile_estimates(clusters, list(QUANTILES.values()), seed=seed)
    result: dict[str, Any] = {}
    for name, estimate in zip(QUANTILES, estimates, strict=True):
        result[f"{name}_ns"] = None if estimate.mean is None else round(estimate.mean)
        result[f"{name}_interval_ns"] = None if estimate.interval is None else [round(end) for end in estimate.interval]
    return {**result, "mean_ns": round(float(rows["duration_ns"].mean())), "n": len(rows), "queries": len(clusters)}


def noise(whole: pd.DataFrame, bound: float) -> dict[str, Any]:
    """Spread between rounds: (highest - lowest median of a round) / median of all."""
    medians = whole.groupby("round")["duration_ns"].median()
    spread = float((medians.max() - medians.min()) / whole["duration_ns"].median())
    return {"spread": spread, "bound": bound, "noisy": spread > bound}


ALPHA = 0.05


def compared(
    first: pd.Series, second: pd.Series, baseline: str, candidate: str,
    *, metric: str, p: float, p_holm: float, pairs: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Candidate minus baseline."""
    difference = (second - first).to_numpy()
    estimate = mean_estimate(difference, seed=seed)
    told = p_holm < ALPHA
    verdict = ("better" if (estimate.mean or 0) > 0 else "worse") if told else "undecided"
    return {
        "metric": metric, "stage": "final", "baseline": baseline, "candidate": candidate,
        "difference": estimate.mean, "interval": list(estimate.interval) if estimate.interval else None,
        "p": p, "p_holm": p_holm, "verdict": verdict, "n": estimate.n,
        "more_queries": None if told else more_queries_needed(difference, alpha=ALPHA / pairs) or None,
    }  # fmt: skip


DIGITS = 6


def rounded(value: Any) -> Any:
    """Floats to six significant digits, all through: the file is read by people too."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return None if np.isnan(value) else float(f"{value:.{DIGITS}g}")
    return value
