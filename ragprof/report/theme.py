"""How every chart looks, what a chart of a report is, and how an Altair chart becomes Vega-Lite that fits its place.

Scales are stretches of axes, chosen so that every point and interval lies inside. Vega-Lite has no placing of labels:
where the name beside each point of a scatter plot goes is settled here, greedily, in pixels.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report import stills
from ragprof.report.palette import GRID, INK, MUTED, RULE, SHAPES, TEXTURES

FONT = "-apple-system, 'Segoe UI', Inter, Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
STATIC_WIDTH, PANEL_WIDTH = 660, 300
_LINE = 15
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN: dict[str, Any] = {"labelFont": FONT, "labelFontSize": 12, "labelLimit": 0}
_AXIS = {
    **_PLAIN, "labelColor": MUTED, "labelPadding": 6, "labelFlush": False, "domain": False, "ticks": False,
    "titleFont": FONT, "titleFontSize": 12, "titleFontWeight": "normal", "titleColor": MUTED, "titlePadding": 10,
    "titleLimit": 0, "gridColor": GRID,
}  # fmt: skip
_LEGEND = {
    **_PLAIN, "labelColor": INK, "orient": "top", "direction": "horizontal", "title": None, "symbolSize": 90,
    "symbolStrokeWidth": 0, "symbolOpacity": 1, "columnPadding": 14, "padding": 0, "offset": 14,
    "layout": {"top": {"anchor": "start", "direction": "horizontal", "margin": 26}},
}  # fmt: skip
_CONFIG = {
    "font": FONT, "background": None, "view": {"stroke": None}, "axis": _AXIS, "axisY": {"labelColor": INK},
    "legend": _LEGEND, "text": {"font": FONT, "fontSize": 12, "fill": INK}, "rule": {"stroke": RULE},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend that stands above the chart: a line with its dashes and its mark, or an area.

    An area may have a texture; a mark may be `hollow`.
    """

    label: str
    colour: str
    dash: tuple[float, ...] = ()
    shape: str = ""
    area: bool = False
    texture: str = ""
    hollow: bool = False

    @property
    def grain(self) -> str:
        """The texture as SVG; empty where there is none."""
        return TEXTURES.get(self.texture, "")

    @property
    def path(self) -> str:
        """The mark as SVG; empty where there is none."""
        return SHAPES.get(self.shape, "")


@dataclass(frozen=True, slots=True)
class Panel:
    """One of several charts under one title: for one pipeline, or for what its own `title` says."""

    pipeline: str
    spec: dict[str, Any]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn study. `caption` gives n and what the interval is; `notes` lists what could not be drawn.

    A `wide` chart needs the whole width of the page to itself. A chart of `panels` has no specification of its own;
    its panels are small and side by side, or as wide as the page and `stacked`.
    """

    key: str
    title: str
    caption: str
    spec: dict[str, Any]
    notes: tuple[str, ...] = ()
    wide: bool = False
    panels: tuple[Panel, ...] = ()
    legend: tuple[Key, ...] = ()
    stacked: bool = False

    def pictures(self) -> dict[str, dict[str, Any]]:
        """Place on the page -> specification: one, or one a panel."""
        if not self.panels:
            return {self.key: self.spec}
        return {f"{self.key}-{place}": panel.spec for place, panel in enumerate(self.panels, start=1)}


def specification(chart: Any, *, height: float) -> dict[str, Any]:
    """Vega-Lite as wide as its container. It names no schema address: a report mentions no place on a network."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec.pop("$schema", None)
    # Set here: Altair's own `properties` would copy every layer with all its data.
    spec |= {"width": "container", "height": height}
    spec["config"] = _CONFIG
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def static_svgs(specs: Sequence[tuple[dict[str, Any], int]]) -> list[str]:
    """The same charts as still pictures of given widths, for paper and for browsers without scripts."""
    drawn = stills.pictures([_drawable({**spec, "width": width}) for spec, width in specs])
    # The font is the page's own; it would be repeated with every text.
    return [picture.replace(f' font-family="{FONT}"', "") for picture in drawn]


def _drawable(value: Any) -> Any:
    """A specification without the characters that no picture can hold; with one, Vega's converter ends the process."""
    if isinstance(value, str):
        return _NOT_XML.sub("", value)
    if isinstance(value, dict):
        return {_drawable(key): _drawable(each) for key, each in value.items()}
    return [_drawable(each) for each in value] if isinstance(value, list | tuple) else value


def y_at(pixels: float) -> Any:
    """A fixed height in the plot. As an object: for a plain value Altair searches all its classes, each time."""
    return alt.YValue(pixels)  # type: ignore[no-untyped-call]  # Altair's classes of values are untyped


def y2_at(pixels: float) -> Any:
    """Where something ends that began at another height."""
    return alt.Y2Value(pixels)  # type: ignore[no-untyped-call]


def rows(values: list[dict[str, Any]]) -> Any:
    """Literal data inside the chart."""
    return alt.InlineData(
        values=tuple(values)
    )  # Altair copies a list, row by row, with every layer; a tuple it does not


def named_axis(label_offset: float = 0) -> Any:
    """Names down the left side; their own line breaks are kept."""
    lines = "split(datum.label, '\\n')"
    return alt.Axis(title=None, labelExpr=lines, grid=False, labelPadding=12, labelOffset=label_offset)


def rows_height(names: list[str], step: int) -> int:
    """Room for every row; a name on several lines gets what it needs."""
    most_lines = max(name.count("\n") + 1 for name in names)
    return len(names) * max(step, _LINE * most_lines + 8)


