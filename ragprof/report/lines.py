"""What the charts of growth share: values with their intervals, a logarithmic axis of sizes, labels kept apart.

Lines over corpus sizes as one specification: bands, measured and forecast strokes, names at the ends.

Small charts of lines, one a pipeline: the same series, told apart by colour, dashes and marks, with their bands.

Parts of a whole on top of each other, size by size: losses upwards from zero, gains (negative losses) downwards.

A size at which a part is missing that the pipeline has elsewhere is not stacked: the stack would look complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import altair as alt

from ragprof.report import figures
from ragprof.report.lookup import at, interval
from ragprof.report.palette import MUTED, PAPER, RULE
from ragprof.report.theme import Key, Scale, linear, rows, specification, wrap

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


_HEIGHT, _LINE_PX = 380, 16
_LABEL_CHARACTERS = 20
_BAND, _FORECAST_BAND = 0.12, 0.06


@dataclass(frozen=True, slots=True)
class Line:
    """A pipeline's values at the measured sizes, then its forecast, which is empty where there is none."""

    name: str
    colour: str
    shape: str
    measured: tuple[Mark, ...]
    forecast: tuple[Mark, ...]

    @property
    def label(self) -> str:
        """The name, on several lines where it is long."""
        return wrap(self.name, _LABEL_CHARACTERS)

    @property
    def label_height(self) -> int:
        return _LINE_PX * (self.label.count("\n") + 1)

    @property
    def last(self) -> Mark:
        """Where the line ends. A line has at least one value."""
        return [one for one in (*self.measured, *self.forecast) if one.value is not None][-1]


@dataclass(frozen=True, slots=True)
class Axes:
    """Sizes across, values upwards."""

    x: Scale
    y: Vertical


def line_specification(lines: Sequence[Line], axes: Axes) -> dict[str, Any]:
    names = [line.name for line in lines]
    colour = alt.Scale(domain=names, range=[line.colour for line in lines])
    base = alt.Chart().encode(x=size_axis(axes.x, ticks=5), color=alt.Color("name:N", scale=colour, legend=None))
    layers = [*_border(lines), *_bands(base, axes), *_strokes(base, axes, lines)]
    if named_at_ends(lines):
        layers += _labels(lines, axes)
    return specification(alt.layer(*layers, data=rows(_data(lines, axes.y.scale))), height=_HEIGHT)


def _data(lines: Sequence[Line], scale: Scale) -> list[dict[str, Any]]:
    """Measured rows, then those of forecasts, which set out from the last measured value."""
    measured = [one.row(name=line.name, part="measured") for line in lines for one in line.measured]
    ahead = [
        one.within(scale).row(name=line.name, part="forecast", start=one is line.measured[-1])
        for line in lines
        if line.forecast
        for one in (line.measured[-1], *line.forecast)
    ]
    return measured + ahead


def _bands(base: Any, axes: Axes) -> list[Any]:
    y = axes.y.axis("low")
    shades = {"measured": _BAND, "forecast": _FORECAST_BAND}
    return [
        base.transform_filter(f"datum.part == '{part}'").mark_area(opacity=opacity).encode(y=y, y2="high:Q")
        for part, opacity in shades.items()
    ]


def _strokes(base: Any, axes: Axes, lines: Sequence[Line]) -> list[Any]:
    y = axes.y.axis("value")
    scale = alt.Scale(domain=[line.name for line in lines], range=[line.shape for line in lines])
    titles = {"name": "Pipeline", "x": "Passages", "words": axes.y.title}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    measured, ahead = (base.transform_filter(f"datum.part == '{part}'") for part in ("measured", "forecast"))
    points = {"shape": alt.Shape("name:N", scale=scale, legend=None), "tooltip": tooltip}
    shown = ahead.transform_filter("!datum.start")
    return [
        measured.mark_line(strokeWidth=2).encode(y=y),
        ahead.mark_line(strokeWidth=1.6, strokeDash=[5, 4]).encode(y=y),
        measured.mark_point(filled=True, size=46, opacity=1).encode(y=y, **points),
        shown.mark_point(filled=False, size=46, opacity=1, fill="white", strokeWidth=1.5).encode(y=y, **points),
    ]


