"""Quality and cost against corpus size: a line a pipeline with its band, dashed where it is a forecast."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.growth.axes import Mark, Vertical, ends_of, estimate_mark, mark, near, size_scale, spelling
from ragprof.report.growth.lines import Axes, Line, line_specification, named_at_ends
from ragprof.report.lookup import COST, Summary, at, entries, interval
from ragprof.report.palette import SHAPES
from ragprof.report.theme import Chart, Key

_WIDER = " A forecast's band may leave the plot; the table has its ends."


def quality(summary: Summary) -> Chart | None:
    """The growth metric of the final ranking while every judged document is kept. None where nothing is judged."""
    metric = grown.metric(summary)

    def measured(name: str) -> list[Mark]:
        found = grown.points(summary, name)
        return [estimate_mark(one["size"], grown.score(summary, name, one), figures.score) for one in found]

    lines = _lines(summary, measured, metric, figures.score)
    if not lines:
        return None
    axes = _axes(lines, metric, "")
    caption = (
        f"{metric} of the final ranking, {grown.basis(summary)}; {grown.band_words(summary)}. Every judged document "
        f"is in every corpus here, which flatters the small sizes. {_forecast_words(summary, lines, metric, axes)}"
    )
    notes = tuple(f"{name}: {metric} {figures.ABSENT}" for name in _missing(summary, lines))
    return _chart("growth-quality", "Quality as the corpus grows", caption, lines, axes, notes)


def cost(summary: Summary) -> Chart | None:
    """Priced pipelines alone; the notes name the others. None where no pipeline has a total."""

    def measured(name: str) -> list[Mark]:
        found = [(one["size"], at(one, COST)) for one in grown.points(summary, name)]
        return [mark(size, at(one, "total"), interval(one, "interval"), figures.usd) for size, one in found]

    lines = _lines(summary, measured, COST, figures.usd)
    if not lines:
        return None
    axes = _axes(lines, "USD per 1,000 queries", "$")
    caption = (
        f"Cost of 1,000 queries on a real index of each size, {grown.timings(summary)}; bands are 95% intervals over "
        f"queries. {_forecast_words(summary, lines, COST, axes)}"
    )
    notes = tuple(_why_no_cost(summary, name) for name in _missing(summary, lines))
    return _chart("growth-cost", "Cost as the corpus grows", caption, lines, axes, notes)


def _chart(key: str, title: str, caption: str, lines: Sequence[Line], axes: Axes, notes: tuple[str, ...]) -> Chart:
    spec = line_specification(lines, axes)
    return Chart(key, title, caption.strip(), spec, notes, legend=_legend(lines))


def _lines(
    summary: Summary, measured: Callable[[str], list[Mark]], quantity: str, write: Callable[[Any], str]
) -> list[Line]:
    colours = grown.colours(summary)
    shapes = dict(zip(colours, itertools.cycle(SHAPES), strict=False))
    lines = []
    for name in grown.names(summary):
        marks = measured(name)
        if any(one.value is not None for one in marks):
            forecast = _forecast(summary, name, quantity, write)
            lines.append(Line(name, colours[name], shapes[name], tuple(marks), tuple(forecast)))
    return lines


def _forecast(summary: Summary, name: str, quantity: str, write: Callable[[Any], str]) -> list[Mark]:
    ahead = entries(grown.drawn_forecast(summary, name, quantity), "at")
    known = [one for one in ahead if at(one, "size") is not None]
    return [mark(one["size"], at(one, "value"), interval(one, "interval"), write) for one in known]


def _axes(lines: Sequence[Line], title: str, prefix: str) -> Axes:
    """Bands of forecasts may leave the plot: they would otherwise flatten what was measured."""
    measured = ends_of(one for line in lines for one in line.measured)
    ahead = [one.value for line in lines for one in line.forecast if one.value is not None]
    x = size_scale([one.x for line in lines for one in (*line.measured, *line.forecast)])
    y = near([*measured, *ahead])
    return Axes(x, Vertical(title, y, spelling(y, prefix)))


def _legend(lines: Sequence[Line]) -> tuple[Key, ...]:
    return () if named_at_ends(lines) else tuple(Key(line.name, line.colour, shape=line.shape) for line in lines)


def _missing(summary: Summary, lines: Sequence[Line]) -> list[str]:
    drawn = {line.name for line in lines}
    return [name for name in grown.names(summary) if name not in drawn]


def _why_no_cost(summary: Summary, name: str) -> str:
    reasons = grown.unpriced(grown.points(summary, name))
    return f"{name}: {figures.UNPRICED} ({'; '.join(reasons)})" if reasons else f"{name}: cost {figures.ABSENT}"


def _forecast_words(summary: Summary, lines: Sequence[Line], quantity: str, axes: Axes) -> str:
    """What is dashed, and for whom nothing is."""
    models = {at(grown.drawn_forecast(summary, line.name, quantity), "model") for line in lines if line.forecast}
    words = []
    if models:
        words.append(f"Dashed, with open points and a paler band: forecast ({', '.join(sorted(map(str, models)))}).")
    silent = grown.abstaining(summary, quantity)
    if silent:
        words.append(f"No forecast is drawn for {', '.join(silent)}: the models abstain.")
    wide = [end for line in lines for end in ends_of(line.forecast) if not axes.y.scale.low <= end <= axes.y.scale.high]
    return " ".join(words) + (_WIDER if wide else "")
