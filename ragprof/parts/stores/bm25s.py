"""BM25 with scores computed at indexing time (bm25s): Lucene's formula, a sparse matrix, one row sum a query.

score(q, d) = sum over terms of log(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * |d| / avgdl)):
Lucene's idf, which is never negative. `rank_bm25` uses Robertson's idf with a floor, so the two rank differently.
"""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Found, Layout, Nearest, Vectors
from ragprof.core.ranking import best, id_ranks, top
from ragprof.core.stages import Store
from ragprof.parts.nested import nothing, standings
from ragprof.parts.words import AUTO, detected, language_named, told, words

Numbers = NDArray[np.int64]


class Bm25sStore:
    """Documents without any of the query's terms are not returned, so a ranking may be shorter than the depth."""

    needs_vectors = False
    precision = "float32"
    shallower_is_prefix = True

    def __init__(self, k1: float = 1.5, b: float = 0.75, language: str = AUTO) -> None:
        self._k1, self._b = k1, b
        self.language = language_named(language)
        self._index: Any = None
        self._docs: Sequence[Doc] = ()

    @property
    def identity(self) -> str:
        return f"bm25s k1={self._k1} b={self._b}{told(self.language)}"

    @property
    def engine(self) -> str:
        return f"bm25s {version('bm25s')} BM25.get_scores{told(self.language)}"

    @property
    def index_bytes(self) -> int:
        if self._index is None:
            return 0
        return int(sum(array.nbytes for array in self._index.scores.values() if isinstance(array, np.ndarray)))

    def load(self) -> None:
        import bm25s  # noqa: F401  (the import is the loading)

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # else it logs every index to whoever listens

    def settle(self, docs: Sequence[Doc]) -> None:
        if self.language == AUTO:
            self.language = detected([doc.content for doc in docs])

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        import bm25s

        self.load()
        self.settle(docs)
        self._docs, self._index = docs, None
        terms = [words(doc.content, self.language) for doc in docs]
        if any(terms):  # bm25s cannot index documents that have no term at all
            self._index = bm25s.BM25(k1=self._k1, b=self._b, method="lucene")
            self._index.index(terms, show_progress=False)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        known = self._index.vocab_dict if self._index is not None else {}
        terms = [term for term in words(query.query.text, self.language, asked=True) if term in known]
        if not terms:
            return Found((), {"searches": 1})
        scores = self._index.get_scores(terms)
        ranking = top(scores, self._docs, min(depth, len(self._docs)))
        return Found(tuple(item for item in ranking if item.score > 0), {"searches": 1})

    def search_nested(
        self,
        docs: Sequence[Doc],
        vectors: Vectors | None,
        *,
        queries: Sequence[EmbeddedQuery],
        layouts: Sequence[Layout],
        depth: int,
    ) -> list[list[Nearest]]:
        """Each document's terms are counted once; idf and average length are those of each sub-corpus."""
        self.settle(docs)
        texts = [words(query.query.text, self.language, asked=True) for query in queries]
        numbers = {term: number for number, term in enumerate(dict.fromkeys(term for text in texts for term in text))}
        asked = [[numbers[term] for term in text] for text in texts]
        counted = _counted(docs, layouts, numbers, self.language)
        ranks = id_ranks([doc.doc_id for doc in docs])
        found = []
        for layout in layouts:
            mine, members = _laid_out(counted, layout), layout.members
            cells = (_first(mine, size, k1=self._k1, b=self._b) for size in layout.sizes)
            found.append([_nearest(cell, asked, depth, members=members, ranks=ranks) for cell in cells])
        return found


@dataclass(frozen=True, slots=True)
class _Postings:
    """How often terms of the queries stand in documents, by term and then document; all lengths, in any terms.

    `terms`, `places` and `counts` belong together; `lengths` are those of all places.
    """

    terms: Numbers
    places: Numbers
    counts: Numbers
    lengths: Numbers
    vocabulary: int


@dataclass(frozen=True, slots=True)
class _Columns:
    """Scores of one sub-corpus, term by term: those of term number t are starts[t] : starts[t + 1]."""

    starts: Numbers
    places: Numbers
    scores: NDArray[np.float32]
    size: int


def _counted(docs: Sequence[Doc], layouts: Sequence[Layout], numbers: Mapping[str, int], language: str) -> _Postings:
    """Postings of every document that is in some layout."""
    lengths = np.zeros(len(docs), np.int64)
    keys = array("q")
    for place in np.unique(np.concatenate([np.empty(0, np.int64), *(layout.members for layout in layouts)])).tolist():
        terms = words(docs[place].content, language)
        lengths[place] = len(terms)
        keys.extend(numbers[term] * len(docs) + place for term in terms if term in numbers)
    distinct, counts = np.unique(np.array(keys, np.int64), return_counts=True)
    terms_of, places = np.divmod(distinct, max(1, len(docs)))
    return _Postings(terms_of, places, counts.astype(np.int64), lengths, len(numbers))


def _laid_out(counted: _Postings, layout: Layout) -> _Postings:
    """The same postings with places of the layout instead of the pool's, those outside of it left out."""
    stands = standings(layout, len(counted.lengths))[counted.places]
    lengths = counted.lengths[layout.members]
    inside = np.flatnonzero(stands < len(lengths))
    order = inside[np.argsort(counted.terms[inside] * len(lengths) + stands[inside])]
    return _Postings(counted.terms[order], stands[order], counted.counts[order], lengths, counted.vocabulary)


def _first(postings: _Postings, size: int, *, k1: float, b: float) -> _Columns:
    """What bm25s puts into its matrix for the first `size` documents, in its precision and its order of operations."""
    inside = np.flatnonzero(postings.places < size)
    terms, places, counts = postings.terms[inside], postings.places[inside], postings.counts[inside]
    frequencies = np.bincount(terms, minlength=postings.vocabulary)
    starts = np.concatenate([[0], np.cumsum(frequencies)])
    if not len(inside):
        return _Columns(starts, places, np.empty(0, np.float32), size)
    lengths = postings.lengths[:size]
    norms = k1 * ((1 - b) + b * lengths / lengths.mean())
    idf = np.array([math.log(1 + (size - df + 0.5) / (df + 0.5)) for df in frequencies.tolist()], np.float32)
    scores = idf[terms] * (counts / (norms[places] + counts))
    return _Columns(starts, places, scores.astype(np.float32), size)


def _nearest(
    columns: _Columns, asked: Sequence[Sequence[int]], depth: int, *, members: Numbers, ranks: Numbers
) -> Nearest:
    """The best of one sub-corpus for each query, as places in the pool; `ranks` settle ties."""
    found = nothing(len(asked), depth)
    for row, terms in enumerate(asked):
        scores = np.zeros(columns.size, np.float32)
        for term in terms:  # term by term as the query has them, repeats too: the order of bm25s's float32 sums
            column = slice(columns.starts[term], columns.starts[term + 1])
            scores[columns.places[column]] += columns.scores[column]
        positive = np.flatnonzero(scores > 0)
        chosen = positive[best(scores[positive], ranks[members[positive]], depth)]
        found.places[row, : len(chosen)] = members[chosen]
        found.scores[row, : len(chosen)] = scores[chosen]
    return found


plugin: type[Store] = Bm25sStore
