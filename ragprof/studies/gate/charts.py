"""Relative differences with their intervals against the margins: a panel a kind of quantity, a line a quantity.

Imports Altair: import this module late.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from ragprof.core import plain
from ragprof.core.quantities import KINDS, Kind
from ragprof.report import figures
from ragprof.report.palette import INK
from ragprof.report.palette import VERDICTS as COLOURS
from ragprof.report.theme import Chart, Key, Panel, linear, rows, rows_height, specification, wrap
from ragprof.studies.gate import cells, words
from ragprof.studies.gate.document import Comparison, QuantityRow

KEY = "compare-effects"
BAND = "#E3E7EC"
NEUTRAL = "#3F7D63"
LOOKS: dict[str, tuple[str, str]] = {
    "worse": (COLOURS["worse"], "triangle-down"),
    "regression": (COLOURS["worse"], "triangle-down"),
    "better": (COLOURS["better"], "triangle-up"),
    "equivalent": (NEUTRAL, "circle"),
    "holds": (NEUTRAL, "circle"),
    "undecided": (COLOURS["undecided"], "diamond"),
}
TITLES: dict[Kind, str] = {
    "quality": "Quality",
    "latency": "Latency",
    "usage": "Tokens and other usage",
    "cost": "Money",
    "load": "Under load",
}
NO_SHARE = "no share of the base's figure"
STEP, WIDEST_NAME = 26, 34
TOOLTIP = {
    "what": "For", "sides": "Base, candidate", "share": "Relative", "own": "Difference", "margin": "Margin", "p": "p",
    "verdict": "Verdict",
}  # fmt: skip


def effects(comparison: Comparison) -> Chart | None:
    """The gates, or the primary quantities where there is no gate. None where none has a relative difference."""
    drawn = [row for row in comparison.decisive if _is_drawn(row)]
    if not drawn:
        return None
    kinds = {kind: [row for row in drawn if row.kind == kind] for kind in KINDS}
    panels = tuple(_panel(kind, found) for kind, found in kinds.items() if found)
    notes = tuple(
        f"{row.pipeline} {row.quantity} ({cells.MARKS[row.decision][0]}: {row.reason or NO_SHARE})"
        for row in comparison.decisive
        if not _is_drawn(row)
    )
    present = {row.decision for row in drawn}
    legend = tuple(Key(name, colour, shape=shape) for name, (colour, shape) in LOOKS.items() if name in present)
    caption = (
        f"Candidate against base, {words.basis(comparison)}. Point: relative difference; line: its "
        f"{words.interval_words(comparison)}; band: the margin as a share of the base's figure. On the right the "
        "difference in its own unit."
    )
    title = f"The {'gates' if comparison.gate else 'main quantities'}: how far from the base"
    band = Key("margin", BAND, area=True)
    return Chart(KEY, title, caption, {}, notes, wide=True, panels=panels, legend=(*legend, band), stacked=True)


def _is_drawn(row: QuantityRow) -> bool:
    return row.relative is not None and row.decision in LOOKS


class _Line(NamedTuple):
    """A line of a panel: a quantity, or without a row the pipeline's name above its quantities."""

    name: str
    row: QuantityRow | None = None


def _lines(found: Sequence[QuantityRow]) -> list[_Line]:
    """Top down. With one quantity a pipeline the two names share a line; one that all share is in the title."""
    if len({row.quantity for row in found}) == 1:
        named = [_Line(row.pipeline, row) for row in found]
    elif len({row.pipeline for row in found}) == len(found):
        named = [_Line(f"{row.pipeline}: {row.quantity}", row) for row in found]
    else:
        named = []
        for name in dict.fromkeys(row.pipeline for row in found):
            named += [_Line(name), *(_Line(row.quantity, row) for row in found if row.pipeline == name)]
    return [_Line(wrap(name, WIDEST_NAME), row) for name, row in named]


