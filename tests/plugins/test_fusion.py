"""Reciprocal rank fusion: literal scores from ranks that the vectors and words below make plain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ragprof.core import Doc, EmbeddedQuery, Query
from ragprof.core.registry import PartSpec
from ragprof.parts.stores.rrf import RrfStore

BOTH = [PartSpec(name="faiss_flat"), PartSpec(name="bm25s")]


def filled(rows: Sequence[tuple[str, str, float]], *, k: int = 60) -> RrfStore:
    """A store of (doc_id, text, similarity to the query vector)."""
    store = RrfStore(BOTH, k=k)
    docs = [Doc(doc_id, "", text, doc_id) for doc_id, text, _ in rows]
    store.add(docs, np.array([[similarity] for _, _, similarity in rows], np.float32))
    return store


def fused(store: RrfStore, depth: int) -> list[tuple[str, float]]:
    query = EmbeddedQuery(Query("q", "owl"), np.ones(1, np.float32))
    return [(item.doc.doc_id, item.score) for item in store.search(query, depth).ranking]


# by vector: a, b, c, d; by words: c (three owls in three words), then a (one owl in four)
ROWS = (
    ("a", "owl in the barn roof", 0.9),
    ("b", "mouse cheese", 0.8),
    ("c", "owl owl owl", 0.7),
    ("d", "mouse trap", 0.6),
)


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    assert fused(filled(ROWS), 4) == [
        ("a", 1 / 61 + 1 / 62),
        ("c", 1 / 63 + 1 / 61),
        ("b", 1 / 62),
        ("d", 1 / 64),
    ]
    assert [score for _, score in fused(filled(ROWS), 4)] == pytest.approx(
        [0.0325225, 0.0322664, 0.0161290, 0.0156250], abs=1e-7
    )


def test_a_smaller_k_gives_the_first_ranks_more_weight() -> None:
    assert fused(filled(ROWS, k=1), 4) == [
        ("a", 1 / 2 + 1 / 3),
        ("c", 1 / 4 + 1 / 2),
        ("b", 1 / 3),
        ("d", 1 / 5),
    ]


def test_documents_that_swap_ranks_tie_and_go_by_doc_id_descending() -> None:
    rows = (("a", "owl owl owl", 0.8), ("b", "owl in the barn roof", 0.9), ("c", "mouse", 0.1))
    assert fused(filled(rows), 2) == [("b", 1 / 61 + 1 / 62), ("a", 1 / 61 + 1 / 62)]


def test_each_store_is_asked_for_the_depth_and_the_fusion_is_cut_to_it() -> None:
    assert fused(filled(ROWS), 1) == [("c", 1 / 61)]
    assert fused(filled(ROWS), 2) == [("a", 1 / 61 + 1 / 62), ("c", 1 / 61)]


def test_usage_and_size_are_the_sums_of_the_parts() -> None:
    store = filled(ROWS)
    found = store.search(EmbeddedQuery(Query("q", "owl"), np.ones(1, np.float32)), 2)
    assert dict(found.usage) == {"searches": 2, "vectors_scanned": 4}
    assert store.index_bytes > 4 * 4


def test_vectors_are_needed_where_one_part_needs_them() -> None:
    lexical = RrfStore([PartSpec(name="bm25s"), PartSpec(name="rank_bm25")])
    assert (RrfStore(BOTH).needs_vectors, lexical.needs_vectors) == (True, False)
