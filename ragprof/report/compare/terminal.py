"""A comparison on a terminal: the verdict, the rows that it rests on, what a reader must know; at most 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragprof.report import figures
from ragprof.report.compare import cells, rankings, words
from ragprof.report.compare.cases import line
from ragprof.report.compare.reading import Document, Row, changes, gates, is_gated, pipeline, told, worst
from ragprof.report.lookup import at
from ragprof.report.tables import Tone

_WIDTH = 80
_INDENT = (0, 1)
_NO_WIDTH = "\u200b"
_COMMAND = re.compile(r"(?<!\S)::")
_LABEL = 21
_UNITS = {"usage": "per query", "cost": "USD"}
_STYLES: dict[Tone, str] = {
    "absent": "dim",
    "unpriced": "yellow",
    "better": "bold",
    "worse": "bold yellow",
    "quiet": "",
    "undecided": "dim",
}
_HEAD_STYLES = {"regression": "bold red", "undecided": "bold yellow", "incomparable": "bold yellow"}


def comparison_table(document: Document) -> RenderableType:
    """Headline, the gates (or the main quantities and all that changed), notes, worst queries. Nothing is cut."""
    style = _HEAD_STYLES.get(str(at(document, "gate", "verdict")), "bold")
    title = _text(figures.text(at(document, "title") or at(document, "eval")), style="dim")
    head = [title, _text(words.headline(document), style=style)]
    return Group(*_padded(head), _table(document), *_padded(_said(document)))


def _padded(lines: Iterable[Text]) -> list[Padding]:
    return [Padding(line, _INDENT) for line in lines]


def _table(document: Document) -> RenderableType:
    if is_gated(document):
        return _gate_table(document, gates(document))
    return _told_table(document, told(document))


def _said(document: Document) -> list[Text]:
    """Notes first; then what differs, the queries that got worst, and what the figures rest on."""
    changed = [_text(f"changed: {words.change(name, one)}") for name, one in changes(document)]
    fallen = [_text(f"worst: {rankings.line(name, one)}") for name, one in worst(document).items()]
    basis = [f"base {words.side(document, 'base')}", f"candidate {words.side(document, 'candidate')}"]
    gated = [f"p is corrected over the gates (Holm); all quantities: {words.tally(document)}"]
    basis += [words.basis(document), *(gated if is_gated(document) else [])]
    notes = [_text(f"! {note}", style="yellow") for note in words.notes(document)]
    return [*notes, *changed, *fallen, *(_text(one, style="dim") for one in basis)]


def _text(said: str, *, style: str = "") -> Text:
    """On one line, with nothing that steers a terminal, and no word that GitHub would take for a command."""
    return Text(_COMMAND.sub(f":{_NO_WIDTH}:", line(said)), style=style)


def _empty(titles: Sequence[str], widths: Sequence[int | None]) -> Table:
    """The first column takes what is left; the last holds verdicts."""
    table = Table(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=0)
    table.add_column(titles[0], overflow="fold", ratio=1, min_width=_LABEL)
    for title, width in zip(titles[1:-1], widths, strict=True):
        table.add_column(title, justify="right", overflow="fold", max_width=width)
    table.add_column(titles[-1], overflow="fold", max_width=12)
    return table


def _gate_table(document: Document, rows: Sequence[Row]) -> RenderableType:
    titles = ("gate", "base\ncandidate", f"difference\n{words.interval_words(document)}", "margin\np", "verdict")
    table = _empty(titles, (12, 17, 11))
    for place, row in enumerate(rows):
        _head(table, rows, place)
        text, ends = cells.short_change(row)
        table.add_row(
            _label(row, unit=True),
            f"{cells.side(row, 'base')}\n{cells.side(row, 'candidate')}",
            _lines(text, ends),
            f"{cells.short_margin(row)}\n{_p(row)}",
            _verdict(row, "gate"),
        )
    return table


def _told_table(document: Document, rows: Sequence[Row]) -> RenderableType:
    titles = ("quantity", f"base {cells.ARROW} candidate", "change", words.interval_words(document), "verdict")
    table = _empty(titles, (17, 10, 17))
    for place, row in enumerate(rows):
        _head(table, rows, place)
        text, ends = cells.short_change(row)
        shown = "" if ends == figures.ABSENT else ends
        table.add_row(_label(row, unit=False), cells.from_to(row), text, shown, _verdict(row, "verdict"))
    return table


def _head(table: Table, rows: Sequence[Row], place: int) -> None:
    """The pipeline's name above the first of its rows."""
    row = rows[place]
    if place and pipeline(rows[place - 1]) == pipeline(row):
        return
    cell = cells.pipeline_cell(row)
    table.add_row(_text(f"{cell.text} {cell.note}", style="bold"))


def _label(row: Row, *, unit: bool) -> Text:
    """A long name goes on below after its stage."""
    label = figures.text(at(row, "quantity"))
    stage, dot, rest = label.partition(".")
    shown = f" {stage}.\n   {rest}" if dot and len(label) > _LABEL else f" {label}"
    told = _UNITS.get(str(at(row, "kind"))) or cells.unit_words(row)
    return Text(shown).append(f"\n   {told}" if unit else "", style="dim")


def _lines(text: str, ends: str) -> str:
    return text if ends == figures.ABSENT else f"{text}\n{ends}"


def _p(row: Row) -> str:
    found = cells.short_p(row)
    return f"p {found}" if found.startswith("<") else f"p = {found}" if found != figures.ABSENT else f"p {found}"


def _verdict(row: Row, key: str) -> Text:
    cell = cells.verdict_cell(row, key)
    more = at(row, "more_queries")
    needs = f"\n{figures.count(more)} more\nqueries" if key == "gate" and more and at(row, key) == "undecided" else ""
    return Text(cell.text, style=_STYLES.get(cell.tone, "")).append(needs, style="dim")
