"""Stacked bars: the time of a query by stage, and the tokens of a prompt by origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.labels import wrap
from ragprof.report.lookup import Summary, at, interval, pipelines, stages
from ragprof.report.palette import INK, MUTED, PAPER, STAGES, TOKENS
from ragprof.report.scales import time_unit
from ragprof.report.theme import (
    Chart,
    colour_by,
    named_axis,
    queries_words,
    rows,
    rows_height,
    specification,
    timings_words,
)

Rows = list[dict[str, Any]]
_BAR, _BAR_ABOVE, _MARKS_BELOW = 16, -8, 10
_QUANTILES = {"p50": "circle", "p95": "diamond"}
_TOKEN_KEYS = {
    "context": "inject.context_tokens",
    "question": "inject.query_tokens",
    "template": "inject.template_tokens",
}


def stage_times(summary: Summary) -> Chart | None:
    """Mean time by stage with the unaccounted remainder, over p50 and p95 of end to end. None without timings."""
    longest = max(_lengths(summary), default=None)
    segments = _segments(summary)
    if longest is None or not segments:
        return None
    unit, length = time_unit(longest)
    names = [wrap(name) for name in pipelines(summary)]
    y = alt.Y("name:N", sort=names, axis=named_axis(label_offset=_BAR_ABOVE))
    x = _from_zero("time", f"Time of one query ({unit})", longest / length)
    bars = _stacked(_in_unit(segments, length), x, y, {stage: STAGES[stage] for stage in STAGES}, "stage")
    marks, totals = _in_unit(_quantiles(summary), length), _in_unit(_means(summary), length)
    layers = [bars.mark_bar(height=_BAR, yOffset=_BAR_ABOVE, stroke=PAPER, strokeWidth=1), *_quantile_layers(marks, y)]
    chart = alt.layer(*layers, _end_labels(totals, "time", y, _BAR_ABOVE))
    spec = specification(chart, height=rows_height(names, 50))
    return Chart("time", "Where the time of a query goes", _time_caption(summary), spec)


def tokens(summary: Summary) -> Chart | None:
    """Prompt tokens by origin. None where no pipeline has counted them."""
    segments, totals = _token_segments(summary), _prompts(summary)
    if not segments:
        return None
    names = list(dict.fromkeys(row["name"] for row in segments))
    y = alt.Y("name:N", sort=names, axis=named_axis())
    longest = max(sum(row["tokens"] for row in segments if row["name"] == name) for name in names)
    x = _from_zero("tokens", "Prompt tokens per query (mean)", longest)
    bars = _stacked(segments, x, y, TOKENS, "part").mark_bar(height=_BAR, stroke=PAPER, strokeWidth=1)
    chart = alt.layer(bars, _end_labels(totals, "tokens", y, 0))
    caption = f"Mean tokens by origin, {queries_words(summary)}; the number at the end is the whole prompt."
    return Chart("tokens", "What the prompt is made of", caption, specification(chart, height=rows_height(names, 46)))


def _from_zero(field: str, title: str, longest: float) -> Any:
    """An axis from 0 with room for the number at the end of the longest bar."""
    return alt.X(
        f"{field}:Q", title=title, axis=alt.Axis(tickCount=6), scale=alt.Scale(domain=[0, longest * 1.14], nice=False)
    )


def _stacked(segments: Rows, x: Any, y: Any, colours: Mapping[str, str], field: str) -> Any:
    """Bars in the order of `colours`, which is the order of the legend too."""
    used = {name: colour for name, colour in colours.items() if any(row[field] == name for row in segments)}
    titles = {"pipeline": "Pipeline", field: "Part", "label": "Mean"}
    tooltip = [alt.Tooltip(f"{column}:N", title=title) for column, title in titles.items()]
    colour = colour_by(field, used, symbol="square")
    return alt.Chart(rows(segments)).encode(x=x, y=y, color=colour, order=alt.Order("order:Q"), tooltip=tooltip)


def _quantile_layers(marks: Rows, y: Any) -> list[Any]:
    base = alt.Chart(rows(marks)).encode(y=y)
    legend = alt.Legend(symbolFillColor=INK, labelExpr="datum.label + ' end to end'")
    scale = alt.Scale(domain=list(_QUANTILES), range=list(_QUANTILES.values()))
    titles = {"pipeline": "Pipeline", "quantile": "Quantile", "label": "End to end", "interval": "95% interval"}
    tooltip = [alt.Tooltip(f"{column}:N", title=title) for column, title in titles.items()]
    lines = base.mark_rule(yOffset=_MARKS_BELOW, strokeWidth=1.5, stroke=MUTED).encode(x="low:Q", x2="high:Q")
    points = base.mark_point(yOffset=_MARKS_BELOW, filled=True, size=48, fill=INK, opacity=1)
    return [
        lines,
        points.encode(x="time:Q", shape=alt.Shape("quantile:N", scale=scale, legend=legend), tooltip=tooltip),
    ]


def _end_labels(totals: Rows, field: str, y: Any, offset: float) -> Any:
    text = alt.Chart(rows(totals)).mark_text(align="left", dx=7, yOffset=offset, fontWeight=600)
    return text.encode(x=f"{field}:Q", y=y, text="label:N")


def _in_unit(measured: Rows, length: float) -> Rows:
    """Times in the unit of the axis beside those in ns."""
    return [
        row | {key: row[f"{key}_ns"] / length for key in ("time", "low", "high") if f"{key}_ns" in row}
        for row in measured
    ]


def _lengths(summary: Summary) -> list[float]:
    quantiles = [row["high_ns"] for row in _quantiles(summary)]
    return quantiles + [row["time_ns"] for row in [*_means(summary), *_segments(summary)]]


def _segments(summary: Summary) -> Rows:
    order = stages(summary)
    return [row for name, pipeline in pipelines(summary).items() for row in _pipeline_segments(name, pipeline, order)]


def _pipeline_segments(name: str, pipeline: Mapping[str, Any], order: Sequence[str]) -> Rows:
    means = {stage: at(pipeline, "stages", stage, "mean_ns") for stage in order}
    means["unaccounted"] = at(pipeline, "unaccounted", "mean_ns")
    return _parts(name, means, kind="stage", value="time_ns", write=figures.duration)


def _token_segments(summary: Summary) -> Rows:
    return [row for name, pipeline in pipelines(summary).items() for row in _pipeline_tokens(name, pipeline)]


def _pipeline_tokens(name: str, pipeline: Mapping[str, Any]) -> Rows:
    counted = {part: at(pipeline, "usage_per_query", key) for part, key in _TOKEN_KEYS.items()}
    return _parts(name, counted, kind="part", value="tokens", write=figures.mean_count)


def _parts(name: str, values: Mapping[str, Any], *, kind: str, value: str, write: Any) -> Rows:
    """One row a part; parts without length are not drawn."""
    return [
        {"pipeline": name, "name": wrap(name), kind: part, value: found, "order": place, "label": write(found)}
        for place, (part, found) in enumerate(values.items())
        if found is not None and found > 0
    ]


def _quantiles(summary: Summary) -> Rows:
    return [
        _quantile_row(name, quantile, at(pipeline, "end_to_end"))
        for name, pipeline in pipelines(summary).items()
        for quantile in _QUANTILES
        if at(pipeline, "end_to_end", f"{quantile}_ns") is not None
    ]


def _quantile_row(name: str, quantile: str, latency: Mapping[str, Any]) -> dict[str, Any]:
    ns, ends = latency[f"{quantile}_ns"], interval(latency, f"{quantile}_interval_ns")
    low, high = ends or (ns, ns)
    words = {"label": figures.duration(ns), "interval": figures.span(ends, figures.duration)}
    return {
        "pipeline": name,
        "name": wrap(name),
        "quantile": quantile,
        "time_ns": ns,
        "low_ns": low,
        "high_ns": high,
        **words,
    }


def _means(summary: Summary) -> Rows:
    means = {name: at(pipeline, "end_to_end", "mean_ns") for name, pipeline in pipelines(summary).items()}
    return [{"name": wrap(name), "time_ns": ns, "label": figures.duration(ns)} for name, ns in means.items() if ns]


def _prompts(summary: Summary) -> Rows:
    prompts = {
        name: at(pipeline, "usage_per_query", "inject.prompt_tokens") for name, pipeline in pipelines(summary).items()
    }
    return [
        {"name": wrap(name), "tokens": value, "label": figures.mean_count(value)}
        for name, value in prompts.items()
        if value
    ]


def _time_caption(summary: Summary) -> str:
    return (
        "Bars: mean time of each stage; the number at the end is the mean end to end, the pale end is what no stage "
        f"accounts for. Marks below: p50 and p95 end to end with their 95% intervals, {timings_words(summary)}."
    )