def _border(lines: Sequence[Line]) -> list[Any]:
    """Where measuring ends and forecasting begins."""
    if not any(line.forecast for line in lines):
        return []
    largest = max(one.x for line in lines for one in line.measured)
    rule = alt.Chart(rows([{"x": largest}])).mark_rule(stroke=RULE, strokeWidth=1).encode(x="x:Q")
    return [rule, _side(largest, "measured", "right", -6), _side(largest, "forecast", "left", 6)]


def _side(x: float, word: str, align: Literal["left", "right"], dx: float) -> Any:
    text = alt.Chart(rows([{"x": x, "word": word}])).encode(x="x:Q", text="word:N")
    return text.mark_text(align=align, dx=dx, y=2, baseline="top", fill=MUTED, fontSize=11)


def named_at_ends(lines: Sequence[Line]) -> bool:
    """Names stand at the ends of the lines where all of them fit above each other."""
    return sum(line.label_height for line in lines) <= _HEIGHT


def _labels(lines: Sequence[Line], axes: Axes) -> list[Any]:
    """At the right edge for lines that reach the farthest size; the others are named where they end."""
    edge = max(line.last.x for line in lines)
    far, near = ([line for line in lines if (line.last.x == edge) is wanted] for wanted in (True, False))
    named = [*_named(far, axes, axes.x.high), *_named(near, axes, None)]
    base = alt.Chart(rows(named)).encode(y="label:Q", x="edge:Q")
    leader = base.mark_rule(stroke=RULE, strokeWidth=1, xOffset=4).encode(x2="x:Q", y2="value:Q")
    text = base.mark_text(align="left", dx=8, baseline="middle", lineBreak="\n", fontWeight=500)
    halo = base.mark_text(
        align="left", dx=8, baseline="middle", lineBreak="\n", fontWeight=500, stroke=PAPER, strokeWidth=4
    )
    return [leader, halo.encode(text="name:N"), text.encode(text="name:N")]


def _named(lines: Sequence[Line], axes: Axes, edge: float | None) -> list[dict[str, Any]]:
    """Where each name goes, in units of the axes; names keep a line's height apart."""
    scale = axes.y.scale
    wanted = {line.name: _HEIGHT * (1 - scale.place(line.last.value or 0.0)) for line in lines}
    heights = {line.name: line.label_height for line in lines}
    placed = apart(wanted, heights, room=(6, _HEIGHT + _LINE_PX / 2))
    return [
        {
            **{"x": line.last.x, "value": line.last.value, "name": line.label, "edge": edge or line.last.x},
            "label": scale.high - placed[line.name] / _HEIGHT * (scale.high - scale.low),
        }
        for line in lines
    ]


_PANELS_HEIGHT = 210
_PADDING = {"left": 0, "right": 10, "top": 4, "bottom": 0}
_PANELS_BAND, _TICKS = 0.11, 4


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


def lines_panel(lines: dict[Series, list[Mark]], x: Any, y: Vertical) -> dict[str, Any]:
    """The specification of one panel. `x` is the axis that its marks lie on; the first series lies on top."""
    drawn = [series for series in reversed(lines) if lines[series]]
    names = [series.name for series in drawn]
    base = alt.Chart().encode(x=x, color=alt.Color("name:N", scale=_scale(names, _colours(drawn)), legend=None))
    band = base.mark_area(opacity=_PANELS_BAND).encode(y=y.axis("low", ticks=_TICKS), y2="high:Q")
    data = [one.row(name=series.name) for series in drawn for one in lines[series]]
    chart = alt.layer(band, *_panels_strokes(base, drawn, y), data=rows(data))
    return panel_specification(chart)


def panel_specification(chart: Any) -> dict[str, Any]:
    """A small chart for one place of a grid. Its marks carry no spoken labels: the tables say the same, and shorter."""
    spec = specification(chart, height=_PANELS_HEIGHT)
    return spec | {"padding": _PADDING, "config": spec["config"] | {"aria": False}}


