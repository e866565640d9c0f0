"""How variants of a corpus are shown: one table, one chart and one listing for all studies that have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragprof.report import figures
from ragprof.report.tables import PIPELINE, Cell, Column, Row, Table, figure, gain_span, group
from ragprof.studies.contract import Context
from ragprof.studies.variants import PairedFigure, PricedVariant

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ragprof.report.changes import Shift
    from ragprof.report.theme import Chart

Named = Callable[[str], str]
"""What a variant is called in a report."""
COPIES_NOTE = (
    "Copies as one: a copy inherits the grade of what it copies, and only the first that is found counts (Bernstein "
    "and Zobel, CIKM 2005); plain scoring takes a copy that nobody judged as irrelevant."
)
NO_CLOCK = (
    "USD are those of the prompt, and of reranked pairs where they are billed by what is read; no machine time, since "
    "nothing was timed."
)


def changed_cell(found: PairedFigure | None, write: Callable[[Any], str], good: int = 0) -> Cell:
    """A mean, and below it how it differs from the first; toned where the whole interval is on one side of 0.

    `good` is 1 where more is better, -1 where less is.
    """
    if found is None or found.mean is None:
        return figure(figures.ABSENT)
    change = found.change
    if change is None or change.mean is None:
        return figure(write(found.mean))
    difference = figures.signed(change.mean, write)
    ends = gain_span(change.interval, write)
    note = difference if ends == figures.ABSENT else f"{difference} ({ends})"
    return Cell(write(found.mean), note, _tone(change.interval, good))


def _tone(interval: Any, good: int) -> Any:
    if not good or interval is None or None in interval:
        return ""
    side = int(interval[0] > 0) - int(interval[1] < 0)
    return {1: "better", -1: "worse"}.get(side * good, "")


def variants_table(
    key: str, title: str, pipelines: Mapping[str, Sequence[PricedVariant]], *, named: Named, metric: str, note: str
) -> Table:
    """A group of rows a pipeline; quality and copies as one only where they were judged."""
    every = [row for rows in pipelines.values() for row in rows]
    judged, as_one = any(row.quality for row in every), any(row.as_one for row in every)
    columns = [PIPELINE, Column("Corpus", numeric=False), Column("Passages")]
    columns += [Column(metric, "change, 95% interval")] if judged else []
    columns += [Column(metric, "copies as one", extra=True)] if as_one else []
    columns += [Column(figures.judged_beside(metric), extra=True)] if judged else []
    columns += [Column("Context tokens", "per query"), Column("USD", "per 1,000 queries"), Column("Index")]
    columns += [Column("Embedding", "USD, once")] if any(row.embed_usd for row in every) else []
    table: list[Row] = []
    for name, rows in pipelines.items():
        table += group(Cell(name, pipeline=name), [_cells(row, named, judged, as_one, columns) for row in rows])
    notes = [note, COPIES_NOTE if as_one else "", NO_CLOCK]
    return Table(key, title, tuple(columns), tuple(table), " ".join(each for each in notes if each))


def _cells(row: PricedVariant, named: Named, judged: bool, as_one: bool, columns: Sequence[Column]) -> tuple[Cell, ...]:
    usd = Cell(figures.UNPRICED, row.unpriced, "unpriced")
    cells = [Cell(named(row.variant)), figure(figures.count(row.passages))]
    cells += [changed_cell(row.quality, figures.score, 1)] if judged else []
    cells += [changed_cell(row.as_one, figures.score, 1)] if as_one else []
    cells += [figure(figures.share(row.judged))] if judged else []
    cells += [changed_cell(row.context_tokens, figures.mean_count)]
    cells += [changed_cell(row.usd_per_1000, figures.usd, -1) if row.usd_per_1000 else usd]
    cells += [figure(figures.size(row.index_bytes))]
    if columns[-1].title == "Embedding":
        cells += [figure(figures.usd(row.embed_usd))]
    return tuple(cells)


def variants_chart(
    key: str, title: str, pipelines: Mapping[str, Sequence[PricedVariant]], context: Context, *, named: Named,
    metric: str, queries: int,
) -> Chart | None:  # fmt: skip
    """How quality, as judged and with copies as one, and context tokens change. None where nothing has an interval."""
    from ragprof.report.changes import changes_chart

    read: dict[str, tuple[Callable[[PricedVariant], PairedFigure | None], Callable[[Any], str]]] = {
        f"{metric}, as judged": (lambda row: row.quality, figures.score),
        f"{metric}, copies as one": (lambda row: row.as_one, figures.score),
        "Context tokens per query": (lambda row: row.context_tokens, figures.mean_count),
    }
    panels = {
        name: [
            shift
            for pipeline, rows in pipelines.items()
            for row in rows
            if (shift := _shift(pipeline, named(row.variant), of(row), write)) is not None
        ]
        for name, (of, write) in read.items()
    }
    caption = (
        f"Change against the corpus as it is, paired by query, {figures.counted(queries, 'query', 'queries')}. Point: "
        "mean; line: 95% interval over the queries."
    )
    return changes_chart(key, title, caption, panels, context.colours)


def _shift(pipeline: str, variant: str, found: PairedFigure | None, write: Callable[[Any], str]) -> Shift | None:
    from ragprof.report.changes import Shift

    change = None if found is None else found.change
    if change is None or change.mean is None or change.interval is None or None in change.interval:
        return None
    low, high = (float(end or 0) for end in change.interval)
    told = f"{figures.signed(change.mean, write)} ({gain_span(change.interval, write)})"
    return Shift(variant, pipeline, change.mean, low, high, told)


def variants_listing(pipelines: Mapping[str, Sequence[PricedVariant]], *, named: Named, metric: str) -> RenderableType:
    """For a terminal of 80 columns: a line a variant."""
    from ragprof.report.terminal import empty_table, said

    every = [row for rows in pipelines.values() for row in rows]
    judged = any(row.quality for row in every)
    as_one = any(row.as_one for row in every)
    table = empty_table()
    table.add_column("corpus", overflow="fold", min_width=14)
    titles = [*([metric] if judged else []), *(["copies\nas one"] if as_one else []), "context\ntokens", "index"]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name, rows in pipelines.items():
        shown = name
        for row in rows:
            cells = [*([_short(row.quality, figures.score)] if judged else [])]
            cells += [_short(row.as_one, figures.score)] if as_one else []
            cells += [_short(row.context_tokens, figures.mean_count), figures.size(row.index_bytes)]
            table.add_row(said(shown), said(named(row.variant)), *cells)
            shown = ""
    return table


def _short(found: PairedFigure | None, write: Callable[[Any], str]) -> str:
    """The first's mean; of the others the change."""
    if found is None or found.mean is None:
        return figures.ABSENT
    return write(found.mean) if found.change is None else figures.signed(found.change.mean, write)
