"""What n equal values leave open: resamples of them are all alike, and their interval would claim to know everything.

Values within bounds, such as a metric and the difference of two: a share of all queries of which n showed none may
still be as large as 1 - 0.025^(1 / n) (the two-sided interval of Clopper and Pearson, Biometrika 26, 1934, 404-413),
and that share may lie as far away as the bounds allow. Of zeros and ones it is their interval itself.

Values without bounds, such as tokens and money: no data bound their mean (Bahadur and Savage, The nonexistence of
certain statistical procedures in nonparametric problems, Annals of Mathematical Statistics 27, 1956, 1115-1122). What n
equal ones do bound is the median: it lies between the smallest and the largest of n with a probability of 1 - 2^(1 - n)
(David and Nagaraja, Order statistics, 2003, section 7.1), so from six of them on it is their value, and of fewer
nothing is said. Any other quantile q lies between them with a probability of 1 - q^n - (1 - q)^n, so that a p95 of
equal durations is known from 59 of them on, and a p99 from 299. Reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bounds: TypeAlias = tuple[float, float]
CONFIDENCE = 0.95
UNIT: Bounds = (0.0, 1.0)
SIGNED: Bounds = (-1.0, 1.0)
"""Between what a metric or a share of a query lies, and the difference of two of them."""
EQUAL = 1e-9
"""Below it, values within such bounds differ by rounding alone."""
DUST = 1e-12
"""The same of values without bounds, as a share of them."""


def unseen_share(n: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the largest share of all queries of which n, at least one, may have shown none."""
    return float(1 - ((1 - confidence) / 2) ** (1 / n))


def queries_to_exclude(share: float, *, confidence: float = CONFIDENCE) -> int | None:
    """Return of how many queries none must show it, for the unseen share to be no larger; None where no number is."""
    if not 0 < share < 1:
        return None
    return math.ceil(math.log((1 - confidence) / 2) / math.log(1 - share) - EQUAL)


def all_equal(values: NDArray[np.float64], bounds: Bounds | None) -> bool:
    """Whether they are the same but for rounding; at least one."""
    low, high = float(values.min()), float(values.max())
    return high - low <= (DUST * max(abs(low), abs(high)) if bounds is None else EQUAL)


def fewest_equal(level: float, *, confidence: float = CONFIDENCE) -> int:
    """Return of how many equal values a quantile is known to be that value, for a level between 0 and 1."""
    n = 2
    while 1 - level**n - (1 - level) ** n < confidence:
        n += 1
    return n


def is_tie(difference: float | None, interval: Sequence[float | None] | None, n: int) -> bool:
    """Whether a paired difference with this interval is that of n queries of which none differs."""
    if difference != 0 or interval is None:
        return False
    reach = unseen_share(n)
    return all(end is not None and (end == 0 or math.isclose(abs(end), reach, rel_tol=1e-4)) for end in interval)


def interval_of_equal(
    value: float, n: int, *, bounds: Bounds | None, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the interval that n equal values allow; None for one, and without bounds where n is too small."""
    if n < 2:
        return None
    if bounds is None:
        return (value, value) if n >= fewest_equal(0.5, confidence=confidence) else None
    unseen = unseen_share(n, confidence=confidence)
    least, most = min(value, bounds[0]), max(value, bounds[1])
    return value - unseen * (value - least), value + unseen * (most - value)
