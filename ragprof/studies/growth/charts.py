"""Quality and cost against corpus size: a line a pipeline with its band, dashed where it is a forecast.

Charts of growth with a panel a pipeline: the two causes, the kinds of distractors, and the reranker's depth.

Stacks over corpus size, a panel a pipeline: time by stage, the prompt's tokens by kind, and what was lost where.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import altair as alt

from ragprof.core import STAGES as STAGE_ORDER
from ragprof.report import figures
from ragprof.report.lines import (
    Axes,
    Found,
    Line,
    Mark,
    Series,
    Stack,
    Vertical,
    areas,
    bars,
    bottom,
    ends_of,
    estimate_mark,
    gaps,
    line_specification,
    lines_panel,
    mark,
    named_at_ends,
    near,
    panel_specification,
    parts_of,
    pieces,
    size_axis,
    size_scale,
    spelling,
    top,
    whole,
)
from ragprof.report.lookup import COST, Summary, at, entries, interval
from ragprof.report.lookup import colours as colours_of
from ragprof.report.palette import CONTEXT, DASHES, INK, KINDS, LOSSES, SHAPES, STAGES
from ragprof.report.theme import Chart, Key, Panel, Scale, linear, rows, time_unit
from ragprof.studies.growth import lookup as grown

_WIDER = " A forecast's band may leave the plot; the table has its ends."


def quality(summary: Summary) -> Chart | None:
    """The growth metric of the final ranking while every judged document is kept. None where nothing is judged."""
    metric = grown.metric(summary)

    def measured(name: str) -> list[Mark]:
        found = grown.points(summary, name)
        return [estimate_mark(one["size"], grown.score(summary, name, one), figures.score) for one in found]

    lines = _lines(summary, measured, metric, figures.score)
    if not lines:
        return None
    axes = _axes(lines, metric, "")
    caption = (
        f"{metric} of the final ranking, {grown.basis(summary)}; {grown.band_words(summary)}. Every judged document "
        f"is in every corpus here, which flatters the small sizes. {_forecast_words(summary, lines, metric, axes)}"
    )
    notes = tuple(f"{name}: {metric} {figures.ABSENT}" for name in _missing(summary, lines))
    return _chart("growth-quality", "Quality as the corpus grows", caption, lines, axes, notes)


def cost(summary: Summary) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no pipeline has a total."""

    def measured(name: str) -> list[Mark]:
        found = [(one["size"], at(one, COST)) for one in grown.points(summary, name)]
        return [mark(size, at(one, "total"), interval(one, "interval"), figures.usd) for size, one in found]

    lines = _lines(summary, measured, COST, figures.usd)
    if not lines:
        return None
    axes = _axes(lines, "USD per 1,000 queries", "$")
    caption = (
        f"Cost of 1,000 queries on a real index of each size, {grown.timings(summary)}; bands are 95% intervals over "
        f"queries. {_forecast_words(summary, lines, COST, axes)}"
    )
    notes = tuple(_why_no_cost(summary, name) for name in _missing(summary, lines))
    return _chart("growth-cost", "Cost as the corpus grows", caption, lines, axes, notes)


def _chart(key: str, title: str, caption: str, lines: Sequence[Line], axes: Axes, notes: tuple[str, ...]) -> Chart:
    spec = line_specification(lines, axes)
    return Chart(key, title, caption.strip(), spec, notes, legend=_legend(lines))


def _lines(
    summary: Summary, measured: Callable[[str], list[Mark]], quantity: str, write: Callable[[Any], str]
) -> list[Line]:
    colours = colours_of(summary)
    shapes = dict(zip(colours, itertools.cycle(SHAPES), strict=False))
    lines = []
    for name in grown.names(summary):
        marks = measured(name)
        if any(one.value is not None for one in marks):
            forecast = _forecast(summary, name, quantity, write)
            lines.append(Line(name, colours[name], shapes[name], tuple(marks), tuple(forecast)))
    return lines


