"""Charts with a row a pipeline: where answers are lost, and what a correct one costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import seen
from ragprof.report.injection import study
from ragprof.report.injection.cells import cost_cell, open_span
from ragprof.report.labels import wrap
from ragprof.report.lookup import Summary, at, interval
from ragprof.report.palette import INK, LOST, PAPER
from ragprof.report.scales import Scale, linear, logarithmic
from ragprof.report.theme import Chart, Key, named_axis, rows, rows_height, specification

Rows = list[dict[str, Any]]
_BAR, _ABOVE, _BELOW = 20, -6, 11
_SPREAD, _NAME = 20, 24
_DARK = ("model", "search")
COST = "usd_per_correct_answer"
_OPEN = " A line that goes on to the edge has no upper end: too few answers were correct."


def lost(summary: Summary) -> Chart | None:
    """All questions of a pipeline as one bar: correct, and lost to whom. None where nothing was attributed."""
    data = [row for name in study.names(summary) for row in _shares(summary, name)]
    if not data:
        return None
    names = list(dict.fromkeys(row["name"] for row in data))
    y = alt.Y("name:N", sort=names, axis=named_axis(label_offset=_ABOVE))
    axis = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("low:Q", title="Share of the questions", axis=axis, scale=alt.Scale(domain=[0, 1], nice=False))
    base = alt.Chart(rows(data)).encode(x=x, y=y)
    titles = {"pipeline": "Pipeline", "part": "Answers", "words": "Share"}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    colour = alt.Color("part:N", scale=alt.Scale(domain=list(LOST), range=list(LOST.values())), legend=None)
    bars = base.mark_bar(height=_BAR, yOffset=_ABOVE, stroke=PAPER, strokeWidth=1)
    filled = bars.encode(x2="high:Q", color=colour, tooltip=tooltip)
    chart = alt.layer(filled, *_inside(base), *_ends_of_correct(data, y))
    caption = (
        f"All questions of each pipeline, {study.basis(summary)}: answered correctly (the line below a bar is the 95% "
        "interval), or lost to the first part that failed. Search found no gold answer; rerank put it too low; packing "
        "left it out of the prompt; the model had it and answered wrongly."
    )
    present = {row["part"] for row in data}
    legend = tuple(Key(_key(part), colour, area=True) for part, colour in LOST.items() if part in present)
    spec = specification(chart, height=rows_height(names, 48))
    return Chart("injection-lost", "Where answers are lost", caption, spec, _unattributed(summary, data), legend=legend)


def _key(part: str) -> str:
    return part if part == "correct" else f"lost: {part}"


def _shares(summary: Summary, name: str) -> Rows:
    """Empty where a share is missing: the bar would look whole."""
    found = study.answers(summary, name)
    correct, parts = at(found, "correct", "mean"), at(found, "attribution")
    if correct is None or not parts:
        return []
    ends = interval(found, "correct", "interval")
    shares = {"correct": correct} | {part: at(parts, part) for part in LOST if part != "correct"}
    return _piled(name, {part: share for part, share in shares.items() if share}, ends)


def _piled(name: str, shares: Mapping[str, float], ends: tuple[float, float] | None) -> Rows:
    piled: Rows = []
    reached = 0.0
    for part, share in shares.items():
        words = figures.share(share)
        row = {"pipeline": name, "name": wrap(name, _NAME), "part": part, "words": words, "share": seen(share)}
        piled.append(row | {"low": seen(reached), "high": seen(reached + share), "middle": seen(reached + share / 2)})
        reached += share
    if piled and piled[0]["part"] == "correct" and ends:
        span = figures.span(ends, figures.share)
        piled[0] |= {"from": ends[0], "to": ends[1], "words": f"{piled[0]['words']} ({span})"}
    return piled


def _inside(base: Any) -> list[Any]:
    """The share inside its bar, where there is room for it at the width that the chart happens to have."""
    room = "datum.share * width > 36"
    dark = " || ".join(f"datum.part == '{part}'" for part in _DARK)
    text = base.transform_calculate(label="format(datum.share, '.0%')").encode(
        x=alt.X("middle:Q"),
        text="label:N",
        opacity=alt.condition(room, alt.value(1), alt.value(0)),
        color=alt.condition(dark, alt.value(PAPER), alt.value(INK)),
    )
    lost_parts = text.transform_filter("datum.part != 'correct'").mark_text(fontSize=11, yOffset=_ABOVE)
    correct = text.transform_filter("datum.part == 'correct'").encode(x=alt.X("low:Q"))
    return [lost_parts, correct.mark_text(fontSize=11, fontWeight=600, align="left", dx=6, yOffset=_ABOVE)]


def _ends_of_correct(data: Rows, y: Any) -> list[Any]:
    known = [row for row in data if "from" in row]
    if not known:
        return []
    base = alt.Chart(rows(known)).encode(y=y)
    look: dict[str, Any] = {"color": INK, "thickness": 1.4, "size": 7, "yOffset": _BELOW}
    return [
        base.mark_rule(stroke=INK, strokeWidth=1.4, yOffset=_BELOW).encode(x=alt.X("from:Q"), x2="to:Q"),
        *(base.mark_tick(**look).encode(x=alt.X(f"{end}:Q")) for end in ("from", "to")),
        base.mark_circle(fill=INK, size=34, opacity=1, yOffset=_BELOW).encode(x=alt.X("high:Q")),
    ]


def _unattributed(summary: Summary, data: Rows) -> tuple[str, ...]:
    drawn = {row["pipeline"] for row in data}
    return tuple(f"{name}: {figures.ABSENT}" for name in study.names(summary) if name not in drawn)


def cost(summary: Summary) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no pipeline has a price."""
    data = [row for name in study.names(summary) for row in _cost_rows(summary, name)]
    if not data:
        return None
    names = [row["name"] for row in data]
    scale = _cost_scale([row[end] for row in data for end in ("value", "low", "high") if row[end] is not None])
    is_open = any(row["high"] is None for row in data)
    data = [row | {"high": scale.high if row["high"] is None else row["high"]} for row in data]
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()))
    colours = study.colours(summary)
    look = alt.Scale(domain=[row["pipeline"] for row in data], range=[colours[row["pipeline"]] for row in data])
    chart = alt.layer(*_dots(base, _cost_axis(scale), alt.Color("pipeline:N", scale=look, legend=None)))
    caption = (
        f"USD for each correct answer: what all queries cost, divided by the answers that are correct, with 95% "
        f"intervals, {study.basis(summary)}. {study.correct_words(summary)}{_OPEN if is_open else ''}"
    )
    notes = tuple(_why_not(summary, name) for name in study.names(summary) if wrap(name, _NAME) not in names)
    spec = specification(chart, height=rows_height(names, 46))
    return Chart("injection-cost", "What a correct answer costs", caption.strip(), spec, notes)


