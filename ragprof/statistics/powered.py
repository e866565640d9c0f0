"""Means over queries from a model's judgements of all of them and a person's of a few: prediction-powered inference.

Every query has a score by the model's judgements, and those that were drawn have one by a person's. What is estimated
is the mean of the person's score over queries like these: the model's mean, corrected by its error on the drawn ones
(prediction-powered inference, Angelopoulos et al., arXiv 2301.09633), which weighs as much as it deserves,

    power * (mean of the model's scores) + mean over the drawn of (the person's - power * the model's)

("power tuning" of PPI++, Angelopoulos, Duchi and Zrnic, arXiv 2311.01453). The power of least variance is the slope of
the person's scores on the model's, kept within 0 and 1: with power 0 the estimate is the person's alone.

Queries are drawn one after the other, without replacement. A draw may prefer some to others by whatever was known
before it, as long as every chance is above 0 and written down: then the mean of any value r over all N queries is
estimated without bias by each draw m alone,

    t_m = (sum of r over the queries drawn before + r_m / chance_m) / N

(Des Raj, JASA 51, 1956, 269-284; for choosing by a model's doubt, Zrnic and Candes, Active statistical inference,
arXiv 2403.03208). What is left to be drawn from shrinks, so t_m scatters in proportion to (N - m + 1) / N, and draws
weigh accordingly, nearly as in the levelled estimator of Farquhar, Gal and Rainforth, arXiv 2101.11665. Reads no file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ragprof.core.errors import BadInput
from ragprof.statistics.draws import Array
from ragprof.statistics.unseen import CONFIDENCE, EQUAL, SIGNED, Bounds, interval_of_equal

FEWEST_DRAWN = 15
"""Drawn queries below which there is no interval: of ten it misses the truth twice too often
(evals/labels/simulation.py)."""


@dataclass(frozen=True)
class DrawnQueries:
    """Queries that a person judged, in the order in which they were drawn.

    `places` are theirs among all queries; `chances` is what each had among those that were left, in (0, 1].
    """

    places: NDArray[np.int64]
    chances: Array

    def __post_init__(self) -> None:
        if len(self.places) != len(self.chances) or len(set(self.places.tolist())) != len(self.places):
            raise BadInput("a query was drawn twice or has no chance noted; draws are without replacement")
        if not (self.chances > 0).all():
            raise BadInput("a query was drawn that had no chance to be, so the sample is not the one that was noted")


@dataclass(frozen=True)
class PoweredMean:
    """A mean, its interval and how it came about. `interval` is None below FEWEST_DRAWN drawn queries."""

    mean: float
    interval: tuple[float, float] | None
    power: float
    """How much of the model's judgements went in, 0 to 1: lambda of PPI++."""
    queries: int
    drawn: int
    of_draws: float = 0.0
    """The part of the variance that falls in proportion to 1 / drawn; the rest is that of the queries."""
    of_queries: float = 0.0

    def half_width_after(self, more: int) -> float:
        """About what the half width would be after so many draws more, of queries that are no easier to foretell."""
        if self.interval is None:
            return math.inf
        total = min(self.queries, self.drawn + more)
        now, then = (1 / drawn - 1 / self.queries for drawn in (self.drawn, total))
        share = then / now if now > 0 else 1.0
        return self.half_width * math.sqrt(
            (self.of_draws * share + self.of_queries) / max(self.of_draws + self.of_queries, 1e-300)
        )

    @property
    def half_width(self) -> float:
        """Infinite where there is no interval."""
        return math.inf if self.interval is None else (self.interval[1] - self.interval[0]) / 2


