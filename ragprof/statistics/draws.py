"""What a ratio over the asked questions is worth: every figure of a study from the same resampled questions.

A mean over one set of questions is `estimated`; whatever is made of several means (a price over a share, a product)
is computed on `Draws`, in which each resample drew the same questions for all of them: the bootstrap of a ratio of
sums, Efron and Tibshirani: An introduction to the bootstrap, 1993, section 10.6. Reads no file.

What a mean over queries and orders is worth: both resampled, each on its own. Reads no file and fits no model.

Queries and orders are crossed (each query is asked in each order), so a replicate draws queries with replacement and,
apart from them, orders with replacement; a value weighs the product of both counts. Owen, The pigeonhole bootstrap,
Annals of Applied Statistics 1(2), 2007, 386-411: the variance comes out right to slightly too large; none is exact.
One Weights is made for one report, so that a replicate draws the same queries in every cell of it.

Means over questions on the one set of resamples that all figures of a reranker share. Reads no file.

A matrix of values is resampled by one matrix product, whatever the number of its columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ragprof.core.errors import BadInput
from ragprof.statistics.estimates import CONFIDENCE, RESAMPLES, mean_estimate

Array: TypeAlias = NDArray[np.float64]
ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Draws:
    """How often each question was drawn, (1 + resamples, questions). Row 0 draws each once: what was found."""

    ids: tuple[str, ...]
    counts: Array

    @classmethod
    def of(cls, ids: Sequence[str], *, seed: int, stream: int = 0, replicates: int = RESAMPLES) -> Draws:
        """Seeded; draws of different `stream` are independent of each other."""
        if not len(ids):
            raise BadInput("no question was asked; there is nothing to resample")
        ordered = tuple(sorted(ids))
        rng = np.random.default_rng([seed, stream])
        drawn = rng.multinomial(len(ordered), np.full(len(ordered), 1 / len(ordered)), size=replicates)
        return cls(ordered, np.vstack([np.ones(len(ordered)), drawn]))

    def mean(self, values: pd.Series) -> Array:
        """Means of the values that are known, by query_id; NaN where a resample drew no question that has one."""
        cells = values.reindex(list(self.ids)).to_numpy(dtype=float, na_value=np.nan)
        known = ~np.isnan(cells)
        return over(self.counts @ np.where(known, cells, 0.0), self.counts @ known.astype(np.float64), zero=np.nan)


def over(numerator: Array, denominator: Array, *, zero: float = np.inf) -> Array:
    """Numerator / denominator; `zero` stands where the denominator is 0, NaN where either is unknown."""
    empty = np.where(np.isnan(numerator) | np.isnan(denominator), np.nan, zero)
    return np.asarray(np.divide(numerator, denominator, out=empty, where=denominator > 0))


def resampled(figures: Array, n: int) -> dict[str, Any]:
    """An estimate from row 0 and the resamples after it. Infinite is written as null.

    So a price for each correct answer has an interval that is open above where one resample in forty or more holds no
    correct answer, and no mean where there is none at all.
    """
    found = float(figures[0])
    if n == 0 or np.isnan(found):
        return {"mean": None, "interval": None, "n": n}
    return {"mean": found if np.isfinite(found) else None, "interval": ends(figures) if n > 1 else None, "n": n}


def ends(figures: Array) -> list[float | None] | None:
    """The percentile interval of the resamples (row 0 left out); an end that is infinite is None."""
    drawn = figures[1:][~np.isnan(figures[1:])]
    if not np.isfinite(drawn).any():
        return None
    if np.isfinite(drawn).all():
        return [float(end) for end in np.quantile(drawn, ENDS)]
    low, high = np.quantile(drawn, ENDS[0], method="lower"), np.quantile(drawn, ENDS[1], method="higher")
    return [float(end) if np.isfinite(end) else None for end in (low, high)]


def estimated(values: pd.Series, *, seed: int) -> dict[str, Any]:
    """Mean of the values that are known with its interval; the order of the questions decides nothing."""
    known = values.sort_index().dropna().to_numpy(dtype=float)
    estimate = mean_estimate(known, seed=seed)
    return {
        "mean": estimate.mean,
        "interval": None if estimate.interval is None else list(estimate.interval),
        "n": estimate.n,
    }


def gained(candidate: pd.Series, baseline: pd.Series) -> pd.Series:
    """Candidate minus baseline for each question that both answered with a known value."""
    return (candidate - baseline).dropna().sort_index()


REPLICATES = 1_000
RESAMPLING_ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
ResamplingArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """How often each replicate drew what: queries (replicates, queries) and orders (replicates, orders)."""

    queries: ResamplingArray
    orders: ResamplingArray


def weights(queries: int, orders: int, *, replicates: int = REPLICATES, seed: int) -> Weights:
    """Seeded counts. The queries drawn do not depend on the number of orders, nor the orders on that of the queries."""
    if min(queries, orders, replicates) < 1:
        raise BadInput(f"nothing to resample: {queries} queries, {orders} orders, {replicates} replicates")
    streams = np.random.default_rng(seed).spawn(2)
    return Weights(*(_counts(rng, n, replicates) for rng, n in zip(streams, (queries, orders), strict=True)))


def mean_of(values: ArrayLike) -> ResamplingArray:
    """(orders, queries, metrics) -> mean over the cells that hold a value, (metrics,); NaN where none does."""
    cells = _cells(values)
    known = ~np.isnan(cells)
    return _ratio(np.where(known, cells, 0.0).sum((0, 1)), known.sum((0, 1)))


def replicates_of(values: ArrayLike, drawn: Weights) -> ResamplingArray:
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


def _intervals(replicates: ResamplingArray) -> ResamplingArray:
    """(replicates, metrics) -> ends (metrics, 2), over the replicates that have a value; NaN where none has."""
    if not np.isnan(replicates).any():
        return np.quantile(replicates, RESAMPLING_ENDS, axis=0).T
    columns = [column[~np.isnan(column)] for column in replicates.T]
    return np.array([np.quantile(column, RESAMPLING_ENDS) if column.size else (np.nan, np.nan) for column in columns])


def _counts(rng: np.random.Generator, of: int, replicates: int) -> ResamplingArray:
    return rng.multinomial(of, np.full(of, 1 / of), size=replicates).astype(np.float64)


def _cells(values: ArrayLike) -> ResamplingArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (2, 3):
        raise BadInput(f"values have the shape (orders, queries) or (orders, queries, metrics), not {array.shape}")
    return array if array.ndim == 3 else array[:, :, None]


def _fitting(cells: ResamplingArray, drawn: Weights) -> None:
    orders, queries = drawn.orders.shape[1], drawn.queries.shape[1]
    if cells.shape[1] != queries or len(cells) not in (1, orders):
        raise BadInput(
            f"values of {len(cells)} orders and {cells.shape[1]} queries do not fit weights of {orders} orders and "
            f"{queries} queries; give one row for each order, or a single one where the orders are equal"
        )


def _drawn_sums(cells: ResamplingArray, drawn: Weights) -> ResamplingArray:
    """Sum over orders and queries, each weighed by its count: (replicates, metrics)."""
    orders, queries, metrics = cells.shape
    by_order = drawn.queries @ cells.transpose(1, 0, 2).reshape(queries, orders * metrics)
    if orders == 1:
        return np.asarray(by_order * drawn.orders.shape[1])
    return np.asarray(np.einsum("ro,rom->rm", drawn.orders, by_order.reshape(-1, orders, metrics)))


def _ratio(sums: ResamplingArray, counts: ArrayLike) -> ResamplingArray:
    found = np.asarray(counts, dtype=np.float64)
    return np.asarray(np.divide(sums, found, out=np.full(np.shape(sums), np.nan), where=found > 0))


def means(draws: Draws, columns: Array) -> Array:
    """(questions, columns) -> (1 + resamples, columns), over the values that are known; NaN where none was drawn."""
    known = ~np.isnan(columns)
    if known.all():
        return np.asarray(draws.counts @ columns / len(columns))
    sums = draws.counts @ np.where(known, columns, 0.0)
    return over(sums, draws.counts @ known.astype(np.float64), zero=np.nan)


def mean_draws(draws: Draws, values: Array) -> Array:
    """One value a question -> its mean in each resample, equal to the last digit for equal values."""
    return means(draws, np.ascontiguousarray(values)[:, None])[:, 0]


def means_estimate(draws: Draws, values: Array) -> dict[str, Any]:
    """Of one value a question; NaN takes no part. A single point where all values are equal."""
    return means_estimates(draws, values[:, None])[0]


def means_estimates(draws: Draws, columns: Array) -> list[dict[str, Any]]:
    """An estimate for each of (questions, columns), from one matrix product."""
    figures, known = means(draws, columns), ~np.isnan(columns)
    lows, highs = np.where(known, columns, np.inf).min(axis=0), np.where(known, columns, -np.inf).max(axis=0)
    if not known.all():
        return [_of_column(*each) for each in zip(figures.T, known.sum(axis=0), lows, highs, strict=True)]
    bounds = np.quantile(figures[1:], ENDS, axis=0).T
    return [
        {"mean": float(mean), "interval": pair.tolist() if len(columns) > 1 else None, "n": len(columns)}
        if low < high
        else _of_column(np.array([mean, mean]), len(columns), low, high)
        for mean, pair, low, high in zip(figures[0], bounds, lows, highs, strict=True)
    ]


def _of_column(figures: Array, n: int, low: float, high: float) -> dict[str, Any]:
    """Equal values have no rounding in their mean."""
    if n > 0 and low == high:
        return {"mean": float(low), "interval": [float(low), float(low)] if n > 1 else None, "n": int(n)}
    return resampled(figures, int(n))
