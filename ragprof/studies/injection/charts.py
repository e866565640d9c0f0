"""Charts of the answers: where they are lost, what chunks bring, the first token, utility and cost. Imports Altair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.lines import (
    Mark,
    Series,
    Vertical,
    ends_of,
    estimate_mark,
    lines_panel,
    mark,
    near,
    panel_specification,
    seen,
    tooltip,
)
from ragprof.report.palette import DASHES, INK, LOST, MUTED, PAPER, PROMPT, SHAPES, STAGES, tint
from ragprof.report.tables import WITHHELD, open_span, plain
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
    y2_at,
    y_at,
)
from ragprof.studies.contract import Context
from ragprof.studies.injection.section import InjectionSection
from ragprof.studies.injection.tables import basis, correct_words, cost_cell, fields, utility_at

Rows = list[dict[str, Any]]
K_TITLE = "Chunks in the prompt (k)"
FIT_COLOUR, THIN = STAGES["generate"], DASHES["short"]
NAME_WIDTH = 24
SPREAD = 20
"""Costs that lie further apart than this factor are drawn on a logarithmic axis."""
UTILITY_HEIGHT, STAIR, STRIP = 360, 15, 9
"""Pixels: the plot of U, the height of a field's name above it, and the strip of who is ahead at its foot."""


def by_value(values: Mapping[str, Any]) -> Any:
    """A scale from names to what stands for them."""
    return alt.Scale(domain=list(values), range=list(values.values()))


def lost(section: InjectionSection, _context: Context) -> Chart | None:
    """All questions of a pipeline as one bar: correct, and lost to whom. None where no question has a verdict."""
    data: Rows = []
    ends: Rows = []
    for pipeline, found in section.answers.items():
        mean, name = found.correct.mean, wrap(pipeline, NAME_WIDTH)
        if mean is None or found.endings.withheld:  # without a share the bar would look whole
            continue
        shares = {"correct": mean, **{str(part): share for part, share in found.attribution.items()}}
        for place, (part, share) in enumerate((part, shares[part] or 0.0) for part in LOST):
            words = figures.share(share)
            if part == "correct" and found.correct.interval:
                low, high = found.correct.interval
                words = f"{words} ({figures.span((low, high), figures.share)})"
                ends.append({"name": name, "value": seen(mean), "low": low, "high": high})
            if share:
                row = {"pipeline": pipeline, "name": name, "part": part, "share": seen(share)}
                data.append(row | {"place": place, "words": words})
    if not data:
        return None
    names = list(dict.fromkeys(row["name"] for row in data))
    above, below = -6, 11  # pixels from the middle of a row: the bar, and under it the interval of the correct ones
    y = alt.Y("name:N", sort=names, axis=named_axis(label_offset=above))
    axis, domain = alt.Axis(format=".0%", tickCount=5), alt.Scale(domain=[0, 1], nice=False)
    across = alt.X("share:Q", title="Share of the questions", axis=axis, scale=domain, stack="zero")
    base = alt.Chart(rows(data)).encode(y=y, order=alt.Order("place:Q"), detail=alt.Detail("part:N"))
    colour = alt.Color("part:N", scale=by_value(LOST), legend=None)
    bars = base.mark_bar(height=20, yOffset=above, stroke=PAPER, strokeWidth=1).encode(
        x=across, color=colour, tooltip=tooltip(pipeline="Pipeline", part="Answers", words="Share")
    )
    # The share stands inside its part, where there is room for it at the width that the chart happens to have.
    inside = base.mark_text(fontSize=11, yOffset=above).encode(
        x=alt.X("share:Q", stack="zero", bandPosition=0.5),
        text=alt.Text("share:Q", format=".0%"),
        opacity=alt.condition("datum.share * width > 36", alt.value(1), alt.value(0)),
        color=alt.condition("datum.part == 'model' || datum.part == 'search'", alt.value(PAPER), alt.value(INK)),
    )
    intervals = alt.Chart(rows(ends)).encode(y=y)
    look: dict[str, Any] = {"color": INK, "thickness": 1.4, "size": 7, "yOffset": below}
    layers = [
        bars,
        inside,
        intervals.mark_rule(stroke=INK, strokeWidth=1.4, yOffset=below).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        *(intervals.mark_tick(**look).encode(x=alt.X(f"{end}:Q")) for end in ("low", "high")),
        intervals.mark_circle(fill=INK, size=34, opacity=1, yOffset=below).encode(x=alt.X("value:Q")),
    ]
    caption = (
        f"All questions of each pipeline, {basis(section)}: answered correctly (the line below a bar is the 95% "
        "interval), or lost to the first part that failed. Search found no gold answer; rerank put it too low; packing "
        "left it out of the prompt; the model had it and answered wrongly."
    )
    present = {row["part"] for row in data}
    legend = tuple(
        Key(part if part == "correct" else f"lost: {part}", colour, area=True)
        for part, colour in LOST.items()
        if part in present
    )
    notes = tuple(
        f"{name}: {WITHHELD if one.endings.withheld else figures.ABSENT}"
        for name, one in section.answers.items()
        if one.endings.withheld or one.correct.mean is None
    )
    spec = specification(alt.layer(*layers), height=rows_height(names, 48))
    return Chart("injection-lost", "Where answers are lost", caption, spec, notes, legend=legend)


