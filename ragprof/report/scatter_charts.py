"""Quality against latency and against cost: a point a pipeline, with intervals, its name and the Pareto front."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.labels import Box, Point, arrange, wrap
from ragprof.report.lookup import COST, METRIC, Summary, at, entries, final_scores, interval, pipelines, unpriced_stages
from ragprof.report.palette import MUTED, PAPER, RULE, pipeline_colours
from ragprof.report.scales import Scale, linear, logarithmic, time_unit
from ragprof.report.theme import Chart, queries_words, rows, specification, timings_words

_NARROW, _WIDE = (430, 330), (860, 460)
_FEW, _SHORT = 6, 24
_FRONT = "Filled points, joined by the line, are on the Pareto front: no other pipeline here beats them on both axes."


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with the ends of its interval; both ends are the value itself where there is no interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A pipeline on the plot, and what its tooltip says."""

    pipeline: str
    x: Measured
    y: Measured
    x_words: str
    y_words: str

    def divided(self, length: float) -> Dot:
        return replace(self, x=Measured(self.x.value / length, self.x.low / length, self.x.high / length))


@dataclass(frozen=True, slots=True)
class Plot:
    """Both scales, and which pipelines are on the front."""

    x: Scale
    y: Scale
    x_name: str
    front: Sequence[str]
    colours: Mapping[str, str]
    wide: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels. The width is what names are placed for; the page may give a little more."""
        return _WIDE if self.wide else _NARROW

    def label(self, name: str) -> str:
        return wrap(name, 40 if self.wide else _SHORT)


Reading = Callable[[Mapping[str, Any]], Measured | None]


def quality_against_latency(summary: Summary) -> Chart | None:
    """None where no pipeline has both a latency and a quality."""
    dots = _dots(summary, latency_of, figures.duration)
    if not dots:
        return None
    unit, length = time_unit(max(dot.x.high for dot in dots))
    dots = [dot.divided(length) for dot in dots]
    plot = _plot(summary, logarithmic(_ends(dots, "x")), "Latency p50", "latency")
    axis = alt.Axis(title=f"Latency p50, end to end ({unit}, logarithmic)", values=plot.x.ticks(), format="~g")
    caption = f"{_quality_words(summary)}; latency p50 with 95% intervals, {timings_words(summary)}. {_FRONT}"
    spec = specification(_scatter(dots, plot, axis), height=plot.size[1])
    return Chart("latency-quality", "Quality against latency", caption, spec, wide=plot.wide)


def quality_against_cost(summary: Summary) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no pipeline has a total."""
    dots = _dots(summary, cost_of, figures.usd)
    if not dots:
        return None
    plot = _plot(summary, linear(_ends(dots, "x"), margin=0.2), "Cost", "cost")
    axis = alt.Axis(title="USD per 1,000 queries", tickCount=5, format=f"$,.{plot.x.decimals()}f")
    caption = f"{_quality_words(summary)}; cost with 95% intervals. {_FRONT}"
    spec = specification(_scatter(dots, plot, axis), height=plot.size[1])
    return Chart("cost-quality", "Quality against cost", caption, spec, tuple(not_plotted(summary)), plot.wide)


def not_plotted(summary: Summary) -> list[str]:
    """Why a pipeline has no place on the cost axis, a line each."""
    return [_why_not(name, pipeline) for name, pipeline in pipelines(summary).items() if cost_of(pipeline) is None]


def _why_not(name: str, pipeline: Mapping[str, Any]) -> str:
    if not unpriced_stages(pipeline):
        return f"{name}: cost {figures.ABSENT}"
    return f"{name}: {figures.UNPRICED} ({'; '.join(entries(pipeline, COST, 'unpriced'))})"


def latency_of(pipeline: Mapping[str, Any]) -> Measured | None:
    p50 = at(pipeline, "end_to_end", "p50_ns")
    return _measured(p50, interval(pipeline, "end_to_end", "p50_interval_ns")) if p50 else None


def cost_of(pipeline: Mapping[str, Any]) -> Measured | None:
    total = at(pipeline, COST, "total")
    return None if total is None else _measured(total, interval(pipeline, COST, "interval"))


def _measured(value: Any, ends: tuple[float, float] | None) -> Measured:
    low, high = ends or (float(value), float(value))
    return Measured(float(value), low, high)


def _dots(summary: Summary, read: Reading, write: Callable[[Any], str]) -> list[Dot]:
    """Pipelines that have both coordinates."""
    dots = []
    for name, pipeline in pipelines(summary).items():
        x, estimate = read(pipeline), at(final_scores(summary, name), METRIC)
        if x is not None and at(estimate, "mean") is not None:
            y = _measured(estimate["mean"], interval(estimate, "interval"))
            dots.append(Dot(name, x, y, _words(x, write), _words(y, figures.score)))
    return dots


def _words(measured: Measured, write: Callable[[Any], str]) -> str:
    ends = None if measured.low == measured.high else (measured.low, measured.high)
    return f"{write(measured.value)} ({figures.span(ends, write)})"


def _ends(dots: Sequence[Dot], axis: str) -> list[float]:
    return [end for dot in dots for end in (getattr(dot, axis).low, getattr(dot, axis).high)]


def _qualities(summary: Summary) -> list[float]:
    """Of all pipelines, plotted or not, so that both plots have the same quality axis."""
    estimates = [at(final_scores(summary, name), METRIC) for name in pipelines(summary)]
    found = [
        _measured(estimate["mean"], interval(estimate, "interval"))
        for estimate in estimates
        if at(estimate, "mean") is not None
    ]
    return [end for quality in found for end in (quality.low, quality.high)]


