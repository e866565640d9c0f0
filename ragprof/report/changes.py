"""A chart of changes with their intervals: a line of the chart a variant, in it a mark a pipeline, zero in between.

Imports Altair: import this module late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from ragprof.core import plain
from ragprof.report.palette import INK
from ragprof.report.theme import Chart, Key, Panel, linear, rows, specification, wrap

MARK_PX, GAP_PX, AXIS_PX = 13, 14, 24


@dataclass(frozen=True, slots=True)
class Shift:
    """How one variant differs in one pipeline; `told` is the figure with its interval, for the tooltip."""

    variant: str
    pipeline: str
    middle: float
    low: float
    high: float
    told: str


def changes_chart(
    key: str, title: str, caption: str, panels: Mapping[str, Sequence[Shift]], colours: Mapping[str, str]
) -> Chart | None:
    """A panel for each quantity (its title: its shifts), all with the same lines. None where nothing is to be drawn."""
    drawn = {name: shifts for name, shifts in panels.items() if shifts}
    if not drawn:
        return None
    pipelines = list(dict.fromkeys(shift.pipeline for shifts in drawn.values() for shift in shifts))
    legend = tuple(Key(name, colours[name], shape="circle") for name in pipelines)
    made = tuple(Panel("", _panel(shifts, pipelines, colours), name) for name, shifts in drawn.items())
    return Chart(key, title, caption, {}, wide=True, panels=made, legend=legend, stacked=True)


def _panel(shifts: Sequence[Shift], pipelines: Sequence[str], colours: Mapping[str, str]) -> dict[str, object]:
    variants = list(dict.fromkeys(plain.text(wrap(shift.variant)) for shift in shifts))
    data = [
        {
            "variant": plain.text(wrap(shift.variant)), "pipeline": plain.text(shift.pipeline), "middle": shift.middle,
            "low": shift.low, "high": shift.high, "told": shift.told,
        }
        for shift in shifts
    ]  # fmt: skip
    scale = linear([0.0, *(end for shift in shifts for end in (shift.low, shift.high))], margin=0.06)
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    names = [plain.text(name) for name in pipelines]
    y = alt.Y("variant:N", sort=variants, title=None, scale=alt.Scale(paddingInner=0.25), axis=alt.Axis(
        grid=False, labelPadding=12, labelExpr="split(datum.label, '\\n')", labelLimit=260, ticks=False, domain=False,
    ))  # fmt: skip
    offset = alt.YOffset("pipeline:N", sort=names, scale=alt.Scale(paddingOuter=0.2))
    colour = alt.Color(
        "pipeline:N", legend=None, scale=alt.Scale(domain=names, range=[colours[name] for name in pipelines])
    )
    axis = alt.Axis(
        title=None,
        format="+,~r",
        labelExpr="datum.value == 0 ? '0' : datum.label",
        tickCount=6,
        labelOverlap="greedy",
        labelSeparation=6,
    )
    tooltip = [alt.Tooltip("pipeline:N", title="Pipeline"), alt.Tooltip("variant:N", title="Variant"),
               alt.Tooltip("told:N", title="Change")]  # fmt: skip
    base = alt.Chart(rows(data)).encode(y=y, yOffset=offset, color=colour)
    zero = alt.Chart(rows([{"middle": 0}])).mark_rule(stroke=INK, strokeWidth=1)
    chart = alt.layer(
        zero.encode(x=alt.X("middle:Q", axis=axis, scale=domain)),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", axis=axis, scale=domain), x2=alt.X2("high:Q")),
        base.mark_point(size=50, filled=True, opacity=1).encode(
            x=alt.X("middle:Q", axis=axis, scale=domain), tooltip=tooltip
        ),
    )
    height = len(variants) * (len(pipelines) * MARK_PX + GAP_PX) + AXIS_PX
    return specification(chart, height=height)
