"""A plot of quality against what it takes: crosses of intervals, the Pareto front joined, names beside the points.

Imports Altair: import this module late.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import altair as alt

from ragprof.report.palette import MUTED, PAPER, RULE
from ragprof.report.theme import Box, Point, Scale, arrange, rows, wrap

Rows: TypeAlias = list[dict[str, Any]]
_NARROW, _WIDE = (430, 330), (860, 460)
FEW, SHORT, _LONG = 6, 24, 40
"""More names, or longer ones, take the whole width."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A value with the ends of its interval; both ends are the value itself where there is no interval."""

    low: float
    value: float
    high: float

    @classmethod
    def of(cls, value: Any, interval: Sequence[Any] | None, length: float = 1.0) -> Reach:
        low, high = interval or (value, value)
        return cls(float(low) / length, float(value) / length, float(high) / length)


@dataclass(frozen=True, slots=True)
class Dot:
    """A pipeline on the plot, and what its tooltip says."""

    pipeline: str
    x: Reach
    y: Reach
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plot:
    """Where the dots lie on both scales, and how they look. The size is what names are placed for, in pixels."""

    dots: Sequence[Dot]
    x: Scale
    y: Scale
    front: Sequence[str]
    colours: Mapping[str, str]
    wide: bool

    @property
    def size(self) -> tuple[int, int]:
        return _WIDE if self.wide else _NARROW

    def label(self, name: str) -> str:
        return wrap(name, _LONG if self.wide else SHORT)

    def across(self, value: float) -> float:
        return self.size[0] * self.x.place(value)

    def down(self, value: float) -> float:
        return self.size[1] * (1 - self.y.place(value))


def ends_of_all(reaches: Iterable[Reach]) -> list[float]:
    """Both ends of each."""
    return [end for reach in reaches for end in (reach.low, reach.high)]


def scatter(plot: Plot, axis: Any, metric: str, x_name: str, *, what: str = "Pipeline") -> Any:
    """Crosses of intervals with a point on each, the front as a dashed line, names beside the points."""
    across, down = (alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False) for scale in (plot.x, plot.y))
    if plot.x.logarithmic:
        across = alt.Scale(type="log", domain=[plot.x.low, plot.x.high], nice=False)
    y_axis = alt.Axis(tickCount=6, format=".2f", labelColor=MUTED)
    base = alt.Chart(rows(_placed(plot))).encode(
        x=alt.X("x:Q", axis=axis, scale=across), y=alt.Y("y:Q", title=metric, axis=y_axis, scale=down)
    )
    names = [dot.pipeline for dot in plot.dots]
    colours = alt.Scale(domain=names, range=[plot.colours[name] for name in names])
    stroke = alt.Stroke("pipeline:N", scale=colours, legend=None)
    fill = alt.condition("datum.front", alt.Fill("pipeline:N", scale=colours, legend=None), alt.value(PAPER))
    titles = {"pipeline": what, "y_words": metric, "x_words": x_name}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    front = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeDash=[3, 3], stroke=MUTED, strokeWidth=1.2
    )
    moved_away = base.transform_filter("abs(datum.dx) + abs(datum.dy) > 30").mark_rule(
        stroke=RULE, strokeWidth=1, x2Offset=alt.ExprRef("datum.dx"), y2Offset=alt.ExprRef("datum.dy")
    )
    interval = base.mark_rule(opacity=0.45, strokeWidth=1.5)
    point = base.mark_circle(size=110, opacity=1, strokeWidth=2.2)
    places = {key: alt.ExprRef(f"datum.{key}") for key in ("dx", "dy", "align")}
    label: dict[str, Any] = {"baseline": "middle", "lineBreak": "\n", "fontWeight": 500, **places}
    return alt.layer(
        moved_away.encode(x2=alt.X2("x:Q"), y2=alt.Y2("y:Q")),
        front.encode(order=alt.Order("x:Q")),
        interval.encode(y=alt.Y("y_low:Q"), y2=alt.Y2("y_high:Q"), stroke=stroke),
        interval.encode(x=alt.X("x_low:Q"), x2=alt.X2("x_high:Q"), stroke=stroke),
        point.encode(fill=fill, stroke=stroke, tooltip=tooltip),
        base.mark_text(**label, stroke=PAPER, strokeWidth=4, strokeJoin="round").encode(text=alt.Text("name:N")),
        base.mark_text(**label).encode(text=alt.Text("name:N")),
    )


def _placed(plot: Plot) -> Rows:
    """A row a dot with the place of its name, which covers neither intervals nor the steps of the front."""
    points = []
    for dot in plot.dots:
        x, y = plot.across(dot.x.value), plot.down(dot.y.value)
        upright = Box(x - 1, plot.down(dot.y.high), x + 1, plot.down(dot.y.low))
        level = Box(plot.across(dot.x.low), y - 1, plot.across(dot.x.high), y + 1)
        points.append(Point(plot.label(dot.pipeline), x, y, (upright, level)))
    steps = []
    front = sorted((dot for dot in plot.dots if dot.pipeline in plot.front), key=lambda dot: dot.x.value)
    for dot, following in itertools.pairwise(front):
        left, right = plot.across(dot.x.value), plot.across(following.x.value)
        low, high = plot.down(dot.y.value), plot.down(following.y.value)
        steps += [Box(left, low - 1, right, low + 1), Box(right - 1, high, right + 1, low)]
    places = arrange(points, steps, size=plot.size)
    return [
        {
            "pipeline": dot.pipeline,
            "name": plot.label(dot.pipeline),
            "front": dot.pipeline in plot.front,
            **{"x": dot.x.value, "x_low": dot.x.low, "x_high": dot.x.high},
            **{"y": dot.y.value, "y_low": dot.y.low, "y_high": dot.y.high},
            **dot.words,
            **asdict(places[plot.label(dot.pipeline)]),
        }
        for dot in plot.dots
    ]
