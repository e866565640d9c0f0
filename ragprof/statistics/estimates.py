"""Estimates with intervals: a mean over queries, and the one quantile estimator behind every p50, p95 and p99.

A quantile is Harrell and Davis's (A new distribution-free quantile estimator, Biometrika 69, 1982, 635-640) over all
observations, queries with all their rounds: a mean of all order statistics, weighted by a beta distribution around the
wanted level. The plain p95 of 20 observations is one observation and keeps its noise; this one averages those around
it, which makes the ratio of two sides steadier, and in a large sample the two agree. Neither sees beyond the largest
observation: a p99 of 20 is little else than the largest.

Rounds of a query are no independent witnesses, so resamples draw whole queries. A query that was timed in more rounds
than another would weigh more, so all are cut to the fewest rounds that one has; the first ones stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ragprof.core import Estimate
from ragprof.core.errors import NonFiniteScore
from ragprof.statistics.draws import ENDS, Array, Counts, resampled_counts, resampled_weights
from ragprof.statistics.unseen import Bounds, all_equal, fewest_equal, interval_of_equal

if TYPE_CHECKING:
    import pandas as pd


QUANTILES: Mapping[str, float] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
OBSERVATIONS = 32
"""How many of the sorted observations are gone through at once."""
NEGLIGIBLE = 1e-18
"""A weight that moves no digit of a sum whose weights reach 1."""
DIGITS = 6
MOST_ALIKE = 0.9
"""Correlation of neighbouring blocks at most: with more their number says nothing."""
SURELY = 10
"""Standard deviations beyond which no weight is left that moves a digit."""
Z = NormalDist().inv_cdf(ENDS[1])
MOST_RESAMPLED = 10_000
"""Queries up to which means are resampled. Beyond, resamples take gigabytes, and what they tend to is known."""
MOST_OF_ONE_ROUND = 2_000
"""The same of quantiles of queries that were timed once each, as traces are."""


def fewest(level: float) -> int:
    """Return the number of queries below which a quantile has no interval: of so many one lies beyond it on average.

    Resamples of fewer know nothing of what is there: the interval of a p95 of 8 misses the truth four times too often.
    """
    return round(1 / (1 - level))


def fewest_of(level: float, table: Array) -> int:
    """Return the same for these observations: more where all are equal, as are their resamples then."""
    return max(fewest(level), fewest_equal(level)) if all_equal(table, None) else fewest(level)


FEWEST: Mapping[str, int] = {name: fewest(level) for name, level in QUANTILES.items()}


def finite(values: ArrayLike) -> Array:
    """Return them as floats, in one row. Raises NonFiniteScore for NaN and infinities."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.all(np.isfinite(array)):
        raise NonFiniteScore("a value to be averaged is NaN or infinite; nothing can be said of its mean")
    return array


def mean_estimate(values: ArrayLike, *, bounds: Bounds | None, seed: int = 0) -> Estimate:
    """Return the mean over queries, given in the order of their ids, with its percentile bootstrap interval.

    No interval below two queries. Resamples the queries that `draws` describes, as `scipy.stats.bootstrap` would; equal
    values have the interval of `unseen`, within `bounds` where one value has any.
    """
    array = finite(values)
    if array.size == 0:
        return Estimate(None, None, 0)
    mean = float(array.mean())
    if array.size == 1:
        return Estimate(mean, None, 1)
    if all_equal(array, bounds):
        same = float(array[0])
        return Estimate(same, interval_of_equal(same, array.size, bounds=bounds), int(array.size))
    if array.size > MOST_RESAMPLED:
        error = Z * float(array.std(ddof=1)) / math.sqrt(array.size)
        return Estimate(mean, (mean - error, mean + error), int(array.size))
    low, high = np.quantile(resampled_weights(array.size, seed=seed) @ array / array.size, ENDS)
    return Estimate(mean, (float(low), float(high)), int(array.size))


def estimated(values: pd.Series, *, bounds: Bounds | None, seed: int) -> dict[str, Any]:
    """Return `mean_estimate` of the values by query_id that are known, as summary.json has it."""
    estimate = mean_estimate(values.sort_index().dropna().to_numpy(dtype=float), bounds=bounds, seed=seed)
    span = None if estimate.interval is None else list(estimate.interval)
    return {"mean": estimate.mean, "interval": span, "n": estimate.n}


def gained(candidate: pd.Series, baseline: pd.Series) -> pd.Series:
    """Return candidate minus baseline of each query that has a known value in both, sorted by query_id."""
    return (candidate - baseline).dropna().sort_index()


