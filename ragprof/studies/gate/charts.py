"""Relative differences with their intervals against the margins: a panel a kind of quantity, a line a quantity.

Imports Altair: import this module late.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.lookup import at, interval
from ragprof.report.palette import INK, VERDICTS
from ragprof.report.theme import Chart, Key, Panel, linear, rows, rows_height, specification, wrap
from ragprof.studies.gate import cells, words
from ragprof.studies.gate.cells import Document, Row, decisive, is_gated, kinds, of_kind, pipeline, text

KEY = "compare-effects"
_BAND = "#E3E7EC"
_NEUTRAL = "#3F7D63"
_LOOKS: dict[str, tuple[str, str]] = {
    "worse": (VERDICTS["worse"], "triangle-down"),
    "regression": (VERDICTS["worse"], "triangle-down"),
    "better": (VERDICTS["better"], "triangle-up"),
    "equivalent": (_NEUTRAL, "circle"),
    "holds": (_NEUTRAL, "circle"),
    "undecided": (VERDICTS["undecided"], "diamond"),
}
_TITLES = {
    "quality": "Quality",
    "latency": "Latency",
    "usage": "Tokens and other usage",
    "cost": "Money",
}
_STEP, _WIDEST_NAME = 26, 34


def effects(document: Document) -> Chart | None:
    """The gates, or the primary quantities where there is no gate. None where none has a relative difference."""
    found = decisive(document)
    drawn = [row for row in found if _is_drawn(row)]
    if not drawn:
        return None
    panels = tuple(_panel(document, kind, of_kind(drawn, kind)) for kind in kinds(drawn))
    notes = tuple(_not_drawn(row, document) for row in found if not _is_drawn(row))
    present = dict.fromkeys(_verdict(document, row) for row in drawn)
    legend = tuple(
        Key(verdict, _LOOKS[verdict][0], shape=_LOOKS[verdict][1]) for verdict in _LOOKS if verdict in present
    )
    band = Key("margin", _BAND, area=True)
    spread = words.interval_words(document)
    caption = (
        f"Candidate against base, {words.basis(document)}. Point: relative difference; line: its {spread}; band: the "
        "margin as a share of the base's figure. On the right the difference in its own unit."
    )
    title = "The gates: how far from the base" if is_gated(document) else "The main quantities: how far from the base"
    return Chart(KEY, title, caption, {}, notes, wide=True, panels=panels, legend=(*legend, band), stacked=True)


def _verdict(document: Document, row: Row) -> str:
    return str(at(row, "gate" if is_gated(document) else "verdict"))


def _is_drawn(row: Row) -> bool:
    known = at(row, "gate") or at(row, "verdict")
    return at(row, "relative") is not None and known in _LOOKS


def _not_drawn(row: Row, document: Document) -> str:
    why = str(at(row, "reason") or "") or "no share of the base's figure"
    return f"{pipeline(row)} {at(row, 'quantity')} ({cells.words(_verdict(document, row))}: {why})"


def _panel(document: Document, kind: str, found: Sequence[Row]) -> Panel:
    lines = _lines(found)
    data = [_datum(document, line.row, str(place)) for place, line in enumerate(lines) if line.row]
    scale = linear([0.0, *(datum[key] for datum in data for key in _REACH)], margin=0.05)
    x = alt.X(axis=_x_axis(found), scale=alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False))
    chart = alt.layer(*_layers(alt.Chart(rows(data)), x, lines)).resolve_axis(y="independent")
    height = rows_height([line.name for line in lines], _STEP)
    return Panel("", specification(chart, height=height), _title(kind, found))


def _title(kind: str, found: Sequence[Row]) -> str:
    units = dict.fromkeys(cells.unit_words(row) for row in found)
    shared = f": {found[0]['quantity']}" if _shared(found) else ""
    return f"{_TITLES[kind]}{shared}, {' or '.join(units)}"


def _shared(found: Sequence[Row]) -> bool:
    """Whether all lines are about one quantity."""
    return len({at(row, "quantity") for row in found}) == 1


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a panel: a quantity, or without a row the pipeline's name above its quantities."""

    name: str
    row: Row | None = None

    @property
    def difference(self) -> str:
        return cells.difference(self.row) if self.row else ""


def _lines(found: Sequence[Row]) -> list[_Line]:
    """Top down. With one quantity a pipeline the two names share a line; one that all share is in the title."""
    names = list(dict.fromkeys(map(pipeline, found)))
    if _shared(found):
        return [_Line(wrap(pipeline(row), _WIDEST_NAME), row) for row in found]
    if len(found) == len(names):
        return [_Line(wrap(f"{pipeline(row)}: {at(row, 'quantity')}", _WIDEST_NAME), row) for row in found]
    return [line for name in names for line in _own_lines(name, [row for row in found if pipeline(row) == name])]


