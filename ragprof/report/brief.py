"""Texts for a page that may only be so long: cut where they must be, with a count of what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ragprof.report.markdown import as_table
from ragprof.report.tables import Cell, Table

LONGEST_CELL = 300
"""Characters of a cell or of a sentence beside others."""


@dataclass(frozen=True)
class Room:
    """What is left of a page: lines, and bytes of UTF-8."""

    lines: int
    size: int

    def holds(self, text: str) -> bool:
        return _lines(text) <= self.lines and len(text.encode()) <= self.size

    def less(self, text: str) -> Room:
        """The room beneath a text and the empty line after it."""
        return Room(self.lines - _lines(text) - 1, self.size - len(text.encode()) - 2) if text else self


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def shortened(text: str, longest: int = LONGEST_CELL) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026"


def few(sentences: Sequence[str], most: int) -> list[str]:
    """At most so many, each of a bounded length; the rest is counted."""
    shown = [shortened(sentence) for sentence in sentences[:most]]
    more = len(sentences) - len(shown)
    return [*shown, f"and {more} more"] if more else shown


def fitting(sentences: Sequence[str], most: int, room: Room, drawn: Callable[[list[str]], str]) -> str:
    """As many of the first `most` sentences as there is room for, drawn; the rest is counted, if only by a number."""
    for kept in range(min(most, len(sentences)), -1, -1):
        text = drawn(few(sentences, kept))
        if room.holds(text):
            return text
    return ""


def first_rows(table: Table, holds: Callable[[str], bool], *, why: str, longest: int = LONGEST_CELL) -> str:
    """A table with its title and as many of its rows as the room holds, one at least; its note says how many are not.

    `why` ends that sentence; no cell has more than `longest` characters.
    """

    def short(cell: Cell) -> Cell:
        return replace(cell, text=shortened(cell.text, longest), note=shortened(cell.note, longest))

    rows = tuple(replace(row, cells=tuple(map(short, row.cells))) for row in table.rows)

    def drawn(kept: int) -> str:
        left = len(rows) - kept
        left_out = f"{left} further rows were left out" if left > 1 else "1 further row was left out"
        note = f"{left_out}, {why}. {table.note}" if left else table.note
        return as_table(replace(table, rows=rows[:kept], note=note))

    most, least = len(rows), 1
    while most > least:  # the most rows that are held
        middle = (most + least + 1) // 2
        most, least = (most, middle) if holds(drawn(middle)) else (middle - 1, least)
    return drawn(most)
