"""The charts of growth: lines with their forecasts, a panel per pipeline for causes, kinds and depths, and stacks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from ragprof.core import STAGES as STAGE_ORDER
from ragprof.report import figures
from ragprof.report.lines import (
    Found,
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
    lines_ahead,
    lines_panel,
    mark,
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
from ragprof.report.lookup import COST, at, interval
from ragprof.report.palette import CONTEXT, DASHES, INK, KINDS, LOSSES, SHAPES, STAGES
from ragprof.report.theme import Chart, Key, Panel, Scale, linear, rows, time_unit
from ragprof.studies.contract import Context
from ragprof.studies.growth import lookup as grown
from ragprof.studies.growth.section import GrowthPoint, GrowthSection

Lines = dict[Series, list[Mark]]
_ROOM, _TICKS = 1.05, 4
_DEPTH_DASHES = ("dotted", "dashed", "solid")
_CAUSES = {
    grown.ALL_JUDGED: ("solid", "circle", "more distractors: every judged document is kept (flatters small sizes)"),
    grown.PROPORTIONAL: ("dashed", "square", "evidence grows too: judged documents enter in proportion"),
}


def quality(section: GrowthSection, context: Context) -> Chart | None:
    """The growth metric of the final ranking while every judged document is kept. None where nothing is judged."""
    metric = section.metric
    measured = {name: _quality_marks(section, name, grown.ALL_JUDGED) for name in section.pipelines}
    caption = (
        f"{metric} of the final ranking, {grown.basis(section)}; {grown.band_words(section)}. Every judged document "
        "is in every corpus here, which flatters the small sizes."
    )
    axis, notes = (metric, "", figures.score), dict.fromkeys(measured, f"{metric} {figures.ABSENT}")
    return _ahead(
        section, context, "growth-quality", "Quality as the corpus grows", caption, metric, axis, measured, notes
    )


def cost(section: GrowthSection, context: Context) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no pipeline has a total."""
    measured: dict[str, list[Mark]] = {}
    notes: dict[str, str] = {}
    for name in section.pipelines:
        bills = [(point.size, point.cost_usd_per_1000_queries) for point in grown.points(section, name)]
        measured[name] = [
            mark(size, bill and bill.total, interval(bill, "interval"), figures.usd) for size, bill in bills
        ]
        reasons = dict.fromkeys(reason for _, bill in bills if bill for reason in bill.unpriced)
        notes[name] = f"{figures.UNPRICED} ({'; '.join(reasons)})" if reasons else f"cost {figures.ABSENT}"
    caption = (
        f"Cost of 1,000 queries on a real index of each size, {grown.timings(section)}; bands are 95% intervals over "
        f"queries.{_busy_words(section, 'cost_withheld')}"
    )
    axis = ("USD per 1,000 queries", "$", figures.usd)
    return _ahead(section, context, "growth-cost", "Cost as the corpus grows", caption, COST, axis, measured, notes)


def _busy_words(section: GrowthSection, withheld: str) -> str:
    """Whose figures are those of other work too; empty where the machine was quiet."""
    busy = {
        name: [point.size for point in grown.points(section, name) if getattr(point, withheld)]
        for name in section.pipelines
    }
    told = [f"{name} at {', '.join(map(figures.count, sizes))}" for name, sizes in busy.items() if sizes]
    return f" Of a busy machine, and not to be relied on: {'; '.join(told)}." if told else ""


