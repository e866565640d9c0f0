"""Where the name beside each point goes, so that names cover neither points nor each other. Pixels in, pixels out.

Greedy: points are served from the most crowded on; each takes the free place nearest to it. With no free place it takes
the least covered one, so no name is ever dropped or cut.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

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
