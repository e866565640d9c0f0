"""From which corpus size one ranking beats another, or that this cannot be told. Looks no further than was measured.

D(n) is the mean over orders and queries of candidate minus baseline, minus the bound. The crossing is the smallest size
from which D is above 0 at every larger measured size as well, by linear interpolation in the logarithm of the size. A
lead that is lost again at a larger size is none. Each replicate (the same queries and orders at every size) has its own
crossing, minus infinity where D is above 0 at all sizes and infinity where it is not at the largest; the interval is
the 95 % percentile interval of these. A status is stated only where the measured values and the whole interval agree:

- "from the smallest size": at most 2.5 % of the replicates cross anywhere; `size` and `interval` are None
- "crosses": both ends lie within the measured range, which is where `size` is given
- "not within the measured range": at most 2.5 % of the replicates are above the bound at the largest size; both None
- "undecided": anything else, and always below two queries with values. `size` is None; an end of `interval` that lies
  within the range is still given ([None, 5200]: by 5,200 at the latest), one outside it is None
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragprof.errors import BadInput
from ragprof.studies.resampling import ENDS, Weights, mean_of, replicates_of

FROM_THE_SMALLEST = "from the smallest size"
CROSSES = "crosses"
NOT_WITHIN = "not within the measured range"
UNDECIDED = "undecided"
Array = NDArray[np.float64]


def crossover(
    sizes: Sequence[int], candidate: ArrayLike, baseline: ArrayLike, *, bound: float, weights: Weights
) -> dict[str, Any]:
    """{"size", "interval", "status"} of two metrics (sizes, orders, queries), larger is better; NaN where it is n/a.

    A query counts at a size and in an order where both have a value; a size where none counts is left out.
    """
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64) - bound
    _fitting(sizes, differences)
    kept = ~np.isnan(differences).all((1, 2))
    cells = np.moveaxis(differences[kept], 0, 2)
    if not cells.size or (~np.isnan(cells)).any((0, 2)).sum() < 2:
        return _answer(None, None, UNDECIDED)
    logs = np.log(np.asarray(sizes, dtype=np.float64)[kept])
    (measured,) = crossings(logs, mean_of(cells)[None])
    drawn = replicates_of(cells, weights)
    return _stated(float(measured), crossings(logs, drawn[~np.isnan(drawn).any(1)]))


def crossings(logs: Array, differences: Array) -> Array:
    """(rows, sizes) differences at rising log sizes -> log size of each row's crossing, or an infinity."""
    below = differences <= 0
    last = below.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
    rows = np.arange(len(differences))
    after = np.minimum(last + 1, below.shape[1] - 1)
    low, high = differences[rows, last], differences[rows, after]
    way = np.divide(-low, high - low, out=np.zeros(len(rows)), where=high > low)
    found = logs[last] + way * (logs[after] - logs[last])
    found = np.where(below[:, -1], np.inf, found)
    return np.where(below.any(1), found, -np.inf)


def _stated(measured: float, drawn: Array) -> dict[str, Any]:
    if not drawn.size:
        return _answer(None, None, UNDECIDED)
    low = float(np.quantile(drawn, ENDS[0], method="lower"))
    high = float(np.quantile(drawn, ENDS[1], method="higher"))
    if measured == high == -np.inf:
        return _answer(None, None, FROM_THE_SMALLEST)
    if measured == low == np.inf:
        return _answer(None, None, NOT_WITHIN)
    if np.isfinite([low, high, measured]).all():
        return _answer(measured, [low, high], CROSSES)
    return _answer(None, [low, high] if np.isfinite([low, high]).any() else None, UNDECIDED)


def _answer(size: float | None, interval: list[float] | None, status: str) -> dict[str, Any]:
    """Log sizes as passages."""
    return {
        "size": None if size is None else round(float(np.exp(size))),
        "interval": None if interval is None else [_passages(end) for end in interval],
        "status": status,
    }


def _passages(log_size: float) -> int | None:
    return round(float(np.exp(log_size))) if np.isfinite(log_size) else None


def _fitting(sizes: Sequence[int], differences: Array) -> None:
    if differences.ndim != 3 or len(differences) != len(sizes):
        raise BadInput(
            f"a crossover needs values of the shape (sizes, orders, queries) with {len(sizes)} sizes, "
            f"not {differences.shape}"
        )
    if list(sizes) != sorted(set(sizes)) or min(sizes, default=0) < 1:
        raise BadInput(f"sizes of a crossover rise and are above 0; found {list(sizes)}")
