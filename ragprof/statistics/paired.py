"""What differs between two sides that answered the same queries: paired differences of means. Reads no file.

A quantity is a sum of the means of its items: a metric has one item, a bill as many as it has lines. Every quantity of
a comparison is resampled with the same draws of the queries and tested with the same flips of sign, so that its figures
do not depend on what else is asked. Percentile bootstrap: Efron and Tibshirani, 1993, chapter 13; two-sided
randomisation test of paired samples: Smucker, Allan and Carterette, CIKM 2007. Knows no margin and gives no verdict.

What differs between two sides' times: the ratio of their quantiles, with an interval over queries. Reads no file.

The bootstrap draws whole queries, all rounds of both sides together: a query that is slow is slow on both. A side's
queries are first thinned to the fewest rounds that any of them has, so that all weigh the same. p is Wald's on the
logarithm of the ratio, with the standard error of the resamples and Student's t at n - 1 degrees of freedom (the normal
distribution raises too many false alarms below twenty queries). Neither knows how two jobs on one machine differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from ragprof.statistics.draws import Draws, over
from ragprof.statistics.estimates import RESAMPLES

Array: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]
REPLICATES = 9_999
FLIPS = 19_999
FLIP_STREAM = 7_919
BLOCK = 1_000
DUST = 1e-12


@dataclass(frozen=True)
class Effect:
    """Candidate - base, in the quantity's own unit, and what it rests on.

    `relative` is the difference over the base's figure, None where that is 0. `n` is how many queries the scarcest item
    was measured on at both sides; with one query there is no interval. `standard_error` is that of the difference,
    `spread_over` how many queries the item has that makes up most of it.
    """

    base: float
    candidate: float
    difference: float
    interval: Interval | None
    relative: float | None
    relative_interval: Interval | None
    p: float | None
    n: int
    standard_error: float
    spread_over: int


@dataclass(frozen=True)
class Paired:
    """One quantity on both sides, shape (queries, items) each; NaN where a query was not measured.

    Every item has at least one query that both sides measured. `clocked` says which items are measured time.
    """

    base: Array
    candidate: Array
    clocked: tuple[bool, ...] = (False,)

    def without_clock(self) -> Paired:
        """What is counted alone, where something is."""
        counted = [at for at, clocked in enumerate(self.clocked) if not clocked]
        if not counted:
            return self
        return Paired(self.base[:, counted], self.candidate[:, counted], (False,) * len(counted))

    @property
    def clocked_base(self) -> float:
        """How much of the base's figure is measured time."""
        known = ~np.isnan(self.base) & ~np.isnan(self.candidate)
        means = np.where(known, self.base, 0.0).sum(axis=0) / known.sum(axis=0)
        return float(means[list(self.clocked)].sum())


@dataclass(frozen=True)
class _Stack:
    """All items of all quantities side by side, (queries, items); `starts` is where each quantity begins.

    0 where a query was not measured on both sides, which `known` tells from a measured 0. A difference in the last
    digits alone is none.
    """

    base: Array
    candidate: Array
    difference: Array
    known: Array
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, quantities: Sequence[Paired]) -> _Stack:
        base = np.concatenate([each.base for each in quantities], axis=1)
        candidate = np.concatenate([each.candidate for each in quantities], axis=1)
        known = ~np.isnan(base) & ~np.isnan(candidate)
        base, candidate = np.where(known, base, 0.0), np.where(known, candidate, 0.0)
        difference = candidate - base
        dust = np.abs(difference) <= DUST * np.maximum(np.abs(base), np.abs(candidate))
        widths = [each.base.shape[1] for each in quantities]
        starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)
        return cls(base, candidate, np.where(dust, 0.0, difference), known.astype(np.float64), starts)

    @property
    def queries(self) -> Array:
        """How many queries each item was measured on at both sides."""
        return np.asarray(self.known.sum(axis=0))

    def summed(self, items: Array) -> Array:
        """(..., items) to (..., quantities)."""
        return np.asarray(np.add.reduceat(items, self.starts, axis=-1))

    def centred(self) -> Array:
        """What each query adds to the scatter of each item's mean."""
        mean = self.difference.sum(axis=0) / self.queries
        return np.asarray(self.known * (self.difference - mean) / self.queries)


