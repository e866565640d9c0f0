"""What the parts of a pipeline leave unread of the texts that they are given: cut passages, queries and candidates.

Most models read the beginning of a text and nothing of the rest, without a word. Reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict

from ragprof.core import Doc, PairLength, Query
from ragprof.core.stages import CutsTexts, LengthLimited
from ragprof.evals import EvalConfig
from ragprof.record.pipeline import Parts

T = TypeVar("T")
ROOM = 0.9
"""Advice on chunking stays so far below the limit, since tokens are not equally long everywhere."""
STEP = 50
SPECIAL = 8
"""More special tokens than any model puts around its texts."""


class UnreadTexts(BaseModel):
    """What one part leaves unread of texts of one kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    part: str
    """The model, or the part where it has none."""
    pipelines: tuple[str, ...]
    what: Literal["passages", "queries", "candidates", "chunks"]
    """Candidates are what a reranker reads: documents, or pairs of query and document where it reads them together."""
    limit: int | None
    """The most tokens that the part reads of one; None of chunks, which are left out whole."""
    cut: int
    """How many are longer, or are left out."""
    of: int
    """How many were looked at."""
    tokens: int
    """In those that are longer; 0 of chunks."""
    kept: int
    """How many of these tokens are read."""
    max_characters: int | None
    """Passages of so many characters would be read whole."""

    @property
    def sentence(self) -> str:
        """What is lost, and what to do about it."""
        of = f"{self.cut:,} of {self.of:,} {self.what}"
        if self.what == "chunks":
            advice = "raise its budget, or cut the corpus into smaller passages with [corpus] chunking"
            return f"{self.pipelines[0]} leaves out {of} that it would put into a prompt, as they do not fit; {advice}"
        advice = f"read them whole with [corpus] chunking = {{ max_characters = {self.max_characters} }}"
        if self.what == "queries":
            advice = "shorten them, or name a model that reads more"
        return (
            f"{self.part} ({', '.join(self.pipelines)}) reads {self.limit:,} tokens at most: {of} are longer, and "
            f"{1 - self.kept / self.tokens:.0%} of their tokens are not read; {advice}"
        )


def unread_by_embedders(
    config: EvalConfig, pipelines: Sequence[Parts], *, passages: Sequence[str], queries: Sequence[str]
) -> Iterator[UnreadTexts]:
    """What embedders leave unread of passages and of queries, each embedder once."""
    for names, parts in _distinct(pipelines, "embedder"):
        embedder = parts.embedder
        if isinstance(embedder, CutsTexts):
            spec = next(each.embedder for each in config.pipelines if each.name == names[0])
            label = "the embedder" if spec is None else PurePath(str(spec.options.get("model", spec.name))).name
            limit = embedder.max_tokens
            yield from _told(label, names, "passages", passages, str, embedder.document_lengths, limit=limit)
            yield from _told(label, names, "queries", queries, str, embedder.query_lengths, limit=limit)


def unread_by_rerankers(
    config: EvalConfig, pipelines: Sequence[Parts], candidates: Mapping[str, Sequence[tuple[Query, Doc]]]
) -> Iterator[UnreadTexts]:
    """What rerankers leave unread of the candidates of each pipeline, each reranker once and each pair once."""
    for names, parts in _distinct(pipelines, "reranker"):
        reranker = parts.reranker
        if isinstance(reranker, LengthLimited):
            label = next(each.reranker.name for each in config.pipelines if each.name == names[0])
            pairs = {(query.text, doc.content): (query, doc) for name in names for query, doc in candidates[name]}
            yield from _told(
                label, names, "candidates", list(pairs.values()), lambda pair: f"{pair[0].text} {pair[1].content}",
                reranker.lengths, limit=reranker.max_tokens,
            )  # fmt: skip


def left_out_by_injectors(tokens: Mapping[str, pd.DataFrame]) -> Iterator[UnreadTexts]:
    """Chunks that a budget passed over or a window had no room for. `tokens` by pipeline has query_id, unit, count."""
    for name, table in tokens.items():
        sums = table.groupby("unit")["count"].sum()
        out = int(sums.get("docs_passed_over", 0) + sums.get("docs_dropped", 0))
        if out:
            yield UnreadTexts(
                part="injector", pipelines=(name,), what="chunks", limit=None, cut=out,
                of=out + int(sums.get("docs_injected", 0)), tokens=0, kept=0, max_characters=None,
            )  # fmt: skip


def _distinct(pipelines: Sequence[Parts], stage: Literal["embedder", "reranker"]) -> list[tuple[list[str], Parts]]:
    """Each part of a kind once: the names of the pipelines that have it, and one of them."""
    groups: dict[int, list[Parts]] = {}
    for parts in pipelines:
        if getattr(parts, stage) is not None:
            groups.setdefault(id(getattr(parts, stage)), []).append(parts)
    return [([parts.name for parts in group], group[0]) for group in groups.values()]


def _told(
    part: str,
    pipelines: Sequence[str],
    what: Literal["passages", "queries", "candidates"],
    given: Sequence[T],
    text_of: Callable[[T], str],
    lengths: Callable[[Sequence[T]], list[PairLength]],
    *,
    limit: int | None,
) -> Iterator[UnreadTexts]:
    """One account, or none where all is read. What has fewer bytes than the limit has tokens is not counted at all."""
    if limit is None:
        return
    long = [one for one in given if len(text_of(one).encode()) + SPECIAL > limit]
    cut = [(one, length) for one, length in zip(long, lengths(long), strict=True) if length.kept < length.tokens]
    if cut:
        tokens, characters = (
            sum(each) for each in zip(*((of.tokens, len(text_of(one))) for one, of in cut), strict=True)
        )
        room = characters / tokens * limit * ROOM
        yield UnreadTexts(
            part=part, pipelines=tuple(pipelines), what=what, limit=limit, cut=len(cut), of=len(given), tokens=tokens,
            kept=sum(length.kept for _, length in cut), max_characters=max(STEP, int(room // STEP) * STEP),
        )  # fmt: skip
