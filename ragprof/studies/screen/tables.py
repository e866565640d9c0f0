"""A screening in the report and on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import Block, ReportPart, Sentences
from ragprof.report.tables import PIPELINE, Cell, Column, Table, figure, gain_span, group
from ragprof.report.tables import Row as TableRow
from ragprof.studies.contract import Context, EstimateValue
from ragprof.studies.screen.section import AddedEffect, ScreenedPipeline, ScreenSection
from ragprof.studies.variant_tables import NO_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rich.console import RenderableType

    from ragprof.report.theme import Chart

NAMES = {
    "source": "all of it, estimated",
    "all": "the sample",
    "similar": "similar ones",
    "unrelated": "unrelated ones",
}


def show(section: ScreenSection, context: Context) -> list[ReportPart]:
    """One part: what would happen in sentences, drawn, and in figures."""
    blocks: list[Block] = [Sentences(section.statements), chart(section, context), effects_table(section)]
    return [ReportPart("screen", f"What adding {section.source} would do", blocks, link="Screen")]


def basis(section: ScreenSection) -> str:
    """What the figures rest on."""
    sampled = figures.counted(section.sampled_documents, "document")
    is_part = section.sampled_documents < section.source_documents
    left_open = ", and for all of it what the sample leaves open" if is_part else ""
    return (
        f"{figures.counted(section.queries, 'query', 'queries')}; {sampled} of {section.source_documents:,} with "
        f"{figures.counted(section.sampled_passages, 'passage')}, seed {section.seed}. Intervals (95%) hold the "
        f"drawing of documents and of queries{left_open}; {section.resamples} resamples."
    )


def shown(section: ScreenSection) -> list[str]:
    """All of it alone where similar and unrelated documents could not be told apart."""
    return list(NAMES) if section.similar is not None else ["source", "all"]


def effects_table(section: ScreenSection) -> Table:
    """A group of rows a pipeline: what each part of the source would change."""
    judged = any(each.quality is not None for each in section.pipelines.values())
    embedded = any(each.added_embed_usd for each in section.pipelines.values())
    quality = (
        *(Column(section.metric, "change"), Column(section.metric, "half as many", extra=True)),
        Column(figures.judged_beside(section.metric), "change", extra=True),
    )
    columns = (
        *(PIPELINE, Column("Added", numeric=False), Column("Documents")),
        *(quality if judged else ()),
        *(Column("In prompts", "share of passages"), Column("Context tokens", "change")),
        *(Column("USD", "change, 1,000 queries"), Column("Index", "all of it")),
        *((Column("Embedding", "all of it, USD"),) if embedded else ()),
    )
    rows: list[TableRow] = []
    for name, each in section.pipelines.items():
        kept = [effect for effect in each.effects if effect.added in shown(section)]
        rows += group(Cell(name, pipeline=name), [_cells(each, effect, judged, embedded) for effect in kept])
    return Table("screen-effects", "What it would change", columns, tuple(rows), f"{basis(section)} {NO_CLOCK}")


def _cells(pipeline: ScreenedPipeline, effect: AddedEffect, judged: bool, embedded: bool) -> tuple[Cell, ...]:
    whole = effect is pipeline.effects[0]
    share = effect.from_source
    cells = [Cell(NAMES[effect.added]), figure(figures.count(effect.documents))]
    half = figure(figures.difference(effect.quality_of_half), tone="quiet")
    cells += [_change(effect.quality, figures.score), half, _change(effect.judged, figures.share)] if judged else []
    cells += [figure(figures.share(share.mean), figures.span(share.interval, figures.share))]
    cells += [_change(effect.context_tokens, figures.mean_count)]
    cells += [_change(effect.usd_per_1000, figures.usd) if effect.usd_per_1000 else figure(figures.UNPRICED)]
    cells += [figure(figures.size(pipeline.added_index_bytes)) if whole else Cell("")]
    if embedded:
        cells += [figure(figures.usd(pipeline.added_embed_usd)) if whole else Cell("")]
    return tuple(cells)


def _change(found: EstimateValue | None, write: Callable[[Any], str]) -> Cell:
    if found is None or found.mean is None:
        return figure(figures.ABSENT)
    return figure(figures.signed(found.mean, write), gain_span(found.interval, write))


def chart(section: ScreenSection, context: Context) -> Chart | None:
    """Quality and context tokens, by pipeline and part of the source."""
    from ragprof.report.changes import Shift, changes_chart

    def shifts(read: Callable[[AddedEffect], EstimateValue | None], write: Callable[[Any], str]) -> Sequence[Shift]:
        found = []
        for name, each in section.pipelines.items():
            for effect in each.effects:
                value = read(effect)
                if effect.added in shown(section) and value and value.mean is not None and value.interval:
                    low, high = (float(end or 0) for end in value.interval)
                    told = f"{figures.signed(value.mean, write)} ({gain_span(value.interval, write)})"
                    found.append(Shift(NAMES[effect.added], name, value.mean, low, high, told))
        return found

    panels = {
        section.metric: shifts(lambda effect: effect.quality, figures.score),
        "Context tokens per query": shifts(lambda effect: effect.context_tokens, figures.mean_count),
    }
    caption = f"Change if it were added. {basis(section)}"
    return changes_chart("screen-changes", "What adding it would change", caption, panels, context.colours)


def screen_table(section: ScreenSection, _context: Context) -> RenderableType:
    """For a terminal: a line a part of the source, then the sentences."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, empty_table, said

    table = empty_table()
    table.add_column("added", no_wrap=True)
    for title in (section.metric, "in prompts", "context\ntokens", "index"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, each in section.pipelines.items():
        first = name
        for effect in each.effects:
            if effect.added in shown(section):
                quality = figures.difference(effect.quality.mean) if effect.quality else figures.ABSENT
                size = figures.size(each.added_index_bytes) if effect is each.effects[0] else ""
                table.add_row(
                    said(first), NAMES[effect.added], quality, figures.share(effect.from_source.mean),
                    figures.signed(effect.context_tokens.mean, figures.mean_count), size,
                )  # fmt: skip
                first = ""
    lines = [*bullets(section.statements), said(basis(section), style="dim")]
    return Group(table, *(Padding(line, INDENT) for line in lines))