def _forecast(summary: Summary, name: str, quantity: str, write: Callable[[Any], str]) -> list[Mark]:
    ahead = entries(grown.drawn_forecast(summary, name, quantity), "at")
    known = [one for one in ahead if at(one, "size") is not None]
    return [mark(one["size"], at(one, "value"), interval(one, "interval"), write) for one in known]


def _axes(lines: Sequence[Line], title: str, prefix: str) -> Axes:
    """Bands of forecasts may leave the plot: they would otherwise flatten what was measured."""
    measured = ends_of(one for line in lines for one in line.measured)
    ahead = [one.value for line in lines for one in line.forecast if one.value is not None]
    x = size_scale([one.x for line in lines for one in (*line.measured, *line.forecast)])
    y = near([*measured, *ahead])
    return Axes(x, Vertical(title, y, spelling(y, prefix)))


def _legend(lines: Sequence[Line]) -> tuple[Key, ...]:
    return () if named_at_ends(lines) else tuple(Key(line.name, line.colour, shape=line.shape) for line in lines)


def _missing(summary: Summary, lines: Sequence[Line]) -> list[str]:
    drawn = {line.name for line in lines}
    return [name for name in grown.names(summary) if name not in drawn]


def _why_no_cost(summary: Summary, name: str) -> str:
    reasons = grown.unpriced(grown.points(summary, name))
    return f"{name}: {figures.UNPRICED} ({'; '.join(reasons)})" if reasons else f"{name}: cost {figures.ABSENT}"


def _forecast_words(summary: Summary, lines: Sequence[Line], quantity: str, axes: Axes) -> str:
    """What is dashed, and for whom nothing is."""
    models = {at(grown.drawn_forecast(summary, line.name, quantity), "model") for line in lines if line.forecast}
    words = []
    if models:
        words.append(f"Dashed, with open points and a paler band: forecast ({', '.join(sorted(map(str, models)))}).")
    silent = grown.abstaining(summary, quantity)
    if silent:
        words.append(f"No forecast is drawn for {', '.join(silent)}: the models abstain.")
    wide = [end for line in lines for end in ends_of(line.forecast) if not axes.y.scale.low <= end <= axes.y.scale.high]
    return " ".join(words) + (_WIDER if wide else "")


Lines = dict[Series, list[Mark]]
_CAUSES = {
    grown.ALL_JUDGED: ("solid", "circle", "more distractors: every judged document is kept (flatters small sizes)"),
    grown.PROPORTIONAL: ("dashed", "square", "evidence grows too: judged documents enter in proportion"),
}
_DEPTH_DASHES = ("dotted", "dashed", "solid")


def causes(summary: Summary) -> Chart | None:
    """Keeping every judged document against letting them enter in proportion. None without the second curve."""
    colours = colours_of(summary)
    panels = {name: _cause_lines(summary, name, colours[name]) for name in grown.names(summary)}
    panels = {name: lines for name, lines in panels.items() if len(lines) == len(_CAUSES)}
    caption = (
        f"{grown.metric(summary)} of the final ranking, {grown.basis(summary)}; {grown.band_words(summary)}. "
        "Keeping every judged document flatters the small sizes: all the evidence is there and few passages compete "
        "with it. Where judged documents enter in proportion, small corpora lack evidence. The solid line's fall is "
        "what distractors take; the gap between the lines is evidence that is missing."
    )
    legend = tuple(Key(words, INK, DASHES[dash], shape) for dash, shape, words in _CAUSES.values())
    return _size_chart(summary, "growth-causes", "More distractors or more evidence", caption, panels, legend)


def _cause_lines(summary: Summary, name: str, colour: str) -> Lines:
    return _present(
        {
            Series(curve, colour, DASHES[dash], shape): _marks(summary, name, curve)
            for curve, (dash, shape, _) in _CAUSES.items()
        }
    )


