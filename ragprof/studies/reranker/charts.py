"""All charts of the reranker's section, a set for each pipeline. Imports Altair: import this module late."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lines import (
    Mark,
    Series,
    Vertical,
    ends_of,
    estimate_mark,
    line_layers,
    mark,
    near,
    seen,
    size_axis,
    size_scale,
    spelling,
    tooltip,
)
from ragprof.report.lookup import interval, reach
from ragprof.report.palette import DASHES, FLIP, HEADROOM, INK, MUTED, PAPER, RULE, VERDICTS
from ragprof.report.tables import gain_span, open_span
from ragprof.report.theme import Chart, Key, Panel, Scale, linear, rows, specification, time_unit, y2_at, y_at
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.section import (
    DepthStep,
    PriceGrid,
    RerankerVerdict,
    Routed,
    RoutingChoice,
    Scenario,
)
from ragprof.studies.reranker.tables import basis, marks_of

_EXTENT = 44
_FACTORS = "Reranker's price (\u00d7 today's, logarithmic)"
_LABEL: dict[str, Any] = {"fontWeight": 600, "fontSize": 12}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn: one pipeline's verdict. `place` counts from 1 and is part of its charts' keys."""

    one: RerankerVerdict
    name: str
    place: int
    colour: str

    def key(self, kind: str) -> str:
        return f"reranker-{self.place}-{kind}"


def _finished(layers: Sequence[Any], *, height: float) -> dict[str, Any]:
    """A layered chart whose marks carry no spoken labels: the tables say the same, and shorter."""
    spec = specification(alt.layer(*layers), height=height)
    return spec | {"config": spec["config"] | {"aria": False}}


def _linear_x(title: str | None, low: float, high: float, **axis: Any) -> Any:
    return alt.X("x:Q", title=title, axis=alt.Axis(grid=False, **axis), scale=Scale(low, high).domain())


def _upright_rules(found: Mapping[float, str], x: Any, height: float, *, worded: bool = True) -> list[Any]:
    """A thin rule at each place, with its word above the plot."""
    if not found:
        return []
    base = alt.Chart(rows([{"x": place, "word": word} for place, word in found.items()])).encode(x=x)
    rule = base.mark_rule(strokeWidth=1, stroke=MUTED, strokeDash=[2, 2])
    text = base.mark_text(baseline="bottom", fontSize=11, fill=MUTED)
    words = [text.encode(y=y_at(-5), text=alt.Text("word:N"))] if worded else []
    return [rule.encode(y=y_at(-2), y2=y2_at(height)), *words]


def _level_rule(value: float, y: Vertical, *, dash: Sequence[float] = (1.5, 3)) -> Any:
    """A thin rule across the plot."""
    base = alt.Chart(rows([{"value": value}]))
    return base.mark_rule(strokeWidth=1.4, stroke=MUTED, strokeDash=list(dash)).encode(y=y.axis("value"))


def _haloed(base: Any, look: Mapping[str, Any]) -> list[Any]:
    """A word that stands out on every ground."""
    return [
        base.mark_text(**look, stroke=PAPER, strokeWidth=4).encode(text=alt.Text("word:N")),
        base.mark_text(**look).encode(text=alt.Text("word:N")),
    ]


_PRICES_HEIGHT, _STAIR, _GAP = 320, 15, 10
_WON = {"saves": "saves money", "undecided": "undecided", "costs": "costs money"}
_TEXTURES = {"costs": "hatched", "undecided": "dotted"}
_GRAINS = {"costs": ("M-1,1L1,-1", 80), "undecided": ("circle", 4)}


