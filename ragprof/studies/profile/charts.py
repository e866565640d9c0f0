"""Charts of the main run: where time and tokens go, quality by stage and in pairs, quality for time and money.

Imports Altair: import this module late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt

from ragprof.core import RANKED_STAGES
from ragprof.report import figures
from ragprof.report.front import FEW, SHORT, Dot, Plot, Reach, ends_of_all, scatter
from ragprof.report.palette import INK, MUTED, PAPER, STAGES, TOKENS, VERDICTS, tint
from ragprof.report.theme import (
    Chart,
    Scale,
    colour_by,
    linear,
    logarithmic,
    named_axis,
    rows,
    rows_height,
    specification,
    time_unit,
    wrap,
)
from ragprof.studies.contract import EstimateValue
from ragprof.studies.profile.section import ProfileSection

Rows: TypeAlias = list[dict[str, Any]]
Write: TypeAlias = Callable[[Any], str]

_BAR, _BAR_ABOVE, _MARKS_BELOW = 16, -8, 10
_QUANTILES = {"p50": "circle", "p95": "diamond"}
_TOKEN_KEYS = {
    "context": "inject.context_tokens",
    "question": "inject.query_tokens",
    "template": "inject.template_tokens",
}


def _tooltip(titles: Mapping[str, str]) -> list[Any]:
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def _queries(section: ProfileSection) -> str:
    return f"n = {figures.counted(section.queries, 'query')}"


def _timings(section: ProfileSection) -> str:
    counts = [one.end_to_end.n for one in section.pipelines.values()]
    return f"n = {figures.between(counts, 'timing')} per pipeline"


def stage_times(section: ProfileSection) -> Chart:
    """Mean time by stage with the unaccounted remainder, over p50 and p95 of end to end."""
    segments: Rows = []
    totals: Rows = []
    marks: Rows = []
    for name, pipeline in section.pipelines.items():
        means = {stage: pipeline.stages[stage].mean_ns for stage in section.stages if stage in pipeline.stages}
        means["unaccounted"] = pipeline.unaccounted.mean_ns
        segments += _parts(name, means, kind="stage", write=figures.duration)
        whole = pipeline.end_to_end
        totals.append({"name": wrap(name), "value": whole.mean_ns, "label": figures.duration(whole.mean_ns)})
        quantiles = {"p50": (whole.p50_ns, whole.p50_interval_ns), "p95": (whole.p95_ns, whole.p95_interval_ns)}
        for quantile, (value, interval) in quantiles.items():
            low, high = interval or (value, value)
            words = {"label": figures.duration(value), "interval": figures.span(interval, figures.duration)}
            places = {"value": value, "low": low, "high": high}
            marks.append({"pipeline": name, "name": wrap(name), "quantile": quantile, **places, **words})
    longest = max(*(row["value"] for row in [*segments, *totals]), *(row["high"] for row in marks))
    unit, length = time_unit(longest)
    for row in [*segments, *totals, *marks]:
        row |= {key: row[key] / length for key in ("value", "low", "high") if key in row}
    names = [wrap(name) for name in section.pipelines]
    y = alt.Y("name:N", sort=names, axis=named_axis(label_offset=_BAR_ABOVE))
    others = [stage for stage in section.stages if stage not in STAGES]
    shades = {stage: tint(INK, 0.4 + 0.35 * place / max(1, len(others))) for place, stage in enumerate(others)}
    *known, last = STAGES.items()
    colours = dict([*known, *shades.items(), last])
    bars = _stacked(segments, f"Time of one query ({unit})", longest / length, y, colours, "stage")
    beneath = alt.Chart(rows(marks)).encode(y=y)
    legend = alt.Legend(symbolFillColor=INK, labelExpr="datum.label + ' end to end'")
    scale = alt.Scale(domain=list(_QUANTILES), range=list(_QUANTILES.values()))
    titles = {"pipeline": "Pipeline", "quantile": "Quantile", "label": "End to end", "interval": "95% interval"}
    chart = alt.layer(
        bars.mark_bar(height=_BAR, yOffset=_BAR_ABOVE, stroke=PAPER, strokeWidth=1),
        beneath.mark_rule(yOffset=_MARKS_BELOW, strokeWidth=1.5, stroke=MUTED).encode(
            x=alt.X("low:Q"), x2=alt.X2("high:Q")
        ),
        beneath.mark_point(yOffset=_MARKS_BELOW, filled=True, size=48, fill=INK, opacity=1).encode(
            x=alt.X("value:Q"), shape=alt.Shape("quantile:N", scale=scale, legend=legend), tooltip=_tooltip(titles)
        ),
        _end_labels(totals, y, _BAR_ABOVE),
    )
    caption = (
        "Bars: mean time of each stage; the number at the end is the mean end to end, the pale end is what no stage "
        f"accounts for. Marks below: p50 and p95 end to end with their 95% intervals, {_timings(section)}."
    )
    spec = specification(chart, height=rows_height(names, 50))
    return Chart("time", "Where the time of a query goes", caption, spec)


def tokens(section: ProfileSection) -> Chart | None:
    """Prompt tokens by origin. None where no pipeline has counted them."""
    segments: Rows = []
    totals: Rows = []
    for name, pipeline in section.pipelines.items():
        counted = {part: pipeline.usage_per_query.get(key, 0.0) for part, key in _TOKEN_KEYS.items()}
        segments += _parts(name, counted, kind="part", write=figures.mean_count)
        if whole := pipeline.usage_per_query.get("inject.prompt_tokens"):
            totals.append({"name": wrap(name), "value": whole, "label": figures.mean_count(whole)})
    if not segments:
        return None
    names = list(dict.fromkeys(row["name"] for row in segments))
    y = alt.Y("name:N", sort=names, axis=named_axis())
    longest = max(sum(row["value"] for row in segments if row["name"] == name) for name in names)
    bars = _stacked(segments, "Prompt tokens per query (mean)", longest, y, TOKENS, "part")
    chart = alt.layer(bars.mark_bar(height=_BAR, stroke=PAPER, strokeWidth=1), _end_labels(totals, y, 0))
    caption = f"Mean tokens by origin, {_queries(section)}; the number at the end is the whole prompt."
    return Chart("tokens", "What the prompt is made of", caption, specification(chart, height=rows_height(names, 46)))


def _parts(name: str, values: Mapping[str, float], *, kind: str, write: Write) -> Rows:
    """One row a part; parts without length are not drawn."""
    return [
        {"pipeline": name, "name": wrap(name), kind: part, "value": value, "order": place, "label": write(value)}
        for place, (part, value) in enumerate(values.items())
        if value > 0
    ]


def _stacked(segments: Rows, title: str, longest: float, y: Any, colours: Mapping[str, str], field: str) -> Any:
    """Bars in the order of `colours`, which is the order of the legend too; room for a number after the longest."""
    used = {name: colour for name, colour in colours.items() if any(row[field] == name for row in segments)}
    scale = alt.Scale(domain=[0, longest * 1.14], nice=False)
    return alt.Chart(rows(segments)).encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(tickCount=6), scale=scale),
        y=y,
        color=colour_by(field, used, symbol="square"),
        order=alt.Order("order:Q"),
        tooltip=_tooltip({"pipeline": "Pipeline", field: "Part", "label": "Mean"}),
    )


def _end_labels(totals: Rows, y: Any, offset: float) -> Any:
    text = alt.Chart(rows(totals)).mark_text(align="left", dx=7, yOffset=offset, fontWeight=600)
    return text.encode(x=alt.X("value:Q"), y=y, text=alt.Text("label:N"))


def quality_by_stage(section: ProfileSection) -> Chart | None:
    """The leading metric after each stage that ranks, pipeline by pipeline. None where nothing is judged."""
    metric, data = section.metric, []
    for name, pipeline in section.pipelines.items():
        for stage in RANKED_STAGES:
            found = pipeline.scores.get(stage, {}).get(metric)
            if found is not None and found.mean is not None:
                row = _interval_row(found.mean, found.interval, figures.score)
                data.append({"name": wrap(name), "tip": f"{name}, after {stage}", "stage": stage, **row})
    if not data:
        return None
    present: dict[str, str] = {
        stage: STAGES[stage] for stage in RANKED_STAGES if any(row["stage"] == stage for row in data)
    }
    lanes = alt.YOffset("stage:N", sort=list(present), scale=alt.Scale(paddingOuter=0.6))
    names = list(dict.fromkeys(row["name"] for row in data))
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()), yOffset=lanes)
    scale = linear([row[key] for row in data for key in ("low", "high")], margin=0.06, most=1.0)
    axis = alt.Axis(title=metric, tickCount=6, format=".2f")
    chart = alt.layer(*_intervals(base, scale, axis, colour_by("stage", present, symbol="circle"), metric))
    caption = (
        f"{metric} of the ranking that leaves each stage, with 95% intervals, {_queries(section)}. "
        "Inject keeps only the documents that go into the prompt, so its ranking is shorter."
    )
    spec = specification(chart, height=rows_height(names, 46))
    return Chart("stage-quality", "Quality after each stage", caption, spec)


def differences(section: ProfileSection) -> Chart | None:
    """Each comparison of the final ranking's quality against no difference. None where there is none."""
    data = []
    for pair in section.shown_comparisons():
        if pair.difference is not None:
            name = f"{pair.candidate} vs {pair.baseline}"
            row = _interval_row(pair.difference, pair.interval, figures.difference)
            data.append({"name": wrap(name, 32), "tip": f"{name}, n = {pair.n}", "verdict": pair.verdict, **row})
    if not data:
        return None
    metric, names = section.metric, list(dict.fromkeys(row["name"] for row in data))
    widest = max(abs(row[key]) for row in data for key in ("low", "high", "score"))
    # With room at both ends, but not beyond what a metric between 0 and 1 can differ by.
    widest = min(widest * 1.1, 1.0) or 1.0 if widest <= 1 else widest * 1.1
    base = alt.Chart(rows(data)).encode(y=alt.Y("name:N", sort=names, axis=named_axis()))
    axis = alt.Axis(title=f"Difference in {metric}, candidate minus baseline", format="+.2f", tickCount=7)
    present = {verdict: VERDICTS[verdict] for verdict in VERDICTS if any(row["verdict"] == verdict for row in data)}
    colour = colour_by("verdict", present, symbol="circle")
    no_difference = alt.Chart(rows([{"score": 0}])).mark_rule(stroke=INK, strokeWidth=1).encode(x=alt.X("score:Q"))
    chart = alt.layer(no_difference, *_intervals(base, Scale(-widest, widest), axis, colour, metric))
    caption = (
        f"Paired by query, 95% intervals, {_queries(section)}. Verdicts are corrected for all comparisons (Holm), "
        "so an interval that stays clear of the line can still be undecided."
    )
    spec = specification(chart, height=rows_height(names, 40))
    return Chart("differences", "Which pipelines differ in quality", caption, spec)


