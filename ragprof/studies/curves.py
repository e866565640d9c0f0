"""The two families of curves that figures are extrapolated by, fitted to many rows at once. Judges no fit.

- "log-linear": value = a + b ln n, ordinary least squares.
- "power law": value = c + a n^b with c, a >= 0 and b on a grid of 0 .. 1.5, least squares of the relative errors; flat
  unless the rise beats the scatter about a constant (F test at 5 %, scatter taken as 1 % at least).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ragprof.errors import UnknownName
from ragprof.statistics import CONFIDENCE

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


def named(name: str) -> Model:
    if name not in MODELS:
        raise UnknownName("model of growth", name, MODELS)
    return MODELS[name]


def _power_law(sizes: Array, rows: Array, at: Array) -> Array:
    weight = rows**-2.0
    powers = (sizes / sizes[-1])[:, None] ** EXPONENTS
    constant, factor, loss = _two_parameters(weight, weight * rows, powers)
    best = loss.argmin(1)
    each = np.arange(len(rows))
    curve = constant[each, best, None] + factor[each, best, None] * (at / sizes[-1]) ** EXPONENTS[best, None]
    flat = ((weight * rows).sum(1) / weight.sum(1))[:, None]
    rises = _rises((weight * (rows - flat) ** 2).sum(1), loss[each, best], len(sizes))
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


def _rises(flat: Array, curved: Array, count: int) -> NDArray[np.bool_]:
    """F test of two more parameters, where the residuals' variance is not believed below RESOLUTION squared."""
    free = max(count - 3, 1)
    variance = np.maximum(np.maximum(curved, 0.0) / free, RESOLUTION**2)
    return np.asarray((flat - curved) / 2 > stats.f.ppf(CONFIDENCE, 2, free) * variance)
