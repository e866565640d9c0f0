"""What the whole source would do, from a sample of it: how many of its passages come before each of today's own.

A sample of a share of the source has put some passages before one of today's; how many the whole puts there is not
known, but how often it is how many is: over all queries, counts of a sample are counts of the whole, thinned. Their
distribution is estimated without assuming a shape (mixtures of Poisson: Simar, Annals of Statistics 4, 1976, 1200-1209,
by EM), for what stands first, next and further down apart, since those do not compete alike; then each place has an
expected value (empirical Bayes: Robbins, 1956). Rates too low for the sample to show are anybody's guess: there EM ends
near where it begins, so intervals hold several beginnings. Pure: reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ragprof.studies.screen.simulate import Candidates

Counts = NDArray[np.int64]
Values = NDArray[np.float64]
BANDS = (1, 3)
"""First, second and third, further down."""
RATES, ITERATIONS = 48, 100
SMALLEST = 0.05
"""The lowest rate above 0 of the mixture, in passages of the whole source."""
EVEN, FEW, MANY = BEGINNINGS = range(3)
IMAGINED = 3.0
"""Results of any rate that MANY adds to those that were seen: of n left alone, 3/n may not stay so (95%)."""
NEARLY_NONE = 1e-12
"""What every rate but 0 has where FEW is believed: above 0, or EM could never raise it."""


@dataclass(frozen=True)
class Own:
    """Some of today's own results: arrays of one entry each.

    `before` are own results that stand before it, `worth` (entries, places) is its value at each place from 0 on; it is
    worth nothing behind the last one.
    """

    before: Counts
    worth: Values


def standing(found: Candidates, counts: Counts, same: Counts) -> Iterator[tuple[int, int, Counts]]:
    """Own results of one query in their final order: (which, own results before it, those of the sample before it).

    `counts` (resamples, sampled) say which documents of the sample are there; what is numbered alike in `same` counts
    once, where it comes first.
    """
    seen, ahead, before = set[int](), np.zeros(len(counts), np.int64), 0
    for item in np.argsort(-found.scores, kind="stable").tolist():
        if same[item] in seen:
            continue
        seen.add(same[item])
        if found.source[item] >= 0:
            ahead = ahead + counts[:, found.source[item]]
        else:
            yield item, before, ahead
            before += 1


@dataclass
class Gathered:
    """Own results of all queries with what each is worth, gathered query by query."""

    query: list[int] = field(default_factory=list)
    final: list[tuple[int, Counts]] = field(default_factory=list)
    search: list[tuple[int, Counts]] = field(default_factory=list)
    worth: list[Values] = field(default_factory=list)

    def add(self, query: int, final: tuple[int, Counts], search: tuple[int, Counts] | None, worth: Values) -> None:
        """A result that stands so in the final order, and so in the search where that is another one."""
        self.query.append(query)
        self.final.append(final)
        self.worth.append(worth)
        if search is not None:
            self.search.append(search)

    def total(self, draws: Values, prior: Counts, chances: Values | None, *, rows: slice, share: float) -> Values:
        """What all are worth under the whole source, (resamples,).

        `draws` (resamples, queries) say how often each query counts; `prior` (resamples,) are BEGINNINGS; `rows` of
        what comes before them, one or as many as there are resamples, are those of a sample that is this share of the
        source. With `chances` (resamples, queries) every query has what may happen to it, else what does on average.
        """
        if not self.query:
            return np.zeros(len(draws))
        weights, worth = draws[:, self.query], np.stack(self.worth)
        found = np.ones_like(weights)
        both = [(self.final, worth)]
        if self.search:
            both.append((self.search, np.ones_like(worth)))
        for standings, value in both:
            before = np.array([each[0] for each in standings])
            ahead = np.broadcast_to(np.stack([each[1][rows] for each in standings], axis=1), weights.shape)
            chance = None if chances is None else chances[:, self.query]
            found = found * expected(Own(before, value), ahead, weights, prior, chance, share=share)
        return np.asarray((weights * found).sum(axis=1))


def expected(
    own: Own, ahead: Counts, weights: Values, prior: Counts, chances: Values | None = None, *, share: float
) -> Values:
    """What each own result is worth on average under the whole source, (resamples, entries).

    `ahead` (resamples, entries) are results of the sample that come before each; `weights` (resamples, entries) say how
    often each counts when it is told how often there are how many. `share` of the source was sampled.
    With `chances` (resamples, entries) of 0 to 1 it is the worth at that quantile of the place, not the average.
    """
    most = own.worth.shape[1]
    found = np.zeros(ahead.shape)
    bands = np.digitize(own.before, BANDS)
    for band in np.unique(bands):
        mine = np.flatnonzero(bands == band)
        counts = np.minimum(ahead[:, mine], most)
        more = further(counts, weights[:, mine], prior, share=share, most=most)
        places = own.before[mine][None, :] + counts
        if chances is not None:
            likely = np.take_along_axis(more, counts[:, :, None], axis=1).cumsum(axis=2)
            at = places + (likely <= chances[:, mine, None]).sum(axis=2)
            found[:, mine] = np.where(at < most, own.worth[mine[None, :], np.minimum(at, most - 1)], 0.0)
            continue
        for extra in range(most):
            at = places + extra
            worth = np.where(at < most, own.worth[mine[None, :], np.minimum(at, most - 1)], 0.0)
            found[:, mine] += worth * np.take_along_axis(more[:, :, extra], counts, axis=1)
    return found


def further(counts: Counts, weights: Values, prior: Counts, *, share: float, most: int) -> Values:
    """P(so many more come before it | so many did in the sample), (resamples, most + 1, most)."""
    if share >= 1:
        none = np.zeros((len(counts), most + 1, most))
        none[:, :, 0] = 1.0
        return none
    seen = np.zeros((len(counts), most + 1))
    np.add.at(seen, (np.arange(len(counts))[:, None], counts), weights)
    rates = np.concatenate([[0.0], np.geomspace(SMALLEST * share, 2.0 * most, RATES)])
    given = _poisson(np.arange(most + 1), rates)
    given[-1] = np.maximum(1 - given[:-1].sum(axis=0), 1e-12)  # as many as there are places, or more
    mixture = _beginnings(rates)[prior]
    imagined = np.where(prior == MANY, IMAGINED, 0.0)[:, None] / len(rates)
    for _ in range(ITERATIONS):
        ratio = np.divide(seen, mixture @ given.T, out=np.zeros_like(seen), where=seen > 0)
        mixture = mixture * (ratio @ given) + imagined
        mixture /= np.maximum(mixture.sum(axis=1, keepdims=True), 1e-300)
    after = mixture[:, None, :] * given[None, :, :]
    after /= np.maximum(after.sum(axis=2, keepdims=True), 1e-300)
    return np.asarray(after @ _poisson(np.arange(most), rates * (1 - share) / share).T)


def _beginnings(rates: Values) -> Values:
    """Where EM begins, (BEGINNINGS, rates)."""
    even, few, many = np.ones_like(rates), np.full_like(rates, NEARLY_NONE), rates.copy()
    few[0] = 1.0
    many[0] = 0.0
    return np.stack([each / each.sum() for each in (even, few, many)])


def _poisson(counts: Counts, rates: Values) -> Values:
    """(counts, rates)."""
    from scipy.special import gammaln, xlogy

    return np.asarray(np.exp(xlogy(counts[:, None], rates[None, :]) - rates[None, :] - gammaln(counts[:, None] + 1)))
