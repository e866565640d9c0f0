"""A figure beyond the largest corpus measured, or the reason why there is none. Extrapolates means; asks no pipeline.

Two families of curves are fitted, to many rows at once; `checked` serves any other model.

- "log-linear": value = a + b ln n, ordinary least squares.
- "power law": value = c + a n^b with c, a >= 0 and b on a grid of 0 .. 1.5, least squares of the relative errors; flat
  unless the rise beats the scatter about a constant (F test at 5 %, scatter taken as 1 % at least).

Every forecast is first made from all sizes but the largest, for the largest: where the measured value lies outside of
the interval predicted for it, it abstains (`checked`).

Intervals resample queries and orders. Where these do not make the figure (index bytes), and in a power law, whose
timings also vary from run to run, the interval takes in the range of the fits without one size each and the residuals
about the curve (Student's t times their standard deviation; in a power law at least 1 % of the value).

Beyond the data the curve itself may be wrong, which no resampling shows. So the interval at m, beyond the largest size
n, is at least as wide as the one held out, and then wider on both sides by
    max(held-out error, standard deviation of the residuals) * ln(m / n) / ln(n / the size before n)
In a power law errors and widths are relative to the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ragprof.core.errors import BadInput, UnknownName
from ragprof.statistics.draws import CONFIDENCE, ENDS, interval

LOG_LINEAR, POWER_LAW = "log-linear", "power law"
EXPONENTS = np.linspace(0.0, 1.5, 151)
BLOCK = 64
RESOLUTION = 0.01
"""Relative error below which no timing, size or bill is taken to be known."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """A family of curves: `fit(sizes, rows, at)` is (rows, at), fitted to rows of (rows, sizes)."""

    name: str
    parameters: int
    relative: bool
    fit: Callable[[Array, Array, Array], Array]


def log_linear(sizes: Array, rows: Array, at: Array) -> Array:
    """a + b ln n by ordinary least squares, for each row at once."""
    centre = np.log(sizes).mean()
    logs = np.log(sizes) - centre
    slopes = rows @ logs / (logs @ logs)
    return np.asarray(rows.mean(1)[:, None] + slopes[:, None] * (np.log(at) - centre))


def power_law(sizes: Array, rows: Array, at: Array) -> Array:
    """c + a n^b, c and a >= 0, weights 1 / value^2: in closed form for each exponent, the best one for each row."""
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    return np.concatenate([_power_law(sizes, block, at) for block in blocks])


MODELS: Mapping[str, Model] = {
    LOG_LINEAR: Model(LOG_LINEAR, 2, False, log_linear),
    POWER_LAW: Model(POWER_LAW, 3, True, power_law),
}


def _power_law(sizes: Array, rows: Array, at: Array) -> Array:
    weight = rows**-2.0
    powers = (sizes / sizes[-1])[:, None] ** EXPONENTS
    constant, factor, loss = _two_parameters(weight, weight * rows, powers)
    best = loss.argmin(1)
    each = np.arange(len(rows))
    curve = constant[each, best, None] + factor[each, best, None] * (at / sizes[-1]) ** EXPONENTS[best, None]
    flat = ((weight * rows).sum(1) / weight.sum(1))[:, None]
    # F test of two more parameters, where the residuals' variance is not believed below RESOLUTION squared.
    free, curved = max(len(sizes) - 3, 1), loss[each, best]
    variance = np.maximum(np.maximum(curved, 0.0) / free, RESOLUTION**2)
    rises = ((weight * (rows - flat) ** 2).sum(1) - curved) / 2 > special.fdtri(2, free, CONFIDENCE) * variance
    return np.asarray(np.where(rises[:, None], curve, flat))


def _two_parameters(weight: Array, weighted: Array, powers: Array) -> tuple[Array, Array, Array]:
    """Constant, factor and loss of each (row, exponent): the best of the inner solution and the two on the border."""
    w, y = weight.sum(1)[:, None], weighted.sum(1)[:, None]
    x, xx, xy = weight @ powers, weight @ powers**2, weighted @ powers
    spread = np.maximum(w * xx - x * x, 0.0)
    inner = np.divide(w * xy - x * y, spread, out=np.full(x.shape, -1.0), where=spread > 1e-12 * w * xx)
    candidates = [(y / w + 0 * x, 0 * x), (0 * x, xy / xx), ((y - inner * x) / w, inner)]
    losses = [
        np.where(
            np.minimum(c, a) >= 0, len(powers) - 2 * (c * y + a * xy) + c * c * w + 2 * a * c * x + a * a * xx, np.inf
        )
        for c, a in candidates
    ]
    best = np.argmin(losses, axis=0)[None]
    constant, factor = (np.take_along_axis(np.stack(part), best, 0)[0] for part in zip(*candidates, strict=True))
    return constant, factor, np.asarray(np.min(losses, axis=0))


RESAMPLED = "queries and orders"
WITH_SCATTER = "queries and orders, fits without one size each, residuals about the curve"
SIZES_ONLY = "fits without one size each, residuals about the curve"
ROUNDING = 1e-9
MATERIAL = 0.05
"""The share of a value up to which an error at the held-out size does not matter, however sure it is."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model says of one size; `interval` is that of the model's inputs, before any error of the model itself."""

    size: int
    value: float
    interval: tuple[float, float]