def _own_lines(name: str, own: Sequence[Row]) -> list[_Line]:
    return [_Line(wrap(name, _WIDEST_NAME)), *(_Line(wrap(str(at(row, "quantity")), _WIDEST_NAME), row) for row in own)]


_REACH = ("low", "high", "band_low", "band_high")


def _datum(document: Document, row: Row, place: str) -> dict[str, Any]:
    middle = float(row["relative"])
    low, high = interval(row, "relative_interval") or (middle, middle)
    margin, base = at(row, "margin"), at(row, "base")
    band = margin / abs(base) if margin is not None and base else 0.0
    return {
        "place": place,
        "middle": middle,
        "low": low,
        "high": high,
        "band_low": -band,
        "band_high": band,
        "verdict": _verdict(document, row),
        "what": f"{pipeline(row)} {at(row, 'quantity')}",
        "sides": cells.from_to(row),
        "share": f"{cells.relative(row)} ({cells.relative_ends(row)})",
        "own": f"{cells.difference(row)} ({cells.difference_ends(row)})",
        "margin": figures.share(band),
        "p": cells.short_p(row),
    }


def _place(lines: Sequence[_Line], axis: Any) -> Any:
    scale = alt.Scale(domain=[str(place) for place in range(len(lines))])
    return alt.Y("place:N", sort=None, scale=scale, axis=axis)


def _texts(values: Sequence[str]) -> str:
    """A Vega expression: the text of the line whose place is the label."""
    return f"split({json.dumps([text(value) for value in values])}[toNumber(datum.value)], '\\n')"


def _names(lines: Sequence[_Line]) -> Any:
    heads = json.dumps([str(place) for place, line in enumerate(lines) if line.row is None])
    weight = {"condition": {"test": f"indexof({heads}, datum.value) >= 0", "value": 600}, "value": "normal"}
    label = _texts([line.name for line in lines])
    return alt.Axis(title=None, labelExpr=label, labelFontWeight=weight, grid=False, labelPadding=12)


def _differences(lines: Sequence[_Line]) -> Any:
    label = _texts([line.difference for line in lines])
    return alt.Axis(title=None, orient="right", labelExpr=label, grid=False, labelPadding=12)


def _x_axis(found: Sequence[Row]) -> Any:
    ways = {at(row, "better") for row in found}
    side = {"lower": "; left is better", "higher": "; right is better"}.get(str(*ways), "") if len(ways) == 1 else ""
    few = alt.ExprRef("width < 300 ? 3 : 6")
    zero = "datum.value == 0 ? '0' : datum.label"
    return alt.Axis(
        title=f"Relative difference{side}", format="+.2~%", labelExpr=zero, tickCount=few, labelOverlap=True
    )


def _layers(base: Any, x: Any, lines: Sequence[_Line]) -> list[Any]:
    """Margins, no difference, intervals, points. The first carries the names, the last the differences."""
    named, plain, told = (base.encode(y=_place(lines, axis)) for axis in (_names(lines), None, _differences(lines)))
    zero = alt.Chart(rows([{"middle": 0}])).mark_rule(stroke=INK, strokeWidth=1)
    return [
        named.mark_bar(color=_BAND, height=_STEP - 8).encode(x=_at(x, "band_low"), x2="band_high:Q"),
        zero.encode(x=_at(x, "middle")),
        plain.mark_rule(strokeWidth=2).encode(x=_at(x, "low"), x2="high:Q", color=_look(alt.Color, 0)),
        told.mark_point(size=80, filled=True, opacity=1).encode(
            x=_at(x, "middle"), color=_look(alt.Color, 0), shape=_look(alt.Shape, 1), tooltip=_tooltip()
        ),
    ]


def _at(x: Any, field: str) -> Any:
    found = x.copy()
    found.shorthand = f"{field}:Q"
    return found


def _look(channel: Any, part: int) -> Any:
    scale = alt.Scale(domain=list(_LOOKS), range=[look[part] for look in _LOOKS.values()])
    return channel("verdict:N", scale=scale, legend=None)


def _tooltip() -> list[Any]:
    titles = {"what": "For", "sides": "Base, candidate", "share": "Relative", "own": "Difference", "margin": "Margin"}
    return [
        alt.Tooltip(f"{field}:N", title=title) for field, title in {**titles, "p": "p", "verdict": "Verdict"}.items()
    ]
