"""The tables of a comparison: gates, quantities, the two sides, what differs, the machine's noise.

The queries that got worst, with what was ranked before and after. Ids and places only; no text.

A comparison on a terminal: the verdict, the rows that it rests on, what a reader must know; at most 80 columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ragprof.report import figures
from ragprof.report.lookup import at, entries
from ragprof.report.tables import Cell, Column, Table, Tone, figure
from ragprof.report.tables import Row as TableRow
from ragprof.studies.gate import cells, words
from ragprof.studies.gate.cells import (
    ARROW,
    Document,
    Row,
    changes,
    counts,
    gates,
    is_gated,
    of_pipeline,
    pipeline,
    pipelines,
    told,
    worst,
)
from ragprof.studies.gate.cells import line as cells_line

_PIPELINE = Column("Pipeline", numeric=False)
_QUANTITY = Column("Quantity", "its unit", numeric=False)
_VERDICT = Column("Verdict", numeric=False)


def gate_table(document: Document) -> Table:
    """A row a gate, the worst first."""
    columns = (_PIPELINE, _QUANTITY, _VERDICT, *_measured(document), Column("p", "Holm"))
    rows = tuple(TableRow(_gate_cells(row)) for row in gates(document))
    alpha = figures.text(at(document, "alpha"))
    note = (
        f"Regression: the whole interval is worse than the margin, and p is below {alpha} (alpha) after correction "
        "over all gates (Holm). Holds: the interval's worse end is within the margin."
    )
    return Table("compare-gates", "Gates", columns, rows, note)


def _measured(document: Document) -> tuple[Column, ...]:
    spread = words.interval_words(document)
    return (
        Column("Base", "in its unit"),
        Column("Candidate", "in its unit"),
        Column("Difference", f"in its unit, {spread}"),
        Column("Relative", f"to the base, {spread}"),
        Column("Margin", "in its unit"),
    )


def _measured_cells(row: Row) -> tuple[Cell, ...]:
    return (
        cells.side_cell(row, "base"),
        cells.side_cell(row, "candidate"),
        cells.difference_cell(row),
        cells.relative_cell(row),
        cells.margin_cell(row),
    )


def _gate_cells(row: Row) -> tuple[Cell, ...]:
    named = cells.pipeline_cell(row), cells.quantity_cell(row)
    return *named, cells.verdict_cell(row, "gate"), *_measured_cells(row), cells.p_cells(row)[1]


def quantity_table(document: Document, name: str) -> Table:
    """Every quantity of one pipeline; the summary line counts its verdicts."""
    rows = of_pipeline(document, name)
    counted = Column("p", "two-sided"), Column("p", "Holm"), Column("n", "queries")
    columns = (_QUANTITY, _VERDICT, *_measured(document), *counted)
    drawn = tuple(TableRow(_quantity_cells(row)) for row in rows)
    return Table("compare-rows", f"{name}: {_counted(rows)}", columns, drawn)


def _quantity_cells(row: Row) -> tuple[Cell, ...]:
    n = figure(figures.count(at(row, "n")))
    return cells.quantity_cell(row), cells.verdict_cell(row), *_measured_cells(row), *cells.p_cells(row), n


def _counted(rows: Sequence[Row]) -> str:
    found = counts(rows, "verdict")
    return ", ".join(f"{count} {cells.words(verdict)}" for verdict, count in found.items() if count)


def quantity_tables(document: Document) -> dict[str, Table]:
    """pipeline -> every quantity of it; only pipelines that have any."""
    drawn = {name: quantity_table(document, name) for name in pipelines(document)}
    return {name: table for name, table in drawn.items() if table.rows}


def short_gate_table(document: Document) -> Table:
    """As `gate_table`, in fewer columns: for a reader without a page."""
    full = gate_table(document)
    columns = (_PIPELINE, *_short(document), Column("p", "Holm"), _VERDICT)
    rows = tuple(TableRow(_short_cells(row, "gate")) for row in gates(document))
    return replace(full, columns=columns, rows=rows)


def told_table(document: Document) -> Table:
    """The quantities that matter most, with the pipeline in each row: for a reader without a page."""
    columns = (_PIPELINE, *_short(document), Column("p", "Holm"), _VERDICT)
    rows = tuple(TableRow(_short_cells(row, "verdict")) for row in told(document))
    note = "The main quantities, and every other one that got better or worse."
    return Table("compare-told", "What changed", columns, rows, note)


def _short(document: Document) -> tuple[Column, ...]:
    spread = words.interval_words(document)
    return (
        _QUANTITY,
        Column(f"Base {cells.ARROW} candidate", "in its unit"),
        Column("Difference", f"in its unit, {spread}"),
        Column("Relative", "to the base"),
        Column("Margin", "in its unit"),
    )


def _short_cells(row: Row, verdict: str) -> tuple[Cell, ...]:
    return (
        cells.pipeline_cell(row),
        cells.quantity_cell(row),
        figure(cells.from_to(row)),
        cells.difference_cell(row),
        figure(cells.relative(row)),
        cells.margin_cell(row),
        cells.p_cells(row)[1],
        cells.verdict_cell(row, verdict),
    )


def side_table(document: Document) -> Table:
    """A row a fact, a column a side."""
    columns = (Column("", numeric=False), Column("Base", numeric=False), Column("Candidate", numeric=False))
    rows = tuple(TableRow((Cell(title), *(_fact(document, side, keys) for side in _SIDES))) for title, keys in _FACTS)
    return Table("compare-sides", "The two sides", columns, rows)


_SIDES = ("base", "candidate")
_FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Name", ("label",)),
    ("Kind", ("source",)),
    ("Recorded", ("created",)),
    ("ragprof", ("ragprof_version",)),
    ("Recording", ("recording",)),
    ("Corpus", ("corpus", "name")),
    ("Documents", ("corpus", "docs")),
    ("Queries", ("queries",)),
)


def _fact(document: Document, side: str, keys: tuple[str, ...]) -> Cell:
    found = at(document, side, *keys)
    return figure(figures.day(found) if keys == ("created",) else figures.text(found))


def difference_table(document: Document) -> Table:
    """A row a field that is not the same on both sides."""
    columns = (
        Column("Field", numeric=False),
        Column("Base", numeric=False),
        Column("Candidate", numeric=False),
        Column("Keeps from being compared", numeric=False),
    )
    rows = tuple(TableRow(_difference_cells(one)) for one in entries(document, "differences"))
    return Table("compare-differences", "What else differs", columns, rows)


def _difference_cells(one: Mapping[str, Any]) -> tuple[Cell, ...]:
    blocks = at(one, "blocks") not in (None, "nothing")
    return (
        Cell(figures.text(at(one, "field"))),
        *(figure(words.value(at(one, side))) for side in _SIDES),
        Cell(words.blocked(one), tone="worse" if blocks else ""),
    )


def change_table(document: Document) -> Table:
    """A row a part of a pipeline that is not the same on both sides."""
    columns = (
        _PIPELINE,
        Column("Part", numeric=False),
        Column("Base", numeric=False),
        Column("Candidate", numeric=False),
    )
    rows = tuple(
        TableRow(
            (
                Cell(name, pipeline=name),
                Cell(figures.text(at(change, "part"))),
                *(Cell(figures.text(at(change, side) or "none")) for side in _SIDES),
            )
        )
        for name, change in changes(document)
    )
    return Table("compare-changes", "What was changed in the pipelines", columns, rows)


def noise_table(document: Document) -> Table:
    """What differed when the base ran against itself, on this machine; no rows where it was not measured."""
    columns = (_PIPELINE, Column("Quantity", numeric=False), Column("Noise", "share of the base's figure"))
    noise = at(document, "against", "noise") or {}
    rows = tuple(
        TableRow((Cell(name, pipeline=name), Cell(label), figure(figures.share(share))))
        for name, found in noise.items()
        for label, share in found.items()
    )
    note = "Measured in the same job, the base against itself. No margin is below it."
    return Table("compare-noise", "This machine's noise", columns, rows, note)


@dataclass(frozen=True, slots=True)
class Fallen:
    """One pipeline's worst queries: a table of their scores and, a query each, the two rankings."""

    name: str
    scores: Table
    rankings: tuple[Table, ...]