def _quality_words(summary: Summary) -> str:
    return f"{METRIC} of the final ranking with 95% intervals, {queries_words(summary)}"


def _plot(summary: Summary, x: Scale, x_name: str, front: str) -> Plot:
    y, names = linear(_qualities(summary), margin=0.12), list(pipelines(summary))
    wide = len(names) > _FEW or max(map(len, names)) > _SHORT
    return Plot(x, y, x_name, entries(summary, "pareto", front), pipeline_colours(names), wide)


def _scatter(dots: Sequence[Dot], plot: Plot, axis: Any) -> Any:
    x = alt.X("x:Q", axis=axis, scale=_axis_scale(plot.x))
    y = alt.Y(
        "y:Q", title=METRIC, axis=alt.Axis(tickCount=6, format=".2f", labelColor=MUTED), scale=_axis_scale(plot.y)
    )
    base = alt.Chart(rows(_data(dots, plot))).encode(x=x, y=y)
    return alt.layer(
        _leaders(base), *_front_line(base), *_crosses(base, dots, plot), _names(base, _HALO), _names(base, {})
    )


def _axis_scale(scale: Scale) -> Any:
    domain = [scale.low, scale.high]
    if scale.logarithmic:
        return alt.Scale(type="log", domain=domain, nice=False)
    return alt.Scale(domain=domain, nice=False, zero=False)


_HALO = {"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round"}


def _data(dots: Sequence[Dot], plot: Plot) -> list[dict[str, Any]]:
    points = [_point(dot, plot) for dot in dots]
    places = arrange(points, _front_boxes(dots, plot), size=plot.size)
    return [
        {
            "pipeline": dot.pipeline,
            "name": plot.label(dot.pipeline),
            "front": dot.pipeline in plot.front,
            **{"x": dot.x.value, "x_low": dot.x.low, "x_high": dot.x.high, "x_words": dot.x_words},
            **{"y": dot.y.value, "y_low": dot.y.low, "y_high": dot.y.high, "y_words": dot.y_words},
            **asdict(places[plot.label(dot.pipeline)]),
        }
        for dot in dots
    ]


def _across(plot: Plot, value: float) -> float:
    return plot.size[0] * plot.x.place(value)


def _down(plot: Plot, value: float) -> float:
    return plot.size[1] * (1 - plot.y.place(value))


def _front_boxes(dots: Sequence[Dot], plot: Plot) -> list[Box]:
    """The steps of the front line, as names should see them."""
    front = sorted((dot for dot in dots if dot.pipeline in plot.front), key=lambda dot: dot.x.value)
    steps = []
    for dot, following in itertools.pairwise(front):
        left, right = _across(plot, dot.x.value), _across(plot, following.x.value)
        low, high = _down(plot, dot.y.value), _down(plot, following.y.value)
        steps += [Box(left, low - 1, right, low + 1), Box(right - 1, high, right + 1, low)]
    return steps


def _point(dot: Dot, plot: Plot) -> Point:
    left, x, right = (_across(plot, value) for value in (dot.x.low, dot.x.value, dot.x.high))
    bottom, y, top = (_down(plot, value) for value in (dot.y.low, dot.y.value, dot.y.high))
    return Point(plot.label(dot.pipeline), x, y, (Box(x - 1, top, x + 1, bottom), Box(left, y - 1, right, y + 1)))


def _front_line(base: Any) -> list[Any]:
    line = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeDash=[3, 3], stroke=MUTED, strokeWidth=1.2
    )
    return [line.encode(order="x:Q")]


def _crosses(base: Any, dots: Sequence[Dot], plot: Plot) -> list[Any]:
    names = [dot.pipeline for dot in dots]
    scale = alt.Scale(domain=names, range=[plot.colours[name] for name in names])
    stroke = alt.Stroke("pipeline:N", scale=scale, legend=None)
    fill = alt.condition("datum.front", alt.Fill("pipeline:N", scale=scale, legend=None), alt.value(PAPER))
    titles = {"pipeline": "Pipeline", "y_words": METRIC, "x_words": plot.x_name}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    lines = base.mark_rule(opacity=0.45, strokeWidth=1.5)
    return [
        lines.encode(y=alt.Y("y_low:Q"), y2="y_high:Q", stroke=stroke),
        lines.encode(x=alt.X("x_low:Q"), x2="x_high:Q", stroke=stroke),
        base.mark_circle(size=110, opacity=1, strokeWidth=2.2).encode(fill=fill, stroke=stroke, tooltip=tooltip),
    ]


def _leaders(base: Any) -> Any:
    """From a point to a name that had to move away from it."""
    ends = {"x2Offset": alt.ExprRef("datum.dx"), "y2Offset": alt.ExprRef("datum.dy")}
    far = base.transform_filter("abs(datum.dx) + abs(datum.dy) > 30")
    return far.mark_rule(stroke=RULE, strokeWidth=1, **ends).encode(x2="x:Q", y2="y:Q")


def _names(base: Any, halo: Mapping[str, Any]) -> Any:
    places = {key: alt.ExprRef(f"datum.{key}") for key in ("dx", "dy", "align")}
    return base.mark_text(baseline="middle", lineBreak="\n", fontWeight=500, **places, **halo).encode(text="name:N")