def _interval_row(value: float, interval: Sequence[Any] | None, write: Write) -> dict[str, Any]:
    low, high = interval or (value, value)
    return {"score": value, "low": low, "high": high, "label": figures.with_interval(value, interval, write)}


def _intervals(base: Any, scale: Scale, axis: Any, colour: Any, metric: str) -> list[Any]:
    """Intervals as lines with their points on them."""
    across = {"axis": axis, "scale": alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)}
    lines = base.mark_rule(strokeWidth=2, opacity=0.55)
    points = base.mark_circle(size=70, opacity=1)
    return [
        lines.encode(x=alt.X("low:Q", **across), x2=alt.X2("high:Q"), color=colour),
        points.encode(x=alt.X("score:Q", **across), color=colour, tooltip=_tooltip({"tip": "For", "label": metric})),
    ]


_FRONT = "Filled points, joined by the line, are on the Pareto front: no other pipeline here beats them on both axes."


def quality_against_latency(section: ProfileSection, colours: Mapping[str, str]) -> Chart | None:
    """None where nothing is judged."""
    judged = [one for name, one in section.pipelines.items() if section.quality(name)]
    if not judged:
        return None
    ends = [one.end_to_end.p50_interval_ns or (one.end_to_end.p50_ns,) for one in judged]
    unit, length = time_unit(max(max(each) for each in ends))
    known = {name: (one.end_to_end.p50_ns, one.end_to_end.p50_interval_ns) for name, one in section.pipelines.items()}
    dots = _dots(section, known, figures.duration, length)
    plot = _plot(section, dots, logarithmic(ends_of_all(dot.x for dot in dots)), section.pareto.latency, colours)
    axis = alt.Axis(title=f"Latency p50, end to end ({unit}, logarithmic)", values=plot.x.ticks(), format="~g")
    caption = f"{_quality_words(section)}; latency p50 with 95% intervals, {_timings(section)}. {_FRONT}"
    spec = specification(scatter(plot, axis, section.metric, "Latency p50"), height=plot.size[1])
    return Chart("latency-quality", "Quality against latency", caption, spec, wide=plot.wide)


