"""CSV and TSV: one table whose head stays with its rows, or a document a row where a column is called text."""

from __future__ import annotations

import csv
import io

from ragprof.core.documents import ReadFile
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.records import table_or_documents
from ragprof.corpus.texts import decoded

SAMPLE = 20_000
LARGEST_CELL = 10_000_000


class CsvReader:
    """Finds out what separates the columns."""

    identity = "csv 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        text = decoded(content)
        first = next((line for line in text[:SAMPLE].splitlines() if line.strip()), "")
        separator = max(",\t;|", key=first.count)
        before = csv.field_size_limit(LARGEST_CELL)
        try:
            rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(map(str.strip, row))]
        except csv.Error as failure:
            raise BadInput(f"broken: {failure}") from None
        finally:
            csv.field_size_limit(before)
        return ReadFile(table_or_documents(rows))


plugin: type[Reader] = CsvReader
