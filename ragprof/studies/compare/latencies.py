"""What differs between two sides' times: the ratio of their quantiles, with an interval over queries. Reads no file.

The bootstrap draws whole queries, all rounds of both sides together: a query that is slow is slow on both. A side's
queries are first thinned to the fewest rounds that any of them has, so that all weigh the same. p is Wald's on the
logarithm of the ratio, with the standard error of the resamples and Student's t at n - 1 degrees of freedom (the normal
distribution raises too many false alarms below twenty queries). Neither knows how two jobs on one machine differ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from ragprof.statistics import RESAMPLES
from ragprof.studies.compare.effects import DUST, Array, Effect, interval
from ragprof.studies.query_draws import Draws

QUANTILES: Mapping[str, float] = {"p50": 0.50, "p95": 0.95}
FEWEST: Mapping[str, int] = {"p50": 2, "p95": 20}
"""Queries below which a quantile has no interval: that of a p95 of 8 misses the truth four times too often."""
STREAM = 104_729
NS_PER_MS = 1e6
CELLS = 4_000_000


@dataclass(frozen=True)
class Timed:
    """Durations of the same queries on both sides, ms, shape (queries, rounds); a side has its own number of rounds."""

    queries: tuple[str, ...]
    base: Array
    candidate: Array

    @classmethod
    def of(cls, base: pd.DataFrame, candidate: pd.DataFrame, queries: tuple[str, ...]) -> Timed:
        """From rows of query_id, round, duration_ns of one stage."""
        return cls(queries, rounds(base, queries), rounds(candidate, queries))


def timed(base: pd.DataFrame, candidate: pd.DataFrame) -> Timed | None:
    """Of the queries that were timed on both sides; None where there is none."""
    queries = shared(base, candidate)
    return Timed.of(base, candidate, queries) if queries else None


def shared(base: pd.DataFrame, candidate: pd.DataFrame) -> tuple[str, ...]:
    """Queries that stand on both sides, sorted."""
    return tuple(sorted(set(base["query_id"]) & set(candidate["query_id"])))


def rounds(times: pd.DataFrame, queries: Sequence[str]) -> Array:
    """Durations in ms, (queries, rounds), thinned to the fewest rounds that a query has; the first ones stay."""
    rows = times[times["query_id"].isin(queries)].sort_values(["query_id", "round"])
    place = rows.groupby("query_id").cumcount()
    fewest = int(rows.groupby("query_id").size().min())
    kept = rows.loc[place < fewest, "duration_ns"].to_numpy(dtype=np.float64)
    return kept.reshape(len(queries), fewest) / NS_PER_MS


def quantile_effects(found: Timed, names: Sequence[str], *, seed: int, confidence: float) -> list[Effect]:
    """One effect a name of QUANTILES, in order."""
    counts = Draws.of(found.queries, seed=seed, stream=STREAM, replicates=RESAMPLES).counts.astype(np.int32)
    levels = [QUANTILES[name] for name in names]
    bases = resampled_quantiles(found.base, counts, levels)
    candidates = resampled_quantiles(found.candidate, counts, levels)
    return [
        _effect(base, candidate, n=len(found.queries), fewest=FEWEST[name], confidence=confidence)
        for name, base, candidate in zip(names, bases, candidates, strict=True)
    ]


def resampled_quantiles(table: Array, counts: NDArray[np.int32], levels: Sequence[float]) -> Array:
    """Quantiles of each resample, (levels, resamples), from how often each row of the table was drawn.

    Harrell and Davis, Biometrika 69, 1982: a mean of all order statistics with the weights of a beta distribution.
    The plain quantile is one observation, whose own noise it keeps; this one is an average of those around it, and the
    ratio of two sides has a fraction of the scatter. In a large sample they agree.
    """
    order = np.argsort(table, axis=None, kind="stable")
    values, owners = table.ravel()[order], order // table.shape[1]
    parts = np.array_split(counts, max(1, counts.shape[0] * len(values) // CELLS))
    return np.concatenate([_quantiles(values, np.cumsum(part[:, owners], axis=1), levels) for part in parts], axis=1)


def quantile(table: Array, level: float) -> float:
    """Of all observations of a table, as `resampled_quantiles` estimates it."""
    return float(resampled_quantiles(table, np.ones((1, len(table)), np.int32), [level])[0, 0])


def _quantiles(values: Array, reached: NDArray[np.int32], levels: Sequence[float]) -> Array:
    """`reached` is how many observations of a resample are no larger than each of the sorted values."""
    total, gaps = int(reached[0, -1]), np.diff(values)
    shares = np.arange(total + 1) / total
    result = []
    for level in levels:
        below = special.betainc((total + 1) * level, (total + 1) * (1 - level), shares)
        result.append(values[-1] - below[reached[:, :-1]] @ gaps)
    return np.array(result)


def _effect(base: Array, candidate: Array, *, n: int, fewest: int, confidence: float) -> Effect:
    """Row 0 of either is what was found, the rest are resamples of it. Too few queries have no interval and no p, but
    where nothing differs at all."""
    difference, measurable = candidate - base, bool((base > 0).all() and (candidate > 0).all())
    ratio = candidate / base if measurable else np.full(len(base), np.nan)
    enough = n >= fewest or (n > 1 and not difference.any())
    p = _wald(np.log(ratio), n) if measurable else _without_ratio(difference)
    return Effect(
        base=float(base[0]),
        candidate=float(candidate[0]),
        difference=float(difference[0]),
        interval=interval(difference[1:], confidence) if enough else None,
        relative=float(ratio[0] - 1) if measurable else None,
        relative_interval=interval(ratio[1:] - 1, confidence) if enough and measurable else None,
        p=p if enough or n == 1 else None,
        n=n,
        standard_error=float(difference[1:].std(ddof=1)),
        spread_over=n,
    )


def _wald(logs: Array, n: int) -> float | None:
    """None for a single query, whose resamples are all alike."""
    if logs[0] == 0:
        return 1.0
    if n == 1:
        return None
    error = float(logs[1:].std(ddof=1))
    p = 2 * float(stats.t.sf(abs(logs[0]) / error, n - 1)) if error > DUST else 0.0
    return max(p, sys.float_info.min)


def _without_ratio(difference: Array) -> float | None:
    """A clock that read 0 has no ratio: 1 where nothing differs, None where something does."""
    return 1.0 if not difference.any() else None