def colour_by(field: str, colours: Mapping[str, str], *, symbol: str) -> Any:
    """Colours by name, with a legend in the same order."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend(symbolType=symbol))


_DIGITS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(range(1, 10)), tuple(tenth / 10 for tenth in range(10, 100, 2)))


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`. On a logarithmic scale both are above 0."""

    low: float
    high: float
    logarithmic: bool = False

    def domain(self) -> alt.Scale:
        """For Altair, which adds no room of its own."""
        ends = [self.low, self.high]
        return (
            alt.Scale(type="log", domain=ends, nice=False)
            if self.logarithmic
            else alt.Scale(domain=ends, nice=False, zero=False)
        )

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, fewest: int = 3) -> list[float]:
        """Round values inside a logarithmic scale: the coarsest choice of digits that gives enough of them."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for digits in _DIGITS:
            steps = (float(f"{digit}e{decade}") for decade in decades for digit in digits)
            found = [step for step in steps if self.low <= step <= self.high]
            if len(found) >= fewest:
                break
        return found

    def decimals(self) -> int:
        """How many decimals tell about five ticks of a linear scale apart."""
        return max(0, 1 - math.floor(math.log10((self.high - self.low) / 2)))


def logarithmic(values: Sequence[float]) -> Scale:
    """With room at both ends for marks and names; at least a factor of 1.4 wide. Needs one value above 0."""
    low, high = min(value for value in values if value > 0), max(values)
    margin = max((high / low) ** 0.14, 1.2)
    return Scale(low / margin, high * margin, logarithmic=True)


ROUNDING = 1e-9


def linear(values: Sequence[float], *, margin: float, most: float | None = None) -> Scale:
    """With a share of the range added at both ends. Does not reach below 0, or above `most`, where no value does."""
    low, high = min(values), max(values)
    if most is not None and most < high <= most + ROUNDING:  # a mean of ones that lost its last digit
        high = most
    room = (high - low) * margin or abs(high) * margin or 1.0
    top = high + room if most is None or high > most else min(high + room, most)
    return Scale(max(0.0, low - room) if low >= 0 else low - room, top)


def time_unit(longest_ns: float) -> tuple[str, float]:
    """The unit of a time axis and its length in ns."""
    if longest_ns >= 20e9:
        return "s", 1e9
    return ("ms", 1e6) if longest_ns >= 1e6 else ("µs", 1e3)


_CHARACTER_PX, _LINE_PX, _MARK_PX = 6.4, 14.0, 7.0
# Per square pixel of a name: covering a mark or another name, leaving the plot, crossing a line; and for each point
# that it stands nearer to than to its own. Distance costs its pixels, upwards and downwards half as much again.
_COVERED, _OUTSIDE, _CROSSED, _MISREAD = 10.0, 40.0, 1.0, 200.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Shared area in square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A point to be named, with what is drawn through it: its interval lines."""

    name: str
    x: float
    y: float
    lines: tuple[Box, ...] = ()

    @property
    def mark(self) -> Box:
        return Box(self.x - _MARK_PX, self.y - _MARK_PX, self.x + _MARK_PX, self.y + _MARK_PX)


@dataclass(frozen=True, slots=True)
class LabelPlace:
    """Offset of a name's anchor from its point; `align` as in Vega-Lite, the baseline is the middle."""

    dx: float
    dy: float
    align: str


_PLACES = tuple(
    LabelPlace(sign * (11 + away), dy, "left" if sign > 0 else "right")
    for away in (0, 10, 22, 44, 70)
    for dy in (0, *(sign * step for step in (11, 22, 36, 52, 70, 90) for sign in (-1, 1)))
    for sign in (1, -1)
) + tuple(LabelPlace(0, dy, "center") for dy in (-18, 18, -30, 30, -48, 48))


def wrap(name: str, width: int = 34) -> str:
    """A long name on several lines; nothing is cut."""
    return "\n".join(textwrap.wrap(name, width)) or name


def arrange(points: Sequence[Point], lines: Sequence[Box], *, size: tuple[float, float]) -> dict[str, LabelPlace]:
    """name -> place, on a plot of the given size. `lines` are best not crossed, marks and names must not be covered.

    Points are served from the most crowded on, and each takes the least bad place. None is ever dropped or cut.
    """
    covered = [point.mark for point in points]
    crossed = [*lines, *(line for point in points for line in point.lines)]
    plot = Box(0, 0, *size)
    chosen: dict[str, LabelPlace] = {}

    def crowding(point: Point) -> float:
        return sum(1 / (1 + abs(point.x - other.x) + 2 * abs(point.y - other.y)) for other in points)

    def badness(point: Point, place: LabelPlace) -> float:
        box, own = box_of(point, place), math.hypot(place.dx, place.dy)
        x, y = point.x + place.dx, point.y + place.dy
        outside = (box.right - box.left) * (box.bottom - box.top) - box.overlap(plot)
        hidden, struck = (sum(map(box.overlap, others)) for others in (covered, crossed))
        nearer = sum(math.hypot(x - other.x, y - other.y) < own for other in points if other is not point)
        distance = abs(place.dx) + 1.5 * abs(place.dy)
        return _COVERED * hidden + _CROSSED * struck + _OUTSIDE * outside + _MISREAD * nearer + distance

    for point in sorted(points, key=lambda point: -crowding(point)):
        chosen[point.name] = min(_PLACES, key=lambda place: badness(point, place))
        covered.append(box_of(point, chosen[point.name]))
    return chosen


def box_of(point: Point, place: LabelPlace) -> Box:
    """Vega-Lite centres the first line on the anchor; further lines hang below it."""
    lines = point.name.split("\n")
    width = _CHARACTER_PX * max(map(len, lines))
    x, y = point.x + place.dx, point.y + place.dy
    left = {"left": x, "right": x - width, "center": x - width / 2}[place.align]
    return Box(left, y - _LINE_PX / 2, left + width, y + _LINE_PX * (len(lines) - 0.5))