def quality(section: InjectionSection, context: Context) -> Chart | None:
    """Correct answers, and in paler what retrieval brought. None where k was not varied."""
    looks = (
        ("correct", "correct", "solid", "circle", 0.0),
        ("answer_in_context", "a gold answer stands in the chunks (paler)", "dashed", "square", 0.45),
    )
    panels: dict[str, dict[Series, list[Mark]]] = {}
    for name, steps in section.by_k.items():
        panels[name] = {}
        for key, _, dash, shape, white in looks:
            told = [step for step in steps if key != "correct" or step.withheld is None]
            marks = [estimate_mark(step.k, getattr(step, key), figures.share) for step in told]
            if any(one.value is not None for one in marks):
                colour = tint(context.colours[name], white)
                panels[name][Series(key.replace("_", " "), colour, DASHES[dash], shape)] = marks
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None
    every = [one for lines in panels.values() for found in lines.values() for one in found]
    y = Vertical("of the questions", near(ends_of(every), most=1.0), ".0%")
    ks = sorted({one.x for one in every})
    scale = linear(ks, margin=0.06)
    axis = alt.Axis(values=ks, format="~d", grid=False, labelOverlap="greedy")
    x = alt.X("x:Q", title=K_TITLE, axis=axis, scale=alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False))
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    present = {series.name for lines in panels.values() for series in lines}
    legend = tuple(
        Key(words, tint(INK, white), DASHES[dash], shape)
        for key, words, dash, shape, white in looks
        if key.replace("_", " ") in present
    )
    caption = (
        f"Share of the questions, {basis(section)}; bands are 95% intervals over questions. {correct_words(section)} "
        "The gap between the lines is what retrieval brought and the model left unused."
    )
    title = "Answers against the chunks in the prompt"
    return Chart("injection-quality", title, caption, {}, panels=drawn, legend=legend)


