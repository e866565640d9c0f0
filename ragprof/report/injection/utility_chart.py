"""Utility of inference against the time-sensitivity of the field: a line a pipeline, named fields as thin rules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import Mark, apart, ends_of, estimate_mark, mark
from ragprof.report.injection import study
from ragprof.report.injection.cells import plain
from ragprof.report.labels import wrap
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.palette import MUTED, PAPER, RULE, SHAPES
from ragprof.report.scales import Scale, logarithmic
from ragprof.report.theme import Chart, Key, rows, specification

_HEIGHT, _LINE_PX, _NAME, _STAIR = 360, 16, 20, 15
_GAP, _STRIP = 10, 9
_STEP, _BESIDE = 5.0, 36.0
Lines = dict[str, list[Mark]]


def utility(summary: Summary) -> Chart | None:
    """None where no pipeline has a U above 0: the axes are logarithmic."""
    lines = {name: _curve(summary, name) for name in study.names(summary)}
    farthest = _farthest(summary)
    lines = {name: [one for one in marks if one.x <= farthest] for name, marks in lines.items()}
    lines = {name: marks for name, marks in lines.items() if marks}
    if not lines:
        return None
    points = {name: _points(summary, name) for name in lines}
    x = _stretch([one.x for marks in lines.values() for one in marks])
    y = logarithmic(ends_of(one for marks in [*lines.values(), *points.values()] for one in marks))
    layers = [*_rules(summary, x), *_winners(summary, x), *_strokes(lines, points, _x_axis(x), y, summary)]
    layers += _labels(lines, x, y) if _fit_at_ends(lines) else []
    spec = specification(alt.layer(*layers), height=_HEIGHT)
    notes = tuple(f"{name}: U {figures.ABSENT} or 0" for name in study.names(summary) if name not in lines)
    title = "Which pipeline is worth most, by how much time matters"
    return Chart("injection-utility", title, _caption(summary), spec, notes, legend=_legend(summary, lines))


def _farthest(summary: Summary) -> float:
    """How far k is drawn: twice the most time-sensitive field; beyond, U only falls apart into ever more decades."""
    return max((2 * float(one["k"]) for one in study.presets(summary)), default=math.inf)


def _caption(summary: Summary) -> str:
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


def _curve(summary: Summary, name: str) -> list[Mark]:
    found = [(at(one, "k"), at(one, "values", name)) for one in entries(summary, "injection", "utility", "curve")]
    marks = [mark(k, value, None, plain) for k, value in found if k and k > 0]
    return sorted((one for one in marks if one.value is not None and one.value > 0), key=lambda one: one.x)


def _points(summary: Summary, name: str) -> list[Mark]:
    """U with its interval at the named fields. An interval that reaches 0 has no lower end on this axis."""
    found = [float(one["k"]) for one in study.presets(summary)]
    marks = [estimate_mark(k, study.utility_at(summary, name, k), plain) for k in found if k > 0]
    return [_above_zero(one) for one in marks if one.value is not None and one.value > 0]


def _above_zero(one: Mark) -> Mark:
    return one if one.low is None or one.low > 0 else replace(one, low=one.value)


def _stretch(ks: Sequence[float]) -> Scale:
    low, high = min(ks), max(ks)
    return Scale(low, high if high > low else low * 1.2, logarithmic=True)


def _x_axis(x: Scale) -> Any:
    axis = alt.Axis(values=x.ticks(), format="~g", grid=False, labelOverlap="greedy")
    domain = alt.Scale(type="log", domain=[x.low, x.high], nice=False)
    return alt.X("x:Q", title="Time-sensitivity k (logarithmic)", axis=axis, scale=domain)


def _y_axis(field: str, y: Scale, above: int) -> Any:
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
        layers.append(base.mark_rule(strokeWidth=1).encode(y=alt.value(above), y2=alt.value(_HEIGHT)))
        text = base.mark_text(align="left", dx=5, fontSize=11, fill=MUTED, baseline="middle")
        layers.append(text.encode(y=alt.value(above + 2), text="word:N"))
    return layers


def _winners(summary: Summary, x: Scale) -> list[Any]:
    """A strip at the foot of the plot in the colours of those who are ahead."""
    colours = study.colours(summary)
    strip = [
        {"x": max(one["from_k"], x.low), "end": min(one["to_k"], x.high), "name": one["pipeline"]}
        for one in entries(summary, "injection", "utility", "winners")
        if at(one, "pipeline") in colours and None not in (at(one, "from_k"), at(one, "to_k"))
    ]
    shown = [row | {"colour": colours[row["name"]]} for row in strip if row["x"] < row["end"]]
    if not shown:
        return []
    base = alt.Chart(rows(shown)).encode(x="x:Q", x2="end:Q", y=alt.value(_HEIGHT - _STRIP), y2=alt.value(_HEIGHT))
    tooltip = [alt.Tooltip("name:N", title="Ahead"), *(alt.Tooltip(f"{end}:Q", format=".2g") for end in ("x", "end"))]
    return [base.mark_bar(stroke=PAPER).encode(fill=alt.Fill("colour:N", scale=None), tooltip=tooltip)]


def _strokes(lines: Lines, points: Lines, x: Any, y: Scale, summary: Summary) -> list[Any]:
    names, colours = list(lines), study.colours(summary)
    shapes = dict(zip(colours, itertools.cycle(SHAPES), strict=False))
    colour = alt.Color("name:N", scale=_looks(names, [colours[name] for name in names]), legend=None)
    shape = alt.Shape("name:N", scale=_looks(names, [shapes[name] for name in names]), legend=None)
    above = _GAP + _STAIR * len(study.presets(summary)) + 2
    curves, marks = _rows(lines), _beside(points)
    base = alt.Chart(rows(curves)).encode(x=x, color=colour)
    layers = [base.mark_line(strokeWidth=2).encode(y=_y_axis("value", y, above))]
    if marks:
        tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in _TOOLTIP.items()]
        dots = alt.Chart(rows(marks)).encode(x=x, color=colour)
        shift: dict[str, Any] = {"xOffset": alt.ExprRef("datum.shift * min(1, width / 500)")}
        line = dots.mark_rule(strokeWidth=1.6, opacity=0.7, **shift)
        layers.append(line.encode(y=_y_axis("low", y, above), y2="high:Q"))
        point = dots.mark_point(filled=True, size=40, opacity=1, **shift)
        layers.append(point.encode(y=_y_axis("value", y, above), shape=shape, tooltip=tooltip))
    return layers


_TOOLTIP = {"name": "Pipeline", "x": "k", "words": "U"}


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
    return sum(_label_height(name) for name in lines) <= _HEIGHT


def _label_height(name: str) -> int:
    return _LINE_PX * (wrap(name, _NAME).count("\n") + 1)


def _legend(summary: Summary, lines: Lines) -> tuple[Key, ...]:
    if _fit_at_ends(lines):
        return ()
    colours = study.colours(summary)
    shapes = dict(zip(colours, itertools.cycle(SHAPES), strict=False))
    return tuple(Key(name, colours[name], shape=shapes[name]) for name in lines)


def _labels(lines: Lines, x: Scale, y: Scale) -> list[Any]:
    """Names at the right edge, a line's height apart, each led to the end of its line."""
    last = {name: marks[-1] for name, marks in lines.items()}
    wanted = {name: _HEIGHT * (1 - y.place(one.value or y.low)) for name, one in last.items()}
    placed = apart(wanted, {name: _label_height(name) for name in lines}, room=(6, _HEIGHT + _LINE_PX / 2))
    named = [
        {"x": one.x, "value": one.value, "name": wrap(name, _NAME), "edge": x.high, "label": _value_at(placed[name], y)}
        for name, one in last.items()
    ]
    base = alt.Chart(rows(named)).encode(y="label:Q", x="edge:Q")
    leader = base.mark_rule(stroke=RULE, strokeWidth=1, xOffset=4).encode(x2="x:Q", y2="value:Q")
    text: dict[str, Any] = {"align": "left", "dx": 8, "baseline": "middle", "lineBreak": "\n", "fontWeight": 500}
    halo = base.mark_text(**text, stroke=PAPER, strokeWidth=4).encode(text="name:N")
    return [leader, halo, base.mark_text(**text).encode(text="name:N")]


def _value_at(top: float, y: Scale) -> float:
    """The U that lies so many pixels below the top of the plot."""
    return float(y.low * (y.high / y.low) ** (1 - top / _HEIGHT))
