"""What traces say in words: the question of each, and the passages that it found. Kept in memory, written nowhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from ragprof.core.errors import BadInput
from ragprof.traces.reading import Advance, TraceAccount, lines_of, names_spans, read_spans

SAID_BY = ("search", "rerank", "embed")
"""Stages whose input is a trace's question, the best first; else that of whatever span has one."""
LISTED = ("found", "offered", "reranked", "injected")
LOOKED_AT = 20
"""Lines by which a file is told to hold traces."""


@dataclass
class TraceContents:
    """`passages` are id -> text, in the order in which they were first found; `without_text` are ids alone.

    Another text under an id that was found before has a number behind it, `faq.md#2`.
    """

    account: TraceAccount
    questions: list[str] = field(default_factory=list)
    passages: dict[str, str] = field(default_factory=dict)
    without_text: set[str] = field(default_factory=set)
    services: Counter[str] = field(default_factory=Counter)
    traces: int = 0


def holds_traces(path: Path) -> bool:
    """Whether the first lines of a file, or the columns of a Parquet table, are those of spans."""
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        try:
            return bool({"context.trace_id", "context"} & set(pq.read_schema(path).names))
        except (OSError, ValueError):
            return False
    try:
        for _, line in islice(lines_of(path, TraceAccount(path)), LOOKED_AT):
            try:
                found = msgspec.json.decode(line)
            except (ValueError, RecursionError):
                continue
            if any(
                isinstance(each, dict) and names_spans(each) for each in (found if isinstance(found, list) else [found])
            ):
                return True
    except BadInput:
        pass
    return False


def read_contents(path: Path, advance: Advance = lambda _bytes: None) -> TraceContents:
    """Read every question and every passage with a text. Raises BadInput for a file without spans."""
    contents = TraceContents(TraceAccount(path))
    asked: dict[str, tuple[int, int, str]] = {}
    seen, known = set[str](), dict[str, dict[str, None]]()
    named = set[str]()
    for span in read_spans(path, contents.account, advance, keep=str):
        seen.add(span.trace_id)
        contents.services[span.service] += 1
        if question := span.facts.get("question"):
            rank = SAID_BY.index(span.stage) if span.stage in SAID_BY else len(SAID_BY)
            mine = (rank, span.start_ns, str(question))
            asked[span.trace_id] = min(mine, asked.get(span.trace_id, mine))
        for doc_id, text in (pair for listed in LISTED for pair in span.facts.get(listed, ())):
            named.add(doc_id)
            if text.strip():
                known.setdefault(doc_id, {}).setdefault(text)
    contents.traces, contents.questions = len(seen), [question for _, _, question in asked.values()]
    for doc_id, texts in known.items():
        for number, text in enumerate(texts, 1):
            contents.passages[doc_id if number == 1 else f"{doc_id}#{number}"] = text
    contents.without_text = named - known.keys()
    return contents
