"""Intervals of values that come in groups: traces of one question that was asked again, or of one session.

Such values are no independent witnesses: a thousand traces of six questions know about six questions. Every estimate is
the one of all values; its interval is what the scatter between groups leaves, by as many degrees of freedom as there
are groups less one. Where each group holds one value, figures are those of `estimates`, to the last digit.

Of a mean it is the linearised variance of a ratio of totals (Cochran, Sampling techniques, 1977, section 9A.1), of a
quantile that of the share of values below it, carried over to the values (Woodruff, Confidence intervals for medians
and other position measures, JASA 47, 1952, 635-646), and a share has the exact binomial interval of as many independent
values as it is worth (Korn and Graubard, Confidence intervals for proportions with small expected number of positive
counts estimated from survey data, Survey Methodology 24, 1998, 193-201). Reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Estimate
from ragprof.statistics.draws import ENDS, Array
from ragprof.statistics.estimates import (
    QUANTILES,
    exact_share,
    fewest,
    finite,
    latency_figures,
    latency_quantiles,
    mean_estimate,
    quantile_estimates,
    share_estimate,
)
from ragprof.statistics.unseen import Bounds, all_equal, interval_of_equal

if TYPE_CHECKING:
    import pandas as pd

Groups: TypeAlias = NDArray[np.int64]
"""The number of the group of each value."""


def variance_of_mean(values: Array, groups: Groups | None) -> float:
    """Return the variance of the mean of at least two groups; without groups, each value is one.

    It is never below that of as many independent values: groups whose means happen to agree show no more than that.
    """
    alone = float(values.var(ddof=1)) / len(values)
    if groups is None or len(np.unique(groups)) == len(values):
        return alone
    _, places = np.unique(groups, return_inverse=True)
    sums = np.bincount(places, weights=values - values.mean())
    return max(alone, float((sums**2).sum()) / len(values) ** 2 * len(sums) / (len(sums) - 1))


def grouped_mean(values: Array, groups: Groups, *, bounds: Bounds | None) -> Estimate:
    """Return the mean of values, with its interval by Student's t over groups; none below two groups.

    The interval lies within `bounds`, those of one value; where all are equal it is that of `unseen`, of as many values
    as there are groups. `n` counts values.
    """
    array, own = finite(values), len(np.unique(groups))
    if own == len(array):
        return mean_estimate(array, bounds=bounds)
    mean = float(array.mean())
    if own < 2:
        return Estimate(mean, None, len(array))
    if all_equal(array, bounds):
        same = float(array[0])
        return Estimate(same, interval_of_equal(same, own, bounds=bounds), len(array))
    reach = _reach(own) * math.sqrt(variance_of_mean(array, groups))
    low, high = bounds or (-math.inf, math.inf)
    return Estimate(mean, (max(low, mean - reach), min(high, mean + reach)), len(array))


def grouped_share(flags: NDArray[np.bool_], groups: Groups) -> Estimate:
    """Return the share of values that are true, with an exact interval; `n` counts values."""
    hits, n, own = int(flags.sum()), len(flags), len(np.unique(groups))
    if own == n:
        return share_estimate(hits, n)
    worth = float(own)
    if own > 1 and 0 < hits < n:
        share = hits / n
        worth = share * (1 - share) / variance_of_mean(flags.astype(float), groups) * (_reach(n) / _reach(own)) ** 2
    return Estimate(hits / n, exact_share(hits / n * worth, worth), n)


def grouped_quantiles(values: Array, groups: Groups, levels: Sequence[float], *, seed: int) -> list[Estimate]:
    """Return quantiles of all values; no interval below as many groups as `fewest` says. `n` counts values."""
    found, own = quantile_estimates(values[:, None], levels, seed=seed), len(np.unique(groups))
    if own == len(values):
        return found
    return [
        Estimate(
            each.mean,
            None if each.mean is None or own < max(2, fewest(level)) else _woodruff(values, groups, each.mean, level),
            each.n,
        )
        for each, level in zip(found, levels, strict=True)
    ]


def _woodruff(values: Array, groups: Groups, found: float, level: float) -> tuple[float, float]:
    share = math.sqrt(variance_of_mean((values <= found).astype(float), groups))
    reach, ordered = _reach(len(np.unique(groups))) * share, np.sort(values)
    low, high = math.floor((level - reach) * len(values)), math.ceil((level + reach) * len(values))
    return float(ordered[max(0, low)]), float(ordered[min(len(values), high) - 1])


def grouped_latency(rows: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
    """Return `latency_quantiles` of rows that were timed once each, with intervals over the groups by query_id.

    `queries` counts groups.
    """
    known = rows[rows["duration_ns"].notna()]
    own = groups.loc[known["query_id"]].to_numpy()
    count = len(np.unique(own))
    if count == len(known):
        return latency_quantiles(rows, seed=0)
    values = known["duration_ns"].to_numpy(dtype=np.float64)
    return latency_figures(rows, grouped_quantiles(values, own, list(QUANTILES.values()), seed=0), queries=count)


def _reach(count: int) -> float:
    """How many standard errors a 95% interval of so many groups reaches."""
    from scipy import special

    return float(special.stdtrit(count - 1, ENDS[1]))
