"""Time to first token against the length of the prompt: what was measured, and the fitted curve with its band.

Charts over the number of chunks, a panel a pipeline: what answers gain, and what the prompt's tokens are.

Charts with a row a pipeline: where answers are lost, and what a correct one costs.

Utility of inference against the time-sensitivity of the field: a line a pipeline, named fields as thin rules.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.lines import (
    Found,
    Mark,
    Series,
    Stack,
    Vertical,
    apart,
    ends_of,
    estimate_mark,
    lines_panel,
    mark,
    near,
    panel_specification,
    pieces,
    seen,
    top,
    whole,
)
from ragprof.report.lookup import Summary, at, entries, interval
from ragprof.report.lookup import colours as colours_of
from ragprof.report.palette import DASHES, INK, LOST, MUTED, PAPER, PROMPT, RULE, SHAPES, STAGES, tint
from ragprof.report.tables import cost_cell, open_span, plain
from ragprof.report.theme import (
    Chart,
    Key,
    Panel,
    Scale,
    linear,
    logarithmic,
    named_axis,
    rows,
    rows_height,
    specification,
    time_unit,
    wrap,
)
from ragprof.studies.injection import lookup as study
from ragprof.studies.injection.tables import first_token, fit_statement, timings_words

_HEIGHT, _ROOM, _TICKS = 340, 1.05, 6
_COLOUR = STAGES["generate"]
_THIN = DASHES["short"]


def time_to_first_token(summary: Summary) -> Chart | None:
    """None without timings of set lengths. Without a fit the measured points alone."""
    measured, curve, straight = _measured(summary), _curve(summary), _straight(summary)
    if not measured:
        return None
    unit, length = time_unit(max(ends_of([*measured, *curve])))
    measured, curve, straight = ([one.divided(length) for one in found] for found in (measured, curve, straight))
    y = _y_axis(unit, [*measured, *curve])
    x = _x_axis([*measured, *curve])
    layers = [*_fitted(curve, straight, x, y), *_bend(summary, curve), *_points(measured, x, y)]
    keys = [Key("measured p50", INK, shape="circle")]
    keys += [Key("fitted a + b n + c n\u00b2", _COLOUR)] if curve else []
    keys += [Key("its straight part, a + b n", MUTED, _THIN)] if straight else []
    spec = specification(alt.layer(*layers), height=_HEIGHT)
    title = "How the first token waits for the prompt"
    return Chart("injection-first-token", title, _caption(summary, bool(curve)), spec, legend=tuple(keys))


def _measured(summary: Summary) -> list[Mark]:
    found = [one for one in entries(first_token(summary), "points") if at(one, "prompt_tokens") is not None]
    marks = [
        mark(one["prompt_tokens"], at(one, "p50_ns"), interval(one, "interval_ns"), figures.duration) for one in found
    ]
    return [one for one in marks if one.value is not None]


def _curve(summary: Summary) -> list[Mark]:
    found = [one for one in entries(first_token(summary), "fit", "curve") if at(one, "prompt_tokens") is not None]
    return [
        mark(one["prompt_tokens"], at(one, "value_ns"), interval(one, "interval_ns"), figures.duration) for one in found
    ]


def _straight(summary: Summary) -> list[Mark]:
    """The line of a and b over the length of the curve; empty where c is not told from 0 and both would coincide."""
    fit = at(first_token(summary), "fit")
    terms = [at(fit, key) for key in ("a_ns", "b_ns_per_token")]
    ends = [one.x for one in _curve(summary)]
    if not ends or None in terms or at(fit, "quadratic_from_tokens") is None:
        return []
    fixed, slope = (float(term) for term in terms)
    return [mark(x, fixed + slope * x, None, figures.duration) for x in (min(ends), max(ends))]


def _x_axis(marks: list[Mark]) -> Any:
    axis = alt.Axis(tickCount=_TICKS, format=",d", grid=False, labelOverlap="greedy", labelSeparation=6)
    domain = alt.Scale(domain=[0, max(one.x for one in marks) * _ROOM], nice=False)
    return alt.X("x:Q", title="Tokens of the prompt (n)", axis=axis, scale=domain)


def _y_axis(unit: str, marks: list[Mark]) -> Vertical:
    ends = ends_of(marks)
    low = min([0.0, *ends])
    return Vertical(f"Time to first token ({unit})", Scale(low, max(ends) * _ROOM), ",.4~f")


def _fitted(curve: list[Mark], straight: list[Mark], x: Any, y: Vertical) -> list[Any]:
    base = alt.Chart(rows([one.row() for one in curve])).encode(x=x)
    line = alt.Chart(rows([one.row() for one in straight])).encode(x=x, y=y.axis("value"))
    band = base.mark_area(opacity=0.16, fill=_COLOUR).encode(y=y.axis("low"), y2="high:Q")
    stroke = base.mark_line(stroke=_COLOUR, strokeWidth=2.2).encode(y=y.axis("value"))
    thin = line.mark_line(stroke=MUTED, strokeWidth=1.2, strokeDash=list(_THIN))
    return [*([band] if curve else []), *([thin] if straight else []), *([stroke] if curve else [])]


def _bend(summary: Summary, curve: list[Mark]) -> list[Any]:
    """Where the square begins to matter, if that is within what is drawn."""
    start = at(first_token(summary), "fit", "quadratic_from_tokens")
    if start is None or not curve or not curve[0].x <= start <= curve[-1].x:
        return []
    word = f"c n\u00b2 is a tenth from {figures.count(start)} tokens"
    left = start < (curve[0].x + curve[-1].x) / 2
    base = alt.Chart(rows([{"x": start, "word": word}])).encode(x="x:Q")
    text = base.mark_text(align="left" if left else "right", dx=6 if left else -6, y=2, baseline="top", fill=MUTED)
    return [base.mark_rule(strokeWidth=1), text.encode(text="word:N")]


def _points(measured: list[Mark], x: Any, y: Vertical) -> list[Any]:
    base = alt.Chart(rows([one.row() for one in measured])).encode(x=x)
    tooltip = [alt.Tooltip("x:Q", title="Tokens", format=","), alt.Tooltip("words:N", title="p50")]
    return [
        base.mark_rule(stroke=INK, strokeWidth=1.6).encode(y=y.axis("low"), y2="high:Q"),
        base.mark_point(shape="circle", filled=True, fill=INK, size=58, opacity=1).encode(
            y=y.axis("value"), tooltip=tooltip
        ),
    ]


def _caption(summary: Summary, fitted: bool) -> str:
    model = at(first_token(summary), "model")
    by = f"{model}: " if model else ""
    band = "; the band is the 95% interval of the fit" if fitted else ""
    start = f"{by}p50 of live prompts of set lengths with 95% intervals, {timings_words(summary)}{band}."
    return f"{start} {fit_statement(summary)}".strip()


K_TITLE = "Chunks in the prompt (k)"
_TRUNCATED, _K_CHARTS_ROOM, _K_CHARTS_TICKS = "truncated", 1.06, 4
_LINES = {"correct": ("solid", "circle", 0.0), "answer_in_context": ("dashed", "square", 0.45)}
_WORDS = {"correct": "correct", "answer_in_context": "a gold answer stands in the chunks (paler)"}


def quality(summary: Summary) -> Chart | None:
    """Correct answers, and in paler what retrieval brought. None where k was not varied."""
    panels = {name: _quality_lines(summary, name) for name in study.names(summary)}
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None
    marks = [one for lines in panels.values() for found in lines.values() for one in found]
    y = Vertical("of the questions", near(ends_of(marks)), ".0%")
    x = _k_axis([one.x for one in marks])
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    drawn_lines = {series.name for lines in panels.values() for series in lines}
    legend = tuple(
        Key(_WORDS[key], tint(INK, white), DASHES[dash], shape)
        for key, (dash, shape, white) in _LINES.items()
        if key.replace("_", " ") in drawn_lines
    )
    caption = (
        f"Share of the questions, {study.basis(summary)}; bands are 95% intervals over questions. "
        f"{study.correct_words(summary)} The gap between the lines is what retrieval brought and the model left unused."
    )
    return Chart("injection-quality", "Answers against the chunks in the prompt", caption, {}, (), False, drawn, legend)


def _quality_lines(summary: Summary, name: str) -> dict[Series, list[Mark]]:
    colour = colours_of(summary)[name]
    found = {
        Series(key.replace("_", " "), tint(colour, white), DASHES[dash], shape): [
            estimate_mark(study.size_of(step, study.BY_K), at(step, key), figures.share)
            for step in study.steps(summary, study.BY_K, name)
        ]
        for key, (dash, shape, white) in _LINES.items()
    }
    return {series: marks for series, marks in found.items() if any(one.value is not None for one in marks)}


def _k_axis(ks: Sequence[float]) -> Any:
    scale = linear(ks, margin=0.06)
    axis = alt.Axis(values=sorted(set(ks)), format="~d", grid=False, labelOverlap="greedy")
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.X("x:Q", title=K_TITLE, axis=axis, scale=domain)


def tokens(summary: Summary) -> Chart | None:
    """The prompt's tokens by what they are, and above them what did not get in. None where none were counted."""
    stacks = {name: whole(_tokens(summary, name)) for name in study.names(summary)}
    stacks = {name: found for name, found in stacks.items() if found}
    if not stacks:
        return None
    highest = max(top(found) for found in stacks.values())
    y = Vertical("tokens per prompt (mean)", Scale(0.0, highest * _K_CHARTS_ROOM), ",.0f")
    drawn = tuple(Panel(name, _tokens_panel(found, y)) for name, found in stacks.items())
    caption = (
        f"Mean tokens of a prompt by what they are, {study.basis(summary)}; the dashed part on top was within reach "
        "and did not get in. Unjudged is not irrelevant. Cost and time by k are in the tables."
    )
    return Chart(
        "injection-tokens",
        "What the prompt's tokens are",
        caption,
        {},
        panels=drawn,
        legend=_token_keys(stacks),
    )


