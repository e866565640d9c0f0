"""Spans of documents that somebody marked, in a file: which stretch of which document answers which question.

Characters are those of the document's text as ragprof reads it, which for other files than plain text only ragprof
knows: `text`, the words of the span, needs no counting.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragprof.core.errors import BadInput
from ragprof.corpus.jsonl import Record, identifier, kind_of, records
from ragprof.studies.chunking.spans import TextSpan

QUERY_FIELDS, DOC_FIELDS = ("query_id", "query"), ("doc_id", "document_id", "document", "corpus_id")
UNKNOWN_QUERY, UNKNOWN_DOC, NOT_THERE = (
    "of questions that the eval does not ask",
    "of documents that the corpus does not have",
    "whose words are not in their document",
)


@dataclass(frozen=True)
class MarkedSpans:
    """query_id -> its spans, and how many others were left out, by reason."""

    spans: Mapping[str, tuple[TextSpan, ...]]
    left_out: Mapping[str, int]


NOTHING_MARKED = MarkedSpans({}, {})


def read_spans(path: Path, *, queries: Collection[str], texts: Mapping[str, str]) -> MarkedSpans:
    """Read a .jsonl or .parquet file of `query_id`, `doc_id`, and `start` and `end` or `text`; `texts` are by document.

    Raises BadInput with the line of a span that cannot be one, and where no span is left.
    """
    found: dict[str, list[TextSpan]] = {}
    left_out = Counter[str]()
    for line, record in _rows(path):
        query_id = identifier(record, QUERY_FIELDS, file=path, line=line)
        document = identifier(record, DOC_FIELDS, file=path, line=line)
        if query_id not in queries:
            left_out[UNKNOWN_QUERY] += 1
        elif document not in texts:
            left_out[UNKNOWN_DOC] += 1
        elif (span := _span(record, document, texts[document], path, line)) is None:
            left_out[NOT_THERE] += 1
        else:
            found.setdefault(query_id, []).append(span)
    if not found:
        told = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "it is empty"
        raise BadInput(f"no span in it can be used: {told}", file=path)
    return MarkedSpans({query_id: tuple(sorted(set(spans))) for query_id, spans in found.items()}, left_out)


def _rows(path: Path) -> Iterator[tuple[int, Record]]:
    if path.suffix.lower() != ".parquet":
        yield from records(path)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise BadInput("there is no such file; check the path", file=path) from None
    except (OSError, pa.ArrowException) as failure:
        raise BadInput(f"not a readable Parquet file: {str(failure).splitlines()[0]}", file=path) from None
    for number, row in enumerate(rows, 1):
        known = {
            name: value
            for name, value in row.items()
            if value is not None and not (isinstance(value, float) and math.isnan(value))
        }
        # A column with gaps in it is one of fractions to pandas.
        yield (
            number,
            {
                name: int(value) if isinstance(value, float) and value.is_integer() else value
                for name, value in known.items()
            },
        )


def _span(record: Record, document: str, text: str, path: Path, line: int) -> TextSpan | None:
    """None where the words are not in the text."""
    if "start" in record or "end" in record:
        start, end = (_place(record, name, path, line) for name in ("start", "end"))
        if not start < end <= len(text):
            raise BadInput(
                f"characters {start:,} to {end:,} are no stretch of '{document}', which has {len(text):,}; 'end' is "
                "one behind the last",
                file=path, line=line,
            )  # fmt: skip
        return TextSpan(document, start, end)
    words = record.get("text")
    if not isinstance(words, str) or not words.strip():
        raise BadInput("a span has 'start' and 'end', or its words as 'text'", file=path, line=line)
    at = text.find(words)
    if at >= 0:
        return TextSpan(document, at, at + len(words))
    # Lines are broken otherwise where somebody copied the words from.
    same = re.search(r"\s+".join(map(re.escape, words.split())), text)
    return None if same is None else TextSpan(document, *same.span())


def _place(record: Record, name: str, path: Path, line: int) -> int:
    value: Any = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        said = "missing" if value is None else kind_of(value) if not isinstance(value, int) else f"{value}"
        raise BadInput(f"'{name}' is {said}; it counts characters from 0", file=path, line=line)
    return value