def tokens(section: InjectionSection, _context: Context) -> Chart | None:
    """The prompt's tokens by what they are, and above them what did not get in. None where k was not varied."""
    panels: dict[str, Rows] = {}
    for name, steps in section.by_k.items():
        parts = {step.k: {part: getattr(step.tokens, part) for part in PROMPT} for step in steps}
        # Without one of its parts a bar would look complete.
        panels[name] = [
            {"part": part, "place": place, "k": k, "tokens": seen(value), "words": figures.mean_count(value)}
            for k, values in parts.items()
            if None not in values.values()
            for place, (part, value) in enumerate(values.items())
            if value
        ]
    panels = {name: found for name, found in panels.items() if found}
    if not panels:
        return None
    heights = [
        sum(row["tokens"] for row in found if row["k"] == k)
        for found in panels.values()
        for k in {r["k"] for r in found}
    ]
    y = Vertical("tokens per prompt (mean)", Scale(0.0, max(heights) * 1.06), ",.0f")
    axis = alt.Axis(labelAngle=0, labelColor=MUTED, labelOverlap="greedy")
    outside = "datum.part == 'truncated'"

    def drawn(found: Rows) -> dict[str, Any]:
        bars = (
            alt.Chart(rows(found))
            .mark_bar(orient="vertical")
            .encode(
                x=alt.X("k:O", title=K_TITLE, axis=axis, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2)),
                y=y.axis("tokens", ticks=4).stack("zero"),
                color=alt.Color("part:N", scale=by_value(PROMPT), legend=None),
                order=alt.Order("place:Q"),
                stroke=alt.condition(outside, alt.value(MUTED), alt.value(PAPER)),
                strokeWidth=alt.condition(outside, alt.value(1), alt.value(0.6)),
                strokeDash=alt.condition(outside, alt.value([2.5, 2]), alt.value([1, 0])),
                tooltip=tooltip(part="Part", k="Chunks", words="Tokens"),
            )
        )
        return panel_specification(bars)

    present = {row["part"] for found in panels.values() for row in found}
    legend = tuple(
        Key(part, colour, (2.5, 2) if part == "truncated" else (), area=True)
        for part, colour in PROMPT.items()
        if part in present
    )
    caption = (
        f"Mean tokens of a prompt by what they are, {basis(section)}; the dashed part on top was within reach "
        "and did not get in. Unjudged is not irrelevant. Cost and time by k are in the tables."
    )
    pictures = tuple(Panel(name, drawn(found)) for name, found in panels.items())
    return Chart("injection-tokens", "What the prompt's tokens are", caption, {}, panels=pictures, legend=legend)


def time_to_first_token(section: InjectionSection, _context: Context) -> Chart | None:
    """None without timings of set lengths. Without a fit the measured points alone."""
    found = section.time_to_first_token
    fit = found.fit
    measured = [mark(one.prompt_tokens, one.p50_ns, one.interval_ns, figures.duration) for one in found.points]
    measured = [one for one in measured if one.value is not None]
    if not measured:
        return None
    curve = [mark(one.prompt_tokens, one.value_ns, one.interval_ns, figures.duration) for one in fit.curve]
    # The line of a and b over the length of the curve; where c is not significant both would coincide.
    a, b, start, straight = fit.a_ns, fit.b_ns_per_token, fit.quadratic_from_tokens, []
    if curve and a is not None and b is not None and start is not None:
        straight = [mark(one.x, a + b * one.x, None, figures.duration) for one in (curve[0], curve[-1])]
    unit, length = time_unit(max(ends_of([*measured, *curve])))
    measured, curve, straight = ([one.divided(length) for one in each] for each in (measured, curve, straight))
    every = [*measured, *curve]
    y = Vertical(
        f"Time to first token ({unit})", Scale(min([0.0, *ends_of(every)]), max(ends_of(every)) * 1.05), ",.4~f"
    )
    axis = alt.Axis(tickCount=6, format=",d", grid=False, labelOverlap="greedy", labelSeparation=6)
    domain = alt.Scale(domain=[0, max(one.x for one in every) * 1.05], nice=False)
    x = alt.X("x:Q", title="Tokens of the prompt (n)", axis=axis, scale=domain)
    fitted, line, points = (
        alt.Chart(rows([one.row() for one in marks])).encode(x=x) for marks in (curve, straight, measured)
    )
    layers = []
    if curve:
        layers.append(fitted.mark_area(opacity=0.16, fill=FIT_COLOUR).encode(y=y.axis("low"), y2=alt.Y2("high:Q")))
    if straight:
        layers.append(line.mark_line(stroke=MUTED, strokeWidth=1.2, strokeDash=list(THIN)).encode(y=y.axis("value")))
    if curve:
        layers.append(fitted.mark_line(stroke=FIT_COLOUR, strokeWidth=2.2).encode(y=y.axis("value")))
        low, high = curve[0].x, curve[-1].x
        if start is not None and low <= start <= high:  # where the square begins to matter
            left = start < (low + high) / 2
            word = f"c n\u00b2 is a tenth from {figures.count(start)} tokens"
            base = alt.Chart(rows([{"x": start, "word": word}])).encode(x=alt.X("x:Q"))
            text = base.mark_text(
                align="left" if left else "right", dx=6 if left else -6, y=2, baseline="top", fill=MUTED
            )
            layers += [base.mark_rule(strokeWidth=1), text.encode(text=alt.Text("word:N"))]
    told = [alt.Tooltip("x:Q", title="Tokens", format=","), alt.Tooltip("words:N", title="p50")]
    dots = points.mark_point(shape="circle", filled=True, fill=INK, size=58, opacity=1)
    layers += [
        points.mark_rule(stroke=INK, strokeWidth=1.6).encode(y=y.axis("low"), y2=alt.Y2("high:Q")),
        dots.encode(y=y.axis("value"), tooltip=told),
    ]
    keys = [Key("measured p50", INK, shape="circle")]
    keys += [Key("fitted a + b n + c n\u00b2", FIT_COLOUR)] if curve else []
    keys += [Key("its straight part, a + b n", MUTED, THIN)] if straight else []
    n = figures.between((one.n for one in found.points), "timing")
    band = "; the band is the 95% interval of the fit" if curve else ""
    caption = (
        f"{found.model}: p50 of live prompts of set lengths with 95% intervals, n = {n} per length{band}. "
        f"{fit.statement}"
    )
    spec = specification(alt.layer(*layers), height=340)
    title = "How the first token waits for the prompt"
    return Chart("injection-first-token", title, caption, spec, legend=tuple(keys))


