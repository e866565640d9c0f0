"""What is searched and what it is judged by: Corpus and EvaluationSet, with fingerprints that ignore formatting.

Documents cut into passages, by semantic-text-splitter. Sizes are in characters, not tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragprof.core import Doc, Query
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


def cut(docs: Iterable[Doc], chunking: Chunking) -> Iterator[Doc]:
    """Passages of each document in order, ids `<doc_id>#0001` and on. A document without text stays one passage.

    Documents whose id ends in `.md` count as Markdown for `auto`.
    """
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    text = TextSplitter(chunking.max_characters, overlap=chunking.overlap).chunks
    markdown = MarkdownSplitter(chunking.max_characters, overlap=chunking.overlap).chunks
    as_text = markdown if chunking.splitter == "markdown" else text
    as_markdown = text if chunking.splitter == "text" else markdown
    for doc in docs:
        split = as_markdown if doc.doc_id.lower().endswith(".md") else as_text
        parts = [part for piece in bounded(doc.text, chunking.max_characters) for part in split(piece)]
        for number, part in enumerate(parts or [""], 1):
            yield Doc(f"{doc.doc_id}#{number:04d}", doc.title, part, document_id=doc.doc_id)


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
