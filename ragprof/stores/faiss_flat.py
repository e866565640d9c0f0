"""Exact vector search: FAISS IndexFlatIP, every vector compared with every query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors
from ragprof.errors import BadInput
from ragprof.ranking import ranked


class FaissFlatStore:
    """Inner product over all vectors; cosine similarity where the embedder normalises."""

    needs_vectors = True

    def __init__(self) -> None:
        self._index: Any = None
        self._docs: Sequence[Doc] = ()

    @property
    def identity(self) -> str:
        return "faiss_flat"

    @property
    def index_bytes(self) -> int:
        return 0 if self._index is None else int(self._index.ntotal * self._index.code_size)

    def load(self) -> None:
        import faiss  # noqa: F401  (the import is the loading)

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        import faiss

        if vectors is None:
            raise BadInput("the store 'faiss_flat' compares vectors; give this pipeline an embedder")
        self._docs = docs
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        if query.vector is None:
            raise BadInput("the store 'faiss_flat' got a query without a vector; give this pipeline an embedder")
        nearest = self._nearest(query.vector, min(depth, len(self._docs)))
        ranking = ranked((self._docs[place], score) for place, score in nearest)[:depth]
        return Found(ranking, {"searches": 1, "vectors_scanned": len(self._docs)})

    def _nearest(self, vector: Vectors, depth: int) -> list[tuple[int, float]]:
        """The `depth` best and whatever ties with the last of them: FAISS settles ties by position, we by doc_id."""
        asked = depth
        while True:
            asked = min(asked + 1, len(self._docs))
            scores, places = self._index.search(vector[None, :], asked)
            if asked == len(self._docs) or scores[0, asked - 1] != scores[0, depth - 1]:
                return [
                    (place, score)
                    for place, score in zip(places[0].tolist(), scores[0].tolist(), strict=True)
                    if place >= 0
                ]
            asked *= 2


plugin = FaissFlatStore