def mean_effects(
    quantities: Sequence[Paired], queries: Sequence[str], *, seed: int, confidences: Sequence[float]
) -> list[Effect]:
    """One effect a quantity, in order. `queries` are the ids of the rows, sorted; `confidences` go by quantity."""
    if not quantities:
        return []
    stack = _Stack.of(quantities)
    differences, relatives = _replicates(stack, queries, seed)
    found = {name: stack.summed(getattr(stack, name).sum(axis=0) / stack.queries) for name in ("base", "candidate")}
    difference = stack.summed(stack.difference.sum(axis=0) / stack.queries)
    p_values = flip_p(stack.summed(stack.difference / stack.queries), seed=seed)
    least = np.minimum.reduceat(stack.queries, stack.starts)
    scatter = _scatter(stack)
    return [
        Effect(
            base=float(found["base"][at]),
            candidate=float(found["candidate"][at]),
            difference=float(difference[at]),
            interval=interval(differences[:, at], confidence) if least[at] > 1 else None,
            relative=float(difference[at] / found["base"][at]) if found["base"][at] > 0 else None,
            relative_interval=interval(relatives[:, at], confidence) if least[at] > 1 else None,
            p=float(p_values[at]),
            n=int(least[at]),
            standard_error=scatter[at][0],
            spread_over=scatter[at][1],
        )
        for at, confidence in enumerate(confidences)
    ]


def flip_p(contributions: Array, *, seed: int) -> Array:
    """Two-sided p of each column's sum, (queries, quantities): each query's sign is flipped for all columns at once."""
    generator = np.random.default_rng([seed, FLIP_STREAM])
    tiny = DUST * np.abs(contributions).sum(axis=0)
    observed = np.abs(contributions.sum(axis=0)) - tiny
    reached = np.zeros(contributions.shape[1])
    for size in blocks(FLIPS):
        signs = generator.integers(0, 2, size=(size, len(contributions)), dtype=np.int8) * 2.0 - 1.0
        reached += (np.abs(signs @ contributions) >= observed).sum(axis=0)
    return np.asarray((1 + reached) / (1 + FLIPS))


def interval(replicates: Array, confidence: float) -> Interval | None:
    """The percentile interval; replicates that drew no measured query are NaN and left out, infinite ones make None."""
    drawn = replicates[~np.isnan(replicates)]
    if not drawn.size or not np.isfinite(drawn).all():
        return None
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def blocks(total: int) -> Iterator[int]:
    """Sizes that add up to `total`, so that memory does not grow with the number of queries."""
    for start in range(0, total, BLOCK):
        yield min(BLOCK, total - start)


def _replicates(stack: _Stack, queries: Sequence[str], seed: int) -> tuple[Array, Array]:
    """Differences and differences over the base, (replicates, quantities) each; infinite where the base is 0."""
    differences, relatives = [], []
    for stream, size in enumerate(blocks(REPLICATES)):
        counts = Draws.of(queries, seed=seed, stream=stream, replicates=size).counts[1:]
        drawn = counts @ stack.known
        difference = stack.summed(over(counts @ stack.difference, drawn, zero=np.nan))
        differences.append(difference)
        relatives.append(over(difference, stack.summed(over(counts @ stack.base, drawn, zero=np.nan))))
    return np.concatenate(differences), np.concatenate(relatives)


def _scatter(stack: _Stack) -> list[tuple[float, int]]:
    """Standard error of each quantity and the number of queries of the item that makes up most of it."""
    centred, ends = stack.centred(), [*stack.starts[1:], stack.known.shape[1]]
    result = []
    for start, end in zip(stack.starts, ends, strict=True):
        each = (centred[:, start:end] ** 2).sum(axis=0)
        n = int(stack.queries[start + int(each.argmax())])
        variance = float((centred[:, start:end].sum(axis=1) ** 2).sum())
        result.append((float(np.sqrt(variance * n / (n - 1))) if n > 1 else 0.0, n))
    return result


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
