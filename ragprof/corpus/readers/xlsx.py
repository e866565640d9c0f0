"""Excel by openpyxl: a table for each sheet, whose head stays with its rows; values as they were last computed."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from importlib.metadata import version
from zipfile import BadZipFile

from ragprof.core.documents import ReadDocument, ReadFile, Segment, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.records import table_segments
from ragprof.corpus.texts import check_archive, need

UNNAMED = re.compile(r"(Sheet|Tabelle|Feuil|Hoja|Foglio|Blad|Planilha)\d*")
"""What Excel calls sheets to which nobody gave a name."""
MOST_CHARACTERS = 100_000_000
"""Short cells may stand for one long text many times over."""


class XlsxReader:
    """A sheet counts as a page. Hidden sheets are counted and left out."""

    isolated = True

    @property
    def identity(self) -> str:
        return f"xlsx 1 openpyxl {version('openpyxl')}"

    def load(self) -> None:
        """Import the library. Raises MissingPackage where it is not installed."""
        need("openpyxl", "openpyxl")

    def read(self, content: bytes) -> ReadFile:
        import openpyxl

        check_archive(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of validations and formats that no value depends on
            try:
                book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            except (KeyError, ValueError, BadZipFile) as failure:
                raise BadInput(f"broken: {failure}") from None
            segments, hidden = list[Segment](), 0
            for sheet in book.worksheets:
                if sheet.sheet_state != "visible":
                    hidden += 1
                    continue
                rows = _rows(sheet.iter_rows(values_only=True))
                above = "" if UNNAMED.fullmatch(sheet.title) else f"{sheet.title}\n\n"
                segments += table_segments(rows, sheet.title, above=above)
            title = " ".join((book.properties.title or "").split())
        skipped = (SkippedPart("sheet", "hidden", hidden),) if hidden else ()
        return ReadFile((ReadDocument(title, tuple(segments)),), len(book.worksheets), skipped=skipped)


def _rows(rows: Iterable[tuple[object, ...]]) -> Iterator[list[str]]:
    characters = 0
    for row in rows:
        cells = [shown(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        characters += sum(map(len, cells))
        if characters > MOST_CHARACTERS:
            raise BadInput(f"a sheet holds more than {MOST_CHARACTERS / 1e6:,.0f} million characters")
        if cells:
            yield cells


def shown(value: object) -> str:
    """A cell as a reader would write it: no time of midnight, no fraction that is zero."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return str(value.date()) if value.time() == time() else str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


plugin: type[Reader] = XlsxReader