def utility(section: InjectionSection, context: Context) -> Chart | None:
    """U against the time-sensitivity. None where no pipeline has a U above 0: the axes are logarithmic."""
    presets = fields(section)
    # Beyond twice the most time-sensitive field, U only falls apart into ever more decades.
    farthest = max((2 * one.k for one in presets), default=math.inf)
    lines: dict[str, list[Mark]] = {}
    points: dict[str, list[Mark]] = {}
    for name in section.answers:
        curve = [mark(one.k, one.values.get(name), None, plain) for one in section.utility.curve if one.k <= farthest]
        lines[name] = [one for one in curve if one.value is not None and one.value > 0]
        found = [estimate_mark(one.k, utility_at(section.economics[name], one.k), plain) for one in presets]
        # An interval that reaches 0 has no lower end on this axis.
        points[name] = [
            one if one.low is None or one.low > 0 else replace(one, low=one.value)
            for one in found
            if one.value is not None and one.value > 0
        ]
    notes = tuple(f"{name}: U {figures.ABSENT} or 0" for name, marks in lines.items() if not marks)
    lines = {name: marks for name, marks in lines.items() if marks}
    if not lines:
        return None
    ks = [one.x for marks in lines.values() for one in marks]
    x = Scale(min(ks), max(ks) if max(ks) > min(ks) else min(ks) * 1.2, logarithmic=True)
    y = logarithmic(ends_of(one for name in lines for one in (*lines[name], *points[name])))
    shapes = dict(zip(context.colours, itertools.cycle(SHAPES), strict=False))
    legend = tuple(Key(name, context.colours[name], shape=shapes[name]) for name in lines)
    shown = [(one.name, one.k) for one in presets if x.low <= one.k <= x.high]
    layers: list[Any] = []
    # A rule per field that reaches up to its name; names stand on a stair, so that neighbours never meet.
    for place, (name, k) in enumerate(shown):
        above = -10 - STAIR * (len(shown) - 1 - place)
        word = name if name == f"k = {k:g}" else f"{name} ({k:g})"
        base = alt.Chart(rows([{"x": k, "word": word}])).encode(x=alt.X("x:Q"))
        layers.append(base.mark_rule(strokeWidth=1).encode(y=y_at(above), y2=y2_at(UTILITY_HEIGHT)))
        text = base.mark_text(align="left", dx=5, fontSize=11, fill=MUTED, baseline="middle")
        layers.append(text.encode(y=y_at(above + 2), text=alt.Text("word:N")))
    ahead = [
        {"x": max(one.from_k, x.low), "end": min(one.to_k, x.high), "name": one.pipeline}
        | {"colour": context.colours[one.pipeline]}
        for one in section.utility.winners
        if max(one.from_k, x.low) < min(one.to_k, x.high)
    ]
    if ahead:
        foot = alt.value(UTILITY_HEIGHT - STRIP)
        base = alt.Chart(rows(ahead)).encode(x=alt.X("x:Q"), x2=alt.X2("end:Q"), y=foot, y2=y2_at(UTILITY_HEIGHT))
        told = [alt.Tooltip("name:N", title="Ahead"), *(alt.Tooltip(f"{end}:Q", format=".2g") for end in ("x", "end"))]
        layers.append(base.mark_bar(stroke=PAPER).encode(fill=alt.Fill("colour:N", scale=None), tooltip=told))
    strokes = {name: (lines[name], points[name]) for name in lines}
    layers += _strokes(strokes, x, y, legend, above=len(presets) * STAIR + 12)
    strip = "The strip at the foot has the colour of the pipeline that is ahead. " if section.utility.winners else ""
    if strip and max((one.k for one in section.utility.curve), default=0) > farthest:
        strip += f"Drawn up to k = {farthest:g}; the table of winners goes on. "
    caption = (
        f"{section.utility.formula}: A accuracy, R relevance of the prompt (nDCG), L time to first token in seconds, "
        f"end to end. Marks: 95% intervals at the named fields, side by side, {basis(section)}. "
        f"{strip}{section.utility.statement}"
    )
    title = "Which pipeline is worth most, by how much time matters"
    spec = specification(alt.layer(*layers), height=UTILITY_HEIGHT)
    return Chart("injection-utility", title, caption, spec, notes, legend=legend)