def break_even(drawn: Drawn) -> Chart | None:
    """None where the reranker has no price: then nobody knows who wins."""
    found = drawn.one.statement
    grid = found.break_even.grid
    if grid is None:
        return None
    across, upwards = _edges(grid.llm_usd_per_million_tokens), _edges(grid.reranker_factor)
    x, y = (
        Scale(min(low for low, _ in ends), max(high for _, high in ends), logarithmic=True)
        for ends in (across.values(), upwards.values())
    )
    shown = sorted((one for one in found.scenarios if x.low <= _price(one) <= x.high), key=_price)
    outside = tuple(
        f"{one.llm}: {'its price lies outside' if _price(one) else figures.UNPRICED}"
        for one in found.scenarios
        if one not in shown
    )
    present = dict.fromkeys(cell.told for cell in grid.cells)  # a set has another order in every process
    layers = [
        *_areas(grid, across, upwards, x, Vertical(_FACTORS, y, "~g", _GAP + _STAIR * len(shown) + 4, _EXTENT)),
        *_llm_prices(shown),
        *_winners(grid, present),
        *_today(grid),
    ]
    span = gain_span(found.net_interval, figures.usd)
    caption = (
        "Net of the reranker's cost and the prompt tokens that it saves, USD per 1,000 queries. Undecided: the 95% "
        f"interval of net holds 0, {basis(drawn.one)}. The ring is today: net "
        f"{signed(found.net_usd_per_1000_queries, figures.usd)} ({span}) at the prices "
        f"of {figures.text(found.llm)}. Thin lines: prices of the LLMs named above."
    )
    legend = tuple(
        Key(_WON[word], colour, area=True, texture=_TEXTURES.get(word, ""))
        for word, colour in FLIP.items()
        if word in present
    )
    title = "At which prices the reranker pays for itself"
    spec = _finished(layers, height=_PRICES_HEIGHT)
    return Chart(drawn.key("break-even"), title, caption, spec, outside, legend=legend)


def _edges(prices: Sequence[float]) -> dict[float, tuple[float, float]]:
    """What each price stands for on a logarithmic axis: itself, out to half-way to its neighbours."""
    inner = [math.sqrt(low * high) for low, high in itertools.pairwise(prices)]
    edges = [prices[0] ** 2 / inner[0], *inner, prices[-1] ** 2 / inner[-1]]
    return dict(zip(prices, itertools.pairwise(edges), strict=True))


def _price(one: Scenario) -> float:
    return float(one.usd_per_million_tokens or 0)


def _areas(
    grid: PriceGrid, across: Mapping[float, tuple[float, float]], upwards: Mapping[float, tuple[float, float]],
    x: Scale, y: Vertical,
) -> list[Any]:  # fmt: skip
    """A rectangle for each cell, with both axes; those beside each other leave no gap.

    Over them strokes where it costs and dots where it is undecided, so that grey paper tells them apart as well.
    """
    axis = alt.Axis(values=x.ticks(4), format="$~g", grid=False, labelOverlap="greedy")
    title = "Price of the LLM's prompt tokens (USD per million tokens, logarithmic)"
    times = "format(datum.value, '~g') + '\u00d7'"
    data = []
    for cell in grid.cells:
        price, factor = cell.llm_usd_per_million_tokens, cell.reranker_factor
        ends = dict(zip(("x", "x_end", "y", "y_end"), map(seen, (*across[price], *upwards[factor])), strict=True))
        words = {
            "prices": f"{figures.usd(seen(price))} and {factor:.3g}\u00d7",
            "net": signed(seen(cell.net), figures.usd),
        }
        data.append({**ends, **words, "told": cell.told})
    base = alt.Chart(rows(data))
    filled = base.mark_rect(strokeWidth=0.6).encode(
        x=alt.X("x:Q", title=title, axis=axis, scale=x.domain()),
        x2=alt.X2("x_end:Q"),
        y=y.axis("y", values=y.scale.ticks(4), grid=False, labelExpr=times),
        y2=alt.Y2("y_end:Q"),
        color=_flip(alt.Color),
        stroke=_flip(alt.Stroke),
        tooltip=tooltip(told="Reranker", prices="LLM and reranker price", net="Net, USD per 1,000 queries"),
    )
    # Four grains to a cell, a quarter of its width and height from its edges.
    places = base.transform_calculate(right="[0.25, 0.75]", up="[0.25, 0.75]")
    places = (
        places.transform_flatten(["right"]).transform_flatten(["up"]).encode(x=alt.X("grain_x:Q"), y=alt.Y("grain_y:Q"))
    )
    places = places.transform_calculate(
        grain_x="datum.x * pow(datum.x_end / datum.x, datum.right)",
        grain_y="datum.y * pow(datum.y_end / datum.y, datum.up)",
    )
    look: dict[str, Any] = {"stroke": INK, "opacity": 0.35, "strokeWidth": 1.2, "filled": False}
    return [filled] + [
        places.transform_filter(alt.datum.told == told).mark_point(shape=shape, size=size, **look)
        for told, (shape, size) in _GRAINS.items()
    ]


