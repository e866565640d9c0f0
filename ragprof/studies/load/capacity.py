"""The capacity: the highest rate at which a promise is kept, searched by bisection, estimated from all that was tried.

Each trial is a step at one rate. The search doubles the rate until the promise is broken and then halves the gap, on a
logarithmic scale, while there is time. The estimate takes all trials together: latency does not fall as the rate rises,
so their quantiles are made monotone (isotonic regression, each trial weighted by its requests; Barlow and others,
Statistical inference under order restrictions, 1972), on a logarithmic scale, and the rate is read off where they cross
the promise. The interval does that in every resample of every trial's blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal, TypeAlias

import numpy as np

from ragprof.evals.load import Promise
from ragprof.statistics.draws import ENDS, Array
from ragprof.statistics.estimates import QUANTILES
from ragprof.studies.load.measured import MeasuredStep

CapacityStatus: TypeAlias = Literal["found", "at least", "never", "at most", "unknown"]
"""found: the promise holds at one rate and breaks at another. at least: it held at all that were tried; at most: it
broke at all of them. never: not even one request at a time keeps it."""
CLOSE = 1.03
"""Two rates so close are told apart by no step of a few seconds."""
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
    found = alone.quantile(QUANTILES[promise.level] if alone.n >= FEW else 0.5)
    return found is not None and found / 1e6 > promise.ms


def _severity(step: MeasuredStep, promise: Promise) -> float:
    """The promised quantile over its bound; BROKEN where the step was cut off or failed too often."""
    if not step.n:
        return BROKEN
    failed = step.failures()
    if any(each["stopped"] for each in step.steps) or (failed.mean or 0) > promise.error_rate:
        return BROKEN
    found = step.quantile(QUANTILES[promise.level])
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
    rates = sorted(joined)
    levels = list(QUANTILES)
    measured, drawn = [], []
    for rate in rates:
        step = joined[rate]
        found = _severity(step, promise)
        measured.append(log(found))
        place = levels.index(promise.level)
        draws = None if step.draws is None or found == BROKEN else step.draws[:, place] / 1e6 / promise.ms
        drawn.append(np.full(2001, log(found)) if draws is None else np.log(np.maximum(draws, 1e-9)))
    weights = np.array([float(joined[rate].n) for rate in rates])
    value, status = _crossing(np.array(rates), np.array(measured), weights)
    if status == "at most":
        return Capacity("at most", value, None, len(trials))
    if status == "at least":
        return Capacity("at least", value, None, len(trials))
    table = np.column_stack(drawn)[1:]
    ends = [_crossing(np.array(rates), row, weights)[0] for row in table]
    low, high = np.quantile(ends, ENDS)
    return Capacity("found", value, (float(low), float(high)), len(trials))


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
