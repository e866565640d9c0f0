"""Hybrid search: several stores asked for the same depth, fused by reciprocal rank (RRF).

score(d) = sum over stores of 1 / (k + rank of d in that store), ranks from 1.
Cormack, Clarke and Buettcher: Reciprocal rank fusion outperforms Condorcet, SIGIR 2009; k = 60 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import PositiveInt

from ragprof import registry
from ragprof.core import Doc, EmbeddedQuery, Found, Vectors
from ragprof.errors import BadInput
from ragprof.ranking import ranked
from ragprof.stages import Store


class RrfStore:
    """A store made of stores; `stores` are names or tables as in the eval file."""

    def __init__(self, stores: list[registry.PartSpec], k: PositiveInt = 60) -> None:
        if len(stores) < 2:
            raise BadInput('the store \'rrf\' fuses at least two stores; give stores = ["bm25s", "faiss_flat"]')
        self._stores: list[Store] = [registry.create("stores", spec) for spec in stores]
        self._k = k

    @property
    def identity(self) -> str:
        return f"rrf k={self._k} [{'; '.join(str(store.identity) for store in self._stores)}]"

    @property
    def needs_vectors(self) -> bool:
        return any(store.needs_vectors for store in self._stores)

    @property
    def index_bytes(self) -> int:
        return sum(store.index_bytes for store in self._stores)

    def load(self) -> None:
        for store in self._stores:
            store.load()

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        for store in self._stores:
            store.add(docs, vectors)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        fused: dict[str, float] = {}
        docs: dict[str, Doc] = {}
        usage: Counter[str] = Counter()
        for store in self._stores:
            found = store.search(query, depth)
            usage.update(found.usage)
            for rank, item in enumerate(found.ranking, start=1):
                docs[item.doc.doc_id] = item.doc
                fused[item.doc.doc_id] = fused.get(item.doc.doc_id, 0.0) + 1.0 / (self._k + rank)
        return Found(ranked((docs[doc_id], score) for doc_id, score in fused.items())[:depth], usage)


plugin = RrfStore
