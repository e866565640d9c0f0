"""The few figures at the top of a report: extremes picked out of the summary, each with its interval and its n."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ragprof.report import figures
from ragprof.report.lookup import COST, METRIC, Summary, at, final_scores, pipelines, unpriced_stages


@dataclass(frozen=True, slots=True)
class Tile:
    """`pipeline` is whose figure it is; empty for a figure of the run."""

    label: str
    value: str
    unit: str
    note: str
    pipeline: str = ""


def tiles(summary: Summary) -> tuple[Tile, ...]:
    return (_quality(summary), _latency(summary), _cost(summary), _closure(summary), _basis(summary))


def _extreme(summary: Summary, read: Callable[[str], Any], pick: Callable[..., str]) -> tuple[str, bool]:
    """Whose value is picked, and whether there was another to pick; ("", False) where nobody has one."""
    values = {name: read(name) for name in pipelines(summary)}
    known = {name: float(value) for name, value in values.items() if value is not None}
    return (pick(known, key=known.__getitem__), len(known) > 1) if known else ("", False)


def _quality(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(final_scores(summary, name), METRIC, "mean"), max)
    estimate = at(final_scores(summary, name), METRIC)
    note = _interval_note(figures.span(at(estimate, "interval"), figures.score))
    label = f"Highest {METRIC}" if chosen else METRIC
    return Tile(label, figures.score(at(estimate, "mean")), "", note, name)


def _latency(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(pipelines(summary)[name], "end_to_end", "p50_ns"), min)
    latency = at(pipelines(summary), name, "end_to_end")
    note = _interval_note(figures.span(at(latency, "p50_interval_ns"), figures.duration))
    value, _, unit = figures.duration(at(latency, "p50_ns")).partition(" ")
    return Tile("Lowest latency p50" if chosen else "Latency p50", value, unit, note, name)


def _cost(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(pipelines(summary)[name], COST, "total"), min)
    if not name:
        return Tile("Cost of 1,000 queries", _no_total(pipelines(summary)), "", "no pipeline is fully priced")
    cost = at(pipelines(summary), name, COST)
    note = _interval_note(figures.span(at(cost, "interval"), figures.usd))
    label = "Lowest cost, 1,000 queries" if chosen else "Cost of 1,000 queries"
    return Tile(label, figures.usd(at(cost, "total")), "", note, name)


def _no_total(pipelines: Mapping[str, Any]) -> str:
    return figures.UNPRICED if any(unpriced_stages(pipeline) for pipeline in pipelines.values()) else figures.ABSENT


def _closure(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(pipelines(summary)[name], "closure"), min)
    overheads = [at(pipeline, "overhead") for pipeline in pipelines(summary).values()]
    measured = [overhead for overhead in overheads if overhead is not None]
    most = figures.share(max(measured)) if measured else figures.ABSENT
    value = figures.share(at(pipelines(summary), name, "closure"))
    note = f"of each query's time or more; profiler overhead at most {most}" if chosen else f"profiler overhead {most}"
    return Tile("Time accounted for", value, "", note)


def _basis(summary: Summary) -> Tile:
    docs, tokens = at(summary, "corpus", "docs"), at(summary, "corpus", "tokens")
    note = f"{figures.count(docs)} documents, {figures.rough_count(tokens)} tokens"
    return Tile("Measured on", figures.count(at(summary, "queries")), "queries", note)


def _interval_note(span: str) -> str:
    return f"95% interval {span}"
