"""Who wins at which prices: the LLM's across, the reranker's upwards; told by lightness, texture and a word each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.injection.cells import gain_span
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.palette import FLIP, INK, MUTED, PAPER
from ragprof.report.reranker import flip_areas, study
from ragprof.report.reranker.curves import quiet_specification
from ragprof.report.scales import Scale
from ragprof.report.theme import Chart, Key, rows

_HEIGHT, _STAIR, _GAP = 320, 15, 10
_TEXTURES = {"costs": "hatched", "undecided": "dotted"}


def break_even(summary: Summary, name: str, place: int) -> Chart | None:
    """None where a price is missing: then nobody knows who wins."""
    grid = at(study.of(summary, name), "statement", "break_even", "grid")
    found = flip_areas.areas(grid)
    if not found:
        return None
    x, y = flip_areas.axes_of(found)
    known = _known(summary, name, x)
    area = flip_areas.filled(found, _across(x), _upwards(y, _GAP + _STAIR * len(known) + 4))
    layers = [area, *flip_areas.grains(found), *_prices(known), *flip_areas.words(found), *_here(grid)]
    spec = quiet_specification(layers, height=_HEIGHT)
    title = "At which prices the reranker pays for itself"
    notes, legend = tuple(_outside(summary, name, x)), _legend({area.told for area in found})
    return Chart(f"reranker-{place}-break-even", title, _caption(summary, name), spec, notes, legend=legend)


def _legend(present: set[str]) -> tuple[Key, ...]:
    return tuple(
        Key(flip_areas.WORDS[word], colour, area=True, texture=_TEXTURES.get(word, ""))
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
