"""What differs between two sides that answered the same queries: paired differences of means. Reads no file.

A quantity is a sum of the means of its items: a metric has one item, a bill as many as it has lines. Every quantity of
a comparison is resampled with the same draws of the queries and tested with the same flips of sign, so that its figures
do not depend on what else is asked. Percentile bootstrap: Efron and Tibshirani, 1993, chapter 13; two-sided
randomisation test of paired samples: Smucker, Allan and Carterette, CIKM 2007. Knows no margin and gives no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.studies.query_draws import Draws, over

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