def _ahead(
    section: GrowthSection,
    context: Context,
    key: str,
    title: str,
    caption: str,
    quantity: str,
    axis: tuple[str, str, Callable[[Any], str]],
    measured: Mapping[str, list[Mark]],
    notes: Mapping[str, str],
) -> Chart | None:
    """Lines over sizes with their forecasts. `notes` say of each pipeline why it may not be drawn."""
    words, prefix, write = axis
    shapes = dict(zip(context.colours, itertools.cycle(SHAPES), strict=False))
    lines: Lines = {}
    ahead: Lines = {}
    models: set[str] = set()
    for name, marks in measured.items():
        if all(one.value is None for one in marks):
            continue
        series = Series(name, context.colours[name], shape=shapes[name])
        lines[series], forecast = marks, grown.drawn_forecast(section, name, quantity)
        if forecast is not None:
            models.add(forecast.model)
            ahead[series] = [mark(one.size, one.value, interval(one, "interval"), write) for one in forecast.at]
    if not lines:
        return None
    later = [one for marks in ahead.values() for one in marks]
    now = [one for marks in lines.values() for one in marks]
    # Bands of forecasts may leave the plot: they would otherwise flatten what was measured.
    points = [*ends_of(now), *(one.value for one in later if one.value is not None)]
    y = near(points, most=1.0 if write is figures.score else None)
    if models:
        caption += f" Dashed, with open points and a paler band: forecast ({', '.join(sorted(models))})."
    if silent := grown.abstaining(section, quantity):
        caption += f" No forecast is drawn for {', '.join(silent)}: the models abstain."
    if any(not y.low <= end <= y.high for end in ends_of(later)):
        caption += " A forecast's band may leave the plot; the table has its ends."
    spec = lines_ahead(
        lines, ahead, size_scale([one.x for one in [*now, *later]]), Vertical(words, y, spelling(y, prefix))
    )
    drawn = {series.name for series in lines}
    return Chart(key, title, caption, spec, tuple(f"{name}: {why}" for name, why in notes.items() if name not in drawn))


def _quality_marks(section: GrowthSection, name: str, curve: str) -> list[Mark]:
    found = grown.points(section, name, curve)
    return [estimate_mark(one.size, grown.score(section, name, one), figures.score) for one in found]


def causes(section: GrowthSection, context: Context) -> Chart | None:
    """Keeping every judged document against letting them enter in proportion. None without the second curve."""
    looks = {curve: (DASHES[dash], shape) for curve, (dash, shape, _) in _CAUSES.items()}
    panels = {
        name: _present(
            {
                Series(curve, context.colours[name], *look): _quality_marks(section, name, curve)
                for curve, look in looks.items()
            }
        )
        for name in section.pipelines
    }
    caption = (
        f"{section.metric} of the final ranking, {grown.basis(section)}; {grown.band_words(section)}. "
        "Keeping every judged document flatters the small sizes: all the evidence is there and few passages compete "
        "with it. Where judged documents enter in proportion, small corpora lack evidence. The solid line's fall is "
        "what distractors take; the gap between the lines is evidence that is missing."
    )
    legend = tuple(Key(words, INK, DASHES[dash], shape) for dash, shape, words in _CAUSES.values())
    return _size_chart(section, "growth-causes", "More distractors or more evidence", caption, panels, legend)


def kinds(section: GrowthSection, _: Context) -> Chart | None:
    """A line for each kind of distractor. None where the corpus grew by random passages alone."""
    looks = list(zip(DASHES.values(), SHAPES, strict=False))
    panels = {
        name: _present(
            {
                Series(kind, KINDS[kind], *look): _quality_marks(section, name, curve)
                for (curve, kind), look in zip(grown.KINDS.items(), looks, strict=True)
            }
        )
        for name in section.pipelines
    }
    caption = (
        f"{section.metric} of the final ranking, {grown.basis(section)}; {grown.band_words(section)}. All "
        "lines set out from the same smallest corpus, then only that kind of passage enters; a line ends where there "
        "are no more of its kind."
    )
    legend = tuple(dict.fromkeys(series.key for lines in panels.values() if len(lines) > 1 for series in lines))
    return _size_chart(section, "growth-kinds", "What kind of distractor hurts", caption, panels, legend)


def _present(lines: Lines) -> Lines:
    return {series: marks for series, marks in lines.items() if any(one.value is not None for one in marks)}


def _size_chart(
    section: GrowthSection, key: str, title: str, caption: str, panels: Mapping[str, Lines], legend: tuple[Key, ...]
) -> Chart | None:
    """Panels with the same axes, so that pipelines can be compared; those with one line say nothing."""
    panels = {name: lines for name, lines in panels.items() if len(lines) > 1}
    marks = [one for lines in panels.values() for found in lines.values() for one in found]
    if not marks:
        return None
    x, scale = size_axis(size_scale([one.x for one in marks])), near(ends_of(marks), most=1.0)
    y = Vertical(section.metric, scale, spelling(scale))
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    notes = tuple(f"{name}: {section.metric} {figures.ABSENT}" for name in section.pipelines if name not in panels)
    return Chart(key, title, caption, {}, notes, panels=drawn, legend=legend)


