"""Reranking only some queries: how much of the gain is kept, a line a signal, against picking queries blindly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import Mark, ends_of
from ragprof.report.growth.panels import Series
from ragprof.report.injection.cells import open_span
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.palette import DASHES, INK, MUTED, PAPER, RULE
from ragprof.report.reranker import study
from ragprof.report.reranker.curves import line_layers, quiet_specification, vertical
from ragprof.report.scales import Scale
from ragprof.report.theme import Chart, Key, rows

_HEIGHT = 280
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
    spec = quiet_specification(layers, height=_HEIGHT)
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
    colour = study.colours(summary)[name]
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
