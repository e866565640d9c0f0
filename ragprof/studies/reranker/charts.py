"""All charts of the reranker's section, a set a pipeline. Imports Altair: import this module late.

Who wins at which prices: the LLM's across, the reranker's upwards; told by lightness, texture and a word each.

Who wins in which cell of a grid of prices: areas, their textures and a word in the middle of each.

The depth curve: quality, and beneath it latency as timed live beside the composed estimate.

What the charts of the reranker share: lines with bands and marks, rules with words, axes of depths and shares.

The reranker's gain as the corpus grows, with the size from which it pays.

Who wins how much of the candidates' quality: one bar from nothing to a perfect ranking.

Single queries, the most helped first: how far the reranker moves them up and down.

Reranking only some queries: how much of the gain is kept, a line a signal, against picking queries blindly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lines import Mark, Series, ends_of, estimate_mark, mark, near, seen, size_axis, size_scale, spelling
from ragprof.report.lookup import Summary, at, entries, interval, reach
from ragprof.report.lookup import colours as colours_of
from ragprof.report.palette import DASHES, FLIP, HEADROOM, INK, MUTED, PAPER, RULE, VERDICTS
from ragprof.report.tables import gain_span, open_span
from ragprof.report.theme import Chart, Key, Panel, Scale, linear, rows, specification, time_unit
from ragprof.studies.reranker import lookup as study
from ragprof.studies.reranker.tables import marks_of

WORDS = {"saves": "saves money", "undecided": "undecided", "costs": "costs money"}
_GRAINS = 26
_MARKS = {"costs": ("M-1,1L1,-1", 80), "undecided": ("circle", 4)}
_BESIDE = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a value of a grid stands for on a logarithmic axis: itself, out to half-way to its neighbours."""

    place: int
    low: float
    middle: float
    high: float

    def spread(self, many: int) -> list[float]:
        """So many values inside, evenly on a logarithmic axis."""
        return [float(self.low * (self.high / self.low) ** ((step + 0.5) / many)) for step in range(many)]


@dataclass(frozen=True, slots=True)
class Area:
    """A cell: the LLM's price across, the reranker's upwards, who wins there and by how much (USD per 1,000)."""

    x: Stretch
    y: Stretch
    told: str
    net: Any

    def row(self) -> dict[str, Any]:
        return {
            **{"x": seen(self.x.low), "x_end": seen(self.x.high), "y": seen(self.y.low), "y_end": seen(self.y.high)},
            **{"told": self.told, "prices": f"{figures.usd(seen(self.x.middle))} and {self.y.middle:.3g}\u00d7"},
            "net": signed(seen(self.net), figures.usd),
        }

    def grains(self, across: int, upwards: int) -> list[dict[str, Any]]:
        """So many places a side, evenly spread."""
        places = itertools.product(self.x.spread(across), self.y.spread(upwards))
        return [{"x": seen(x), "y": seen(y)} for x, y in places]


def areas(grid: Any) -> list[Area]:
    """Empty where there are fewer than two prices a side. Prices of 0 have no place on logarithmic axes."""
    x, y = (_stretches(entries(grid, key)) for key in ("llm_usd_per_million_tokens", "reranker_factor"))
    known = [cell for cell in entries(grid, "cells") if at(cell, "told") in FLIP]
    placed = [
        (x.get(at(cell, "llm_usd_per_million_tokens")), y.get(at(cell, "reranker_factor")), cell) for cell in known
    ]
    return [
        Area(across, upwards, cell["told"], at(cell, "net")) for across, upwards, cell in placed if across and upwards
    ]


def _stretches(values: Sequence[Any]) -> dict[float, Stretch]:
    middles = sorted({float(value) for value in values if value is not None and value > 0})
    if len(middles) < 2:
        return {}
    inner = [math.sqrt(low * high) for low, high in itertools.pairwise(middles)]
    edges = [middles[0] ** 2 / inner[0], *inner, middles[-1] ** 2 / inner[-1]]
    return {middle: Stretch(place, edges[place], middle, edges[place + 1]) for place, middle in enumerate(middles)}


def axes_of(found: Sequence[Area]) -> tuple[Scale, Scale]:
    """Across and upwards, from the first edge to the last."""
    x, y = ([getattr(area, side) for area in found] for side in ("x", "y"))
    low = [min(one.low for one in side) for side in (x, y)]
    high = [max(one.high for one in side) for side in (x, y)]
    return Scale(low[0], high[0], logarithmic=True), Scale(low[1], high[1], logarithmic=True)


def filled(found: Sequence[Area], x: Any, y: Any) -> Any:
    """A rectangle an area; those beside each other leave no gap."""
    titles = {"told": "Reranker", "prices": "LLM and reranker price", "net": "Net, USD per 1,000 queries"}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    scale = alt.Scale(domain=list(FLIP), range=list(FLIP.values()))
    colour, stroke = (channel("told:N", scale=scale, legend=None) for channel in (alt.Color, alt.Stroke))
    base = alt.Chart(rows([area.row() for area in found])).mark_rect(strokeWidth=0.6)
    return base.encode(x=x, x2="x_end:Q", y=y, y2="y_end:Q", color=colour, stroke=stroke, tooltip=tooltip)


