"""What the charts of growth share: values with their intervals, a logarithmic axis of sizes, labels kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.lookup import at, interval
from ragprof.report.palette import MUTED
from ragprof.report.scales import Scale, linear

SIZE_TITLE = "Corpus size (passages)"
_DIGITS = 5
_LEAST_FACTOR = 1.2


@dataclass(frozen=True, slots=True)
class Mark:
    """A value at a size (or depth) with its 95% interval. A value of None breaks the line, ends of None the band."""

    x: float
    value: float | None
    low: float | None
    high: float | None
    words: str

    def divided(self, length: float) -> Mark:
        """In a larger unit, which is so many times as long."""
        value, low, high = (None if end is None else end / length for end in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def without_interval(self) -> Mark:
        """The value alone, where its interval is drawn by other means."""
        return replace(self, low=None, high=None)

    def within(self, scale: Scale) -> Mark:
        """Its interval cut off where the plot ends; the words still give all of it."""
        low, high = (None if end is None else min(max(end, scale.low), scale.high) for end in (self.low, self.high))
        return replace(self, low=low, high=high)

    def row(self, **more: Any) -> dict[str, Any]:
        """For the chart; digits that nobody can see are left out."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {"x": self.x, **{key: seen(end) for key, end in ends.items()}, "words": self.words, **more}


def seen(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def mark(x: float, value: Any, ends: tuple[float, float] | None, write: Callable[[Any], str]) -> Mark:
    """Value and ends may be decimal strings. Without a value there is no interval either."""
    if value is None:
        return Mark(x, None, None, None, figures.ABSENT)
    low, high = ends or (None, None)
    return Mark(x, float(value), low, high, f"{write(value)} ({figures.span(ends, write)})")


def estimate_mark(x: float, estimate: Any, write: Callable[[Any], str]) -> Mark:
    return mark(x, at(estimate, "mean"), interval(estimate, "interval"), write)


def ends_of(marks: Iterable[Mark]) -> list[float]:
    """Everything that an axis has to hold."""
    return [end for one in marks for end in (one.value, one.low, one.high) if end is not None]


def size_scale(sizes: Sequence[float]) -> Scale:
    """Logarithmic, with a little room at both ends."""
    low, high = min(sizes), max(sizes)
    room = max((high / low) ** 0.05, 1.03 if high > low else _LEAST_FACTOR)
    return Scale(low / room, high * room, logarithmic=True)


def size_axis(scale: Scale, *, ticks: int = 3) -> Any:
    axis = alt.Axis(values=scale.ticks(ticks), format="~s", labelOverlap="greedy", labelSeparation=8, grid=False)
    domain = alt.Scale(type="log", domain=[scale.low, scale.high], nice=False)
    return alt.X("x:Q", title=SIZE_TITLE, axis=axis, scale=domain)


@dataclass(frozen=True, slots=True)
class Vertical:
    """The vertical axis: its title, its scale and how its ticks are written."""

    title: str
    scale: Scale
    spelling: str

    def axis(self, field: str, *, ticks: int = 5) -> Any:
        """The title lies flat above the axis, so that it needs no room beside it."""
        above: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
        axis = alt.Axis(format=self.spelling, tickCount=ticks, labelColor=MUTED, titleX=-34, titleY=-12, **above)
        domain = alt.Scale(domain=[self.scale.low, self.scale.high], nice=False, zero=False)
        return alt.Y(f"{field}:Q", title=self.title, axis=axis, scale=domain)


def near(values: Sequence[float]) -> Scale:
    """A linear stretch around the values; it need not reach 0, lines are read by their slope."""
    return linear(values, margin=0.06)


def apart(wanted: Mapping[str, float], heights: Mapping[str, float], *, room: tuple[float, float]) -> dict[str, float]:
    """Where each label's first line goes: as near as possible to where it is wanted, with its height free below it.

    All lie inside `room` where it holds all of them.
    """
    low, high = room
    placed: dict[str, float] = {}
    floor = low
    for name in sorted(wanted, key=lambda name: wanted[name]):
        placed[name] = max(wanted[name], floor)
        floor = placed[name] + heights[name]
    ceiling = high
    for name in reversed(list(placed)):
        placed[name] = ceiling = min(placed[name], ceiling - heights[name])
    return placed


def spelling(scale: Scale, prefix: str = "") -> str:
    """A number format that tells the ticks apart."""
    return f"{prefix},.{scale.decimals()}f"