def rounds_of(times: pd.DataFrame, *, column: str = "duration_ns", queries: Sequence[str] | None = None) -> Array:
    """Return a column of rows with query_id and round as (queries, rounds), sorted by query_id.

    Cut to the fewest rounds that a query has. `queries` leaves the others out; rows without a time do not count.
    """
    import pandas as pd

    values = times[column].to_numpy(dtype=np.float64, na_value=np.nan)
    kept = ~np.isnan(values)
    if queries is not None:
        kept &= times["query_id"].isin(queries).to_numpy()
    if not kept.any():
        return np.empty((0, 0))
    # Numbered in the order of the ids; arrays are sorted and cut, since grouping frames takes a hundred times as long.
    owner, _ = pd.factorize(times["query_id"], sort=True)
    owner, values = owner[kept], values[kept]
    order = np.lexsort((times["round"].to_numpy()[kept], owner))
    counts = np.bincount(owner)
    counts = counts[counts > 0]
    starts, fewest = np.cumsum(counts) - counts, int(counts.min())
    return np.asarray(values[order][starts[:, None] + np.arange(fewest)])


def quantile_estimates(table: Array, levels: Sequence[float], *, seed: int = 0) -> list[Estimate]:
    """Return the quantiles of (queries, rounds), in its unit, with intervals over queries; `n` counts observations.

    None where nothing was observed, no interval below `fewest_of` queries. Raises NonFiniteScore.
    """
    finite(table)
    if not table.size:
        return [Estimate(None, None, 0) for _ in levels]
    if len(table) > MOST_OF_ONE_ROUND and table.shape[1] == 1:
        return large_quantiles(table[:, 0], levels)
    figures = quantile_draws(table, levels, seed=seed)
    spans = np.quantile(figures[1:], ENDS, axis=0).T.tolist()
    return [
        Estimate(float(found), (low, high) if len(table) >= fewest_of(level, table) else None, table.size)
        for found, (low, high), level in zip(figures[0], spans, levels, strict=True)
    ]


def large_quantiles(values: Array, levels: Sequence[float]) -> list[Estimate]:
    """Return Harrell and Davis's quantiles of very many independent values, with intervals that need no resamples.

    Almost all of the beta distribution's weight lies on a few values, and only those are summed. The ends of an
    interval are two of the values: as many lie below the true quantile as a binomial draw says (David and Nagaraja,
    Order statistics, 2003, section 7.1). Resampled intervals of so many have the same ends within their own scatter.
    """
    from scipy import special

    ordered, n = np.sort(values), len(values)
    found = []
    for level in levels:
        deviation = math.sqrt(n * level * (1 - level))
        first, last = (min(n, max(0, round(n * level + side * SURELY * deviation))) for side in (-1, 1))
        shares = np.arange(first, last + 1) / n
        weights = np.diff(special.betainc((n + 1) * level, (n + 1) * (1 - level), shares))
        mean = float(weights @ ordered[first:last] / weights.sum())
        low, high = math.floor(n * level - Z * deviation), math.ceil(n * level + Z * deviation)
        found.append(Estimate(mean, (float(ordered[max(0, low)]), float(ordered[min(n - 1, high)])), n))
    return found


def share_estimate(hits: int, n: int) -> Estimate:
    """Return a share of n with the exact binomial interval, which says something where there were none, or all.

    Clopper and Pearson (Biometrika 26, 1934, 404-413): 0 of 100 is 0 to 3.6 %, where resampling would say 0 to 0.
    """
    return Estimate(hits / n, exact_share(hits, n), n) if n else Estimate(None, None, 0)


