"""Charts in characters: intervals on one scale, and bars of parts. As wide as the terminal, without colour too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ragprof.core import plain
from ragprof.report.terminal import WIDTH, said

NARROWEST, LONGEST_NAME = 12, 24
"""Characters of a scale at least, and of a name beside it at most."""
COLOURS = ("cyan", "blue", "yellow", "green", "magenta", "red")
FILLS, ASCII_FILLS = "█▓▒░▚▞", "#=+-%o"
"""A part is told from its neighbours by its character alone, where there is no colour."""


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value with the ends of its interval, which are None where there is none; `words` say both."""

    name: str
    value: float
    low: float | None
    high: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Whiskers:
    """A line for each value, all on one scale from the lowest end to the highest, which stand below."""

    title: str
    rows: Sequence[Whisker]
    write: Callable[[float], str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = _Room.beside([row.name for row in self.rows], [row.words for row in self.rows], options)
        reached = [end for row in self.rows for end in (row.low, row.value, row.high) if end is not None]
        first, last = min(reached, default=0.0), max(reached, default=1.0)
        step = (last - first) / (room.scale - 1) or 1.0
        line, point, left, right = ("-", "o", "|", "|") if options.ascii_only else ("─", "●", "├", "┤")
        yield said(self.title, style="bold")
        for row in self.rows:
            signs = [" "] * room.scale
            low, value, high = (
                round(((end if end is not None else row.value) - first) / step)
                for end in (row.low, row.value, row.high)
            )
            signs[low : high + 1] = line * (high + 1 - low)
            signs[low], signs[high] = left, right
            signs[value] = point
            yield Text.assemble(room.name(row.name), ("".join(signs), "cyan"), " ", said(row.words))
        ends_of_scale = f"{self.write(first)}{self.write(last):>{max(1, room.scale - len(self.write(first)))}}"
        yield Text.assemble(room.name(""), (ends_of_scale, "dim"))


@dataclass(frozen=True, slots=True)
class StackedBar:
    """Part -> length; `words` say the whole."""

    name: str
    parts: Mapping[str, float]
    words: str


@dataclass(frozen=True, slots=True)
class StackedBars:
    """A bar for each whole, in parts, all on one scale; last what is which part."""

    title: str
    parts: Sequence[str]
    """In their order; a bar may lack some."""
    rows: Sequence[StackedBar]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = _Room.beside([row.name for row in self.rows], [row.words for row in self.rows], options)
        most = max((sum(row.parts.values()) for row in self.rows), default=0.0) or 1.0
        fills = ASCII_FILLS if options.ascii_only else FILLS
        looks = {part: (fills[at % len(fills)], COLOURS[at % len(COLOURS)]) for at, part in enumerate(self.parts)}
        yield said(self.title, style="bold")
        for row in self.rows:
            bar, reached, drawn = Text(), 0.0, 0
            for part in self.parts:
                reached += row.parts.get(part, 0.0)
                # Ends are rounded, not lengths: the bar as a whole is never off by more than half a character.
                end = round(reached / most * room.scale)
                bar.append(looks[part][0] * (end - drawn), looks[part][1])
                drawn = end
            yield Text.assemble(room.name(row.name), bar, " " * (room.scale - drawn), " ", said(row.words))
        legend = [Text.assemble((fill, colour), " ", said(part)) for part, (fill, colour) in looks.items()]
        yield Text("   ").join(legend)


@dataclass(frozen=True, slots=True)
class _Room:
    """How many characters names and the scale have."""

    names: int
    scale: int

    @classmethod
    def beside(cls, names: Sequence[str], words: Sequence[str], options: ConsoleOptions) -> _Room:
        longest = min(LONGEST_NAME, max((len(plain.line(name)) for name in names), default=0)) + 1
        told = max(map(len, words), default=0) + 1
        return cls(longest, max(NARROWEST, min(options.max_width, WIDTH) - longest - told))

    def name(self, name: str) -> Text:
        words = said(name)
        words.truncate(self.names - 1, overflow="ellipsis")
        words.pad_right(self.names - words.cell_len)
        return words
