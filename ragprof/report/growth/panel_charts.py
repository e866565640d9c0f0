"""Charts of growth with a panel a pipeline: the two causes, the kinds of distractors, and the reranker's depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.growth.axes import Mark, Vertical, ends_of, estimate_mark, near, size_axis, size_scale, spelling
from ragprof.report.growth.panels import Series, lines_panel
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.palette import DASHES, INK, KINDS, SHAPES
from ragprof.report.scales import linear
from ragprof.report.theme import Chart, Key, Panel

Lines = dict[Series, list[Mark]]
_CAUSES = {
    grown.ALL_JUDGED: ("solid", "circle", "more distractors: every judged document is kept (flatters small sizes)"),
    grown.PROPORTIONAL: ("dashed", "square", "evidence grows too: judged documents enter in proportion"),
}
_DEPTH_DASHES = ("dotted", "dashed", "solid")


def causes(summary: Summary) -> Chart | None:
    """Keeping every judged document against letting them enter in proportion. None without the second curve."""
    colours = grown.colours(summary)
    panels = {name: _cause_lines(summary, name, colours[name]) for name in grown.names(summary)}
    panels = {name: lines for name, lines in panels.items() if len(lines) == len(_CAUSES)}
    caption = (
        f"{grown.metric(summary)} of the final ranking, {grown.basis(summary)}; {grown.band_words(summary)}. "
        "Keeping every judged document flatters the small sizes: all the evidence is there and few passages compete "
        "with it. Where judged documents enter in proportion, small corpora lack evidence. The solid line's fall is "
        "what distractors take; the gap between the lines is evidence that is missing."
    )
    legend = tuple(Key(words, INK, DASHES[dash], shape) for dash, shape, words in _CAUSES.values())
    return _size_chart(summary, "growth-causes", "More distractors or more evidence", caption, panels, legend)


def _cause_lines(summary: Summary, name: str, colour: str) -> Lines:
    return _present(
        {
            Series(curve, colour, DASHES[dash], shape): _marks(summary, name, curve)
            for curve, (dash, shape, _) in _CAUSES.items()
        }
    )


def kinds(summary: Summary) -> Chart | None:
    """A line a kind of distractor. None where the corpus grew by random passages alone."""
    looks = dict(zip(grown.KINDS, zip(DASHES.values(), SHAPES, strict=False), strict=True))
    panels = {
        name: _present(
            {
                Series(kind, KINDS[kind], *looks[curve]): _marks(summary, name, curve)
                for curve, kind in grown.KINDS.items()
            }
        )
        for name in grown.names(summary)
    }
    panels = {name: lines for name, lines in panels.items() if len(lines) > 1}
    present = {series: None for lines in panels.values() for series in lines}
    caption = (
        f"{grown.metric(summary)} of the final ranking, {grown.basis(summary)}; {grown.band_words(summary)}. All "
        "lines set out from the same smallest corpus, then only that kind of passage enters; a line ends where there "
        "are no more of its kind."
    )
    legend = tuple(series.key for series in present)
    return _size_chart(summary, "growth-kinds", "What kind of distractor hurts", caption, panels, legend)


def depth(summary: Summary) -> Chart | None:
    """The metric against how many candidates the reranker sees, a line a size. None where no depth was varied."""
    sizes = grown.landmarks(grown.sizes(summary))
    names = [name for name in grown.names(summary) if grown.final_stage(summary, name) == "rerank"]
    panels = {name: _depth_lines(summary, name, sizes) for name in names}
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None
    values = _ends(panels)
    depths = [one.x for lines in panels.values() for marks in lines.values() for one in marks]
    x = _depth_axis(sorted(set(depths)))
    y = Vertical(grown.metric(summary), near(values), spelling(near(values)))
    caption = (
        f"{grown.metric(summary)} of the final ranking when the reranker sees that many candidates, a line a corpus "
        f"size, {grown.basis(summary)}; {grown.band_words(summary)}. Every judged document is in every corpus."
    )
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    keys = {series.name: replace(series.key, colour=INK) for lines in panels.values() for series in lines}
    legend = tuple(keys.values())
    return Chart("growth-depth", "How deep reranking pays", caption, {}, panels=drawn, legend=legend)


def _depth_lines(summary: Summary, name: str, sizes: list[int]) -> Lines:
    colour = grown.colours(summary)[name]
    looks = zip(sizes, _DEPTH_DASHES[-len(sizes) :], SHAPES, strict=False)
    return _present(
        {
            Series(f"{figures.count(size)} passages", colour, DASHES[dash], shape): _depth_marks(summary, name, size)
            for size, dash, shape in looks
        }
    )


def _depth_marks(summary: Summary, name: str, size: int) -> list[Mark]:
    found = entries(grown.point_of_size(summary, name, size), "by_depth")
    known = [one for one in found if at(one, "depth") is not None]
    metric = grown.metric(summary)
    return [estimate_mark(one["depth"], at(one, "scores", metric), figures.score) for one in known]


def _depth_axis(depths: list[float]) -> Any:
    scale = linear(depths, margin=0.06)
    axis = alt.Axis(values=depths, format="~d", grid=False, labelOverlap="greedy")
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.X("x:Q", title="Candidates that the reranker sees", axis=axis, scale=domain)


def _marks(summary: Summary, name: str, curve: str) -> list[Mark]:
    found = grown.points(summary, name, curve)
    return [estimate_mark(one["size"], grown.score(summary, name, one), figures.score) for one in found]


def _present(lines: Lines) -> Lines:
    """Lines with at least one value."""
    return {series: marks for series, marks in lines.items() if any(one.value is not None for one in marks)}


def _ends(panels: Mapping[str, Lines]) -> list[float]:
    return ends_of(one for lines in panels.values() for marks in lines.values() for one in marks)


def _size_chart(
    summary: Summary, key: str, title: str, caption: str, panels: Mapping[str, Lines], legend: tuple[Key, ...]
) -> Chart | None:
    """Panels with the same axes, so that pipelines can be compared. None without panels."""
    if not panels:
        return None
    marks = [one for lines in panels.values() for found in lines.values() for one in found]
    x, scale = size_axis(size_scale([one.x for one in marks])), near(ends_of(marks))
    y = Vertical(grown.metric(summary), scale, spelling(scale))
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    metric = grown.metric(summary)
    notes = tuple(f"{name}: {metric} {figures.ABSENT}" for name in grown.names(summary) if name not in panels)
    return Chart(key, title, caption, {}, notes, panels=drawn, legend=legend)