def quality_against_cost(section: ProfileSection, colours: Mapping[str, str]) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no judged pipeline has a total."""
    bills = {name: one.cost_usd_per_1000_queries for name, one in section.pipelines.items()}
    known = {name: (bill.total, bill.interval) for name, bill in bills.items() if bill.total is not None}
    dots = _dots(section, known, figures.usd)
    if not dots:
        return None
    plot = _plot(section, dots, linear(ends_of_all(dot.x for dot in dots), margin=0.2), section.pareto.cost, colours)
    axis = alt.Axis(title="USD per 1,000 queries", tickCount=5, format=f"$,.{plot.x.decimals()}f")
    caption = f"{_quality_words(section)}; cost with 95% intervals. {_FRONT}"
    spec = specification(scatter(plot, axis, section.metric, "Cost"), height=plot.size[1])
    notes = tuple(
        f"{name}: {figures.UNPRICED} ({'; '.join(bill.unpriced)})" for name, bill in bills.items() if bill.total is None
    )
    return Chart("cost-quality", "Quality against cost", caption, spec, notes, plot.wide)


def _dots(
    section: ProfileSection, known: Mapping[str, tuple[Any, Any]], write: Write, length: float = 1.0
) -> list[Dot]:
    """Pipelines that have both coordinates; x in units of `length`."""
    dots = []
    for name, (value, interval) in known.items():
        if found := section.quality(name):
            words = {
                "x_words": figures.with_interval(value, interval, write),
                "y_words": figures.with_interval(found.mean, found.interval, figures.score),
            }
            dots.append(Dot(name, Reach.of(value, interval, length), _quality_reach(found), words))
    return dots


def _quality_reach(found: EstimateValue) -> Reach:
    return Reach.of(found.mean, found.interval)


def _quality_words(section: ProfileSection) -> str:
    return f"{section.metric} of the final ranking with 95% intervals, {_queries(section)}"


def _plot(
    section: ProfileSection, dots: Sequence[Dot], x: Scale, front: Sequence[str], colours: Mapping[str, str]
) -> Plot:
    """The quality axis takes in all pipelines, plotted or not, so that both plots have the same."""
    names = list(section.pipelines)
    y = linear(
        ends_of_all(_quality_reach(found) for name in names if (found := section.quality(name))), margin=0.12, most=1.0
    )
    return Plot(dots, x, y, front, colours, wide=len(names) > FEW or max(map(len, names)) > SHORT)
