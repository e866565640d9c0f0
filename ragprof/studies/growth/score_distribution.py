"""What exact dense search would be worth in a larger corpus, from the scores in this one. Knows no index, no reranker.

The relevant passages keep their scores; what a larger corpus adds are more of the others. How many of the others score
above s follows from this corpus: below a high threshold they are counted, above it a generalised Pareto tail is fitted
to the exceedances by L-moments (Hosking and Wallis, Parameter and quantile estimation for the generalized Pareto
distribution, Technometrics 29(3), 1987). Each query has its own threshold and scale, while the shape is the queries'
mean, as sites of one region share theirs (Hosking and Wallis, Regional Frequency Analysis, 1997): one query's own shape
is too noisy to be carried far. Growth adds a Poisson number of new others above s to those that are already there, so
that at the corpus's own size the expectation is the measured value. That ranks get worse this way as a dense index
grows: Reimers and Gurevych, The Curse of Dense Low-Dimensional Information Retrieval, ACL 2021, arXiv 2012.14210.

Exact under that model by linearity of expectation: the j-th best relevant passage is at rank j + (others above it).
It assumes that what is added resembles what is there; near-copies or another domain's text do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragprof.core.errors import BadInput, NonFiniteScore, UnknownName

SHAPES = (-0.5, 0.5)
"""Within these the estimates by L-moments are sound (Hosking and Wallis 1987); a fitted shape is held to them."""
EXCEEDANCES = (20, 50)
"""A tail is fitted to the best hundredth of the others, but to no fewer and no more passages than these."""
FEWEST = 10
TINY = 1e-12
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tail:
    """Generalised Pareto tails of the others: arrays (queries,), one `shape` for all; `share` of them is above."""

    threshold: Array
    scale: Array
    shape: float
    share: float

    def above(self, scores: Array) -> Array:
        """(queries, n) scores over the threshold -> share of the others that score higher."""
        excess = (scores - self.threshold[:, None]) / np.maximum(self.scale, TINY)[:, None]
        if abs(self.shape) < TINY:
            return self.share * np.exp(-excess)
        return np.asarray(self.share * np.maximum(1 + self.shape * excess, 0.0) ** (-1 / self.shape))


def padded(rows: Sequence[Sequence[float]]) -> Array:
    """Rows of different lengths as one array, filled up with NaN."""
    width = max((len(row) for row in rows), default=0)
    filled = [[*row, *[np.nan] * (width - len(row))] for row in rows]
    return np.array(filled, dtype=np.float64).reshape(len(rows), width)


def fit_tail(tail: ArrayLike, size: int) -> Tail:
    """`tail`: the best scores among the others of each query, (queries, T), of a corpus of `size` others, any order."""
    scores = _tail(tail, size)
    above = min(max(EXCEEDANCES[0], min(EXCEEDANCES[1], size // 100)), scores.shape[1] - 1)
    threshold = scores[:, above]
    exceedances = scores[:, :above] - threshold[:, None]
    # First two sample L-moments of each row, which is sorted downwards; unbiased (Hosking 1990).
    first = exceedances.mean(1)
    second = 2 * (exceedances * np.arange(above - 1, -1, -1) / (above - 1)).mean(1) - first
    usable = first > TINY
    ratio = float((second[usable] / first[usable]).mean()) if usable.any() else 0.5
    shape = float(np.clip(2 - 1 / max(ratio, TINY), *SHAPES))
    return Tail(threshold, first * (1 - shape), shape, above / size)


def expected(
    family: str,
    cutoff: int,
    *,
    relevant_scores: ArrayLike,
    grades: ArrayLike,
    tail: ArrayLike,
    size: int,
    at: int,
) -> Array:
    """Expected nDCG, R or P (`family`) at `cutoff` of each query, in a corpus of `at` others; NaN: nothing relevant.

    `relevant_scores` and their `grades` (above 0), (queries, relevant), are filled up with NaN (`padded`); `tail` is
    (queries, T), the T best scores of passages not relevant to the query in a corpus with `size` of these; T is at
    least the cutoff and 11. nDCG as trec_eval has it: linear gains, log2 discount, the ideal over all relevant. A tie
    of a relevant passage with another goes to the relevant one. Raises BadInput where `at` is below `size`.
    """
    if family not in FAMILIES:
        raise UnknownName("metric that the score distribution can forecast", family, FAMILIES)
    others = _tail(tail, size)
    scores, gains = _falling(relevant_scores, grades)
    if len(scores) != len(others):
        raise BadInput(f"relevant scores of {len(scores)} queries, but tails of {len(others)}; give one row per query")
    if not 1 <= cutoff <= others.shape[1]:
        raise BadInput(f"a cutoff of {cutoff} needs at least as many scores of others; there are {others.shape[1]}")
    if at < size:
        raise BadInput(f"asked for a corpus of {at}, below the {size} that the scores come from; measure it instead")
    above = (others[:, None, :] > scores[:, :, None]).sum(2)
    # How many of the others that are added to the corpus are expected above each relevant passage.
    fitted = fit_tail(others, size)
    inside = scores <= fitted.threshold[:, None]
    share = np.where(inside, above / size, fitted.above(np.where(inside, fitted.threshold[:, None], scores)))
    found = FAMILIES[family](gains, _places(above, (at - size) * share, cutoff))
    return np.where((gains > 0).any(1), found, np.nan)


def _places(above: NDArray[np.int64], coming: Array, cutoff: int) -> Array:
    """Probability of each rank 1 .. cutoff for each relevant passage: (queries, relevant, cutoff)."""
    from scipy.special import gammaln, xlogy

    ranks = np.arange(1, cutoff + 1)
    first = np.arange(1, above.shape[1] + 1)[None, :] + above
    new = ranks - first[:, :, None]
    known = np.maximum(new, 0)
    chance = np.exp(xlogy(known, coming[:, :, None]) - coming[:, :, None] - gammaln(known + 1))
    return np.where(new >= 0, chance, 0.0)


def _ndcg(gains: Array, places: Array) -> Array:
    cutoff = places.shape[2]
    discounts = 1 / np.log2(1 + np.arange(1, cutoff + 1))
    best = -np.sort(-gains, axis=1)[:, :cutoff]
    ideal = best @ discounts[: best.shape[1]]
    return np.asarray(((places @ discounts) * gains).sum(1) / np.where(ideal > 0, ideal, 1.0))


def _recall(gains: Array, places: Array) -> Array:
    relevant = gains > 0
    return np.asarray((places.sum(2) * relevant).sum(1) / np.maximum(relevant.sum(1), 1))


def _precision(gains: Array, places: Array) -> Array:
    return np.asarray((places.sum(2) * (gains > 0)).sum(1) / places.shape[2])


FAMILIES: Mapping[str, Callable[[Array, Array], Array]] = {"nDCG": _ndcg, "P": _precision, "R": _recall}


def _falling(relevant_scores: ArrayLike, grades: ArrayLike) -> tuple[Array, Array]:
    """Scores of each row, best first, with their gains; padding stands last, at minus infinity with a gain of 0."""
    given, gains = np.asarray(relevant_scores, dtype=np.float64), np.asarray(grades, dtype=np.float64)
    if given.ndim != 2 or given.shape != gains.shape:
        raise BadInput(f"scores and grades have one shape (queries, relevant); found {given.shape} and {gains.shape}")
    scores = np.where(np.isnan(given), -np.inf, given)
    order = np.argsort(-scores, axis=1, kind="stable")
    gains = np.where(np.isnan(given), 0.0, gains)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(gains, order, 1)


def _tail(tail: ArrayLike, size: int) -> Array:
    scores = np.asarray(tail, dtype=np.float64)
    if scores.ndim != 2 or not FEWEST < scores.shape[1] <= size:
        raise BadInput(
            f"a tail has the shape (queries, T) with T above {FEWEST} and at most the {size} others; not {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise NonFiniteScore("a score in the tail is NaN or infinite; no distribution can be fitted to it")
    return np.asarray(-np.sort(-scores, axis=1))