def forecast(
    sizes: Sequence[int],
    replicates: ArrayLike,
    points: ArrayLike,
    *,
    targets: Sequence[int],
    model: str,
    bounds: tuple[float, float],
) -> dict[str, Any]:
    """{"model", "held_out", "abstained", "reason", "at", "interval_kind"}; `at` is empty where it abstains.

    `points` (sizes,) are the measured means at rising sizes, `replicates` (replicates, sizes) the same jointly
    resampled; NaN is a size without a measurement, which is left out. Intervals are held to `bounds`, and a target at
    which the curve itself has left them is left out of `at`, which `reason` says.
    """
    if model not in MODELS:
        raise UnknownName("model of growth", model, MODELS)
    curve = MODELS[model]
    known, means, drawn = (np.asarray(given, dtype=np.float64) for given in (sizes, points, replicates))
    if means.shape != known.shape or drawn.ndim != 2 or drawn.shape[1:] != known.shape:
        raise BadInput(
            f"a forecast needs one mean per size and replicates (replicates, sizes); found {known.size} sizes, "
            f"means {means.shape}, replicates {drawn.shape}"
        )
    if known.size == 0 or known[0] < 1 or (np.diff(known) <= 0).any():
        raise BadInput(f"sizes of a forecast rise and are above 0; found {list(sizes)}")
    kept = np.isfinite(means)
    known, means, drawn = known[kept], means[kept], drawn[:, kept]
    drawn = drawn[np.isfinite(drawn).all(1)]
    needed, smaller, why = max(3, curve.parameters + 1), max(len(means) - 1, 0), ""
    if smaller < needed:
        why = f"the {model} needs {needed} sizes below the largest to be fitted to, and {smaller} were measured"
    elif curve.relative and means.min() <= 0:
        why = f"the {model} needs values above 0, and one of {figure(float(means.min()))} was measured"
    if why:
        size, measured = (int(known[-1]), float(means[-1])) if len(known) else (None, None)
        held_out = {"size": size, "predicted": None, "interval": None, "measured": measured, "error": None}
        return {"model": model, "held_out": held_out, "abstained": True, "reason": why, "at": [], "interval_kind": None}
    if curve.relative:
        drawn = drawn[(drawn > 0).all(1)]
    if not len(drawn) or not (np.ptp(drawn, axis=0) > ROUNDING * np.abs(drawn).max(0)).any():
        drawn = drawn[:0]  # all equal but for rounding: nothing was resampled
    (held,) = _predicted(curve, known[:-1], means[:-1], drawn[:, :-1], known[-1:])
    errors = np.empty(0)
    if len(drawn) and not curve.relative:
        errors = curve.fit(known[:-1], drawn[:, :-1], known[-1:])[:, 0] - drawn[:, -1]
    return checked(
        model,
        held,
        measured=float(means[-1]),
        fitted=known[:-1].astype(int).tolist(),
        at=_predicted(curve, known, means, drawn, np.asarray(targets, dtype=np.float64)),
        bounds=bounds,
        relative=curve.relative,
        scatter=_scatter(curve, known, means),
        interval_kind=(WITH_SCATTER if curve.relative else RESAMPLED) if len(drawn) else SIZES_ONLY,
        errors=errors,
    )


