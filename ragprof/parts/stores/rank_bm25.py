"""BM25 in plain Python (rank_bm25's BM25Okapi): the textbook reference; every document scored for every query.

Robertson's idf log((N - df + 0.5) / (df + 0.5)), negative for terms in more than half of the documents and then
replaced by epsilon times the average idf; k1 + 1 in the numerator. `bm25s` uses Lucene's idf and is far faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors
from ragprof.core.ranking import top
from ragprof.core.stages import Store
from ragprof.parts.words import AUTO, detected, language_named, told, words


class RankBm25Store:
    """Documents that score 0 or less are not returned, so a ranking may be shorter than the depth."""

    needs_vectors = False
    precision = "float64"

    def __init__(self, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25, language: str = AUTO) -> None:
        self._k1, self._b, self._epsilon = k1, b, epsilon
        self.language = language_named(language)
        self._index: Any = None
        self._docs: Sequence[Doc] = ()

    @property
    def identity(self) -> str:
        return f"rank_bm25 k1={self._k1} b={self._b} epsilon={self._epsilon}{told(self.language)}"

    @property
    def engine(self) -> str:
        return f"rank-bm25 {version('rank-bm25')} BM25Okapi.get_scores{told(self.language)}"

    @property
    def index_bytes(self) -> int:
        """Estimate: 8 bytes a posting for the counts; Python's dictionaries around them take several times that."""
        if self._index is None:
            return 0
        return 8 * sum(len(frequencies) for frequencies in self._index.doc_freqs)

    def load(self) -> None:
        import rank_bm25  # noqa: F401  (the import is the loading)

    def settle(self, docs: Sequence[Doc]) -> None:
        if self.language == AUTO:
            self.language = detected([doc.content for doc in docs])

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        from rank_bm25 import BM25Okapi

        self.settle(docs)
        self._docs, self._index = docs, None
        terms = [words(doc.content, self.language) for doc in docs]
        if any(terms):  # rank_bm25 cannot index documents that have no term at all
            self._index = BM25Okapi(terms, k1=self._k1, b=self._b, epsilon=self._epsilon)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        if self._index is None:
            return Found((), {"searches": 1})
        scores = np.asarray(self._index.get_scores(words(query.query.text, self.language, asked=True)))
        ranking = top(scores, self._docs, min(depth, len(self._docs)))
        return Found(tuple(item for item in ranking if item.score > 0), {"searches": 1})


plugin: type[Store] = RankBm25Store
