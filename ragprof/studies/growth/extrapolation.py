"""A figure beyond the largest corpus measured, or the reason why there is none. Extrapolates means; asks no pipeline.

Every forecast is first made from all sizes but the largest, for the largest: where the measured value lies outside of
the interval predicted for it, it abstains (`checked`). `studies.curves` are fitted; `checked` serves any other model.

Intervals resample queries and orders. Where these do not make the figure (index bytes), and in a power law, whose
timings also vary from run to run, the interval takes in the range of the fits without one size each and the residuals
about the curve (Student's t times their standard deviation; in a power law at least 1 % of the value).

Beyond the data the curve itself may be wrong, which no resampling shows. So the interval at m, beyond the largest size
n, is at least as wide as the one held out, and then wider on both sides by
    max(held-out error, standard deviation of the residuals) * ln(m / n) / ln(n / the size before n)
In a power law errors and widths are relative to the value.

The two families of curves that figures are extrapolated by, fitted to many rows at once. Judges no fit.

- "log-linear": value = a + b ln n, ordinary least squares.
- "power law": value = c + a n^b with c, a >= 0 and b on a grid of 0 .. 1.5, least squares of the relative errors; flat
  unless the rise beats the scatter about a constant (F test at 5 %, scatter taken as 1 % at least).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ragprof.core.errors import BadInput, UnknownName
from ragprof.statistics.draws import CONFIDENCE, ENDS, interval

LOG_LINEAR, POWER_LAW = "log-linear", "power law"
EXPONENTS = np.linspace(0.0, 1.5, 151)
BLOCK = 64
RESOLUTION = 0.01
"""Relative error below which no timing, size or bill is taken to be known."""
CurvesArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """A family of curves: `fit(sizes, rows, at)` is (rows, at), fitted to rows of (rows, sizes)."""

    name: str
    parameters: int
    relative: bool
    fit: Callable[[CurvesArray, CurvesArray, CurvesArray], CurvesArray]


def log_linear(sizes: CurvesArray, rows: CurvesArray, at: CurvesArray) -> CurvesArray:
    """a + b ln n by ordinary least squares, for each row at once."""
    centre = np.log(sizes).mean()
    logs = np.log(sizes) - centre
    slopes = rows @ logs / (logs @ logs)
    return np.asarray(rows.mean(1)[:, None] + slopes[:, None] * (np.log(at) - centre))


def power_law(sizes: CurvesArray, rows: CurvesArray, at: CurvesArray) -> CurvesArray:
    """c + a n^b, c and a >= 0, weights 1 / value^2: in closed form for each exponent, the best one for each row."""
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    return np.concatenate([_power_law(sizes, block, at) for block in blocks])


MODELS: Mapping[str, Model] = {
    LOG_LINEAR: Model(LOG_LINEAR, 2, False, log_linear),
    POWER_LAW: Model(POWER_LAW, 3, True, power_law),
}


def named(name: str) -> Model:
    if name not in MODELS:
        raise UnknownName("model of growth", name, MODELS)
    return MODELS[name]


def _power_law(sizes: CurvesArray, rows: CurvesArray, at: CurvesArray) -> CurvesArray:
    weight = rows**-2.0
    powers = (sizes / sizes[-1])[:, None] ** EXPONENTS
    constant, factor, loss = _two_parameters(weight, weight * rows, powers)
    best = loss.argmin(1)
    each = np.arange(len(rows))
    curve = constant[each, best, None] + factor[each, best, None] * (at / sizes[-1]) ** EXPONENTS[best, None]
    flat = ((weight * rows).sum(1) / weight.sum(1))[:, None]
    rises = _rises((weight * (rows - flat) ** 2).sum(1), loss[each, best], len(sizes))
    return np.asarray(np.where(rises[:, None], curve, flat))


def _two_parameters(
    weight: CurvesArray, weighted: CurvesArray, powers: CurvesArray
) -> tuple[CurvesArray, CurvesArray, CurvesArray]:
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


def _rises(flat: CurvesArray, curved: CurvesArray, count: int) -> NDArray[np.bool_]:
    """F test of two more parameters, where the residuals' variance is not believed below RESOLUTION squared."""
    free = max(count - 3, 1)
    variance = np.maximum(np.maximum(curved, 0.0) / free, RESOLUTION**2)
    return np.asarray((flat - curved) / 2 > stats.f.ppf(CONFIDENCE, 2, free) * variance)