def fallen(document: Document) -> list[Fallen]:
    """A section a pipeline that has queries which got worse."""
    return [_fallen(name, one) for name, one in worst(document).items()]


def line(name: str, one: Mapping[str, Any]) -> str:
    """`dense, nDCG@10: q12 0.910 -> 0.200, q7 ...`"""
    told = (f"{at(query, 'query_id')} {_scores(query)}" for query in entries(one, "queries"))
    return f"{name}, {figures.text(at(one, 'metric'))}: {', '.join(told)}"


def _fallen(name: str, one: Mapping[str, Any]) -> Fallen:
    metric, queries = figures.text(at(one, "metric")), entries(one, "queries")
    columns = (
        Column("Query", numeric=False),
        Column("Base", metric),
        Column("Candidate", metric),
        Column("Difference", metric),
        Column("First before", "document", numeric=False),
        Column("First after", "document", numeric=False),
    )
    rows = tuple(TableRow(_query_cells(query)) for query in queries)
    scores = Table("compare-worst", f"{name}: queries that got worst", columns, rows)
    return Fallen(name, scores, tuple(_ranking(query, metric) for query in queries))


def _query_cells(query: Mapping[str, Any]) -> tuple[Cell, ...]:
    base, candidate = at(query, "base"), at(query, "candidate")
    change = None if base is None or candidate is None else candidate - base
    return (
        Cell(figures.text(at(query, "query_id"))),
        figure(figures.score(base)),
        figure(figures.score(candidate)),
        figure(figures.difference(change), tone="worse"),
        *(figure(str(next(iter(entries(query, key)), figures.ABSENT))) for key in ("before", "after")),
    )


