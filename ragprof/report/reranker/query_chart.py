"""Single queries, the most helped first: how far the reranker moves them up and down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import seen
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.palette import INK, MUTED, VERDICTS
from ragprof.report.reranker import study
from ragprof.report.reranker.curves import quiet_specification, vertical
from ragprof.report.scales import Scale
from ragprof.report.theme import Chart, Key, rows

_HEIGHT, _GAP = 200, 5
_COLOURS = {"helped": VERDICTS["better"], "hurt": VERDICTS["worse"]}


def changes(summary: Summary, name: str, place: int) -> Chart | None:
    """The clearest queries, sorted, with the others counted in between. None where no query moved."""
    queries = at(study.of(summary, name), "queries") or {}
    sides = {kind: _changed(queries, kind) for kind in _COLOURS}
    if not any(sides.values()):
        return None
    metric = study.metric(summary, name)
    data, width = _bars(sides)
    scale = _around_zero([row["change"] for row in data])
    y = vertical("change", f"Change of {metric}, query by query", scale, "+.1f")
    domain = alt.Scale(domain=[-1, width], nice=False, zero=False)
    title = "Single queries, the most helped first"
    x = alt.X("x:Q", title=title, axis=alt.Axis(labels=False, grid=False), scale=domain)
    tooltip = [alt.Tooltip("query:N", title="Query"), alt.Tooltip("words:N", title="Change")]
    colour = alt.Color("kind:N", scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())), legend=None)
    bars = alt.Chart(rows(data)).mark_bar(size=14).encode(x=x, y=y, color=colour, tooltip=tooltip)
    zero = alt.Chart(rows([{"change": 0}])).mark_rule(stroke=INK, strokeWidth=1).encode(y="change:Q")
    spec = quiet_specification([bars, zero, *_between(queries, sides, len(sides["helped"]))], height=_HEIGHT)
    legend = tuple(
        Key(f"{kind} ({figures.count(at(queries, kind))} queries)", _COLOURS[kind], area=True) for kind in _COLOURS
    )
    return Chart(
        f"reranker-{place}-queries", "Which queries it helps and hurts", _caption(summary, name), spec, legend=legend
    )


def _changed(queries: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    found = [one for one in entries(queries, "clearest", kind) if at(one, "change") is not None]
    return sorted(found, key=lambda one: -float(one["change"]))


def _bars(sides: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[dict[str, Any]], int]:
    """Helped ones from the left, then a gap, then hurt ones; and how many places there are."""
    start = {"helped": 0, "hurt": len(sides["helped"]) + _GAP}
    data = [
        {
            **{"x": start[kind] + place, "kind": kind, "change": seen(one["change"])},
            **{"query": figures.text(at(one, "query_id")), "words": figures.difference(one["change"])},
        }
        for kind, found in sides.items()
        for place, one in enumerate(found)
    ]
    return data, start["hurt"] + len(sides["hurt"])


def _around_zero(changes: Sequence[float]) -> Scale:
    low, high = min(0.0, *changes, 0.0), max(0.0, *changes, 0.0)
    room = (high - low) * 0.06
    return Scale(low - room, high + room)


def _between(queries: Mapping[str, Any], sides: Mapping[str, Sequence[Any]], helped: int) -> list[Any]:
    """How many queries are not drawn."""
    counts = {kind: at(queries, kind) for kind in ("helped", "unchanged", "hurt")}
    known = {kind: count - len(sides.get(kind, ())) for kind, count in counts.items() if count is not None}
    lines = [
        f"{'' if kind == 'unchanged' else 'more '}{kind}: {figures.count(count)}"
        for kind, count in known.items()
        if count > 0
    ]
    if not lines:
        return []
    words = "\n".join(lines)
    base = alt.Chart(rows([{"x": helped + (_GAP - 1) / 2, "words": words}])).encode(x="x:Q", text="words:N")
    text = base.mark_text(lineBreak="\n", fontSize=11, fill=MUTED, align="center", lineHeight=15)
    return [text.encode(y=alt.value(14))]


def _caption(summary: Summary, name: str) -> str:
    found = study.gain(study.of(summary, name), study.metric(summary, name))
    span = figures.span(at(found, "interval"), figures.difference)
    return (
        f"The clearest queries of each kind out of {study.basis(summary, name).removeprefix('n = ')}; single queries "
        "have no interval. The mean change over all of them is "
        f"{figures.difference(at(found, 'difference'))}, 95% interval {span}."
    )
