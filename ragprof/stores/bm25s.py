"""BM25 with scores computed at indexing time (bm25s): Lucene's formula, a sparse matrix, one row sum a query.

score(q, d) = sum over terms of log(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * |d| / avgdl)):
Lucene's idf, which is never negative. `rank_bm25` uses Robertson's idf with a floor, so the two rank differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors
from ragprof.ranking import top
from ragprof.words import words


class Bm25sStore:
    """Documents without any of the query's terms are not returned, so a ranking may be shorter than the depth."""

    needs_vectors = False

    def __init__(self, k1: float = 1.5, b: float = 0.75) -> None:
        self._k1, self._b = k1, b
        self._index: Any = None
        self._docs: Sequence[Doc] = ()

    @property
    def identity(self) -> str:
        return f"bm25s k1={self._k1} b={self._b}"

    @property
    def index_bytes(self) -> int:
        if self._index is None:
            return 0
        return int(sum(array.nbytes for array in self._index.scores.values() if isinstance(array, np.ndarray)))

    def load(self) -> None:
        import bm25s  # noqa: F401  (the import is the loading)

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        import bm25s

        self._docs = docs
        self._index = bm25s.BM25(k1=self._k1, b=self._b, method="lucene")
        self._index.index([words(doc.content) for doc in docs], show_progress=False)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        terms = [term for term in words(query.query.text) if term in self._index.vocab_dict]
        if not terms:
            return Found((), {"searches": 1})
        scores = self._index.get_scores(terms)
        ranking = top(scores, self._docs, min(depth, len(self._docs)))
        return Found(tuple(item for item in ranking if item.score > 0), {"searches": 1})


plugin = Bm25sStore