def _panels_strokes(base: Any, drawn: Sequence[Series], y: Vertical) -> list[Any]:
    names = [series.name for series in drawn]
    dashes = alt.StrokeDash("name:N", scale=_scale(names, [list(one.dash) or [1, 0] for one in drawn]), legend=None)
    shapes = alt.Shape("name:N", scale=_scale(names, [one.shape for one in drawn]), legend=None)
    titles = {"name": "Curve", "x": "At", "words": y.title}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    line = base.mark_line(strokeWidth=1.8).encode(y=y.axis("value", ticks=_TICKS), strokeDash=dashes)
    points = base.mark_point(filled=True, size=30, opacity=1).encode(
        y=y.axis("value", ticks=_TICKS), shape=shapes, tooltip=tooltip
    )
    return [line, points]


def _colours(drawn: Sequence[Series]) -> list[str]:
    return [series.colour for series in drawn]


def _scale(names: Sequence[str], values: Sequence[Any]) -> Any:
    return alt.Scale(domain=list(names), range=list(values))


Rows: TypeAlias = list[dict[str, Any]]
_WIDEST_BAR, _ALL_BARS = 18, 170


@dataclass(frozen=True, slots=True)
class Stack:
    """All parts at one size, the lowest first. `more` is drawn over it, such as a total."""

    size: int
    parts: Mapping[str, float]


Found: TypeAlias = Mapping[int, Mapping[str, float | None]]


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
    return sorted(size for size, values in found.items() if size not in drawn and any(_known(values)))


def _known(values: Mapping[str, float | None]) -> Iterable[bool]:
    return (value is not None for value in values.values())


def top(stacks: Sequence[Stack]) -> float:
    return max((sum(value for value in one.parts.values() if value > 0) for one in stacks), default=0.0)


def bottom(stacks: Sequence[Stack]) -> float:
    return min((sum(value for value in one.parts.values() if value < 0) for one in stacks), default=0.0)


def pieces(stacks: Sequence[Stack], write: Callable[[float], str]) -> Rows:
    """One row a part and size. A part that changes sides has a row of no height on the other, so that areas close."""
    return [
        {"x": one.size, "part": part, "side": side, "low": seen(low), "high": seen(high), "words": write(value)}
        for side in _sides(stacks)
        for one in stacks
        for part, value, low, high in _piled(one, side)
    ]


def _sides(stacks: Sequence[Stack]) -> list[int]:
    """Upwards always, downwards where something is won."""
    return [1, -1] if bottom(stacks) < 0 else [1]


def _piled(stack: Stack, side: int) -> list[tuple[str, float, float, float]]:
    """Part, its value, where it begins and where it ends on this side of zero."""
    piled, reached = [], 0.0
    for part, value in stack.parts.items():
        height = value if value * side > 0 else 0.0
        piled.append((part, value, reached, reached + height))
        reached += height
    return piled


def areas(found: Rows, x: Any, y: Any, colours: Mapping[str, str]) -> list[Any]:
    """An area a part, and a thin line at each measured size. A single size has no area: it is drawn as a bar."""
    sizes = {row["x"] for row in found}
    if len(sizes) == 1:
        return [bars(found, x, y, colours)]
    base = alt.Chart(rows(found)).encode(x=x, y=y, y2="high:Q")
    filled = base.mark_area(stroke=PAPER, strokeWidth=0.8).encode(color=_colour(colours), detail="side:N")
    return [filled, base.mark_rule(stroke=PAPER, strokeWidth=1, opacity=0.5)]


def bars(found: Rows, x: Any, y: Any, colours: Mapping[str, str]) -> Any:
    """A bar a size, only as wide as its neighbours allow."""
    width = min(_WIDEST_BAR, _ALL_BARS / max(1, len({row["x"] for row in found})))
    titles = {"part": "Part", "x": "Passages", "words": "Value"}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    base = alt.Chart(rows(found)).encode(x=x, y=y, y2="high:Q", color=_colour(colours), tooltip=tooltip)
    return base.mark_bar(orient="vertical", size=width, stroke=PAPER, strokeWidth=0.6)


def _colour(colours: Mapping[str, str]) -> Any:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("part:N", scale=scale, legend=None)
