"""How many queries a difference needs, and how small a difference so many queries can find: one formula, both ways.

A two-sided paired test at `alpha` finds a mean difference with power 0.8 where it is (q(1 - alpha/2) + q(0.8)) of its
standard errors (Cohen, Statistical power analysis, 1988, chapter 2), with q the quantiles of Student's distribution at
the queries' degrees of freedom where their number is given, and of the normal distribution where it is looked for.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.statistics.estimates import finite

ALPHA = 0.05
POWER = 0.8


def detectable(sd: float, n: int, *, alpha: float = ALPHA) -> float:
    """Return the smallest mean difference that n queries find; `sd` is that of the differences, in their unit.

    For a gate among many, `alpha` is its own over their number. Raises BadInput below two queries.
    """
    if n < 2 or not math.isfinite(sd) or sd < 0:
        raise BadInput(
            f"{counted(n, 'query')} and a standard deviation of {sd} tell no difference; record at least two queries"
        )
    return _standard_errors(alpha, degrees=n - 1) * sd / math.sqrt(n)


def more_queries_needed(differences: ArrayLike, *, alpha: float = ALPHA) -> int | None:
    """Return how many queries beyond these would show their mean difference, 0 where they do; None without one."""
    array = finite(differences)
    if array.size < 2:
        return None
    return more_queries(array.mean(), array.std(ddof=1) / math.sqrt(array.size), n=array.size, alpha=alpha)


def more_queries(distance: float, standard_error: float, *, n: int, alpha: float) -> int | None:
    """Return how many queries beyond n would show a difference of `distance`; None where nothing would.

    It is measured from 0, or from a margin. The error shrinks with the square root of the number of queries.
    """
    if distance == 0 or n < 2:
        return None
    return max(0, math.ceil(n * (_standard_errors(alpha) * standard_error / abs(distance)) ** 2) - n)


def spread(differences: ArrayLike) -> float:
    """Return their standard deviation, for `detectable`."""
    return float(np.std(np.asarray(differences, dtype=np.float64), ddof=1))


def _standard_errors(alpha: float, degrees: float = math.inf) -> float:
    from scipy import special

    return float(special.stdtrit(degrees, 1 - alpha / 2) + special.stdtrit(degrees, POWER))
