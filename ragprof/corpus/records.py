"""Records (JSON objects, rows of a table with texts) as documents; other tables as one document that keeps its head.

A record with a `text`, `content` or `body` is a document of that text; of any other record every value is a line
`name: value`. Its id is the file's with `/` and the record's own id, else its number.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ragprof.core.documents import ReadDocument, Segment
from ragprof.corpus.jsonl import DOC_ID_FIELDS
from ragprof.corpus.markup import table

TEXTS = ("text", "content", "body")
TITLES = ("title", "name", "subject", "heading", "question")


def documents_of(records: Iterable[Mapping[str, Any]]) -> tuple[ReadDocument, ...]:
    """A document for each record that has words. Ids that come twice get their number behind them."""
    found, seen = list[ReadDocument](), set[str]()
    for number, record in enumerate(records, 1):
        names = {name.lower().strip(): name for name in record}
        own = next(
            (str(record[names[field]]) for field in DOC_ID_FIELDS if _is_id(record.get(names.get(field, "")))), ""
        )
        name = (
            "".join(sign for sign in own.strip() if unicodedata.category(sign) not in ("Cc", "Cs")) or f"{number:04d}"
        )
        name = f"{name}-{number:04d}" if name in seen else name
        seen.add(name)
        field = next((names[field] for field in TEXTS if isinstance(record.get(names.get(field, "")), str)), None)
        titles = (record[names[title]] for title in TITLES if isinstance(record.get(names.get(title, "")), str))
        text = record[field] if field else "\n".join(lines_of(record))
        if text.strip():
            found.append(ReadDocument(" ".join(next(titles, "").split()), (Segment(text),), name))
    return tuple(found)


def lines_of(value: Any, path: str = "") -> list[str]:
    """Every value within as a line `outer.inner: value`; nothing of null and of what is empty."""
    if isinstance(value, Mapping):
        inside = ((f"{path}.{key}" if path else str(key), inner) for key, inner in value.items())
        return [line for inner_path, inner in inside for line in lines_of(inner, inner_path)]
    if isinstance(value, list | tuple):
        if not all(isinstance(inner, str | int | float) for inner in value):
            return [line for inner in value for line in lines_of(inner, path)]
        value = ", ".join(map(str, value))
    shown = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return [f"{path}: {shown}" if path else shown] if shown.strip() else []


def table_or_documents(rows: Sequence[Sequence[str]]) -> tuple[ReadDocument, ...]:
    """Rows below one that names the columns: documents where a column is called `text` or alike, else one table."""
    head = [cell.strip() for cell in rows[0]] if rows else []
    if {cell.lower() for cell in head} & set(TEXTS):
        return documents_of(dict(zip(head, row, strict=False)) for row in rows[1:])
    return (ReadDocument("", tuple(table_segments(rows))),)


def table_segments(rows: Iterable[Sequence[str]], heading: str = "", *, above: str = "") -> list[Segment]:
    """A table as the segment of a document, what stands above it a part of its head; none where no cell has words."""
    head, body = table(rows)
    whole = f"{above}{head}"
    return [Segment(f"{whole}\n{body}\n\n" if body else f"{whole}\n\n", heading, None, whole)] if head else []


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
