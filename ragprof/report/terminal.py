"""What tables on a terminal share: width, indent, styles."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragprof.report.tables import Cell, Tone

WIDTH = 78
INDENT = (0, 1)
STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "quiet": "dim", "worse": "yellow"}


def absent(words: str) -> Padding:
    return Padding(Text(words, style="dim"), INDENT)


def bullets(sentences: Iterable[str]) -> list[Text]:
    return [Text(f"\u2022 {sentence}") for sentence in sentences]


def empty_table() -> Table:
    table = Table(box=SIMPLE_HEAD, width=WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1, min_width=14)
    return table


def styled(cell: Cell) -> Text:
    return Text(cell.text, style=STYLES.get(cell.tone, ""))
