"""Tables of growth about effort: time, builds and memory at each size, what grew, and the work that was done."""

from __future__ import annotations

from typing import Any

from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.growth.tables import PIPELINE, SIZE, rows_by_size
from ragprof.report.lookup import Summary, at
from ragprof.report.pipeline_tables import quantile_cell
from ragprof.report.tables import Cell, Column, Row, Table, figure


def resources(summary: Summary) -> Table:
    """Live timings, builds and memory. No rows without any."""
    columns = (
        *(PIPELINE, SIZE, Column("p50", "end to end"), Column("p95", "end to end"), Column("Build", "time")),
        *(Column("Index", "size"), Column("Build memory", "peak"), Column("Prompt", "tokens per query")),
    )
    points = (point for name in grown.names(summary) for point in grown.points(summary, name))
    known = any(at(point, "end_to_end") or at(point, "build") for point in points)
    rows = rows_by_size(summary, lambda name, size: _resource_cells(summary, name, size)) if known else ()
    note = f"On a real index of each size, {grown.timings(summary)}. Small figures are 95% intervals."
    return Table("growth-resources", "Time, builds and memory", columns, rows, note)


def _resource_cells(summary: Summary, name: str, size: int) -> tuple[Cell, ...]:
    point = grown.point_of_size(summary, name, size)
    build, prompt = at(point, "build"), at(point, "prompt_tokens")
    return (
        *(figure(figures.count(size)), quantile_cell(at(point, "end_to_end"), "p50")),
        *(quantile_cell(at(point, "end_to_end"), "p95"), figure(figures.duration(at(build, "duration_ns")))),
        *(figure(figures.size(at(build, "index_bytes"))), figure(figures.size(at(build, "peak_rss_bytes")))),
        figure(figures.mean_count(at(prompt, "mean")), figures.span(at(prompt, "interval"), figures.mean_count)),
    )


def curves(summary: Summary) -> Table:
    """What grows in each curve, and which of them flatters."""
    columns = (
        Column("Curve", numeric=False),
        Column("What grows", numeric=False),
        Column("Small sizes", numeric=False),
    )
    described = at(summary, "growth", "curves") or {}
    rows = tuple(Row(_curve_cells(curve, described.get(curve))) for curve in grown.curve_names(summary))
    return Table("growth-curves", "What grows", columns, rows)


def _curve_cells(curve: str, described: Any) -> tuple[Cell, ...]:
    flatters = at(described, "flatters")
    words = {True: "flattered", False: "not flattered"}
    verdict = figure(figures.ABSENT) if flatters is None else Cell(words[bool(flatters)], tone="quiet")
    return (Cell(curve.replace("_", " ")), figure(figures.text(at(described, "what"))), verdict)


def work(summary: Summary) -> Table:
    """What the study computed and what it could reuse."""
    study = at(summary, "growth") or {}
    kept = {f"kept_{what}": count for what, count in (at(study, "kept") or {}).items()}
    plan = {
        key: at(study, key) for key in ("seed", "orders", "sizes", "depths", "cutoffs") if at(study, key) is not None
    }
    facts = {**plan, **kept, **(at(study, "work") or {})}
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    rows = tuple(Row((Cell(key.replace("_", " ").capitalize()), figure(_fact(value)))) for key, value in facts.items())
    return Table("growth-work", "Work done", columns, rows)


def _fact(value: Any) -> str:
    return ", ".join(map(figures.text, value)) if isinstance(value, list | tuple) else figures.text(value)