RESAMPLED = "queries and orders"
WITH_SCATTER = "queries and orders, fits without one size each, residuals about the curve"
SIZES_ONLY = "fits without one size each, residuals about the curve"
ROUNDING = 1e-9
MATERIAL = 0.05
"""The share of a value up to which an error at the held-out size does not matter, however sure it is."""
Array = NDArray[np.float64]


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
    curve = named(model)
    known, means, drawn = _measured(sizes, points, replicates)
    why = _unfit(curve, means)
    if why:
        return _abstained(curve.name, known, means, reason=why)
    resampled = _varied(drawn[(drawn > 0).all(1)] if curve.relative else drawn)
    (held,) = _predicted(curve, known[:-1], means[:-1], resampled[:, :-1], known[-1:])
    found = _predicted(curve, known, means, resampled, np.asarray(targets, dtype=np.float64))
    return checked(
        curve.name, held, measured=float(means[-1]), fitted=known[:-1].astype(int).tolist(), at=found, bounds=bounds,
        relative=curve.relative, scatter=_scatter(curve, known, means), interval_kind=_kind(curve, resampled),
        errors=np.empty(0) if curve.relative else _errors(curve, known, resampled),
    )  # fmt: skip


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
    error, paired = value - measured, _paired(errors)
    held = {**held, "error": error, "error_interval": paired}
    answer = {"model": model, "interval_kind": interval_kind, "held_out": held}
    slack = ROUNDING * abs(measured)
    if not low - slack <= measured <= high + slack:
        interval = f"[{figure(low)}, {figure(high)}]"
        reason = f"predicted {figure(value)} {interval} for {held_out.size:,}, measured {figure(measured)}"
        return {**answer, "abstained": True, "reason": reason, "at": []}
    if paired is not None and not paired[0] <= 0 <= paired[1] and abs(error) > MATERIAL * abs(measured):
        off = f"{error:+.3g} [{paired[0]:+.3g}, {paired[1]:+.3g}]"
        reason = f"predicted {figure(value)} for {held_out.size:,}, measured {figure(measured)}: off by {off}"
        return {**answer, "abstained": True, "reason": reason, "at": []}
    unit = abs(measured) if relative and measured else 1.0
    step = max(abs(error) / unit, scatter)
    inside = [point for point in at if bounds[0] <= point.value <= bounds[1]]
    widened = []
    for point in inside:
        scale = abs(point.value) / unit if relative else 1.0
        more = step * unit * scale * _reach(fitted[-1], held_out.size, point.size)
        widened.append(_widened(point, held_out, scale=scale, more=more, bounds=bounds))
    reason = _left_out([point.size for point in at if point not in inside], bounds)
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
        spans.append(_without_one(curve, sizes, points, at))
        scatter = _margin(curve, sizes, points) * (values if curve.relative else 1.0)
    down = np.sqrt(sum((np.maximum(values - span[0], 0) ** 2 for span in spans), scatter**2))
    up = np.sqrt(sum((np.maximum(span[1] - values, 0) ** 2 for span in spans), scatter**2))
    rows = zip(at.tolist(), values.tolist(), (values - down).tolist(), (values + up).tolist(), strict=True)
    return [Predicted(int(size), value, (low, high)) for size, value, low, high in rows]


def _errors(curve: Model, sizes: Array, resampled: Array) -> Array:
    """Predicted minus measured at the largest size, of each replicate."""
    if not len(resampled):
        return np.empty(0)
    return curve.fit(sizes[:-1], resampled[:, :-1], sizes[-1:])[:, 0] - resampled[:, -1]


def _paired(errors: ArrayLike) -> list[float] | None:
    """The interval of the error; None where nothing was resampled."""
    found = interval(np.asarray(errors, dtype=np.float64))
    return None if found is None else list(found)


def _without_one(curve: Model, sizes: Array, points: Array, at: Array) -> Array:
    """Lowest and highest prediction (2, at) of the fits that each leave out one size."""
    left = [curve.fit(np.delete(sizes, i), np.delete(points, i)[None], at)[0] for i in range(len(sizes))]
    return np.array([np.min(left, axis=0), np.max(left, axis=0)])