def _flip(channel: Any) -> Any:
    return channel("told:N", scale=alt.Scale(domain=list(FLIP), range=list(FLIP.values())), legend=None)


def _winners(grid: PriceGrid, present: Collection[str]) -> list[Any]:
    """A word in the cell of each winner that lies nearest to the middle of its cells."""
    data = []
    for told in present:
        places = [
            (math.log(cell.llm_usd_per_million_tokens), math.log(cell.reranker_factor))
            for cell in grid.cells
            if cell.told == told
        ]
        middle = tuple(map(statistics.fmean, zip(*places, strict=True)))
        x, y = (math.exp(end) for end in min(places, key=lambda place: math.dist(place, middle)))
        data.append({"x": seen(x), "y": seen(y), "word": _WON[told], "told": told})
    base = alt.Chart(rows(data)).encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), text=alt.Text("word:N"))
    look: dict[str, Any] = {"fontSize": 13, "fontWeight": 600}
    colour = alt.condition(alt.datum.told == "saves", alt.value(PAPER), alt.value(INK))
    halo = base.mark_text(**look, strokeWidth=6, strokeJoin="round").encode(stroke=_flip(alt.Stroke))
    return [halo, base.mark_text(**look).encode(color=colour)]


def _llm_prices(shown: Sequence[Scenario]) -> list[Any]:
    """A rule a price that reaches up to its name; names stand on a stair, so that neighbours never meet."""
    layers = []
    for place, one in enumerate(shown):
        above = -_GAP - _STAIR * (len(shown) - 1 - place)
        word = f"{one.llm} ({figures.plain_usd(one.usd_per_million_tokens)})"
        base = alt.Chart(rows([{"x": _price(one), "word": word}])).encode(x=alt.X("x:Q"))
        rule = base.mark_rule(strokeWidth=1, stroke=INK, opacity=0.45)
        text = base.mark_text(align="left", dx=5, fontSize=11, fill=MUTED, baseline="middle")
        layers.append(rule.encode(y=y_at(above), y2=y2_at(_PRICES_HEIGHT)))
        layers.append(text.encode(y=y_at(above + 2), text=alt.Text("word:N")))
    return layers


def _today(grid: PriceGrid) -> list[Any]:
    """Today's prices: a ring that stands out on every ground."""
    price = grid.here.llm_usd_per_million_tokens
    if not price:
        return []
    base = alt.Chart(rows([{"x": price, "y": grid.here.reranker_factor, "word": "today"}])).encode(
        x=alt.X("x:Q"), y=alt.Y("y:Q")
    )
    ring = base.mark_point(shape="circle", size=130, filled=True, fill=PAPER, stroke=INK, strokeWidth=2.4, opacity=1)
    return [ring, *_haloed(base, {"align": "left", "dx": 11, "dy": -11, **_LABEL})]


_QUALITY_HEIGHT, _LATENCY_HEIGHT = 220, 150
_LIVE, _COMPOSED = "live p50", "composed estimate"


