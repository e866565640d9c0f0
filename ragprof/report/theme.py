"""How every chart looks, and how an Altair chart becomes a specification that fits its container.

Stretches of axes, chosen so that every point and interval lies inside, and the unit of a time axis.

Where the name beside each point goes, so that names cover neither points nor each other. Pixels in, pixels out.

Greedy: points are served from the most crowded on; each takes the free place nearest to it. With no free place it takes
the least covered one, so no name is ever dropped or cut.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report.palette import GRID, INK, MUTED, RULE, SHAPES, TEXTURES

FONT = "-apple-system, 'Segoe UI', Inter, Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
STATIC_WIDTH, PANEL_WIDTH = 660, 300
_LINE = 15
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AXIS = {
    "labelFont": FONT,
    "titleFont": FONT,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "labelColor": MUTED,
    "titleColor": MUTED,
    "titlePadding": 10,
    "labelPadding": 6,
    "labelLimit": 0,
    "titleLimit": 0,
    "gridColor": GRID,
    "domain": False,
    "ticks": False,
    "labelFlush": False,
}
_LEGEND = {
    "orient": "top",
    "direction": "horizontal",
    "title": None,
    "labelFont": FONT,
    "labelFontSize": 12,
    "labelColor": INK,
    "labelLimit": 0,
    "symbolSize": 90,
    "symbolStrokeWidth": 0,
    "symbolOpacity": 1,
    "columnPadding": 14,
    "padding": 0,
    "offset": 14,
    "layout": {"top": {"anchor": "start", "direction": "horizontal", "margin": 26}},
}
_CONFIG = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": _AXIS,
    "axisY": {"labelColor": INK},
    "legend": _LEGEND,
    "text": {"font": FONT, "fontSize": 12, "fill": INK},
    "rule": {"stroke": RULE},
}


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
    spec: dict[str, Any] = chart.properties(width="container", height=height).to_dict(validate=False)
    spec.pop("$schema", None)
    spec["config"] = _CONFIG
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def static_svg(spec: dict[str, Any], width: int = STATIC_WIDTH) -> str:
    """The same chart as a still picture, for paper and for browsers without scripts."""
    import vl_convert

    picture = str(vl_convert.vegalite_to_svg(_drawable({**spec, "width": width})))
    return picture.replace(f' font-family="{FONT}"', "")  # the page's own; it would be repeated with every text


def _drawable(value: Any) -> Any:
    """A specification without the characters that no picture can hold; with one, Vega's converter ends the process."""
    if isinstance(value, str):
        return _NOT_XML.sub("", value)
    if isinstance(value, dict):
        return {_drawable(key): _drawable(each) for key, each in value.items()}
    return [_drawable(each) for each in value] if isinstance(value, list | tuple) else value


def rows(values: list[dict[str, Any]]) -> Any:
    """Literal data inside the chart."""
    return alt.InlineData(values=values)


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


CHARACTER_PX = 6.4
LINE_PX = 14.0
MARK_PX = 7.0
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
        return Box(self.x - MARK_PX, self.y - MARK_PX, self.x + MARK_PX, self.y + MARK_PX)


@dataclass(frozen=True, slots=True)
class Place:
    """Offset of a name's anchor from its point; `align` as in Vega-Lite, the baseline is the middle."""

    dx: float
    dy: float
    align: str


_PLACES = tuple(
    Place(sign * (11 + away), dy, "left" if sign > 0 else "right")
    for away in (0, 10, 22, 44, 70)
    for dy in (0, *(sign * step for step in (11, 22, 36, 52, 70, 90) for sign in (-1, 1)))
    for sign in (1, -1)
) + tuple(Place(0, dy, "center") for dy in (-18, 18, -30, 30, -48, 48))


def wrap(name: str, width: int = 34) -> str:
    """A long name on several lines; nothing is cut."""
    return "\n".join(textwrap.wrap(name, width)) or name


def arrange(points: Sequence[Point], lines: Sequence[Box], *, size: tuple[float, float]) -> dict[str, Place]:
    """name -> place, on a plot of the given size. `lines` are best not crossed, marks and names must not be covered."""
    marks = [point.mark for point in points]
    crossed = [*lines, *(line for point in points for line in point.lines)]
    plot = Box(0, 0, *size)
    chosen: dict[str, Place] = {}
    for point in sorted(points, key=lambda point: -_crowding(point, points)):
        chosen[point.name] = place = _best(point, points, marks, crossed, plot)
        marks.append(box_of(point, place))
    return chosen


def _crowding(point: Point, points: Sequence[Point]) -> float:
    return sum(1 / (1 + abs(point.x - other.x) + 2 * abs(point.y - other.y)) for other in points)


def _best(point: Point, points: Sequence[Point], marks: Sequence[Box], crossed: Sequence[Box], plot: Box) -> Place:
    others = [other for other in points if other is not point]

    def badness(place: Place) -> float:
        return (
            _badness(box_of(point, place), marks, crossed, plot) + _distance(place) + _confusion(point, place, others)
        )

    return min(_PLACES, key=badness)


def _confusion(point: Point, place: Place, others: Sequence[Point]) -> float:
    """A name that is nearer to another point than to its own would be read as that point's."""
    x, y = point.x + place.dx, point.y + place.dy
    own = math.hypot(place.dx, place.dy)
    return sum(_MISREAD for other in others if math.hypot(x - other.x, y - other.y) < own)


def _badness(box: Box, covered: Sequence[Box], crossed: Sequence[Box], plot: Box) -> float:
    outside = (box.right - box.left) * (box.bottom - box.top) - box.overlap(plot)
    hidden, struck = (sum(box.overlap(other) for other in others) for others in (covered, crossed))
    return _COVERED * hidden + _CROSSED * struck + _OUTSIDE * outside


def _distance(place: Place) -> float:
    return abs(place.dx) + 1.5 * abs(place.dy)


def box_of(point: Point, place: Place) -> Box:
    """Vega-Lite centres the first line on the anchor; further lines hang below it."""
    lines = point.name.split("\n")
    width = CHARACTER_PX * max(map(len, lines))
    x, y = point.x + place.dx, point.y + place.dy
    left = {"left": x, "right": x - width, "center": x - width / 2}[place.align]
    return Box(left, y - LINE_PX / 2, left + width, y + LINE_PX * (len(lines) - 0.5))
