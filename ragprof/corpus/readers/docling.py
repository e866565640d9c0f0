"""Hard files by docling, with its layout and table models and OCR; taken where `[corpus] readers` names it for a kind.

Its models are loaded at the first file of a process, from the Hugging Face hub or from a folder.
"""

from __future__ import annotations

import html
import io
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ragprof.core.documents import ReadDocument, ReadFile, Segment, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.texts import need

if TYPE_CHECKING:
    from docling.document_converter import DocumentConverter

LARGE_TABLE = 1_000
"""A table of more characters is cut between its rows, each part with the head; a smaller one goes with its text."""


class DoclingReader:
    """Knows a file by its content: PDF, Office, images. `ocr` reads scans; `models` is a folder that has its models."""

    isolated = True

    def __init__(self, ocr: bool = True, models: str = "") -> None:
        self._ocr, self._models = ocr, models

    @property
    def identity(self) -> str:
        return f"docling 1 docling {version('docling')} ocr {self._ocr}"

    def load(self) -> None:
        """Import the library. Raises MissingPackage where it is not installed."""
        need("docling", "docling", install="'ragprof[docling]'")

    @cached_property
    def _converter(self) -> DocumentConverter:
        from docling.datamodel.base_models import InputFormat
        from docling.datamodel.pipeline_options import PdfPipelineOptions
        from docling.document_converter import DocumentConverter, PdfFormatOption

        options = PdfPipelineOptions(do_ocr=self._ocr, artifacts_path=self._models or None)
        return DocumentConverter(format_options={InputFormat.PDF: PdfFormatOption(pipeline_options=options)})

    def read(self, content: bytes) -> ReadFile:
        from docling.datamodel.base_models import DocumentStream

        # What it raises is of many kinds: its own, those of its backends, and the hub's where models are missing.
        try:
            document = self._converter.convert(DocumentStream(name="file", stream=io.BytesIO(content))).document
        except Exception as failure:
            raise BadInput(f"docling: {str(failure).partition(chr(10))[0] or type(failure).__name__}") from None
        return _read_file(document)


def _read_file(document: Any) -> ReadFile:
    """Items in reading order, with page and path of headings; pictures are counted."""
    segments, path, title = list[Segment](), list[tuple[int, str]](), ""
    pictures, shown = 0, set[int]()
    for item, _ in document.iterate_items():
        page, label, head = (item.prov[0].page_no if item.prov else None), str(item.label.value), ""
        if label == "table":
            text = html.unescape(item.export_to_markdown(document).replace("&#124;", "\\|")).strip()
            head = "".join(line + "\n" for line in text.split("\n")[:2]) if len(text) > LARGE_TABLE else ""
        elif label == "picture":
            pictures += 1
            continue
        else:
            text = " ".join(getattr(item, "text", "").split())
        if not text:
            continue
        if page is not None:
            shown.add(page)
        if label in ("title", "section_header"):
            level = 0 if label == "title" else item.level
            path = [(above, name) for above, name in path if above < level]
            if title or label == "section_header":
                path.append((level, text))
            title = title or text
        elif label == "list_item":
            text = f"- {text}"
        segments.append(Segment(f"{text}\n\n", " > ".join(name for _, name in path), page, head))
    pages = document.num_pages()
    skipped = (SkippedPart("picture", "pictures are not read", pictures),) if pictures else ()
    empty = tuple(number for number in range(1, pages + 1) if number not in shown)
    return ReadFile((ReadDocument(title, tuple(segments)),), pages, empty, skipped)


plugin: type[Reader] = DoclingReader