def depth(section: GrowthSection, context: Context) -> Chart | None:
    """The metric against how many candidates the reranker sees, by size. None where no depth was varied."""
    sizes = grown.landmarks(section.sizes)
    looks = list(zip(sizes, _DEPTH_DASHES[-len(sizes) :], SHAPES, strict=False))
    panels: dict[str, Lines] = {}
    for name in section.pipelines:
        by_size = {point.size: point.by_depth for point in grown.points(section, name)}
        lines = {
            Series(f"{figures.count(size)} passages", context.colours[name], DASHES[dash], shape): [
                estimate_mark(one.depth, one.scores.get(section.metric), figures.score) for one in by_size.get(size, [])
            ]
            for size, dash, shape in looks
        }
        if present := _present(lines):
            panels[name] = present
    if not panels:
        return None
    marks = [one for lines in panels.values() for found in lines.values() for one in found]
    depths = sorted({one.x for one in marks})
    axis = alt.Axis(values=depths, format="~d", grid=False, labelOverlap="greedy")
    domain = linear(depths, margin=0.06).domain()
    x = alt.X("x:Q", title="Candidates that the reranker sees", axis=axis, scale=domain)
    scale = near(ends_of(marks), most=1.0)
    y = Vertical(section.metric, scale, spelling(scale))
    caption = (
        f"{section.metric} of the final ranking when the reranker sees that many candidates, a line per corpus "
        f"size, {grown.basis(section)}; {grown.band_words(section)}. Every judged document is in every corpus."
    )
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    keys = {series.name: replace(series.key, colour=INK) for lines in panels.values() for series in lines}
    return Chart("growth-depth", "How deep reranking pays", caption, {}, panels=drawn, legend=tuple(keys.values()))


def time(section: GrowthSection, _: Context) -> Chart | None:
    """Mean time by stage with p95 end to end, each panel on its own scale. None without timings."""

    def parts(point: GrowthPoint) -> dict[str, float | None]:
        means: dict[str, float | None] = {stage: at(point, "stages", stage, "mean_ns") for stage in STAGE_ORDER}
        rest = at(point, "unaccounted", "mean_ns")
        # A hair below 0 where clocks disagree.
        return {**means, "unaccounted": None if rest is None else max(0.0, rest)}

    readings = {name: {one.size: parts(one) for one in grown.points(section, name)} for name in section.pipelines}
    x = _sizes_axis(section)

    def drawn(name: str, stacks: list[Stack]) -> list[Any]:
        live = [(point.size, point.end_to_end) for point in grown.points(section, name)]
        slowest = [
            mark(size, one.p95_ns, interval(one, "p95_interval_ns"), figures.duration) for size, one in live if one
        ]
        highest = max([top(stacks), *ends_of(slowest)])
        unit, length = time_unit(highest)
        y = Vertical(unit, Scale(0.0, highest / length * _ROOM), ",.3~f")
        scaled = [Stack(one.size, {part: ns / length for part, ns in one.parts.items()}) for one in stacks]
        found = pieces(scaled, lambda value: figures.duration(value * length))
        return [bars(found, x, y, STAGES), *_whiskers([one.divided(length) for one in slowest], x, y)]

    caption = (
        "Bars: mean time of each stage in live queries on a real index of that size, and in pale what no stage "
        f"accounts for. Diamonds: p95 end to end with 95% intervals over queries, {grown.timings(section)}. Each "
        f"panel has its own vertical scale and unit.{_busy_words(section, 'latency_withheld')}"
    )
    title, key = "Where the time goes as the corpus grows", Key("p95 end to end", INK, shape="diamond")
    return _stack_chart("growth-time", title, caption, readings, STAGES, drawn, key)


def context_worth(section: GrowthSection, _: Context) -> Chart | None:
    """What the injected tokens are worth, as shares. None where no share was recorded."""
    readings = {
        name: {
            one.size: {kind: at(one, "context_share", kind, "mean") for kind in CONTEXT}
            for one in grown.points(section, name)
        }
        for name in section.pipelines
    }
    x, y = _sizes_axis(section), Vertical("of the tokens", Scale(0.0, 1.0), ".0%")
    caption = (
        f"Mean share of the injected tokens, {grown.basis(section)}; every judged document is in every corpus, which "
        "flatters the small sizes. Unjudged is not irrelevant. 95% intervals and the other kinds of distractors are in "
        "the table."
    )

    def drawn(_: str, stacks: list[Stack]) -> list[Any]:
        return areas(pieces(stacks, figures.share), x, y, CONTEXT)

    return _stack_chart("growth-context", "What the injected tokens are worth", caption, readings, CONTEXT, drawn)