def exact_share(hits: float, n: float) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of hits in n > 0; neither has to be whole."""
    from scipy import special

    low = float(special.betaincinv(hits, n - hits + 1, ENDS[0])) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, ENDS[1])) if hits < n else 1.0
    return low, high


def quantile(table: Array, level: float) -> float:
    """Return one quantile of (queries, rounds), with at least one query."""
    return float(resampled_quantiles(table, np.ones((1, len(table)), np.int32), [level])[0, 0])


def quantile_interval(blocks: Array, level: float) -> tuple[float, float]:
    """Return the 95% interval of a quantile of (blocks, values of each), blocks in order of time and alike within.

    Values above the quantile come in clusters, which few resamples draw often enough, so their share is what is
    bounded: exactly, as that of so many independent values as would scatter like the shares of blocks (Korn and
    Graubard, Survey Methodology 24, 1998), neighbours in time taken for what they have in common. Its ends are read off
    the sorted values (Woodruff, JASA 47, 1952), and end at the largest one, beyond which a sample does not see.
    """
    from scipy import special

    many = len(blocks) // 2 * 2
    values = np.sort(blocks[:many], axis=None)
    above = (blocks[:many] > np.quantile(values, level)).reshape(many // 2, -1).mean(axis=1)
    off = above - above.mean()
    whole = float((off**2).sum())
    alike = min(max(0.0, float((off[1:] * off[:-1]).sum()) / whole), MOST_ALIKE) if whole else 0.0
    variance = float(above.var(ddof=1)) / len(above) * (1 + alike) / (1 - alike)
    n = len(values)
    worth = n if not variance else min(n, level * (1 - level) / variance)
    worth *= (Z / float(special.stdtrit(len(above) - 1, ENDS[1]))) ** 2
    below = worth * level
    low = float(special.betaincinv(below, worth - below + 1, ENDS[0]))
    high = float(special.betaincinv(below + 1, worth - below, ENDS[1]))
    return float(values[int(low * (n - 1))]), float(values[min(n - 1, math.ceil(high * (n - 1)))])


def quantile_draws(table: Array, levels: Sequence[float], *, seed: int) -> Array:
    """Return quantiles of (queries, rounds) as measured and in every resample, (1 + RESAMPLES, levels).

    Two tables of the same queries and one seed are resampled together: their difference and ratio are paired.
    """
    counts = np.vstack([np.ones((1, len(table)), np.int32), resampled_counts(len(table), seed=seed)])
    return resampled_quantiles(table, counts, levels)


def resampled_quantiles(table: Array, counts: Counts, levels: Sequence[float]) -> Array:
    """Return the quantiles of each resample, (resamples, levels), from how often it drew each row of the table.

    Harrell and Davis sum x_i (F(i/n) - F((i-1)/n)), with F the beta distribution of (n + 1) p and (n + 1) (1 - p).
    Summed by parts it is the largest value less the gaps between neighbours, each times F at the share of observations
    below it: so a resample needs no sorting of its own, and a value that it did not draw drops out.
    """
    from scipy import special

    order = np.argsort(table, axis=None, kind="stable")
    values, owners = table.ravel()[order], order // table.shape[1]
    gaps, total = np.diff(values), int(counts[0].sum()) * table.shape[1]
    shares = np.arange(total + 1) / total
    below = [special.betainc((total + 1) * level, (total + 1) * (1 - level), shares) for level in levels]
    # A row per query, so that a block of observations is a few rows that stay in the processor's cache.
    drawn = np.ascontiguousarray(counts.T)
    reached, found = np.zeros(len(counts), counts.dtype), np.zeros((len(levels), len(counts)))
    for start in range(0, len(gaps), OBSERVATIONS):
        some = slice(start, min(start + OBSERVATIONS, len(gaps)))
        # How many observations of a resample are no larger than each of these values.
        block = drawn[owners[some]]
        block[0] += reached
        for above, row in pairwise(block):  # twice as fast as numpy's cumsum along this axis
            np.add(above, row, out=row)
        reached = block[-1]
        least, most = block[0].min(), block[-1].max()
        undecided = [place for place, weights in enumerate(below) if weights[least] < 1 and weights[most] > NEGLIGIBLE]
        places = block.astype(np.intp) if undecided else block  # else each look-up would convert them for itself
        for place, weights in enumerate(below):
            if weights[least] == 1:
                found[place] += gaps[some].sum()
            elif place in undecided:
                found[place] += gaps[some] @ weights.take(places)
    return np.asarray((values[-1] - found).T)


def latency_quantiles(rows: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Return p50, p95, p99 of duration_ns with intervals, its mean, n observations, number of queries."""
    table = rounds_of(rows)
    return latency_figures(rows, quantile_estimates(table, list(QUANTILES.values()), seed=seed), queries=len(table))


def latency_figures(rows: pd.DataFrame, quantiles: Sequence[Estimate], *, queries: int) -> dict[str, Any]:
    """Return QUANTILES of duration_ns as summary.json names them, with the mean and n of these rows."""
    result: dict[str, Any] = {}
    for name, found in zip(QUANTILES, quantiles, strict=True):
        result[f"{name}_ns"] = None if found.mean is None else round(found.mean)
        result[f"{name}_interval_ns"] = None if found.interval is None else [round(end) for end in found.interval]
    return {**result, "mean_ns": round(float(rows["duration_ns"].mean())), "n": len(rows), "queries": queries}


def noise(whole: pd.DataFrame, bound: float) -> dict[str, Any]:
    """Return the spread between rounds: (highest - lowest median of a round) / median of all.

    Plain medians: each round is a sample of its own, and none of them is printed.
    """
    medians = whole.groupby("round")["duration_ns"].median()
    every = float(whole["duration_ns"].median())
    spread = float(medians.max() - medians.min()) / every if every else 0.0  # a clock that reads 0 has no noise
    return {"spread": spread, "bound": bound, "noisy": spread > bound}


def rounded(value: Any) -> Any:
    """Return floats with six significant digits, all through: the file is read by people too."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return None if np.isnan(value) else float(f"{value:.{DIGITS}g}")
    return value
