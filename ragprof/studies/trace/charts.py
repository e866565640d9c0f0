"""Charts of a trace profile: where the time goes on the critical path, and p50 and p95 day by day.

Imports Altair: import this module late.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from ragprof.core import STAGES
from ragprof.report import figures
from ragprof.report.palette import INK, MUTED, PAPER
from ragprof.report.palette import STAGES as COLOURS
from ragprof.report.theme import Chart, colour_by, named_axis, rows, rows_height, specification, time_unit, wrap
from ragprof.studies.trace.section import TraceSection

OTHER = "other"
_COLOURS: dict[str, str] = {
    **{stage: COLOURS[stage] for stage in STAGES},
    OTHER: "#9AA5B1",
    "unaccounted": COLOURS["unaccounted"],
}


def stage_times(section: TraceSection) -> Chart | None:
    """Mean time of a trace by stage on the critical path. None where nothing was timed."""
    data: list[dict[str, Any]] = []
    for name, pipeline in section.pipelines.items():
        means: dict[str, int] = {}
        for stage, ns in pipeline.mean_path_ns.items():
            told = stage if stage in _COLOURS else OTHER
            means[told] = means.get(told, 0) + ns
        data += [
            {"name": wrap(name), "stage": stage, "value": means[stage], "label": figures.duration(means[stage]),
             "order": place}
            for place, stage in enumerate(_COLOURS)
            if means.get(stage)
        ]  # fmt: skip
    if not data:
        return None
    totals = {name: sum(row["value"] for row in data if row["name"] == name) for name in {row["name"] for row in data}}
    unit, length = time_unit(max(totals.values()))
    for row in data:
        row["value"] /= length
    names = list(dict.fromkeys(row["name"] for row in data))
    present = {stage: colour for stage, colour in _COLOURS.items() if any(row["stage"] == stage for row in data)}
    chart = (
        alt.Chart(rows(data))
        .mark_bar(height=16, stroke=PAPER, strokeWidth=1)
        .encode(
            x=alt.X("value:Q", title=f"Time of one trace ({unit})", axis=alt.Axis(tickCount=6)),
            y=alt.Y("name:N", sort=names, axis=named_axis()),
            color=colour_by("stage", present, symbol="square"),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in
                     (("name", "Pipeline"), ("stage", "Stage"), ("label", "Mean"))],
        )
    )  # fmt: skip
    counts = [each.end_to_end.n for each in section.pipelines.values() if each.end_to_end is not None]
    caption = (
        f"Mean over {figures.between(counts, 'trace')} on the critical path: the parts add up to the mean end to end."
    )
    return Chart("time", "Where the time of a trace goes", caption, specification(chart, height=rows_height(names, 40)))


def days(section: TraceSection) -> Chart | None:
    """p50 and p95 end to end day by day, with intervals. None for less than two days."""
    data: list[dict[str, Any]] = []
    for name, pipeline in section.pipelines.items():
        for day in pipeline.days:
            for quantile in ("p50", "p95"):
                value = getattr(day, f"{quantile}_ns")
                if value is not None:
                    low, high = getattr(day, f"{quantile}_interval_ns") or (value, value)
                    data.append({"day": day.day, "series": f"{name}, {quantile}", "value": value, "low": low,
                                 "high": high, "label": figures.duration(value)})  # fmt: skip
    if len({row["day"] for row in data}) < 2:
        return None
    unit, length = time_unit(max(row["high"] for row in data))
    for row in data:
        row |= {key: row[key] / length for key in ("value", "low", "high")}
    series = list(dict.fromkeys(row["series"] for row in data))
    colours = {name: (INK if place % 2 else MUTED) for place, name in enumerate(series)}
    base = alt.Chart(rows(data)).encode(
        x=alt.X("day:O", title=None, axis=alt.Axis(labelAngle=-45)),
        color=colour_by("series", colours, symbol="circle"),
        detail="series:N",
    )  # fmt: skip
    chart = alt.layer(
        base.mark_line(strokeWidth=1.5).encode(y=alt.Y("value:Q", title=f"End to end ({unit})")),
        base.mark_rule(opacity=0.5, strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        base.mark_circle(size=45, opacity=1).encode(
            y=alt.Y("value:Q"),
            tooltip=[alt.Tooltip(f"{field}:N") for field in ("series", "day", "label")],
        ),
    )
    return Chart("days", "Latency day by day", "p50 and p95 with their 95% intervals, days in UTC.",
                 specification(chart, height=260), wide=True)  # fmt: skip
