"""Tables of the determinism audit: what repeats, what differs and by how much, and what ties leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import Summary, at, entries, pipelines
from ragprof.report.tables import PIPELINE, Cell, Column, Row, Table, figure, group
from ragprof.report.terminal import INDENT, absent, bullets, empty_table, styled


def stages(summary: Summary) -> Table:
    """A row a stage and what was repeated of it."""
    columns = (
        *(PIPELINE, Column("Stage", numeric=False), Column("What", numeric=False), Column("Checked", "queries")),
        *(Column("Outcome", numeric=False), Column("Largest difference"), Column("Quality shift", "of the mean")),
        Column("Note", numeric=False),
    )
    rows: list[Row] = []
    for name in audited(summary):
        found = [_stage_cells(one) for one in entries(summary, "audit", "pipelines", name, "stages")]
        rows += group(Cell(name, pipeline=name), found)
    return Table("audit-stages", "What repeats exactly and what does not", columns, tuple(rows), audit_basis(summary))


def audit_basis(summary: Summary) -> str:
    """What the audit rests on; empty where it does not say."""
    times, queries = at(summary, "audit", "times"), at(summary, "audit", "queries")
    if times is None and queries is None:
        return ""
    return f"{figures.count(queries)} queries, each {figures.count(times)} times through every stage."


def _stage_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    largest, shift, share = (at(found, key) for key in ("largest_difference", "quality_shift", "share"))
    explained = "" if share is None else f"{figures.share(share)} of the interval"
    return (
        *(figure(figures.text(at(found, "stage"))), figure(figures.text(at(found, "what")))),
        *(figure(figures.count(at(found, "checked"))), outcome(found)),
        _or_dash(largest),
        *((figure(signed(shift, tiny), explained),) if shift else (_or_dash(shift),)),
        Cell(str(at(found, "note") or ""), tone="quiet"),
    )


def _or_dash(value: float | None) -> Cell:
    return Cell(figures.DASH, tone="quiet") if value is None else figure(tiny(value))


def outcome(found: Mapping[str, Any]) -> Cell:
    """identical, or how many differ."""
    identical, differing = at(found, "identical"), at(found, "differing")
    if identical or (identical is None and differing == 0):
        return Cell("identical", tone="quiet")
    if differing is None:
        return figure(figures.ABSENT) if identical is None else Cell("differs", tone="worse")
    return Cell(f"{figures.count(differing)} of {figures.count(at(found, 'checked'))} differ", tone="worse")


def tiny(value: float | None) -> str:
    """Three digits; in powers of ten where they would stand far behind the point."""
    if value is None:
        return figures.ABSENT
    if value != 0 and abs(value) < 0.0001:
        return f"{value:.1e}".replace("e-0", "e-").replace("-", figures.MINUS)
    return figures.three_digits(value)


def quality(summary: Summary) -> Table:
    """Ties at the cut, and how much of the quality interval repeating explains."""
    metric = _metric(summary)
    columns = (
        *(PIPELINE, Column("Ties at the cut", "queries"), Column("Ties at the cut", "share")),
        *(Column(metric, "spread over repetitions"), Column(metric, "width of its 95% interval")),
        Column("Explained", "of the interval"),
    )
    found = {name: at(summary, "audit", "pipelines", name) for name in audited(summary)}
    known = {name: one for name, one in found.items() if at(one, "ties") or at(one, "quality")}
    rows = tuple(Row(_quality_cells(name, one)) for name, one in known.items())
    note = (
        "A tie at the cut: equal scores on both sides of the last place that counts, so that which document gets in is "
        "a matter of order. Explained: the spread over repetitions as a share of the interval over queries."
    )
    return Table("audit-quality", "What that does to quality", columns, rows, note)


def _metric(summary: Summary) -> str:
    found = {at(summary, "audit", "pipelines", name, "quality", "metric") for name in audited(summary)} - {None}
    return str(found.pop()) if len(found) == 1 else "Quality"


def _quality_cells(name: str, found: Mapping[str, Any]) -> tuple[Cell, ...]:
    ties, spread = at(found, "ties"), at(found, "quality")
    return (
        *(Cell(name, pipeline=name), figure(figures.count(at(ties, "queries")), _where(ties))),
        figure(figures.share(at(ties, "share"))),
        *(figure(tiny(at(spread, "spread"))), figure(figures.score(at(spread, "interval_width")))),
        figure(figures.share(at(spread, "share"))),
    )


def _where(ties: Any) -> str:
    """Which of the two cuts the ties go through; empty where there is none."""
    found = {"at the depth": at(ties, "at_depth"), "at k": at(ties, "at_k")}
    return ", ".join(f"{figures.count(count)} {place}" for place, count in found.items() if count)


_REPEATED = "repeated"


def audit_table(summary: Summary) -> RenderableType:
    """A line a pipeline and stage, then what was found. One line where nothing was audited."""
    if not audited(summary):
        return absent("no determinism audit in this summary")
    basis = audit_basis(summary)
    lines = [*bullets(entries(summary, "audit", "statements")), *([Text(basis, style="dim")] if basis else [])]
    return Group(_stages(summary), *(Padding(line, INDENT) for line in lines))


def _stages(summary: Summary) -> RichTable:
    table = empty_table()
    for title in ("stage", "what", "outcome"):
        table.add_column(title, overflow="fold")
    table.add_column("largest\ndifference", justify="right", no_wrap=True)
    for name in audited(summary):
        shown = name
        for row in _stage_rows(entries(summary, "audit", "pipelines", name, "stages")):
            table.add_row(Text(shown), *row)
            shown = ""
    return table


def _stage_rows(checks: Sequence[Mapping[str, Any]]) -> list[list[Text]]:
    """What differs, a row each; what does not shares one."""
    same = [found for found in checks if outcome(found).text == "identical"]
    rows = [_stage_row(found) for found in checks if found not in same]
    if not same:
        return rows
    many = f"{len(same)} check{'' if len(same) == 1 else 's'}"
    which = "others" if rows else "all"
    return [*rows, [Text(which), Text(many), Text("identical", style="dim"), Text(figures.DASH)]]


def _stage_row(found: Mapping[str, Any]) -> list[Text]:
    variant, largest = at(found, "variant"), at(found, "largest_difference")
    what = figures.text(at(found, "what"))
    words = what if variant in (None, _REPEATED) else str(variant)
    difference = Text(figures.DASH if largest is None else tiny(largest))
    return [Text(figures.text(at(found, "stage"))), Text(words), styled(outcome(found)), difference]


AUDIT = (stages, quality)


def audited(summary: Summary) -> list[str]:
    """Pipelines whose determinism was audited, in the order of the summary."""
    every = at(summary, "audit", "pipelines") or {}
    found = [name for name, one in every.items() if any(at(one, part) for part in ("stages", "ties", "quality"))]
    known = [name for name in pipelines(summary) if name in found]
    return known + [name for name in found if name not in known]
