"""Does an outcome depend on what else was in the call? Texts embedded alone and together, candidates likewise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from ragprof.core import Doc, EmbeddedQuery, Query, Ranking, Vectors
from ragprof.errors import NonFiniteScore
from ragprof.ranking import ranked, without
from ragprof.record.audit.checks import (
    DOCUMENTS_IN_A_BATCH,
    IN_A_BATCH,
    ONE_BY_ONE,
    REVERSED,
    Check,
    Effect,
    What,
    ids,
    score_difference,
    vector_difference,
    worst,
)
from ragprof.record.audit.live import Live, effect_of_rerank, effect_of_search
from ragprof.record.pipeline import Parts
from ragprof.record.query import one_each
from ragprof.stages import Embedder, Reranker

AS_GOOD_AS = 0.02


class Alone:
    """Documents embedded one in a call; pipelines that share an embedder share the work."""

    def __init__(self) -> None:
        self._vectors: dict[tuple[int, str], Vectors] = {}

    def vector(self, embedder: Embedder, doc: Doc) -> Vectors:
        key = (id(embedder), doc.doc_id)
        if key not in self._vectors:
            self._vectors[key] = finite(embedder.embed_documents([doc.content]).vectors)[0]
        return self._vectors[key]


def query_checks(parts: Parts, lives: Sequence[Live]) -> Iterator[Check]:
    """Query vectors: alone, as a live query is, against one call with all of them."""
    if parts.embedder is None:
        return
    together = finite(parts.embedder.embed_queries([live.query.text for live in lives]).vectors)
    for live, vector in zip(lives, together, strict=True):
        yield vector_check(parts, live, vector, ("batch size", IN_A_BATCH))


def vector_check(parts: Parts, live: Live, vector: Vectors, way: tuple[What, str]) -> Check:
    """A query's vector made in another way, and the search for it."""
    alone = np.empty(0, np.float32) if live.vector is None else live.vector
    difference = vector_difference(alone, vector)
    found = live.searched if difference.identical else searched(parts, live.query, vector)
    return Check("embed", *way, live.query.query_id, difference, effect_of_search(parts, live, found))


def searched(parts: Parts, query: Query, vector: Vectors | None) -> Ranking:
    """What the store finds, without the query's own document."""
    return without(parts.store.search(EmbeddedQuery(query, vector), parts.depth).ranking, query.own_document)


def document_checks(parts: Parts, lives: Sequence[Live], alone: Alone) -> Iterator[Check]:
    """Vectors of the documents that were found for each query: one in a call against one call with all of them.

    The index is not built anew: the effect is on the order of the found documents by inner product. What that does to
    the prompt is told where the store's scores are inner products and no reranker comes behind it.
    """
    if parts.embedder is None or not parts.store.needs_vectors:
        return
    docs = list({item.doc.doc_id: item.doc for live in lives for item in live.searched}.values())
    if not docs:
        return
    vectors = finite(parts.embedder.embed_documents([doc.content for doc in docs]).vectors)
    together = {doc.doc_id: vector for doc, vector in zip(docs, vectors, strict=True)}
    told = parts.reranker is None and all(is_product(live, together) for live in lives)
    for live in lives:
        theirs = [item.doc for item in live.searched]
        one = {doc.doc_id: alone.vector(parts.embedder, doc) for doc in theirs}
        difference = worst(vector_difference(one[doc.doc_id], together[doc.doc_id]) for doc in theirs)
        first, second = ids(ranked(products(live, one))), ids(ranked(products(live, together)))
        injected = first[: len(live.injected)] != second[: len(live.injected)]
        effect = Effect(first != second, injected if told else None)
        yield Check("embed", "batch size", DOCUMENTS_IN_A_BATCH, live.query.query_id, difference, effect)


def products(live: Live, vectors: Mapping[str, Vectors]) -> list[tuple[Doc, float]]:
    """The found documents with their inner products with the query, in single precision as stores have them."""
    if live.vector is None:
        return []
    asked = live.vector.astype(np.float64)
    docs = [item.doc for item in live.searched]
    return [(doc, float(np.float32(vectors[doc.doc_id].astype(np.float64) @ asked))) for doc in docs]


def is_product(live: Live, vectors: Mapping[str, Vectors]) -> bool:
    """Whether the store's scores are inner products, up to what a batch moves."""
    scores = [item.score for item in live.searched]
    return np.allclose(scores, [product for _, product in products(live, vectors)], rtol=AS_GOOD_AS, atol=AS_GOOD_AS)


def rerank_checks(parts: Parts, live: Live) -> Iterator[Check]:
    """Scores of one query's candidates: all in one call against one in a call, and against the reverse order."""
    if parts.reranker is None:
        return
    docs = [item.doc for item in live.searched]
    alone = [pair for doc in docs for pair in scored(parts.reranker, live.query, [doc])]
    yield score_check(parts, live, alone, ("batch size", ONE_BY_ONE))
    yield score_check(parts, live, scored(parts.reranker, live.query, docs[::-1]), ("batch size", REVERSED))


def score_check(parts: Parts, live: Live, pairs: Iterable[tuple[Doc, float]], way: tuple[What, str]) -> Check:
    """The candidates scored in another way, and the order that this gives."""
    ranking = ranked(pairs)
    difference = score_difference(live.final, ranking)
    return Check("rerank", *way, live.query.query_id, difference, effect_of_rerank(parts, live, ranking))


def scored(reranker: Reranker, query: Query, docs: Sequence[Doc]) -> list[tuple[Doc, float]]:
    """Each document with its score."""
    return list(zip(docs, one_each(reranker.score(query, docs).scores, docs), strict=True))


def finite(vectors: Vectors) -> Vectors:
    """The same vectors. Raises NonFiniteScore."""
    if not np.isfinite(vectors).all():
        raise NonFiniteScore("the embedder returned NaN or infinity; no ranking could be trusted")
    return np.asarray(vectors, np.float32)