def _tokens(summary: Summary, name: str) -> Found:
    return {
        int(study.size_of(step, study.BY_K)): {part: at(step, "tokens", part) for part in PROMPT}
        for step in study.steps(summary, study.BY_K, name)
    }


def _token_keys(stacks: Mapping[str, Sequence[Stack]]) -> tuple[Key, ...]:
    found = [one for several in stacks.values() for one in several]
    present = {part for one in found for part, value in one.parts.items() if value}
    return tuple(
        Key(part, colour, (2.5, 2) if part == _TRUNCATED else (), area=True)
        for part, colour in PROMPT.items()
        if part in present
    )


def _tokens_panel(stacks: Sequence[Stack], y: Vertical) -> dict[str, Any]:
    data = [row for row in pieces(stacks, figures.mean_count) if row["value"]]
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in _TOOLTIP.items()]
    axis = alt.Axis(labelAngle=0, labelColor=MUTED, labelOverlap="greedy")
    x = alt.X("x:O", title=K_TITLE, axis=axis, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2))
    scale = alt.Scale(domain=list(PROMPT), range=list(PROMPT.values()))
    base = alt.Chart().encode(x=x, y=y.stacked("value"), order=alt.Order("order:Q"), tooltip=tooltip)
    base = base.encode(color=alt.Color("part:N", scale=scale, legend=None))
    inside, outside = (f"datum.part {sign} '{_TRUNCATED}'" for sign in ("!=", "=="))
    layers = [
        base.transform_filter(inside).mark_bar(orient="vertical", stroke=PAPER, strokeWidth=0.6),
        base.transform_filter(outside).mark_bar(orient="vertical", stroke=MUTED, strokeWidth=1, strokeDash=[2.5, 2]),
    ]
    return panel_specification(alt.layer(*layers, data=rows(data)))


