"""Charts of lines and stacks over a corpus size, a depth or a number of chunks; as one chart or a panel per pipeline.

A value that is absent breaks its line and is never drawn as 0. A size at which a part is missing that the pipeline has
elsewhere is not stacked: the stack would look complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import altair as alt

from ragprof.report import figures
from ragprof.report.lookup import at, interval
from ragprof.report.palette import MUTED, PAPER, RULE
from ragprof.report.theme import Key, Scale, linear, rows, specification, wrap

SIZE_TITLE = "Corpus size (passages)"
# The page gives a panel about 250 pixels: more digits than five cannot be seen, and more than four ticks crowd.
_DIGITS, _TICKS = 5, 4
_HEIGHT, _PANEL_HEIGHT = 380, 210
_BAND, _FORECAST_BAND = 0.12, 0.06
_LABEL_CHARACTERS = 20
_WIDEST_BAR, _ALL_BARS = 18, 170
Rows: TypeAlias = list[dict[str, Any]]
Found: TypeAlias = Mapping[int, Mapping[str, float | None]]
"""size -> part -> value"""


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
    room = max((high / low) ** 0.05, 1.03 if high > low else 1.2)
    return Scale(low / room, high * room, logarithmic=True)


def size_axis(scale: Scale, *, ticks: int = 3) -> Any:
    axis = alt.Axis(values=scale.ticks(ticks), format="~s", labelOverlap="greedy", labelSeparation=8, grid=False)
    return alt.X("x:Q", title=SIZE_TITLE, axis=axis, scale=scale.domain())


@dataclass(frozen=True, slots=True)
class Vertical:
    """The vertical axis: its title, its scale and how its ticks are written.

    The title stands so many pixels `above` the plot. Plots of one `extent`, the pixels that the labels take, align.
    """

    title: str
    scale: Scale
    spelling: str
    above: int = 12
    extent: int | None = None

    def axis(self, field: str, *, ticks: int = 5, **more: Any) -> Any:
        """The title lies flat above the axis, so that it needs no room beside it."""
        flat: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
        flat |= {"titleX": -34, "titleY": -self.above, "labelColor": MUTED, "tickCount": ticks, **more}
        if self.extent is not None:
            flat |= {"titleX": 6 - self.extent, "minExtent": self.extent, "maxExtent": self.extent}
        axis = alt.Axis(format=self.spelling, **flat)
        return alt.Y(f"{field}:Q", title=self.title, axis=axis, scale=self.scale.domain(), stack=None)

    def stacked(self, field: str) -> Any:
        """The same axis for parts that are piled up."""
        return self.axis(field, ticks=_TICKS).stack("zero")


def near(values: Sequence[float], *, most: float | None = None) -> Scale:
    """A linear stretch around the values; it need not reach 0, lines are read by their slope.

    No axis goes beyond `most` where no value does: a score ends at 1.
    """
    return linear(values, margin=0.06, most=most)


def spelling(_: Scale, prefix: str = "") -> str:
    """A number format that tells the ticks apart: Vega chooses the decimals by their distance."""
    return f"{prefix},f"


@dataclass(frozen=True, slots=True)
class Series:
    """How a line looks, the same in every panel that has it."""

    name: str
    colour: str
    dash: tuple[float, ...] = ()
    shape: str = "circle"

    @property
    def key(self) -> Key:
        return Key(self.name, self.colour, self.dash, self.shape)


Lines: TypeAlias = Mapping[Series, Sequence[Mark]]


def looks(drawn: Sequence[Series], legend: alt.Legend | None = None) -> dict[str, Any]:
    """Channel -> how the name of a series is told by it."""
    channels: dict[str, tuple[Any, list[Any]]] = {
        "color": (alt.Color, [series.colour for series in drawn]),
        "shape": (alt.Shape, [series.shape for series in drawn]),
        "strokeDash": (alt.StrokeDash, [list(series.dash) or [1, 0] for series in drawn]),
    }
    names = [series.name for series in drawn]
    return {
        channel: kind("name:N", scale=alt.Scale(domain=names, range=values), legend=legend)
        for channel, (kind, values) in channels.items()
    }


def tooltip(**titles: str) -> list[Any]:
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def line_layers(lines: Lines, x: Any, y: Vertical, *, ticks: int = 5, size: int = 44, hollow: str = "") -> list[Any]:
    """Bands, lines and marks over the axis `x`; the first series lies on top.

    The marks of the series called `hollow` are empty, since they are estimates.
    """
    drawn = [series for series in reversed(list(lines)) if lines[series]]
    look, value = looks(drawn), y.axis("value", ticks=ticks)
    data = [one.row(name=series.name) for series in drawn for one in lines[series]]
    base = alt.Chart(rows(data)).encode(x=x, color=look["color"])
    points = base.encode(y=value, shape=look["shape"], tooltip=tooltip(name="Curve", x="At", words=y.title))
    empty: dict[str, Any] = {"filled": False, "fill": PAPER, "size": 110, "strokeWidth": 1.6}
    return [
        base.mark_area(opacity=_BAND).encode(y=y.axis("low", ticks=ticks), y2=alt.Y2("high:Q")),
        base.mark_line(strokeWidth=1.8).encode(y=value, strokeDash=look["strokeDash"]),
        *([points.transform_filter(alt.datum.name == hollow).mark_point(opacity=1, **empty)] if hollow else []),
        points.transform_filter(alt.datum.name != hollow).mark_point(filled=True, size=size, opacity=1),
    ]


def lines_panel(lines: Lines, x: Any, y: Vertical) -> dict[str, Any]:
    """The specification of one panel. `x` is the axis that its marks lie on; the first series lies on top."""
    return panel_specification(alt.layer(*line_layers(lines, x, y, ticks=_TICKS, size=30)))


def panel_specification(chart: Any) -> dict[str, Any]:
    """A small chart for one place of a grid. Its marks carry no spoken labels: the tables say the same, and shorter."""
    spec = specification(chart, height=_PANEL_HEIGHT)
    padding = {"left": 0, "right": 10, "top": 4, "bottom": 0}
    return spec | {"padding": padding, "config": spec["config"] | {"aria": False}}


def lines_ahead(measured: Lines, ahead: Lines, x: Scale, y: Vertical) -> dict[str, Any]:
    """Lines over corpus sizes and, dashed, their forecasts, which set out from the last measured value.

    The legend beside them has the order in which the lines end. A forecast's band is cut off where the plot ends; its
    tooltip still gives all of it.
    """
    last = {series: [one.value for one in (*measured[series], *ahead.get(series, ()))] for series in measured}
    ends = {series: next(value for value in reversed(values) if value is not None) for series, values in last.items()}
    drawn = sorted(measured, key=lambda series: -ends[series])
    names = {series: wrap(series.name, _LABEL_CHARACTERS) for series in drawn}
    lines = "split(datum.label, '\\n')"
    legend = alt.Legend(orient="right", direction="vertical", labelExpr=lines, offset=10, rowPadding=6, symbolSize=60)
    look = looks([replace(series, name=names[series]) for series in drawn], legend)
    base = alt.Chart().encode(x=size_axis(x, ticks=5), color=look["color"])
    now, later = (base.transform_filter(f"datum.part == '{part}'") for part in ("measured", "forecast"))
    points = {"shape": look["shape"], "tooltip": tooltip(pipeline="Pipeline", x="Passages", words=y.title)}
    open_points = later.transform_filter("!datum.start").mark_point(
        filled=False, size=46, opacity=1, fill=PAPER, strokeWidth=1.5
    )
    low, value = y.axis("low"), y.axis("value")
    layers = [
        *_border(measured, ahead),
        now.mark_area(opacity=_BAND).encode(y=low, y2=alt.Y2("high:Q")),
        later.mark_area(opacity=_FORECAST_BAND).encode(y=low, y2=alt.Y2("high:Q")),
        now.mark_line(strokeWidth=2).encode(y=value),
        later.mark_line(strokeWidth=1.6, strokeDash=[5, 4]).encode(y=value),
        now.mark_point(filled=True, size=46, opacity=1).encode(y=value, **points),
        open_points.encode(y=value, **points),
    ]
    data: Rows = []
    for series in measured:
        name = {"pipeline": series.name, "name": names[series]}
        data += [one.row(**name, part="measured") for one in measured[series]]
        if ahead.get(series):
            start = measured[series][-1]
            drawn_marks = [(one.within(y.scale), one is start) for one in (start, *ahead[series])]
            data += [one.row(**name, part="forecast", start=first) for one, first in drawn_marks]
    return specification(alt.layer(*layers, data=rows(data)), height=_HEIGHT)


def _border(measured: Lines, ahead: Lines) -> list[Any]:
    """Where measuring ends and forecasting begins."""
    if not any(ahead.values()):
        return []
    largest = max(one.x for marks in measured.values() for one in marks)
    base = alt.Chart(rows([{"x": largest}])).encode(x=alt.X("x:Q"))
    look: dict[str, Any] = {"y": -4, "baseline": "bottom", "fill": MUTED, "fontSize": 11}
    return [
        base.mark_rule(stroke=RULE, strokeWidth=1),
        base.mark_text(text="measured", align="right", dx=-6, **look),
        base.mark_text(text="forecast", align="left", dx=6, **look),
    ]


@dataclass(frozen=True, slots=True)
class Stack:
    """All parts at one size, the lowest first."""

    size: int
    parts: Mapping[str, float]


def whole(found: Found) -> list[Stack]:
    """The sizes at which no part is missing. A part that is missing everywhere is no part."""
    parts = parts_of(found)
    known = {size: {part: values.get(part) for part in parts} for size, values in found.items()}
    return [
        Stack(size, {part: value for part, value in values.items() if value is not None})
        for size, values in sorted(known.items())
        if parts and None not in values.values()
    ]


def parts_of(found: Found) -> list[str]:
    """In the order of the readings."""
    named = dict.fromkeys(part for values in found.values() for part in values)
    return [part for part in named if any(values.get(part) is not None for values in found.values())]


def gaps(found: Found) -> list[int]:
    """The sizes at which some part is missing, though something was measured there."""
    drawn = {one.size for one in whole(found)}
    return sorted(
        size
        for size, values in found.items()
        if size not in drawn and any(each is not None for each in values.values())
    )


def top(stacks: Sequence[Stack]) -> float:
    return max((sum(value for value in one.parts.values() if value > 0) for one in stacks), default=0.0)


def bottom(stacks: Sequence[Stack]) -> float:
    return min((sum(value for value in one.parts.values() if value < 0) for one in stacks), default=0.0)


def pieces(stacks: Sequence[Stack], write: Callable[[float], str]) -> Rows:
    """A row for each part, size and side of zero; on the side where the part is not its value is 0, so areas close.

    `order` is that of the pile, from zero on.
    """
    sides = [1, -1] if bottom(stacks) < 0 else [1]
    return [
        {
            **{"x": one.size, "part": part, "order": order, "side": side, "words": write(value)},
            "value": seen(value if value * side > 0 else 0.0),
        }
        for one in stacks
        for order, (part, value) in enumerate(one.parts.items())
        for side in sides
    ]


def _piled(found: Rows, x: Any, y: Vertical, colours: Mapping[str, str]) -> Any:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    colour = alt.Color("part:N", scale=scale, legend=None)
    return alt.Chart(rows(found)).encode(x=x, y=y.stacked("value"), color=colour, order=alt.Order("order:Q"))


def areas(found: Rows, x: Any, y: Vertical, colours: Mapping[str, str]) -> list[Any]:
    """An area for each part, upwards and downwards from zero, and a thin line at each measured size.

    A single size has no area: it is drawn as a bar.
    """
    sizes = sorted({row["x"] for row in found})
    if len(sizes) == 1:
        return [bars(found, x, y, colours)]
    sides = ([row for row in found if row["side"] == side] for side in (1, -1))
    filled = [_piled(side, x, y, colours).mark_area(stroke=PAPER, strokeWidth=0.8) for side in sides if side]
    measured = alt.Chart(rows([{"x": size} for size in sizes])).encode(x=x)
    return [*filled, measured.mark_rule(stroke=PAPER, strokeWidth=1, opacity=0.5)]


def bars(found: Rows, x: Any, y: Vertical, colours: Mapping[str, str]) -> Any:
    """A bar for each size, only as wide as its neighbours allow."""
    width = min(_WIDEST_BAR, _ALL_BARS / max(1, len({row["x"] for row in found})))
    words = tooltip(part="Part", x="Passages", words="Value")
    base = _piled([row for row in found if row["value"]], x, y, colours).encode(tooltip=words)
    return base.mark_bar(orient="vertical", size=width, stroke=PAPER, strokeWidth=0.6)
