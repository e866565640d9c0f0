"""The capacity: the highest rate at which a promise is kept, searched by bisection, estimated from all that was tried.

Each trial is a step at one rate. The search doubles the rate until the promise is broken and then halves the gap, on a
logarithmic scale, while there is time. The estimate takes all trials together. In a queue the inverse of latency falls
on a line over the rate, so the trials near the promise are joined by one, each weighted by its requests, and the rate
is read off where it crosses. With fewer than three near it quantiles are made monotone instead (isotonic regression;
Barlow and others, Statistical inference under order restrictions, 1972), and the rate is read off between two of them.
The interval does the same in every resample of every trial's blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal, TypeAlias

import numpy as np

from ragprof.evals.load import Promise
from ragprof.statistics.draws import ENDS, RESAMPLES, Array
from ragprof.statistics.estimates import QUANTILES
from ragprof.studies.load.measured import MeasuredStep

CapacityStatus: TypeAlias = Literal["found", "at least", "never", "at most", "unknown"]
"""found: the promise holds at one rate and breaks at another. at least: it held at all that were tried; at most: it
broke at all of them. never: not even one request at a time keeps it."""
CLOSE = 1.03
"""Two rates so close are told apart by no step of a few seconds."""
NEAR, FEWEST_NEAR = (0.4, 1.6), 3
UNSURE = 0.02
"""How far the inverse of a step's latency may lie off the line for want of being a line."""
BROKEN = 20.0
"""A step that was cut off, or failed too often, counts as so many times the promise."""
MOST_TRIALS = 40


@dataclass(frozen=True)
class Capacity:
    """Requests a second; `rate` is None where nothing kept the promise."""

    status: CapacityStatus
    rate: float | None
    interval: tuple[float, float] | None
    tried: int


def breaks(step: MeasuredStep, promise: Promise) -> bool:
    """Whether the promise was broken in this step."""
    return _severity(step, promise) > 1


FEW = 20


def is_hopeless(alone: MeasuredStep, promise: Promise) -> bool:
    """Whether one request at a time breaks the promise: its quantile, or with few requests the median, is above it."""
    alone = alone.promised(promise)
    found = alone.quantile(QUANTILES[promise.level] if alone.n >= FEW else 0.5)
    return found is not None and found / 1e6 > promise.ms


def _severity(step: MeasuredStep, promise: Promise) -> float:
    """The promised quantile over its bound; BROKEN where the step was cut off or failed too often."""
    if not step.n:
        return BROKEN
    failed = step.failures()
    if any(each["stopped"] for each in step.steps) or (failed.mean or 0) > promise.error_rate:
        return BROKEN
    found = step.promised(promise).quantile(QUANTILES[promise.level])
    return BROKEN if found is None else max(1e-9, found / 1e6 / promise.ms)


def search(
    trial: Callable[[float, float], MeasuredStep | None], promise: Promise, *, start: float, most: float | None,
    seconds: float, trial_s: float,
) -> None:  # fmt: skip
    """Try rates while `seconds` last; `trial` makes a step of a rate for so many s, or returns None once it must end.

    A step that was cut off gives back what it did not take. A trial that the generator itself was too slow for ends
    the search upwards.
    """
    ceiling = most or float("inf")
    low, high, rate, left = 0.0, float("inf"), min(start, ceiling), seconds
    for number in range(MOST_TRIALS):
        bracketed = low > 0 and high < float("inf")
        length = min(left, trial_s if bracketed else trial_s / 2)
        if length < trial_s / 4:
            return
        found = trial(rate, length)
        if found is None:
            return
        left -= max(0.2, min(length, found.steps[-1]["cut_ns"] / 1e9))
        if breaks(found, promise):
            high = min(high, rate)
            if high <= low:  # an earlier trial was luckier
                low = low / 1.2
        else:
            low = max(low, rate)
            if low >= high:
                high = high * 1.2
            if rate >= ceiling or found.generator_bound:
                return
        if low == 0:
            rate = high / 2
        elif high == float("inf"):
            rate = min(low * 2, ceiling)
        else:
            # Once they are close, both are tried again: more requests where the answer lies.
            rate = sqrt(low * high) if high / low > CLOSE else (low if number % 2 else high)
        if rate < 0.01:
            return


def estimate(trials: Sequence[MeasuredStep], promise: Promise, *, alone: MeasuredStep | None = None) -> Capacity:
    """Read the capacity off the trials. `alone` is what one request at a time took."""
    if alone is not None and is_hopeless(alone, promise):
        return Capacity("never", None, None, len(trials))
    joined: dict[float, MeasuredStep] = {}
    for each in trials:
        if each.n:
            rate = float(each.steps[0]["rate"] or 0)
            joined[rate] = joined[rate].joined(each) if rate in joined else each
    if not joined:
        return Capacity("unknown", None, None, 0)
    rates = np.array(sorted(joined))
    severities = np.array([_severity(joined[rate], promise) for rate in rates])
    weights = np.array([float(joined[rate].n) for rate in rates])
    value, status = _crossing(rates, np.log(severities), weights)
    if status != "found":
        return Capacity(status, value, None, len(trials))
    drawn = np.column_stack(
        [_drawn(joined[rate], found, promise) for rate, found in zip(rates, severities, strict=True)]
    )
    line = _by_line(rates, severities, drawn, weights)
    if line is None:
        table = np.log(drawn)
        ends = _span(np.array([_crossing(rates, row, weights)[0] for row in table]))
        return Capacity("found", value, _bracketed(ends, value, joined, promise), len(trials))
    # A rate that surely keeps the promise, or surely breaks it, bounds the interval: latency rises with the rate.
    kept = rates[np.quantile(drawn, ENDS[1], axis=0) <= 1].max(initial=0.0)
    broken = rates[np.quantile(drawn, ENDS[0], axis=0) > 1].min(initial=np.inf)
    (low, high), found = _span(line[1:]), float(line[0])
    if kept < broken:
        low, high = max(low, kept), min(high, broken)
    span = min(low, found), max(high, found)
    return Capacity("found", found, _bracketed(span, found, joined, promise), len(trials))


