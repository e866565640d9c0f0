"""What tables on a terminal share: width, indent, styles, and what becomes of them where the terminal is narrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from ragprof.core import plain
from ragprof.report.decision import PaidDecision
from ragprof.report.tables import Cell, Tone

WIDTH = 78
FOLDED = 14
"""A column whose words may be cut is no narrower than this."""
INDENT = (0, 1)
WORDS = re.compile(r"\S+")
PARTS = re.compile(r"[^\s\-_+/.,:]*[\-_+/.,:]+|[^\s\-_+/.,:]+")
"""What a word is made of, each part with the joint behind it."""
STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "quiet": "dim", "worse": "yellow"}
STYLES_OF_ANSWERS = {"better": "bold green", "worse": "bold yellow", "undecided": "bold"}


class JointedText:
    """A text whose words break behind their joints where they are longer than a line, and elsewhere only if they must:
    the name of a pipeline, a path."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        least = max((cell_len(part) for part in PARTS.findall(self.text.plain)), default=0)
        return Measurement(least, Measurement.get(console, options, self.text).maximum)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        breaks = []
        for word in WORDS.finditer(self.text.plain):
            filled = 0
            for part in PARTS.finditer(word[0]) if cell_len(word[0]) > options.max_width else ():
                if filled and filled + cell_len(part[0]) > options.max_width:
                    breaks.append(word.start() + part.start())
                    filled = 0
                filled += cell_len(part[0])
        yield Text("\n").join(self.text.divide(breaks)) if breaks else self.text


class FittingTable(Table):
    """As wide as it was made, else as the terminal is; where that cuts a column, a block for each row instead."""

    def add_row(self, *cells: RenderableType | None, **more: Any) -> None:
        """Add a row; texts of columns that may be folded break at their joints."""
        folded = [column.overflow == "fold" for column in self.columns]
        fitting = [
            JointedText(cell) if isinstance(cell, Text) and fold else cell
            for cell, fold in zip_longest(cells, folded[: len(cells)])
        ]
        super().add_row(*fitting, **more)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._needed(console, options) <= options.max_width:
            self.width = None if self.width is None else min(self.width, options.max_width)
            yield from super().__rich_console__(console, options)
            return
        titles = [" ".join(str(column.header).split()) for column in self.columns]
        for first, *others in zip(*(column.cells for column in self.columns), strict=True):
            yield Padding(_one_line(first), INDENT)
            for title, cell in zip(titles[1:], others, strict=True):
                if told := _one_line(cell):
                    yield Padding(Text.assemble((f"{title} ", "dim"), told), (0, 1, 0, 3))

    def _needed(self, console: Console, options: ConsoleOptions) -> int:
        """Columns that no word or figure is cut in."""

        def widest(column: Column) -> int:
            sizes = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
            most = max(size.maximum if column.no_wrap else size.minimum for size in sizes)
            return max(column.min_width or 0, min(most, FOLDED)) if column.overflow == "fold" else most

        between = max(self.padding[1], self.padding[3]) if self.box is None else self.padding[1] + self.padding[3]
        return sum(map(widest, self.columns)) + between * len(self.columns)


def _one_line(cell: object) -> Text:
    cell = cell.text if isinstance(cell, JointedText) else cell
    told = cell if isinstance(cell, Text) else Text(str(cell))
    return Text(" ").join(line for line in told.split() if line.plain.strip())


def said(words: object, *, style: str = "") -> Text:
    """A sentence, a name or a title of others: on one line, with nothing that steers a terminal or a CI machine."""
    return Text(plain.no_command(plain.line(words)), style=style)


def absent(words: str) -> Padding:
    return Padding(said(words, style="dim"), INDENT)


def bullets(sentences: Iterable[str]) -> list[Text]:
    return [said(f"\u2022 {sentence}") for sentence in sentences]


def empty_table(first: str = "pipeline") -> FittingTable:
    table = FittingTable(box=SIMPLE_HEAD, width=WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column(first, overflow="fold", ratio=1, min_width=14)
    return table


def columns(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> FittingTable:
    """A plain listing under titles; a row may end early."""
    table = FittingTable(box=None)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(said, row))
    return table


def facts(rows: Iterable[tuple[str, str]], *, title: str = "") -> FittingTable:
    """What is what, a line each."""
    table = FittingTable(title=said(title) if title else None, title_justify="left", box=None, show_header=False)
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(said(name), said(value))
    return table


def styled(cell: Cell) -> Text:
    return Text(cell.text, style=STYLES.get(cell.tone, ""))


def decided(one: PaidDecision) -> RenderableType:
    """The answer of whoever pays: question, verdict, why, what it changes, what would change it, how sure."""
    effects = facts((effect.label, effect.text) for effect in one.effects)
    verdict = Text.assemble((plain.line(one.verdict), STYLES_OF_ANSWERS[one.tone]), " ", said(one.because))
    above = [said(one.question, style="dim"), verdict]
    below = [*bullets(one.changes), said(f"{one.sure} {one.following}".strip(), style="dim"), Text()]
    return Group(*(Padding(line, INDENT) for line in above), effects, *(Padding(line, INDENT) for line in below))
