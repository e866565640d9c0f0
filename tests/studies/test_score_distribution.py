"""Expected ranks in a larger corpus: exact where nothing is added, and close to what simulations find elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ragprof.core.errors import BadInput, NonFiniteScore, UnknownName
from ragprof.studies.growth.score_distribution import expected, fit_tail, padded

NAN = float("nan")
Array = NDArray[np.float64]
TAIL = np.arange(20.0, 0.0, -1.0)[None]


def one(family: str, cutoff: int, scores: list[float], grades: list[float], *, at: int = 100) -> float:
    """One query with others at 20, 19, ... 1, the best of 100."""
    found = expected(family, cutoff, relevant_scores=[scores], grades=[grades], tail=TAIL, size=100, at=at)
    return float(found[0])


def test_at_its_own_size_the_expectation_is_the_measured_value() -> None:
    """Ranks 1 and 4 of three relevant: (1 + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / 2)."""
    scores = [18.5, 21.0, -5.0]
    assert one("nDCG", 10, scores, [1, 1, 1]) == pytest.approx(0.6713860725)
    assert one("R", 10, scores, [1, 1, 1]) == pytest.approx(2 / 3)
    assert one("P", 10, scores, [1, 1, 1]) == pytest.approx(0.2)
    assert one("P", 3, scores, [1, 1, 1]) == pytest.approx(1 / 3)


def test_grades_are_linear_gains() -> None:
    """Grade 1 at rank 1 and 2 at rank 2: (1 + 2 / log2(3)) / (2 + 1 / log2(3))."""
    assert one("nDCG", 5, [30.0, 25.0], [1, 2]) == pytest.approx(0.8597186998)


def test_the_ideal_is_over_all_relevant_up_to_the_cutoff() -> None:
    assert one("nDCG", 1, [30.0, -9.0, -9.0], [1, 2, 1]) == pytest.approx(0.5)
    assert one("R", 1, [30.0, 29.0], [1, 1]) == pytest.approx(0.5)


def test_below_the_tail_nothing_is_found() -> None:
    assert [one(family, 10, [0.5], [1.0]) for family in ("nDCG", "R", "P")] == [0.0, 0.0, 0.0]


def test_counted_scores_grow_in_proportion() -> None:
    """Below the threshold the share is counted: 40 of 100 above, so twenty more bring a Poisson number of mean 8."""
    tail = np.arange(100.0, 0.0, -1.0)[None]
    found = [
        expected("R", cutoff, relevant_scores=[[60.5]], grades=[[1.0]], tail=tail, size=100, at=120)[0]
        for cutoff in (40, 41, 49)
    ]
    assert found == pytest.approx([0.0, 0.0003354626, 0.5925473], rel=1e-5)


def test_more_others_never_help() -> None:
    values = [one("nDCG", 10, [19.5, 12.5], [1, 1], at=at) for at in (100, 150, 200, 500, 5_000)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05 < values[0]


def test_a_query_without_relevant_passages_has_no_value() -> None:
    found = expected("R", 5, relevant_scores=[[NAN], [30.0]], grades=[[NAN], [1.0]], tail=np.repeat(TAIL, 2, 0),
                     size=100, at=100)  # fmt: skip
    assert np.isnan(found[0])
    assert found[1] == 1.0


def test_rows_of_different_lengths_are_filled_up() -> None:
    assert np.array_equal(padded([[1.0], [2.0, 3.0]]), [[1.0, NAN], [2.0, 3.0]], equal_nan=True)
    assert padded([[], []]).shape == (2, 0)
    nothing = expected("nDCG", 5, relevant_scores=padded([[]]), grades=padded([[]]), tail=TAIL, size=100, at=200)
    assert np.isnan(nothing).tolist() == [True]


def test_equal_scores_have_no_tail_beyond_them() -> None:
    found = expected("R", 5, relevant_scores=[[2.0]], grades=[[1.0]], tail=np.ones((1, 30)), size=50, at=50_000)
    assert found[0] == 1.0


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_a_generalised_pareto_tail_is_found_again(shape: float) -> None:
    """From the 100 best of 5,000 scores a query: the shape, and the share above a score that one in 5,000 exceeds."""
    drawn = stats.genpareto.rvs(shape, size=(400, 5_000), random_state=np.random.default_rng(0))
    fitted = fit_tail(-np.sort(-drawn, axis=1)[:, :100], 5_000)
    assert fitted.shape == pytest.approx(shape, abs=0.08)
    high = stats.genpareto.isf(1 / 5_000, shape)
    shares = fitted.above(np.full((400, 1), high))[fitted.threshold < high]
    assert np.median(shares) == pytest.approx(1 / 5_000, rel=0.15)


def test_the_shape_is_held_within_its_limits() -> None:
    heavy = np.exp(np.random.default_rng(0).normal(0, 3, (50, 100)))
    assert fit_tail(heavy, 10_000).shape == 0.5


def top_of(isf: Callable[[Array], Array], *, size: int, queries: int, rng: np.random.Generator) -> Array:
    """The 100 best of `size` scores of each query, drawn directly: order statistics of the uniform."""
    waits = np.cumsum(rng.exponential(size=(queries, 101)), axis=1)
    shares = waits[:, :-1] / (waits[:, -1:] + rng.gamma(size - 100, size=(queries, 1)))
    return isf(shares)


DISTRIBUTIONS = {
    "normal": stats.norm.isf,
    "student t, 4 degrees": lambda share: stats.t.isf(share, 4),
    "exponential": lambda share: -np.log(share),
    "beta, bounded": lambda share: stats.beta.isf(share, 2, 8),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ten_times_the_corpus_as_simulated(name: str) -> None:
    """2,000 queries with two relevant passages that 1 in 10^1.5 .. 10^6 others beats; 5,000 others become 50,000."""
    rng = np.random.default_rng(0)
    shares = 10 ** rng.uniform(-6, -1.5, (2_000, 2))
    isf = DISTRIBUTIONS[name]
    tail, scores = top_of(isf, size=5_000, queries=2_000, rng=rng), isf(shares)
    predicted = expected(
        "nDCG", 10, relevant_scores=scores, grades=np.ones_like(scores), tail=tail, size=5_000, at=50_000
    )
    simulated = ndcg_at_10(scores, above(scores, tail) + rng.poisson(45_000 * shares))
    assert ndcg_at_10(scores, above(scores, tail)).mean() - simulated.mean() > 0.2
    assert predicted.mean() == pytest.approx(simulated.mean(), abs=0.02)


def above(scores: Array, tail: Array) -> NDArray[np.int64]:
    return np.asarray((tail[:, None, :] > scores[:, :, None]).sum(2))


def ndcg_at_10(scores: Array, others: NDArray[np.int64]) -> Array:
    """Measured, two relevant passages of grade 1 a query; `others` is how many others stand above each."""
    ranks = np.argsort(np.argsort(-scores, axis=1), axis=1) + 1 + others
    return np.asarray(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).sum(1) / (1 + 1 / np.log2(3)))


def test_a_corpus_that_was_really_searched() -> None:
    """200 queries, 4,000 others with normal scores of each query's own level and spread; a quarter predicts all."""
    rng = np.random.default_rng(1)
    level, spread = rng.normal(0.2, 0.05, (200, 1)), rng.uniform(0.05, 0.15, (200, 1))
    others = level + spread * rng.normal(size=(200, 4_000))
    scores = level + spread * rng.uniform(1.5, 5.0, (200, 2))
    tail = -np.sort(-others[:, :1_000], axis=1)[:, :100]
    predicted = expected(
        "nDCG", 10, relevant_scores=scores, grades=np.ones_like(scores), tail=tail, size=1_000, at=4_000
    )
    full, quarter = (ndcg_at_10(scores, above(scores, part)).mean() for part in (others, others[:, :1_000]))
    assert quarter - full > 0.08
    assert predicted.mean() == pytest.approx(full, abs=0.015)


def test_what_cannot_be_asked() -> None:
    with pytest.raises(UnknownName, match="no metric that the score distribution can forecast named 'AP'"):
        one("AP", 5, [1.0], [1.0])
    with pytest.raises(BadInput, match="asked for a corpus of 50, below the 100"):
        one("R", 5, [1.0], [1.0], at=50)
    with pytest.raises(BadInput, match="a cutoff of 21 needs at least as many scores of others; there are 20"):
        one("R", 21, [1.0], [1.0])
    with pytest.raises(BadInput, match="scores and grades have one shape"):
        one("R", 5, [1.0], [1.0, 2.0])


def test_tails_that_cannot_be_fitted() -> None:
    with pytest.raises(BadInput, match=r"T above 10 and at most the 100 others; not \(1, 10\)"):
        fit_tail(np.ones((1, 10)), 100)
    with pytest.raises(BadInput, match="at most the 15 others"):
        fit_tail(np.ones((1, 20)), 15)
    with pytest.raises(NonFiniteScore, match="a score in the tail is NaN or infinite"):
        fit_tail(np.full((1, 20), NAN), 100)
