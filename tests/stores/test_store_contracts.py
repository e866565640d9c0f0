"""What every store in a database owes: the ids and scores of an exact search, whatever the database is.

A new store is tested by being there; what makes it exact stands in EXACT. In memory the stores of `tests/plugins` are
held to more. Without its package a store's tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import Passages

from ragprof.core import Doc, EmbeddedQuery, Query, Ranking, Vectors, registry
from ragprof.core.errors import BadInput, MissingPackage
from ragprof.core.registry import PartSpec
from ragprof.parts.databases.metrics import Metric, exact
from ragprof.parts.databases.rows import DatabaseStore

EXACT: Mapping[str, Mapping[str, Any]] = {
    "pgvector": {"index": "none", "url_env": "STORE_URL"},
    "qdrant": {"index": "none"},
    "milvus": {"index": "none"},
    "elasticsearch": {"index": "none", "url_env": "ENGINE_URL"},
    "opensearch": {"index": "none", "url_env": "ENGINE_URL"},
    "lancedb": {"index": "none"},
    "chroma": {"m": 64, "ef_construction": 800, "ef_search": 3000},
}
INDEXES = dict.fromkeys(("pgvector", "qdrant", "milvus", "elasticsearch", "opensearch"), "hnsw") | {
    "lancedb": "ivf_hnsw_sq"
}
TOLERANCE = 2e-6
"""Of scores of vectors of unit length: databases add up products in another order."""
ALWAYS = ("pgvector",)
"""Tested with every change; the others, which take longer to install and to start, with the slow tests."""


def database_stores() -> list[Any]:
    """Every store that keeps its vectors in a database."""
    found = [name for name in registry.names("stores") if "parts.databases" in source(name)]
    others = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
    return [pytest.param(name, marks=[] if name in ALWAYS else others) for name in found]  # clients leave sockets open


def source(name: str) -> str:
    path = registry.PACKAGE / "parts" / "stores" / f"{name}.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def made(name: str, **options: Any) -> DatabaseStore:
    try:
        store: DatabaseStore = registry.create("stores", PartSpec(name=name, **{**EXACT[name], **options}))
    except MissingPackage as problem:
        pytest.skip(str(problem))
    return store


@pytest.fixture(params=database_stores())
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "pgvector":
        request.getfixturevalue("database")
    if request.param in ("elasticsearch", "opensearch"):
        request.getfixturevalue("engine")
    return str(request.param)


@pytest.fixture
def store(name: str) -> Iterator[DatabaseStore]:
    """A store in its exact mode, comparing by inner product."""
    store = made(name)
    yield store
    store.close()


def some(passages: Passages, count: int = 300) -> tuple[Sequence[Doc], Vectors]:
    return passages.docs[:count], passages.vectors[:count]


def assert_same(found: Ranking, expected: Ranking, tolerance: float = TOLERANCE) -> None:
    """Scores in one order; ids too but for those that tie within the tolerance, or with the last."""
    assert [item.score for item in found] == pytest.approx([item.score for item in expected], abs=tolerance, rel=0)
    near = {item.doc.doc_id: item.score for item in found}
    for item in expected:
        if item.score > expected[-1].score + 2 * tolerance:
            assert near[item.doc.doc_id] == pytest.approx(item.score, abs=tolerance, rel=0)


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_its_exact_mode_gives_the_ids_and_scores_of_an_exact_search(
    store: DatabaseStore, passages: Passages, count: int
) -> None:
    docs, vectors = some(passages, count)
    best = exact("inner_product")
    best.add(docs, vectors)
    store.add(docs, vectors)
    for query in passages.queries:
        assert_same(store.search(query, 10).ranking, best.search(query, 10).ranking)
    whole = store.search(passages.queries[0], count + 1).ranking
    assert {item.doc.doc_id for item in whole} == {doc.doc_id for doc in docs}


@pytest.mark.parametrize("metric", ["inner_product", "cosine", "l2"])
def test_scores_are_those_of_the_metric_on_vectors_that_are_not_normalised(
    name: str, passages: Passages, metric: Metric
) -> None:
    docs, vectors = some(passages, 60)
    lengths = np.random.default_rng(0).uniform(0.2, 5, (60, 1)).astype(np.float32)
    best = exact(metric)
    best.add(docs, vectors * lengths)
    store = made(name, metric=metric)
    try:
        store.add(docs, vectors * lengths)
        for query in passages.queries[:20]:
            longer = replace(query, vector=3 * query.vector)
            assert_same(store.search(longer, 10).ranking, best.search(longer, 10).ranking, tolerance=5e-5)
    finally:
        store.close()


def test_twins_are_all_found_with_one_score_and_ordered_by_id(store: DatabaseStore, passages: Passages) -> None:
    docs, vectors = some(passages, 20)
    twins = [Doc(f"t{number}", "", "basalt lava", f"t{number}") for number in range(4)]
    store.add([*twins, *docs], np.concatenate([np.tile(passages.queries[0].vector, (4, 1)), vectors]))  # type: ignore[arg-type]
    ranking = store.search(passages.queries[0], 4).ranking
    assert [item.doc.doc_id for item in ranking] == ["t3", "t2", "t1", "t0"]
    assert len({item.score for item in ranking}) == 1


def test_nothing_is_found_by_a_vector_of_zeros_nor_of_a_document_without_one(
    store: DatabaseStore, passages: Passages
) -> None:
    docs, vectors = some(passages, 5)
    store.add([*docs, Doc("silent", "", "qoph", "silent")], np.vstack([vectors, np.zeros_like(vectors[:1])]))
    assert len(store.search(passages.queries[0], 10).ranking) == 5
    assert store.search(EmbeddedQuery(Query("q", "?"), np.zeros_like(vectors[0])), 10).ranking == ()


def test_a_document_of_a_megabyte_and_of_odd_signs_comes_back(store: DatabaseStore, passages: Passages) -> None:
    docs, vectors = some(passages, 3)
    odd = [Doc("big", "", "word " * 200_000, "big"), Doc("'\"; -- ☃ \u202e", "T\u00ebst", "nul \0 tab \t 🦉", "x")]
    store.add([*odd, *docs], np.vstack([passages.vectors[10:12], vectors]))
    for row, doc in enumerate(odd):
        found = store.search(EmbeddedQuery(Query("q", ""), passages.vectors[10 + row]), 1).ranking
        assert found[0].doc == doc


def test_filled_again_it_holds_the_new_documents_alone_and_closed_nothing(
    store: DatabaseStore, passages: Passages
) -> None:
    docs, vectors = some(passages, 40)
    assert store.index_bytes == 0
    store.add(docs, vectors)
    assert store.index_bytes > 0
    store.add(docs[:7], vectors[:7])
    assert {item.doc.doc_id for item in store.search(passages.queries[0], 50).ranking} == {d.doc_id for d in docs[:7]}
    store.close()
    store.close()
    store.add(docs[3:9], vectors[3:9])
    assert len(store.search(passages.queries[0], 50).ranking) == 6


def test_documents_come_and_go(store: DatabaseStore, passages: Passages) -> None:
    docs, vectors = some(passages, 40)
    store.add(docs[:30], vectors[:30])
    store.delete([doc.doc_id for doc in docs[:10]])
    store.insert(docs[30:], vectors[30:])
    best = exact("inner_product")
    best.add(docs[10:], vectors[10:])
    for query in passages.queries[:10]:
        assert_same(store.search(query, 40).ranking, best.search(query, 40).ranking)


def test_closed_and_opened_again_it_holds_what_it_held(store: DatabaseStore, passages: Passages) -> None:
    if not store.can_reopen:
        pytest.skip("this store has no server or files of its own here")
    docs, vectors = some(passages, 30)
    store.add(docs, vectors)
    before = store.search(passages.queries[0], 30).ranking
    assert store.shut().is_dir()
    store.open_again()
    store.open_again()
    assert_same(store.search(passages.queries[0], 30).ranking, before)
    store.delete([docs[0].doc_id])
    assert len(store.search(passages.queries[0], 30).ranking) == 29


def test_a_filter_finds_the_nearest_among_those_of_its_value(store: DatabaseStore, passages: Passages) -> None:
    docs, vectors = some(passages, 100)
    tenants = [("a", "b'); --", "ж")[number % 3] for number in range(100)]
    store.add_labelled(docs, vectors, {"tenant": tenants})
    best = exact("inner_product")
    mine = [number for number, tenant in enumerate(tenants) if tenant == "b'); --"]
    best.add([docs[number] for number in mine], vectors[mine])
    for query in passages.queries[:10]:
        found = store.search_where(query, 10, {"tenant": "b'); --"}).ranking
        assert_same(found, best.search(query, 10).ranking)
    assert store.search_where(passages.queries[0], 10, {"tenant": "nobody"}).ranking == ()


def test_the_built_index_is_asked_in_several_ways(name: str, passages: Passages) -> None:
    docs, vectors = some(passages, 300)
    store = made(name, **({"index": INDEXES[name]} if name in INDEXES else {}))
    if "ef_search" not in store.search_knobs:
        pytest.skip("this store has no such knob")
    best = exact("inner_product")
    best.add(docs, vectors)
    try:
        store.add(docs, vectors)
        thorough = store.tuned(ef_search=300)
        queries = passages.queries[:30]
        recall = np.mean(
            [overlap(thorough.search(each, 10).ranking, best.search(each, 10).ranking) for each in queries]
        )
        assert recall >= 0.99
        assert "ef_search=300" in str(thorough.identity)
        with pytest.raises(BadInput, match="no knob of the store"):
            store.tuned(m=4)
    finally:
        store.close()


@pytest.mark.slow
def test_a_graph_finds_as_much_as_that_of_faiss_at_like_settings(name: str, passages: Passages) -> None:
    if name in ("elasticsearch", "opensearch"):
        pytest.skip("the server that stands in for it searches exactly")
    like = {"m": 16, "ef_construction": 100}
    kind = {"index": INDEXES[name]} if name in INDEXES else {}
    store = made(name, **{**like, **kind, "ef_search": 64})
    faiss = registry.create("stores", PartSpec(name="faiss_hnsw", **like, ef_search=64))
    best = exact("inner_product")
    for each in (store, faiss, best):
        each.add(passages.docs, passages.vectors)
    recalls = [
        np.mean([overlap(each.search(query, 10).ranking, best.search(query, 10).ranking) for query in passages.queries])
        for each in (store, faiss)
    ]
    store.close()
    assert recalls[0] >= recalls[1] - 0.02


def overlap(found: Ranking, expected: Ranking) -> float:
    return len({item.doc.doc_id for item in found} & {item.doc.doc_id for item in expected}) / len(expected)


def test_a_store_without_an_embedder_says_so(store: DatabaseStore, passages: Passages) -> None:
    with pytest.raises(BadInput, match="give this pipeline an embedder"):
        store.add(passages.docs[:2], None)
