"""PDF by pypdfium2 (Chrome's engine): paragraphs, headings by their size, page numbers; scans are counted.

Lines are joined to paragraphs where they are broken at the margin; those of tables stay lines. Headings are the outline
of the file where it has one, else lines in larger letters than most. A line that most pages begin or end with, such as
a running title, is left out. Text of images is not recognised.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ragprof.core.documents import ReadDocument, ReadFile, Segment, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.texts import need

if TYPE_CHECKING:
    import pypdfium2

LARGER = 1.12
"""A heading's letters are so much larger than those of most text."""
LONGEST_HEADING = 120
HEADING_LEVELS = 4
FULL = 0.82
"""A line that reaches so far towards the right margin goes on in the next one."""
NEAR = 1.7
"""Lines of one paragraph are at most so many letter heights apart, from one top to the next."""
REPEATED = 0.4
FEWEST_PAGES = 4
"""A running title is a first or last line of this share of the pages, of at least so many."""
HYPHEN = "\ufffe"
"""What pdfium has for the hyphen of a word that is broken at the end of a line; the word goes on behind it."""
MADE_TITLES = re.compile(
    r"\(?(untitled|anonymous|unspecified|document\d*|microsoft (word|powerpoint) - .*|"
    r".*\.(docx?|pptx?|tex|indd|pdf|rtf))\)?",
    re.IGNORECASE,
)
"""What programs write as the title where nobody gave one."""


@dataclass(frozen=True, slots=True)
class PdfLine:
    """A line with the height of its letters, and where it lies: points from the left and from the bottom."""

    text: str
    height: float
    left: float
    right: float
    top: float


class PdfReader:
    """Reads the text layer, page by page."""

    isolated = True

    @property
    def identity(self) -> str:
        return f"pdf 1 pypdfium2 {version('pypdfium2')}"

    def load(self) -> None:
        """Import the library. Raises MissingPackage where it is not installed."""
        need("pypdfium2", "pypdfium2")

    def read(self, content: bytes) -> ReadFile:
        import pypdfium2
        import pypdfium2.raw as pdfium

        try:
            document = pypdfium2.PdfDocument(content)
        except pypdfium2.PdfiumError:
            if pdfium.FPDF_GetLastError() == pdfium.FPDF_ERR_PASSWORD:
                raise BadInput("encrypted; save it without a password") from None
            raise BadInput("broken: no PDF that can be opened") from None
        try:
            pages, empty = [], []
            for number in range(len(document)):
                lines = lines_of(document, number)
                pages.append(lines)
                if not lines:
                    empty.append(number + 1)
            kept, running = without_running_titles(pages)
            outline = dict[int, list[tuple[int, str]]]()
            for mark in document.get_toc():
                destination = mark.get_dest()
                page = destination.get_index() if destination else None
                if page is not None and (title := " ".join((mark.get_title() or "").split())):
                    outline.setdefault(page, []).append((mark.level + 1, title))
            said = " ".join((document.get_metadata_value("Title") or "").replace("\0", "").split())
        finally:
            document.close()
        segments, largest = segments_of(kept, outline)
        title = largest if not said or MADE_TITLES.fullmatch(said) else said
        skipped = (SkippedPart("line", "running title of the pages", running),) if running else ()
        return ReadFile((ReadDocument(title, segments),), len(pages), tuple(empty), skipped)


def lines_of(document: pypdfium2.PdfDocument, number: int) -> list[PdfLine]:
    """The lines of one page that have words, in the order in which they were set."""
    import pypdfium2.raw as pdfium

    page = document[number]
    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range().replace("\r\n", "\n").replace("\r", "\n")
        # Where each line begins in pdfium's own count of characters, in which a line ends with two signs.
        found, place = [], 0
        for line in text.split("\n"):
            words = line.strip()
            if words:
                first = place + len(line) - len(line.lstrip())
                begin, end = _box(pdfium, textpage, first), _box(pdfium, textpage, first + len(words) - 1)
                found.append(
                    PdfLine(words.replace(HYPHEN, ""), begin.top - begin.bottom, begin.left, end.right, begin.top)
                )
            place += len(line) + 2
        return found
    finally:
        textpage.close()
        page.close()


def _box(pdfium: Any, textpage: Any, place: int) -> Any:
    """Box of the letter at a place of the text, as tall as its font; of no size where there is none."""
    box = pdfium.FS_RECTF()
    index = pdfium.FPDFText_GetCharIndexFromTextIndex(textpage, place)
    pdfium.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(box))
    return box