def _cost_rows(summary: Summary, name: str) -> Rows:
    """At most one. A `high` of None is an interval without an upper end."""
    found = at(study.economics(summary, name), COST)
    value = at(found, "mean")
    if value is None:
        return []
    low, high = at(found, "interval") or (value, value)
    words = f"{figures.usd(value)} ({open_span(at(found, 'interval'), figures.usd)})"
    low = value if low is None else low
    row = {"pipeline": name, "name": wrap(name, _NAME), "value": float(value), "low": low, "high": high}
    return [row | {"words": words, "label": figures.usd(value)}]


def _cost_scale(ends: list[float]) -> Scale:
    """Logarithmic where the dearest is more than twenty times the cheapest."""
    positive = min(ends) > 0
    if positive and max(ends) / min(ends) > _SPREAD:
        return logarithmic(ends)
    return linear(ends, margin=0.12)


def _cost_axis(scale: Scale) -> Any:
    title = "USD per correct answer"
    if scale.logarithmic:
        axis = alt.Axis(values=scale.ticks(), format="$~g", labelOverlap="greedy", labelSeparation=8)
        domain = alt.Scale(type="log", domain=[scale.low, scale.high], nice=False)
        return {"title": f"{title} (logarithmic)", "axis": axis, "scale": domain}
    axis = alt.Axis(tickCount=5, format=f"$,.{scale.decimals()}f", labelOverlap="greedy", labelSeparation=8)
    return {"title": title, "axis": axis, "scale": alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)}


def _dots(base: Any, x: Mapping[str, Any], colour: Any) -> list[Any]:
    tooltip = [alt.Tooltip("pipeline:N", title="Pipeline"), alt.Tooltip("words:N", title="USD")]
    text = base.mark_text(dy=-13, fontWeight=500).encode(x=alt.X("value:Q", **x), text="label:N")
    return [
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=alt.X("low:Q", **x), x2="high:Q", color=colour),
        base.mark_circle(size=90, opacity=1).encode(x=alt.X("value:Q", **x), color=colour, tooltip=tooltip),
        text,
    ]


def _why_not(summary: Summary, name: str) -> str:
    if at(study.answers(summary, name), "correct", "mean") == 0:
        return f"{name}: no answer was correct"
    word = cost_cell(study.economics(summary, name), COST).text
    reasons = study.unpriced(summary, name) if word == figures.UNPRICED else []
    return f"{name}: {word} ({'; '.join(reasons)})" if reasons else f"{name}: {word}"
