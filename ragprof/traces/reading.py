"""Files of traces to spans, whatever they hold: each line says by its members what wrote it, so a file may be mixed.

A line at a time is in memory. What cannot be read is counted, with the place of the first, and passed over: production
writes files that end in the middle of a line. A file in which nothing can be read is refused.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import orjson

from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.traces import SpanFacts, langfuse, otlp, phoenix

MOST_BYTES = 64 * 1024 * 1024
"""Of one line. A line is an export request at most, and exporters send batches of a few megabytes."""
FORMATS = "OTLP JSON lines, Langfuse observations (JSONL) or Phoenix spans (JSONL, Parquet)"
Advance = Callable[[int], None]


@dataclass
class TraceAccount:
    """What was read of one file, and what was not. `first_unread` is the number of the first line that was passed over.

    `cut_off` says that the last line has no end; `too_long` counts lines of more than MOST_BYTES.
    """

    path: Path
    spans: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    first_unread: int | None = None
    foreign: int = 0
    too_long: int = 0
    cut_off: bool = False

    def passed_over(self, line: int) -> None:
        self.unread += 1
        self.first_unread = self.first_unread or line


def check_file(path: Path) -> None:
    """Raises BadInput for a file that is missing or empty."""
    if not path.is_file():
        raise BadInput(f"no such file of traces; give {FORMATS}", file=path)
    if path.stat().st_size == 0:
        raise BadInput(f"it is empty; give {FORMATS}", file=path)


def read_spans(path: Path, account: TraceAccount, advance: Advance = lambda _bytes: None) -> Iterator[SpanFacts]:
    """Yield the spans of a file and say in its account what was read; `advance` is told the bytes gone through.

    Raises BadInput for a file that is missing, empty, or holds no span.
    """
    check_file(path)
    if path.suffix == ".parquet":
        for span in phoenix.parquet_spans(path):
            account.spans["Phoenix Parquet"] += 1
            yield span
        advance(path.stat().st_size)
    else:
        for number, line in _lines(path, account, advance):
            yield from _spans_of_line(line, number, account)
    if not account.spans.total():
        raise BadInput(
            f"no span in it ({counted(account.unread, 'line')} without JSON, {counted(account.foreign, 'object')} of "
            f"something else); give {FORMATS}",
            file=path, line=account.first_unread,
        )  # fmt: skip


def opened(path: Path) -> IO[bytes]:
    """Open a file of lines, compressed or not."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb", buffering=1 << 20)


def _lines(path: Path, account: TraceAccount, advance: Advance) -> Iterator[tuple[int, bytes]]:
    """Number and text of each line that is not empty; a line too long for memory is skipped and counted."""
    try:
        with opened(path) as stream:
            number = 0
            while line := stream.readline(MOST_BYTES):
                number += 1
                advance(len(line))
                if len(line) == MOST_BYTES and not line.endswith(b"\n"):
                    account.too_long += 1
                    while (rest := stream.readline(MOST_BYTES)) and not rest.endswith(b"\n"):
                        advance(len(rest))
                    continue
                account.cut_off = not line.endswith(b"\n")
                if line.strip():
                    yield number, line
    except (OSError, EOFError) as failure:
        raise BadInput(f"cannot read it ({failure}); copy it again", file=path) from None


def _spans_of_line(line: bytes, number: int, account: TraceAccount) -> Iterator[SpanFacts]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        account.passed_over(number)
        return
    for each in found if isinstance(found, list) else (found,):
        if not isinstance(each, dict):
            account.foreign += 1
            continue
        try:
            spans, called = _spans_of(each)
        except (AttributeError, KeyError, TypeError, ValueError):  # it has the members, and other things in them
            account.passed_over(number)
            continue
        if called:
            account.spans[called] += len(spans)
            yield from spans
        else:
            account.foreign += 1


def _spans_of(line: dict[str, Any]) -> tuple[list[SpanFacts], str]:
    """The spans of one object and what wrote it; an empty word where nobody knows."""
    if otlp.is_otlp(line):
        return list(otlp.spans_of(line)), "OTLP"
    if phoenix.is_phoenix(line):
        return [phoenix.span_of(line)], "Phoenix"
    if langfuse.is_observation(line):
        return [langfuse.span_of(line)], "Langfuse"
    return [], ""
