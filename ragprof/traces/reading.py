"""Files of traces to spans, whatever they hold: each line says by its members what wrote it, so a file may be mixed.

A line at a time is in memory. What cannot be read is counted, with the place of the first, and passed over: production
writes files that end in the middle of a line. A file in which nothing can be read is refused.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from msgspec.structs import replace

from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.traces import SpanFacts, langfuse, otlp, phoenix
from ragprof.traces.attributes import LOST, Keep
from ragprof.traces.exported import exported_spans
from ragprof.traces.vocabulary import LIMITS

MOST_BYTES = 64 * 1024 * 1024
"""Of one line. A line is an export request at most, and exporters send batches of a few megabytes."""
FORMATS = (
    "OTLP JSON lines, spans of the OpenTelemetry SDK, Langfuse observations (JSONL) or Phoenix spans (JSONL, Parquet)"
)
Advance = Callable[[int], None]
BEGINNINGS = (
    (b"\xff\xfe", "it is UTF-16; write it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16; write it as UTF-8"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd; decompress it first"),
    (b"BZh", "it is compressed by bzip2; decompress it first"),
    (b"PAR1", "it is Parquet; call it .parquet"),
    (b"{", "it may be JSON over several lines; write each object on a line of its own, as jq -c does"),
    (b"[", "it may be JSON over several lines; write each object on a line of its own, as jq -c does"),
)
"""How files begin that are no JSON lines, and what to do about them."""
GZIP, MARK = b"\x1f\x8b", b"\xef\xbb\xbf"
"""How a compressed file begins, and one with a byte order mark."""
LAST_NS = 2**63 - 1
"""In the year 2262; a later time fits no table."""
LONGEST_NS = 366 * 86_400 * 10**9
"""Of a span. One that is longer has no beginning (1970) or no end (the largest number there is)."""
UNIT = re.compile(r"[a-z_]{1,40}")
MODEL_CHARACTERS = 200


@dataclass
class TraceAccount:
    """What was read of one file, and what was not. `first_unread` is the number of the first line that was passed over.

    `cut_off` says that the last line has no end; `too_long` counts lines of more than MOST_BYTES, `without_trace` spans
    that name no trace, `lost_attributes` those that cannot be read, of spans that can.
    """

    path: Path
    spans: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    first_unread: int | None = None
    foreign: int = 0
    too_long: int = 0
    cut_off: bool = False
    without_trace: int = 0
    lost_attributes: int = 0

    def passed_over(self, line: int) -> None:
        self.unread += 1
        self.first_unread = self.first_unread or line


def check_file(path: Path) -> None:
    """Raises BadInput for a file that is missing or empty."""
    if not path.is_file():
        raise BadInput(f"no such file of traces; give {FORMATS}", file=path)
    if path.stat().st_size == 0:
        raise BadInput(f"it is empty; give {FORMATS}", file=path)


def read_spans(
    path: Path, account: TraceAccount, advance: Advance = lambda _bytes: None, *, keep: Keep | None = None
) -> Iterator[SpanFacts]:
    """Yield the spans of a file and say in its account what was read; `advance` is told the bytes gone through.

    `keep` says what is kept of a passage's text, without it some characters to find it by. Raises BadInput for a file
    that is missing, empty, or holds no span.
    """
    check_file(path)
    if path.suffix == ".parquet":
        for number, row in enumerate(phoenix.parquet_rows(path), start=1):
            yield from _spans_of_object(
                row, number, account, lambda row: ([phoenix.span_of(row, keep)], "Phoenix Parquet")
            )
        advance(path.stat().st_size)
    else:
        for number, line in lines_of(path, account, advance):
            yield from _spans_of_line(line, number, account, keep)
    if not account.spans.total():
        raise BadInput(
            f"no span in it ({counted(account.unread, 'line')} that cannot be read, "
            f"{counted(account.foreign, 'object')} of something else); {_advice(path)}give {FORMATS}",
            file=path, line=account.first_unread,
        )  # fmt: skip
    if account.spans.total() == account.without_trace:
        raise BadInput(f"none of its {counted(account.spans.total(), 'span')} says which trace it is of", file=path)


def _advice(path: Path) -> str:
    """What to do about a file by how it begins; empty where that tells nothing."""
    with path.open("rb") as stream:
        begin = stream.read(64).lstrip()
    return next((f"{advice}, or " for beginning, advice in BEGINNINGS if begin.startswith(beginning)), "")


def opened(path: Path) -> IO[bytes]:
    """Open a file of lines, compressed or not."""
    stream = path.open("rb", buffering=1 << 20)
    begins = stream.read(2)
    stream.seek(0)
    if begins == GZIP or path.suffix == ".gz":
        stream.close()
        return cast(IO[bytes], gzip.open(path))
    return stream


def lines_of(path: Path, account: TraceAccount, advance: Advance = lambda _bytes: None) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each line that is not empty; a line too long for memory is skipped and counted."""
    try:
        with opened(path) as stream:
            number = 0
            while line := stream.readline(MOST_BYTES):
                number += 1
                advance(len(line))
                line = line.removeprefix(MARK) if number == 1 else line
                if len(line) == MOST_BYTES and not line.endswith(b"\n"):
                    account.too_long += 1
                    while (rest := stream.readline(MOST_BYTES)) and not rest.endswith(b"\n"):
                        advance(len(rest))
                    continue
                account.cut_off = not line.endswith(b"\n")
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as failure:
        raise BadInput(f"cannot read it ({failure}); copy it again", file=path) from None