_TOOLTIP = {"part": "Part", "x": "Chunks", "words": "Tokens"}


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
    colours = colours_of(summary)
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


_UTILITY_CHART_HEIGHT, _LINE_PX, _UTILITY_CHART_NAME, _STAIR = 360, 16, 20, 15
_GAP, _STRIP = 10, 9
_STEP, _BESIDE = 5.0, 36.0
Lines = dict[str, list[Mark]]


def utility(summary: Summary) -> Chart | None:
    """None where no pipeline has a U above 0: the axes are logarithmic."""
    lines = {name: _utility_chart_curve(summary, name) for name in study.names(summary)}
    farthest = _farthest(summary)
    lines = {name: [one for one in marks if one.x <= farthest] for name, marks in lines.items()}
    lines = {name: marks for name, marks in lines.items() if marks}
    if not lines:
        return None
    points = {name: _utility_chart_points(summary, name) for name in lines}
    x = _stretch([one.x for marks in lines.values() for one in marks])
    y = logarithmic(ends_of(one for marks in [*lines.values(), *points.values()] for one in marks))
    layers = [
        *_rules(summary, x),
        *_winners(summary, x),
        *_strokes(lines, points, _utility_chart_x_axis(x), y, summary),
    ]
    layers += _labels(lines, x, y) if _fit_at_ends(lines) else []
    spec = specification(alt.layer(*layers), height=_UTILITY_CHART_HEIGHT)
    notes = tuple(f"{name}: U {figures.ABSENT} or 0" for name in study.names(summary) if name not in lines)
    title = "Which pipeline is worth most, by how much time matters"
    return Chart(
        "injection-utility", title, _utility_chart_caption(summary), spec, notes, legend=_legend(summary, lines)
    )