def _bracketed(
    span: tuple[float, float], found: float, joined: Mapping[float, MeasuredStep], promise: Promise
) -> tuple[float, float]:
    """The interval, as wide as what was tried leaves open where resamples of latency cannot tell it.

    They do not tell where too many requests begin to fail, and a trial of a few requests has none: the capacity is then
    somewhere from the last rate that kept the promise to the first that surely broke it.
    """
    rates = sorted(joined)
    below, above = [rate for rate in rates if rate <= found], [rate for rate in rates if rate >= found]
    fails = bool(above) and _severity(joined[above[0]], promise) >= BROKEN
    if not fails and all(joined[rate].draws is not None for rate in (*below[-1:], *above[:1])):
        return span
    kept = [rate for rate, step in joined.items() if rate <= found and not breaks(step, promise)]
    broken = [rate for rate in above if _surely_breaks(joined[rate], promise)]
    return min(span[0], max(kept, default=span[0])), max(span[1], min(broken, default=rates[-1]))


def _surely_breaks(step: MeasuredStep, promise: Promise) -> bool:
    """By the whole interval of the failures, or because the step was cut off."""
    failed = step.failures().interval
    return any(each["stopped"] for each in step.steps) or (failed is not None and failed[0] > promise.error_rate)


def _span(drawn: Array) -> tuple[float, float]:
    low, high = np.quantile(drawn, ENDS)
    return float(low), float(high)


def _drawn(step: MeasuredStep, found: float, promise: Promise) -> Array:
    """Severity of a step in every resample of its blocks; where there are none, as measured."""
    step = step.promised(promise)
    if step.draws is None or found == BROKEN:
        return np.full(RESAMPLES, found)
    place = list(QUANTILES).index(promise.level)
    return np.asarray(np.maximum(step.draws[1:, place] / 1e6 / promise.ms, 1e-9))


def _by_line(rates: Array, severities: Array, drawn: Array, requests: Array) -> Array | None:
    """The rate at which a line through the inverse of latency crosses the promise, as measured and in every resample.

    In a queue latency grows like 1 / (c - rate), so its inverse falls on a line: exactly in M/M/1, nearly elsewhere.
    Steps near the promise count, each by its requests. None with fewer than three, or where no line falls.
    """
    near = (severities > NEAR[0]) & (severities < NEAR[1])
    if near.sum() < FEWEST_NEAR or len(set(rates[near])) < FEWEST_NEAR:
        return None
    inverse = np.vstack([1 / severities[near], 1 / drawn[:, near]])
    # By requests, not by their own scatter: a trial without a burst would look surest, and be too fast.
    x, weights = rates[near], requests[near]
    middle = (weights * x).sum() / weights.sum()
    slope = ((x - middle) * weights * inverse).sum(axis=1) / ((x - middle) ** 2 * weights).sum()
    level = (weights * inverse).sum(axis=1) / weights.sum()
    if slope[0] >= 0:
        return None
    falling = np.where(slope < 0, slope, slope[0])
    found = middle + (1 - level) / falling
    # Trials that scatter about the line by more than their blocks tell of widen the interval (Birge, Phys. Rev. 40,
    # 1932).
    off = inverse[0] - level[0] - slope[0] * (x - middle)
    expected = inverse[1:].var(axis=0) + UNSURE**2
    scale = max(1.0, float((off**2 / expected).sum() / (near.sum() - 2)) ** 0.5)
    return np.asarray(np.clip(found[0] + scale * (found - found[0]), rates.min(), rates.max()))


def _crossing(rates: Array, severities: Array, weights: Array) -> tuple[float, CapacityStatus]:
    """Where the monotone curve of log severity crosses 0, between neighbours on a logarithmic scale of the rate."""
    from scipy.optimize import isotonic_regression

    curve = isotonic_regression(severities, weights=weights).x
    if curve[-1] <= 0:
        return float(rates[-1]), "at least"
    if curve[0] > 0:
        return float(rates[0]), "at most"
    above = int(np.argmax(curve > 0))
    (x0, x1), (y0, y1) = np.log(rates[above - 1 : above + 1]), curve[above - 1 : above + 1]
    # Beyond the promise latency rises without end: a step that was cut off says where, not how much.
    share = (0 - y0) / (min(y1, log(BROKEN)) - y0)
    return float(np.exp(x0 + share * (x1 - x0))), "found"
