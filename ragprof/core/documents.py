"""What a reader makes of a file: documents in stretches of text that know their page and heading.

Reads nothing. The text of a document is its segments, one behind the other, exactly as they are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a document's text on one page and under one heading, with the blank lines that follow it.

    `table_head` are the first lines of a table that fills the segment; they are put before every passage that is cut
    from it, so that no row loses the names of its columns.
    """

    text: str
    heading: str = ""
    page: int | None = None
    table_head: str = ""


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """One document of a file. `name` tells it from the others of the file; empty where the file is one document.

    `title` is empty where the file says none.
    """

    title: str
    segments: tuple[Segment, ...]
    name: str = ""
    is_markdown: bool = False

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True, slots=True)
class SkippedPart:
    """Things of one kind within a file that were not read, such as 3 attachments."""

    kind: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ReadFile:
    """All that a reader found in a file. `pages` is 0 where this kind of file has none."""

    documents: tuple[ReadDocument, ...]
    pages: int = 0
    empty_pages: tuple[int, ...] = ()
    """Numbers of the pages, from 1, that show something and have no text: scans."""
    skipped: tuple[SkippedPart, ...] = ()


def sections(text: str, headings: list[tuple[int, int, str]]) -> tuple[Segment, ...]:
    """The text cut at its headings, given as (offset, level from 1, words) in their order. Nothing of it is lost.

    The heading of a segment is the path that leads to it: `Leave > Parental leave`.
    """
    found: list[Segment] = []
    path: list[tuple[int, str]] = []
    start = 0
    for offset, level, words in [*headings, (len(text), 0, "")]:
        if offset > start:
            found.append(Segment(text[start:offset], " > ".join(name for _, name in path)))
            start = offset
        path = [(above, name) for above, name in path if above < level]
        path.append((level, " ".join(words.split())))
    return tuple(found)
