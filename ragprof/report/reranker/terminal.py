"""Verdicts on a terminal: a line a pipeline, then why, no wider than 80 columns."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.glance_tables import money_cells
from ragprof.report.tables import Cell, Tone

_WIDTH = 78
_INDENT = (0, 1)
_STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "better": "bold", "worse": "bold yellow"}


def reranker_table(summary: Summary) -> RenderableType:
    """A line a pipeline, then the reasons; the rest is in the report. One line where there is no section.

    Nothing is cut; long names go on below.
    """
    if not study.is_present(summary):
        return Padding(Text("no rerankers in this summary", style="dim"), _INDENT)
    lines = [Text(f"\u2022 {sentence}") for sentence in _said(summary)]
    basis = Text(_basis(summary), style="dim")
    return Group(_verdicts(summary), *(Padding(line, _INDENT) for line in (*lines, basis)))


def _said(summary: Summary) -> list[str]:
    """The study's statements where there are any, else each verdict's reason; then what each hangs on."""
    told = [str(sentence) for sentence in entries(summary, "reranker_study", "statements")]
    if told:
        return told
    return [f"{name}: {' '.join(study.sentences(study.of(summary, name)))}" for name in study.names(summary)]


def _basis(summary: Summary) -> str:
    names = study.names(summary)
    metrics = " or ".join(dict.fromkeys(study.metric(summary, name) for name in names))
    words = " or ".join(dict.fromkeys(study.basis(summary, name) for name in names))
    priced = at(summary, "reranker_study", "priced_as")
    return (
        f"gain in {metrics} with its 95% interval, {words}; USD per 1,000 queries, net below 0 saves"
        f"{f'; prompt tokens priced as {priced}' if priced else ''}"
    )


def _verdicts(summary: Summary) -> Table:
    table = Table(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("pipeline", overflow="fold", ratio=1, min_width=12)
    table.add_column("verdict", overflow="fold", max_width=12)
    for title in ("gain\n95% interval", "added\np50", "reranker\nUSD", "net\nUSD"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in study.names(summary):
        table.add_row(Text(name), *(_text(cell) for cell in _cells(summary, name)))
    return table


def _cells(summary: Summary, name: str) -> list[Cell]:
    one = study.of(summary, name)
    found = study.gain(one, study.metric(summary, name))
    cost, _, net = money_cells(at(one, "statement"))
    return [
        Cell(study.verdict_words(one), tone=study.verdict_tone(at(one, "verdict"))),
        _gain_cell(at(found, "difference"), at(found, "interval")),
        Cell(signed(at(one, "statement", "added_p50_ns"), figures.duration)),
        *(cost, net),
    ]


def _gain_cell(difference: float | None, interval: figures.Interval) -> Cell:
    if difference is None:
        return Cell(figures.ABSENT, tone="absent")
    ends = figures.ABSENT if interval is None else " to ".join(_short(end) for end in interval)
    return Cell(f"{figures.difference(difference)}\n{ends}")


def _short(end: float) -> str:
    return f"{end:.3f}".replace("-", figures.MINUS)


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=_STYLES.get(cell.tone, ""))
