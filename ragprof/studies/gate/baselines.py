"""A baseline: one side of a comparison kept in a folder small enough to commit. Holds figures by query, no texts.

`baseline.json` has the format, the facts, size and sha256 of each table, and a seal: the sha256 of the document itself
without it. `figures.parquet`, `times.parquet` and, unless left out, `rankings.parquet` hold the tables of SideEvidence,
exact to the last digit; the rows are sorted, so that what is read has the rows that were saved in that order. Whatever
was edited, cut short or made by a newer ragprof is refused by name; nothing is mended in passing.

A baseline may come from anyone who can propose a change, so nothing in a file is taken on trust: no other columns or
types, no pandas metadata, no more rows than a comparison could take, no missing value.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ragprof.core import files
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.core.recorded import seal
from ragprof.studies.gate.evidence import FIGURES, RANKINGS, TIMES, SideEvidence, SideFacts, checked

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 2
"""Format 1 kept no rankings and knew no job that two recordings share: each recording was a job of its own."""
KIND = "ragprof baseline"
DOCUMENT = "baseline.json"
FACTS = tuple(name for name in SideFacts.__annotations__ if name not in ("job", "disturbance", "load"))
"""What every format has."""
COLUMNS = {"figures": FIGURES, "times": TIMES, "rankings": RANKINGS}
FILES = {f"{name}.parquet" for name in COLUMNS}
NUMBERS = {"value": "double", "round": "int64", "duration_ns": "int64", "rank": "int64"}
SORTED_BY = {
    "figures": ["kind", "stage", "name", "pipeline", "query_id", "value"],
    "times": ["pipeline", "stage", "round", "query_id", "duration_ns"],
    "rankings": ["query_id", "pipeline", "rank", "document_id"],
}
"""The order that packs best."""
MOST_ROWS = 20_000_000
LFS_POINTER = b"version https://git-lfs"
AGAIN = "restore it from version control or save it again with 'ragprof baseline save'"


@dataclass(frozen=True)
class ListedBaseline:
    """A baseline with its facts in short. `wrong` says why it is refused; then the figures are those of nothing.

    `bytes` is the size of its files, `hashes` those of eval, corpus, questions and qrels.
    """

    name: str
    folder: str
    wrong: str | None = None
    eval: str = ""
    created: str = ""
    queries: int | None = None
    pipelines: tuple[str, ...] = ()
    bytes: int = 0
    hashes: Mapping[str, str] = field(default_factory=dict)
    format: int | None = None


def is_baseline(folder: Path) -> bool:
    """Whether a folder says that it is one; `read` tells whether it is whole."""
    return (folder / DOCUMENT).is_file()


def save(evidence: SideEvidence, folder: Path, *, rankings: bool = True) -> Path:
    """Write it whole, over an older baseline too, and give `folder` back. Waits while others write or read it there.

    The document goes last, so that a save that was killed leaves what was there, or what `read` refuses. The same
    evidence makes the same bytes. Raises BadInput for a folder that is something else, NonFiniteScore for a value
    that is not a number.
    """
    if (folder / "manifest.json").exists():
        raise BadInput("this is the folder of a recording; give the baseline a folder of its own", file=folder)
    path = folder / DOCUMENT
    with suppress(ValueError):  # what is no JSON any more is a baseline that was broken
        there = json.loads(path.read_bytes()) if path.exists() else {"kind": KIND}
        if not isinstance(there, dict) or there.get("kind") != KIND:
            raise BadInput("this file is not ragprof's; give the baseline a folder of its own", file=path)
    named = {"figures": evidence.figures, "times": evidence.times, "rankings": evidence.rankings}
    packed = {f"{name}.parquet": packed_table(name, named[name]) for name in named if rankings or name != "rankings"}
    entries = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in packed.items()
    }
    document: dict[str, Any] = {"kind": KIND, "format": FORMAT, "facts": evidence.facts, "files": entries}
    try:
        document["seal"] = seal(document)
    except ValueError as failure:
        raise NonFiniteScore(f"the facts of '{evidence.facts['eval']}' cannot be kept: {failure}") from None
    written = {DOCUMENT: (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode(), **packed}
    files.ready_folder(folder, remedy="choose another one")
    with locked(folder, fcntl.LOCK_EX):
        for left in (each for name in written for each in folder.glob(f".{name}.*.partial")):
            left.unlink(missing_ok=True)
        with ExitStack() as stack:  # when it is left, it renames the last file first
            partials = {name: stack.enter_context(files.whole(folder / name)) for name in written}
            for name, content in written.items():
                partials[name].write_bytes(content)
        if not rankings:
            (folder / "rankings.parquet").unlink(missing_ok=True)
    return folder


def read(folder: Path) -> SideEvidence:
    """What was saved there, of any format up to this one. Raises BadInput naming the file and what is wrong with it."""
    if not folder.is_dir():
        raise BadInput("there is no such folder; make a baseline with 'ragprof baseline save'", file=folder)
    with locked(folder, fcntl.LOCK_SH):
        document, packed = _checked(folder)
    facts = document["facts"]
    tables = {name: _schema(name).empty_table().to_pandas() for name in COLUMNS}
    tables |= {name: unpacked(name, content, file=folder / f"{name}.parquet") for name, content in packed.items()}
    return SideEvidence(label=str(folder), source="baseline", facts=facts, **tables)


def listed(folder: Path) -> list[ListedBaseline]:
    """Every baseline in and below a folder, by path. The tables are checked against their sha256 and not unpacked."""
    if not folder.is_dir():
        raise BadInput("there is no such folder; name the one that holds the baselines", file=folder)
    documents = (path for path in folder.rglob(DOCUMENT) if path.is_file() and b"ragprof" in path.read_bytes())
    lost_theirs = folder.rglob("figures.parquet")  # a baseline.json without our name is another program's
    found = []
    for place in sorted({path.parent for path in (*documents, *lost_theirs)}):
        name = place.name if place == folder else place.relative_to(folder).as_posix()
        try:
            with locked(place, fcntl.LOCK_SH):
                document, packed = _checked(place)
                size = (place / DOCUMENT).stat().st_size + sum(map(len, packed.values()))
        except BadInput as problem:
            found.append(ListedBaseline(name, str(place), wrong=str(problem)))
            continue
        facts = document["facts"]
        hashes = {"eval": facts["eval_sha256"], "corpus": facts["corpus"]["sha256"]}
        hashes |= {"questions": facts["questions"], "qrels": facts["qrels_sha256"]}
        made = facts["eval"], facts["created"], facts["queries"], tuple(facts["pipelines"])
        found.append(ListedBaseline(name, str(place), None, *made, size, hashes, document["format"]))
    return found


def packed_table(name: str, table: pd.DataFrame) -> bytes:
    """One Parquet file: texts and values by dictionary, durations byte by byte."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name == "figures" and not np.isfinite(table["value"]).all():
        raise NonFiniteScore("a figure is NaN or infinite; record it again with 'ragprof run'")
    rows = table.sort_values(SORTED_BY[name], ignore_index=True)[list(COLUMNS[name])]
    split = [column for column in COLUMNS[name] if column == "duration_ns"]
    stream = io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(rows, schema=_schema(name), preserve_index=False).replace_schema_metadata(None),
        stream,
        compression="zstd",
        compression_level=19,
        use_dictionary=[column for column in COLUMNS[name] if column not in split],
        column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        write_statistics=False,
    )
    return stream.getvalue()