def grains(found: Sequence[Area]) -> list[Any]:
    """Strokes where it costs, dots where it is undecided, so that grey paper tells them apart as well."""
    across, upwards = (len({getattr(area, side).place for area in found}) for side in ("x", "y"))
    each = max(1, round(_GRAINS / across)), max(1, round(_GRAINS / upwards))
    layers = []
    for word, (shape, size) in _MARKS.items():
        data = [grain for area in found if area.told == word for grain in area.grains(*each)]
        look: dict[str, Any] = {"shape": shape, "stroke": INK, "opacity": 0.35, "strokeWidth": 1.2, "filled": False}
        if data:
            layers.append(alt.Chart(rows(data)).mark_point(size=size, **look).encode(x="x:Q", y="y:Q"))
    return layers


def words(found: Sequence[Area]) -> list[Any]:
    """A word where an area is widest."""
    middles = [middle for told in FLIP for middle in _middle([area for area in found if area.told == told])]
    data = [
        {"x": seen(area.x.middle), "y": seen(area.y.middle), "word": WORDS[area.told], "told": area.told}
        for area in middles
    ]
    base = alt.Chart(rows(data)).encode(x="x:Q", y="y:Q", text="word:N")
    look: dict[str, Any] = {"fontSize": 13, "fontWeight": 600}
    dark = "datum.told == 'saves'"
    halo = alt.Stroke("told:N", scale=alt.Scale(domain=list(FLIP), range=list(FLIP.values())), legend=None)
    return [
        base.mark_text(**look, strokeWidth=6, strokeJoin="round").encode(stroke=halo),
        base.mark_text(**look).encode(color=alt.condition(dark, alt.value(PAPER), alt.value(INK))),
    ]


