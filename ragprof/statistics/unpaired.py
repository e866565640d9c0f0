"""Two samples of different queries or traces, such as last week's and this week's: differences with intervals and p.

Nothing is paired, so all of the scatter between queries stays in the difference, and more of them are needed than where
the same queries were asked on both sides.

Values of one question that was asked again, or of one session, are no independent witnesses: where a sample has such
groups, the scatter is that of groups (`grouped`), and so are its degrees of freedom. Reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ragprof.core import Estimate
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import FEWEST, QUANTILES, Z
from ragprof.statistics.grouped import Groups, grouped_quantiles, variance_of_mean
from ragprof.statistics.paired import Effect
from ragprof.statistics.unseen import CONFIDENCE, Bounds, interval_of_equal

LEAST: Mapping[str, int] = {name: 5 * least for name, least in FEWEST.items()}
"""Queries of a side from which a quantile is compared: five lie beyond it on average. Of 40 durations a p95 would be
told from an equal one in 17 of 100 tests at 5 %, of 150 in 5."""


def mean_effect(
    base: Array,
    candidate: Array,
    *,
    groups: tuple[Groups, Groups] | None = None,
    bounds: Bounds | None = None,
    confidence: float = CONFIDENCE,
) -> Effect:
    """Return the difference of two means, candidate - base; both (queries,), at least one each.

    `n` counts groups where there are any.

    Welch's test and interval (Biometrika 34, 1947, 28-35): the samples may scatter differently. Neither below two
    queries on a side. Where all of a side are equal, it is as uncertain as `unseen` says, and what the sides leave open
    is squared and added (Newcombe, Interval estimation for the difference between independent proportions, Statistics
    in Medicine 17, 1998, 873-890, method 10); `bounds` are those of one value. Where both are, p is that of the
    arrangements of all values that are as extreme.
    """
    from scipy import special

    (first, second), sizes = (base, candidate), _sizes((base, candidate), groups)
    n = min(sizes)
    before, after = float(first.mean()), float(second.mean())
    difference = after - before
    if n < 2:
        return _effect(before, after, difference, None, None, 1.0 if difference == 0 else None, n, 0.0)
    parts = [variance_of_mean(side, own) for side, own in zip((first, second), groups or (None, None), strict=True)]
    error = math.sqrt(sum(parts))
    if error == 0:
        p = 1.0 if difference == 0 else min(1.0, 2 / math.comb(sum(sizes), sizes[0]))
        span = _with_unseen(difference, (first, second), sizes, [0.0, 0.0], bounds, confidence)
        return _effect(before, after, difference, span, error, max(p, float(np.finfo(float).tiny)), n, before)
    degrees = sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    p = max(2 * float(special.stdtr(degrees, -abs(difference) / error)), float(np.finfo(float).tiny))
    span = (difference - reach, difference + reach)
    if bounds is not None and min(parts) == 0:
        shares = [reach * math.sqrt(part) / error for part in parts]
        span = _with_unseen(difference, (first, second), sizes, shares, bounds, confidence) or span
    return _effect(before, after, difference, span, error, p, n, before)


def _with_unseen(
    difference: float,
    sides: Sequence[Array],
    sizes: Sequence[int],
    reaches: Sequence[float],
    bounds: Bounds | None,
    confidence: float,
) -> tuple[float, float] | None:
    """The interval of a difference of which one side or both are all equal; None where nothing bounds a side."""
    below, above = [], []
    for side, size, reach in zip(sides, sizes, reaches, strict=True):
        span: tuple[float, float] | None = (side.mean() - reach, side.mean() + reach)
        if reach == 0:
            span = interval_of_equal(float(side[0]), size, bounds=bounds, confidence=confidence)
        if span is None:
            return None
        below.append(float(side.mean() - span[0]))
        above.append(float(span[1] - side.mean()))
    return difference - math.hypot(above[0], below[1]), difference + math.hypot(below[0], above[1])


def _sizes(sides: Sequence[Array], groups: tuple[Groups, Groups] | None) -> tuple[int, int]:
    first, second = (len(np.unique(own)) for own in groups) if groups else map(len, sides)
    return first, second


def quantile_effect(
    base: Array,
    candidate: Array,
    name: str,
    *,
    seed: int,
    groups: tuple[Groups, Groups] | None = None,
    confidence: float = CONFIDENCE,
) -> Effect:
    """Return the difference of a quantile (`p50`, `p95`) of two samples of durations, both (queries,).

    Each side's scatter is that of its own interval, on a logarithmic scale, where it is nearly symmetric; p is Wald's
    of the log ratio being 0. Neither interval nor p below LEAST queries on a side.
    """
    level, n = QUANTILES[name], min(_sizes((base, candidate), groups))
    own = groups or (np.arange(len(base)), np.arange(len(candidate)))
    sides = [grouped_quantiles(*each, [level], seed=seed)[0] for each in zip((base, candidate), own, strict=True)]
    before, after = (float(side.mean or 0.0) for side in sides)
    errors = [_log_error(side) for side in sides]
    if n < LEAST[name] or None in errors or before <= 0 or after <= 0:
        return _effect(before, after, after - before, None, None, None, n, before)
    error = math.hypot(*(each or 0.0 for each in errors))
    ratio = math.log(after / before)
    quantile = Z if confidence == CONFIDENCE else _normal(confidence)
    low, high = (before * (math.exp(ratio + side * quantile * error) - 1) for side in (-1, 1))
    p = math.erfc(abs(ratio) / error / math.sqrt(2)) if error else float(ratio == 0)
    return _effect(before, after, after - before, (low, high), error * before, max(p, 5e-324), n, before)


def _log_error(side: Estimate) -> float | None:
    """The standard error of the logarithm, by the 95% interval; None where there is none."""
    if side.interval is None or side.interval[0] <= 0:
        return None
    return (math.log(side.interval[1]) - math.log(side.interval[0])) / (2 * Z)


def _normal(confidence: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)


def _effect(
    base: float,
    candidate: float,
    difference: float,
    interval: tuple[float, float] | None,
    error: float | None,
    p: float | None,
    n: int,
    over: float = 0.0,
) -> Effect:
    """`relative` is over the base's figure, whose own scatter is in the interval already."""
    relative = (interval[0] / over, interval[1] / over) if over and interval is not None else None
    return Effect(
        base=base, candidate=candidate, difference=difference, interval=interval,
        relative=difference / over if over else None, relative_interval=relative,
        p=p, n=n, standard_error=error or 0.0, spread_over=n,
    )  # fmt: skip
