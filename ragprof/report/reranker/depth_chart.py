"""The depth curve: quality, and beneath it latency as timed live beside the composed estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import Mark, ends_of, estimate_mark, mark, near, spelling
from ragprof.report.growth.panels import Series
from ragprof.report.lookup import Summary, at, interval
from ragprof.report.palette import DASHES, INK, MUTED
from ragprof.report.reranker import study
from ragprof.report.reranker.curves import (
    level_rule,
    line_layers,
    quiet_specification,
    upright_rules,
    vertical,
    whiskers,
)
from ragprof.report.reranker.depth_tables import marks_of
from ragprof.report.scales import Scale, linear, time_unit
from ragprof.report.theme import Chart, Key, Panel

_HEIGHT, _LOWER = 220, 150
_X_TITLE = "Depth (candidates that the reranker reads)"
_LIVE, _COMPOSED = "live p50", "composed estimate"


def depth(summary: Summary, name: str, place: int) -> Chart | None:
    """None where no depth has a score."""
    one = study.of(summary, name)
    steps = study.steps(one)
    quality = _quality(summary, name, steps)
    if not any(mark.value is not None for marks in quality.values() for mark in marks):
        return None
    latency = _latency(summary, name, steps)
    depths = [float(step["depth"]) for step in steps]
    x, untitled = _depth_axis(depths, _X_TITLE), _depth_axis(depths, None if latency else _X_TITLE)
    upper = _quality_panel(summary, name, quality, untitled)
    panels = [Panel(name, upper, f"Quality at k = {figures.count(at(steps[0], 'k'))}")]
    if latency:
        panels.append(Panel(name, _latency_panel(one, latency, x), "Latency of a query, end to end"))
    title = "Quality and latency, depth by depth"
    legend = (
        *_quality_keys(summary, name, quality),
        *(series.key for series in latency if series.name == _LIVE),
        *_composed_key(latency),
    )
    caption = _caption(summary, name, latency)
    return Chart(f"reranker-{place}-depth", title, caption, {}, panels=tuple(panels), legend=legend, stacked=True)


def _depth_axis(depths: Sequence[float], title: str | None) -> Any:
    scale = linear(depths, margin=0.06)
    axis = alt.Axis(values=sorted(set(depths)), format="~d", grid=False, labelOverlap="greedy")
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.X("x:Q", title=title, axis=axis, scale=domain)


def _quality(summary: Summary, name: str, steps: Sequence[Mapping[str, Any]]) -> dict[Series, list[Mark]]:
    """The study's metric, and in grey what the injected passages hold."""
    metric, colour = study.metric(summary, name), study.colours(summary)[name]
    held = f"evidence@{at(steps[0], 'k')}" if steps else ""
    looks = {metric: Series(metric, colour), held: Series(held, MUTED, DASHES["dashed"], "square")}
    found = {
        series: [estimate_mark(step["depth"], at(step, "scores", key), figures.score) for step in steps]
        for key, series in looks.items()
    }
    return {series: marks for series, marks in found.items() if any(one.value is not None for one in marks)}


def _quality_panel(summary: Summary, name: str, quality: dict[Series, list[Mark]], x: Any) -> dict[str, Any]:
    one = study.of(summary, name)
    plain = _plain(summary, name)
    ends = ends_of(mark for marks in quality.values() for mark in marks)
    scale = near([*ends, *([] if plain is None else [plain])])
    title = " and ".join(series.name for series in quality)
    y = {field: vertical(field, title, scale, spelling(scale), above=24) for field in ("value", "low")}
    rules = upright_rules(_landmarks(one), x, _HEIGHT)
    search = [] if plain is None else [level_rule(plain, y["value"])]
    return quiet_specification([*rules, *search, *line_layers(quality, x, y)], height=_HEIGHT)


def _plain(summary: Summary, name: str) -> float | None:
    """The study's metric of the search order."""
    found = at(study.gain(study.of(summary, name), study.metric(summary, name)), "without")
    return None if found is None else float(found)


