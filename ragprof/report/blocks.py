"""What a report is made of before it is drawn: parts with a heading, and in them sentences, tables, charts and folds.

A study hands over blocks in the order in which a reader should meet them. How they look in HTML and Markdown is decided
in html.py and markdown.py. Markdown has no charts; it shows a part's first table open and folds the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

from ragprof.report.tables import Table, Tone

if TYPE_CHECKING:
    from ragprof.report.theme import Chart


@dataclass(frozen=True, slots=True)
class Sentences:
    """A bulleted list, a sentence an item; nothing where it is empty."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Titled:
    """A bulleted list under a small heading, such as method and limits."""

    title: str
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Small:
    """One line in small print, such as what a study rests on; nothing where `text` is empty."""

    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Folded:
    """A table folded under its title."""

    table: Table


@dataclass(frozen=True, slots=True)
class Pair:
    """Two blocks side by side where there is room."""

    left: Block
    right: Block


@dataclass(frozen=True, slots=True)
class PipelineFold:
    """Blocks about one pipeline under its name and a verdict; `tone` colours the verdict."""

    pipeline: str
    verdict: str
    tone: Tone
    blocks: Sequence[Block]
    open: bool = False


Block: TypeAlias = Union[Sentences, Titled, Small, Table, Folded, Pair, PipelineFold, "Chart", None]
"""None is a block that has nothing to show: a chart without data."""


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A part of the report under its own heading. `key` is its anchor, `link` its word in the contents at the top.

    `last` puts it behind the studies: what the figures rest on. `details` are folded away in Markdown. `answer` is the
    sentence that stands beside the heading while a part is closed; the first sentence of its blocks, if none is given.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    link: str = ""
    last: bool = False
    details: bool = False
    answer: str = ""

    def opened(self) -> tuple[str, Sequence[Block]]:
        """The answer, and the blocks without it."""
        match self.blocks:
            case [Sentences(items=[first, *others]), *rest] if not self.answer:
                return first, [Sentences(others), *rest]
            case _:
                return self.answer, self.blocks
