"""Two sides that answered the same queries: the one paired test, Holm's correction, and effects with intervals.

A quantity is a sum of the means of its items: a metric has one item, a bill as many as it has lines. Every quantity of
a comparison is resampled with the same draws of the queries and tested with the same flips of sign, so that its figures
do not depend on what else is asked. Times are compared by the ratio of their quantiles; a query that is slow is slow on
both sides, so all its rounds on both are drawn together. Knows no margin, gives no verdict, reads no file, and does not
know how two jobs on one machine differ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ragprof.core import Estimate
from ragprof.statistics.draws import ENDS, RESAMPLES, VERDICT_RESAMPLES, Array, blocks, interval, over, resampled_counts
from ragprof.statistics.estimates import FEWEST, QUANTILES, finite, mean_estimate, quantile_draws, rounds_of
from ragprof.statistics.power import ALPHA, more_queries_needed
from ragprof.statistics.unseen import CONFIDENCE, SIGNED, Bounds, all_equal, interval_of_equal

Interval: TypeAlias = tuple[float, float]
FLIPS = 9_999
GATE_FLIPS = 39_999
"""So many that 1,000 gates judged together can still be significant: p is at least 2 / (1 + flips)."""
DUST = 1e-12
"""Differences below this share of what they are made of are rounding, not measurements."""
NS_PER_MS = 1e6


def paired_p(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> float:
    """Return the two-sided p of equal means of two sides' values, query by query; 1.0 where no query differs.

    Raises NonFiniteScore.
    """
    return float(paired_ps((finite(first) - finite(second))[:, None], seed=seed)[0])


def paired_ps(differences: Array, *, seed: int = 0, flips: int = FLIPS) -> Array:
    """Return the two-sided p of each column's sum being 0, from (queries, columns): the same flips for all columns.

    The randomisation test of paired samples (Smucker, Allan and Carterette, A comparison of statistical significance
    tests for IR evaluation, CIKM 2007): every assignment of signs where there are at most `flips`, else `flips` that
    are drawn, and the one that was found. Twice the smaller tail, as `scipy.stats.permutation_test` has it, whose p
    this is to the last digit; that one takes no matrix product.
    """
    n, columns = differences.shape
    observed, dust = differences.sum(axis=0), DUST * np.abs(differences).sum(axis=0)
    tails = np.zeros((2, columns))
    exact = 2**n <= flips
    rng, total = np.random.default_rng(seed), 2**n if exact else flips
    for start, size in blocks(total):
        if exact:
            heads = np.arange(start, start + size)[:, None] >> np.arange(n)
        else:
            # The low bit of each raw word is what shuffling a pair of sides takes from the generator.
            heads = rng.integers(0, 2**32, (size, n), dtype=np.uint32)
        flipped = ((heads & 1) * 2.0 - 1.0) @ differences
        tails += (flipped <= observed + dust).sum(axis=0), (flipped >= observed - dust).sum(axis=0)
    drawn = 0 if exact else 1
    return np.asarray(np.minimum(1.0, 2 * (tails.min(axis=0) + drawn) / (total + drawn)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p corrected by Holm's step-down (Scand. J. Statist. 6, 1979), by name, in the order given."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def compared(
    first: pd.Series, second: pd.Series, baseline: str, candidate: str,
    *, metric: str, p: float, p_holm: float, pairs: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Return a row of `comparisons`: candidate minus baseline, of scores within 0 and 1 by query_id in one order."""
    difference = (second - first).to_numpy()
    estimate = mean_estimate(difference, bounds=SIGNED, seed=seed)
    significant = p_holm < ALPHA
    verdict = ("better" if (estimate.mean or 0) > 0 else "worse") if significant else "undecided"
    return {
        "metric": metric, "stage": "final", "baseline": baseline, "candidate": candidate,
        "difference": estimate.mean, "interval": list(estimate.interval) if estimate.interval else None,
        "p": p, "p_holm": p_holm, "verdict": verdict, "n": estimate.n,
        "more_queries": None if significant else more_queries_needed(difference, alpha=ALPHA / pairs) or None,
    }  # fmt: skip


