"""Stretches of axes, chosen so that every point and interval lies inside, and the unit of a time axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_DIGITS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(range(1, 10)), tuple(tenth / 10 for tenth in range(10, 100, 2)))
_FEWEST_TICKS = 3


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`. On a logarithmic scale both are above 0."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, fewest: int = _FEWEST_TICKS) -> list[float]:
        """Round values inside a logarithmic scale: the coarsest choice of digits that gives enough of them."""
        for digits in _DIGITS:
            found = self._multiples(digits)
            if len(found) >= fewest:
                return found
        return found

    def _multiples(self, digits: Sequence[float]) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (float(f"{digit}e{decade}") for decade in decades for digit in digits)
        return [step for step in steps if self.low <= step <= self.high]

    def decimals(self) -> int:
        """How many decimals tell about five ticks of a linear scale apart."""
        return max(0, 1 - math.floor(math.log10((self.high - self.low) / 2)))


def logarithmic(values: Sequence[float]) -> Scale:
    """With room at both ends for marks and names; at least a factor of 1.4 wide. Needs one value above 0."""
    low, high = min(value for value in values if value > 0), max(values)
    margin = max((high / low) ** 0.14, 1.2)
    return Scale(low / margin, high * margin, logarithmic=True)


def linear(values: Sequence[float], *, margin: float) -> Scale:
    """With a share of the range added at both ends. Does not reach below 0 where no value does."""
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(high) * margin or 1.0
    return Scale(max(0.0, low - room) if low >= 0 else low - room, high + room)


def time_unit(longest_ns: float) -> tuple[str, float]:
    """The unit of a time axis and its length in ns."""
    if longest_ns >= 20e9:
        return "s", 1e9
    return ("ms", 1e6) if longest_ns >= 1e6 else ("µs", 1e3)
