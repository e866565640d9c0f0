"""What was curated, in the report and on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import Block, Folded, ReportPart, Sentences
from ragprof.report.tables import Cell, Column, Table, figure
from ragprof.studies.contract import Context
from ragprof.studies.curate.analysis import NAMES, WHAT
from ragprof.studies.curate.section import CurateSection, KindFound
from ragprof.studies.variant_tables import variants_chart, variants_listing, variants_table

if TYPE_CHECKING:
    from rich.console import RenderableType

PRICED = "What each removal would change"


def show(section: CurateSection, context: Context) -> list[ReportPart]:
    """One part: what was found, what removing it changes, and the lists to look through."""
    blocks: list[Block] = [
        Sentences(section.statements),
        found_table(section),
        variants_chart(
            "curate-changes", PRICED, section.pipelines, context, named=NAMES.__getitem__, metric=section.metric,
            queries=section.queries,
        ),
        Folded(
            variants_table(
                "curate-variants", f"{PRICED}: all figures", section.pipelines, named=NAMES.__getitem__,
                metric=section.metric, note="Each removal against the corpus as it is, paired by query.",
            )
        ),
        Folded(review_table(section)) if section.review else None,
        Folded(lines_table(section)) if section.lines else None,
    ]  # fmt: skip
    return [ReportPart("curate", "What could go", blocks, link="Curate")]


def found_table(section: CurateSection) -> Table:
    """A row a kind that there is, in words those of which nothing was found."""
    there = [each for each in section.kinds if each.documents]
    columns = {
        Column("Kind", numeric=False): lambda each: Cell(_plural(each)),
        Column("Documents"): lambda each: figure(figures.count(each.documents)),
        Column("Passages"): lambda each: figure(figures.count(each.passages)),
        Column("Tokens"): lambda each: figure(figures.count(each.tokens)),
        Column("Share", "of all tokens"): lambda each: figure(figures.share(each.tokens / max(1, section.tokens))),
    }
    note = (
        "Found, not removed. A document is listed under the first kind that it is of; of boilerplate only the passages "
        "that repeat lines of many documents would go, and where a passage has more, only these lines."
    )
    if absent := [WHAT[each.kind][1] for each in section.kinds if not each.documents]:
        note += f" Nothing was found of: {', '.join(absent)}."
    if section.without_text:
        were = "was" if section.without_text == 1 else "were"
        note += f" {figures.counted(section.without_text, 'document')} without any text {were} never read in."
    return Table.of("curate-found", "What was found", columns, there or section.kinds, note)


def _plural(each: KindFound) -> str:
    words = WHAT[each.kind][1]
    return words[0].upper() + words[1:]


def review_table(section: CurateSection) -> Table:
    """The beginning of the list."""
    columns = {
        Column("Kind", numeric=False): lambda line: Cell(WHAT[line.kind][0]),
        Column("Document", numeric=False): lambda line: Cell(line.document, line.title or ""),
        Column("Stays", numeric=False): lambda line: Cell(line.kept or figures.DASH),
        Column("Alike"): lambda line: figure(figures.share(line.similarity)),
        Column("Why", numeric=False): lambda line: Cell(line.reason or figures.DASH, tone="quiet"),
    }
    lines = figures.counted(section.review_lines, "line")
    note = f"The first lines of each kind; the whole list, {lines}, is in curate/review.csv."
    return Table.of("curate-review", "To look through", columns, section.review, note)


def lines_table(section: CurateSection) -> Table:
    """Repeated lines."""
    columns = {
        Column("Line", numeric=False): lambda line: Cell(
            line.text if len(line.text) <= LONGEST else f"{line.text[:LONGEST]}..."
        ),
        Column("Documents"): lambda line: figure(figures.count(line.documents)),
        Column("Words", "in all copies"): lambda line: figure(figures.count(line.words)),
    }
    note = "Lines that many documents repeat, those with most words first."
    return Table.of("curate-lines", "Repeated lines", columns, section.lines, note)


LONGEST = 200


def curate_table(section: CurateSection, _context: Context) -> RenderableType:
    """For a terminal: what removals change, then what was found."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, said

    listing = variants_listing(section.pipelines, named=NAMES.__getitem__, metric=section.metric)
    basis = (
        f"{figures.counted(section.queries, 'query', 'queries')}; changes against the corpus as it is. To look "
        f"through: curate/review.csv, {figures.counted(section.review_lines, 'line')}; nothing was removed."
    )
    lines = [*bullets(section.statements), said(basis, style="dim")]
    return Group(listing, *(Padding(line, INDENT) for line in lines))
