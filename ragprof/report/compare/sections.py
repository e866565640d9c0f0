"""The tables of a comparison: gates, quantities, the two sides, what differs, the machine's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ragprof.report import figures
from ragprof.report.compare import cells, words
from ragprof.report.compare.reading import Document, Row, changes, counts, gates, of_pipeline, pipelines, told
from ragprof.report.lookup import at, entries
from ragprof.report.tables import Cell, Column, Table, figure
from ragprof.report.tables import Row as TableRow

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