def _spans_of_line(line: bytes, number: int, account: TraceAccount, keep: Keep | None) -> Iterator[SpanFacts]:
    exported = exported_spans(line, keep)
    if exported is not None:
        yield from _counted(list(map(sound, exported)), "OTLP", account)
        return
    try:
        found = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        account.passed_over(number)
        return
    for each in found if isinstance(found, list) else (found,):
        if isinstance(each, dict):
            yield from _spans_of_object(each, number, account, partial(_spans_of, keep=keep))
        else:
            account.foreign += 1


def _spans_of_object(
    found: dict[str, Any], number: int, account: TraceAccount,
    read: Callable[[dict[str, Any]], tuple[list[SpanFacts], str]],
) -> Iterator[SpanFacts]:  # fmt: skip
    try:
        spans, called = read(found)
        spans = [sound(span) for span in spans]
    # It has the members, and other things in them: of other kinds, too large for a number, thousands of levels deep.
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        account.passed_over(number)
        return
    if not called:
        account.foreign += 1
        return
    yield from _counted(spans, called, account)


def _counted(spans: list[SpanFacts], called: str, account: TraceAccount) -> list[SpanFacts]:
    account.spans[called] += len(spans)
    for span in spans:
        if not span.trace_id:
            account.without_trace += 1
        if LOST in span.facts:
            account.lost_attributes += span.facts.pop(LOST)
    return spans


def sound(span: SpanFacts) -> SpanFacts:
    """The span without what nobody can have measured: times that are none, counts and money beyond all bounds."""
    start, end, facts = span.start_ns, span.end_ns, span.facts
    if not 0 <= start <= LAST_NS or (end is not None and (end > LAST_NS or end - start > LONGEST_NS)):
        known = end if end is not None and 0 < end <= LAST_NS else 0
        begun = start if LONGEST_NS < start <= LAST_NS else known
        span = replace(span, start_ns=begun, end_ns=None)
    if not LIMITS.keys().isdisjoint(facts):
        for fact in [fact for fact in facts if fact in LIMITS and not 0 <= facts[fact] <= LIMITS[fact]]:
            del facts[fact]
    if "usage" in facts:
        told = {unit: int(count) for unit, count in facts["usage"].items() if UNIT.fullmatch(unit) and _is_count(count)}
        facts["usage"] = {unit: count for unit, count in told.items() if 0 <= count <= LIMITS["input_tokens"]}
    if "model" in facts:
        facts["model"] = str(facts["model"])[:MODEL_CHARACTERS]
    return span


def _is_count(value: Any) -> bool:
    try:
        int(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def names_spans(line: dict[str, Any]) -> bool:
    """Whether an object is one that holds a span, or several."""
    return otlp.is_otlp(line) or phoenix.is_phoenix(line) or langfuse.is_observation(line)


def _spans_of(line: dict[str, Any], keep: Keep | None = None) -> tuple[list[SpanFacts], str]:
    """The spans of one object and what wrote it; an empty word where nobody knows."""
    if otlp.is_otlp(line):
        return list(otlp.spans_of(line, keep)), "OTLP"
    if phoenix.is_phoenix(line):
        return [phoenix.span_of(line, keep)], "OpenTelemetry SDK" if phoenix.is_sdk(line) else "Phoenix"
    if langfuse.is_observation(line):
        return [langfuse.span_of(line, keep)], "Langfuse"
    return [], ""