def kinds(summary: Summary) -> Chart | None:
    """A line a kind of distractor. None where the corpus grew by random passages alone."""
    looks = dict(zip(grown.KINDS, zip(DASHES.values(), SHAPES, strict=False), strict=True))
    panels = {
        name: _present(
            {
                Series(kind, KINDS[kind], *looks[curve]): _marks(summary, name, curve)
                for curve, kind in grown.KINDS.items()
            }
        )
        for name in grown.names(summary)
    }
    panels = {name: lines for name, lines in panels.items() if len(lines) > 1}
    present = {series: None for lines in panels.values() for series in lines}
    caption = (
        f"{grown.metric(summary)} of the final ranking, {grown.basis(summary)}; {grown.band_words(summary)}. All "
        "lines set out from the same smallest corpus, then only that kind of passage enters; a line ends where there "
        "are no more of its kind."
    )
    legend = tuple(series.key for series in present)
    return _size_chart(summary, "growth-kinds", "What kind of distractor hurts", caption, panels, legend)


def depth(summary: Summary) -> Chart | None:
    """The metric against how many candidates the reranker sees, a line a size. None where no depth was varied."""
    sizes = grown.landmarks(grown.sizes(summary))
    names = [name for name in grown.names(summary) if grown.final_stage(summary, name) == "rerank"]
    panels = {name: _depth_lines(summary, name, sizes) for name in names}
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None
    values = _ends(panels)
    depths = [one.x for lines in panels.values() for marks in lines.values() for one in marks]
    x = _depth_axis(sorted(set(depths)))
    y = Vertical(grown.metric(summary), near(values), spelling(near(values)))
    caption = (
        f"{grown.metric(summary)} of the final ranking when the reranker sees that many candidates, a line a corpus "
        f"size, {grown.basis(summary)}; {grown.band_words(summary)}. Every judged document is in every corpus."
    )
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    keys = {series.name: replace(series.key, colour=INK) for lines in panels.values() for series in lines}
    legend = tuple(keys.values())
    return Chart("growth-depth", "How deep reranking pays", caption, {}, panels=drawn, legend=legend)


def _depth_lines(summary: Summary, name: str, sizes: list[int]) -> Lines:
    colour = colours_of(summary)[name]
    looks = zip(sizes, _DEPTH_DASHES[-len(sizes) :], SHAPES, strict=False)
    return _present(
        {
            Series(f"{figures.count(size)} passages", colour, DASHES[dash], shape): _depth_marks(summary, name, size)
            for size, dash, shape in looks
        }
    )


def _depth_marks(summary: Summary, name: str, size: int) -> list[Mark]:
    found = entries(grown.point_of_size(summary, name, size), "by_depth")
    known = [one for one in found if at(one, "depth") is not None]
    metric = grown.metric(summary)
    return [estimate_mark(one["depth"], at(one, "scores", metric), figures.score) for one in known]


def _depth_axis(depths: list[float]) -> Any:
    scale = linear(depths, margin=0.06)
    axis = alt.Axis(values=depths, format="~d", grid=False, labelOverlap="greedy")
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.X("x:Q", title="Candidates that the reranker sees", axis=axis, scale=domain)


def _marks(summary: Summary, name: str, curve: str) -> list[Mark]:
    found = grown.points(summary, name, curve)
    return [estimate_mark(one["size"], grown.score(summary, name, one), figures.score) for one in found]


def _present(lines: Lines) -> Lines:
    """Lines with at least one value."""
    return {series: marks for series, marks in lines.items() if any(one.value is not None for one in marks)}


def _ends(panels: Mapping[str, Lines]) -> list[float]:
    return ends_of(one for lines in panels.values() for marks in lines.values() for one in marks)


def _size_chart(
    summary: Summary, key: str, title: str, caption: str, panels: Mapping[str, Lines], legend: tuple[Key, ...]
) -> Chart | None:
    """Panels with the same axes, so that pipelines can be compared. None without panels."""
    if not panels:
        return None
    marks = [one for lines in panels.values() for found in lines.values() for one in found]
    x, scale = size_axis(size_scale([one.x for one in marks])), near(ends_of(marks))
    y = Vertical(grown.metric(summary), scale, spelling(scale))
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    metric = grown.metric(summary)
    notes = tuple(f"{name}: {metric} {figures.ABSENT}" for name in grown.names(summary) if name not in panels)
    return Chart(key, title, caption, {}, notes, panels=drawn, legend=legend)


