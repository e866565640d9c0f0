"""How small a difference so many queries can tell. Reads no file."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ragprof.core.errors import BadInput
from ragprof.statistics.estimates import POWER
from ragprof.statistics.paired import Effect


def detectable(sd: float, n: int, *, alpha: float = 0.05) -> float:
    """The smallest mean difference that a two-sided paired test at `alpha` finds on n queries with power 0.8.

    `sd` is that of the differences, and in their unit; Student's t at n - 1 degrees of freedom (Cohen: Statistical
    power analysis, 1988, chapter 2). For a gate among many, `alpha` is its own over their number.
    """
    if n < 2 or not math.isfinite(sd) or sd < 0:
        raise BadInput(f"{n} queries and a standard deviation of {sd} tell no difference; record at least two queries")
    return float((stats.t.ppf(1 - alpha / 2, n - 1) + stats.t.ppf(POWER, n - 1)) * sd / math.sqrt(n))


def spread(differences: ArrayLike) -> float:
    """Their standard deviation, for `detectable`. Two recordings or two pipelines give differences; one gives none."""
    return float(np.std(np.asarray(differences, dtype=np.float64), ddof=1))


def more_queries(effect: Effect, *, alpha: float, beyond: float = 0.0) -> int | None:
    """How many queries beyond these would tell the difference from `beyond` with power 0.8; None where none would.

    As `statistics.more_queries_needed`, for a quantity of several items too: n * ((z * error / distance)^2 - 1).
    """
    distance = abs(effect.difference - beyond)
    if distance == 0 or effect.spread_over < 2:
        return None
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))
    n = effect.spread_over
    return max(0, math.ceil(n * (z * effect.standard_error / distance) ** 2) - n) or None
