"""Two samples of different queries or traces, such as last week's and this week's: differences with intervals and p.

Nothing is paired, so all of the scatter between queries stays in the difference, and more of them are needed than where
the same queries were asked on both sides. Reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ragprof.core import Estimate
from ragprof.statistics.draws import CONFIDENCE, Array
from ragprof.statistics.estimates import FEWEST, QUANTILES, Z, quantile_estimates
from ragprof.statistics.paired import Effect

LEAST: Mapping[str, int] = {name: 5 * least for name, least in FEWEST.items()}
"""Queries of a side from which a quantile is compared: five lie beyond it on average. Of 40 durations a p95 would be
told from an equal one in 17 of 100 tests at 5 %, of 150 in 5."""


def mean_effect(base: Array, candidate: Array, *, confidence: float = CONFIDENCE) -> Effect:
    """Return the difference of two means, candidate - base; both (queries,), at least one each.

    Welch's test and interval (Biometrika 34, 1947, 28-35): the samples may scatter differently. Neither below two
    queries on a side.
    """
    from scipy import special

    (first, second), n = (base, candidate), min(len(base), len(candidate))
    before, after = float(first.mean()), float(second.mean())
    difference = after - before
    if n < 2:
        return _effect(before, after, difference, None, None, 1.0 if difference == 0 else None, n, 0.0)
    parts = [float(side.var(ddof=1)) / len(side) for side in (first, second)]
    error = math.sqrt(sum(parts))
    if error == 0:
        p = 1.0 if difference == 0 else float(np.finfo(float).tiny)
        return _effect(before, after, difference, (difference, difference), error, p, n, before)
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (first, second), strict=True)
    )
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    p = max(2 * float(special.stdtr(degrees, -abs(difference) / error)), float(np.finfo(float).tiny))
    return _effect(before, after, difference, (difference - reach, difference + reach), error, p, n, before)


def quantile_effect(base: Array, candidate: Array, name: str, *, seed: int, confidence: float = CONFIDENCE) -> Effect:
    """Return the difference of a quantile (`p50`, `p95`) of two samples of durations, both (queries,).

    Each side's scatter is that of its own interval, on a logarithmic scale, where it is nearly symmetric; p is Wald's
    of the log ratio being 0. Neither interval nor p below LEAST queries on a side.
    """
    level, n = QUANTILES[name], min(len(base), len(candidate))
    sides = [quantile_estimates(side[:, None], [level], seed=seed)[0] for side in (base, candidate)]
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
