"""Time to first token against the length of the prompt: what was measured, and the fitted curve with its band."""

from __future__ import annotations

from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import Mark, Vertical, ends_of, mark
from ragprof.report.injection.time_tables import first_token, fit_statement, timings_words
from ragprof.report.lookup import Summary, at, entries, interval
from ragprof.report.palette import DASHES, INK, MUTED, STAGES
from ragprof.report.scales import Scale, time_unit
from ragprof.report.theme import Chart, Key, rows, specification

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
