"""Means over questions on the one set of resamples that all figures of a reranker share. Reads no file.

A matrix of values is resampled by one matrix product, whatever the number of its columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ragprof.studies.query_draws import ENDS, Array, Draws, over, resampled


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


def estimate(draws: Draws, values: Array) -> dict[str, Any]:
    """Of one value a question; NaN takes no part. A single point where all values are equal."""
    return estimates(draws, values[:, None])[0]


def estimates(draws: Draws, columns: Array) -> list[dict[str, Any]]:
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