def _middle(found: Sequence[Area]) -> list[Area]:
    """The cell that lies farthest inside: rims are taken away until nothing is left. None of none."""
    places = {(area.x.place, area.y.place): area for area in found}
    last, inside = set(places), set(places)
    while inside:
        last = inside
        inside = {(x, y) for x, y in last if all((x + dx, y + dy) in last for dx, dy in _BESIDE)}
    ordered = sorted(last)
    return [places[ordered[len(ordered) // 2]]] if ordered else []


_BAND, _AXIS_PX = 0.13, 44
Lines = Mapping[Series, Sequence[Mark]]


def quiet_specification(layers: Sequence[Any], *, height: float) -> dict[str, Any]:
    """A layered chart whose marks carry no spoken labels: the tables say the same, and shorter."""
    spec = specification(alt.layer(*layers), height=height)
    return spec | {"config": spec["config"] | {"aria": False}}


def vertical(field: str, title: str, scale: Scale, spelling: str, *, above: int = 12, ticks: int = 5) -> Any:
    """The title lies flat above the axis; every chart's plot starts at the same place, so that stacked ones align."""
    flat: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
    place: dict[str, Any] = {"titleX": -_AXIS_PX + 6, "titleY": -above, "minExtent": _AXIS_PX, "maxExtent": _AXIS_PX}
    axis = alt.Axis(format=spelling, tickCount=ticks, labelColor=MUTED, **flat, **place)
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.Y(f"{field}:Q", title=title, axis=axis, scale=domain)


def line_layers(lines: Lines, x: Any, y: Mapping[str, Any], *, hollow: Sequence[str] = ()) -> list[Any]:
    """Bands, lines and marks; `y` is the same axis by field: value and low. `hollow` series are estimates."""
    drawn = [series for series in lines if lines[series]]
    data = [one.row(name=series.name) for series in drawn for one in lines[series]]
    base = alt.Chart(rows(data)).encode(x=x, color=_look(drawn, [one.colour for one in drawn], alt.Color))
    marks = base.encode(
        shape=_look(drawn, [one.shape for one in drawn], alt.Shape),
        tooltip=[
            alt.Tooltip("name:N", title="Line"),
            alt.Tooltip("x:Q", title="At"),
            alt.Tooltip("words:N", title="Value"),
        ],
    )
    dashes = _look(drawn, [list(one.dash) or [1, 0] for one in drawn], alt.StrokeDash)
    estimated = f"indexof({list(hollow)!r}, datum.name) >= 0"
    return [
        base.mark_area(opacity=_BAND).encode(y=y["low"], y2="high:Q"),
        base.mark_line(strokeWidth=1.8).encode(y=y["value"], strokeDash=dashes),
        marks.transform_filter(estimated)
        .mark_point(filled=False, fill=PAPER, size=110, opacity=1, strokeWidth=1.6)
        .encode(y=y["value"]),
        marks.transform_filter(f"!({estimated})").mark_point(filled=True, size=44, opacity=1).encode(y=y["value"]),
    ]


def _look(drawn: Sequence[Series], values: Sequence[Any], channel: Any) -> Any:
    names = [series.name for series in drawn]
    return channel("name:N", scale=alt.Scale(domain=names, range=list(values)), legend=None)


def whiskers(marks: Sequence[Mark], x: Any, low: Any, colour: str) -> list[Any]:
    """Intervals as upright lines, where a band would hide what was not measured between the points."""
    known = [one.row() for one in marks if one.low is not None]
    if not known:
        return []
    return [
        alt.Chart(rows(known)).mark_rule(stroke=colour, strokeWidth=1.8, opacity=0.6).encode(x=x, y=low, y2="high:Q")
    ]


def upright_rules(found: Mapping[float, str], x: Any, height: float, *, worded: bool = True) -> list[Any]:
    """A thin rule at each place, with its word above the plot."""
    if not found:
        return []
    base = alt.Chart(rows([{"x": place, "word": word} for place, word in found.items()])).encode(x=x)
    rule = base.mark_rule(strokeWidth=1, stroke=MUTED, strokeDash=[2, 2])
    layers = [rule.encode(y=alt.value(-2), y2=alt.value(height))]
    if worded:
        text = base.mark_text(baseline="bottom", fontSize=11, fill=MUTED)
        layers.append(text.encode(y=alt.value(-5), text="word:N"))
    return layers


def level_rule(value: float, y: Any, *, dash: Sequence[float] = (1.5, 3)) -> Any:
    """A thin rule across the plot."""
    base = alt.Chart(rows([{"value": value}]))
    return base.mark_rule(strokeWidth=1.4, stroke=MUTED, strokeDash=list(dash)).encode(y=y)


_HEIGHT, _STAIR, _GAP = 320, 15, 10
_TEXTURES = {"costs": "hatched", "undecided": "dotted"}


def break_even(summary: Summary, name: str, place: int) -> Chart | None:
    """None where a price is missing: then nobody knows who wins."""
    grid = at(study.of(summary, name), "statement", "break_even", "grid")
    found = areas(grid)
    if not found:
        return None
    x, y = axes_of(found)
    known = _known(summary, name, x)
    area = filled(found, _across(x), _upwards(y, _GAP + _STAIR * len(known) + 4))
    layers = [area, *grains(found), *_prices(known), *words(found), *_here(grid)]
    spec = quiet_specification(layers, height=_HEIGHT)
    title = "At which prices the reranker pays for itself"
    notes, legend = tuple(_outside(summary, name, x)), _legend({area.told for area in found})
    return Chart(f"reranker-{place}-break-even", title, _caption(summary, name), spec, notes, legend=legend)


def _legend(present: set[str]) -> tuple[Key, ...]:
    return tuple(
        Key(WORDS[word], colour, area=True, texture=_TEXTURES.get(word, ""))
        for word, colour in FLIP.items()
        if word in present
    )


def _across(scale: Scale) -> Any:
    title = "Price of the LLM's prompt tokens (USD per million tokens, logarithmic)"
    axis = alt.Axis(values=scale.ticks(4), format="$~g", grid=False, labelOverlap="greedy")
    return alt.X("x:Q", title=title, axis=axis, scale=_log(scale))


def _upwards(scale: Scale, above: int) -> Any:
    """The title lies flat above the names of the prices."""
    flat: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
    place: dict[str, Any] = {"titleX": -38, "titleY": -above, "minExtent": 44, "maxExtent": 44}
    times: dict[str, Any] = {"labelExpr": "format(datum.value, '~g') + '\u00d7'", "labelColor": MUTED}
    axis = alt.Axis(values=scale.ticks(4), grid=False, **times, **flat, **place)
    return alt.Y("y:Q", title="Reranker's price (\u00d7 today's, logarithmic)", axis=axis, scale=_log(scale))


def _log(scale: Scale) -> Any:
    return alt.Scale(type="log", domain=[scale.low, scale.high], nice=False)


def _price(one: Mapping[str, Any]) -> float:
    return float(at(one, "usd_per_million_tokens") or 0)


def _lies_inside(one: Mapping[str, Any], x: Scale) -> bool:
    return x.low <= _price(one) <= x.high


def _known(summary: Summary, name: str, x: Scale) -> list[dict[str, Any]]:
    """The prices of LLMs that lie on the plot, the cheapest first."""
    scenarios = entries(study.of(summary, name), "statement", "scenarios")
    shown = sorted((one for one in scenarios if _lies_inside(one, x)), key=_price)
    return [
        {
            "x": _price(one),
            "word": f"{figures.text(at(one, 'llm'))} ({figures.plain_usd(one['usd_per_million_tokens'])})",
        }
        for one in shown
    ]


def _outside(summary: Summary, name: str, x: Scale) -> list[str]:
    scenarios = entries(study.of(summary, name), "statement", "scenarios")
    return [
        f"{figures.text(at(one, 'llm'))}: {'its price lies outside' if _price(one) else figures.UNPRICED}"
        for one in scenarios
        if not _lies_inside(one, x)
    ]


def _prices(known: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A rule a price that reaches up to its name; names stand on a stair, so that neighbours never meet."""
    layers = []
    for place, one in enumerate(known):
        above = -_GAP - _STAIR * (len(known) - 1 - place)
        base = alt.Chart(rows([dict(one)])).encode(x="x:Q")
        rule = base.mark_rule(strokeWidth=1, stroke=INK, opacity=0.45)
        layers.append(rule.encode(y=alt.value(above), y2=alt.value(_HEIGHT)))
        text = base.mark_text(align="left", dx=5, fontSize=11, fill=MUTED, baseline="middle")
        layers.append(text.encode(y=alt.value(above + 2), text="word:N"))
    return layers


def _here(grid: Any) -> list[Any]:
    """Today's prices: a ring that stands out on every ground."""
    price, factor = at(grid, "here", "llm_usd_per_million_tokens"), at(grid, "here", "reranker_factor")
    if not price or not factor:
        return []
    base = alt.Chart(rows([{"x": price, "y": factor, "word": "today"}])).encode(x="x:Q", y="y:Q")
    look: dict[str, Any] = {"align": "left", "dx": 11, "dy": -11, "fontWeight": 600, "fontSize": 12}
    return [
        base.mark_point(shape="circle", size=130, filled=True, fill=PAPER, stroke=INK, strokeWidth=2.4, opacity=1),
        base.mark_text(**look, stroke=PAPER, strokeWidth=4).encode(text="word:N"),
        base.mark_text(**look).encode(text="word:N"),
    ]


def _caption(summary: Summary, name: str) -> str:
    statement = at(study.of(summary, name), "statement")
    net = signed(at(statement, "net_usd_per_1000_queries"), figures.usd)
    span = gain_span(at(statement, "net_interval"), figures.usd)
    return (
        "Net of the reranker's cost and the prompt tokens that it saves, USD per 1,000 queries. Undecided: the 95% "
        f"interval of net holds 0, {study.basis(summary, name)}. The ring is today: net {net} ({span}) at the prices "
        f"of {figures.text(at(statement, 'llm'))}. Thin lines: prices of the LLMs named above."
    )


_DEPTH_CHART_HEIGHT, _LOWER = 220, 150
_X_TITLE = "Depth (candidates that the reranker reads)"
_LIVE, _COMPOSED = "live p50", "composed estimate"


def depth(summary: Summary, name: str, place: int) -> Chart | None:
    """None where no depth has a score."""
    one = study.of(summary, name)
    steps = study.steps(one)
    quality = _quality(summary, name, steps)
    if not any(mark.value is not None for marks in quality.values() for mark in marks):
        return None
    latency = _latency(summary, name, steps)
    depths = [float(step["depth"]) for step in steps]
    x, untitled = _depth_axis(depths, _X_TITLE), _depth_axis(depths, None if latency else _X_TITLE)
    upper = _quality_panel(summary, name, quality, untitled)
    panels = [Panel(name, upper, f"Quality at k = {figures.count(at(steps[0], 'k'))}")]
    if latency:
        panels.append(Panel(name, _latency_panel(one, latency, x), "Latency of a query, end to end"))
    title = "Quality and latency, depth by depth"
    legend = (
        *_quality_keys(summary, name, quality),
        *(series.key for series in latency if series.name == _LIVE),
        *_composed_key(latency),
    )
    caption = _depth_chart_caption(summary, name, latency)
    return Chart(f"reranker-{place}-depth", title, caption, {}, panels=tuple(panels), legend=legend, stacked=True)


def _depth_axis(depths: Sequence[float], title: str | None) -> Any:
    scale = linear(depths, margin=0.06)
    axis = alt.Axis(values=sorted(set(depths)), format="~d", grid=False, labelOverlap="greedy")
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.X("x:Q", title=title, axis=axis, scale=domain)


def _quality(summary: Summary, name: str, steps: Sequence[Mapping[str, Any]]) -> dict[Series, list[Mark]]:
    """The study's metric, and in grey what the injected passages hold."""
    metric, colour = study.metric(summary, name), colours_of(summary)[name]
    held = f"evidence@{at(steps[0], 'k')}" if steps else ""
    looks = {metric: Series(metric, colour), held: Series(held, MUTED, DASHES["dashed"], "square")}
    found = {
        series: [estimate_mark(step["depth"], at(step, "scores", key), figures.score) for step in steps]
        for key, series in looks.items()
    }
    return {series: marks for series, marks in found.items() if any(one.value is not None for one in marks)}


def _quality_panel(summary: Summary, name: str, quality: dict[Series, list[Mark]], x: Any) -> dict[str, Any]:
    one = study.of(summary, name)
    plain = _plain(summary, name)
    ends = ends_of(mark for marks in quality.values() for mark in marks)
    scale = near([*ends, *([] if plain is None else [plain])])
    title = " and ".join(series.name for series in quality)
    y = {field: vertical(field, title, scale, spelling(scale), above=24) for field in ("value", "low")}
    rules = upright_rules(_landmarks(one), x, _DEPTH_CHART_HEIGHT)
    search = [] if plain is None else [level_rule(plain, y["value"])]
    return quiet_specification([*rules, *search, *line_layers(quality, x, y)], height=_DEPTH_CHART_HEIGHT)


def _plain(summary: Summary, name: str) -> float | None:
    """The study's metric of the search order."""
    found = at(study.gain(study.of(summary, name), study.metric(summary, name)), "without")
    return None if found is None else float(found)


def _landmarks(one: Mapping[str, Any]) -> dict[float, str]:
    """Depths with a name."""
    depths = {float(step["depth"]) for step in study.steps(one)}
    return {depth: " = ".join(words) for depth in sorted(depths) if (words := marks_of(one, depth))}


def _latency(summary: Summary, name: str, steps: Sequence[Mapping[str, Any]]) -> dict[Series, list[Mark]]:
    live = [mark(s["depth"], at(s, "p50_ns"), interval(s, "p50_interval_ns"), figures.duration) for s in steps]
    composed = [mark(s["depth"], at(s, "composed_p50_ns"), None, figures.duration) for s in steps]
    found = {
        Series(_COMPOSED, MUTED, DASHES["dashed"], "square"): composed,
        Series(_LIVE, colours_of(summary)[name], (), "diamond"): live,
    }
    return {
        series: known for series, marks in found.items() if (known := [one for one in marks if one.value is not None])
    }


def _latency_panel(one: Mapping[str, Any], latency: dict[Series, list[Mark]], x: Any) -> dict[str, Any]:
    unit, length = time_unit(max(ends_of(mark for marks in latency.values() for mark in marks)))
    lines = {series: [mark.divided(length) for mark in marks] for series, marks in latency.items()}
    scale = Scale(0.0, max(ends_of(mark for marks in lines.values() for mark in marks)) * 1.08)
    y = {field: vertical(field, f"{unit} per query", scale, ",.3~f", ticks=4) for field in ("value", "low")}
    rules = upright_rules(_landmarks(one), x, _LOWER, worded=False)
    live = next((marks for series, marks in lines.items() if series.name == _LIVE), [])
    colour = next((series.colour for series in lines if series.name == _LIVE), INK)
    bare = {series: [mark.without_interval() for mark in marks] for series, marks in lines.items()}
    layers = [*rules, *whiskers(live, x, y["low"], colour), *line_layers(bare, x, y, hollow=(_COMPOSED,))]
    return quiet_specification(layers, height=_LOWER)


def _quality_keys(summary: Summary, name: str, quality: dict[Series, list[Mark]]) -> tuple[Key, ...]:
    metric = study.metric(summary, name)
    search = () if _plain(summary, name) is None else (Key(f"{metric} of search alone", MUTED, DASHES["dotted"]),)
    return (*(series.key for series in quality), *search)


def _composed_key(latency: dict[Series, list[Mark]]) -> tuple[Key, ...]:
    return tuple(
        Key(f"{series.name} (not timed)", series.colour, series.dash, series.shape, hollow=True)
        for series in latency
        if series.name == _COMPOSED
    )


def _band_words(summary: Summary, name: str) -> str:
    one, metric = study.of(summary, name), study.metric(summary, name)
    known = any(interval(step, "scores", metric, "interval") for step in study.steps(one))
    return "Bands are 95% intervals" if known else f"Intervals {figures.ABSENT}"


def _search_words(summary: Summary, name: str) -> str:
    """The gain over the dotted line, which has no band of its own."""
    found = study.gain(study.of(summary, name), study.metric(summary, name))
    if at(found, "difference") is None:
        return ""
    span = figures.span(at(found, "interval"), figures.difference)
    return f" At its own depth it is {figures.difference(found['difference'])} ({span}) over search alone (dotted)."


def _depth_chart_caption(summary: Summary, name: str, latency: Mapping[Series, Any]) -> str:
    one = study.of(summary, name)
    words = f"{_band_words(summary, name)}, {study.basis(summary, name)}.{_search_words(summary, name)}"
    if not latency:
        return f"{words} Latency {figures.ABSENT}: nothing was timed."
    counts = sorted({step["timed_queries"] for step in study.steps(one) if at(step, "timed_queries")})
    timed = " to ".join(dict.fromkeys(figures.count(count) for count in (*counts[:1], *counts[-1:]))) or figures.ABSENT
    return (
        f"{words} Latency: p50 of live queries with 95% intervals (upright lines), n = {timed} queries per depth; the "
        "hollow squares are composed from the parts and were not timed at that depth."
    )


_GROWTH_CHART_HEIGHT = 240


def growth(summary: Summary, name: str, place: int) -> Chart | None:
    """None without gains at two sizes."""
    found = at(study.of(summary, name), "growth")
    points = [
        point for point in entries(found, "points") if at(point, "size") and at(point, "gain", "mean") is not None
    ]
    if len(points) < 2:
        return None
    marks = [estimate_mark(point["size"], point["gain"], figures.difference) for point in points]
    metric = study.metric(summary, name)
    scale = near([0.0, *ends_of(marks)])
    y = {
        field: vertical(field, f"Gain in {metric}", scale, f"+{spelling(scale)}", above=24)
        for field in ("value", "low")
    }
    x = size_axis(size_scale([one.x for one in marks]), ticks=4)
    line = {Series(name, colours_of(summary)[name]): marks}
    layers = [level_rule(0.0, y["value"], dash=(1, 0)), *_pays(found, x), *line_layers(line, x, y)]
    caption = (
        f"Gain of the reranker over the same pipeline without it, {metric}; the band is the 95% interval, "
        f"{study.basis(summary, name)}. {_pays_words(found)}"
    ).strip()
    spec = quiet_specification(layers, height=_GROWTH_CHART_HEIGHT)
    return Chart(f"reranker-{place}-growth", "What the reranker brings as the corpus grows", caption, spec)


def _pays(found: Any, x: Any) -> list[Any]:
    size = at(found, "pays_from", "size")
    return [] if not size else upright_rules({float(size): f"pays from {figures.count(size)}"}, x, _GROWTH_CHART_HEIGHT)


def _pays_words(found: Any) -> str:
    pays = at(found, "pays_from") or {}
    if at(pays, "size") is None:
        return f"From which size it pays: {figures.text(at(pays, 'status'))}."
    return f"Pays from {figures.count(pays['size'])} passages on ({reach(pays)})."


Rows = list[dict[str, Any]]
_HEADROOM_CHART_HEIGHT, _BAR, _ABOVE, _BELOW = 84, 34, -12, 18
_DARK = ("search", "harm")
_ENDS = {"search": "search", "reranked": "with reranker", "oracle": "best order"}
_STACK = 13
_ROOM = 0.85


def headroom(summary: Summary, name: str, place: int) -> Chart | None:
    """None where an end of a part is missing: the bar would look whole."""
    found = at(study.of(summary, name), "headroom")
    means = {key: at(found, key, "mean") for key in _ENDS}
    if any(mean is None for mean in means.values()):
        return None
    parts = _parts(summary, name)
    axis = alt.Axis(format=".1f", tickCount=6, grid=False)
    metric = figures.text(at(found, "metric") or study.metric(summary, name))
    x = alt.X(
        "low:Q", title=f"{metric} (1 is a perfect ranking)", axis=axis, scale=alt.Scale(domain=[0, 1], nice=False)
    )
    base = alt.Chart(rows(parts)).encode(x=x, y=alt.value(_HEADROOM_CHART_HEIGHT / 2))
    spec = quiet_specification([*_bar(base), *_marks(found)], height=_HEADROOM_CHART_HEIGHT)
    legend = tuple(Key(row["words"], HEADROOM[row["part"]], area=True, texture=_texture(row["part"])) for row in parts)
    caption = (
        f"Mean {metric} of the same candidates in the order of search, of this reranker, and in the best order there "
        f"is; lines below the bar are 95% intervals, {study.basis(summary, name)}. What search missed no reranker wins."
    )
    title = "What was won, and by whom"
    return Chart(f"reranker-{place}-headroom", title, caption, spec, legend=legend)


def _texture(part: str) -> str:
    return "hatched" if part == "harm" else ""


def _parts(summary: Summary, name: str) -> Rows:
    """Stretches between the ends, each with its own figure in words."""
    found = at(study.of(summary, name), "headroom")
    search, reranked, oracle = (float(found[key]["mean"]) for key in _ENDS)
    gain = study.gain(study.of(summary, name), str(at(found, "metric") or study.metric(summary, name)))
    change = _words(at(gain, "difference"), at(gain, "interval"), figures.difference)
    left, missed = (_estimate_words(at(found, key)) for key in ("left_by_reranker", "missed_by_search"))
    stretches = (
        ("search", 0.0, min(search, reranked), f"won by search {_estimate_words(at(found, 'search'))}"),
        ("reranker", search, reranked, f"won by the reranker {change}"),
        ("harm", reranked, search, f"lost by the reranker {change}"),
        ("left", max(search, reranked), oracle, f"left by ordering {left}"),
        ("missed", oracle, 1.0, f"missed by search {missed}"),
    )
    return [
        {"part": part, "low": seen(low), "high": seen(high), "middle": seen((low + high) / 2), "words": words}
        | {"size": seen(high - low)}
        for part, low, high, words in stretches
        if high > low
    ]


def _estimate_words(estimate: Any) -> str:
    return _words(at(estimate, "mean"), at(estimate, "interval"), figures.score)


def _words(value: Any, ends: Any, write: Any) -> str:
    return figures.ABSENT if value is None else f"{write(value)} ({figures.span(ends, write)})"


def _bar(base: Any) -> list[Any]:
    colour = alt.Color("part:N", scale=alt.Scale(domain=list(HEADROOM), range=list(HEADROOM.values())), legend=None)
    bars = base.mark_bar(height=_BAR, yOffset=_ABOVE, stroke=PAPER, strokeWidth=1)
    dark = " || ".join(f"datum.part == '{part}'" for part in _DARK)
    text = base.transform_calculate(label="format(datum.size, '.2f')").mark_text(yOffset=_ABOVE, fontWeight=600)
    return [
        bars.encode(x2="high:Q", color=colour, tooltip=[alt.Tooltip("words:N", title="Part")]),
        text.encode(
            x=alt.X("middle:Q"),
            text="label:N",
            opacity=alt.condition("datum.size * width > 34", alt.value(1), alt.value(0)),
            color=alt.condition(dark, alt.value(PAPER), alt.value(INK)),
        ),
    ]


def _marks(found: Any) -> list[Any]:
    """Intervals of the three ends, one below the other, each with its name."""
    layers = []
    for row, (key, name) in enumerate(_ENDS.items()):
        ends = interval(found, key, "interval")
        if ends is None:
            continue
        y = alt.value(_HEADROOM_CHART_HEIGHT / 2 + _BELOW - 6 + _STACK * row)
        data = [{"low": ends[0], "high": ends[1], "value": found[key]["mean"], "name": name}]
        base = alt.Chart(rows(data)).encode(y=y)
        label = _named(base, at_right=ends[1] < _ROOM)
        line = base.mark_rule(stroke=INK, strokeWidth=1.4).encode(x=alt.X("low:Q"), x2="high:Q")
        layers += [line, base.mark_circle(fill=INK, size=30, opacity=1).encode(x=alt.X("value:Q")), label]
    return layers


def _named(base: Any, *, at_right: bool) -> Any:
    """The name on the side that has room for it."""
    if at_right:
        return base.mark_text(align="left", dx=6, fontSize=11).encode(x=alt.X("high:Q"), text="name:N")
    return base.mark_text(align="right", dx=-6, fontSize=11).encode(x=alt.X("low:Q"), text="name:N")


_QUERY_CHART_HEIGHT, _QUERY_CHART_GAP = 200, 5
_COLOURS = {"helped": VERDICTS["better"], "hurt": VERDICTS["worse"]}


def changes(summary: Summary, name: str, place: int) -> Chart | None:
    """The clearest queries, sorted, with the others counted in between. None where no query moved."""
    queries = at(study.of(summary, name), "queries") or {}
    sides = {kind: _changed(queries, kind) for kind in _COLOURS}
    if not any(sides.values()):
        return None
    metric = study.metric(summary, name)
    data, width = _bars(sides)
    scale = _around_zero([row["change"] for row in data])
    y = vertical("change", f"Change of {metric}, query by query", scale, "+.1f")
    domain = alt.Scale(domain=[-1, width], nice=False, zero=False)
    title = "Single queries, the most helped first"
    x = alt.X("x:Q", title=title, axis=alt.Axis(labels=False, grid=False), scale=domain)
    tooltip = [alt.Tooltip("query:N", title="Query"), alt.Tooltip("words:N", title="Change")]
    colour = alt.Color("kind:N", scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())), legend=None)
    bars = alt.Chart(rows(data)).mark_bar(size=14).encode(x=x, y=y, color=colour, tooltip=tooltip)
    zero = alt.Chart(rows([{"change": 0}])).mark_rule(stroke=INK, strokeWidth=1).encode(y="change:Q")
    spec = quiet_specification(
        [bars, zero, *_between(queries, sides, len(sides["helped"]))], height=_QUERY_CHART_HEIGHT
    )
    legend = tuple(
        Key(f"{kind} ({figures.count(at(queries, kind))} queries)", _COLOURS[kind], area=True) for kind in _COLOURS
    )
    return Chart(
        f"reranker-{place}-queries",
        "Which queries it helps and hurts",
        _query_chart_caption(summary, name),
        spec,
        legend=legend,
    )


def _changed(queries: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    found = [one for one in entries(queries, "clearest", kind) if at(one, "change") is not None]
    return sorted(found, key=lambda one: -float(one["change"]))


def _bars(sides: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[dict[str, Any]], int]:
    """Helped ones from the left, then a gap, then hurt ones; and how many places there are."""
    start = {"helped": 0, "hurt": len(sides["helped"]) + _QUERY_CHART_GAP}
    data = [
        {
            **{"x": start[kind] + place, "kind": kind, "change": seen(one["change"])},
            **{"query": figures.text(at(one, "query_id")), "words": figures.difference(one["change"])},
        }
        for kind, found in sides.items()
        for place, one in enumerate(found)
    ]
    return data, start["hurt"] + len(sides["hurt"])


def _around_zero(changes: Sequence[float]) -> Scale:
    low, high = min(0.0, *changes, 0.0), max(0.0, *changes, 0.0)
    room = (high - low) * 0.06
    return Scale(low - room, high + room)


def _between(queries: Mapping[str, Any], sides: Mapping[str, Sequence[Any]], helped: int) -> list[Any]:
    """How many queries are not drawn."""
    counts = {kind: at(queries, kind) for kind in ("helped", "unchanged", "hurt")}
    known = {kind: count - len(sides.get(kind, ())) for kind, count in counts.items() if count is not None}
    lines = [
        f"{'' if kind == 'unchanged' else 'more '}{kind}: {figures.count(count)}"
        for kind, count in known.items()
        if count > 0
    ]
    if not lines:
        return []
    words = "\n".join(lines)
    base = alt.Chart(rows([{"x": helped + (_QUERY_CHART_GAP - 1) / 2, "words": words}])).encode(x="x:Q", text="words:N")
    text = base.mark_text(lineBreak="\n", fontSize=11, fill=MUTED, align="center", lineHeight=15)
    return [text.encode(y=alt.value(14))]


def _query_chart_caption(summary: Summary, name: str) -> str:
    found = study.gain(study.of(summary, name), study.metric(summary, name))
    span = figures.span(at(found, "interval"), figures.difference)
    return (
        f"The clearest queries of each kind out of {study.basis(summary, name).removeprefix('n = ')}; single queries "
        "have no interval. The mean change over all of them is "
        f"{figures.difference(at(found, 'difference'))}, 95% interval {span}."
    )


_ROUTING_CHART_HEIGHT = 280
_SHAPES = ("circle", "square", "triangle-up", "diamond")
_WORST, _BEST = -0.6, 1.8
_NARROW, _FAR = 0.3, (-1e3, 1e3)


def routing(summary: Summary, name: str, place: int) -> Chart | None:
    """None where no share of the gain is known."""
    lines = _lines(summary, name)
    if not lines:
        return None
    ends = ends_of(one for marks in lines.values() for one in marks)
    scale = Scale(max(_WORST, min(0.0, *ends)), min(_BEST, max(1.0, *ends)) + 0.04)
    cut = min(ends) < scale.low or max(ends) > scale.high
    y = {field: vertical(field, "Share of the gain that is kept", scale, ".0%") for field in ("value", "low")}
    shown = {series: [one.within(scale) for one in marks] for series, marks in lines.items()}
    layers = [*_blind(y["value"]), *line_layers(shown, _x_axis(), y), *_chosen(summary, name)]
    spec = quiet_specification(layers, height=_ROUTING_CHART_HEIGHT)
    legend = (*(series.key for series in lines), Key("queries picked at random", RULE))
    caption = (
        "The queries that search is least sure of are reranked first. Bands are 95% intervals, "
        f"{study.basis(summary, name)}, thresholds cross-validated; above 100% leaving some queries alone is better "
        f"than reranking all.{' Bands that leave the plot are cut; the table has their ends.' if cut else ''}"
    )
    return Chart(f"reranker-{place}-routing", "Reranking only where search is unsure", caption, spec, legend=legend)


def _x_axis() -> Any:
    axis = alt.Axis(format=".0%", tickCount=6, grid=False)
    return alt.X(
        "x:Q", title="Share of the queries that are reranked", axis=axis, scale=alt.Scale(domain=[0, 1.02], nice=False)
    )


def _lines(summary: Summary, name: str) -> dict[Series, list[Mark]]:
    colour = colours_of(summary)[name]
    found: dict[str, list[Mark]] = {}
    for point in entries(study.of(summary, name), "routing"):
        kept, share = at(point, "share_of_gain_kept"), at(point, "share_reranked")
        if kept is not None and share is not None:
            found.setdefault(figures.text(at(point, "signal")), []).append(_kept(share, kept, at(point, "interval")))
    shades = itertools.repeat(RULE)
    looks = zip(found.items(), itertools.cycle(zip(DASHES.values(), _SHAPES, strict=False)), strict=False)
    return {
        Series(signal, shade, dash, shape): sorted(marks, key=lambda one: one.x)
        for ((signal, marks), (dash, shape)), shade in zip(
            looks, itertools.chain((colour, INK, MUTED), shades), strict=False
        )
    }


def _kept(share: float, kept: float, ends: Any) -> Mark:
    """An interval with an open end goes on to the edge of the plot."""
    words = f"{figures.share(kept)} ({open_span(ends, figures.share)})"
    low, high = ends or (None, None)
    if low is None and high is None:
        return Mark(share, kept, None, None, words)
    return Mark(share, kept, _FAR[0] if low is None else low, _FAR[1] if high is None else high, words)


def _blind(y: Any) -> list[Any]:
    line = alt.Chart(rows([{"x": 0.0, "value": 0.0}, {"x": 1.0, "value": 1.0}]))
    return [line.mark_line(stroke=RULE, strokeWidth=1.6).encode(x=_x_axis(), y=y)]


def _chosen(summary: Summary, name: str) -> list[Any]:
    choice: Mapping[str, Any] = at(study.of(summary, name), "routing_choice") or {}
    share, kept = at(choice, "share_reranked"), at(choice, "share_of_gain_kept")
    if share is None or kept is None:
        return []
    word = f"rerank {figures.share(share)}, keep {figures.share(kept)}"
    base = alt.Chart(rows([{"x": share, "value": kept, "word": word}])).encode(x="x:Q", y="value:Q")
    above, below = {"align": "right", "dx": -12, "dy": -12}, {"align": "left", "dx": 12, "dy": 16}
    look: dict[str, Any] = {"fontWeight": 600, "fontSize": 12, **(below if share < _NARROW else above)}
    return [
        base.mark_point(size=190, filled=False, stroke=INK, strokeWidth=2, opacity=1),
        base.mark_text(**look, stroke=PAPER, strokeWidth=4).encode(text="word:N"),
        base.mark_text(**look).encode(text="word:N"),
    ]


_DRAWN = (break_even, depth, headroom, changes, routing, growth)


def draw(summary: Summary) -> list[Chart]:
    """Charts without data are left out. A chart's key has its pipeline's place, counted from 1."""
    places = enumerate(study.names(summary), start=1)
    found = (chart(summary, name, place) for place, name in places for chart in _DRAWN)
    return [chart for chart in found if chart is not None]
