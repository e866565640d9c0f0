"""Text files by line, JSON objects one per line, and the documents in them. Every error names its line.

Files are UTF-8 and nothing else; a BOM and CRLF line ends are taken off without a word. A BEIR folder has corpus.jsonl,
queries.jsonl and qrels/<split>.tsv, unpacked.
"""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from ragprof.core import Doc
from ragprof.core.errors import BadInput, UnknownName
from ragprof.corpus.account import Tally


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines without their ends. Raises BadInput for a file that is missing or not UTF-8."""
    offset = 0
    with _opened(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as failure:
                where = f"byte 0x{raw[failure.start]:02x} at offset {offset + failure.start} is not UTF-8"
                is_utf_16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                likely = "UTF-16" if is_utf_16 else "ISO-8859-1"
                fixed = f"{path.stem}.utf8{path.suffix}"
                remedy = f"iconv -f {likely} -t UTF-8 {path.name} > {fixed} && mv {fixed} {path.name}"
                raise BadInput(f"{where}; convert the file, for example: {remedy}", file=path, line=number) from None
            offset += len(raw)
            yield number, (text.removeprefix("\ufeff") if number == 1 else text).removesuffix("\n").removesuffix("\r")


def filled_lines(path: Path) -> Iterator[tuple[int, str]]:
    """As `lines`, without the blank ones; the numbers stay those of the file."""
    return ((number, text) for number, text in lines(path) if text and not text.isspace())


def is_last(path: Path, line: int) -> bool:
    """Whether nothing but blank lines follows. Reads the file as bytes, so it may be asked of a broken one."""
    with _opened(path) as stream:
        return not any(number > line and raw.strip() for number, raw in enumerate(stream, 1))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise BadInput("there is no such file; check the path", file=path) from None
    except OSError as failure:
        raise BadInput(f"cannot read it: {failure.strerror or failure}; a readable file is needed", file=path) from None


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


def read_docs(path: Path, tally: Tally) -> list[Doc]:
    """Documents `{"_id" | "id" | "doc_id", "text"[, "title"]}`, those with neither title nor text left out and counted.

    Raises BadInput where there is none at all.
    """
    docs, seen = [], SeenIds(path, what="document")
    for line, record in records(path):
        doc_id = identifier(record, DOC_ID_FIELDS, file=path, line=line)
        title = "" if record.get("title") is None else text_of(record, "title", file=path, line=line)
        text = text_of(record, "text", file=path, line=line)
        seen.add(doc_id, line)
        if is_blank(text) and is_blank(title):
            tally.leave_out_empty("document", "neither title nor text", doc_id)
        else:
            tally.read("document")
            docs.append(Doc(doc_id, title, text, document_id=doc_id))
    if not docs and seen:
        raise BadInput("no document in it has a title or a text; is this the right file?", file=path)
    if not docs:
        raise BadInput('this corpus is empty; each line should be {"_id": "...", "text": "..."}', file=path)
    return docs


def read_fields(path: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Document id -> its fields of these names, beside its text or in its `metadata`: texts, numbers and flags."""
    found: dict[str, dict[str, str]] = {}
    for line, record in records(path):
        inside = record.get("metadata")
        given = {**(inside if isinstance(inside, dict) else {}), **record}
        values = {name: given[name] for name in names if isinstance(given.get(name), str | int | float)}
        if values:
            doc_id = identifier(record, DOC_ID_FIELDS, file=path, line=line)
            found[doc_id] = {
                name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()
            }
    return found


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """Line numbers and objects. Blank lines are no records."""
    for line, text in filled_lines(path):
        try:
            value = json.loads(text)
        except json.JSONDecodeError as failure:
            remedy = "mend this line (JSONL has one object {...} a line)"
            if is_last(path, line):
                remedy = "this is the last line, so the file may be truncated: copy or download it again"
            message = f"not valid JSON at column {failure.colno}: {failure.msg}; {remedy}"
            raise BadInput(message, file=path, line=line) from None
        except (ValueError, RecursionError) as failure:
            raise BadInput(f"not valid JSON ({failure}); mend this line", file=path, line=line) from None
        if not isinstance(value, dict):
            message = f"this line is {kind_of(value)}; JSONL has one object {{...}} a line"
            raise BadInput(message, file=path, line=line)
        yield line, value


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
    name = clean_id(str(value), field, file=file, line=line)
    if not name:
        raise BadInput(f"'{field}' is blank; give each line an id of its own", file=file, line=line)
    return name


def clean_id(value: str, field: str, *, file: Path, line: int | None = None) -> str:
    """Return the id without surrounding blanks, in Unicode form NFC, so that ids of all files match.

    Formats differ in what blanks they keep, and file systems in how they write an accent; judgements of one must meet
    documents of the other. Raises BadInput for NUL, at which the metrics' C code would end the id.
    """
    if "\0" in value:
        raise BadInput(
            f"'{field}' holds a NUL character, which no judgement can carry; remove it", file=file, line=line
        )
    return unicodedata.normalize("NFC", encodable(value, field, file=file, line=line).strip())


def is_utf8(text: str) -> bool:
    """Whether a file can hold it: the name of a file of another encoding holds halves of surrogate pairs."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_blank(text: str) -> bool:
    """Whether the text has no visible character: only blanks, controls and zero-width marks."""
    return all(sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf") for sign in text)


def text_of(record: Record, field: str, *, file: Path, line: int) -> str:
    """A string field that must be there; it may be blank, and null is as blank."""
    if field not in record:
        raise BadInput(f"no '{field}': this line has {quoted(record)}; rename or add the field", file=file, line=line)
    value = "" if record[field] is None else record[field]
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

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, name: str, line: int) -> None:
        """Raises BadInput naming both lines if the id was there before."""
        first = self._lines.setdefault(name, line)
        if first != line:
            message = f"{self._what} id '{name}' was already given in line {first}; ids must be distinct"
            raise BadInput(message, file=self._file, line=line)


CORPUS_FILE = "corpus.jsonl"
QUERIES_FILE = "queries.jsonl"


def read_beir_folder_paths(folder: Path, split: str = "test") -> tuple[Path, Path | None]:
    """Return the paths of queries and qrels of one split; None for qrels if the folder has none at all.

    Raises UnknownName for a missing split.
    """
    queries, qrels = folder / QUERIES_FILE, folder / "qrels" / f"{split}.tsv"
    if not queries.is_file():
        raise BadInput(
            f"no {QUERIES_FILE} in this folder; BEIR has corpus.jsonl, queries.jsonl and qrels/", file=folder
        )
    if qrels.is_file():
        return queries, qrels
    splits = [path.stem for path in qrels.parent.glob("*.tsv")]
    if splits:
        raise UnknownName("split", split, splits, file=qrels.parent)
    return queries, None
