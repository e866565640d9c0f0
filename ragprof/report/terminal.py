"""The report on a terminal: the answer and one table, no wider than 80 columns."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragprof.report import figures, pipeline_tables
from ragprof.report.lookup import METRIC, Summary, at, entries, final_scores, pipelines
from ragprof.report.tables import Cell, Tone

_WIDTH = 78
_STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "quiet": "dim", "strong": "bold"}
_INDENT = (0, 1)


def terminal_table(summary: Summary) -> RenderableType:
    """Headline, one row a pipeline, warnings. Long names go on over several lines; nothing is cut."""
    title = figures.text(at(summary, "title") or at(summary, "eval"))
    headline = [
        Text(sentence, style="" if place else "bold") for place, sentence in enumerate(entries(summary, "headline"))
    ]
    warnings = [Text(f"! {warning}", style="yellow") for warning in entries(summary, "warnings")]
    lines = [Padding(line, _INDENT) for line in (Text(title, style="dim"), *headline)]
    return Group(*lines, _table(summary), *(Padding(line, _INDENT) for line in (*warnings, _basis(summary))))


def _table(summary: Summary) -> Table:
    table = Table(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1)
    for title in (f"{METRIC}\n95% interval", "judged\n@10", "p50", "p95", "USD per\n1,000"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in pipelines(summary):
        table.add_row(Text(name), *(_text(cell) for cell in _cells(summary, name)))
    return table


def _cells(summary: Summary, name: str) -> list[Cell]:
    pipeline, scores = pipelines(summary)[name], final_scores(summary, name)
    return [
        _with_interval(pipeline_tables.score_cell(scores, METRIC)),
        pipeline_tables.judged_cell(scores, METRIC),
        pipeline_tables.quantile_cell(at(pipeline, "end_to_end"), "p50"),
        pipeline_tables.quantile_cell(at(pipeline, "end_to_end"), "p95"),
        pipeline_tables.total_cell(pipeline),
    ]


def _with_interval(cell: Cell) -> Cell:
    return Cell(f"{cell.text} {cell.note}" if cell.note else cell.text, tone=cell.tone)


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=_STYLES.get(cell.tone, ""))


def _basis(summary: Summary) -> Text:
    docs, queries = at(summary, "corpus", "docs"), at(summary, "queries")
    return Text(
        f"n = {figures.count(queries)} queries, {figures.count(docs)} documents; p50 and p95 are end to end",
        style="dim",
    )
