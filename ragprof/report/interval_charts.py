"""A row a line, a point with its interval in it: quality after each stage, and differences between pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from ragprof.core import RANKED_STAGES
from ragprof.report import figures
from ragprof.report.labels import wrap
from ragprof.report.lookup import METRIC, Summary, at, entries, interval, pipelines
from ragprof.report.palette import INK, STAGES, VERDICTS
from ragprof.report.scales import Scale, linear
from ragprof.report.theme import Chart, colour_by, named_axis, queries_words, rows, rows_height, specification

_NO_DIFFERENCE = 0


def quality_by_stage(summary: Summary) -> Chart | None:
    """nDCG@10 after each stage that ranks, pipeline by pipeline. None where nothing is judged."""
    data = [row for name in pipelines(summary) for row in _stage_rows(summary, name)]
    if not data:
        return None
    names = list(dict.fromkeys(row["name"] for row in data))
    present = [stage for stage in RANKED_STAGES if any(row["stage"] == stage for row in data)]
    lanes = alt.YOffset("stage:N", sort=present, scale=alt.Scale(paddingOuter=0.6))
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()), yOffset=lanes)
    scale = linear([row[key] for row in data for key in ("low", "high")], margin=0.06)
    axis = alt.Axis(title=METRIC, tickCount=6, format=".2f")
    colour = colour_by("stage", {stage: STAGES[stage] for stage in present}, symbol="circle")
    chart = alt.layer(*_points(base, scale, axis, colour))
    caption = (
        f"{METRIC} of the ranking that leaves each stage, with 95% intervals, {queries_words(summary)}. "
        "Inject keeps only the documents that go into the prompt, so its ranking is shorter."
    )
    return Chart(
        "stage-quality", "Quality after each stage", caption, specification(chart, height=rows_height(names, 46))
    )


def _stage_rows(summary: Summary, name: str) -> list[dict[str, Any]]:
    scores = at(pipelines(summary)[name], "scores")
    found = [(stage, at(scores, stage, METRIC)) for stage in RANKED_STAGES]
    return [
        _row(at(estimate, "mean"), interval(estimate, "interval"), figures.score)
        | {"name": wrap(name), "tip": f"{name}, after {stage}", "stage": stage}
        for stage, estimate in found
        if at(estimate, "mean") is not None
    ]


def differences(summary: Summary) -> Chart | None:
    """Each comparison of the final nDCG@10 against no difference. None where there is none."""
    data = [_difference_row(comparison) for comparison in entries(summary, "comparisons") if _is_drawn(comparison)]
    if not data:
        return None
    names = list(dict.fromkeys(row["name"] for row in data))
    widest = max(abs(row[key]) for row in data for key in ("low", "high", "score")) * 1.1 or 1.0
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()))
    axis = alt.Axis(title=f"Difference in {METRIC}, candidate minus baseline", format="+.2f", tickCount=7)
    present = [verdict for verdict in VERDICTS if any(row["verdict"] == verdict for row in data)]
    colour = colour_by("verdict", {verdict: VERDICTS[verdict] for verdict in present}, symbol="circle")
    zero = alt.Chart(rows([{"score": _NO_DIFFERENCE}])).mark_rule(stroke=INK, strokeWidth=1).encode(x="score:Q")
    chart = alt.layer(zero, *_points(base, Scale(-widest, widest), axis, colour))
    caption = (
        f"Paired by query, 95% intervals, {queries_words(summary)}. Verdicts are corrected for all comparisons (Holm), "
        "so an interval that stays clear of the line can still be undecided."
    )
    return Chart(
        "differences", "Which pipelines differ in quality", caption, specification(chart, height=rows_height(names, 40))
    )


def _is_drawn(comparison: Mapping[str, Any]) -> bool:
    wanted = at(comparison, "metric") == METRIC and at(comparison, "stage") in ("final", None)
    return wanted and at(comparison, "difference") is not None and at(comparison, "verdict") in VERDICTS


def _difference_row(comparison: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{at(comparison, 'candidate')} vs {at(comparison, 'baseline')}"
    row = _row(comparison["difference"], interval(comparison, "interval"), figures.difference)
    return row | {"name": wrap(name, 32), "tip": name, "verdict": comparison["verdict"]}


def _row(value: float, ends: tuple[float, float] | None, write: Any) -> dict[str, Any]:
    low, high = ends or (value, value)
    return {"score": value, "low": low, "high": high, "label": f"{write(value)} ({figures.span(ends, write)})"}


def _points(base: Any, scale: Scale, axis: Any, colour: Any) -> list[Any]:
    x_scale = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    tooltip = [alt.Tooltip("tip:N", title="For"), alt.Tooltip("label:N", title=METRIC)]
    lines = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("low:Q", axis=axis, scale=x_scale), x2="high:Q", color=colour
    )
    points = base.mark_circle(size=70, opacity=1).encode(
        x=alt.X("score:Q", axis=axis, scale=x_scale), color=colour, tooltip=tooltip
    )
    return [lines, points]
