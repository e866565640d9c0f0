"""Queries: BEIR's queries.jsonl or `id<TAB>text` lines. Refuses a query without text; reads no judgements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragprof.core import Query
from ragprof.corpus.jsonl import Record, SeenIds, identifier, kind_of, records, text_of
from ragprof.corpus.lines import filled_lines
from ragprof.errors import BadInput

QUERY_ID_FIELDS = ("_id", "id", "query_id")
TABLE_SUFFIXES = (".tsv", ".txt")


def read_queries(path: Path) -> list[Query]:
    """Queries in the order of the file: .tsv and .txt as `id<TAB>text`, anything else as JSONL."""
    rows = _from_table(path) if path.suffix.lower() in TABLE_SUFFIXES else _from_jsonl(path)
    queries, seen = [], SeenIds(path, what="query")
    for line, query in rows:
        if not query.text.strip():
            raise BadInput(f"query '{query.query_id}' has no text; fill or remove it", file=path, line=line)
        seen.add(query.query_id, line)
        queries.append(query)
    if not queries:
        raise BadInput('there is no query in it; each line should be {"_id": "...", "text": "..."}', file=path)
    return queries


def _from_jsonl(path: Path) -> Iterator[tuple[int, Query]]:
    for line, record in records(path):
        query_id = identifier(record, QUERY_ID_FIELDS, file=path, line=line)
        text = text_of(record, "text", file=path, line=line)
        yield line, Query(query_id, text, _metadata(record, file=path, line=line))


def _from_table(path: Path) -> Iterator[tuple[int, Query]]:
    for line, row in filled_lines(path):
        query_id, tab, text = row.partition("\t")
        if not tab or not query_id.strip():
            raise BadInput("not 'id<TAB>text'; put one tab between the query's id and its text", file=path, line=line)
        yield line, Query(query_id.strip(), text.strip())


def _metadata(record: Record, *, file: Path, line: int) -> dict[str, Any]:
    """What the line says beside id and text: its `metadata`, and any further field."""
    metadata = record.get("metadata")
    if not isinstance(metadata, dict | None):
        raise BadInput(f"'metadata' is {kind_of(metadata)}; it must be an object", file=file, line=line)
    known = {*QUERY_ID_FIELDS, "text", "metadata"}
    return {name: value for name, value in record.items() if name not in known} | (metadata or {})
