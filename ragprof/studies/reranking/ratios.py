"""Shares of one mean in another, resample by resample, and how they and other estimates are told in a sentence.

A share has no sign, and so no size, where what it is a share of is not above 0: such an end of an interval is open
(null). Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ragprof.studies.query_draws import Array, resampled

TIMES = 2.0


def ratio(numerator: Array, denominator: Array) -> Array:
    """Infinite with the numerator's sign where the denominator is not above 0; NaN for 0 / 0."""
    told = denominator > 0
    endless = np.where(numerator == 0, np.nan, np.copysign(np.inf, numerator))
    return np.asarray(np.where(told, numerator / np.where(told, denominator, 1.0), endless))


def ratio_estimate(numerator: Array, denominator: Array, *, n: int) -> dict[str, Any]:
    """Of two means in every resample; no mean where the denominator as found is not above 0."""
    return resampled(ratio(numerator, denominator), n)


def percent(share: Mapping[str, Any]) -> str:
    """ "99 % [97, 101]"; "an unknown share" where there is no mean."""
    if share["mean"] is None:
        return "an unknown share"
    return f"{100 * share['mean']:.0f} %{shown(share['interval'], scale=100, digits=0)}"


def share_of(share: Mapping[str, Any]) -> str:
    """ "48 % [45, 51] of", or "23.6 times [22.6, 24.3]" where it is more than twice as much."""
    if share["mean"] is None or share["mean"] <= TIMES:
        return f"{percent(share)} of"
    return f"{share['mean']:.3g} times{shown(share['interval'], digits=1)}"


def change(difference: Mapping[str, Any]) -> str:
    """Of a metric: "+0.031 [+0.012, +0.049]"."""
    return f"{difference['mean']:+.3f}{shown(difference['interval'], sign='+')}"


def level(metric: Mapping[str, Any]) -> str:
    """Of a metric itself: "0.612 [0.550, 0.671]"."""
    return f"{metric['mean']:.3f}{shown(metric['interval'])}"


def shown(ends: Sequence[float | None] | None, *, scale: float = 1.0, digits: int = 3, sign: str = "") -> str:
    """ " [0.550, 0.671]": each end times `scale`, "open" where there is none; nothing without an interval."""
    if ends is None:
        return ""
    low, high = ("open" if end is None else f"{scale * end:{sign}.{digits}f}" for end in ends)
    return f" [{low}, {high}]"
