"""What is searched and what it is judged by: Corpus and EvaluationSet, with fingerprints that ignore formatting.

Documents cut into passages, by semantic-text-splitter. Sizes are in characters, not tokens.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragprof.core import Doc, Position, Query, Vectors
from ragprof.core.documents import Segment
from ragprof.corpus.account import ReadingAccount

Passages: TypeAlias = int | Literal["all"]
"""How much of a corpus is searched."""
Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""query_id -> document_id -> relevance; above 0 is relevant."""


@dataclass(frozen=True)
class WholeCorpus:
    """What a part of a corpus was taken from."""

    docs: int
    documents: int
    sha256: str


@dataclass(frozen=True)
class StoredVectors:
    """Vectors of documents that an index held: the row of each doc_id in a file of float32, `width` numbers a row."""

    file: Path
    places: Mapping[str, int]
    width: int

    def of(self, doc_ids: Sequence[str]) -> Vectors:
        """Shape (documents, width), in this order."""
        rows = np.memmap(self.file, np.float32, "r").reshape(-1, self.width)
        return np.asarray(rows[[self.places[doc_id] for doc_id in doc_ids]])


@dataclass(frozen=True)
class Corpus:
    """Passages in the order of their source, ids distinct, at least one. `sha256` covers ids, titles and texts.

    `whole` is what this is a part of, if it is one. `manifest` says where they came from: `format`, `documents`,
    `chunking` if they were cut, and what a recipe noted. `account` says what was read and what was left out;
    `without_text` are all documents that had nothing to read.
    """

    name: str
    docs: tuple[Doc, ...]
    sha256: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    account: ReadingAccount = field(default_factory=ReadingAccount)
    without_text: frozenset[str] = frozenset()
    whole: WholeCorpus | None = None
    stored: StoredVectors | None = None
    """What an index that exists holds of it, where it was taken from one."""

    @cached_property
    def documents(self) -> int:
        """How many documents the passages were cut from."""
        return len(set(self.document_of.values()))

    @cached_property
    def document_of(self) -> dict[str, str]:
        """doc_id -> id of the document that it was cut from; judgements name documents."""
        return {doc.doc_id: doc.document_id for doc in self.docs}


@dataclass(frozen=True)
class EvaluationSet:
    """Judged queries and their judgements, both in the order of their files; `qrels` has exactly these queries.

    Judged documents that the corpus lacks stay in `qrels`, so that recall stays honest; `judged_documents_missing`
    counts them. Every query in `queries` has at least one judgement, though perhaps none above 0; or no query has any.
    """

    queries: tuple[Query, ...]
    qrels: Qrels
    notices: tuple[str, ...]
    qrels_sha256: str
    judged_documents_missing: int
    queries_without_judgements: int = 0
    judged_queries_unknown: int = 0
    qrels_file: Path | None = None
    """Where the judgements were read."""

    @property
    def is_judged(self) -> bool:
        """Whether there are judgements. Without any, what needs none is measured and no pipeline is ranked."""
        return bool(self.qrels)

    @cached_property
    def judged_documents(self) -> frozenset[str]:
        """Ids of all documents that some query's judgements name, at whatever relevance."""
        return frozenset(document_id for judged in self.qrels.values() for document_id in judged)

    @cached_property
    def queries_sha256(self) -> str:
        """Over ids and texts, in order."""
        return _sha256(part for query in self.queries for part in (query.query_id, query.text))


def fingerprint_of_docs(docs: Iterable[Doc]) -> str:
    """sha256 over ids, titles and texts, in order."""
    return _sha256(part for doc in docs for part in (doc.doc_id, doc.title, doc.text))


def fingerprint_of_qrels(qrels: Qrels) -> str:
    """sha256 over the judgements, sorted, so that the order of lines does not matter."""
    rows = sorted((query, doc, relevance) for query, judged in qrels.items() for doc, relevance in judged.items())
    return _sha256(str(part) for row in rows for part in row)


def _sha256(parts: Iterable[str]) -> str:
    """Each part goes in with its length, so that the borders between parts count."""
    joined = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8")
        joined.update(len(encoded).to_bytes(8, "little"))
        joined.update(encoded)
    return joined.hexdigest()


