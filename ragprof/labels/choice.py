"""Which queries a person judges next: those on which the model is likely to mislead most; all of them are possible.

A query's chance is in proportion to the error that its score (or the difference of two pipelines) is expected to have
under the model's grades, over the root of what judging it takes; that is the choice that leaves the least variance
(Zrnic and Candes, Active statistical inference, arXiv 2403.03208; costs as in optimum allocation: Cochran, Sampling
techniques, 1977). Where pipelines rank alike, or the model is sure, there is little to learn. A share of all chances is
spread evenly, so that none is 0 and no estimate rests on the model's knowing when it errs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.statistics.draws import Array

Grades: TypeAlias = NDArray[np.int64]
"""(queries, places): 0 to 3, UNGRADED where there is no passage or no grade."""
Score: TypeAlias = Callable[[Grades], Array]
"""One value per query from grades (queries, places)."""
UNGRADED = -1
LEVELS = 4
EVEN_SHARE = 0.1
SCENARIOS = 40
PRIOR_WEIGHT = 4.0
PRIOR = np.array(
    [[0.90, 0.07, 0.02, 0.01], [0.45, 0.40, 0.10, 0.05], [0.25, 0.25, 0.35, 0.15], [0.20, 0.15, 0.25, 0.40]]
)
"""P(a person's grade | a model's) before a person has judged, worth PRIOR_WEIGHT judgements of each grade: models
seldom miss what is relevant, and often give too much. It steers the choice alone; no figure rests on it."""


@dataclass(frozen=True)
class Beliefs:
    """P(a person's grade | the model's first answer), (LEVELS, LEVELS), rows sum to 1.

    One table for pairs that were asked about once, one where two answers agree, and one where they differ.
    """

    once: Array
    agreed: Array
    torn: Array

    @classmethod
    def after(cls, first: Grades, second: Grades, person: Grades) -> Beliefs:
        """What is believed after a person graded some of what the model did; all flat, UNGRADED where unknown."""
        priors = (PRIOR, _rows(PRIOR**2), _rows(PRIOR + PRIOR.mean(axis=0)))
        seen = (first != UNGRADED) & (person != UNGRADED)
        tables = []
        for prior, kind in zip(priors, _kinds(first, second), strict=True):
            counts = PRIOR_WEIGHT * prior
            np.add.at(counts, (first[seen & kind], person[seen & kind]), 1.0)
            tables.append(_rows(counts))
        return cls(*tables)

    def of(self, first: Grades, second: Grades) -> Array:
        """(queries, places, LEVELS) of the model's answers; of a pair without an answer all grades are as likely."""
        once, agreed, _ = _kinds(first, second)
        told = np.where(once[..., None], self.once[first], self.torn[first])
        told = np.where(agreed[..., None], self.agreed[first], told)
        return np.asarray(np.where((first == UNGRADED)[..., None], 1 / LEVELS, told))


def _kinds(first: Grades, second: Grades) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Asked about once; twice with one answer; twice with two."""
    return second == UNGRADED, (second != UNGRADED) & (second == first), (second != UNGRADED) & (second != first)


def _rows(table: Array) -> Array:
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def expected_errors(score: Score, first: Grades, chances: Array, is_there: NDArray[np.bool_], *, seed: int) -> Array:
    """Return the root mean square error of each query's score, (queries,), over what a person may say of its passages.

    `chances` are `Beliefs.of`. The model's score counts as far as it would in the estimate: by its regression slope.
    """
    rng, by_model = np.random.default_rng(seed), score(first)
    cumulated = np.cumsum(chances, axis=-1)[..., :-1]
    drawn = []
    for _ in range(SCENARIOS):
        grades = (rng.random(first.shape)[..., None] > cumulated).sum(axis=-1)
        drawn.append(score(np.where(is_there, grades, UNGRADED)))
    person = np.stack(drawn)
    power = float((person.mean(axis=0) * by_model).sum() / max(float((by_model**2).sum()), 1e-12))
    return np.asarray(np.sqrt(((person - np.clip(power, 0, 1) * by_model) ** 2).mean(axis=0)))


def preferences(errors: Array, costs: Array) -> Array:
    """Weights by which queries are drawn, (queries,), all above 0, summing to 1; `costs` are passages to judge."""
    wanted = errors / np.sqrt(np.maximum(costs, 1))
    even = np.full(len(errors), 1 / len(errors))
    return even if wanted.sum() <= 0 else (1 - EVEN_SHARE) * wanted / wanted.sum() + EVEN_SHARE * even


def draw(weights: Array, taken: Sequence[int], count: int, *, seed: int) -> list[tuple[int, float]]:
    """Draw queries that are not `taken`, one after the other: (place, its chance among those that were left)."""
    rng, left = np.random.default_rng([seed, len(taken)]), weights.astype(np.float64).copy()
    left[list(taken)] = 0.0
    drawn: list[tuple[int, float]] = []
    for _ in range(min(count, int((left > 0).sum()))):
        shares = left / left.sum()
        place = int(rng.choice(len(shares), p=shares))
        drawn.append((place, float(shares[place])))
        left[place] = 0.0
    return drawn