def depth(drawn: Drawn) -> Chart:
    one = drawn.one
    steps = one.at_own_k
    held = f"evidence@{one.k}"
    kinds = {one.metric: Series(one.metric, drawn.colour), held: Series(held, MUTED, DASHES["dashed"], "square")}
    quality = {
        series: [estimate_mark(step.depth, step.scores[key], figures.score) for step in steps]
        for key, series in kinds.items()
    }
    plain = one.gain.without
    times = {
        Series(_LIVE, drawn.colour, (), "diamond"): [
            mark(step.depth, step.p50_ns, interval(step, "p50_interval_ns"), figures.duration) for step in steps
        ],
        Series(_COMPOSED, MUTED, DASHES["dashed"], "square"): [
            mark(step.depth, step.composed_p50_ns, None, figures.duration) for step in steps
        ],
    }
    known = {series: [each for each in marks if each.value is not None] for series, marks in times.items()}
    latency = {series: marks for series, marks in known.items() if marks}
    title = "Depth (candidates that the reranker reads)"
    depths = [step.depth for step in steps]
    ends = linear(depths, margin=0.06)
    ticks: dict[str, Any] = {"values": depths, "format": "~d", "labelOverlap": "greedy"}
    landmarks = {float(each): " = ".join(words) for each in depths if (words := marks_of(one, each))}
    upper = _linear_x(None if latency else title, ends.low, ends.high, **ticks)
    panels = [Panel(drawn.name, _quality_panel(quality, plain, landmarks, upper), f"Quality at k = {one.k:,}")]
    if latency:
        spec = _latency_panel(latency, drawn.colour, landmarks, _linear_x(title, ends.low, ends.high, **ticks))
        panels.append(Panel(drawn.name, spec, "Latency of a query, end to end"))
    legend = (
        *(series.key for series in quality),
        *([] if plain is None else [Key(f"{one.metric} of search alone", MUTED, DASHES["dotted"])]),
        *(
            series.key
            if series.name == _LIVE
            else Key(f"{series.name} (not timed)", series.colour, series.dash, series.shape, hollow=True)
            for series in latency
        ),
    )
    caption = _depth_caption(one, steps, is_timed=bool(latency))
    heading = "Quality and latency, depth by depth"
    return Chart(drawn.key("depth"), heading, caption, {}, panels=tuple(panels), legend=legend, stacked=True)


def _quality_panel(
    quality: Mapping[Series, list[Mark]], plain: float | None, landmarks: Mapping[float, str], x: Any
) -> dict[str, Any]:
    """`plain` is the metric of the search order."""
    ends = ends_of(each for marks in quality.values() for each in marks)
    scale = near([*ends, *([] if plain is None else [plain])], most=1.0)
    y = Vertical(" and ".join(series.name for series in quality), scale, spelling(scale), 24, _EXTENT)
    search = [] if plain is None else [_level_rule(plain, y)]
    layers = [*_upright_rules(landmarks, x, _QUALITY_HEIGHT), *search, *line_layers(quality, x, y)]
    return _finished(layers, height=_QUALITY_HEIGHT)


def _latency_panel(
    latency: Mapping[Series, list[Mark]], colour: str, landmarks: Mapping[float, str], x: Any
) -> dict[str, Any]:
    unit, length = time_unit(max(ends_of(each for marks in latency.values() for each in marks)))
    lines = {series: [each.divided(length) for each in marks] for series, marks in latency.items()}
    every = [each for marks in lines.values() for each in marks]
    y = Vertical(f"{unit} per query", Scale(0.0, max(ends_of(every)) * 1.08), ",.3~f", extent=_EXTENT)
    # Upright lines, since a band would hide that nothing was measured between the depths.
    known = [each.row() for each in every if each.low is not None]
    whisker = alt.Chart(rows(known)).mark_rule(stroke=colour, strokeWidth=1.8, opacity=0.6)
    whiskers = [whisker.encode(x=x, y=y.axis("low", ticks=4), y2=alt.Y2("high:Q"))] if known else []
    bare = {series: [each.without_interval() for each in marks] for series, marks in lines.items()}
    layers = line_layers(bare, x, y, ticks=4, hollow=_COMPOSED)
    rules = _upright_rules(landmarks, x, _LATENCY_HEIGHT, worded=False)
    return _finished([*rules, *whiskers, *layers], height=_LATENCY_HEIGHT)


def _depth_caption(one: RerankerVerdict, steps: Sequence[DepthStep], *, is_timed: bool) -> str:
    known = any(interval(step.scores[one.metric], "interval") for step in steps)
    span = figures.span(one.gain.interval, figures.difference)
    words = (
        f"{'Bands are 95% intervals' if known else 'Intervals n/a'}, {basis(one)}. At its own depth it is "
        f"{figures.difference(one.gain.difference)} ({span}) over search alone (dotted)."
    )
    if not is_timed:
        return f"{words} Latency {figures.ABSENT}: nothing was timed."
    timed = figures.between((step.timed_queries for step in steps if step.timed_queries), "query")
    return (
        f"{words} Latency: p50 of live queries with 95% intervals (upright lines), n = {timed} per depth; the "
        "hollow squares are composed from the parts and were not timed at that depth."
    )


_BAR_HEIGHT, _BAR, _ABOVE = 84, 34, -12