class Chunking(BaseModel):
    """How documents are cut. `auto` cuts Markdown along its headings and everything else as plain text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    splitter: Literal["auto", "text", "markdown"] = "auto"
    max_characters: int = Field(default=1200, ge=1)
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def overlap_leaves_room(self) -> Self:
        if self.overlap >= self.max_characters:
            raise ValueError(f"overlap {self.overlap} must be smaller than max_characters {self.max_characters}")
        return self


UNBROKEN = 10_000
SENTENCE = re.compile(r".+?(?:[.!?][\"')\]]*\s+|[\u3002\uff01\uff1f]|\n+|\Z)", re.DOTALL)
"""UNBROKEN exists because the splitter's time grows with the square of the longest stretch without a sentence's end."""


@dataclass(frozen=True)
class Outline:
    """The segments of a document, one behind the other, by where in its text they begin. The first begins at 0."""

    starts: tuple[int, ...]
    segments: tuple[Segment, ...]
    is_markdown: bool = False

    @classmethod
    def of(cls, segments: Sequence[Segment], *, is_markdown: bool) -> Outline:
        """Keeps the segments without their texts, which are the document's."""
        starts = accumulate((len(segment.text) for segment in segments[:-1]), initial=0)
        return cls(tuple(starts), tuple(replace(segment, text="") for segment in segments), is_markdown)

    def stretches(self, text: str) -> Iterator[tuple[int, str, str]]:
        """Where it begins, text and table head of each part that is cut by itself: a table, or all between two."""
        borders = [
            0,
            *(
                start
                for place, start in enumerate(self.starts)
                if start and (self.segments[place].table_head or self.segments[place - 1].table_head)
            ),
            len(text),
        ]
        for start, end in pairwise(borders):
            yield start, text[start:end], self.segments[bisect_right(self.starts, start) - 1].table_head

    def position(self, start: int, end: int) -> Position:
        """Of a passage: the pages that it begins and ends on, and the first heading that it stands under."""
        first, last = bisect_right(self.starts, start) - 1, max(bisect_left(self.starts, end) - 1, 0)
        heading = next((each.heading for each in self.segments[first : last + 1] if each.heading), "")
        pages = self.segments[first].page, self.segments[max(first, last)].page
        return Position(start, end, *pages, heading)


def cut(docs: Iterable[Doc], chunking: Chunking, outlines: Mapping[str, Outline] | None = None) -> Iterator[Doc]:
    """Passages of each document in order, ids `<doc_id>#0001` and on. A document without text stays one passage.

    Each knows where in its document it stands. For `auto`, documents are Markdown whose outline says so, or whose id
    ends in `.md`. A table is cut between its rows, and its head stands before each part of it.
    """
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    size = chunking.max_characters
    text = TextSplitter(size, overlap=chunking.overlap).chunk_indices
    markdown = MarkdownSplitter(size, overlap=chunking.overlap).chunk_indices
    as_text = markdown if chunking.splitter == "markdown" else text
    as_markdown = text if chunking.splitter == "text" else markdown
    for doc in docs:
        outline = (outlines or {}).get(doc.doc_id)
        is_markdown = outline.is_markdown if outline else doc.doc_id.lower().endswith(".md")
        split = as_markdown if is_markdown else as_text
        outline, number = outline or Outline((0,), (Segment(""),)), 0
        for offset, stretch, head in outline.stretches(doc.text):
            for start, part in cut_table(stretch, head, chunking) if head else _split(stretch, split, size):
                number += 1
                position = outline.position(offset + start, offset + start + len(part))
                again = f"{head}\n" if start and head else ""
                yield Doc(f"{doc.doc_id}#{number:04d}", doc.title, again + part, doc.doc_id, position)
        if not number:
            yield Doc(f"{doc.doc_id}#0001", doc.title, "", doc.doc_id, outline.position(0, len(doc.text)))


def _split(text: str, split: Callable[[str], list[tuple[int, str]]], size: int) -> Iterator[tuple[int, str]]:
    offset = 0
    for piece in bounded(text, size):
        yield from ((offset + start, part) for start, part in split(piece))
        offset += len(piece)


def cut_table(text: str, head: str, chunking: Chunking) -> Iterator[tuple[int, str]]:
    """Parts of a table with where they begin, so that each fits with the head before it.

    A head that takes more than half of a passage leaves rows no more than that half: such passages are longer.
    """
    from semantic_text_splitter import TextSplitter

    room = max(chunking.max_characters - len(head) - 1, chunking.max_characters // 2, 1)
    split = TextSplitter(room, overlap=min(chunking.overlap, room - 1)).chunk_indices
    parts = list(_split(text[len(head) :], split, room))
    if not parts:
        yield 0, text.rstrip()
    for place, (start, part) in enumerate(parts):
        # the first part is the table's beginning, whose head stands there already
        yield (0, text[: len(head) + start + len(part)]) if place == 0 else (len(head) + start, part)


def bounded(text: str, size: int) -> list[str]:
    """The text itself, or in pieces so that no stretch without a sentence's end is longer than UNBROKEN characters.

    Such stretches, long tables or encoded bytes, are cut where a passage of `size` characters would end anyway.
    """
    if len(text) <= UNBROKEN:
        return [text]
    longest = max(1, UNBROKEN // size) * size
    pieces, start = [], 0
    for sentence in SENTENCE.finditer(text):
        for end in range(sentence.start() + longest, sentence.end(), longest):
            blank = text.rfind(" ", max(start, end - size) + 1, end)
            pieces.append(text[start : end if blank < 0 else blank])
            start += len(pieces[-1])
    return [*pieces, text[start:]]
