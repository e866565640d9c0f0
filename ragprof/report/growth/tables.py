"""Tables of growth: pipelines at a glance, evidence against distractors, kinds of distractors, losses.

Rows are the smallest, the middle and the largest corpus; the charts have the sizes between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.lookup import Summary, at, entries, judged_beside
from ragprof.report.palette import CONTEXT, LOSSES
from ragprof.report.pipeline_tables import judged_cell, quantile_cell, score_cell, total_cell
from ragprof.report.tables import Cell, Column, Row, Table, figure, group

PIPELINE, SIZE = Column("Pipeline", numeric=False), Column("Passages")
_FLATTERED = "Every judged document is in every corpus, which flatters the small sizes."


def glance(summary: Summary) -> Table:
    """Quality, what the context is worth, latency and money, while every judged document is kept."""
    metric, precision = grown.metric(summary), _precision(summary)
    columns = (
        *(PIPELINE, SIZE),
        *(Column(metric, "final ranking"), Column(judged_beside(metric), quiet=True)),
        *(Column("Change", "from the smallest"), Column(precision, "final ranking")),
        *(Column("Relevant", "of injected tokens"), Column("p50", "end to end"), Column("Cost", "per 1,000 queries")),
    )
    rows = rows_by_size(summary, lambda name, size: _glance_cells(summary, name, size, precision))
    note = f"Small figures are 95% intervals; {grown.basis(summary)}. {_FLATTERED}"
    return Table("growth-glance", "Growth at a glance", columns, rows, note)


def _precision(summary: Summary) -> str:
    """P@5, else the precision with the smallest cutoff."""
    cutoffs = sorted(entries(summary, "growth", "cutoffs"))
    return f"P@{5 if 5 in cutoffs or not cutoffs else cutoffs[0]}"


def rows_by_size(summary: Summary, cells: Callable[[str, int], tuple[Cell, ...]]) -> tuple[Row, ...]:
    """A group a pipeline, a row a size."""
    rows = []
    for name in grown.names(summary):
        chosen = grown.landmarks(grown.sizes_of(summary, name))
        rows += group(Cell(name, pipeline=name), [cells(name, size) for size in chosen])
    return tuple(rows)


def _glance_cells(summary: Summary, name: str, size: int, precision: str) -> tuple[Cell, ...]:
    point = grown.point_of_size(summary, name, size)
    scores = at(point, "scores", grown.final_stage(summary, name)) or {}
    metric = grown.metric(summary)
    return (
        figure(figures.count(size)),
        *(score_cell(scores, metric), judged_cell(scores, metric), _change_cell(summary, name, size)),
        *(score_cell(scores, precision), _share_cell(point, "relevant")),
        *(quantile_cell(at(point, "end_to_end"), "p50"), total_cell(point)),
    )


def _change_cell(summary: Summary, name: str, size: int) -> Cell:
    """What distractors took, with its sign turned: falling is negative."""
    if size == grown.sizes_of(summary, name)[0]:
        return Cell(figures.DASH, tone="quiet")
    return _estimate_cell(grown.change(summary, name, size), figures.difference)


def _estimate_cell(estimate: Any, write: Callable[[Any], str]) -> Cell:
    return figure(write(at(estimate, "mean")), figures.span(at(estimate, "interval"), write))


def _share_cell(point: Mapping[str, Any], kind: str) -> Cell:
    return _estimate_cell(at(point, "context_share", kind), figures.share)


def evidence(summary: Summary) -> Table:
    """Both causes at each size. No rows where only one curve was recorded."""
    metric = grown.metric(summary)
    columns = (
        *(PIPELINE, SIZE, Column("Relevant documents", "in the corpus")),
        *(Column(metric, "all judged kept"), Column(metric, "in proportion")),
        *(Column("Taken by distractors", "since the smallest"), Column("Missing evidence", "at this size")),
    )
    known = any(grown.points(summary, name, grown.PROPORTIONAL) for name in grown.names(summary))
    rows = rows_by_size(summary, lambda name, size: _evidence_cells(summary, name, size)) if known else ()
    note = (
        f"Small figures are 95% intervals; {grown.basis(summary)}. The share of relevant documents is that of the "
        "corpus into which judged documents enter in proportion."
    )
    return Table("growth-evidence", "More distractors or more evidence", columns, rows, note)


def _evidence_cells(summary: Summary, name: str, size: int) -> tuple[Cell, ...]:
    kept, drawn = (grown.point_of_size(summary, name, size, curve) for curve in grown.CAUSES)
    split = grown.of_size(entries(summary, "growth", "evidence", name), size)
    return (
        *(figure(figures.count(size)), _estimate_cell(at(drawn, "coverage"), figures.share)),
        *(_estimate_cell(grown.score(summary, name, point), figures.score) for point in (kept, drawn)),
        *(_estimate_cell(at(split, cause), figures.difference) for cause in ("distractors", "missing_evidence")),
    )


def kinds(summary: Summary) -> Table:
    """A row a kind of distractor at the largest size that it reaches."""
    metric = grown.metric(summary)
    columns = (
        *(PIPELINE, Column("Distractors", numeric=False), Column("Passages", "largest size")),
        *(Column(metric, "final ranking"), Column(judged_beside(metric), quiet=True), Column("Change", "of the means")),
        *(Column("Relevant", "of injected tokens"), Column("Of that kind", "of injected tokens")),
    )
    rows = [row for name in grown.names(summary) for row in _kind_rows(summary, name)]
    note = (
        f"Small figures are 95% intervals; {grown.basis(summary)}. Change: this mean minus that of the smallest "
        "corpus, both shown in the chart; it has no interval of its own. Only copies and contradictions are told "
        "apart in the prompt."
    )
    return Table("growth-kinds", "Kinds of distractors", columns, tuple(rows), note)


def _kind_rows(summary: Summary, name: str) -> list[Row]:
    found = {kind: grown.points(summary, name, curve) for curve, kind in grown.KINDS.items()}
    cells = [_kind_cells(summary, name, kind, points) for kind, points in found.items() if points]
    return group(Cell(name, pipeline=name), cells)


def _kind_cells(summary: Summary, name: str, kind: str, points: list[grown.Point]) -> tuple[Cell, ...]:
    last, metric = points[-1], grown.metric(summary)
    scores = at(last, "scores", grown.final_stage(summary, name)) or {}
    own = _share_cell(last, kind) if kind in grown.TOLD_APART else Cell(figures.DASH, tone="quiet")
    return (
        *(Cell(kind), figure(figures.count(last["size"])), score_cell(scores, metric), judged_cell(scores, metric)),
        *(_estimate_cell(at(last, "change"), figures.difference), _share_cell(last, "relevant"), own),
    )


def context(summary: Summary) -> Table:
    """What the injected tokens are, for each kind of distractor at the largest size that it reaches."""
    columns = (
        *(PIPELINE, Column("Distractors", numeric=False), Column("Passages", "largest size")),
        *(Column(part.capitalize(), "of injected tokens") for part in CONTEXT),
    )
    rows = [row for name in grown.names(summary) for row in _context_rows(summary, name)]
    note = f"Small figures are 95% intervals; {grown.basis(summary)}. Unjudged is not irrelevant."
    return Table("growth-context", "What the injected tokens are worth", columns, tuple(rows), note)


def _context_rows(summary: Summary, name: str) -> list[Row]:
    found = {kind: grown.points(summary, name, curve) for curve, kind in grown.KINDS.items()}
    cells = [_context_cells(kind, points[-1]) for kind, points in found.items() if points]
    return group(Cell(name, pipeline=name), cells)


def _context_cells(kind: str, last: grown.Point) -> tuple[Cell, ...]:
    return (Cell(kind), figure(figures.count(last["size"])), *(_share_cell(last, part) for part in CONTEXT))


def loss(summary: Summary) -> Table:
    """Where quality is lost at the smallest and at the largest size."""
    columns = (PIPELINE, SIZE, *(Column(part.capitalize()) for part in LOSSES), Column("Total"))
    rows = []
    for name in grown.names(summary):
        found = grown.losses(summary, name)
        ends = grown.landmarks(found)[:: 2 if len(found) > 2 else 1]
        rows += group(Cell(name, pipeline=name), [_loss_cells(row) for row in ends])
    note = (
        f"{grown.loss_metric(summary)}; positive is lost, negative is won. Small figures are 95% intervals; "
        f"{grown.basis(summary)}. n/a: not measured, or the pipeline has no such part."
    )
    return Table("growth-loss", "Where quality is lost", columns, tuple(rows), note)


def _loss_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (figure(figures.count(row["size"])), *(_loss_cell(row, part) for part in (*LOSSES, "total")))


def _loss_cell(row: Mapping[str, Any], part: str) -> Cell:
    ends = at(row, f"{part}_interval")
    note = figures.span(ends, figures.difference) if ends is not None else ""
    return figure(figures.difference(at(row, part)), note)
