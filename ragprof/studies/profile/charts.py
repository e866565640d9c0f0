"""Stacked bars: the time of a query by stage, and the tokens of a prompt by origin.

A row a line, a point with its interval in it: quality after each stage, and differences between pipelines.

Quality against latency and against cost: a point a pipeline, with intervals, its name and the Pareto front.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import altair as alt

from ragprof.core import RANKED_STAGES
from ragprof.report import figures
from ragprof.report.lookup import (
    COST,
    METRIC,
    Summary,
    at,
    entries,
    final_scores,
    interval,
    pipelines,
    stages,
    unpriced_stages,
)
from ragprof.report.palette import INK, MUTED, PAPER, RULE, STAGES, TOKENS, VERDICTS, pipeline_colours
from ragprof.report.theme import (
    Box,
    Chart,
    Point,
    Scale,
    arrange,
    colour_by,
    linear,
    logarithmic,
    named_axis,
    queries_words,
    rows,
    rows_height,
    specification,
    time_unit,
    timings_words,
    wrap,
)

Rows = list[dict[str, Any]]
_BAR, _BAR_ABOVE, _MARKS_BELOW = 16, -8, 10
_QUANTILES = {"p50": "circle", "p95": "diamond"}
_TOKEN_KEYS = {
    "context": "inject.context_tokens",
    "question": "inject.query_tokens",
    "template": "inject.template_tokens",
}


def stage_times(summary: Summary) -> Chart | None:
    """Mean time by stage with the unaccounted remainder, over p50 and p95 of end to end. None without timings."""
    longest = max(_lengths(summary), default=None)
    segments = _segments(summary)
    if longest is None or not segments:
        return None
    unit, length = time_unit(longest)
    names = [wrap(name) for name in pipelines(summary)]
    y = alt.Y("name:N", sort=names, axis=named_axis(label_offset=_BAR_ABOVE))
    x = _from_zero("time", f"Time of one query ({unit})", longest / length)
    bars = _stacked(_in_unit(segments, length), x, y, {stage: STAGES[stage] for stage in STAGES}, "stage")
    marks, totals = _in_unit(_quantiles(summary), length), _in_unit(_means(summary), length)
    layers = [bars.mark_bar(height=_BAR, yOffset=_BAR_ABOVE, stroke=PAPER, strokeWidth=1), *_quantile_layers(marks, y)]
    chart = alt.layer(*layers, _end_labels(totals, "time", y, _BAR_ABOVE))
    spec = specification(chart, height=rows_height(names, 50))
    return Chart("time", "Where the time of a query goes", _time_caption(summary), spec)


def tokens(summary: Summary) -> Chart | None:
    """Prompt tokens by origin. None where no pipeline has counted them."""
    segments, totals = _token_segments(summary), _prompts(summary)
    if not segments:
        return None
    names = list(dict.fromkeys(row["name"] for row in segments))
    y = alt.Y("name:N", sort=names, axis=named_axis())
    longest = max(sum(row["tokens"] for row in segments if row["name"] == name) for name in names)
    x = _from_zero("tokens", "Prompt tokens per query (mean)", longest)
    bars = _stacked(segments, x, y, TOKENS, "part").mark_bar(height=_BAR, stroke=PAPER, strokeWidth=1)
    chart = alt.layer(bars, _end_labels(totals, "tokens", y, 0))
    caption = f"Mean tokens by origin, {queries_words(summary)}; the number at the end is the whole prompt."
    return Chart("tokens", "What the prompt is made of", caption, specification(chart, height=rows_height(names, 46)))


def _from_zero(field: str, title: str, longest: float) -> Any:
    """An axis from 0 with room for the number at the end of the longest bar."""
    return alt.X(
        f"{field}:Q", title=title, axis=alt.Axis(tickCount=6), scale=alt.Scale(domain=[0, longest * 1.14], nice=False)
    )


def _stacked(segments: Rows, x: Any, y: Any, colours: Mapping[str, str], field: str) -> Any:
    """Bars in the order of `colours`, which is the order of the legend too."""
    used = {name: colour for name, colour in colours.items() if any(row[field] == name for row in segments)}
    titles = {"pipeline": "Pipeline", field: "Part", "label": "Mean"}
    tooltip = [alt.Tooltip(f"{column}:N", title=title) for column, title in titles.items()]
    colour = colour_by(field, used, symbol="square")
    return alt.Chart(rows(segments)).encode(x=x, y=y, color=colour, order=alt.Order("order:Q"), tooltip=tooltip)


def _quantile_layers(marks: Rows, y: Any) -> list[Any]:
    base = alt.Chart(rows(marks)).encode(y=y)
    legend = alt.Legend(symbolFillColor=INK, labelExpr="datum.label + ' end to end'")
    scale = alt.Scale(domain=list(_QUANTILES), range=list(_QUANTILES.values()))
    titles = {"pipeline": "Pipeline", "quantile": "Quantile", "label": "End to end", "interval": "95% interval"}
    tooltip = [alt.Tooltip(f"{column}:N", title=title) for column, title in titles.items()]
    lines = base.mark_rule(yOffset=_MARKS_BELOW, strokeWidth=1.5, stroke=MUTED).encode(x="low:Q", x2="high:Q")
    points = base.mark_point(yOffset=_MARKS_BELOW, filled=True, size=48, fill=INK, opacity=1)
    return [
        lines,
        points.encode(x="time:Q", shape=alt.Shape("quantile:N", scale=scale, legend=legend), tooltip=tooltip),
    ]


def _end_labels(totals: Rows, field: str, y: Any, offset: float) -> Any:
    text = alt.Chart(rows(totals)).mark_text(align="left", dx=7, yOffset=offset, fontWeight=600)
    return text.encode(x=f"{field}:Q", y=y, text="label:N")


def _in_unit(measured: Rows, length: float) -> Rows:
    """Times in the unit of the axis beside those in ns."""
    return [
        row | {key: row[f"{key}_ns"] / length for key in ("time", "low", "high") if f"{key}_ns" in row}
        for row in measured
    ]


def _lengths(summary: Summary) -> list[float]:
    quantiles = [row["high_ns"] for row in _quantiles(summary)]
    return quantiles + [row["time_ns"] for row in [*_means(summary), *_segments(summary)]]


def _segments(summary: Summary) -> Rows:
    order = stages(summary)
    return [row for name, pipeline in pipelines(summary).items() for row in _pipeline_segments(name, pipeline, order)]


def _pipeline_segments(name: str, pipeline: Mapping[str, Any], order: Sequence[str]) -> Rows:
    means = {stage: at(pipeline, "stages", stage, "mean_ns") for stage in order}
    means["unaccounted"] = at(pipeline, "unaccounted", "mean_ns")
    return _parts(name, means, kind="stage", value="time_ns", write=figures.duration)


def _token_segments(summary: Summary) -> Rows:
    return [row for name, pipeline in pipelines(summary).items() for row in _pipeline_tokens(name, pipeline)]


def _pipeline_tokens(name: str, pipeline: Mapping[str, Any]) -> Rows:
    counted = {part: at(pipeline, "usage_per_query", key) for part, key in _TOKEN_KEYS.items()}
    return _parts(name, counted, kind="part", value="tokens", write=figures.mean_count)


def _parts(name: str, values: Mapping[str, Any], *, kind: str, value: str, write: Any) -> Rows:
    """One row a part; parts without length are not drawn."""
    return [
        {"pipeline": name, "name": wrap(name), kind: part, value: found, "order": place, "label": write(found)}
        for place, (part, found) in enumerate(values.items())
        if found is not None and found > 0
    ]


def _quantiles(summary: Summary) -> Rows:
    return [
        _quantile_row(name, quantile, at(pipeline, "end_to_end"))
        for name, pipeline in pipelines(summary).items()
        for quantile in _QUANTILES
        if at(pipeline, "end_to_end", f"{quantile}_ns") is not None
    ]


def _quantile_row(name: str, quantile: str, latency: Mapping[str, Any]) -> dict[str, Any]:
    ns, ends = latency[f"{quantile}_ns"], interval(latency, f"{quantile}_interval_ns")
    low, high = ends or (ns, ns)
    words = {"label": figures.duration(ns), "interval": figures.span(ends, figures.duration)}
    return {
        "pipeline": name,
        "name": wrap(name),
        "quantile": quantile,
        "time_ns": ns,
        "low_ns": low,
        "high_ns": high,
        **words,
    }


def _means(summary: Summary) -> Rows:
    means = {name: at(pipeline, "end_to_end", "mean_ns") for name, pipeline in pipelines(summary).items()}
    return [{"name": wrap(name), "time_ns": ns, "label": figures.duration(ns)} for name, ns in means.items() if ns]


def _prompts(summary: Summary) -> Rows:
    prompts = {
        name: at(pipeline, "usage_per_query", "inject.prompt_tokens") for name, pipeline in pipelines(summary).items()
    }
    return [
        {"name": wrap(name), "tokens": value, "label": figures.mean_count(value)}
        for name, value in prompts.items()
        if value
    ]


def _time_caption(summary: Summary) -> str:
    return (
        "Bars: mean time of each stage; the number at the end is the mean end to end, the pale end is what no stage "
        f"accounts for. Marks below: p50 and p95 end to end with their 95% intervals, {timings_words(summary)}."
    )


_NO_DIFFERENCE = 0


def quality_by_stage(summary: Summary) -> Chart | None:
    """nDCG@10 after each stage that ranks, pipeline by pipeline. None where nothing is judged."""
    data = [row for name in pipelines(summary) for row in _stage_rows(summary, name)]
    if not data:
        return None
    names = list(dict.fromkeys(row["name"] for row in data))
    present = [stage for stage in RANKED_STAGES if any(row["stage"] == stage for row in data)]
    lanes = alt.YOffset("stage:N", sort=present, scale=alt.Scale(paddingOuter=0.6))
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()), yOffset=lanes)
    scale = linear([row[key] for row in data for key in ("low", "high")], margin=0.06)
    axis = alt.Axis(title=METRIC, tickCount=6, format=".2f")
    colour = colour_by("stage", {stage: STAGES[stage] for stage in present}, symbol="circle")
    chart = alt.layer(*_points(base, scale, axis, colour))
    caption = (
        f"{METRIC} of the ranking that leaves each stage, with 95% intervals, {queries_words(summary)}. "
        "Inject keeps only the documents that go into the prompt, so its ranking is shorter."
    )
    return Chart(
        "stage-quality", "Quality after each stage", caption, specification(chart, height=rows_height(names, 46))
    )


def _stage_rows(summary: Summary, name: str) -> list[dict[str, Any]]:
    scores = at(pipelines(summary)[name], "scores")
    found = [(stage, at(scores, stage, METRIC)) for stage in RANKED_STAGES]
    return [
        _row(at(estimate, "mean"), interval(estimate, "interval"), figures.score)
        | {"name": wrap(name), "tip": f"{name}, after {stage}", "stage": stage}
        for stage, estimate in found
        if at(estimate, "mean") is not None
    ]


def differences(summary: Summary) -> Chart | None:
    """Each comparison of the final nDCG@10 against no difference. None where there is none."""
    data = [_difference_row(comparison) for comparison in entries(summary, "comparisons") if _is_drawn(comparison)]
    if not data:
        return None
    names = list(dict.fromkeys(row["name"] for row in data))
    widest = max(abs(row[key]) for row in data for key in ("low", "high", "score")) * 1.1 or 1.0
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()))
    axis = alt.Axis(title=f"Difference in {METRIC}, candidate minus baseline", format="+.2f", tickCount=7)
    present = [verdict for verdict in VERDICTS if any(row["verdict"] == verdict for row in data)]
    colour = colour_by("verdict", {verdict: VERDICTS[verdict] for verdict in present}, symbol="circle")
    zero = alt.Chart(rows([{"score": _NO_DIFFERENCE}])).mark_rule(stroke=INK, strokeWidth=1).encode(x="score:Q")
    chart = alt.layer(zero, *_points(base, Scale(-widest, widest), axis, colour))
    caption = (
        f"Paired by query, 95% intervals, {queries_words(summary)}. Verdicts are corrected for all comparisons (Holm), "
        "so an interval that stays clear of the line can still be undecided."
    )
    return Chart(
        "differences", "Which pipelines differ in quality", caption, specification(chart, height=rows_height(names, 40))
    )


def _is_drawn(comparison: Mapping[str, Any]) -> bool:
    wanted = at(comparison, "metric") == METRIC and at(comparison, "stage") in ("final", None)
    return wanted and at(comparison, "difference") is not None and at(comparison, "verdict") in VERDICTS


def _difference_row(comparison: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{at(comparison, 'candidate')} vs {at(comparison, 'baseline')}"
    row = _row(comparison["difference"], interval(comparison, "interval"), figures.difference)
    return row | {"name": wrap(name, 32), "tip": name, "verdict": comparison["verdict"]}


def _row(value: float, ends: tuple[float, float] | None, write: Any) -> dict[str, Any]:
    low, high = ends or (value, value)
    return {"score": value, "low": low, "high": high, "label": f"{write(value)} ({figures.span(ends, write)})"}


def _points(base: Any, scale: Scale, axis: Any, colour: Any) -> list[Any]:
    x_scale = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    tooltip = [alt.Tooltip("tip:N", title="For"), alt.Tooltip("label:N", title=METRIC)]
    lines = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("low:Q", axis=axis, scale=x_scale), x2="high:Q", color=colour
    )
    points = base.mark_circle(size=70, opacity=1).encode(
        x=alt.X("score:Q", axis=axis, scale=x_scale), color=colour, tooltip=tooltip
    )
    return [lines, points]


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