def unpacked(name: str, content: bytes, *, file: Path) -> pd.DataFrame:
    """The table in a file's bytes. Raises BadInput naming the file for what is not a whole table of that name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(io.BytesIO(content))
        if not opened.schema_arrow.equals(_schema(name), check_metadata=False):
            raise BadInput(f"its columns are not {', '.join(COLUMNS[name])}; {AGAIN}", file=file)
        if opened.metadata.num_rows > MOST_ROWS:
            raise BadInput(f"it has {opened.metadata.num_rows:,} rows, of at most {MOST_ROWS:,}; {AGAIN}", file=file)
        table: pd.DataFrame = opened.read().replace_schema_metadata(None).to_pandas()
    except (pa.ArrowException, OSError) as failure:
        raise BadInput(f"not a readable Parquet file ({failure}); {AGAIN}", file=file) from None
    if not all(table[column].notna().all() for column in table):
        raise BadInput(f"a value in it is missing or NaN; {AGAIN}", file=file)
    return table


def _schema(name: str) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(column, pa.type_for_alias(NUMBERS.get(column, "string"))) for column in COLUMNS[name]])


def _checked(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The document and the bytes of the tables that it names, all as they were saved. Raises BadInput."""
    path = folder / DOCUMENT
    document = _json(_bytes(path), path)
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise BadInput("this is not a baseline of ragprof; make one with 'ragprof baseline save'", file=path)
    number = document.get("format")
    if not isinstance(number, int) or number < 1:
        raise BadInput(f"it has format {number!r}, which no ragprof reads; there are 1 to {FORMAT}; {AGAIN}", file=path)
    if number > FORMAT:
        raise BadInput(
            f"it has format {number}, made by a newer ragprof; this one reads up to {FORMAT}: upgrade ragprof, or save "
            "it again with this one",
            file=path,
        )
    if document.get("seal") != seal(document):
        raise BadInput(f"it is not as it was saved (its seal differs): it was edited; {AGAIN}", file=path)
    facts, entries = document.get("facts"), document.get("files")
    if not isinstance(facts, dict) or not isinstance(entries, dict):
        raise BadInput(f"it has no facts or no files; {AGAIN}", file=path)
    if lacking := [name for name in FACTS if name not in facts]:
        raise BadInput(f"its facts lack {', '.join(lacking)}; {AGAIN}", file=path)
    described = (
        isinstance(each, dict) and isinstance(each.get("bytes"), int) and isinstance(each.get("sha256"), str)
        for each in entries.values()
    )
    if not FILES - {"rankings.parquet"} <= set(entries) <= FILES or not all(described):
        raise BadInput(f"its files are not those of a baseline; {AGAIN}", file=path)
    document["facts"] = checked({"job": facts["recording"], **facts}, file=path)
    packed = {name: _as_saved(folder / name, entry) for name, entry in entries.items()}
    return document, {name.removesuffix(".parquet"): content for name, content in packed.items()}