def crossed_ratio(first: ArrayLike, second: ArrayLike, first_came_first: ArrayLike, *, seed: int = 0) -> Estimate:
    """Return by what share the first of two durations of each query exceeds the second, whichever was taken first.

    Who asks the same query again is faster, up to a fifth with a small index: the two orders are averaged apart, and
    what the order does cancels out in half the sum of both (the crossover design; Jones and Kenward, Design and
    analysis of cross-over trials, 2014, section 2.2). Averages are midmeans of log ratios, of their middle half; the
    interval resamples queries within each order, and is None where one has a single query. Durations are positive.
    """
    logs, came_first = np.log(finite(first) / finite(second)), np.asarray(first_came_first, dtype=bool)
    orders = [one for one in (logs[came_first], logs[~came_first]) if one.size]
    if not orders:
        return Estimate(None, None, 0)
    rng = np.random.default_rng(seed)
    found = float(np.mean([_midmean(one[None])[0] for one in orders]))
    drawn = np.concatenate([
        np.mean([_midmean(one[rng.integers(0, one.size, (size, one.size))]) for one in orders], axis=0)
        for _, size in blocks(RESAMPLES)
    ])  # fmt: skip
    low, high = np.expm1(np.quantile(drawn, ENDS)).tolist()
    return Estimate(float(np.expm1(found)), (low, high) if min(one.size for one in orders) > 1 else None, logs.size)


def _midmean(rows: Array) -> Array:
    """The mean of the middle half of each row."""
    cut = rows.shape[1] // 4
    return np.asarray(np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1))


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
    identical: bool = False
    """Whether none of two or more queries differs. That is a fact of these queries, so there is no interval."""


@dataclass(frozen=True)
class Paired:
    """One quantity on both sides, shape (queries, items) each; NaN where a query was not measured.

    Every item has at least one query that both sides measured. `clocked` says which items are measured time, `bounds`
    between what the difference of a query lies, where anything bounds it.
    """

    base: Array
    candidate: Array
    clocked: tuple[bool, ...] = (False,)
    bounds: Bounds | None = None

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

    def scatter(self) -> list[tuple[float, int]]:
        """Return the standard error of each quantity and the number of queries of the item that makes up most of it."""
        centred = self.known * (self.difference - self.difference.sum(axis=0) / self.queries) / self.queries
        result = []
        for start, end in zip(self.starts, [*self.starts[1:], self.known.shape[1]], strict=True):
            each = (centred[:, start:end] ** 2).sum(axis=0)
            n = int(self.queries[start + int(each.argmax())])
            variance = float((centred[:, start:end].sum(axis=1) ** 2).sum())
            result.append((float(np.sqrt(variance * n / (n - 1))) if n > 1 else 0.0, n))
        return result


def mean_effects(quantities: Sequence[Paired], *, seed: int, confidences: Sequence[float]) -> list[Effect]:
    """Return one effect per quantity, in order; rows are sorted by query_id. `confidences` go by quantity."""
    if not quantities:
        return []
    stack = _Stack.of(quantities)
    drawn_differences, drawn_relatives = _replicates(stack, seed)
    base, candidate, difference = (
        stack.summed(each.sum(axis=0) / stack.queries) for each in (stack.base, stack.candidate, stack.difference)
    )
    p_values = paired_ps(stack.summed(stack.difference / stack.queries), seed=seed, flips=GATE_FLIPS)
    least = np.minimum.reduceat(stack.queries, stack.starts)
    scatter = stack.scatter()
    differs = np.maximum.reduceat(np.abs(stack.difference).max(axis=0), stack.starts) > 0
    found = []
    for at, (confidence, quantity) in enumerate(zip(confidences, quantities, strict=True)):
        n, drawn, relative = int(least[at]), drawn_differences[:, at], drawn_relatives[:, at]
        spans: list[Interval | None] = [None, None]
        if n > 1 and differs[at]:
            spans = [finite_interval(drawn, confidence), finite_interval(relative, confidence)]
            if np.isfinite(drawn).all() and all_equal(drawn, quantity.bounds):
                same = interval_of_equal(float(difference[at]), n, bounds=quantity.bounds, confidence=confidence)
                over_base = None if same is None or base[at] <= 0 else (same[0] / base[at], same[1] / base[at])
                spans = [same, None if over_base is None else (float(over_base[0]), float(over_base[1]))]
        found.append(
            Effect(
                base=float(base[at]),
                candidate=float(candidate[at]),
                difference=float(difference[at]),
                interval=spans[0],
                relative=float(difference[at] / base[at]) if base[at] > 0 else None,
                relative_interval=spans[1],
                p=float(p_values[at]),
                n=n,
                standard_error=scatter[at][0],
                spread_over=scatter[at][1],
                identical=n > 1 and not differs[at],
            )
        )
    return found


