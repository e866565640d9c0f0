"""Rows as PostgreSQL's binary COPY takes them, put together in bulk: numbers, texts and vectors of one width.

PostgreSQL 18, COPY, "Binary Format"; a vector is its dimensions and a zero (2 bytes each), then its float32, as
pgvector's vector_recv reads it. Everything is big-endian.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ragprof.core import Vectors

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
ROWS_AT_ONCE = 1000


def copied(
    numbers: Sequence[int], texts: Sequence[str], vectors: Vectors, more: Sequence[Sequence[str]]
) -> Iterator[bytes]:
    """The whole of a COPY of (bigint, text, vector, text ...), a thousand rows at a time.

    What a column of text cannot hold is replaced: a zero by U+FFFD, half a surrogate by a question mark.
    """
    width = vectors.shape[1]
    ids = np.zeros(len(numbers), [("fields", ">i2"), ("length", ">i4"), ("id", ">i8")])
    ids["fields"], ids["length"], ids["id"] = 3 + len(more), 8, numbers
    yield HEADER
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        packed = np.zeros(
            len(vectors[some]), [("length", ">i4"), ("width", ">i2"), ("zero", ">i2"), ("values", ">f4", (width,))]
        )
        packed["length"], packed["width"], packed["values"] = 4 + 4 * width, width, vectors[some]
        columns = [_cells(ids[some]), map(_text, texts[some]), _cells(packed)]
        columns += [map(_text, values[some]) for values in more]
        yield b"".join(cell for row in zip(*columns, strict=True) for cell in row)
    yield TRAILER


def _cells(packed: np.ndarray) -> list[bytes]:
    whole, size = packed.tobytes(), packed.itemsize
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _text(value: str) -> bytes:
    encoded = value.replace("\0", "\ufffd").encode("utf-8", "replace")
    return len(encoded).to_bytes(4, "big") + encoded