def _panel(kind: Kind, found: Sequence[QuantityRow]) -> Panel:
    lines = _lines(found)
    data = [_datum(row, str(place)) for place, (_, row) in enumerate(lines) if row]
    reach = [each[end] for each in data for end in ("low", "high", "band_low", "band_high")]
    scale = linear([0.0, *reach], margin=0.05)
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    better = {row.better for row in found}
    side = f"; {'left' if better == {'lower'} else 'right'} is better" if len(better) == 1 else ""
    axis = alt.Axis(
        title=f"Relative difference{side}",
        format="+.2~%",
        labelExpr="datum.value == 0 ? '0' : datum.label",
        tickCount=alt.ExprRef("width < 300 ? 3 : 6"),
        labelOverlap=True,
    )

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", axis=axis, scale=domain)

    heads = json.dumps([str(place) for place, line in enumerate(lines) if line.row is None])
    bold: Any = {"condition": {"test": f"indexof({heads}, datum.value) >= 0", "value": 600}, "value": "normal"}
    names = _axis([line.name for line in lines], labelFontWeight=bold)
    differences = _axis([cells.difference(line.row) if line.row else "" for line in lines], orient="right")
    places = alt.Scale(domain=[str(place) for place in range(len(lines))])
    base = alt.Chart(rows(data))
    named, plain, told = (
        base.encode(y=alt.Y("place:N", sort=None, scale=places, axis=each)) for each in (names, None, differences)
    )
    colours, shapes = (alt.Scale(domain=list(LOOKS), range=list(each)) for each in zip(*LOOKS.values(), strict=True))
    colour = alt.Color("verdict:N", legend=None, scale=colours)
    shape = alt.Shape("verdict:N", legend=None, scale=shapes)
    tooltip = [alt.Tooltip(f"{name}:N", title=title) for name, title in TOOLTIP.items()]
    zero = alt.Chart(rows([{"middle": 0}])).mark_rule(stroke=INK, strokeWidth=1)
    chart = alt.layer(
        named.mark_bar(color=BAND, height=STEP - 8).encode(x=x("band_low"), x2=alt.X2("band_high:Q")),
        zero.encode(x=x("middle")),
        plain.mark_rule(strokeWidth=2).encode(x=x("low"), x2=alt.X2("high:Q"), color=colour),
        told.mark_point(size=80, filled=True, opacity=1).encode(
            x=x("middle"), color=colour, shape=shape, tooltip=tooltip
        ),
    ).resolve_axis(y="independent")
    height = rows_height([line.name for line in lines], STEP)
    shared = f": {found[0].quantity}" if len({row.quantity for row in found}) == 1 else ""
    units = " or ".join(dict.fromkeys(cells.unit_words(row) for row in found))
    return Panel("", specification(chart, height=height), f"{TITLES[kind]}{shared}, {units}")


def _axis(texts: Sequence[str], **given: Any) -> alt.Axis:
    """The text of the line whose place is the value; line breaks are kept."""
    label = f"split({json.dumps([plain.text(each) for each in texts])}[toNumber(datum.value)], '\\n')"
    return alt.Axis(title=None, labelExpr=label, grid=False, labelPadding=12, **given)


def _datum(row: QuantityRow, place: str) -> dict[str, Any]:
    middle = row.relative or 0.0
    low, high = row.relative_interval or (middle, middle)
    band = row.margin / abs(row.base) if row.base else 0.0
    return {
        "place": place, "middle": middle, "low": low, "high": high, "band_low": -band, "band_high": band,
        "verdict": row.decision, "what": f"{row.pipeline} {row.quantity}", "sides": cells.from_to(row),
        "share": f"{cells.relative(row)} ({cells.relative_ends(row)})",
        "own": f"{cells.difference(row)} ({cells.difference_ends(row)})",
        "margin": figures.share(band), "p": cells.short_p(row),
    }  # fmt: skip