_ROOM, _TICKS = 1.05, 4
_WHOLE = Scale(0.0, 1.0)
Readings: TypeAlias = dict[str, Found]
Drawn: TypeAlias = Callable[[str, list[Stack]], dict[str, Any]]


def time(summary: Summary) -> Chart | None:
    """Mean time by stage with p95 end to end, each panel on its own scale. None without timings."""
    readings = {name: _times(summary, name) for name in grown.names(summary)}
    x = _sizes_axis(readings)

    def drawn(name: str, stacks: list[Stack]) -> dict[str, Any]:
        slowest = _p95(summary, name, 1.0)
        highest = max([top(stacks), *ends_of(slowest)])
        unit, length = time_unit(highest)
        y = Vertical(unit, Scale(0.0, highest / length * _ROOM), ",.3~f")
        scaled = [Stack(one.size, {part: ns / length for part, ns in one.parts.items()}) for one in stacks]
        found = pieces(scaled, lambda value: figures.duration(value * length))
        line = _whiskers(_p95(summary, name, length), x, y)
        return panel_specification(alt.layer(bars(found, x, _foot(y), STAGES), *line))

    caption = (
        "Bars: mean time of each stage in live queries on a real index of that size, and in pale what no stage "
        f"accounts for. Diamonds: p95 end to end with 95% intervals over queries, {grown.timings(summary)}. Each "
        "panel has its own vertical scale and unit."
    )
    legend = (*_keys(readings, STAGES), Key("p95 end to end", INK, shape="diamond"))
    return _stack_charts_chart(
        "growth-time", "Where the time goes as the corpus grows", caption, readings, drawn, legend
    )


def context(summary: Summary) -> Chart | None:
    """What the injected tokens are worth, as shares. None where no share was recorded."""
    readings = {name: _shares(summary, name) for name in grown.names(summary)}
    x, y = _sizes_axis(readings), Vertical("of the tokens", _WHOLE, ".0%")

    def drawn(_: str, stacks: list[Stack]) -> dict[str, Any]:
        return panel_specification(alt.layer(*areas(pieces(stacks, figures.share), x, _foot(y), CONTEXT)))

    caption = (
        f"Mean share of the injected tokens, {grown.basis(summary)}; every judged document is in every corpus, which "
        "flatters the small sizes. Unjudged is not irrelevant. 95% intervals and the other kinds of distractors are in "
        "the table."
    )
    title = "What the injected tokens are worth"
    return _stack_charts_chart("growth-context", title, caption, readings, drawn, _keys(readings, CONTEXT))


def loss(summary: Summary) -> Chart | None:
    """Where quality is lost; what a reranker wins lies below zero. None where no loss was decomposed."""
    readings = {name: _losses(summary, name) for name in grown.names(summary)}
    stacks = [one for found in readings.values() for one in whole(found)]
    totals = [end for name in readings for end in ends_of(_totals(summary, name))]
    scale = _around_zero([top(stacks), bottom(stacks), *totals])
    x, y = _sizes_axis(readings), Vertical("lost", scale, spelling(scale))

    def drawn(name: str, stacks: list[Stack]) -> dict[str, Any]:
        layers = areas(pieces(stacks, figures.difference), x, _foot(y), LOSSES)
        line = _whiskers(_totals(summary, name), x, y)
        return panel_specification(alt.layer(*layers, _zero(), *line))

    caption = (
        f"{grown.loss_metric(summary)} lost in each part, {grown.basis(summary)}: embedding (exact search against "
        "the labels), index (approximate against exact), rerank and packing (what the prompt leaves out). Below zero: "
        "won. The line is the total with its 95% interval; a part that was not measured is not in the stack."
    )
    legend = (*_keys(readings, LOSSES), Key("total", INK, shape="diamond"))
    return _stack_charts_chart("growth-loss", "Where quality is lost", caption, readings, drawn, legend)


def _times(summary: Summary, name: str) -> Found:
    return {int(point["size"]): _stage_means(point) for point in grown.points(summary, name)}