def powered_mean(
    model: Array,
    person: Array,
    drawn: DrawnQueries,
    *,
    bounds: Bounds = SIGNED,
    power: float | None = None,
    confidence: float = CONFIDENCE,
) -> PoweredMean:
    """Estimate the mean over queries of what a person would score.

    `model` is (queries,), `person` (drawn,) in the order of the draws: scores, or differences of two pipelines, which
    are paired by being of the same query. Where `power` is None, the one that leaves the least scatter is taken.
    `bounds` are those of one value; no interval reaches beyond them. Where the person says the same of every query that
    was drawn, nothing scatters, and the interval is at least that of `unseen`.
    Raises BadInput where the shapes do not fit.
    """
    total, taken = len(model), len(drawn.places)
    if len(person) != taken or taken > total or not total:
        raise BadInput(f"{len(person)} judged queries do not fit {taken} draws of {total}")
    if not taken:
        return PoweredMean(float(model.mean()), None, 1.0, total, 0)
    if taken == total:
        error = float(person.std(ddof=1)) / math.sqrt(total) if total > 1 else 0.0
        found = _estimated(float(person.mean()), (0.0, error**2), total - 1, 0.0, (total, taken), confidence)
        return _within(found, person, bounds, confidence)
    # In units of `scale` all draws scatter alike. The mean that is looked for is the first slope of a line through
    # them. The others are of what is known: the model's mean, and the mean of 1, which uneven chances make a draw miss.
    scale = (total - np.arange(taken)) / total
    by_person = _by_draw(person, drawn, total) / scale
    by_model = (_by_draw(model[drawn.places], drawn, total) - model.mean()) / scale
    by_one = (_by_draw(np.ones(taken), drawn, total) - 1) / scale
    is_uneven = taken >= FEWEST_DRAWN and np.abs(by_one).max() > EQUAL
    columns = np.column_stack([1 / scale, by_one] if is_uneven else [1 / scale])
    if power is None:
        power = 1.0
        if taken >= FEWEST_DRAWN and np.abs(by_model).max() > EQUAL:
            tuned = np.column_stack([columns, by_model])
            fitted = float(_fit(tuned, by_person)[0][-1])
            power = min(1.0, max(0.0, fitted))
            if power == fitted:
                columns, by_model = tuned, np.zeros(taken)
    slopes, of_draws = _fit(columns, by_person - power * by_model)
    parts = of_draws, _of_queries(person, float(slopes[0]), drawn, total)
    found = _estimated(float(slopes[0]), parts, taken - columns.shape[1], power, (total, taken), confidence)
    return _within(found, person, bounds, confidence)


def _by_draw(values: Array, drawn: DrawnQueries, total: int) -> Array:
    """t_m of the module's text."""
    before = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    return np.asarray((before + values / drawn.chances) / total)


def _fit(columns: Array, values: Array) -> tuple[Array, float]:
    """Slopes by least squares, and the variance of the first.

    The errors are those that each draw has on a line fitted without it (HC3: MacKinnon and White, Journal of
    Econometrics 29, 1985, 305-325): three slopes that are fitted to twenty draws hide much of their scatter.
    """
    inverse = np.linalg.pinv(columns)
    slopes = inverse @ values
    leverage = np.clip((columns * inverse.T).sum(axis=1), 0.0, 0.99)
    errors = (values - columns @ slopes) / (1 - leverage)
    return slopes, float(((inverse[0] * errors) ** 2).sum())


def _of_queries(person: Array, mean: float, drawn: DrawnQueries, total: int) -> float:
    """The variance of the mean that would be left had a person judged every query: others could have been asked."""
    weights = 1 / (total - np.arange(len(person))) ** 2
    return float(weights @ _by_draw((person - mean) ** 2, drawn, total) / weights.sum()) / total


def _estimated(
    mean: float, parts: tuple[float, float], degrees: int, power: float, counts: tuple[int, int], confidence: float
) -> PoweredMean:
    """`parts` of the variance are of the draws and of the queries; `counts` are those of queries and of draws."""
    from scipy import special

    if counts[1] < FEWEST_DRAWN:
        return PoweredMean(mean, None, power, *counts)
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(sum(parts))
    return PoweredMean(mean, (mean - reach, mean + reach), power, *counts, *parts)


def _within(found: PoweredMean, person: Array, bounds: Bounds, confidence: float) -> PoweredMean:
    """The same with an interval as wide as what was not seen may be, and no wider than is possible."""
    if found.interval is None:
        return found
    least, most = bounds
    mean = min(most, max(least, found.mean))
    low, high = found.interval
    if np.ptp(person) <= EQUAL:
        widest = interval_of_equal(mean, len(person), bounds=bounds, confidence=confidence) or (low, high)
        low, high = min(low, widest[0]), max(high, widest[1])
    return replace(found, mean=mean, interval=(max(least, low), min(most, high)))
