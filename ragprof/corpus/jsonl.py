"""JSON objects, one a line, and the documents in them. Every complaint names the line; no line is passed over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ragprof.core import Doc
from ragprof.corpus.lines import filled_lines, is_last
from ragprof.errors import BadInput

Record: TypeAlias = Mapping[str, Any]
DOC_ID_FIELDS = ("_id", "id", "doc_id")
KINDS: Mapping[type, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number with a fraction",
    int: "a number",
    list: "an array",
    str: "a string",
    type(None): "null",
}


def read_docs(path: Path) -> list[Doc]:
    """Documents `{"_id" | "id" | "doc_id", "text"[, "title"]}`. Raises BadInput where there is none at all."""
    docs, seen = [], SeenIds(path, what="document")
    for line, record in records(path):
        doc = _doc(record, file=path, line=line)
        seen.add(doc.doc_id, line)
        docs.append(doc)
    if not docs:
        raise BadInput('this corpus is empty; each line should be {"_id": "...", "text": "..."}', file=path)
    return docs


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """Line numbers and objects. Blank lines are no records."""
    return ((line, _object(text, file=path, line=line)) for line, text in filled_lines(path))


def identifier(record: Record, fields: Sequence[str], *, file: Path, line: int) -> str:
    """The first of the fields that there is; integers become strings."""
    field = next((name for name in fields if name in record), None)
    if field is None:
        raise BadInput(
            f"no id: one of {quoted(fields)} is needed, this line has {quoted(record)}", file=file, line=line
        )
    value = record[field]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadInput(f"'{field}' is {kind_of(value)}; an id is a string or an integer", file=file, line=line)
    if not str(value).strip():
        raise BadInput(f"'{field}' is blank; give each line an id of its own", file=file, line=line)
    return encodable(str(value), field, file=file, line=line)


def text_of(record: Record, field: str, *, file: Path, line: int) -> str:
    """A string field that must be there; it may be blank."""
    if field not in record:
        raise BadInput(f"no '{field}': this line has {quoted(record)}; rename or add the field", file=file, line=line)
    value = record[field]
    if not isinstance(value, str):
        raise BadInput(f"'{field}' is {kind_of(value)}; it must be a string", file=file, line=line)
    return encodable(value, field, file=file, line=line)


def encodable(value: str, field: str, *, file: Path, line: int | None = None) -> str:
    r"""The same string; raises BadInput for half a surrogate pair (`\ud83d` alone), which no UTF-8 file can hold."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as failure:
        what = (
            f"'{field}' holds half a surrogate pair (\\u{ord(value[failure.start]):04x}) at character {failure.start}"
        )
        raise BadInput(f"{what}; remove it or write the whole character", file=file, line=line) from None
    return value


def kind_of(value: object) -> str:
    return KINDS.get(type(value), type(value).__name__)


def quoted(names: Sequence[str] | Record) -> str:
    return ", ".join(f"'{name}'" for name in names) or "no fields"


class SeenIds:
    """Ids of one file with the lines that they were first seen in."""

    def __init__(self, file: Path, *, what: str) -> None:
        self._file, self._what = file, what
        self._lines: dict[str, int] = {}

    def add(self, name: str, line: int) -> None:
        """Raises BadInput naming both lines if the id was there before."""
        first = self._lines.setdefault(name, line)
        if first != line:
            message = f"{self._what} id '{name}' was already given in line {first}; ids must be distinct"
            raise BadInput(message, file=self._file, line=line)


def _doc(record: Record, *, file: Path, line: int) -> Doc:
    doc_id = identifier(record, DOC_ID_FIELDS, file=file, line=line)
    title = "" if record.get("title") is None else text_of(record, "title", file=file, line=line)
    text = text_of(record, "text", file=file, line=line)
    if not (text and not text.isspace()) and not title.strip():
        raise BadInput(f"document '{doc_id}' has neither title nor text; fill or remove it", file=file, line=line)
    return Doc(doc_id, title, text, document_id=doc_id)


def _object(text: str, *, file: Path, line: int) -> Record:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise BadInput(_complaint(failure, file=file, line=line), file=file, line=line) from None
    if not isinstance(value, dict):
        raise BadInput(f"this line is {kind_of(value)}; JSONL has one object {{...}} a line", file=file, line=line)
    return value


def _complaint(failure: Exception, *, file: Path, line: int) -> str:
    if not isinstance(failure, json.JSONDecodeError):
        return f"not valid JSON ({failure}); mend this line"
    where = f"not valid JSON at column {failure.colno}: {failure.msg}"
    if is_last(file, line):
        return f"{where}; this is the last line, so the file may be truncated: copy or download it again"
    return f"{where}; mend this line (JSONL has one object {{...}} a line)"
