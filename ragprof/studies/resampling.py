"""What a mean over queries and orders is worth: both resampled, each on its own. Reads no file and fits no model.

Queries and orders are crossed (each query is asked in each order), so a replicate draws queries with replacement and,
apart from them, orders with replacement; a value weighs the product of both counts. Owen, The pigeonhole bootstrap,
Annals of Applied Statistics 1(2), 2007, 386-411: the variance comes out right to slightly too large; none is exact.
One Weights is made for one report, so that a replicate draws the same queries in every cell of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragprof.errors import BadInput
from ragprof.statistics import CONFIDENCE

REPLICATES = 1_000
ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """How often each replicate drew what: queries (replicates, queries) and orders (replicates, orders)."""

    queries: Array
    orders: Array


def weights(queries: int, orders: int, *, replicates: int = REPLICATES, seed: int) -> Weights:
    """Seeded counts. The queries drawn do not depend on the number of orders, nor the orders on that of the queries."""
    if min(queries, orders, replicates) < 1:
        raise BadInput(f"nothing to resample: {queries} queries, {orders} orders, {replicates} replicates")
    streams = np.random.default_rng(seed).spawn(2)
    return Weights(*(_counts(rng, n, replicates) for rng, n in zip(streams, (queries, orders), strict=True)))


def mean_of(values: ArrayLike) -> Array:
    """(orders, queries, metrics) -> mean over the cells that hold a value, (metrics,); NaN where none does."""
    cells = _cells(values)
    known = ~np.isnan(cells)
    return _ratio(np.where(known, cells, 0.0).sum((0, 1)), known.sum((0, 1)))


def replicates_of(values: ArrayLike, drawn: Weights) -> Array:
    """(orders, queries, metrics), or (orders, queries) for one metric -> resampled means, (replicates, metrics).

    NaN is a query to which the metric does not apply in that order: it takes no part. A replicate that drew no value
    at all is NaN. Values with a single row of orders hold for each order, as those of the whole corpus do.
    """
    cells = _cells(values)
    _fitting(cells, drawn)
    known = ~np.isnan(cells)
    if known.all():
        return _drawn_sums(cells, drawn) / _drawn_sums(np.ones((len(cells), cells.shape[1], 1)), drawn)
    return _ratio(_drawn_sums(np.where(known, cells, 0.0), drawn), _drawn_sums(known.astype(np.float64), drawn))


def estimate(values: ArrayLike, drawn: Weights) -> dict[str, Any]:
    """One metric, (orders, queries) -> {"mean", "interval", "n"}; `n` counts the queries that have any value."""
    return estimates(values, drawn)[0]


def estimates(values: ArrayLike, drawn: Weights) -> list[dict[str, Any]]:
    """(orders, queries, metrics) -> an estimate for each metric, from one pass over the weights.

    The interval is the percentile one; None below two queries, and a single point where all values are equal.
    """
    cells = _cells(values)
    known = ~np.isnan(cells)
    counts = known.any(0).sum(0).tolist()
    means = mean_of(cells)
    intervals = _intervals(replicates_of(cells, drawn))
    lows, highs = np.where(known, cells, np.inf).min((0, 1)), np.where(known, cells, -np.inf).max((0, 1))
    return [
        _estimate(float(mean), [low, low] if low == high else interval, n)
        for mean, interval, n, low, high in zip(
            means, intervals.tolist(), counts, lows.tolist(), highs.tolist(), strict=True
        )
    ]


def _estimate(mean: float, interval: list[float], n: int) -> dict[str, Any]:
    if n == 0:
        return {"mean": None, "interval": None, "n": 0}
    if n > 1 and interval[0] == interval[1]:
        return {"mean": interval[0], "interval": interval, "n": n}
    return {"mean": mean, "interval": interval if n > 1 else None, "n": n}


def _intervals(replicates: Array) -> Array:
    """(replicates, metrics) -> ends (metrics, 2), over the replicates that have a value; NaN where none has."""
    if not np.isnan(replicates).any():
        return np.quantile(replicates, ENDS, axis=0).T
    columns = [column[~np.isnan(column)] for column in replicates.T]
    return np.array([np.quantile(column, ENDS) if column.size else (np.nan, np.nan) for column in columns])


def _counts(rng: np.random.Generator, of: int, replicates: int) -> Array:
    return rng.multinomial(of, np.full(of, 1 / of), size=replicates).astype(np.float64)


def _cells(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (2, 3):
        raise BadInput(f"values have the shape (orders, queries) or (orders, queries, metrics), not {array.shape}")
    return array if array.ndim == 3 else array[:, :, None]


def _fitting(cells: Array, drawn: Weights) -> None:
    orders, queries = drawn.orders.shape[1], drawn.queries.shape[1]
    if cells.shape[1] != queries or len(cells) not in (1, orders):
        raise BadInput(
            f"values of {len(cells)} orders and {cells.shape[1]} queries do not fit weights of {orders} orders and "
            f"{queries} queries; give one row for each order, or a single one where the orders are equal"
        )


def _drawn_sums(cells: Array, drawn: Weights) -> Array:
    """Sum over orders and queries, each weighed by its count: (replicates, metrics)."""
    orders, queries, metrics = cells.shape
    by_order = drawn.queries @ cells.transpose(1, 0, 2).reshape(queries, orders * metrics)
    if orders == 1:
        return np.asarray(by_order * drawn.orders.shape[1])
    return np.asarray(np.einsum("ro,rom->rm", drawn.orders, by_order.reshape(-1, orders, metrics)))


def _ratio(sums: Array, counts: ArrayLike) -> Array:
    found = np.asarray(counts, dtype=np.float64)
    return np.asarray(np.divide(sums, found, out=np.full(np.shape(sums), np.nan), where=found > 0))
