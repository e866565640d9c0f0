"""The shipped parts for tests, with a count of what they were asked, or with one thing wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ragprof.core import Doc, Embedded, Query, Scored
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.parts.rerankers.overlap import OverlapReranker


class CountingEmbedder(HashingEmbedder):
    """The hashing embedder; raises KeyboardInterrupt instead of embedding text number `stops_after` + 1."""

    def __init__(self, stops_after: float = float("inf")) -> None:
        super().__init__(64)
        self.embedded: list[str] = []
        self._stops_after = stops_after

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        if len(self.embedded) + len(texts) > self._stops_after:
            raise KeyboardInterrupt
        if list(texts) != ["dimensions"]:
            self.embedded.extend(texts)
        return super().embed_documents(texts)


class CountingReranker(OverlapReranker):
    """The overlap reranker; notes every pair of ids that it is given."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        self.pairs.extend((query.query_id, doc.doc_id) for doc in docs)
        return super().score(query, docs)


class NanReranker(OverlapReranker):
    """Pointwise with an identity, so that its scores would be kept; every one of them is NaN."""

    @property
    def identity(self) -> str:
        return "nan"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored((float("nan"),) * len(docs), {})


class ShortReranker(OverlapReranker):
    """Forgets the last document."""

    @property
    def identity(self) -> str:
        return "short"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return super().score(query, docs[:-1])


class InfiniteEmbedder(HashingEmbedder):
    """One infinite number in every vector."""

    @property
    def identity(self) -> str:
        return "infinite"

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        vectors = super().embed_documents(texts).vectors
        vectors[:, 0] = np.inf
        return Embedded(vectors, {})
