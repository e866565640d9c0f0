"""What several tables and charts of growth ask of its section, and in words what its figures rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ragprof.report import figures
from ragprof.studies.contract import EstimateValue
from ragprof.studies.growth.section import Forecast, GrowthPoint, GrowthSection

ALL_JUDGED, PROPORTIONAL = "all_judged", "proportional"
KINDS = {ALL_JUDGED: "random", **{kind: kind for kind in ("similar", "duplicate", "contradicting", "foreign")}}
ItemT = TypeVar("ItemT")


def points(section: GrowthSection, name: str, curve: str = ALL_JUDGED) -> list[GrowthPoint]:
    """The curve's points in rising size; empty where it was not recorded."""
    return section.pipelines[name].get(curve, [])


def landmarks(found: Sequence[ItemT]) -> list[ItemT]:
    """First, middle and last, each once."""
    places = {0, len(found) // 2, len(found) - 1} if found else set()
    return [found[place] for place in sorted(places)]


def final_stage(section: GrowthSection, name: str) -> str:
    """Where the pipeline's ranking is final: after the reranker, where it has one."""
    return "rerank" if any("rerank" in point.scores for point in points(section, name)) else "search"


def score(section: GrowthSection, name: str, point: GrowthPoint) -> EstimateValue | None:
    """The growth metric of the pipeline's final ranking."""
    return point.scores.get(final_stage(section, name), {}).get(section.metric)


def answer(section: GrowthSection) -> str:
    """What the largest corpus does to the leading metric, or without judgements to the latency."""
    ends = {name: (found[0], found[-1]) for name in section.pipelines if len(found := points(section, name)) > 1}
    if not ends:
        return ""
    sizes = " to ".join(figures.count(end.size) for end in next(iter(ends.values())))
    changes = {name: last.change for name, (_, last) in ends.items() if section.judged and last.change is not None}
    if told := figures.from_least_to_most(changes, figures.difference):
        return f"From {sizes} passages {section.metric} changes by {told}."
    latest = {
        name: (first.end_to_end.p50_ns, last.end_to_end.p50_ns)
        for name, (first, last) in ends.items()
        if first.end_to_end and last.end_to_end and not last.latency_withheld
    }
    if not latest:
        return ""
    slowest = max(latest, key=lambda name: latest[name][1])
    before, after = map(figures.duration, latest[slowest])
    return f"From {sizes} passages the slowest pipeline, {slowest}, goes from {before} to {after} at p50."


def drawn_forecast(section: GrowthSection, name: str, quantity: str) -> Forecast | None:
    """The forecast that the study prefers, else the first that does not abstain."""
    found = [one for one in section.forecast if (one.pipeline, one.quantity) == (name, quantity) and one.at]
    return min(found, key=lambda one: not one.preferred, default=None)


def abstaining(section: GrowthSection, quantity: str) -> list[str]:
    """Pipelines for which this quantity was to be forecast, without an answer because models abstain."""
    silent = {one.pipeline for one in section.forecast if one.quantity == quantity and one.abstained}
    return [name for name in section.pipelines if name in silent and not drawn_forecast(section, name, quantity)]


def withheld(section: GrowthSection) -> dict[str, str]:
    """Pipeline and size -> why no sentence rests on its live times. Empty where the machine was quiet."""
    return {
        f"{name} at {figures.count(point.size)}": point.latency_withheld
        for name in section.pipelines
        for point in points(section, name)
        if point.latency_withheld
    }


def basis(section: GrowthSection) -> str:
    """What a quality figure rests on: n and the orders."""
    n = max((point.prompt_tokens.n for name in section.pipelines for point in points(section, name)), default=0)
    return f"n = {figures.counted(n, 'query')}, {figures.counted(section.orders, 'order')} of the documents"


def band_words(section: GrowthSection) -> str:
    """What the bands cover; one order cannot tell how much the order matters."""
    if section.orders == 1:
        return "bands are 95% intervals over queries; one order says nothing of how much the order matters"
    return "bands are 95% intervals over queries and orders"


def timings(section: GrowthSection) -> str:
    """What an end-to-end figure rests on."""
    live = [point.end_to_end for name in section.pipelines for point in points(section, name)]
    counts = [one.n for one in live if one is not None]
    return f"n = {figures.between(counts, 'timing')} per pipeline and size" if counts else f"n {figures.ABSENT}"


def loss_words(part: str) -> str:
    """What a reader calls a part of the loss. Not every search embeds: BM25 loses by how it scores words."""
    return "scoring" if part == "embedding" else part
