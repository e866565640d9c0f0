"""The tables of a baseline as Parquet files: packed small, and read back only where they are just such tables.

A baseline may come from anyone who can propose a change, so nothing in a file is taken on trust: no other columns or
types, no pandas metadata, no more rows than a comparison could take, no missing value.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ragprof.errors import BadInput, NonFiniteScore
from ragprof.studies.compare.evidence import FIGURES, RANKINGS, TIMES

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS = {"value": "double", "round": "int64", "duration_ns": "int64", "rank": "int64"}
COLUMNS = {"figures": FIGURES, "times": TIMES, "rankings": RANKINGS}
SORTED_BY = {
    "figures": ["kind", "stage", "name", "pipeline", "query_id", "value"],
    "times": ["pipeline", "stage", "round", "query_id", "duration_ns"],
    "rankings": ["query_id", "pipeline", "rank", "document_id"],
}
MOST_ROWS = 20_000_000


def packed_table(name: str, table: pd.DataFrame) -> bytes:
    """One Parquet file: texts and values by dictionary, durations byte by byte, rows in the order that packs best."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name == "figures" and not np.isfinite(table["value"]).all():
        raise NonFiniteScore("a figure is NaN or infinite; record it again with 'ragprof run'")
    rows = table.sort_values(SORTED_BY[name], ignore_index=True)[list(COLUMNS[name])]
    split = [column for column in COLUMNS[name] if column == "duration_ns"]
    stream = io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(rows, schema=_schema(name), preserve_index=False).replace_schema_metadata(None),
        stream,
        compression="zstd",
        compression_level=19,
        use_dictionary=[column for column in COLUMNS[name] if column not in split],
        column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        write_statistics=False,
    )
    return stream.getvalue()


def unpacked(name: str, content: bytes, *, file: Path, remedy: str) -> pd.DataFrame:
    """The table in a file's bytes. Raises BadInput naming the file for what is not a whole table of that name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(io.BytesIO(content))
        if not opened.schema_arrow.equals(_schema(name), check_metadata=False):
            raise BadInput(f"its columns are not {', '.join(COLUMNS[name])}; {remedy}", file=file)
        if opened.metadata.num_rows > MOST_ROWS:
            raise BadInput(f"it has {opened.metadata.num_rows:,} rows, of at most {MOST_ROWS:,}; {remedy}", file=file)
        table: pd.DataFrame = opened.read().replace_schema_metadata(None).to_pandas()
    except (pa.ArrowException, OSError) as failure:
        raise BadInput(f"not a readable Parquet file ({failure}); {remedy}", file=file) from None
    if not all(table[column].notna().all() for column in table):
        raise BadInput(f"a value in it is missing or NaN; {remedy}", file=file)
    return table


def empty(name: str) -> pd.DataFrame:
    table: pd.DataFrame = _schema(name).empty_table().to_pandas()
    return table


def _schema(name: str) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(column, pa.type_for_alias(NUMBERS.get(column, "string"))) for column in COLUMNS[name]])
