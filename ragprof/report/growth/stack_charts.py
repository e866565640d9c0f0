"""Stacks over corpus size, a panel a pipeline: time by stage, the prompt's tokens by kind, and what was lost where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import altair as alt

from ragprof.core import STAGES as STAGE_ORDER
from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.growth.axes import Mark, Vertical, ends_of, mark, size_axis, size_scale, spelling
from ragprof.report.growth.panels import panel_specification
from ragprof.report.growth.stacks import Found, Stack, areas, bars, bottom, gaps, parts_of, pieces, top, whole
from ragprof.report.lookup import Summary, at, interval
from ragprof.report.palette import CONTEXT, INK, LOSSES, STAGES
from ragprof.report.scales import Scale, time_unit
from ragprof.report.theme import Chart, Key, Panel, rows

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
    return _chart("growth-time", "Where the time goes as the corpus grows", caption, readings, drawn, legend)


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
    return _chart("growth-context", title, caption, readings, drawn, _keys(readings, CONTEXT))


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
    return _chart("growth-loss", "Where quality is lost", caption, readings, drawn, legend)


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


def _chart(
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