def without_running_titles(pages: Sequence[list[PdfLine]]) -> tuple[list[list[PdfLine]], int]:
    """The pages without first and last lines that most of them have at one place, and how many lines that are.

    They may differ in numbers. Those in larger letters than most are headings, such as `Chapter 7`, and stay.
    """
    filled = [lines for lines in pages if lines]
    if len(filled) < FEWEST_PAGES:
        return list(pages), 0
    body = _body_height([line for lines in filled for line in lines])
    ends = (
        Counter(_running(lines[0], body) for lines in filled),
        Counter(_running(lines[-1], body) for lines in filled),
    )
    first, last = ({line for line, count in end.items() if line and count >= REPEATED * len(filled)} for end in ends)
    kept, left = [], 0
    for lines in pages:
        begins = int(bool(lines) and _running(lines[0], body) in first)
        ends_at = len(lines) - int(len(lines) > begins and _running(lines[-1], body) in last)
        kept.append(lines[begins:ends_at])
        left += len(lines) - len(kept[-1])
    return kept, left


def _running(line: PdfLine, body: float) -> tuple[str, int] | None:
    """What a running title goes by: words without numbers, and its place on the page."""
    return None if line.height > LARGER * body else (re.sub(r"\d+", "#", line.text), round(line.top))


def _body_height(lines: Sequence[PdfLine]) -> float:
    """The height that most letters have."""
    heights = Counter[float]()
    for line in lines:
        heights[round(line.height, 1)] += len(line.text)
    return heights.most_common(1)[0][0]


def segments_of(
    pages: Sequence[list[PdfLine]], outline: dict[int, list[tuple[int, str]]]
) -> tuple[tuple[Segment, ...], str]:
    """The text by page and heading; and the first of the largest lines of the first page with text, as a title."""
    lines = [line for page in pages for line in page]
    if not lines:
        return (), ""
    body = _body_height(lines)
    sizes = sorted({height for line in lines if (height := round(line.height, 1)) > LARGER * body}, reverse=True)
    levels = {height: min(place, HEADING_LEVELS) for place, height in enumerate(sizes, 1)}
    first = next(page for page in pages if page)
    largest = max(first, key=lambda line: round(line.height, 1))
    title = largest.text if len(largest.text) <= LONGEST_HEADING and round(largest.height, 1) in levels else ""
    path: list[tuple[int, str]] = []
    segments: list[Segment] = []
    for number, page in enumerate(pages):
        expected = list(outline.get(number, ()))
        stretches: list[tuple[str, list[PdfLine]]] = [(_path(path), [])]
        for line in page:
            if found := _heading(line, expected, {} if outline else levels):
                path = [*((level, words) for level, words in path if level < found[0]), found]
                stretches.append((_path(path), []))
            stretches[-1][1].append(line)
        segments += [Segment(f"{joined(some)}\n\n", heading, number + 1) for heading, some in stretches if some]
        for found in expected:  # what the outline names and no line of the page says
            path = [*((level, words) for level, words in path if level < found[0]), found]
    return tuple(segments), title


def _path(headings: Sequence[tuple[int, str]]) -> str:
    return " > ".join(words for _, words in headings)


def _heading(line: PdfLine, expected: list[tuple[int, str]], levels: dict[float, int]) -> tuple[int, str] | None:
    """Level and words where the line is a heading: by the outline, of which it is then taken, or by its size."""
    level_by_size = levels.get(round(line.height, 1))
    if (
        (level_by_size is None and not expected)
        or len(line.text) > LONGEST_HEADING
        or not (bare := _letters(line.text))
    ):
        return None
    for place, (level, words) in enumerate(expected):
        if bare.endswith(_letters(words)) and len(bare) < len(words) + len("Chapter "):
            del expected[: place + 1]
            return level, words
    return None if level_by_size is None else (level_by_size, line.text)


def _letters(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalpha())


def joined(lines: Sequence[PdfLine]) -> str:
    """Lines as paragraphs: one that reaches the margin goes on in the next, larger gaps part paragraphs."""
    margin = max(line.right for line in lines)
    text = lines[0].text
    for above, line in pairwise(lines):
        size = max(above.height, line.height, 1.0)
        is_alike = abs(above.height - line.height) < 0.2 * size
        is_near = 0 <= above.top - line.top <= NEAR * size
        if text.endswith("\u00ad"):
            text = text[:-1] + line.text
        elif not (is_alike and is_near):
            text += "\n\n" + line.text
        elif above.right - above.left >= FULL * (margin - above.left):
            text += " " + line.text
        else:
            text += "\n" + line.text
    return text


plugin: type[Reader] = PdfReader
