"""What a ratio over the asked questions is worth: every figure of a study from the same resampled questions.

A mean over one set of questions is `estimated`; whatever is made of several means (a price over a share, a product)
is computed on `Draws`, in which each resample drew the same questions for all of them: the bootstrap of a ratio of
sums, Efron and Tibshirani: An introduction to the bootstrap, 1993, section 10.6. Reads no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.errors import BadInput
from ragprof.statistics import CONFIDENCE, RESAMPLES, mean_estimate

Array: TypeAlias = NDArray[np.float64]
ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Draws:
    """How often each question was drawn, (1 + resamples, questions). Row 0 draws each once: what was found."""

    ids: tuple[str, ...]
    counts: Array

    @classmethod
    def of(cls, ids: Sequence[str], *, seed: int, stream: int = 0, replicates: int = RESAMPLES) -> Draws:
        """Seeded; draws of different `stream` are independent of each other."""
        if not len(ids):
            raise BadInput("no question was asked; there is nothing to resample")
        ordered = tuple(sorted(ids))
        rng = np.random.default_rng([seed, stream])
        drawn = rng.multinomial(len(ordered), np.full(len(ordered), 1 / len(ordered)), size=replicates)
        return cls(ordered, np.vstack([np.ones(len(ordered)), drawn]))

    def mean(self, values: pd.Series) -> Array:
        """Means of the values that are known, by query_id; NaN where a resample drew no question that has one."""
        cells = values.reindex(list(self.ids)).to_numpy(dtype=float, na_value=np.nan)
        known = ~np.isnan(cells)
        return over(self.counts @ np.where(known, cells, 0.0), self.counts @ known.astype(np.float64), zero=np.nan)


def over(numerator: Array, denominator: Array, *, zero: float = np.inf) -> Array:
    """Numerator / denominator; `zero` stands where the denominator is 0, NaN where either is unknown."""
    empty = np.where(np.isnan(numerator) | np.isnan(denominator), np.nan, zero)
    return np.asarray(np.divide(numerator, denominator, out=empty, where=denominator > 0))


def resampled(figures: Array, n: int) -> dict[str, Any]:
    """An estimate from row 0 and the resamples after it. Infinite is written as null.

    So a price for each correct answer has an interval that is open above where one resample in forty or more holds no
    correct answer, and no mean where there is none at all.
    """
    found = float(figures[0])
    if n == 0 or np.isnan(found):
        return {"mean": None, "interval": None, "n": n}
    return {"mean": found if np.isfinite(found) else None, "interval": ends(figures) if n > 1 else None, "n": n}


def ends(figures: Array) -> list[float | None] | None:
    """The percentile interval of the resamples (row 0 left out); an end that is infinite is None."""
    drawn = figures[1:][~np.isnan(figures[1:])]
    if not np.isfinite(drawn).any():
        return None
    if np.isfinite(drawn).all():
        return [float(end) for end in np.quantile(drawn, ENDS)]
    low, high = np.quantile(drawn, ENDS[0], method="lower"), np.quantile(drawn, ENDS[1], method="higher")
    return [float(end) if np.isfinite(end) else None for end in (low, high)]


def estimated(values: pd.Series, *, seed: int) -> dict[str, Any]:
    """Mean of the values that are known with its interval; the order of the questions decides nothing."""
    known = values.sort_index().dropna().to_numpy(dtype=float)
    estimate = mean_estimate(known, seed=seed)
    return {
        "mean": estimate.mean,
        "interval": None if estimate.interval is None else list(estimate.interval),
        "n": estimate.n,
    }


def gained(candidate: pd.Series, baseline: pd.Series) -> pd.Series:
    """Candidate minus baseline for each question that both answered with a known value."""
    return (candidate - baseline).dropna().sort_index()