def _strokes(
    lines: Mapping[str, tuple[Sequence[Mark], Sequence[Mark]]], x: Scale, y: Scale, legend: Sequence[Key], *, above: int
) -> list[Any]:
    """Curves, and the intervals at the named fields: side by side, so that none hides another."""

    def vertical(field: str) -> Any:
        """The title lies flat above the axis and above the names of the fields."""
        flat: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
        axis = alt.Axis(values=y.ticks(4), format="~g", labelColor=MUTED, titleX=-34, titleY=-above, **flat)
        domain = alt.Scale(type="log", domain=[y.low, y.high], nice=False)
        return alt.Y(f"{field}:Q", title="Utility U (logarithmic)", axis=axis, scale=domain)

    axis = alt.Axis(values=x.ticks(), format="~g", grid=False, labelOverlap="greedy")
    domain = alt.Scale(type="log", domain=[x.low, x.high], nice=False)
    across = alt.X("x:Q", title="Time-sensitivity k (logarithmic)", axis=axis, scale=domain)
    colour = alt.Color("name:N", scale=by_value({key.label: key.colour for key in legend}), legend=None)
    shape = alt.Shape("name:N", scale=by_value({key.label: key.shape for key in legend}), legend=None)
    curves = [one.row(name=name) for name, (marks, _) in lines.items() for one in marks]
    layers = [alt.Chart(rows(curves)).mark_line(strokeWidth=2).encode(x=across, color=colour, y=vertical("value"))]
    step = min(5.0, 36.0 / len(lines))
    dots = [
        one.row(name=name, shift=step * (place - (len(lines) - 1) / 2))
        for place, (name, (_, marks)) in enumerate(lines.items())
        for one in marks
    ]
    if dots:
        base = alt.Chart(rows(dots)).encode(x=across, color=colour)
        shift: dict[str, Any] = {"xOffset": alt.ExprRef("datum.shift * min(1, width / 500)")}
        line = base.mark_rule(strokeWidth=1.6, opacity=0.7, **shift)
        layers.append(line.encode(y=vertical("low"), y2=alt.Y2("high:Q")))
        point = base.mark_point(filled=True, size=40, opacity=1, **shift)
        layers.append(
            point.encode(y=vertical("value"), shape=shape, tooltip=tooltip(name="Pipeline", x="k", words="U"))
        )
    return layers


