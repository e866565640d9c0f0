"""Where things are in `summary["growth"]`, and what its figures rest on in words. Every key may be missing or null.

A summary without growth reads as one without pipelines here. Nothing absent becomes 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ragprof.report import figures
from ragprof.report.lookup import COST, METRIC, Summary, at, entries, pipelines

Point: TypeAlias = Mapping[str, Any]
ALL_JUDGED, PROPORTIONAL = "all_judged", "proportional"
KINDS = {ALL_JUDGED: "random", **{kind: kind for kind in ("similar", "duplicate", "contradicting", "foreign")}}
CAUSES = (ALL_JUDGED, PROPORTIONAL)
TOLD_APART = ("duplicate", "contradicting")


def names(summary: Summary) -> list[str]:
    """Pipelines that grew, in the order of the summary."""
    grown = at(summary, "growth", "pipelines") or {}
    known = [name for name in pipelines(summary) if name in grown]
    return known + [name for name in grown if name not in known]


def metric(summary: Summary) -> str:
    return str(at(summary, "growth", "metric") or METRIC)


def points(summary: Summary, name: str, curve: str = ALL_JUDGED) -> list[Point]:
    """The curve's points in rising size; those without a size cannot be placed and are left out."""
    found = entries(summary, "growth", "pipelines", name, curve)
    return sorted((point for point in found if at(point, "size") is not None), key=lambda point: int(point["size"]))


def curve_names(summary: Summary) -> list[str]:
    """In the drawing order of the summary, then whatever else some pipeline has."""
    found = {curve: None for name in names(summary) for curve in at(summary, "growth", "pipelines", name) or {}}
    return list(dict.fromkeys([*(at(summary, "growth", "curves") or {}), *found]))


def sizes_of(summary: Summary, name: str) -> list[int]:
    """The sizes of the curve that keeps every judged document."""
    return [int(point["size"]) for point in points(summary, name)]


def sizes(summary: Summary) -> list[int]:
    """The same over all pipelines."""
    return sorted({size for name in names(summary) for size in sizes_of(summary, name)})


def landmarks(found: Sequence[Any]) -> list[Any]:
    """First, middle and last, each once."""
    places = dict.fromkeys((0, len(found) // 2, len(found) - 1)) if found else {}
    return [found[place] for place in sorted(places)]


def point_of_size(summary: Summary, name: str, size: int, curve: str = ALL_JUDGED) -> Point:
    """The curve's point of that size; empty where there is none."""
    return next((point for point in points(summary, name, curve) if point["size"] == size), {})


def final_stage(summary: Summary, name: str) -> str:
    """Where the pipeline's ranking is final: after the reranker, where it has one."""
    curves = at(summary, "growth", "pipelines", name) or {}
    reranked = (at(point, "scores", "rerank") for found in curves.values() for point in found or ())
    return "rerank" if any(reranked) else "search"


def score(summary: Summary, name: str, point: Point, wanted: str | None = None) -> Any:
    """The estimate of the growth metric (or another) in the pipeline's final ranking, or None."""
    return at(point, "scores", final_stage(summary, name), wanted or metric(summary))


def change(summary: Summary, name: str, size: int) -> Any:
    """The estimate of the change since the smallest size, or None."""
    return at(point_of_size(summary, name, size), "change")


def of_size(rows: Sequence[Mapping[str, Any]], size: int) -> Mapping[str, Any]:
    """The row of that size; empty where there is none."""
    return next((row for row in rows if at(row, "size") == size), {})


def losses(summary: Summary, name: str) -> list[Mapping[str, Any]]:
    """The decomposed losses in rising size."""
    found = [row for row in entries(summary, "growth", "loss", name) if at(row, "size") is not None]
    return sorted(found, key=lambda row: int(row["size"]))


def loss_metric(summary: Summary) -> str:
    """The metric whose loss is decomposed."""
    found = (row for name in names(summary) for row in losses(summary, name))
    return next((str(row["metric"]) for row in found if at(row, "metric")), metric(summary))


def forecasts(summary: Summary, name: str) -> list[Mapping[str, Any]]:
    return [found for found in entries(summary, "growth", "forecast") if at(found, "pipeline") == name]


def targets(forecast: Mapping[str, Any]) -> list[int]:
    """The sizes that it speaks of."""
    return [int(one["size"]) for one in entries(forecast, "at") if at(one, "size") is not None]


def drawn_forecast(summary: Summary, name: str, quantity: str) -> Mapping[str, Any]:
    """The forecast that the study prefers, else the first that does not abstain; empty if none."""
    found = [one for one in forecasts(summary, name) if at(one, "quantity") == quantity and given(one)]
    return min(found, key=lambda one: not at(one, "preferred"), default={})


def abstaining(summary: Summary, quantity: str) -> list[str]:
    """Pipelines for which this quantity was to be forecast, without an answer because models abstain."""
    silent = {
        at(one, "pipeline")
        for one in entries(summary, "growth", "forecast")
        if at(one, "quantity") == quantity and at(one, "abstained")
    }
    return [name for name in names(summary) if name in silent and not drawn_forecast(summary, name, quantity)]


def given(forecast: Mapping[str, Any]) -> bool:
    return not at(forecast, "abstained") and bool(entries(forecast, "at"))


def unpriced(found: Sequence[Point]) -> list[str]:
    """Why the points have no total cost, each reason once."""
    return list(dict.fromkeys(reason for point in found for reason in entries(point, COST, "unpriced")))


def basis(summary: Summary) -> str:
    """What a quality figure of the growth study rests on: n and the orders."""
    queries, orders = at(summary, "queries"), at(summary, "growth", "orders")
    n = f"n {figures.ABSENT}" if queries is None else f"n = {figures.count(queries)} queries"
    if orders is None:
        return n
    return f"{n}, {figures.count(orders)} order{'' if orders == 1 else 's'} of the documents"


def band_words(summary: Summary) -> str:
    """What the bands cover; one order cannot tell how much the order matters."""
    orders = at(summary, "growth", "orders")
    if orders == 1:
        return "bands are 95% intervals over queries; one order says nothing of how much the order matters"
    return f"bands are 95% intervals over queries{'' if orders is None else ' and orders'}"


def timings(summary: Summary) -> str:
    """What an end-to-end figure rests on."""
    points_of_all = (point for name in names(summary) for point in points(summary, name))
    counts = sorted({at(point, "end_to_end", "n") for point in points_of_all} - {None})
    if not counts:
        return f"n {figures.ABSENT}"
    ends = dict.fromkeys(figures.count(count) for count in (counts[0], counts[-1]))
    return f"n = {' to '.join(ends)} timings per pipeline and size"