def _scores(query: Mapping[str, Any]) -> str:
    return f"{figures.score(at(query, 'base'))} {ARROW} {figures.score(at(query, 'candidate'))}"


def _ranking(query: Mapping[str, Any], metric: str) -> Table:
    """Rank by rank: what stood there before, and where it went; what stands there after, and whence it came."""
    before, after = entries(query, "before"), entries(query, "after")
    columns = (Column("Rank"), Column("Before", "document", numeric=False), Column("After", "document", numeric=False))
    rows = tuple(
        TableRow((Cell(str(place + 1)), _moved(before, place, after, "now"), _moved(after, place, before, "was")))
        for place in range(max(len(before), len(after)))
    )
    title = f"Query {figures.text(at(query, 'query_id'))}: {metric} {_scores(query)}"
    return Table("compare-ranking", title, columns, rows)


def _moved(ranking: Sequence[str], place: int, other: Sequence[str], word: str) -> Cell:
    if place >= len(ranking):
        return figure(figures.ABSENT)
    document = ranking[place]
    if document not in other:
        return Cell(str(document), _GONE[word], "strong")
    there = other.index(document)
    return Cell(str(document), "" if there == place else f"{word} {there + 1}")


_GONE = {"now": "gone from the first ten", "was": "new in the first ten"}


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
    return [Padding(cells_line, _INDENT) for cells_line in lines]


def _table(document: Document) -> RenderableType:
    if is_gated(document):
        return _gate_table(document, gates(document))
    return _told_table(document, told(document))


def _said(document: Document) -> list[Text]:
    """Notes first; then what differs, the queries that got worst, and what the figures rest on."""
    changed = [_text(f"changed: {words.change(name, one)}") for name, one in changes(document)]
    fallen = [_text(f"worst: {line(name, one)}") for name, one in worst(document).items()]
    basis = [f"base {words.side(document, 'base')}", f"candidate {words.side(document, 'candidate')}"]
    gated = [f"p is corrected over the gates (Holm); all quantities: {words.tally(document)}"]
    basis += [words.basis(document), *(gated if is_gated(document) else [])]
    notes = [_text(f"! {note}", style="yellow") for note in words.notes(document)]
    return [*notes, *changed, *fallen, *(_text(one, style="dim") for one in basis)]


def _text(said: str, *, style: str = "") -> Text:
    """On one line, with nothing that steers a terminal, and no word that GitHub would take for a command."""
    return Text(_COMMAND.sub(f":{_NO_WIDTH}:", cells_line(said)), style=style)


def _empty(titles: Sequence[str], widths: Sequence[int | None]) -> RichTable:
    """The first column takes what is left; the last holds verdicts."""
    table = RichTable(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=0)
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


def _head(table: RichTable, rows: Sequence[Row], place: int) -> None:
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