def _scatter(curve: Model, sizes: Array, points: Array) -> float:
    """Standard deviation of the residuals; relative to the points where the model's errors are."""
    residuals = points - curve.fit(sizes, points[None], sizes)[0]
    scaled = residuals / points if curve.relative else residuals
    return float(np.sqrt((scaled**2).sum() / max(len(sizes) - curve.parameters, 1)))


def _margin(curve: Model, sizes: Array, points: Array) -> float:
    free = max(len(sizes) - curve.parameters, 1)
    margin = float(stats.t.ppf(ENDS[1], free)) * _scatter(curve, sizes, points)
    return max(margin, RESOLUTION) if curve.relative else margin


def _reach(before: int, largest: int, target: int) -> float:
    """How many held-out steps a target lies beyond the data, in ln n; 0 within."""
    return max(0.0, float(np.log(target / largest) / np.log(largest / before)))


def _left_out(sizes: Sequence[int], bounds: tuple[float, float]) -> str:
    """Says at which targets the curve has left its bounds, where it says nothing any more."""
    if not sizes:
        return ""
    left = ", ".join(f"{size:,}" for size in sizes)
    return f"no value for {left}: there the curve has left the range {bounds[0]:g} to {bounds[1]:g}"


def _widened(
    point: Predicted, held_out: Predicted, *, scale: float, more: float, bounds: tuple[float, float]
) -> dict[str, Any]:
    """The interval, at least `scale` times as wide on each side as the one held out, and wider by `more`."""
    least = [scale * abs(end - held_out.value) for end in held_out.interval]
    down, up = (max(abs(end - point.value), floor) for end, floor in zip(point.interval, least, strict=True))
    low, high = np.clip([point.value - down - more, point.value + up + more], *bounds).tolist()
    return {"size": point.size, "value": point.value, "interval": [low, high]}


def _measured(sizes: Sequence[int], points: ArrayLike, replicates: ArrayLike) -> tuple[Array, Array, Array]:
    """Sizes, means and replicates without the sizes that were not measured and the replicates that drew nothing."""
    known, means = np.asarray(sizes, dtype=np.float64), np.asarray(points, dtype=np.float64)
    drawn = np.asarray(replicates, dtype=np.float64)
    if means.shape != known.shape or drawn.ndim != 2 or drawn.shape[1:] != known.shape:
        raise BadInput(
            f"a forecast needs one mean a size and replicates (replicates, sizes); found {known.size} sizes, "
            f"means {means.shape}, replicates {drawn.shape}"
        )
    if known.size == 0 or known[0] < 1 or (np.diff(known) <= 0).any():
        raise BadInput(f"sizes of a forecast rise and are above 0; found {list(sizes)}")
    kept = np.isfinite(means)
    drawn = drawn[:, kept]
    return known[kept], means[kept], drawn[np.isfinite(drawn).all(1)]


def _varied(drawn: Array) -> Array:
    """The replicates; none of them where they are all equal but for rounding."""
    varies = len(drawn) > 0 and (np.ptp(drawn, axis=0) > ROUNDING * np.abs(drawn).max(0)).any()
    return drawn if varies else drawn[:0]


def _unfit(curve: Model, means: Array) -> str:
    """Why this model cannot be fitted at all; empty where it can."""
    needed, smaller = max(3, curve.parameters + 1), max(len(means) - 1, 0)
    if smaller < needed:
        return f"the {curve.name} needs {needed} sizes below the largest to be fitted to, and {smaller} were measured"
    if curve.relative and means.min() <= 0:
        return f"the {curve.name} needs values above 0, and one of {figure(float(means.min()))} was measured"
    return ""


def _abstained(name: str, sizes: Array, means: Array, *, reason: str) -> dict[str, Any]:
    size, measured = (int(sizes[-1]), float(means[-1])) if len(sizes) else (None, None)
    held_out = {"size": size, "predicted": None, "interval": None, "measured": measured, "error": None}
    return {"model": name, "held_out": held_out, "abstained": True, "reason": reason, "at": [], "interval_kind": None}


def _kind(curve: Model, resampled: Array) -> str:
    return (WITH_SCATTER if curve.relative else RESAMPLED) if len(resampled) else SIZES_ONLY