def _farthest(summary: Summary) -> float:
    """How far k is drawn: twice the most time-sensitive field; beyond, U only falls apart into ever more decades."""
    return max((2 * float(one["k"]) for one in study.presets(summary)), default=math.inf)


def _utility_chart_caption(summary: Summary) -> str:
    statement = at(summary, "injection", "utility", "statement") or ""
    return (
        f"{study.formula(summary)}: A accuracy, R relevance of the prompt (nDCG), L time to first token in seconds, "
        f"end to end. Marks: 95% intervals at the named fields, side by side, {study.basis(summary)}. "
        f"{_strip_words(summary)}{statement}"
    ).strip()


def _strip_words(summary: Summary) -> str:
    known = entries(summary, "injection", "utility", "winners")
    strip = "The strip at the foot has the colour of the pipeline that is ahead. " if known else ""
    ks = [one["k"] for one in entries(summary, "injection", "utility", "curve") if at(one, "k")]
    cut = max(ks, default=0) > _farthest(summary)
    return strip + (f"Drawn up to k = {_farthest(summary):g}; the table of winners goes on. " if cut and known else "")


def _utility_chart_curve(summary: Summary, name: str) -> list[Mark]:
    found = [(at(one, "k"), at(one, "values", name)) for one in entries(summary, "injection", "utility", "curve")]
    marks = [mark(k, value, None, plain) for k, value in found if k and k > 0]
    return sorted((one for one in marks if one.value is not None and one.value > 0), key=lambda one: one.x)


def _utility_chart_points(summary: Summary, name: str) -> list[Mark]:
    """U with its interval at the named fields. An interval that reaches 0 has no lower end on this axis."""
    found = [float(one["k"]) for one in study.presets(summary)]
    marks = [estimate_mark(k, study.utility_at(summary, name, k), plain) for k in found if k > 0]
    return [_above_zero(one) for one in marks if one.value is not None and one.value > 0]


