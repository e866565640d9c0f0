"""Parquet: one table whose head stays with its rows, or a document a row where a column is called text."""

from __future__ import annotations

import io
from importlib.metadata import version

from ragprof.core.documents import ReadFile
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.records import TEXTS, documents_of, table_or_documents
from ragprof.corpus.texts import UNPACKED_BYTES, need


class ParquetReader:
    """Reads tables that unpack to no more than an Office file may."""

    isolated = True

    @property
    def identity(self) -> str:
        return f"parquet 1 pyarrow {version('pyarrow')}"

    def load(self) -> None:
        """Import the library."""
        need("pyarrow.parquet", "pyarrow")

    def read(self, content: bytes) -> ReadFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(io.BytesIO(content))
            groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            if size > UNPACKED_BYTES:
                raise BadInput(f"unpacks to {size / 1e6:,.0f} MB: more than {UNPACKED_BYTES / 1e6:,.0f}")
            table = file.read()
        except (pa.ArrowException, OSError) as failure:
            raise BadInput(f"broken: {str(failure).splitlines()[0]}") from None
        if {name.lower() for name in table.column_names} & set(TEXTS):
            return ReadFile(documents_of(table.to_pylist()))
        rows = ([str("" if cell is None else cell) for cell in row.values()] for row in table.to_pylist())
        return ReadFile(table_or_documents([table.column_names, *rows]))


plugin: type[Reader] = ParquetReader