def _landmarks(one: Mapping[str, Any]) -> dict[float, str]:
    """Depths with a name."""
    depths = {float(step["depth"]) for step in study.steps(one)}
    return {depth: " = ".join(words) for depth in sorted(depths) if (words := marks_of(one, depth))}


def _latency(summary: Summary, name: str, steps: Sequence[Mapping[str, Any]]) -> dict[Series, list[Mark]]:
    live = [mark(s["depth"], at(s, "p50_ns"), interval(s, "p50_interval_ns"), figures.duration) for s in steps]
    composed = [mark(s["depth"], at(s, "composed_p50_ns"), None, figures.duration) for s in steps]
    found = {
        Series(_COMPOSED, MUTED, DASHES["dashed"], "square"): composed,
        Series(_LIVE, study.colours(summary)[name], (), "diamond"): live,
    }
    return {
        series: known for series, marks in found.items() if (known := [one for one in marks if one.value is not None])
    }


def _latency_panel(one: Mapping[str, Any], latency: dict[Series, list[Mark]], x: Any) -> dict[str, Any]:
    unit, length = time_unit(max(ends_of(mark for marks in latency.values() for mark in marks)))
    lines = {series: [mark.divided(length) for mark in marks] for series, marks in latency.items()}
    scale = Scale(0.0, max(ends_of(mark for marks in lines.values() for mark in marks)) * 1.08)
    y = {field: vertical(field, f"{unit} per query", scale, ",.3~f", ticks=4) for field in ("value", "low")}
    rules = upright_rules(_landmarks(one), x, _LOWER, worded=False)
    live = next((marks for series, marks in lines.items() if series.name == _LIVE), [])
    colour = next((series.colour for series in lines if series.name == _LIVE), INK)
    bare = {series: [mark.without_interval() for mark in marks] for series, marks in lines.items()}
    layers = [*rules, *whiskers(live, x, y["low"], colour), *line_layers(bare, x, y, hollow=(_COMPOSED,))]
    return quiet_specification(layers, height=_LOWER)


def _quality_keys(summary: Summary, name: str, quality: dict[Series, list[Mark]]) -> tuple[Key, ...]:
    metric = study.metric(summary, name)
    search = () if _plain(summary, name) is None else (Key(f"{metric} of search alone", MUTED, DASHES["dotted"]),)
    return (*(series.key for series in quality), *search)


def _composed_key(latency: dict[Series, list[Mark]]) -> tuple[Key, ...]:
    return tuple(
        Key(f"{series.name} (not timed)", series.colour, series.dash, series.shape, hollow=True)
        for series in latency
        if series.name == _COMPOSED
    )


def _band_words(summary: Summary, name: str) -> str:
    one, metric = study.of(summary, name), study.metric(summary, name)
    known = any(interval(step, "scores", metric, "interval") for step in study.steps(one))
    return "Bands are 95% intervals" if known else f"Intervals {figures.ABSENT}"


def _search_words(summary: Summary, name: str) -> str:
    """The gain over the dotted line, which has no band of its own."""
    found = study.gain(study.of(summary, name), study.metric(summary, name))
    if at(found, "difference") is None:
        return ""
    span = figures.span(at(found, "interval"), figures.difference)
    return f" At its own depth it is {figures.difference(found['difference'])} ({span}) over search alone (dotted)."


def _caption(summary: Summary, name: str, latency: Mapping[Series, Any]) -> str:
    one = study.of(summary, name)
    words = f"{_band_words(summary, name)}, {study.basis(summary, name)}.{_search_words(summary, name)}"
    if not latency:
        return f"{words} Latency {figures.ABSENT}: nothing was timed."
    counts = sorted({step["timed_queries"] for step in study.steps(one) if at(step, "timed_queries")})
    timed = " to ".join(dict.fromkeys(figures.count(count) for count in (*counts[:1], *counts[-1:]))) or figures.ABSENT
    return (
        f"{words} Latency: p50 of live queries with 95% intervals (upright lines), n = {timed} queries per depth; the "
        "hollow squares are composed from the parts and were not timed at that depth."
    )
