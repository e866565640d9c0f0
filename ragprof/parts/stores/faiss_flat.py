"""Exact vector search: FAISS IndexFlatIP, every vector compared with every query.

Each query is searched by one thread, vector by vector, so that a score depends on nothing but query and vector. Left
to itself, FAISS takes BLAS for large indexes or many queries: then the last digit depends on both and on the threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Found, Layout, Nearest, Vectors
from ragprof.core.caches import blocks, unknown_rows
from ragprof.core.clock import OwnTime
from ragprof.core.errors import BadInput
from ragprof.core.ranking import best_first, id_ranks, ranked
from ragprof.core.stages import Store
from ragprof.parts.nested import PoolCandidates, nothing, standings, take_first

NO_BLAS = 2**31 - 1
CANDIDATES_AT_ONCE = 2**22
"""Places of all queries that are held together; more of them are searched for in several scans."""


class FaissFlatStore:
    """Inner product over all vectors; cosine similarity where the embedder normalises."""

    needs_vectors = True
    shallower_is_prefix = True
    precision = "float32"

    def __init__(self) -> None:
        self._index: Any = None
        self._docs: Sequence[Doc] = ()

    @property
    def identity(self) -> str:
        return "faiss_flat"

    @property
    def engine(self) -> str:
        return f"faiss {version('faiss-cpu')} IndexFlatIP.search, one thread"

    @property
    def index_bytes(self) -> int:
        return 0 if self._index is None else int(self._index.ntotal * self._index.code_size)

    def load(self) -> None:
        import faiss  # noqa: F401  (the import is the loading)

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        """Block by block, so that of memory-mapped vectors only one block is in memory beside the index."""
        import faiss

        rows, unknown, start = _given(vectors), set[int](), 0
        self._index = faiss.IndexFlatIP(rows.shape[1])
        self._index.codes.resize(len(rows) * self._index.code_size)  # room for all: growing would copy it each time
        for block in blocks(rows):
            left_out = unknown_rows(block)
            unknown.update((start + np.flatnonzero(left_out)).tolist())
            self._index.add(block[~left_out] if left_out.any() else block)
            start += len(block)
        self._docs = docs if not unknown else [doc for place, doc in enumerate(docs) if place not in unknown]

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        own, vector, depth = OwnTime(), _vector(query), min(depth, len(self._docs))
        if not depth or not vector.any():
            return Found((), {"searches": 1, "vectors_scanned": 0})
        with _vector_by_vector(1):
            own.begin()
            nearest = [(self._docs[place], score) for place, score in self._nearest(vector, depth)]
            own.end()
        answer = Found(ranked(nearest)[:depth], {"searches": 1, "vectors_scanned": len(self._docs)})
        own.leave()
        return answer

    def search_nested(
        self,
        docs: Sequence[Doc],
        vectors: Vectors | None,
        *,
        queries: Sequence[EmbeddedQuery],
        layouts: Sequence[Layout],
        depth: int,
    ) -> list[list[Nearest]]:
        """One scan for all: the best of the pool for each query, from which each sub-corpus takes its first.

        Queries for which they do not reach are searched again, four times as wide, at last with the whole pool.
        """
        rows, asked = _given(vectors), [_vector(query) for query in queries]
        cells = [[nothing(len(queries), depth) for _ in layout.sizes] for layout in layouts]
        ranks = id_ranks([doc.doc_id for doc in docs])
        # enough for the smallest sub-corpus of nearly every query, if it is a random one
        smallest = min((size for layout in layouts for size in layout.sizes if size), default=len(docs))
        width = min(len(docs), math.ceil(2 * min(depth, smallest) * len(docs) / max(1, smallest)) + 64)
        left = np.flatnonzero([vector.any() for vector in asked])
        while left.size and width:
            short = []
            for part in np.array_split(left, math.ceil(len(left) * width / CANDIDATES_AT_ONCE)):
                found = _candidates(rows, asked, part, width=width, ranks=ranks)
                lacks = np.zeros(len(part), np.bool_)
                for row, layout in zip(cells, layouts, strict=True):
                    lacks |= take_first(found, row, layout.sizes, standings(layout, len(docs)))
                short.append(part[lacks])
            left = np.concatenate(short) if width < len(docs) else left[:0]
            width = min(4 * width, len(docs))
        return cells

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


def _given(vectors: Vectors | None) -> Vectors:
    if vectors is None:
        raise BadInput("the store 'faiss_flat' compares vectors; give this pipeline an embedder")
    return vectors


def _vector(query: EmbeddedQuery) -> Vectors:
    if query.vector is None:
        raise BadInput("the store 'faiss_flat' got a query without a vector; give this pipeline an embedder")
    return query.vector


@contextmanager
def _vector_by_vector(queries: int) -> Iterator[None]:
    """Searches for so many queries give each vector the score that it has alone: no BLAS, at most a thread a query."""
    import faiss

    threads, threshold = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    try:
        faiss.omp_set_num_threads(min(threads, queries))  # with more, FAISS from 1.15 on shares out the vectors
        faiss.cvar.distance_compute_blas_threshold = NO_BLAS
        yield
    finally:
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = threshold


def _candidates(
    rows: Vectors, asked: Sequence[Vectors], part: NDArray[np.int64], *, width: int, ranks: NDArray[np.int64]
) -> PoolCandidates:
    """The `width` best of the pool for the queries in `part`, but for those that tie with the last of them."""
    import faiss

    queries, start = np.stack([asked[number] for number in part.tolist()]), 0
    places, scores = np.empty((len(part), 0), np.int64), np.empty((len(part), 0), np.float32)
    for block in blocks(rows):
        with _vector_by_vector(len(queries)):
            found, near = faiss.knn(queries, block, min(width, len(block)), faiss.METRIC_INNER_PRODUCT)
        # rows that FAISS could not compare (NaN) leave a place of -1, and so do those that nothing is known of
        nothing_shared = np.unique(near[(near >= 0) & (found == 0)])
        near[np.isin(near, nothing_shared[unknown_rows(block[nothing_shared])])] = -1
        places = np.hstack([places, np.where(near < 0, -1, near + start)])
        scores, start = np.hstack([scores, found]), start + len(block)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :width]
        places, scores = np.take_along_axis(places, order, axis=1), np.take_along_axis(scores, order, axis=1)
    if width < len(ranks):
        places[scores <= scores[:, -1:]] = -1
    tied = np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1))
    order = best_first(scores[tied], ranks[places[tied]])
    places[tied] = np.take_along_axis(places[tied], order, axis=1)
    return PoolCandidates(part, places, scores)


plugin: type[Store] = FaissFlatStore