def _above_zero(one: Mark) -> Mark:
    return one if one.low is None or one.low > 0 else replace(one, low=one.value)


def _stretch(ks: Sequence[float]) -> Scale:
    low, high = min(ks), max(ks)
    return Scale(low, high if high > low else low * 1.2, logarithmic=True)


def _utility_chart_x_axis(x: Scale) -> Any:
    axis = alt.Axis(values=x.ticks(), format="~g", grid=False, labelOverlap="greedy")
    domain = alt.Scale(type="log", domain=[x.low, x.high], nice=False)
    return alt.X("x:Q", title="Time-sensitivity k (logarithmic)", axis=axis, scale=domain)


def _utility_chart_y_axis(field: str, y: Scale, above: int) -> Any:
    """The title lies flat above the axis and above the names of the fields."""
    flat: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
    axis = alt.Axis(values=y.ticks(4), format="~g", labelColor=MUTED, titleX=-34, titleY=-above, **flat)
    domain = alt.Scale(type="log", domain=[y.low, y.high], nice=False)
    return alt.Y(f"{field}:Q", title="Utility U (logarithmic)", axis=axis, scale=domain)


def _shown(summary: Summary, x: Scale) -> list[Mapping[str, Any]]:
    return [one for one in study.presets(summary) if x.low <= float(one["k"]) <= x.high]


def _rules(summary: Summary, x: Scale) -> list[Any]:
    """A rule a field that reaches up to its name; names stand on a stair, so that neighbours never meet."""
    shown = _shown(summary, x)
    layers = []
    for place, one in enumerate(shown):
        above = -_GAP - _STAIR * (len(shown) - 1 - place)
        k, name = float(one["k"]), figures.text(at(one, "name"))
        word = name if name == f"k = {k:g}" else f"{name} ({k:g})"
        base = alt.Chart(rows([{"x": k, "word": word}])).encode(x="x:Q")
        layers.append(base.mark_rule(strokeWidth=1).encode(y=alt.value(above), y2=alt.value(_UTILITY_CHART_HEIGHT)))
        text = base.mark_text(align="left", dx=5, fontSize=11, fill=MUTED, baseline="middle")
        layers.append(text.encode(y=alt.value(above + 2), text="word:N"))
    return layers


def _winners(summary: Summary, x: Scale) -> list[Any]:
    """A strip at the foot of the plot in the colours of those who are ahead."""
    colours = colours_of(summary)
    strip = [
        {"x": max(one["from_k"], x.low), "end": min(one["to_k"], x.high), "name": one["pipeline"]}
        for one in entries(summary, "injection", "utility", "winners")
        if at(one, "pipeline") in colours and None not in (at(one, "from_k"), at(one, "to_k"))
    ]
    shown = [row | {"colour": colours[row["name"]]} for row in strip if row["x"] < row["end"]]
    if not shown:
        return []
    base = alt.Chart(rows(shown)).encode(
        x="x:Q", x2="end:Q", y=alt.value(_UTILITY_CHART_HEIGHT - _STRIP), y2=alt.value(_UTILITY_CHART_HEIGHT)
    )
    tooltip = [alt.Tooltip("name:N", title="Ahead"), *(alt.Tooltip(f"{end}:Q", format=".2g") for end in ("x", "end"))]
    return [base.mark_bar(stroke=PAPER).encode(fill=alt.Fill("colour:N", scale=None), tooltip=tooltip)]