def headroom(drawn: Drawn) -> Chart | None:
    """None where an end of a part is missing: the bar would look whole."""
    found = drawn.one.headroom
    ends = {"search": found.search, "with reranker": found.reranked, "best order": found.oracle}
    if any(end.mean is None for end in ends.values()):
        return None
    parts = _parts(drawn.one)
    axis = alt.Axis(format=".1f", tickCount=6, grid=False)
    title = f"{found.metric} (1 is a perfect ranking)"
    x = alt.X("low:Q", title=title, axis=axis, scale=alt.Scale(domain=[0, 1], nice=False))
    base = alt.Chart(rows(parts)).encode(x=x, y=y_at(_BAR_HEIGHT / 2))
    colour = alt.Color("part:N", scale=alt.Scale(domain=list(HEADROOM), range=list(HEADROOM.values())), legend=None)
    bars = base.mark_bar(height=_BAR, yOffset=_ABOVE, stroke=PAPER, strokeWidth=1)
    text = base.transform_calculate(label="format(datum.size, '.2f')").mark_text(yOffset=_ABOVE, fontWeight=600)
    layers = [
        bars.encode(x2=alt.X2("high:Q"), color=colour, tooltip=tooltip(words="Part")),
        text.encode(
            x=alt.X("middle:Q"),
            text=alt.Text("label:N"),
            # A part of fewer pixels has no room for its figure.
            opacity=alt.condition("datum.size * width > 34", alt.value(1), alt.value(0)),
            color=alt.condition("datum.part == 'search' || datum.part == 'harm'", alt.value(PAPER), alt.value(INK)),
        ),
        *itertools.chain.from_iterable(_end(row, name, end) for row, (name, end) in enumerate(ends.items())),
    ]
    legend = tuple(
        Key(row["words"], HEADROOM[row["part"]], area=True, texture="hatched" if row["part"] == "harm" else "")
        for row in parts
    )
    caption = (
        f"Mean {found.metric} of the same candidates in the order of search, of this reranker, and in the best order "
        f"there is; lines below the bar are 95% intervals, {basis(drawn.one)}. What search missed no reranker wins."
    )
    spec = _finished(layers, height=_BAR_HEIGHT)
    return Chart(drawn.key("headroom"), "What was won, and by whom", caption, spec, legend=legend)


def _parts(one: RerankerVerdict) -> list[dict[str, Any]]:
    """Stretches between the ends, each with its own figure in words."""
    found, gain = one.headroom, one.gain
    search, reranked, oracle = (float(end.mean or 0.0) for end in (found.search, found.reranked, found.oracle))
    change = f"{figures.difference(gain.difference)} ({figures.span(gain.interval, figures.difference)})"

    def told(estimate: EstimateValue) -> str:
        return f"{figures.score(estimate.mean)} ({figures.span(estimate.interval, figures.score)})"

    stretches = (
        ("search", 0.0, min(search, reranked), f"won by search {told(found.search)}"),
        ("reranker", search, reranked, f"won by the reranker {change}"),
        ("harm", reranked, search, f"lost by the reranker {change}"),
        ("left", max(search, reranked), oracle, f"left by ordering {told(found.left_by_reranker)}"),
        ("missed", oracle, 1.0, f"missed by search {told(found.missed_by_search)}"),
    )
    return [
        {"part": part, "low": seen(low), "high": seen(high), "middle": seen((low + high) / 2), "words": words}
        | {"size": seen(high - low)}
        for part, low, high, words in stretches
        if high > low
    ]


def _end(row: int, name: str, end: EstimateValue) -> list[Any]:
    """The interval of one end below the bar, its name on the side that has room."""
    ends = interval(end, "interval")
    if ends is None:
        return []
    base = alt.Chart(rows([{"low": ends[0], "high": ends[1], "value": end.mean, "name": name}]))
    base = base.encode(y=y_at(_BAR_HEIGHT / 2 + 12 + 13 * row))
    has_room = ends[1] < 0.85
    look: dict[str, Any] = {"align": "left", "dx": 6} if has_room else {"align": "right", "dx": -6}
    return [
        base.mark_rule(stroke=INK, strokeWidth=1.4).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        base.mark_circle(fill=INK, size=30, opacity=1).encode(x=alt.X("value:Q")),
        base.mark_text(**look, fontSize=11).encode(x=alt.X("high:Q" if has_room else "low:Q"), text=alt.Text("name:N")),
    ]


