"""What the parts of a pipeline leave unread of the texts that they are given: cut passages, queries and candidates.

Most models read the beginning of a text and nothing of the rest, without a word. Reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from ragprof.core import Doc, PairLength, Query
from ragprof.core.caches import RowCache, digest
from ragprof.core.stages import CutsElsewhere, CutsTexts, LengthLimited, Part
from ragprof.core.tokens import counter
from ragprof.evals import EvalConfig
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import cache_identity, pair_key

if TYPE_CHECKING:
    import pandas as pd


T = TypeVar("T")
ROOM = 0.9
"""Advice on chunking stays so far below the limit, since tokens are not equally long everywhere."""
STEP = 50
SPECIAL = 8
"""More special tokens than any model puts around its texts."""
SHORTEST_WINDOW = 512
"""Of the rerankers behind servers: the base models of BGE, Jina v1 and mxbai read so many tokens of a pair."""
NO_ROOM = "raise the budget, or cut the corpus into smaller passages with [corpus] chunking"


class UnreadTexts(BaseModel):
    """What one part leaves unread of texts of one kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    part: str
    """The model, or the part where it has none."""
    pipelines: tuple[str, ...]
    what: Literal["passages", "queries", "candidates", "chunks"]
    """Candidates are what a reranker reads: documents, or pairs of query and document where it reads them together."""
    limit: int | None
    """The most tokens that the part reads of one; None of what is left out whole (chunks, and texts of which an
    embedder knows no word), and where a server does not say."""
    cut: int
    """How many are longer, or are left out; where a server does not say, those above 512 tokens, which it may cut."""
    of: int
    """How many were looked at."""
    tokens: int
    """In those that are longer; 0 of what is left out whole. A server's are counted with the eval's tokenizer."""
    kept: int
    """How many of these tokens are read."""
    max_characters: int | None
    """Passages of so many characters would be read whole."""

    @property
    def sentence(self) -> str:
        """What is lost, and what to do about it."""
        of = f"{self.cut:,} of {self.of:,} {self.what}"
        if self.what == "chunks":
            return f"{self.pipelines[0]} leaves out {of} that it would put into a prompt, as they do not fit; {NO_ROOM}"
        if self.what == "candidates" and self.limit is None:
            return (
                f"{self.part} ({', '.join(self.pipelines)}) has its server cut what is too long for the model, and is "
                f"not told how much: {of} are longer than {SHORTEST_WINDOW} tokens; truncate = false has it refuse them"
            )
        if self.limit is None:
            out = "not in its index" if self.what == "passages" else "searched for in vain"
            return (
                f"{self.part} ({', '.join(self.pipelines)}) knows no word of {of}: "
                f"{'it is' if self.cut == 1 else 'they are'} {out}; name an embedder that knows "
                f"{'its' if self.cut == 1 else 'their'} language"
            )
        advice = f"read them whole with [corpus] chunking = {{ max_characters = {self.max_characters} }}"
        if self.what == "queries":
            advice = "shorten them, or name a model that reads more"
        return (
            f"{self.part} ({', '.join(self.pipelines)}) reads {self.limit:,} tokens at most: {of} are longer, and "
            f"{1 - self.kept / self.tokens:.0%} of their tokens are not read; {advice}"
        )


def unread_by_embedders(
    config: EvalConfig,
    pipelines: Sequence[Parts],
    *,
    passages: Sequence[str],
    queries: Sequence[str],
    cache: Path | None = None,
) -> Iterator[UnreadTexts]:
    """What embedders leave unread of passages and of queries, each embedder once. Lengths are kept in the cache."""
    for names, parts in _distinct(pipelines, "embedder"):
        embedder = parts.embedder
        if isinstance(embedder, CutsTexts):
            label, limit = _label(config, names[0]), embedder.max_tokens
            documents = _kept(embedder.document_lengths, embedder, "document lengths", digest, cache=cache)
            asked = _kept(embedder.query_lengths, embedder, "query lengths", digest, cache=cache)
            yield from _told(label, names, "passages", passages, str, documents, limit=limit)
            yield from _told(label, names, "queries", queries, str, asked, limit=limit)


