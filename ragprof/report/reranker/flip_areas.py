"""Who wins in which cell of a grid of prices: areas, their textures and a word in the middle of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import seen
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.lookup import at, entries
from ragprof.report.palette import FLIP, INK, PAPER
from ragprof.report.scales import Scale
from ragprof.report.theme import rows

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