def _strokes(lines: Lines, points: Lines, x: Any, y: Scale, summary: Summary) -> list[Any]:
    names, colours = list(lines), colours_of(summary)
    shapes = dict(zip(colours, itertools.cycle(SHAPES), strict=False))
    colour = alt.Color("name:N", scale=_looks(names, [colours[name] for name in names]), legend=None)
    shape = alt.Shape("name:N", scale=_looks(names, [shapes[name] for name in names]), legend=None)
    above = _GAP + _STAIR * len(study.presets(summary)) + 2
    curves, marks = _rows(lines), _beside(points)
    base = alt.Chart(rows(curves)).encode(x=x, color=colour)
    layers = [base.mark_line(strokeWidth=2).encode(y=_utility_chart_y_axis("value", y, above))]
    if marks:
        tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in _UTILITY_CHART_TOOLTIP.items()]
        dots = alt.Chart(rows(marks)).encode(x=x, color=colour)
        shift: dict[str, Any] = {"xOffset": alt.ExprRef("datum.shift * min(1, width / 500)")}
        line = dots.mark_rule(strokeWidth=1.6, opacity=0.7, **shift)
        layers.append(line.encode(y=_utility_chart_y_axis("low", y, above), y2="high:Q"))
        point = dots.mark_point(filled=True, size=40, opacity=1, **shift)
        layers.append(point.encode(y=_utility_chart_y_axis("value", y, above), shape=shape, tooltip=tooltip))
    return layers


_UTILITY_CHART_TOOLTIP = {"name": "Pipeline", "x": "k", "words": "U"}


def _rows(found: Lines) -> list[dict[str, Any]]:
    return [one.row(name=name) for name, marks in found.items() for one in marks]


def _beside(found: Lines) -> list[dict[str, Any]]:
    """Pipelines side by side around their field, so that no interval hides another."""
    step = min(_STEP, _BESIDE / len(found))
    shifts = {name: step * (place - (len(found) - 1) / 2) for place, name in enumerate(found)}
    return [row | {"shift": shifts[row["name"]]} for row in _rows(found)]


def _looks(names: Sequence[str], values: Sequence[Any]) -> Any:
    return alt.Scale(domain=list(names), range=list(values))


def _fit_at_ends(lines: Lines) -> bool:
    return sum(_label_height(name) for name in lines) <= _UTILITY_CHART_HEIGHT


def _label_height(name: str) -> int:
    return _LINE_PX * (wrap(name, _UTILITY_CHART_NAME).count("\n") + 1)


def _legend(summary: Summary, lines: Lines) -> tuple[Key, ...]:
    if _fit_at_ends(lines):
        return ()
    colours = colours_of(summary)
    shapes = dict(zip(colours, itertools.cycle(SHAPES), strict=False))
    return tuple(Key(name, colours[name], shape=shapes[name]) for name in lines)


def _labels(lines: Lines, x: Scale, y: Scale) -> list[Any]:
    """Names at the right edge, a line's height apart, each led to the end of its line."""
    last = {name: marks[-1] for name, marks in lines.items()}
    wanted = {name: _UTILITY_CHART_HEIGHT * (1 - y.place(one.value or y.low)) for name, one in last.items()}
    placed = apart(
        wanted, {name: _label_height(name) for name in lines}, room=(6, _UTILITY_CHART_HEIGHT + _LINE_PX / 2)
    )
    named = [
        {
            "x": one.x,
            "value": one.value,
            "name": wrap(name, _UTILITY_CHART_NAME),
            "edge": x.high,
            "label": _value_at(placed[name], y),
        }
        for name, one in last.items()
    ]
    base = alt.Chart(rows(named)).encode(y="label:Q", x="edge:Q")
    leader = base.mark_rule(stroke=RULE, strokeWidth=1, xOffset=4).encode(x2="x:Q", y2="value:Q")
    text: dict[str, Any] = {"align": "left", "dx": 8, "baseline": "middle", "lineBreak": "\n", "fontWeight": 500}
    halo = base.mark_text(**text, stroke=PAPER, strokeWidth=4).encode(text="name:N")
    return [leader, halo, base.mark_text(**text).encode(text="name:N")]


def _value_at(top: float, y: Scale) -> float:
    """The U that lies so many pixels below the top of the plot."""
    return float(y.low * (y.high / y.low) ** (1 - top / _UTILITY_CHART_HEIGHT))