def finite_interval(drawn: Array, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the percentile interval of resampled figures; None where an end is infinite or nothing was drawn."""
    found = interval(drawn, confidence=confidence)
    return found if found is not None and not np.isinf(drawn).any() else None


def _replicates(stack: _Stack, seed: int) -> tuple[Array, Array]:
    """Differences and differences over the base, (resamples, quantities) each; infinite where the base is 0."""
    counts = resampled_counts(len(stack.known), seed=seed, resamples=VERDICT_RESAMPLES)
    differences, relatives = [], []
    for start, size in blocks(len(counts)):
        part = counts[start : start + size].astype(np.float64)
        drawn = part @ stack.known
        difference = stack.summed(over(part @ stack.difference, drawn, zero=np.nan))
        differences.append(difference)
        relatives.append(over(difference, stack.summed(over(part @ stack.base, drawn, zero=np.nan))))
    return np.concatenate(differences), np.concatenate(relatives)


@dataclass(frozen=True)
class Timed:
    """Durations of the same queries on both sides, ms, shape (queries, rounds); a side has its own number of rounds."""

    base: Array
    candidate: Array

    @classmethod
    def of(cls, base: pd.DataFrame, candidate: pd.DataFrame) -> Timed | None:
        """From rows of query_id, round, duration_ns of one stage; None where no query was timed on both sides."""
        queries = sorted(set(base["query_id"]) & set(candidate["query_id"]))
        if not queries:
            return None
        return cls(*(rounds_of(side, queries=queries) / NS_PER_MS for side in (base, candidate)))


def quantile_effects(timed: Timed, names: Sequence[str], *, seed: int, confidence: float) -> list[Effect]:
    """Return one effect per name of FEWEST, in order."""
    levels = [QUANTILES[name] for name in names]
    bases, candidates = (quantile_draws(side, levels, seed=seed) for side in (timed.base, timed.candidate))
    return [
        _effect(base, candidate, n=len(timed.base), fewest=FEWEST[name], confidence=confidence)
        for name, base, candidate in zip(names, bases.T, candidates.T, strict=True)
    ]


def _effect(base: Array, candidate: Array, *, n: int, fewest: int, confidence: float) -> Effect:
    """Row 0 of either is what was measured, the rest are resamples of it. Below `fewest` queries there is neither
    interval nor p, unless nothing differs at all."""
    difference, measurable = candidate - base, bool((base > 0).all() and (candidate > 0).all())
    ratio = candidate / base if measurable else np.full(len(base), np.nan)
    enough = n >= fewest or (n > 1 and not difference.any())
    # A clock that read 0 has no ratio: p is 1 where nothing differs, None where something does.
    without_ratio = None if difference.any() else 1.0
    p = _wald(np.log(ratio), n) if measurable else without_ratio
    return Effect(
        base=float(base[0]),
        candidate=float(candidate[0]),
        difference=float(difference[0]),
        interval=finite_interval(difference[1:], confidence) if enough else None,
        relative=float(ratio[0] - 1) if measurable else None,
        relative_interval=finite_interval(ratio[1:] - 1, confidence) if enough and measurable else None,
        p=p if enough or n == 1 else None,
        n=n,
        standard_error=float(difference[1:].std(ddof=1)),
        spread_over=n,
    )


def _wald(logs: Array, n: int) -> float | None:
    """Return Wald's p of a log ratio being 0, row 0 measured; None for one query, whose resamples are all alike.

    The standard error is that of the resamples. Student's t at n - 1 degrees of freedom instead of the normal
    distribution, which raises too many false alarms below twenty queries.
    """
    from scipy import special

    if logs[0] == 0:
        return 1.0
    if n == 1:
        return None
    error = float(logs[1:].std(ddof=1))
    p = 2 * float(special.stdtr(n - 1, -abs(logs[0]) / error)) if error > DUST else 0.0
    return max(p, sys.float_info.min)