def checked(
    model: str,
    held_out: Predicted,
    *,
    measured: float,
    fitted: Sequence[int],
    at: Sequence[Predicted],
    bounds: tuple[float, float],
    relative: bool = False,
    scatter: float = 0.0,
    interval_kind: str = RESAMPLED,
    errors: ArrayLike = (),
) -> dict[str, Any]:
    """Judge a model by what it said of the largest size when shown only the sizes `fitted`; widen what it says beyond.

    `scatter` is the residuals' standard deviation, a share of the value where errors are `relative`. `errors` are
    predicted minus measured of every replicate: the questions are the same on both sides, so this interval is the
    sharper test. A model that errs beyond chance there, and by more than MATERIAL of the value, abstains too. The
    answer is that of `forecast`.
    """
    value, low, high = np.clip([held_out.value, *held_out.interval], *bounds).tolist()
    held = {"size": held_out.size, "predicted": value, "interval": [low, high], "measured": measured}
    error, paired = value - measured, interval(np.asarray(errors, dtype=np.float64))
    held |= {"error": error, "error_interval": None if paired is None else list(paired)}
    answer = {"model": model, "interval_kind": interval_kind, "held_out": held}
    slack = ROUNDING * abs(measured)
    predicted = f"predicted {figure(value)}"
    if not low - slack <= measured <= high + slack:
        span = f"[{figure(low)}, {figure(high)}]"
        reason = f"{predicted} {span} for {held_out.size:,}, measured {figure(measured)}"
        return {**answer, "abstained": True, "reason": reason, "at": []}
    if paired is not None and not paired[0] <= 0 <= paired[1] and abs(error) > MATERIAL * abs(measured):
        off = f"{error:+.3g} [{paired[0]:+.3g}, {paired[1]:+.3g}]"
        reason = f"{predicted} for {held_out.size:,}, measured {figure(measured)}: off by {off}"
        return {**answer, "abstained": True, "reason": reason, "at": []}
    unit = abs(measured) if relative and measured else 1.0
    step = max(abs(error) / unit, scatter)
    widened, outside = [], []
    for point in at:
        if not bounds[0] <= point.value <= bounds[1]:
            outside.append(f"{point.size:,}")
            continue
        # How many held-out steps the target lies beyond the data, in ln n; 0 within.
        reach = max(0.0, float(np.log(point.size / held_out.size) / np.log(held_out.size / fitted[-1])))
        scale = abs(point.value) / unit if relative else 1.0
        more, least = step * unit * scale * reach, [scale * abs(end - held_out.value) for end in held_out.interval]
        down, up = (max(abs(end - point.value), floor) for end, floor in zip(point.interval, least, strict=True))
        ends = np.clip([point.value - down - more, point.value + up + more], *bounds).tolist()
        widened.append({"size": point.size, "value": point.value, "interval": ends})
    reason = ""
    if outside:
        reason = f"no value for {', '.join(outside)}: there the curve has left the range {bounds[0]:g} to {bounds[1]:g}"
    return {**answer, "abstained": not widened and bool(reason), "reason": reason, "at": widened}


def figure(value: float) -> str:
    """Three digits or more: 0.331, 12.4, 1,234."""
    size = abs(value)
    if size >= 10:
        return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.1 else f"{value:.3g}"


def _predicted(curve: Model, sizes: Array, points: Array, resampled: Array, at: Array) -> list[Predicted]:
    """Refit and ask; halves of the interval from several causes add in quadrature."""
    values = curve.fit(sizes, points[None], at)[0]
    spans = [np.quantile(curve.fit(sizes, resampled, at), ENDS, axis=0)] if len(resampled) else []
    scatter = np.zeros_like(values)
    if curve.relative or not len(resampled):
        # Lowest and highest prediction of the fits that each leave out one size.
        left = [curve.fit(np.delete(sizes, i), np.delete(points, i)[None], at)[0] for i in range(len(sizes))]
        spans.append(np.array([np.min(left, axis=0), np.max(left, axis=0)]))
        free = max(len(sizes) - curve.parameters, 1)
        margin = float(special.stdtrit(free, ENDS[1])) * _scatter(curve, sizes, points)
        scatter = max(margin, RESOLUTION) * values if curve.relative else scatter + margin
    down = np.sqrt(sum((np.maximum(values - span[0], 0) ** 2 for span in spans), scatter**2))
    up = np.sqrt(sum((np.maximum(span[1] - values, 0) ** 2 for span in spans), scatter**2))
    rows = zip(at.tolist(), values.tolist(), (values - down).tolist(), (values + up).tolist(), strict=True)
    return [Predicted(int(size), value, (low, high)) for size, value, low, high in rows]


def _scatter(curve: Model, sizes: Array, points: Array) -> float:
    """Standard deviation of the residuals; relative to the points where the model's errors are."""
    residuals = points - curve.fit(sizes, points[None], sizes)[0]
    scaled = residuals / points if curve.relative else residuals
    return float(np.sqrt((scaled**2).sum() / max(len(sizes) - curve.parameters, 1)))
