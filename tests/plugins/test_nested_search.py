"""Nested search equals an index of each sub-corpus where that is hardest: ties at the cut, rescans, blocks, threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragprof.core import Doc, EmbeddedQuery, Layout, Nearest, Query, Vectors
from ragprof.core import caches as row_cache
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.core.registry import PartSpec
from ragprof.core.stages import NestedStore, Store
from ragprof.parts.nested import nearest, search_nested
from ragprof.parts.stores.bm25s import Bm25sStore
from ragprof.parts.stores.faiss_flat import FaissFlatStore
from ragprof.parts.stores.rrf import RrfStore

vocabulary = st.lists(st.sampled_from(("red", "blue", "green", "pink", "gold", "the")), max_size=7).map(" ".join)


def docs_for(count: int) -> list[Doc]:
    """Ids whose order is not that of the places."""
    return [Doc(f"d{place * 7919 % 100_003:06}", "", "", "") for place in range(count)]


def texts(*contents: str) -> list[Doc]:
    return [Doc(f"d{place * 7 % 1009}", "", content, "") for place, content in enumerate(contents)]


def asked(vectors: Vectors) -> list[EmbeddedQuery]:
    return [EmbeddedQuery(Query(f"q{number}", ""), vector) for number, vector in enumerate(vectors)]


def worded(*contents: str) -> list[EmbeddedQuery]:
    return [EmbeddedQuery(Query(content, content), None) for content in contents]


def unit(random: np.random.Generator, rows: int, width: int) -> Vectors:
    vectors = random.normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_equals_live(
    store: Store,
    docs: Sequence[Doc],
    vectors: Vectors | None,
    *,
    queries: Sequence[EmbeddedQuery],
    layouts: Sequence[Layout],
    depth: int,
) -> list[list[Nearest]]:
    """Every cell, to the last digit; returns them."""
    assert isinstance(store, NestedStore)
    cells = search_nested(store, docs, vectors, queries=queries, layouts=layouts, depth=depth)
    places = {doc.doc_id: place for place, doc in enumerate(docs)}
    for layout, row in zip(layouts, cells, strict=True):
        for size, cell in zip(layout.sizes, row, strict=True):
            members = layout.members[:size]
            store.add([docs[place] for place in members], None if vectors is None else vectors[members])
            live = nearest([store.search(query, depth).ranking for query in queries], places, depth)
            assert np.array_equal(cell.places, live.places)
            assert np.array_equal(cell.scores, live.scores)
    return cells


class TestFaissFlat:
    @pytest.mark.parametrize("width", [1, 3, 8, 17, 64, 384])
    def test_random_vectors_with_twins_of_every_width(self, width: int) -> None:
        random = np.random.default_rng(width)
        vectors = unit(random, 700, width)
        vectors[random.integers(700, size=200)] = vectors[random.integers(700, size=200)]
        layouts = [Layout(random.permutation(700), (1, 30, 200, 700)), Layout(random.permutation(700)[:300], (90, 300))]
        queries = asked(np.concatenate([unit(random, 25, width), vectors[:5]]))
        assert_equals_live(FaissFlatStore(), docs_for(700), vectors, queries=queries, layouts=layouts, depth=10)

    def test_ties_at_the_cut_of_the_first_scan_go_by_doc_id(self) -> None:
        vectors = np.zeros((1000, 4), np.float32)
        vectors[:5, 0] = 1.0  # five stand out, all others tie
        layouts = [Layout(np.random.default_rng(0).permutation(1000), (250, 1000))]
        cells = assert_equals_live(
            FaissFlatStore(),
            docs_for(1000),
            vectors,
            queries=asked(np.eye(4, dtype=np.float32)),
            layouts=layouts,
            depth=8,
        )
        assert cells[0][1].scores[0].tolist() == [1.0] * 5 + [0.0] * 3

    def test_when_the_best_are_in_no_sub_corpus_the_search_widens(self) -> None:
        random = np.random.default_rng(1)
        vectors = unit(random, 3000, 8)
        vectors[:2000] = vectors[0]  # a crowd of twins in front of whatever the layouts hold
        layouts = [Layout(2000 + random.permutation(1000), (500, 1000)), Layout(random.permutation(3000), (600,))]
        queries = asked(np.concatenate([vectors[:1], unit(random, 3, 8), -vectors[:1]]))
        assert_equals_live(FaissFlatStore(), docs_for(3000), vectors, queries=queries, layouts=layouts, depth=5)

    def test_one_query_alone_is_found_as_in_company(self) -> None:
        random = np.random.default_rng(2)
        vectors, queries = unit(random, 12_000, 16), asked(unit(random, 30, 16))
        arguments = {"layouts": [Layout(random.permutation(12_000), (2000, 12_000))], "depth": 5}
        store, docs = FaissFlatStore(), docs_for(12_000)
        (together,) = store.search_nested(docs, vectors, queries=queries, **arguments)
        (alone,) = store.search_nested(docs, vectors, queries=queries[:1], **arguments)
        for cell, whole in zip(alone, together, strict=True):
            assert np.array_equal(cell.places, whole.places[:1])
            assert np.array_equal(cell.scores, whole.scores[:1])

    def test_a_score_depends_on_no_vector_around_it(self) -> None:
        random = np.random.default_rng(3)
        vectors = unit(random, 12_000, 64)
        layouts = [Layout(np.arange(12_000), (300, 12_000))]
        store, docs, queries = FaissFlatStore(), docs_for(12_000), asked(unit(random, 5, 64))
        few, many = assert_equals_live(store, docs, vectors, queries=queries, layouts=layouts, depth=12_000)[0]
        for row in range(5):
            scores = dict(zip(many.places[row].tolist(), many.scores[row].tolist(), strict=True))
            assert [scores[place] for place in few.places[row, :300].tolist()] == few.scores[row, :300].tolist()

    def test_several_blocks_and_several_scans_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(4)
        vectors = unit(random, 900, 8)
        vectors[100:160] = vectors[7]
        layouts = [Layout(random.permutation(900), (60, 400, 900))]
        queries = asked(np.concatenate([unit(random, 6, 8), vectors[7:8]]))
        store, docs = FaissFlatStore(), docs_for(900)
        whole = assert_equals_live(store, docs, vectors, queries=queries, layouts=layouts, depth=5)
        monkeypatch.setattr(row_cache, "BLOCK_ROWS", 130)
        monkeypatch.setattr("ragprof.parts.stores.faiss_flat.CANDIDATES_AT_ONCE", 500)
        pieces = assert_equals_live(store, docs, vectors, queries=queries, layouts=layouts, depth=5)
        assert all(np.array_equal(one.places, two.places) for one, two in zip(whole[0], pieces[0], strict=True))

    def test_vectors_may_lie_in_a_read_only_memory_map(self, tmp_path: Path) -> None:
        random = np.random.default_rng(5)
        unit(random, 500, 8).tofile(tmp_path / "rows")
        vectors = np.memmap(tmp_path / "rows", np.float32, mode="r", shape=(500, 8))
        layouts = [Layout(random.permutation(500), (40, 500))]
        queries = asked(unit(random, 4, 8))
        assert_equals_live(FaissFlatStore(), docs_for(500), vectors, queries=queries, layouts=layouts, depth=5)

    def test_faiss_is_left_as_it_was(self) -> None:
        before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
        store, vectors = FaissFlatStore(), np.eye(3, dtype=np.float32)
        store.add(docs_for(3), vectors)
        store.search(asked(vectors)[0], 2)
        with pytest.raises(AssertionError):
            store.search(asked(np.ones((1, 5), np.float32))[0], 2)
        assert (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold) == before

    def test_what_is_missing_is_said(self) -> None:
        arguments = {"layouts": [Layout(np.arange(3), (3,))], "depth": 2}
        store, docs, vectors = FaissFlatStore(), docs_for(3), np.eye(3, dtype=np.float32)
        with pytest.raises(BadInput, match="'faiss_flat' compares vectors; give this pipeline an embedder"):
            store.search_nested(docs, None, queries=asked(vectors), **arguments)
        with pytest.raises(BadInput, match="'faiss_flat' got a query without a vector"):
            store.search_nested(docs, vectors, queries=worded("red"), **arguments)
        vectors[1, 1] = np.inf
        with pytest.raises(NonFiniteScore):
            store.search_nested(docs, vectors, queries=asked(np.eye(3, dtype=np.float32)[1:2]), **arguments)

    def test_no_queries_and_no_layouts_are_no_error(self) -> None:
        store, docs, vectors = FaissFlatStore(), docs_for(3), np.eye(3, dtype=np.float32)
        (((cell,)),) = store.search_nested(docs, vectors, queries=[], layouts=[Layout(np.arange(3), (3,))], depth=2)
        assert cell.places.shape == (0, 2)
        assert store.search_nested(docs, vectors, queries=asked(vectors), layouts=[], depth=2) == []


class TestBm25s:
    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(vocabulary, min_size=3, max_size=12), st.lists(vocabulary, min_size=1, max_size=4), st.integers(0, 99)
    )
    def test_any_collection_and_any_queries(self, contents: list[str], questions: list[str], seed: int) -> None:
        members = np.random.default_rng(seed).permutation(len(contents))
        layouts = [Layout(members, (1, 2, len(contents))), Layout(members[::-1], (len(contents) - 1,))]
        queries = worded(*questions, "red unknownword red red blue")
        assert_equals_live(Bm25sStore(), texts(*contents), None, queries=queries, layouts=layouts, depth=3)

    @pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (2.0, 0.0), (1.2, 1.0)])
    def test_its_options_hold_in_every_sub_corpus(self, k1: float, b: float) -> None:
        random = np.random.default_rng(6)
        contents = [
            " ".join(random.choice(list("abcdefghijklmnop"), size=size)) for size in random.integers(1, 40, 300)
        ]
        layouts = [Layout(random.permutation(300), (5, 50, 300)) for _ in range(2)]
        queries = worded("b c c", "d", "p o n m l k j h g f e d", "c b c b c")
        store = Bm25sStore(k1=k1, b=b)
        assert_equals_live(store, texts(*contents), None, queries=queries, layouts=layouts, depth=20)

    def test_queries_without_a_known_term_find_nothing(self) -> None:
        layouts = [Layout(np.arange(2), (1, 2))]
        cells = search_nested(
            Bm25sStore(), texts("red", "blue"), None, queries=worded("zyzzyva", "the", ""), layouts=layouts, depth=2
        )
        assert [cell.places.tolist() for cell in cells[0]] == [[[-1, -1]] * 3] * 2
        assert cells[0][1].scores.tolist() == [[0.0, 0.0]] * 3

    def test_a_term_that_enters_later_is_unknown_before(self) -> None:
        layouts = [Layout(np.array([2, 0, 1]), (1, 2, 3))]
        docs = texts("red", "red", "blue")
        cells = assert_equals_live(Bm25sStore(), docs, None, queries=worded("red"), layouts=layouts, depth=2)
        assert [cell.places.tolist() for cell in cells[0]] == [[[-1, -1]], [[0, -1]], [[1, 0]]]


class TestRrf:
    def test_four_stores_that_agree_in_part(self) -> None:
        random = np.random.default_rng(7)
        contents = [" ".join(random.choice(list("bcdef"), size=4)) for _ in range(80)]
        parts = [PartSpec(name=name) for name in ("bm25s", "faiss_flat", "rank_bm25")]
        store = RrfStore([*parts, PartSpec(name="bm25s", k1=0.4)], k=7)
        queries = [
            EmbeddedQuery(each.query, vector)
            for each, vector in zip(worded("b c", "d", "f f e", "zyzzyva"), unit(random, 4, 3), strict=True)
        ]
        layouts = [Layout(random.permutation(80), (1, 9, 80)), Layout(random.permutation(80)[:40], (40,))]
        assert_equals_live(store, texts(*contents), unit(random, 80, 3), queries=queries, layouts=layouts, depth=10)

    def test_a_part_that_is_filled_stays_so(self) -> None:
        store = RrfStore([PartSpec(name="rank_bm25"), PartSpec(name="bm25s")])
        store.add(texts("red", "blue red", "green"), None)
        before = store.search(worded("red")[0], 3)
        store.search_nested(
            texts("gold", "pink"), None, queries=worded("red"), layouts=[Layout(np.arange(2), (2,))], depth=3
        )
        assert store.search(worded("red")[0], 3) == before

    def test_the_exact_fusion_puts_exact_stores_in_place_of_approximate_ones(self) -> None:
        store = RrfStore([PartSpec(name="bm25s", k1=0.9), PartSpec(name="faiss_hnsw", m=8)], k=11)
        assert store.exact().identity == "rrf k=11 [bm25s k1=0.9 b=0.75; faiss_flat]"
        assert store.identity.startswith("rrf k=11 [bm25s k1=0.9 b=0.75; faiss_hnsw m=8")
