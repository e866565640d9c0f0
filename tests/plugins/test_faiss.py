"""The store `faiss`: every string of index_factory is built, asked and measured as FAISS does by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faiss
import numpy as np
import pytest

from ragprof.core import Doc, EmbeddedQuery, Query, Ranking, Vectors, registry
from ragprof.core.clock import excluded_ns, now_ns, sleep
from ragprof.core.errors import BadInput
from ragprof.core.ranking import ranked
from ragprof.core.registry import PartSpec
from ragprof.core.stages import ApproximateStore, Store, TunableStore
from ragprof.parts import faiss_index
from ragprof.parts.faiss_index import FaissStore
from ragprof.parts.stores.faiss_flat import FaissFlatStore
from ragprof.parts.stores.faiss_hnsw import FaissHnswStore

DOCS = [Doc(f"d{place * 7 % 1000:04}", "", "", "") for place in range(1000)]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """A thousand unit vectors in twenty clusters."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(20, 32))
    rows = (centres[random.integers(20, size=1000)] + 0.7 * random.normal(size=(1000, 32))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rankings(store: Store, vectors: Vectors, depth: int = 10) -> list[Ranking]:
    return [store.search(EmbeddedQuery(Query("q", ""), row), depth).ranking for row in vectors[::20]]


def built(vectors: Vectors, factory: str, **options: float) -> FaissStore:
    store: FaissStore = registry.create("stores", PartSpec(name="faiss", factory=factory, **options))
    store.add(DOCS, vectors)
    return store


@pytest.fixture(scope="module")
def exact(vectors: Vectors) -> list[Ranking]:
    store = FaissFlatStore()
    store.add(DOCS, vectors)
    return rankings(store, vectors)


def recall(found: list[Ranking], exact: list[Ranking]) -> float:
    ids = [({item.doc.doc_id for item in mine}, {item.doc.doc_id for item in best}) for mine, best in
           zip(found, exact, strict=True)]  # fmt: skip
    return sum(len(mine & best) for mine, best in ids) / sum(len(best) for _, best in ids)


def test_the_other_two_are_names_for_it(vectors: Vectors, exact: list[Ranking]) -> None:
    graph = FaissHnswStore(m=8, ef_construction=40, ef_search=30)
    graph.add(DOCS, vectors)
    same = built(vectors, "HNSW8", ef_construction=40, ef_search=30)
    assert rankings(same, vectors) == rankings(graph, vectors)
    assert rankings(built(vectors, "Flat"), vectors) == exact


@pytest.mark.parametrize(
    ("factory", "options", "least"),
    [
        ("IVF16,Flat", {"nprobe": 16}, 1.0),
        ("SQ8", {}, 0.95),
        ("IVF16,PQ4x4,RFlat", {"nprobe": 16, "k_factor": 20}, 0.9),
        ("IVF16_HNSW8,SQ8", {"nprobe": 16, "ef_search": 32}, 0.9),
        ("PCA16,IVF8,SQ8", {"nprobe": 8}, 0.5),
    ],
)
def test_strings_of_every_kind_find_what_they_should_and_the_same_in_every_run(
    vectors: Vectors, exact: list[Ranking], factory: str, options: dict[str, float], least: float
) -> None:
    store = built(vectors, factory, **options)
    found = rankings(store, vectors)
    assert recall(found, exact) >= least
    assert found == rankings(built(vectors, factory, **options), vectors)
    assert isinstance(store, ApproximateStore)
    assert store.exact().identity == "faiss_flat"


def test_it_gives_what_faiss_gives_by_hand(vectors: Vectors) -> None:
    index = faiss.index_factory(32, "IVF16,SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = 4
    scores, places = index.search(vectors[::20], 10)
    store = built(vectors, "IVF16,SQ8", nprobe=4)
    found = [[(item.doc.doc_id, item.score) for item in each] for each in rankings(store, vectors)]
    by_hand = [
        sorted(((DOCS[place].doc_id, score) for place, score in zip(*row, strict=True)), key=lambda each: each[::-1])
        for row in zip(places.tolist(), scores.tolist(), strict=True)
    ]
    assert found == [row[::-1] for row in by_hand]
    assert store.index_bytes == len(faiss.serialize_index(index))


def test_another_value_of_a_knob_asks_the_same_index(vectors: Vectors, exact: list[Ranking]) -> None:
    store = built(vectors, "IVF16,Flat", nprobe=1)
    wide = store.tuned(nprobe=16)
    assert isinstance(store, TunableStore)
    assert (store.search_knobs, wide.identity) == (("nprobe",), "faiss IVF16,Flat nprobe=16")
    assert rankings(wide, vectors) == exact
    assert recall(rankings(store, vectors), exact) < 1.0
    one = EmbeddedQuery(Query("q", ""), vectors[0])
    assert store.search(one, 10).usage["vectors_scanned"] < wide.search(one, 10).usage["vectors_scanned"] == 1000


def test_where_clusters_hold_too_little_the_ranking_is_short(vectors: Vectors) -> None:
    store = built(vectors, "IVF64,Flat", nprobe=1)
    assert min(len(each) for each in rankings(store, vectors, 200)) < 200


@pytest.mark.parametrize(
    ("factory", "options"),
    [("Flat", {}), ("IVF16,Flat", {"nprobe": 16}), ("HNSW8", {"ef_search": 1000}), ("SQ8,RFlat", {"k_factor": 5})],
)
def test_a_filter_finds_the_nearest_of_what_it_lets_through(
    vectors: Vectors, factory: str, options: dict[str, float]
) -> None:
    store = FaissStore(factory, **options)
    store.add_labelled(DOCS, vectors, {"tenant": ["a" if place % 10 == 3 else "b" for place in range(len(DOCS))]})
    assert store.can_filter
    own = FaissFlatStore()
    own.add(DOCS[3::10], vectors[3::10])
    for row in vectors[::50]:
        query = EmbeddedQuery(Query("q", ""), row)
        found, best = store.search_where(query, 10, {"tenant": "a"}), own.search(query, 10)
        assert [item.doc.doc_id for item in found.ranking] == [item.doc.doc_id for item in best.ranking]
    assert len(store.search(query, 200).ranking) == 200
    assert not FaissStore("PQ8").can_filter


@pytest.mark.parametrize(("factory", "options"), [("Flat", {}), ("IVF16,Flat", {"nprobe": 16})])
def test_documents_come_and_go_in_lists_and_clusters(vectors: Vectors, factory: str, options: dict[str, float]) -> None:
    store = FaissStore(factory, **options)
    store.add(DOCS[:900], vectors[:900])
    store.delete([doc.doc_id for doc in DOCS[:100]])
    store.insert(DOCS[900:], vectors[900:])
    store.delete([DOCS[950].doc_id])
    own = FaissFlatStore()
    kept = [place for place in range(100, 1000) if place != 950]
    own.add([DOCS[place] for place in kept], vectors[kept])
    folder = store.shut()
    assert (folder / "index.faiss").is_file()
    store.open_again()
    assert not folder.exists()
    for row in vectors[::50]:
        query = EmbeddedQuery(Query("q", ""), row)
        assert store.tuned().search(query, 10).ranking == own.search(query, 10).ranking
    able = {name: FaissStore(name).can_change for name in ("HNSW8", "SQ8,RFlat", "IVF16,PQ8x4fs", "OPQ8,IVF16,PQ8")}
    assert able == {"HNSW8": False, "SQ8,RFlat": False, "IVF16,PQ8x4fs": False, "OPQ8,IVF16,PQ8": True}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"factory": "IVF64;Flat"}, "FAISS knows no index 'IVF64;Flat'; write as its index_factory does"),
        ({"factory": "HNSW8", "nprobe": 4}, "the index 'HNSW8' takes no nprobe; that is a knob of clusters"),
        ({"factory": "PQ7"}, "should be a multiple of the number of subquantizers"),
        ({"factory": "IVF2000,Flat"}, "trains 'IVF2000,Flat' on at least 2,000 passages, and there are 1,000"),
        ({"factory": "IVF16,Flat", "nprobe": 0}, "option of the store 'faiss' 'nprobe'"),
    ],
)
def test_what_faiss_refuses_is_said(vectors: Vectors, options: dict[str, str | int], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        registry.create("stores", PartSpec.model_validate({"name": "faiss", **options})).add(DOCS, vectors)


@pytest.mark.parametrize("factory", ["IVF16,Flat", "HNSW16", "Flat"])
def test_the_time_of_a_search_is_that_of_faiss_and_what_the_store_does_besides_is_excluded(
    vectors: Vectors, factory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordering what was found takes 20 ms here: none of it is reported."""
    store, query = built(vectors, factory), EmbeddedQuery(Query("q", ""), vectors[0])
    store.search(query, 10)

    def slowly(pairs: Iterable[tuple[Doc, float]]) -> Ranking:
        sleep(0.02)
        return ranked(pairs)

    monkeypatch.setattr(faiss_index, "ranked", slowly)
    start, apart = now_ns(), excluded_ns()
    store.search(query, 10)
    whole, excluded = now_ns() - start, excluded_ns() - apart
    assert 20_000_000 <= excluded < whole
    real = store._index.search

    def late(*given: Any, **named: Any) -> Any:
        sleep(0.02)
        return real(*given, **named)

    monkeypatch.setattr(store._index, "search", late)
    start, apart = now_ns(), excluded_ns()
    store.search(query, 10)
    assert now_ns() - start - (excluded_ns() - apart) >= 20_000_000  # and all of FAISS's own call is


def test_ties_at_the_depth_are_looked_for_until_all_are_found() -> None:
    """Forty vectors are the same; the ten of the highest ids are due, whichever FAISS meets first."""
    rows = np.tile(np.array([[1.0, 0.0]], np.float32), (40, 1))
    store: Store = registry.create("stores", PartSpec(name="faiss", factory="Flat"))
    docs = [Doc(f"d{place * 7 % 40:02}", "", "", "") for place in range(40)]
    store.add(docs, rows)
    found = store.search(EmbeddedQuery(Query("q", ""), rows[0]), 10).ranking
    assert [item.doc.doc_id for item in found] == [f"d{number:02}" for number in range(39, 29, -1)]