_QUERIES_HEIGHT, _QUERIES_GAP = 200, 5
_SIDES = {"helped": VERDICTS["better"], "hurt": VERDICTS["worse"]}


def changes(drawn: Drawn) -> Chart | None:
    """The clearest queries, sorted, with the others counted in between. None where no query moved."""
    queries, metric = drawn.one.queries, drawn.one.metric
    clearest = (queries.clearest.helped, queries.clearest.hurt)
    helped, hurt = (sorted(each, key=lambda one: -one.change) for each in clearest)
    if not helped and not hurt:
        return None
    hurt_from = len(helped) + _QUERIES_GAP
    data = [
        {"x": start + place, "kind": kind, "change": seen(one.change)}
        | {"query": one.query_id, "words": figures.difference(one.change)}
        for kind, start, found in (("helped", 0, helped), ("hurt", hurt_from, hurt))
        for place, one in enumerate(found)
    ]
    known = [0.0, *(one.change for one in (*helped, *hurt))]
    room = (max(known) - min(known)) * 0.06
    scale = Scale(min(known) - room, max(known) + room)
    y = Vertical(f"Change of {metric}, query by query", scale, "+.1f", extent=_EXTENT).axis("change")
    x = _linear_x("Single queries, the most helped first", -1, hurt_from + len(hurt), labels=False)
    colour = alt.Color("kind:N", scale=alt.Scale(domain=list(_SIDES), range=list(_SIDES.values())), legend=None)
    layers = [
        alt.Chart(rows(data))
        .mark_bar(size=14)
        .encode(x=x, y=y, color=colour, tooltip=tooltip(query="Query", words="Change")),
        alt.Chart(rows([{"change": 0}])).mark_rule(stroke=INK, strokeWidth=1).encode(y=alt.Y("change:Q")),
    ]
    others = {
        "more helped": queries.helped - len(helped),
        "unchanged": queries.unchanged,
        "more hurt": queries.hurt - len(hurt),
    }
    if words := "\n".join(f"{kind}: {figures.count(count)}" for kind, count in others.items() if count > 0):
        base = alt.Chart(rows([{"x": len(helped) + (_QUERIES_GAP - 1) / 2, "words": words}]))
        text = base.mark_text(lineBreak="\n", fontSize=11, fill=MUTED, lineHeight=15, baseline="top")
        layers.append(text.encode(x=alt.X("x:Q"), text=alt.Text("words:N"), y=y_at(14)))
    legend = tuple(
        Key(f"{kind} ({figures.counted(getattr(queries, kind), 'query', 'queries')})", shade, area=True)
        for kind, shade in _SIDES.items()
    )
    caption = (
        f"The clearest queries of each kind out of {basis(drawn.one).removeprefix('n = ')}; single queries "
        "have no interval. The mean change over all of them is "
        f"{figures.difference(drawn.one.gain.difference)}, 95% interval "
        f"{figures.span(drawn.one.gain.interval, figures.difference)}."
    )
    spec = _finished(layers, height=_QUERIES_HEIGHT)
    return Chart(drawn.key("queries"), "Which queries it helps and hurts", caption, spec, legend=legend)


_ROUTING_HEIGHT = 280
_SHAPES = ("circle", "square", "triangle-up", "diamond")
_KEPT = (-0.6, 1.8)
"""Shares of the gain that are shown: what loses or wins more than that is cut at the edge."""


