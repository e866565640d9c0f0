"""faiss_flat is exact: the same documents, order and scores as a product in numpy, ties and all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ragprof.core import Doc, EmbeddedQuery, Query, Vectors
from ragprof.core.errors import BadInput
from ragprof.core.ranking import ranked
from ragprof.parts.stores.faiss_flat import FaissFlatStore

# Small whole numbers: every product is exact in float32, so ties are ties in both.
small = st.integers(-2, 2).map(float)
shapes = st.tuples(st.integers(1, 40), st.just(5))


def docs_for(vectors: Vectors) -> list[Doc]:
    """Ids that are not in the order of their places."""
    return [Doc(str(place * 17 % 41), "", "", "") for place in range(len(vectors))]


def query(vector: Vectors | None) -> EmbeddedQuery:
    return EmbeddedQuery(Query("q", ""), vector)


def store_of(vectors: Vectors) -> FaissFlatStore:
    store = FaissFlatStore()
    store.add(docs_for(vectors), vectors)
    return store


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, shapes, elements=small), arrays.arrays(np.float32, 5, elements=small), st.integers(1, 45)
)
def test_it_equals_a_product_over_all_vectors_with_ties_by_doc_id(vectors: Vectors, asked: Vectors, depth: int) -> None:
    """What is all zeros, passage or query, is a text of which the embedder knows no word: nothing is found of it."""
    scored = zip(docs_for(vectors), (vectors @ asked).tolist(), vectors.any(axis=1).tolist(), strict=True)
    expected = ranked((doc, score) for doc, score, known in scored if known and asked.any())[:depth]
    assert store_of(vectors).search(query(asked), depth).ranking == expected


def test_it_equals_numpy_on_unit_vectors_of_a_real_width() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(500, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = store_of(vectors)
    for asked in vectors[:20]:
        ranking = store.search(query(asked), 10).ranking
        scores = vectors @ asked
        expected = [str(place * 17 % 41) for place in np.argsort(-scores)[:10]]
        assert [item.doc.doc_id for item in ranking] == expected
        assert [item.score for item in ranking] == pytest.approx(np.sort(scores)[::-1][:10], abs=1e-6)


def test_every_vector_is_scanned_and_takes_four_bytes_a_dimension() -> None:
    store = store_of(np.eye(5, dtype=np.float32))
    assert dict(store.search(query(np.ones(5, np.float32)), 2).usage) == {"searches": 1, "vectors_scanned": 5}
    assert store.index_bytes == 5 * 5 * 4


def test_without_vectors_it_says_what_is_missing() -> None:
    store = FaissFlatStore()
    with pytest.raises(BadInput, match="'faiss_flat' compares vectors; give this pipeline an embedder"):
        store.add(docs_for(np.eye(5, dtype=np.float32)), None)
    with pytest.raises(BadInput, match="'faiss_flat' got a query without a vector"):
        store_of(np.eye(5, dtype=np.float32)).search(query(None), 2)
