"""What a table is, before it is drawn as HTML, Markdown or on a terminal. Cells hold finished text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ragprof.report.figures import ABSENT, UNPRICED

Tone: TypeAlias = Literal["", "absent", "unpriced", "better", "worse", "undecided", "quiet", "strong"]


@dataclass(frozen=True, slots=True)
class Cell:
    """`note` is an interval or another qualifier; `pipeline` asks for that pipeline's colour; `href` for a link."""

    text: str
    note: str = ""
    tone: Tone = ""
    pipeline: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """`unit` is written under the title. Numeric columns are set flush right."""

    title: str
    unit: str = ""
    numeric: bool = True
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`span` is how many rows the first cell covers; 0 where the cell above covers this row."""

    cells: tuple[Cell, ...]
    span: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the sentence that its reader is owed."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def grouped(self) -> bool:
        return any(row.span != 1 for row in self.rows)


def figure(text: str, note: str = "", tone: Tone = "") -> Cell:
    """A value with its interval. An absent value is toned down and has no interval; a missing interval says so."""
    if text == ABSENT:
        return Cell(ABSENT, tone="absent")
    if text == UNPRICED:
        return Cell(UNPRICED, note, "unpriced")
    return Cell(text, "interval n/a" if note == ABSENT else note, tone)


def group(name: Cell, rows: Sequence[tuple[Cell, ...]]) -> list[Row]:
    """Rows under one shared first cell."""
    return [replace(Row((name, *cells)), span=0 if place else len(rows)) for place, cells in enumerate(rows)]