def _stage_means(point: Mapping[str, Any]) -> dict[str, float | None]:
    means = {stage: at(point, "stages", stage, "mean_ns") for stage in STAGE_ORDER}
    rest = at(point, "unaccounted", "mean_ns")
    return means | {"unaccounted": None if rest is None else max(0.0, rest)}  # a hair below 0 where clocks disagree


def _shares(summary: Summary, name: str) -> Found:
    return {
        int(point["size"]): {kind: at(point, "context_share", kind, "mean") for kind in CONTEXT}
        for point in grown.points(summary, name)
    }


def _losses(summary: Summary, name: str) -> Found:
    return {int(row["size"]): {part: at(row, part) for part in LOSSES} for row in grown.losses(summary, name)}


def _p95(summary: Summary, name: str, length: float) -> list[Mark]:
    """In units of that many ns; sizes without one are left out."""
    found = [(one["size"], at(one, "end_to_end")) for one in grown.points(summary, name)]
    marks = [mark(size, at(one, "p95_ns"), interval(one, "p95_interval_ns"), figures.duration) for size, one in found]
    return [one.divided(length) for one in marks if one.value is not None]


def _totals(summary: Summary, name: str) -> list[Mark]:
    rows = grown.losses(summary, name)
    marks = [mark(one["size"], at(one, "total"), interval(one, "total_interval"), figures.difference) for one in rows]
    return [one for one in marks if one.value is not None]


def _around_zero(values: list[float]) -> Scale:
    """Zero is always in it."""
    low, high = min([0.0, *values]), max([0.0, *values])
    room = (high - low) * (_ROOM - 1) or 1.0
    return Scale(low - room if low < 0 else 0.0, high + room)


def _sizes_axis(readings: Readings) -> Any:
    """The same for all panels; any at all where there is nothing to draw."""
    return size_axis(size_scale([size for found in readings.values() for size in found] or [1.0]))


def _keys(readings: Readings, colours: Mapping[str, str]) -> tuple[Key, ...]:
    """The parts that can be seen in some panel."""
    stacks = (one for found in readings.values() for one in whole(found))
    present = {part for one in stacks for part, value in one.parts.items() if value}
    return tuple(Key(part, colour, area=True) for part, colour in colours.items() if part in present)


def _foot(y: Vertical) -> Any:
    return y.axis("low", ticks=_TICKS)


def _zero() -> Any:
    return alt.Chart(rows([{"zero": 0}])).mark_rule(stroke=INK, strokeWidth=1).encode(y="zero:Q")


def _whiskers(marks: list[Mark], x: Any, y: Vertical) -> list[Any]:
    """A line with its intervals over the stacks."""
    base, value = alt.Chart(rows([one.row() for one in marks])).encode(x=x), y.axis("value", ticks=_TICKS)
    tooltip = [alt.Tooltip("x:N", title="Passages"), alt.Tooltip("words:N", title="Line")]
    return [
        base.mark_line(stroke=INK, strokeWidth=1.2).encode(y=value),
        base.mark_rule(stroke=INK, strokeWidth=1.2).encode(y=_foot(y), y2="high:Q"),
        base.mark_point(shape="diamond", filled=True, fill=INK, size=40, opacity=1).encode(y=value, tooltip=tooltip),
    ]


def _stack_charts_chart(
    key: str, title: str, caption: str, readings: Readings, drawn: Drawn, legend: tuple[Key, ...]
) -> Chart | None:
    panels = {name: whole(found) for name, found in readings.items()}
    shown = tuple(Panel(name, drawn(name, stacks)) for name, stacks in panels.items() if stacks)
    if not shown:
        return None
    return Chart(key, title, caption, {}, tuple(_left_out(readings)), panels=shown, legend=legend)


def _left_out(readings: Readings) -> list[str]:
    absent = [f"{name}: {figures.ABSENT}" for name, found in readings.items() if not parts_of(found)]
    return absent + [
        f"{name} at {figures.count(size)} passages: incomplete"
        for name, found in readings.items()
        for size in gaps(found)
    ]