def _json(content: bytes, path: Path) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        document = json.loads(content, parse_constant=refuse)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair cannot be shown or written
    except (ValueError, RecursionError) as failure:
        raise BadInput(f"not valid JSON ({failure}): it was edited or cut short; {AGAIN}", file=path) from None
    return document


def _as_saved(path: Path, entry: Mapping[str, Any]) -> bytes:
    content = _bytes(path)
    if hashlib.sha256(content).hexdigest() == entry["sha256"]:
        return content
    if content.startswith(LFS_POINTER):
        raise BadInput("this is a Git LFS pointer; fetch the file with 'git lfs pull'", file=path)
    found = "it is not as it was saved (its sha256 differs): it was edited, or a save was interrupted"
    if len(content) < entry["bytes"]:
        found = f"it was cut short: {len(content):,} of {entry['bytes']:,} bytes"
    raise BadInput(f"{found}; {AGAIN}", file=path)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"this file of a baseline is missing; {AGAIN}", file=path) from None
    except OSError as failure:
        raise BadInput(f"cannot read it: {failure.strerror or failure}", file=path) from None


@contextmanager
def locked(folder: Path, mode: int) -> Iterator[None]:
    """Wait for a folder: alone in it (LOCK_EX) or with other readers (LOCK_SH). The claim ends with the process."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as failure:
        raise BadInput(f"cannot open this folder: {failure.strerror or failure}", file=folder) from None
    try:
        fcntl.flock(handle, mode)
        yield
    finally:
        os.close(handle)
