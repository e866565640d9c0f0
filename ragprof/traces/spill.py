"""Spans by trace, in bounded memory: spans of one trace may lie gigabytes apart, so they are first sorted out on disk.

Each span goes to one of some files by a checksum of its trace id; then one file at a time is read whole, and its spans
are put together by trace. The files are in a folder that vanishes with the block, whatever ends it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from zlib import crc32

import msgspec

from ragprof.core.errors import BadInput
from ragprof.traces import SpanFacts

ENCODE, DECODE = msgspec.json.Encoder().encode, msgspec.json.Decoder(list[SpanFacts]).decode
TOGETHER = 8
"""Spans of a part that are written at once."""
BYTES_A_PART = 16 * 1024 * 1024
"""Of the files that are read. As Python's objects a part takes some ten times as much."""
MOST_PARTS = 400
"""A process may have about 1,000 files open."""


def by_trace(spans: Iterable[SpanFacts], *, total_bytes: int, beside: Path) -> Iterator[list[SpanFacts]]:
    """Yield the spans of one trace after another, each list in the order read.

    `total_bytes` is the size of what is read, `beside` where there is room on disk for as much again. Spans without a
    trace id are left out. Raises BadInput where the disk is full.
    """
    parts = min(MOST_PARTS, 1 + total_bytes // BYTES_A_PART)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".traces-") as folder, ExitStack() as stack:
        try:
            streams = [
                stack.enter_context((Path(folder) / f"{part}.jsonl").open("wb", buffering=1 << 16))
                for part in range(parts)
            ]
            waiting: list[list[SpanFacts]] = [[] for _ in streams]
            for span in spans:
                if span.trace_id:
                    part = crc32(span.trace_id.encode(errors="replace")) % parts
                    together = waiting[part]
                    together.append(span)
                    if len(together) == TOGETHER:
                        streams[part].write(ENCODE(together) + b"\n")
                        together.clear()
            for stream, together in zip(streams, waiting, strict=True):
                stream.write(ENCODE(together) + b"\n")
                stream.close()
            del waiting
        except OSError as failure:
            raise BadInput(
                f"no room to sort spans by trace ({failure.strerror}); it takes about as much as the files read",
                file=beside,
            ) from None
        for part in range(parts):
            path = Path(folder) / f"{part}.jsonl"
            traces: dict[str, list[SpanFacts]] = {}
            with path.open("rb") as stream:
                for line in stream:
                    for span in DECODE(line):
                        if (spans_of := traces.get(span.trace_id)) is None:
                            spans_of = traces[span.trace_id] = []
                        spans_of.append(span)
            path.unlink()
            yield from traces.values()
