"""Who wins how much of the candidates' quality: one bar from nothing to a perfect ranking."""

from __future__ import annotations

from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import seen
from ragprof.report.lookup import Summary, at, interval
from ragprof.report.palette import HEADROOM, INK, PAPER
from ragprof.report.reranker import study
from ragprof.report.reranker.curves import quiet_specification
from ragprof.report.theme import Chart, Key, rows

Rows = list[dict[str, Any]]
_HEIGHT, _BAR, _ABOVE, _BELOW = 84, 34, -12, 18
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
    base = alt.Chart(rows(parts)).encode(x=x, y=alt.value(_HEIGHT / 2))
    spec = quiet_specification([*_bar(base), *_marks(found)], height=_HEIGHT)
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
        y = alt.value(_HEIGHT / 2 + _BELOW - 6 + _STACK * row)
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
