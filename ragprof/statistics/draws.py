"""One set of resamples for everything that is printed, and what figures made of several means are worth on it.

Resample r of n queries is row r of `default_rng(seed).integers(0, n, (resamples, n))`: the percentile bootstrap over
queries (Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13). The rows are nested, so the 2,000
of a report are the first of the 10,000 of a verdict, and they are those that `scipy.stats.bootstrap` draws.
Queries are numbered in the order of their ids: every figure of a recording rests on the same resampled queries, and a
ratio or a sum of means is computed resample by resample (section 10.6 there). Reads no file.

A quantity measured in several orders of the corpus resamples both: each query is asked in each order, so a resample
draws queries and, independently of them, orders, and a value is weighted by the product of both counts (Owen, The
pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007, 386-411). Its variance errs slightly upwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.core.errors import BadInput
from ragprof.statistics.unseen import CONFIDENCE, Bounds, all_equal, interval_of_equal

if TYPE_CHECKING:
    import pandas as pd


Array: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int32]
RESAMPLES = 2_000
VERDICT_RESAMPLES = 10_000
"""Where a decision hangs on which side of a bound an interval lies, its ends must not move with the seed."""
ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
BLOCK = 1_000


@dataclass(frozen=True)
class Draws:
    """How often each query was drawn, (1 + resamples, queries), in the order of `ids`; likewise each order.

    Row 0 draws everything once, so row 0 of whatever is computed on it is what was measured.
    """

    ids: tuple[str, ...]
    counts: Array
    orders: Array

    @classmethod
    def of(cls, ids: Sequence[str], *, seed: int, resamples: int = RESAMPLES, orders: int = 1) -> Draws:
        """Draw them. The order of `ids` does not decide which are drawn. Raises BadInput where there is nothing."""
        if not len(ids) or orders < 1:
            raise BadInput(f"nothing to resample: {len(ids)} queries were asked in {orders} orders")
        places = np.argsort(np.argsort(np.array(list(ids), dtype=object)))
        counts = np.ones((1 + resamples, len(ids)))
        counts[1:] = resampled_counts(len(ids), seed=seed, resamples=resamples)[:, places]
        of_orders = np.ones((1 + resamples, orders))
        # Orders are drawn from a stream of their own, so that queries are drawn alike however many orders there are.
        of_orders[1:] = _counts(np.random.default_rng(seed).spawn(1)[0], orders, resamples)
        return cls(tuple(ids), counts, of_orders)

    def mean(self, values: pd.Series) -> Array:
        """Return the mean of values by query_id, (1 + resamples,); ids that are missing or NaN take no part."""
        cells: Array = values.reindex(list(self.ids)).to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(self.means(cells[:, None])[:, 0])

    def means(self, cells: Array) -> Array:
        """Return the means of (queries, columns) or (orders, queries, columns), (1 + resamples, columns).

        NaN takes no part; a resample that drew no value is NaN. A single order stands for all of them, as where every
        order is the whole corpus. Raises BadInput for any other shape.
        """
        cells = self._in_orders(cells)
        known = ~np.isnan(cells)
        figures, gaps = self._sums(np.where(known, cells, 0.0)), ~known.all((0, 1))
        figures[:, ~gaps] /= cells.shape[1] * self.orders.shape[1]
        if gaps.any():
            figures[:, gaps] = over(figures[:, gaps], self._sums(known[:, :, gaps].astype(np.float64)), zero=np.nan)
        if len(cells) > 1:
            # A plain sum: the products add up in another order, and would move the last digit of what was measured.
            figures[0] = over(np.where(known, cells, 0.0).sum((0, 1)), known.sum((0, 1)), zero=np.nan)
        return np.asarray(figures)

    def estimate(self, values: Array, *, bounds: Bounds | None) -> dict[str, Any]:
        """Return {"mean", "interval", "n"} of one value per query, (queries,) or (orders, queries); NaN has none.

        `bounds` are those of one value, None where it has none.
        """
        return self.estimates(values[..., None], bounds=[bounds])[0]

    def estimates(self, cells: Array, *, bounds: Sequence[Bounds | None]) -> list[dict[str, Any]]:
        """Return an estimate for each column of what `means` takes; `n` counts the queries that have any value.

        No interval below two queries. Equal values have that of `unseen`, within the column's bounds.
        """
        # Stages, sizes and cutoffs often have equal columns, three of four in a grid: each distinct one is drawn once.
        cells = self._in_orders(cells)
        rows = np.ascontiguousarray(np.moveaxis(cells, 2, 0))
        first: dict[tuple[bytes, Bounds | None], int] = {}
        own = [
            first.setdefault((row.tobytes(), within), column)
            for column, (row, within) in enumerate(zip(rows, bounds, strict=True))
        ]
        columns = list(first.values())
        found = self._estimates(cells[:, :, columns], [bounds[column] for column in columns])
        distinct = dict(zip(columns, found, strict=True))
        return [dict(distinct[column]) for column in own]

    def _estimates(self, cells: Array, bounds: Sequence[Bounds | None]) -> list[dict[str, Any]]:
        """Of columns of (orders, queries, columns)."""
        figures, known = self.means(cells), ~np.isnan(cells)
        counts = known.any(0).sum(0).tolist()
        lows, highs = np.where(known, cells, np.inf).min((0, 1)), np.where(known, cells, -np.inf).max((0, 1))
        whole = ~np.isnan(figures).any(0)
        spans: list[list[float] | None] = [None] * len(counts)
        drawn = np.quantile(figures[1:, whole], ENDS, axis=0).T.tolist()
        for column, span in zip(np.flatnonzero(whole).tolist(), drawn, strict=True):
            spans[column] = span
        found: list[dict[str, Any]] = []
        for column, n, low, high, ends_, within in zip(
            figures.T, counts, lows.tolist(), highs.tolist(), spans, bounds, strict=True
        ):
            if n and all_equal(np.array([low, high]), within):
                span = interval_of_equal(low, n, bounds=within)
                found.append({"mean": low, "interval": None if span is None else list(span), "n": n})
            elif ends_ is None:
                found.append(resampled(column, n, bounds=within))
            else:
                found.append({"mean": float(column[0]), "interval": ends_ if n > 1 else None, "n": n})
        return found

    def _in_orders(self, cells: Array) -> Array:
        shaped = cells[None] if cells.ndim == 2 else cells
        queries, orders = self.counts.shape[1], self.orders.shape[1]
        if shaped.ndim != 3 or shaped.shape[1] != queries or len(shaped) not in (1, orders):
            raise BadInput(
                f"values of the shape {cells.shape} do not fit draws of {orders} orders and {queries} queries; give "
                "(queries, columns) or (orders, queries, columns), with one order where all are equal"
            )
        return shaped

    def _sums(self, cells: Array) -> Array:
        """Sum over orders and queries, each weighted by its count: (1 + resamples, columns), one matrix product."""
        orders, queries, columns = cells.shape
        by_order = self.counts @ cells.transpose(1, 0, 2).reshape(queries, orders * columns)
        if orders == 1:
            return np.asarray(by_order * self.orders.shape[1])
        return np.asarray(np.einsum("ro,rom->rm", self.orders, by_order.reshape(-1, orders, columns)))


@lru_cache(maxsize=4)
def resampled_counts(n: int, *, seed: int, resamples: int = RESAMPLES) -> Counts:
    """Return how often each resample drew each of n queries, (resamples, n). Kept, since many figures ask for it."""
    counts = _counts(np.random.default_rng(seed), n, resamples)
    counts.flags.writeable = False
    return counts


@lru_cache(maxsize=2)
def resampled_weights(n: int, *, seed: int) -> Array:
    """Return `resampled_counts` as floats, which a product would otherwise make of them each time."""
    weights = resampled_counts(n, seed=seed).astype(np.float64)
    weights.flags.writeable = False
    return weights


def _counts(rng: np.random.Generator, n: int, resamples: int) -> Counts:
    found = np.empty((resamples, n), np.int32)
    for start, size in blocks(resamples):
        rows = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        found[start : start + size] = np.bincount(rows.ravel(), minlength=size * n).reshape(size, n)
    return found


def blocks(total: int) -> Iterator[tuple[int, int]]:
    """Yield (start, size) of the parts of `total` rows, so that memory does not grow with rows times queries."""
    return ((start, min(BLOCK, total - start)) for start in range(0, total, BLOCK))


def over(numerator: Array, denominator: Array, *, zero: float = np.inf) -> Array:
    """Numerator / denominator; `zero` stands where the denominator is 0, NaN where either is unknown."""
    empty = np.where(np.isnan(numerator) | np.isnan(denominator), np.nan, zero)
    return np.asarray(np.divide(numerator, denominator, out=empty, where=denominator > 0))


def interval(drawn: Array, *, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the percentile interval of resampled figures, NaN left out; None where all are NaN.

    Its ends may be infinite, with their sign.
    """
    known = drawn[~np.isnan(drawn)]
    if not known.size or not np.isfinite(known).all():
        return observed_interval(known, confidence=confidence)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def observed_interval(drawn: Array, *, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the interval whose ends are resampled figures themselves, the outer ones: for integers and infinities."""
    if not drawn.size:
        return None
    low = np.quantile(drawn, (1 - confidence) / 2, method="lower")
    return float(low), float(np.quantile(drawn, (1 + confidence) / 2, method="higher"))


def ends(figures: Array, *, n: int, bounds: Bounds | None = None) -> list[float | None] | None:
    """Return the interval of figures of n queries whose row 0 is what was measured; an end that is infinite is None.

    Where every resample is as what was measured, it is that of n equal values, each within `bounds`.
    """
    if np.isfinite(figures).all() and all_equal(figures, bounds):
        span = interval_of_equal(float(figures[0]), n, bounds=bounds)
        return None if span is None else list(span)
    found = interval(figures[1:])
    if found is None or not np.isfinite(figures[1:]).any():
        return None
    return [end if np.isfinite(end) else None for end in found]


def resampled(figures: Array, n: int, *, bounds: Bounds | None = None) -> dict[str, Any]:
    """Return the estimate of figures whose row 0 is what was measured, by `ends`. Infinite is written as null.

    So a price for each correct answer has an interval that is open above where one resample in forty or more holds no
    correct answer, and no mean where there is none at all.
    """
    found = float(figures[0])
    if n == 0 or np.isnan(found):
        return {"mean": None, "interval": None, "n": n}
    return {
        "mean": found if np.isfinite(found) else None,
        "interval": ends(figures, n=n, bounds=bounds) if n > 1 else None,
        "n": n,
    }
