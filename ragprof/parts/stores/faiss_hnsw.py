"""Approximate vector search: FAISS IndexHNSWFlat, a graph of neighbours that is walked towards the query.

Malkov and Yashunin: Efficient and robust approximate nearest neighbor search using HNSW graphs, TPAMI 2018.
The graph is the same in every run: FAISS from 1.15 on builds it so with any number of threads, before only with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors, registry
from ragprof.core.caches import unknown_rows
from ragprof.core.errors import BadInput
from ragprof.core.ranking import ranked
from ragprof.core.stages import Store


class FaissHnswStore:
    """Inner product over the vectors that the walk meets; scores are those of `faiss_flat`, some documents are missed.

    `m` neighbours a vector and layer (twice as many in the lowest), `ef_construction` and `ef_search` candidates kept
    while building and searching; a search keeps at least as many as its depth.
    """

    needs_vectors = True
    precision = "float32"

    def __init__(
        self, m: Annotated[int, Field(ge=2)] = 32, ef_construction: PositiveInt = 200, ef_search: PositiveInt = 64
    ) -> None:
        self._m, self._ef_construction, self._ef_search = m, ef_construction, ef_search
        self._index: Any = None
        self._docs: Sequence[Doc] = ()

    @property
    def identity(self) -> str:
        return f"faiss_hnsw m={self._m} ef_construction={self._ef_construction} ef_search={self._ef_search}"

    @property
    def engine(self) -> str:
        return f"faiss {version('faiss-cpu')} IndexHNSWFlat.search"

    @property
    def index_bytes(self) -> int:
        """Vectors (float32) and graph: neighbours and levels of 4 bytes, offsets of 8, as they lie in memory."""
        if self._index is None:
            return 0
        graph = self._index.hnsw
        numbers = self._index.ntotal * self._index.d + graph.neighbors.size() + graph.levels.size()
        return int(4 * numbers + 8 * graph.offsets.size())

    def load(self) -> None:
        import faiss  # noqa: F401  (the import is the loading)

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        """All vectors at once: the graph would be another one if they came in blocks."""
        import faiss

        if vectors is None:
            raise BadInput("the store 'faiss_hnsw' compares vectors; give this pipeline an embedder")
        unknown = unknown_rows(vectors)
        self._docs = docs
        if unknown.any():
            self._docs, vectors = [docs[place] for place in np.flatnonzero(~unknown).tolist()], vectors[~unknown]
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], self._m, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = self._ef_construction
        threads = faiss.omp_get_max_threads()
        try:
            if not hasattr(faiss.HNSW, "merge_reverse_links_deterministic"):
                faiss.omp_set_num_threads(1)  # as many as give the same graph every time
            self._index.add(vectors)
        finally:
            faiss.omp_set_num_threads(threads)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        """All candidates of the walk are ranked, so that ties at the depth are settled by doc_id as far as they go."""
        import faiss

        if query.vector is None:
            raise BadInput("the store 'faiss_hnsw' got a query without a vector; give this pipeline an embedder")
        if not self._docs or not query.vector.any():
            return Found((), {"searches": 1, "vectors_scanned": 0})
        kept = max(self._ef_search, depth)
        counters: Any = faiss.cvar
        before = counters.hnsw_stats.ndis
        self._index.hnsw.efSearch = kept
        scores, places = self._index.search(query.vector[None, :], min(kept, len(self._docs)))
        met = zip(places[0].tolist(), scores[0].tolist(), strict=True)
        ranking = ranked((self._docs[place], score) for place, score in met if place >= 0)[:depth]
        return Found(ranking, {"searches": 1, "vectors_scanned": counters.hnsw_stats.ndis - before})

    def exact(self) -> Store:
        """`faiss_flat`, not filled yet."""
        store: Store = registry.create("stores", registry.PartSpec(name="faiss_flat"))
        return store


plugin: type[Store] = FaissHnswStore
