"""A figure beyond the largest corpus measured, or the reason why there is none. Extrapolates means; asks no pipeline.

What a stage does says how its figure grows with the corpus of n passages; the figures only say how fast.

- "constant": c. Embedding a query, reranking so many candidates, answering.
- "linear": c + a n. An exact scan, the postings of BM25, the vectors of an index.
- "logarithmic": c + a ln (n / smallest). A search through a graph (HNSW); fetching the few texts of a prompt.
- "power law": c + a n^b with b on a grid of 0 .. 1.5, for a store of which nothing is known; flat unless the rise beats
  the scatter about a constant (F test at 5 %, scatter taken as 1 % at least).
- "log-linear": a + b ln n, ordinary least squares, for quality and tokens, which no theory bounds more closely.
- "sum of parts": money, each part by the model of what it pays for.

All but the log-linear are fitted by least squares of the relative errors with c, a >= 0, so that they never fall. A
value below what the largest corpus took already is raised to that where the model rises.

Every forecast is first made from all sizes but the largest, for the largest, and from all but the two largest, for the
second largest, where enough are left. Where a measured value lies outside of the interval predicted for it, it
abstains (`checked`).

Intervals resample queries and orders. Timings vary from run to run besides, and nothing is resampled of index bytes: so
the interval of a model of relative errors takes in the residuals about the curve, by the formula for the prediction of
a new observation (Draper and Smith, Applied Regression Analysis, 1998, section 3.1; Student's t, residuals taken as 1 %
at least), in a power law with the range of the fits without one size each in place of the curve's own uncertainty.

Beyond the data a curve may be wrong, which no resampling shows. So the interval at m, beyond the largest size n, is at
least as wide as the one held out. Where the curve is not known from what the stage does (log-linear, power law), it is
then wider on both sides by
    max(held-out error, standard deviation of the residuals) * ln(m / n) / ln(n / the size before n)
with errors and widths relative to the value but in the log-linear model. An interval that is wider than the value
itself and than what was measured says nothing: there is no forecast for that size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragprof.core.errors import BadInput, UnknownName
from ragprof.statistics.draws import ENDS, interval
from ragprof.statistics.unseen import CONFIDENCE

CONSTANT, LINEAR, LOGARITHMIC = "constant", "linear", "logarithmic"
LOG_LINEAR, POWER_LAW, SUM_OF_PARTS = "log-linear", "power law", "sum of parts"
EXPONENTS = np.linspace(0.0, 1.5, 151)
BLOCK = 64
RESOLUTION = 0.01
"""Relative error below which no timing, size or bill is taken to be known."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """A family of curves: `fit(sizes, rows, at)` is (rows, at), fitted to rows of (rows, sizes).

    `basis(sizes, at)` is what the factor of a curve c + a g(n) is multiplied by; None for the other curves.
    """

    name: str
    parameters: int
    relative: bool
    fit: Callable[[Array, Array, Array], Array]
    basis: Callable[[Array, Array], Array] | None = None


def log_linear(sizes: Array, rows: Array, at: Array) -> Array:
    """a + b ln n by ordinary least squares, for each row at once."""
    centre = np.log(sizes).mean()
    logs = np.log(sizes) - centre
    slopes = rows @ logs / (logs @ logs)
    return np.asarray(rows.mean(1)[:, None] + slopes[:, None] * (np.log(at) - centre))


def constant(_sizes: Array, rows: Array, at: Array) -> Array:
    """The same at every size, by least squares of the relative errors."""
    weight = rows**-2.0
    level = (weight * rows).sum(1) / weight.sum(1)
    return np.asarray(np.repeat(level[:, None], len(at), axis=1))


def share(sizes: Array, at: Array) -> Array:
    """The basis of the linear model: n as a share of the largest size."""
    return np.asarray(at / sizes[-1])


def doublings(sizes: Array, at: Array) -> Array:
    """The basis of the logarithmic model, 0 at the smallest size."""
    return np.asarray(np.log(at / sizes[0]))


def rising(basis: Callable[[Array, Array], Array]) -> Callable[[Array, Array, Array], Array]:
    """Fits c + a g(n) with c, a >= 0 to each row, by least squares of the relative errors."""

    def fit(sizes: Array, rows: Array, at: Array) -> Array:
        weight = rows**-2.0
        found, factor, _ = _two_parameters(weight, weight * rows, basis(sizes, sizes)[:, None])
        return np.asarray(found + factor * basis(sizes, at))

    return fit


def power_law(sizes: Array, rows: Array, at: Array) -> Array:
    """c + a n^b, c and a >= 0, weights 1 / value^2: in closed form for each exponent, the best one for each row."""
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    return np.concatenate([_power_law(sizes, block, at) for block in blocks])


MODELS: Mapping[str, Model] = {
    CONSTANT: Model(CONSTANT, 1, True, constant),
    LINEAR: Model(LINEAR, 2, True, rising(share), share),
    LOGARITHMIC: Model(LOGARITHMIC, 2, True, rising(doublings), doublings),
    LOG_LINEAR: Model(LOG_LINEAR, 2, False, log_linear),
    POWER_LAW: Model(POWER_LAW, 3, True, power_law),
}


@dataclass(frozen=True, slots=True)
class Addend:
    """One part of a figure: its model, its means (sizes,), and the same resampled (replicates, sizes)."""

    model: str
    means: Array
    replicates: Array


def _power_law(sizes: Array, rows: Array, at: Array) -> Array:
    from scipy import special

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
WITH_SCATTER = "queries and orders, residuals about the curve"
SIZES_ONLY = "residuals about the curve"
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
    """The forecast of a figure that is one part: `points` (sizes,) and `replicates` (replicates, sizes)."""
    part = Addend(model, np.asarray(points, dtype=np.float64), np.asarray(replicates, dtype=np.float64))
    return forecast_sum(sizes, [part], targets=targets, bounds=bounds)


def forecast_sum(
    sizes: Sequence[int], parts: Sequence[Addend], *, targets: Sequence[int], bounds: tuple[float, float]
) -> dict[str, Any]:
    """{"model", "held_out", "held_out_before", "abstained", "reason", "at", "interval_kind"}; `at` is empty where it
    abstains.

    The parts' replicates are resampled jointly; NaN is a size without a measurement, which is left out. Intervals are
    held to `bounds`, and a target at which the curve itself has left them is left out of `at`, which `reason` says.
    """
    for part in parts:
        if part.model not in MODELS:
            raise UnknownName("model of growth", part.model, MODELS)
    curves, name = [MODELS[part.model] for part in parts], parts[0].model if len(parts) == 1 else SUM_OF_PARTS
    known = np.asarray(sizes, dtype=np.float64)
    for part in parts:
        if part.means.shape != known.shape or part.replicates.ndim != 2 or part.replicates.shape[1:] != known.shape:
            raise BadInput(
                f"a forecast needs one mean per size and replicates (replicates, sizes); found {known.size} sizes, "
                f"means {part.means.shape}, replicates {part.replicates.shape}"
            )
    if known.size == 0 or known[0] < 1 or (np.diff(known) <= 0).any():
        raise BadInput(f"sizes of a forecast rise and are above 0; found {list(sizes)}")
    means, drawn = np.stack([part.means for part in parts]), np.stack([part.replicates for part in parts])
    kept = np.isfinite(means).all(0)
    known, means, drawn = known[kept], means[:, kept], drawn[:, :, kept]
    drawn = drawn[:, np.isfinite(drawn).all((0, 2))]
    relative = np.array([curve.relative for curve in curves])
    needed, why = max(3, *(curve.parameters + 1 for curve in curves)), ""
    if len(known) - 1 < needed:
        smaller = max(len(known) - 1, 0)
        why = f"the {name} needs {needed} sizes below the largest to be fitted to, and {smaller} were measured"
    elif relative.any() and means[relative].min() <= 0:
        least = figure(float(means[relative].min()))
        why = f"the {name} needs values above 0, and one of {least} was measured"
    if why:
        size, measured = (int(known[-1]), float(means[:, -1].sum())) if len(known) else (None, None)
        held_out = {"size": size, "predicted": None, "interval": None, "measured": measured, "error": None}
        return {"model": name, "held_out": held_out, "abstained": True, "reason": why, "at": [], "interval_kind": None}
    drawn = drawn[:, (drawn[relative] > 0).all((0, 2))]
    total = drawn.sum(0)
    if not len(total) or not (np.ptp(total, axis=0) > ROUNDING * np.abs(total).max(0)).any():
        drawn = drawn[:, :0]  # all equal but for rounding: nothing was resampled
    held = []
    for last in range(len(known) - 1, max(needed - 1, len(known) - 3), -1):
        (predicted,) = _predicted(curves, known[:last], means[:, :last], drawn[:, :, :last], known[last : last + 1])
        errors = np.empty(0)
        if drawn.shape[1] and not relative.any():
            fitted = curves[0].fit(known[:last], drawn[0, :, :last], known[last : last + 1])[:, 0]
            errors = fitted - drawn[0, :, last]
        held.append(Held(predicted, float(means[:, last].sum()), int(known[last - 1]), errors))
    some = bool(drawn.shape[1])
    return checked(
        name,
        held,
        at=_predicted(curves, known, means, drawn, np.asarray(targets, dtype=np.float64)),
        bounds=bounds,
        relative=bool(relative.any()),
        scatter=_scatter(curves, known, means),
        is_known=all(curve.basis or curve.name == CONSTANT for curve in curves),
        interval_kind=(WITH_SCATTER if relative.any() else RESAMPLED) if some else SIZES_ONLY,
    )


@dataclass(frozen=True, slots=True)
class Held:
    """What a model that was shown only the sizes up to `fitted` said of a larger measured one.

    `errors` are predicted minus measured of every replicate, where the questions are the same on both sides.
    """

    predicted: Predicted
    measured: float
    fitted: int
    errors: ArrayLike = ()

    def line(self, bounds: tuple[float, float]) -> dict[str, Any]:
        """As summary.json has it."""
        value, low, high = np.clip([self.predicted.value, *self.predicted.interval], *bounds).tolist()
        paired = interval(np.asarray(self.errors, dtype=np.float64))
        return {
            "size": self.predicted.size,
            "predicted": value,
            "interval": [low, high],
            "measured": self.measured,
            "error": value - self.measured,
            "error_interval": None if paired is None else list(paired),
        }


def missed(held: Mapping[str, Any]) -> str:
    """Why what was said of a held-out size is no reason to believe the model; empty where it is one."""
    (low, high), measured, error, paired = (held[key] for key in ("interval", "measured", "error", "error_interval"))
    predicted, slack = f"predicted {figure(held['predicted'])}", ROUNDING * abs(measured)
    if not low - slack <= measured <= high + slack:
        span = f"[{figure(low)}, {figure(high)}]"
        return f"{predicted} {span} for {held['size']:,}, measured {figure(measured)}"
    if paired is not None and not paired[0] <= 0 <= paired[1] and abs(error) > MATERIAL * abs(measured):
        off = f"{error:+.3g} [{paired[0]:+.3g}, {paired[1]:+.3g}]"
        return f"{predicted} for {held['size']:,}, measured {figure(measured)}: off by {off}"
    return ""


def checked(
    model: str,
    held: Sequence[Held],
    *,
    at: Sequence[Predicted],
    bounds: tuple[float, float],
    relative: bool = False,
    scatter: float = 0.0,
    is_known: bool = False,
    interval_kind: str = RESAMPLED,
) -> dict[str, Any]:
    """Judge a model by what it said of the largest size and of the one before; widen what it says beyond.

    `held` is of the largest size first. `scatter` is the residuals' standard deviation, a share of the value where
    errors are `relative`; the curve `is_known` where it follows from what the stage does. Where questions are the same
    on both sides the error has an interval of its own, the sharper test: a model that errs beyond chance, and by more
    than MATERIAL of the value, abstains too. The answer is that of `forecast`.
    """
    lines = [one.line(bounds) for one in held]
    answer = {
        "model": model,
        "interval_kind": interval_kind,
        "held_out": lines[0],
        "held_out_before": lines[1] if len(lines) > 1 else None,
    }
    for line in lines:
        if reason := missed(line):
            return {**answer, "abstained": True, "reason": reason, "at": []}
    largest, measured = held[0].predicted, held[0].measured
    unit = abs(measured) if relative and measured else 1.0
    shares = [abs(line["error"]) / (abs(line["measured"]) or 1.0 if relative else 1.0) for line in lines]
    step = 0.0 if is_known else max(*shares, scatter)
    given, outside, vague = [], [], []
    for point in at:
        if not bounds[0] <= point.value <= bounds[1]:
            outside.append(f"{point.size:,}")
            continue
        # How many held-out steps the target lies beyond the data, in ln n; 0 within.
        reach = max(0.0, float(np.log(point.size / largest.size) / np.log(largest.size / held[0].fitted)))
        scale = abs(point.value) / unit if relative else 1.0
        more, least = step * unit * scale * reach, [scale * abs(end - largest.value) for end in largest.interval]
        down, up = (max(abs(end - point.value), floor) for end, floor in zip(point.interval, least, strict=True))
        ends = np.clip([point.value - down - more, point.value + up + more], *bounds).tolist()
        if ends[1] - ends[0] > max(abs(point.value), abs(measured)):
            vague.append(f"{point.size:,}")
        else:
            given.append({"size": point.size, "value": point.value, "interval": ends})
    reasons = []
    if outside:
        reasons.append(f"{', '.join(outside)}: there the curve has left the range {bounds[0]:g} to {bounds[1]:g}")
    if vague:
        reasons.append(f"{', '.join(vague)}: the interval is wider than the value and than what was measured")
    reason = f"no value for {'; none for '.join(reasons)}" if reasons else ""
    return {**answer, "abstained": not given and bool(reason), "reason": reason, "at": given}


def figure(value: float) -> str:
    """Three digits or more: 0.331, 12.4, 1,234."""
    size = abs(value)
    if size >= 10:
        return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.1 else f"{value:.3g}"


def _predicted(curves: Sequence[Model], sizes: Array, means: Array, drawn: Array, at: Array) -> list[Predicted]:
    """Refit each part and ask; sum. Halves of the interval from several causes add in quadrature."""
    values, spans, scatter = np.zeros(len(at)), [], np.zeros(len(at))
    for curve, points in zip(curves, means, strict=True):
        asked = curve.fit(sizes, points[None], at)[0]
        if curve.relative or not drawn.shape[1]:
            scatter = scatter + _margin(curve, sizes, points, at, asked) ** 2
        # A figure that rises is not forecast below what was measured of it already.
        values += np.maximum(asked, np.where(at > sizes[-1], points[-1], 0.0)) if curve.basis else asked
        if curve.name == POWER_LAW or not (curve.relative or drawn.shape[1]):
            # Lowest and highest prediction of the fits that each leave out one size.
            left = [curve.fit(np.delete(sizes, i), np.delete(points, i)[None], at)[0] for i in range(len(sizes))]
            spans.append(np.array([np.min(left, axis=0), np.max(left, axis=0)]) - asked)
    if drawn.shape[1]:
        total = sum(curve.fit(sizes, rows, at) for curve, rows in zip(curves, drawn, strict=True))
        middle = sum(curve.fit(sizes, points[None], at)[0] for curve, points in zip(curves, means, strict=True))
        spans.append(np.quantile(total, ENDS, axis=0) - middle)
    down = np.sqrt(sum((np.maximum(-span[0], 0) ** 2 for span in spans), scatter))
    up = np.sqrt(sum((np.maximum(span[1], 0) ** 2 for span in spans), scatter))
    rows_ = zip(at.tolist(), values.tolist(), (values - down).tolist(), (values + up).tolist(), strict=True)
    return [Predicted(int(size), value, (low, high)) for size, value, low, high in rows_]


def _margin(curve: Model, sizes: Array, points: Array, at: Array, values: Array) -> Array:
    """Half the width that the residuals give to the prediction of a new observation at each size."""
    from scipy import special

    free = max(len(sizes) - curve.parameters, 1)
    student, scatter = float(special.stdtrit(free, ENDS[1])), _scatter([curve], sizes, points[None])
    if not curve.relative:
        return np.full(len(at), student * scatter)
    if curve.name == POWER_LAW:
        return np.asarray(max(student * scatter, RESOLUTION) * values)
    rows = [np.ones(len(sizes))] + ([curve.basis(sizes, sizes)] if curve.basis else [])
    asked = [np.ones(len(at))] + ([curve.basis(sizes, at)] if curve.basis else [])
    design, there = np.stack(rows, axis=1) / points[:, None], np.stack(asked, axis=1)
    own = np.einsum("ij,jk,ik->i", there, np.linalg.pinv(design.T @ design), there)
    return np.asarray(np.maximum(student * scatter * np.sqrt(own + values**2), RESOLUTION * values))


def _scatter(curves: Sequence[Model], sizes: Array, means: Array) -> float:
    """Standard deviation of the residuals of the sum; relative to the points where the models' errors are."""
    points = means.sum(0)
    residuals = points - sum(curve.fit(sizes, each[None], sizes)[0] for curve, each in zip(curves, means, strict=True))
    scaled = residuals / points if any(curve.relative for curve in curves) else residuals
    free = max(len(sizes) - max(curve.parameters for curve in curves), 1)
    return float(np.sqrt((scaled**2).sum() / free))