def loss(section: GrowthSection, _: Context) -> Chart | None:
    """Where quality is lost; what a reranker wins lies below zero. None where no loss was decomposed."""
    readings = {
        name: {one.size: {grown.loss_words(part): getattr(one, part) for part in LOSSES} for one in found}
        for name, found in section.loss.items()
    }
    colours = {grown.loss_words(part): colour for part, colour in LOSSES.items()}
    totals = {
        name: [
            mark(one.size, one.total, interval(one, "total_interval"), figures.difference)
            for one in found
            if one.total is not None
        ]
        for name, found in section.loss.items()
    }
    stacks = [one for found in readings.values() for one in whole(found)]
    ends = [0.0, top(stacks), bottom(stacks), *ends_of(one for marks in totals.values() for one in marks)]
    low, high = min(ends), max(ends)
    room = (high - low) * (_ROOM - 1) or 1.0
    scale = Scale(low - room if low < 0 else 0.0, high + room)
    x, y = _sizes_axis(section), Vertical("lost", scale, spelling(scale))

    def drawn(name: str, stacks: list[Stack]) -> list[Any]:
        zero = alt.Chart(rows([{"zero": 0}])).mark_rule(stroke=INK, strokeWidth=1).encode(y=alt.Y("zero:Q"))
        return [*areas(pieces(stacks, figures.difference), x, y, colours), zero, *_whiskers(totals[name], x, y)]

    metric = next((one.metric for found in section.loss.values() for one in found), section.metric)
    caption = (
        f"{metric} lost in each part, {grown.basis(section)}: scoring (exact search against "
        "the labels), index (approximate against exact), rerank and packing (what the prompt leaves out). Below zero: "
        "won. The line is the total with its 95% interval; a part that was not measured is not in the stack."
    )
    key = Key("total", INK, shape="diamond")
    return _stack_chart("growth-loss", "Where quality is lost", caption, readings, colours, drawn, key)


def _sizes_axis(section: GrowthSection) -> Any:
    """The same for all panels."""
    return size_axis(size_scale(section.sizes))


def _whiskers(marks: list[Mark], x: Any, y: Vertical) -> list[Any]:
    """A line with its intervals over the stacks."""
    base, value = alt.Chart(rows([one.row() for one in marks])).encode(x=x), y.axis("value", ticks=_TICKS)
    tooltip = [alt.Tooltip("x:N", title="Passages"), alt.Tooltip("words:N", title="Line")]
    return [
        base.mark_line(stroke=INK, strokeWidth=1.2).encode(y=value),
        base.mark_rule(stroke=INK, strokeWidth=1.2).encode(y=y.axis("low", ticks=_TICKS), y2=alt.Y2("high:Q")),
        base.mark_point(shape="diamond", filled=True, fill=INK, size=40, opacity=1).encode(y=value, tooltip=tooltip),
    ]


def _stack_chart(
    key: str,
    title: str,
    caption: str,
    readings: Mapping[str, Found],
    colours: Mapping[str, str],
    drawn: Callable[[str, list[Stack]], Sequence[Any]],
    *more: Key,
) -> Chart | None:
    """A panel for each pipeline, from the layers that `drawn` makes of its stacks. The legend has what can be seen."""
    stacks = {name: whole(found) for name, found in readings.items()}
    panels = [
        Panel(name, panel_specification(alt.layer(*drawn(name, found)))) for name, found in stacks.items() if found
    ]
    if not panels:
        return None
    present = {part for found in stacks.values() for one in found for part, value in one.parts.items() if value}
    legend = (*(Key(part, colour, area=True) for part, colour in colours.items() if part in present), *more)
    notes = [f"{name}: {figures.ABSENT}" for name, found in readings.items() if not parts_of(found)]
    notes += [
        f"{name} at {figures.count(size)} passages: incomplete"
        for name, found in readings.items()
        for size in gaps(found)
    ]
    return Chart(key, title, caption, {}, tuple(notes), panels=tuple(panels), legend=legend)
