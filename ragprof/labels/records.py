"""Judgements as they are made: an append-only file of lines, each on disk before the next question is shown.

Several people and a model may append at once: a line goes in whole, under a lock. A line that a kill cut off fails its
checksum, is passed over and counted, and the next one begins on a line of its own. Nothing is ever rewritten: who
changes a grade or takes it back appends. What commands use is made from it: `qrels.tsv` (BEIR), `qrels.trec` (TREC) and
`labels.parquet`. No question and no passage is in any of them.
"""

from __future__ import annotations

import csv
import fcntl
import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from statistics import median_low
from threading import Lock
from typing import Any, Literal, TypeAlias, get_args
from zlib import crc32

from ragprof.core import files
from ragprof.core.caches import digest
from ragprof.core.errors import BadInput

LOG = logging.getLogger("ragprof")
Source: TypeAlias = Literal["person", "model", "import"]
State: TypeAlias = Literal["graded", "skipped", "undone", "unjudged"]
Pair: TypeAlias = tuple[str, str]
"""(query_id, doc_id)."""
HIGHEST = 3
DIGEST_SIGNS = 16
COLUMNS = (
    "query_id", "doc_id", "document_id", "grade", "judge", "rubric", "model", "asked_at", "source", "state", "second",
    "answer", "second_answer", "question_digest", "passage_digest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PassageLabel:
    """What one judge said of one passage for one question.

    `grade` is 0 to 3, None unless the state is graded. `second` is what the same model said when it was asked again,
    None where it was not, or gave no grade; `answer` and `second_answer` are its words. `question_digest` and
    `passage_digest` are of the words as the judge saw them; empty where nobody noted it.
    """

    query_id: str
    doc_id: str
    document_id: str
    grade: int | None
    judge: str
    source: Source
    asked_at: str
    state: State = "graded"
    rubric: str = ""
    model: str = ""
    second: int | None = None
    answer: str = ""
    second_answer: str = ""
    question_digest: str = ""
    passage_digest: str = ""

    @property
    def pair(self) -> Pair:
        return self.query_id, self.doc_id


class LabelFile:
    """`labels.jsonl` in a folder. Safe to use from several threads.

    Reading it anew shows what others have appended meanwhile, and reads that alone.
    """

    def __init__(self, folder: Path) -> None:
        files.ready_folder(folder, remedy="choose another place for the eval file")
        self.folder, self.path = folder, folder / "labels.jsonl"
        self._known: list[PassageLabel] = []
        self._end, self._lock = 0, Lock()

    def append(self, labels: Sequence[PassageLabel]) -> None:
        """Add them, and return when they are on disk. Raises BadInput where that fails."""
        append_records(self.path, [asdict(label) for label in labels])

    def read(self) -> list[PassageLabel]:
        """All labels, in the order in which they came. How many lines are damaged is told."""
        with self._lock:
            records, self._end = read_records(self.path, after=self._end, is_sound=_is_label)
            self._known += [PassageLabel(**{"grade": None, **record}) for record in records]
            return list(self._known)


@dataclass(frozen=True, slots=True)
class QueryDraw:
    """A query that was drawn for people to judge, and its chance among those that were left of so many.

    `ids_digest` is of the ids of all queries that it was drawn among.
    """

    query_id: str
    chance: float
    among: int
    drawn_at: str
    ids_digest: str = ""


class DrawFile:
    """`draws.jsonl` in a folder, in the order of the draws."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "draws.jsonl"

    def append(self, draws: Sequence[QueryDraw]) -> None:
        append_records(self.path, [asdict(draw) for draw in draws])

    def read(self) -> list[QueryDraw]:
        return [QueryDraw(**record) for record in read_records(self.path, is_sound=_is_draw)[0]]


def words_digest(text: str) -> str:
    """What tells whether a question or a passage still has the words that were judged; blanks do not count."""
    return digest(" ".join(text.split())).hex()[:DIGEST_SIGNS]


def ids_digest(query_ids: Iterable[str]) -> str:
    """What tells whether the queries are those that were drawn among, in whatever order."""
    return digest(*sorted(query_ids)).hex()[:DIGEST_SIGNS]


def still_worded(
    labels: Iterable[PassageLabel], questions: Mapping[str, str], passages: Mapping[str, str]
) -> list[PassageLabel]:
    """Labels whose question and passage have not been reworded since.

    `questions` and `passages` are digests of the words as they are, by query_id and doc_id, of those that are known.
    """
    return [
        label
        for label in labels
        if _is_same(label.question_digest, questions.get(label.query_id))
        and _is_same(label.passage_digest, passages.get(label.doc_id))
    ]


def _is_same(then: str, now: str | None) -> bool:
    return not then or not now or then == now


def still_drawn(draws: Iterable[QueryDraw], query_ids: Sequence[str]) -> list[QueryDraw]:
    """Draws among exactly these queries, in their order: a chance among others says nothing of these."""
    now = ids_digest(query_ids)
    return [draw for draw in draws if (draw.ids_digest == now if draw.ids_digest else draw.among == len(query_ids))]


_TOLD: set[tuple[Path, bytes]] = set()
"""Damaged lines that were told of: a file is read several times by one command."""


def append_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Add lines with checksums, under a lock, and return when they are on disk. Raises BadInput where that fails."""
    lines = "".join(f"{_line(record)}\n" for record in records).encode("ascii")
    try:
        with path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                lines = lines if stream.read(1) == b"\n" else b"\n" + lines
            stream.write(lines)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as failure:
        raise BadInput(
            f"cannot save the judgement: {failure.strerror}; free some space. Those before it are kept", file=path
        ) from None


def _is_label(record: Mapping[str, Any]) -> bool:
    """Whether a line can be a PassageLabel: somebody may have edited it, checksum and all."""
    return (
        _holds(record, PassageLabel, figures=("grade", "second"))
        and all(
            type(grade) is int and 0 <= grade <= HIGHEST
            for name in ("grade", "second")
            if (grade := record.get(name)) is not None
        )
        and record["source"] in get_args(Source)
        and record.get("state", "graded") in get_args(State)
        and (record.get("grade") is not None) == (record.get("state", "graded") == "graded")
    )


def _is_draw(record: Mapping[str, Any]) -> bool:
    return (
        _holds(record, QueryDraw, figures=("chance", "among"))
        and type(record["chance"]) in (int, float)
        and 0 < record["chance"] <= 1
        and type(record["among"]) is int
    )


def _holds(record: Mapping[str, Any], kind: type[PassageLabel | QueryDraw], *, figures: Collection[str]) -> bool:
    """Whether it has every field without a default, no other ones, and texts in all but `figures`."""
    known = {each.name: each for each in fields(kind)}
    needed = {name for name, each in known.items() if each.default is MISSING and name != "grade"}
    texts = (value for name, value in record.items() if name not in figures)
    return needed <= set(record) <= set(known) and all(isinstance(text, str) for text in texts)


def read_records(
    path: Path, *, after: int = 0, is_sound: Callable[[Mapping[str, Any]], bool] = bool
) -> tuple[list[dict[str, Any]], int]:
    """What was appended after a byte, and where to go on: behind the last whole line.

    Lines that are damaged, cut off or not sound are passed over; how many these are is told.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as stream:
        stream.seek(after)
        content = stream.read()
    whole, _, cut = content.rpartition(b"\n")
    lines = [line for line in whole.split(b"\n") if line.strip()]
    found = {line: record for line in lines if (record := _record(line)) is not None and is_sound(record)}
    records = [found[line] for line in lines if line in found]
    damaged = {(path, line) for line in [*lines, cut] if line.strip() and (line is cut or line not in found)}
    if new := damaged - _TOLD:
        _TOLD.update(new)
        what = "line" if len(new) == 1 else "lines"
        LOG.warning("%s of %s cut off or damaged and passed over", f"{len(new):,} {what}", path)
    return records, after + len(content) - len(cut)


def _line(given: Mapping[str, Any]) -> str:
    record = {name: value for name, value in given.items() if value not in (None, "")}
    return json.dumps({**record, "sum": _sum_of(record)}, ensure_ascii=True)


def _sum_of(record: Mapping[str, Any]) -> int:
    return crc32(json.dumps(record, ensure_ascii=True, sort_keys=True).encode())


def _record(line: bytes) -> dict[str, Any] | None:
    """None where it is not what `_line` made."""
    try:
        record = json.loads(line)
        stated = record.pop("sum")
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError):
        return None
    return record if stated == _sum_of(record) else None


Standing: TypeAlias = dict[str, dict[Pair, PassageLabel]]
"""judge -> pair -> the last word of that judge on it, in the order of time; one that was taken back is not there."""


def standing(labels: Iterable[PassageLabel]) -> Standing:
    """The last word of each judge on each pair."""
    found: Standing = defaultdict(dict)
    for label in labels:
        found[label.judge].pop(label.pair, None)
        if label.state != "undone":
            found[label.judge][label.pair] = label
    return dict(found)


def grades_by(labels: Iterable[PassageLabel], source: Source) -> dict[Pair, int]:
    """What judges of a kind say together: of several, the lower one in the middle."""
    said: dict[Pair, list[int]] = defaultdict(list)
    for judged in standing(label for label in labels if label.source == source).values():
        for pair, label in judged.items():
            if label.grade is not None:
                said[pair].append(label.grade)
    return {pair: median_low(grades) for pair, grades in said.items()}


def skipped_by_people(labels: Iterable[PassageLabel]) -> set[Pair]:
    """Pairs that somebody skipped and nobody graded; a skip that was taken back is none."""
    last = [
        label
        for judged in standing(label for label in labels if label.source == "person").values()
        for label in judged.values()
    ]
    graded = {label.pair for label in last if label.grade is not None}
    return {label.pair for label in last if label.state == "skipped"} - graded


def best_grades(labels: Sequence[PassageLabel]) -> dict[Pair, int]:
    """A grade of each pair that has any: a person's before an imported one, and that before a model's."""
    found: dict[Pair, int] = {}
    # The weakest first: what comes later takes its place.
    for source in ("model", "import", "person"):
        found |= grades_by(labels, source)
    return found


def qrels_of(labels: Sequence[PassageLabel], grades: Mapping[Pair, int]) -> dict[str, dict[str, int]]:
    """query_id -> document_id -> grade: that of the document's best passage, since judgements name documents."""
    document_of = {label.pair: label.document_id for label in labels}
    qrels: dict[str, dict[str, int]] = defaultdict(dict)
    for pair, grade in sorted(grades.items()):
        judged, document = qrels[pair[0]], document_of[pair]
        judged[document] = max(grade, judged.get(document, 0))
    return dict(qrels)


def write_out(folder: Path, labels: Sequence[PassageLabel], pool: Collection[Pair]) -> int:
    """Write qrels.tsv, qrels.trec and labels.parquet; returns how many documents are judged.

    The judgements are of pooled passages alone: one that was drawn from below tells how many nobody found, and would
    lift the ideal of the one question that it was drawn for. Without a single grade no file of judgements is written,
    since an empty one would be refused.
    """
    import pandas as pd

    qrels = qrels_of(labels, {pair: grade for pair, grade in best_grades(labels).items() if pair in pool})
    rows = [{**asdict(label), "grade": label.grade} for label in labels]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"grade": "Int64", "second": "Int64"})
    files.write_table(folder / "labels.parquet", table)
    pairs = [(query, document, grade) for query, judged in qrels.items() for document, grade in judged.items()]
    is_trec = bool(pairs) and not any(" " in part for query, document, _ in pairs for part in (query, document))
    if pairs:
        beir = StringIO()
        writer = csv.writer(beir, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerows([("query-id", "corpus-id", "score"), *pairs])
        files.write_text(folder / "qrels.tsv", beir.getvalue())
    if is_trec:
        trec = "".join(f"{query} 0 {document} {grade}\n" for query, document, grade in pairs)
        files.write_text(folder / "qrels.trec", trec)
    # What an earlier call wrote says nothing any more.
    for name, is_written in (("qrels.tsv", bool(pairs)), ("qrels.trec", is_trec)):
        if not is_written:
            (folder / name).unlink(missing_ok=True)
    return len(pairs)