def routing(drawn: Drawn) -> Chart | None:
    """None where no share of the gain is known."""
    found: dict[str, list[Mark]] = {}
    for step in drawn.one.routing:
        if step.share_of_gain_kept is not None and step.share_reranked is not None:
            found.setdefault(figures.text(step.signal), []).append(_kept(step))
    if not found:
        return None
    shades = itertools.chain((drawn.colour, INK, MUTED), itertools.repeat(RULE))
    looks = zip(shades, itertools.cycle(zip(DASHES.values(), _SHAPES, strict=False)), strict=False)
    lines = {
        Series(signal, shade, dash, shape): sorted(marks, key=lambda one: one.x)
        for (signal, marks), (shade, (dash, shape)) in zip(found.items(), looks, strict=False)
    }
    ends = ends_of(one for marks in lines.values() for one in marks)
    scale = Scale(max(_KEPT[0], min(0.0, *ends)), min(_KEPT[1], max(1.0, *ends)) + 0.04)
    cut = min(ends) < scale.low or max(ends) > scale.high
    y = Vertical("Share of the gain that is kept", scale, ".0%", extent=_EXTENT)
    x = _linear_x("Share of the queries that are reranked", 0, 1.02, format=".0%", tickCount=6)
    blind = alt.Chart(rows([{"x": 0.0, "value": 0.0}, {"x": 1.0, "value": 1.0}]))
    shown = {series: [one.within(scale) for one in marks] for series, marks in lines.items()}
    layers = [
        blind.mark_line(stroke=RULE, strokeWidth=1.6).encode(x=x, y=y.axis("value")),
        *line_layers(shown, x, y),
        *_chosen(drawn.one.routing_choice),
    ]
    legend = (*(series.key for series in lines), Key("queries picked at random", RULE))
    caption = (
        "The queries that search is least sure of are reranked first. Bands are 95% intervals, "
        f"{basis(drawn.one)}, thresholds cross-validated; above 100% leaving some queries alone is better "
        f"than reranking all.{' Bands that leave the plot are cut; the table has their ends.' if cut else ''}"
    )
    spec = _finished(layers, height=_ROUTING_HEIGHT)
    return Chart(drawn.key("routing"), "Reranking only where search is unsure", caption, spec, legend=legend)


def _kept(step: Routed) -> Mark:
    """An interval with an open end continues to the edge of the plot."""
    words = f"{figures.share(step.share_of_gain_kept)} ({open_span(step.interval, figures.share)})"
    low, high = step.interval or (None, None)
    if low is not None or high is not None:
        low, high = -1e3 if low is None else low, 1e3 if high is None else high
    return Mark(step.share_reranked or 0.0, step.share_of_gain_kept, low, high, words)


def _chosen(choice: RoutingChoice | None) -> list[Any]:
    if choice is None or choice.share_reranked is None or choice.share_of_gain_kept is None:
        return []
    share, kept = choice.share_reranked, choice.share_of_gain_kept
    word = f"rerank {figures.share(share)}, keep {figures.share(kept)}"
    base = alt.Chart(rows([{"x": share, "value": kept, "word": word}])).encode(x=alt.X("x:Q"), y=alt.Y("value:Q"))
    # To the left of the mark and above it, unless it stands too far to the left for that.
    look = {"align": "left", "dx": 12, "dy": 16} if share < 0.3 else {"align": "right", "dx": -12, "dy": -12}
    return [
        base.mark_point(size=190, filled=False, stroke=INK, strokeWidth=2, opacity=1),
        *_haloed(base, {**_LABEL, **look}),
    ]


_GROWTH_HEIGHT = 240


def growth(drawn: Drawn) -> Chart | None:
    """The reranker's gain as the corpus grows, with the size from which it pays. None without gains at two sizes."""
    found, metric = drawn.one.growth, drawn.one.metric
    points = [] if found is None else [point for point in found.points if point.gain.mean is not None]
    if found is None or len(points) < 2:
        return None
    marks = [estimate_mark(point.size, point.gain, figures.difference) for point in points]
    scale = near([0.0, *ends_of(marks)])
    y = Vertical(f"Gain in {metric}", scale, f"+{spelling(scale)}", 24, _EXTENT)
    x = size_axis(size_scale([one.x for one in marks]), ticks=4)
    size = found.pays_from.size
    pays = {} if size is None else {float(size): f"pays from {figures.count(size)}"}
    words = (
        f"From which size it pays: {found.pays_from.status}."
        if size is None
        else f"Pays from {figures.count(size)} passages on ({reach({'interval': found.pays_from.interval})})."
    )
    layers = [
        _level_rule(0.0, y, dash=(1, 0)),
        *_upright_rules(pays, x, _GROWTH_HEIGHT),
        *line_layers({Series(drawn.name, drawn.colour): marks}, x, y),
    ]
    caption = (
        f"Gain of the reranker over the same pipeline without it, {metric}; the band is the 95% interval, "
        f"{basis(drawn.one)}. {words}"
    )
    spec = _finished(layers, height=_GROWTH_HEIGHT)
    return Chart(drawn.key("growth"), "What the reranker brings as the corpus grows", caption, spec)
