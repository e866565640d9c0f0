"""The audit in the report and on a terminal: what repeats, what differs and by how much, and what ties leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import ReportPart, Sentences
from ragprof.report.figures import signed
from ragprof.report.tables import PIPELINE, Cell, Column, Row, Table, figure, group
from ragprof.studies.audit.checks import REPEATED
from ragprof.studies.audit.section import AuditSection, StageCheck
from ragprof.studies.contract import Context

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(section: AuditSection, _context: Context) -> list[ReportPart]:
    """One part: what was found in sentences, then both tables."""
    blocks = (Sentences(section.statements), stages(section), quality(section))
    return [ReportPart("audit", "Does it repeat?", blocks, link="Audit")]


def stages(section: AuditSection) -> Table:
    """One row per stage and way in which its work was done again."""
    columns = (
        *(PIPELINE, Column("Stage", numeric=False), Column("What", numeric=False), Column("Checked", "queries")),
        *(Column("Outcome", numeric=False), Column("Largest difference"), Column("Quality shift", "of the mean")),
        Column("Note", numeric=False, extra=True),
    )
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        rows += group(Cell(name, pipeline=name), [_stage_cells(one) for one in pipeline.stages])
    return Table("audit-stages", "What repeats exactly and what does not", columns, tuple(rows), basis(section))


def basis(section: AuditSection) -> str:
    """What the audit rests on."""
    queries = figures.counted(section.queries, "query", "queries")
    return f"{queries}, each {figures.count(section.times)} times through every stage."


def _stage_cells(found: StageCheck) -> tuple[Cell, ...]:
    dash = Cell(figures.DASH, tone="quiet")
    largest = dash if found.largest_difference is None else figure(tiny(found.largest_difference))
    shift = dash if found.quality_shift is None else figure(tiny(found.quality_shift))
    if found.quality_shift:
        explained = "" if found.share is None else f"{figures.share(found.share)} of the interval"
        shift = figure(signed(found.quality_shift, tiny), explained)
    checked = figure(figures.count(found.checked))
    return (
        *(figure(found.stage), figure(found.what), checked, outcome(found), largest, shift),
        Cell(found.note, tone="quiet"),
    )


def outcome(found: StageCheck) -> Cell:
    """identical, or how many differ."""
    if found.identical:
        return Cell("identical", tone="quiet")
    return Cell(f"{figures.count(found.differing)} of {figures.count(found.checked)} differ", tone="worse")


def tiny(value: float | None) -> str:
    """Three digits; in powers of ten where they would stand far behind the point."""
    if value is None:
        return figures.ABSENT
    if value != 0 and abs(value) < 0.0001:
        return f"{value:.1e}".replace("e-0", "e-").replace("-", figures.MINUS)
    return figures.three_digits(value)


def quality(section: AuditSection) -> Table:
    """Ties at the cut, and how much of the quality interval repeating explains."""
    metrics = {one.quality.metric for one in section.pipelines.values() if one.quality is not None}
    metric = metrics.pop() if len(metrics) == 1 else "Quality"
    columns = (
        *(PIPELINE, Column("Ties at the cut", "queries"), Column("Ties at the cut", "share")),
        *(Column(metric, "spread over repetitions"), Column(metric, "width of its 95% interval")),
        Column("Explained", "of the interval"),
    )
    rows = []
    for name, one in section.pipelines.items():
        cuts = {"at the depth": one.ties.at_depth, "at k": one.ties.at_k}
        where = ", ".join(f"{figures.count(count)} {place}" for place, count in cuts.items() if count)
        explained = [figures.ABSENT] * 3
        if (found := one.quality) is not None:
            width, share = figures.score(found.interval_width), figures.share(found.share)
            explained = [tiny(found.spread), width, share]
        ties = figure(figures.count(one.ties.queries), where), figure(figures.share(one.ties.share))
        rows.append(Row((Cell(name, pipeline=name), *ties, *map(figure, explained))))
    note = (
        "A tie at the cut: equal scores on both sides of the last place that counts, so that which document gets in is "
        "a matter of order. Explained: the spread over repetitions as a share of the interval over queries."
    )
    return Table("audit-quality", "What that does to quality", columns, tuple(rows), note)


def audit_table(section: AuditSection, _context: Context) -> RenderableType:
    """For a terminal: one line per check that differs, those that do not on one together, then what was found."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, empty_table, said, styled

    table = empty_table()
    for title in ("stage", "what", "outcome"):
        table.add_column(title, overflow="fold")
    table.add_column("largest\ndifference", justify="right", no_wrap=True)
    for name, pipeline in section.pipelines.items():
        shown = name
        differing = [found for found in pipeline.stages if not found.identical]
        for found in differing:
            what = found.what if found.variant == REPEATED else found.variant
            largest = figures.DASH if found.largest_difference is None else tiny(found.largest_difference)
            table.add_row(said(shown), found.stage, said(what), styled(outcome(found)), largest)
            shown = ""
        if same := len(pipeline.stages) - len(differing):
            many = f"{same} check{'' if same == 1 else 's'}"
            table.add_row(
                said(shown), "others" if differing else "all", many, said("identical", style="dim"), figures.DASH
            )
    lines = [*bullets(section.statements), said(basis(section), style="dim")]
    return Group(table, *(Padding(line, INDENT) for line in lines))
