"""Ways to cut in the report and on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import Block, Folded, ReportPart, Sentences
from ragprof.report.tables import PIPELINE, Cell, Column, Row, Table, figure, group, share_cell
from ragprof.studies.chunking.section import ChunkedPipeline, ChunkingSection
from ragprof.studies.contract import Context
from ragprof.studies.variant_tables import NO_CLOCK, changed_cell, variants_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ragprof.report.theme import Chart

SPANS_NOTE = (
    "Token-wise, as Chroma's evaluation of chunking defines them: recall is the share of the spans' tokens in the "
    "prompt, precision the share of the prompt's passage tokens in the spans, IoU both over either."
)


def show(section: ChunkingSection, context: Context) -> list[ReportPart]:
    """One part: sentences, the ways to cut, and what each does to each pipeline."""
    priced = {name: [row.priced for row in rows] for name, rows in section.pipelines.items()}
    note = "Quality is that of the ranking of documents, however many passages the prompt holds."
    documents = variants_table(
        "chunking-documents", "Documents, money and indexes", priced, named=str, metric=section.metric, note=note
    )
    blocks: list[Block] = [
        *(Sentences(section.statements), cuts_table(section), chart(section, context), spans_table(section)),
        Folded(documents),
    ]
    return [ReportPart("chunking", "How documents are cut", blocks, link="Chunking")]


def basis(section: ChunkingSection) -> str:
    """What the figures rest on."""
    queries = figures.counted(section.queries, "query", "queries")
    return f"{queries}; whole passages, best first, within {section.budget:,} tokens of prompt."


def cuts_table(section: ChunkingSection) -> Table:
    """A row a way to cut."""
    columns = {
        Column("Chunking", numeric=False): lambda cut: Cell(cut.variant),
        Column("Passages"): lambda cut: figure(figures.count(cut.passages)),
        Column("Tokens", "per passage"): lambda cut: figure(figures.mean_count(cut.tokens_per_passage)),
        Column("Tokens", "in all"): lambda cut: figure(figures.count(cut.tokens)),
        Column("Cut answers", "of those that stand in a document"): lambda cut: share_cell(cut.cut_answers),
    }
    return Table.of(
        "chunking-cuts", "Ways to cut", columns, section.cuts, "An answer is cut that no passage holds whole."
    )


def spans_table(section: ChunkingSection) -> Table:
    """A group of rows a pipeline."""
    embedded = any(row.priced.embed_usd for each in section.pipelines.values() for row in each)
    columns = (
        *(PIPELINE, Column("Chunking", numeric=False), Column("Token recall", "change")),
        *(Column("Token precision", "change"), Column("IoU", "change"), Column("Context tokens")),
        *(Column("USD", "1,000 queries"), Column("Index")),
        *((Column("Embedding", "USD, once"),) if embedded else ()),
    )
    rows: list[Row] = []
    for name, each in section.pipelines.items():
        rows += group(Cell(name, pipeline=name), [_cells(row, embedded) for row in each])
    note = f"{basis(section)} {SPANS_NOTE} {NO_CLOCK}"
    return Table("chunking-spans", "What the prompts hold", columns, tuple(rows), note)


def _cells(row: ChunkedPipeline, embedded: bool) -> tuple[Cell, ...]:
    own, usd = row.priced, row.priced.usd_per_1000
    spans = [changed_cell(each, figures.score, 1) for each in (row.recall, row.precision, row.iou)]
    money = figure(figures.UNPRICED) if usd is None else changed_cell(usd, figures.usd, -1)
    sizes = [figure(figures.size(own.index_bytes)), *([figure(figures.usd(own.embed_usd))] if embedded else [])]
    return (Cell(own.variant), *spans, changed_cell(own.context_tokens, figures.mean_count), money, *sizes)


def chart(section: ChunkingSection, context: Context) -> Chart | None:
    """Changes of recall and precision against the chunking as declared."""
    from ragprof.report.changes import Shift, changes_chart
    from ragprof.report.tables import gain_span

    panels: dict[str, list[Shift]] = {"Token recall": [], "Token precision": []}
    for name, rows in section.pipelines.items():
        for row in rows[1:]:
            for title, found in (("Token recall", row.recall), ("Token precision", row.precision)):
                change = found.change if found else None
                if change is not None and change.mean is not None and change.interval is not None:
                    low, high = (float(end or 0) for end in change.interval)
                    told = f"{figures.difference(change.mean)} ({gain_span(change.interval, figures.score)})"
                    panels[title].append(Shift(row.priced.variant, name, change.mean, low, high, told))
    caption = f"Change against the chunking as declared, paired by query, with 95% intervals. {basis(section)}"
    return changes_chart("chunking-changes", "What other cuts would change", caption, panels, context.colours)


def chunking_table(section: ChunkingSection, _context: Context) -> RenderableType:
    """For a terminal: a line a way to cut, then the sentences."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, empty_table, said

    table = empty_table()
    table.add_column("chunking", overflow="fold", ratio=1, min_width=14)
    for title in ("recall", "precision", "IoU", "context\ntokens", "index"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, rows in section.pipelines.items():
        first = name
        for row in rows:
            numbers = [figures.score(each.mean if each else None) for each in (row.recall, row.precision, row.iou)]
            context = figures.mean_count(row.priced.context_tokens.mean)
            size = figures.size(row.priced.index_bytes)
            table.add_row(said(first), said(row.priced.variant), *numbers, context, size)
            first = ""
    lines = [*bullets(section.statements), said(basis(section), style="dim")]
    return Group(table, *(Padding(line, INDENT) for line in lines))
