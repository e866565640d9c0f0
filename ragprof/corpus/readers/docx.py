"""Word by python-docx: headings, paragraphs, lists and tables as Markdown, with pages as Word last laid them out."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from ragprof.core.documents import ReadDocument, ReadFile, Segment, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.markup import table
from ragprof.corpus.texts import check_archive, need

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
WRAPPERS = tuple(f"{W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"))
SIGNS = {f"{W}t": "", f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-"}
LARGE_TABLE = 1_000
"""A table of more characters is cut between its rows, each part with the head; a smaller one goes with its text."""


class DocxReader:
    """Headers, footers, notes and text boxes are not read; notes and text boxes are counted."""

    isolated = True

    @property
    def identity(self) -> str:
        return f"docx 1 python-docx {version('python-docx')}"

    def load(self) -> None:
        """Import the library. Raises MissingPackage where it is not installed."""
        need("docx", "python-docx")

    def read(self, content: bytes) -> ReadFile:
        import docx
        from docx.opc.exceptions import PackageNotFoundError

        check_archive(content)
        try:
            document = docx.Document(io.BytesIO(content))
        except (PackageNotFoundError, KeyError, ValueError) as failure:
            raise BadInput(f"broken: {failure}") from None
        styles = _styles(document)
        path: list[tuple[int, str]] = []
        segments, first, page, has_pages = list[Segment](), "", 1, False
        for item in blocks(document.element.body):
            before, within = page_breaks(item)
            has_pages |= before + within > 0
            page += before
            head = ""
            if item.tag == f"{W}tbl":
                head, body = table([_cells(row) for row in item.findall(f"{W}tr")])
                text = f"{head}\n{body}".strip()
                head = head if len(text) > LARGE_TABLE else ""
            else:
                style, text = styles.get(item.style, styles[None]), words_of(item)
                level = _level(style)
                if level and text:
                    words = " ".join(text.split())
                    path = [*((above, name) for above, name in path if above < level), (level, words)]
                    text, first = f"{'#' * min(level, 6)} {words}", first or words
                elif text and (style.startswith("List") or (item.pPr is not None and item.pPr.numPr is not None)):
                    text = f"- {text}"
            if text:
                segments.append(Segment(f"{text}\n\n", " > ".join(name for _, name in path), page, head))
            page += within
        body = document.element.body
        counted = {"text box": len(body.findall(f".//{W}txbxContent")), "footnote": _references(body, "footnote")}
        counted["endnote"] = _references(body, "endnote")
        skipped = tuple(SkippedPart(kind, "not read in Word files", count) for kind, count in counted.items() if count)
        paged = segments if has_pages else [replace(each, page=None) for each in segments]
        title = " ".join((document.core_properties.title or "").split())
        made = title.lower() in ("word document", "document", "untitled")
        return ReadFile(
            (ReadDocument(first if made or not title else title, tuple(paged), is_markdown=True),),
            page if has_pages else 0,
            skipped=skipped,
        )


def blocks(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables in their order, those within content controls and tracked changes too."""
    for child in parent:
        if child.tag in (f"{W}p", f"{W}tbl"):
            yield child
        elif child.tag in WRAPPERS:
            yield from blocks(child)


def words_of(paragraph: Any) -> str:
    """The text of a paragraph as it reads with all tracked changes accepted, without that of text boxes."""
    boxed = {id(node) for box in paragraph.iter(f"{W}txbxContent") for node in box.iter()}
    nodes = (node for node in paragraph.iter(*SIGNS) if id(node) not in boxed)
    return "".join(node.text or "" if node.tag == f"{W}t" else SIGNS[node.tag] for node in nodes).strip()


def page_breaks(element: Any) -> tuple[int, int]:
    """How often a page ends before the first word and behind it.

    Where Word's last layout ended one, else where somebody asked for it.
    """
    laid_out = element.find(f".//{W}lastRenderedPageBreak") is not None
    counts, has_words = [0, 0], False
    for node in element.iter(f"{W}t", f"{W}br", f"{W}lastRenderedPageBreak"):
        if node.tag == f"{W}t":
            has_words = has_words or bool((node.text or "").strip())
        elif node.tag == f"{W}lastRenderedPageBreak" or (not laid_out and node.get(f"{W}type") == "page"):
            counts[has_words] += 1
    return counts[0], counts[1]


def _references(body: Any, kind: str) -> int:
    return len(body.findall(f".//{W}{kind}Reference"))


def _styles(document: Any) -> dict[str | None, str]:
    """Names of paragraph styles by their ids; under None that of a paragraph that names none.

    python-docx looks through all styles for each paragraph, which takes longer than all else.
    """
    from docx.enum.style import WD_STYLE_TYPE

    every = document.styles
    usual = every.default(WD_STYLE_TYPE.PARAGRAPH)
    named = {each.style_id: each.name or "" for each in every if each.type == WD_STYLE_TYPE.PARAGRAPH}
    return {**named, None: "" if usual is None else usual.name or ""}


def _level(style: str) -> int:
    """1 for a title or Heading 1; 0 for what is no heading."""
    if style == "Title":
        return 1
    number = style.removeprefix("Heading ")
    return int(number) if number != style and number.isdigit() else 0


def _cells(row: Any) -> Sequence[str]:
    """A cell that spans several columns stands in the first of them."""
    found = list[str]()
    for cell in row.findall(f"{W}tc"):
        found.append("\n".join(words_of(paragraph) for paragraph in cell.iter(f"{W}p")))
        span = cell.find(f"{W}tcPr/{W}gridSpan")
        found += [""] * (int(span.get(f"{W}val", 1)) - 1 if span is not None else 0)
    return found


plugin: type[Reader] = DocxReader
