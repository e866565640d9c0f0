"""Approximate vector search: FAISS IndexHNSWFlat, a graph of neighbours that is walked towards the query.

Malkov and Yashunin: Efficient and robust approximate nearest neighbor search using HNSW graphs, TPAMI 2018.
A name for `{ name = "faiss", factory = "HNSW32" }` with candidates enough for nearly all that an exact search finds.
The graph is the same in every run: FAISS from 1.15 on builds it so with any number of threads, before only with one.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from pydantic import Field, PositiveInt

from ragprof.core.stages import Store
from ragprof.parts.faiss_index import FaissStore


class FaissHnswStore(FaissStore):
    """Inner product over the vectors that the walk meets; scores are those of `faiss_flat`, some documents are missed.

    `m` neighbours a vector and layer (twice as many in the lowest), `ef_construction` and `ef_search` candidates kept
    while building and searching; a search keeps at least as many as its depth.
    """

    name = "faiss_hnsw"

    def __init__(
        self, m: Annotated[int, Field(ge=2)] = 32, ef_construction: PositiveInt = 200, ef_search: PositiveInt = 64
    ) -> None:
        super().__init__(f"HNSW{m}", ef_search=ef_search, ef_construction=ef_construction)
        self._m = m

    @property
    def identity(self) -> str:
        ef_search = int(self._settings["ef_search"] or 0)
        return f"faiss_hnsw m={self._m} ef_construction={self._ef_construction} ef_search={ef_search}"

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


plugin: type[Store] = FaissHnswStore