def unknown_to_embedders(
    config: EvalConfig, pipelines: Sequence[Parts], unknown: Mapping[int, tuple[int, int]], *, of: tuple[int, int]
) -> Iterator[UnreadTexts]:
    """Texts that an embedder knows no word of, each embedder once.

    `unknown` is, by id() of the embedder, how many of the passages and of the queries, of which there are `of`.
    """
    kinds: tuple[Literal["passages", "queries"], ...] = ("passages", "queries")
    for names, parts in _distinct(pipelines, "embedder"):
        for what, count, whole in zip(kinds, unknown[id(parts.embedder)], of, strict=True):
            if count:
                yield UnreadTexts(
                    part=_label(config, names[0]), pipelines=tuple(names), what=what, limit=None, cut=count,
                    of=whole, tokens=0, kept=0, max_characters=None,
                )  # fmt: skip


def _label(config: EvalConfig, name: str) -> str:
    """What the embedder of a pipeline is called."""
    spec = next(each.embedder for each in config.pipelines if each.name == name)
    return "the embedder" if spec is None else PurePath(str(spec.options.get("model", spec.name))).name


def unread_by_rerankers(
    config: EvalConfig,
    pipelines: Sequence[Parts],
    candidates: Mapping[str, Sequence[tuple[Query, Doc]]],
    *,
    cache: Path | None = None,
) -> Iterator[UnreadTexts]:
    """What rerankers leave unread of the candidates of each pipeline, each reranker once and each pair once.

    Lengths are kept in the cache.
    """
    for names, parts in _distinct(pipelines, "reranker"):
        reranker, label = parts.reranker, next(each.reranker.name for each in config.pipelines if each.name == names[0])
        pairs = {(query.text, doc.content): (query, doc) for name in names for query, doc in candidates[name]}
        if isinstance(reranker, LengthLimited):
            lengths = _kept(reranker.lengths, reranker, "pair lengths", lambda pair: pair_key(*pair), cache=cache)
            yield from _told(
                label, names, "candidates", list(pairs.values()), lambda pair: f"{pair[0].text} {pair[1].content}",
                lengths, limit=reranker.max_tokens,
            )  # fmt: skip
        elif isinstance(reranker, CutsElsewhere):
            yield from _cut_elsewhere(label, names, pairs, reranker, count=counter(config.tokenizer))


def _cut_elsewhere(
    part: str,
    pipelines: Sequence[str],
    pairs: Mapping[tuple[str, str], tuple[Query, Doc]],
    reranker: CutsElsewhere,
    *,
    count: Callable[[str], int],
) -> Iterator[UnreadTexts]:
    """What a server is told to leave unread of documents; else what it may cut, which it does not say."""
    limit = reranker.max_tokens_per_doc
    if limit is not None:
        known = {content: count(content) for _, content in pairs if len(content.encode()) > limit}

        def lengths(given: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
            tokens = [known[doc.content] for _, doc in given]
            return [PairLength(each, min(each, limit)) for each in tokens]

        yield from _told(
            part, pipelines, "candidates", list(pairs.values()), lambda pair: pair[1].content, lengths, limit=limit
        )
    elif reranker.truncate:
        tokens = [count(f"{asked} {content}") for asked, content in pairs if len(content) > SHORTEST_WINDOW]
        long = [each for each in tokens if each > SHORTEST_WINDOW]
        if long:
            yield UnreadTexts(
                part=part, pipelines=tuple(pipelines), what="candidates", limit=None, cut=len(long), of=len(pairs),
                tokens=sum(long), kept=sum(long), max_characters=None,
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


def _kept(
    lengths: Callable[[Sequence[T]], list[PairLength]],
    part: Part,
    purpose: str,
    key: Callable[[T], bytes],
    *,
    cache: Path | None,
) -> Callable[[Sequence[T]], list[PairLength]]:
    """The same lengths, each counted once ever, where there is a cache and the part allows it."""
    identity = cache_identity(part, purpose)
    if cache is None or identity is None:
        return lengths
    rows = RowCache(cache / "lengths", identity=identity, width=2, dtype=np.int64)

    def known(given: Sequence[T]) -> list[PairLength]:
        keys = [key(one) for one in given]
        absent = rows.lacking(keys)
        missing = {name: one for name, one in zip(keys, given, strict=True) if name in absent}
        if missing:
            counted = [(length.tokens, length.kept) for length in lengths(list(missing.values()))]
            rows.put(list(missing), np.array(counted, np.int64))
        return [PairLength(int(tokens), int(kept)) for tokens, kept in rows.get(keys)] if keys else []

    return known


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