def cost(section: InjectionSection, context: Context) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no pipeline has a price."""
    data: Rows = []
    notes = []
    is_open = False
    for pipeline, economics in section.economics.items():
        found = economics.usd_per_correct_answer
        if found is None or found.mean is None:
            word = cost_cell(economics, found).text
            reasons = "; ".join(dict.fromkeys(economics.unpriced)) if economics.is_unpriced else ""
            if section.answers[pipeline].correct.mean == 0:
                notes.append(f"{pipeline}: no answer was correct")
            else:
                notes.append(f"{pipeline}: {word} ({reasons})" if reasons else f"{pipeline}: {word}")
            continue
        low, high = found.interval or (found.mean, found.mean)
        is_open = is_open or high is None
        row = {"pipeline": pipeline, "name": wrap(pipeline, NAME_WIDTH), "value": found.mean}
        words = f"{figures.usd(found.mean)} ({open_span(found.interval, figures.usd)})"
        data.append(row | {"low": low, "high": high, "words": words, "label": figures.usd(found.mean)})
    if not data:
        return None
    names = [row["name"] for row in data]
    ends = [row[end] for row in data for end in ("value", "low", "high") if row[end] is not None]
    wide = min(ends) > 0 and max(ends) / min(ends) > SPREAD
    scale = logarithmic(ends) if wide else linear(ends, margin=0.12)
    title, form = "USD per correct answer", f"$,.{scale.decimals()}f"
    axis = alt.Axis(tickCount=5, format=form, labelOverlap="greedy", labelSeparation=8)
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    if wide:
        title = f"{title} (logarithmic)"
        axis = alt.Axis(values=scale.ticks(), format="$~g", labelOverlap="greedy", labelSeparation=8)
        domain = alt.Scale(type="log", domain=[scale.low, scale.high], nice=False)
    x: dict[str, Any] = {"title": title, "axis": axis, "scale": domain}
    data = [row | {"high": scale.high if row["high"] is None else row["high"]} for row in data]
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()))
    colours = {row["pipeline"]: context.colours[row["pipeline"]] for row in data}
    colour = alt.Color("pipeline:N", scale=by_value(colours), legend=None)
    shown = tooltip(pipeline="Pipeline", words="USD")
    chart = alt.layer(
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=alt.X("low:Q", **x), x2=alt.X2("high:Q"), color=colour),
        base.mark_circle(size=90, opacity=1).encode(x=alt.X("value:Q", **x), color=colour, tooltip=shown),
        base.mark_text(dy=-13, fontWeight=500).encode(x=alt.X("value:Q", **x), text=alt.Text("label:N")),
    )
    unbounded = " A line that goes on to the edge has no upper end: too few answers were correct." if is_open else ""
    dear = [name for name, one in section.economics.items() if one.cost_withheld]
    busy = f" Of a busy machine, and not to be relied on: {', '.join(dear)}." if dear else ""
    caption = (
        "USD for each correct answer: what all queries cost, divided by the answers that are correct, with 95% "
        f"intervals, {basis(section)}. {correct_words(section)}{unbounded}{busy}"
    )
    spec = specification(chart, height=rows_height(names, 46))
    return Chart("injection-cost", "What a correct answer costs", caption, spec, tuple(notes))
