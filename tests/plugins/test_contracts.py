"""What every plugin of a kind owes its pipeline. A new file is tested by being there: the names are those found.

A plugin with options that have no default needs an entry in `options`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_server import MODEL as WORDS
from embedding_server import embedding
from passages import CONTENTS, DOCS, VECTORS, embedded, ranking_of
from reranker_server import MODEL, address, reranking
from speaking_server import SpeakingServer

from ragprof.core import Doc, EmbeddedQuery, Generated, Layout, Nearest, Query, Usage, Vectors, prompt, registry
from ragprof.core.errors import MissingPackage
from ragprof.core.registry import Kind, PartSpec
from ragprof.core.stages import (
    ApproximateStore,
    Embedder,
    Generator,
    Injector,
    ManyGenerator,
    NamedEngine,
    NestedStore,
    PairReranker,
    Reranker,
    Store,
    UntimedEmbedder,
)
from ragprof.parts.models.places import GEMMA_PACKAGE
from ragprof.parts.nested import nearest, search_nested
from ragprof.price.bills import HOSTED_EMBEDDERS

ASKED = [
    embedded(text) for text in ("water, tides and the lamp of a king", "oil, oil and rain", "zyzzyva", "chess", "?")
]
QUERY = Query("q", "how does a lighthouse flash its lamp to sailors")
PROMPTS = [prompt.build(prompt.TEMPLATE, QUERY.text, DOCS[start : start + 2]) for start in (3, 4, 3, 7)]
BFLOAT16_TOLERANCE = 2e-2
MOST_TOKENS = 3
PACKAGED = pytest.param(
    "the packaged Gemma 3 270M",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(find_spec(GEMMA_PACKAGE) is None, reason="the packaged Gemma 3 270M is not installed"),
    ],
)


@pytest.fixture(scope="module")
def reranking_server() -> Iterator[SpeakingServer]:
    """vLLM's `/rerank` on loopback, scoring by the words that query and document share."""
    with reranking("vllm") as server:
        yield server


@pytest.fixture(scope="module")
def embedding_servers() -> Iterator[Mapping[str, Mapping[str, Any]]]:
    """Options of each hosted embedder, whose server stands on loopback."""
    with ExitStack() as running:
        yield {
            name: {"base_url": running.enter_context(embedding(name)).url.removesuffix("/v1"), "model": WORDS}
            for name in HOSTED_EMBEDDERS
        }


@pytest.fixture(scope="module")
def options(
    cross_encoder_folder: Path,
    causal_model_folder: Path,
    speaking_server: SpeakingServer,
    reranking_server: SpeakingServer,
) -> Mapping[str, Mapping[str, Any]]:
    endpoint = {"base_url": speaking_server.url, "model": "tiny-1", "max_new_tokens": MOST_TOKENS}
    return {
        "extractive": {"max_new_tokens": MOST_TOKENS},
        "local": {"model": str(causal_model_folder), "precision": "float32", "max_new_tokens": MOST_TOKENS},
        "openai_compatible": endpoint,
        "rerank_api": {"base_url": address(reranking_server), "model": MODEL, "dialect": "vllm"},
        "faiss": {"factory": "Flat"},
        "rrf": {"stores": ["bm25s", "faiss_flat"]},
        "cross_encoder": {"model": str(cross_encoder_folder)},
        "token_budget": {"tokens": 1000, "k": 3},
        "top_k": {"k": 3},
    }


def made(kind: Kind, name: str, options: Mapping[str, Mapping[str, Any]]) -> Any:
    """A part as a pipeline has it: loaded, and loaded again without harm."""
    part = registry.create(kind, PartSpec(name=name, **options.get(name, {})))
    part.load()
    part.load()
    return part


@pytest.fixture(scope="module", params=registry.names("embedders"))
def embedder(request: pytest.FixtureRequest, embedding_servers: Mapping[str, Mapping[str, Any]]) -> Embedder:
    part: Embedder = made("embedders", request.param, embedding_servers)
    return part


def in_memory() -> list[str]:
    """Stores of this process; those in databases, which settle ties in their own way, stand in `tests/stores`."""
    folder = registry.PACKAGE / "parts" / "stores"
    return [
        name
        for name in registry.names("stores")
        if not (folder / f"{name}.py").exists() or "parts.databases" not in (folder / f"{name}.py").read_text("utf-8")
    ]


@pytest.fixture(params=in_memory())
def store(request: pytest.FixtureRequest, options: Mapping[str, Mapping[str, Any]]) -> Store:
    part: Store = made("stores", request.param, options)
    return part


@pytest.fixture
def filled(store: Store) -> Store:
    """The store with the passages in it."""
    store.add(DOCS, VECTORS if store.needs_vectors else None)
    return store


@pytest.fixture(scope="module", params=registry.names("rerankers"))
def reranker(request: pytest.FixtureRequest, options: Mapping[str, Mapping[str, Any]]) -> Reranker:
    part: Reranker = made("rerankers", request.param, options)
    return part


@pytest.fixture(scope="module", params=registry.names("injectors"))
def injector(request: pytest.FixtureRequest, options: Mapping[str, Mapping[str, Any]]) -> Injector:
    part: Injector = made("injectors", request.param, options)
    return part


@pytest.fixture(scope="module", params=[*registry.names("generators"), PACKAGED])
def generator(request: pytest.FixtureRequest, options: Mapping[str, Mapping[str, Any]]) -> Generator:
    if request.param in PACKAGED.values:
        part: Generator = made("generators", "local", {"local": {"max_new_tokens": MOST_TOKENS}})
    else:
        part = made("generators", request.param, options)
    return part


def tolerance(part: Embedder | Reranker) -> float:
    """How far apart two runs over other batches may be."""
    if "bfloat16" in str(part.identity):
        return BFLOAT16_TOLERANCE
    return 1e-5 if "float32" in str(part.identity) else 0.0


def assert_usage(usage: Usage) -> None:
    """Units to counts: plain ints, none negative."""
    assert all(type(unit) is str and type(count) is int and count >= 0 for unit, count in usage.items())


PARTS = tuple(kind for kind in registry.KINDS if kind not in ("signals", "apps", "readers"))


def same_identity(kind: Kind, name: str, options: Mapping[str, Mapping[str, Any]]) -> bool:
    """Two parts of one specification may share results, or none of them may."""
    try:
        first, second = (registry.create(kind, PartSpec(name=name, **options.get(name, {}))) for _ in range(2))
    except MissingPackage as problem:
        pytest.skip(str(problem))
    return first.identity == second.identity and (first.identity is None or isinstance(first.identity, str))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in PARTS for name in registry.names(kind)])
def test_parts_of_one_specification_have_one_identity(
    kind: Kind,
    name: str,
    options: Mapping[str, Mapping[str, Any]],
    embedding_servers: Mapping[str, Mapping[str, Any]],
) -> None:
    assert same_identity(kind, name, embedding_servers if kind == "embedders" else options)


@pytest.mark.parametrize(
    ("kind", "name", "call", "precision"),
    [
        ("embedders", "sentence_transformers", "sentence-transformers VERSION SentenceTransformer.encode", "float32"),
        ("embedders", "static", "sentence-transformers VERSION SentenceTransformer.encode", "float32"),
        ("rerankers", "bi_encoder", "sentence-transformers VERSION SentenceTransformer.encode", "float32"),
        ("rerankers", "cross_encoder", "sentence-transformers VERSION CrossEncoder.predict", "float32"),
        (
            *("rerankers", "maxsim"),
            "sentence-transformers VERSION SentenceTransformer.encode(output_value='token_embeddings') and "
            "util.mean_maxsim",
            "float32",
        ),
        ("generators", "local", "transformers VERSION AutoModelForCausalLM.generate", "float32"),
        ("stores", "faiss_flat", "faiss VERSION IndexFlatIP.search, one thread", "float32"),
        ("stores", "faiss_hnsw", "faiss VERSION IndexHNSWFlat.search", "float32"),
        ("stores", "bm25s", "bm25s VERSION BM25.get_scores", "float32"),
        ("stores", "pgvector", "psycopg VERSION Connection.execute on PostgreSQL", "float32"),
        ("stores", "rank_bm25", "rank-bm25 VERSION BM25Okapi.get_scores", "float64"),
    ],
)
def test_a_part_names_what_runs_when_it_is_timed(
    kind: Kind, name: str, call: str, precision: str, options: Mapping[str, Mapping[str, Any]]
) -> None:
    part = registry.create(kind, PartSpec(name=name, **options.get(name, {})))
    assert isinstance(part, NamedEngine)
    assert re.sub(r" \d+(\.\d+)+", " VERSION", part.engine) == call
    assert part.precision == precision


class TestEmbedders:
    def test_vectors_are_one_float32_row_a_text(self, embedder: Embedder) -> None:
        documents, queries = embedder.embed_documents(CONTENTS).vectors, embedder.embed_queries(CONTENTS[:2]).vectors
        assert documents.dtype == queries.dtype == np.float32
        assert documents.shape[0] == len(CONTENTS)
        assert queries.shape == (2, documents.shape[1])

    def test_vectors_have_unit_length(self, embedder: Embedder) -> None:
        lengths = np.linalg.norm(embedder.embed_documents(CONTENTS).vectors, axis=1)
        assert lengths == pytest.approx(np.ones(len(CONTENTS)), abs=max(tolerance(embedder), 1e-5))

    def test_untimed_vectors_are_those_of_the_call_that_is_timed(self, embedder: Embedder) -> None:
        if not isinstance(embedder, UntimedEmbedder):
            pytest.skip("this embedder has one way for both")
        called, untimed = embedder.embed_queries(CONTENTS), embedder.embed_queries_untimed(CONTENTS)
        assert np.allclose(called.vectors, untimed.vectors, rtol=0, atol=max(tolerance(embedder), 1e-5))
        assert called.usage == untimed.usage
        assert embedder.embed_queries_untimed([]).vectors.shape == (0, called.vectors.shape[1])

    def test_the_same_texts_give_the_same_vectors(self, embedder: Embedder) -> None:
        first, second = embedder.embed_documents(CONTENTS), embedder.embed_documents(CONTENTS)
        assert np.array_equal(first.vectors, second.vectors)
        assert first.usage == second.usage

    def test_a_vector_depends_neither_on_order_nor_on_company(self, embedder: Embedder) -> None:
        together = embedder.embed_documents(CONTENTS).vectors
        backwards = embedder.embed_documents(CONTENTS[::-1]).vectors[::-1]
        alone = np.concatenate([embedder.embed_documents([text]).vectors for text in CONTENTS])
        assert np.allclose(together, backwards, rtol=0, atol=max(tolerance(embedder), 1e-6))
        assert np.allclose(together, alone, rtol=0, atol=max(tolerance(embedder), 1e-6))

    def test_no_texts_give_no_rows_of_the_same_width(self, embedder: Embedder) -> None:
        width = embedder.embed_documents(CONTENTS[:1]).vectors.shape[1]
        for embed in (embedder.embed_documents, embedder.embed_queries):
            none = embed([])
            assert (none.vectors.shape, none.vectors.dtype) == ((0, width), np.dtype(np.float32))
            assert set(none.usage.values()) == {0}

    @pytest.mark.parametrize("text", ["", " ", "\u200b", "the of and", "x" * 3000, "word " * 1500, "\x00🦉\n\t"])
    def test_odd_texts_have_finite_vectors(self, embedder: Embedder, text: str) -> None:
        vectors = embedder.embed_documents([text, CONTENTS[0]]).vectors
        assert np.isfinite(vectors).all()
        assert np.linalg.norm(vectors, axis=1).max() < 1.02

    def test_usage_counts_texts_and_tokens(self, embedder: Embedder) -> None:
        one, all_of_them = embedder.embed_queries(CONTENTS[:1]).usage, embedder.embed_documents(CONTENTS).usage
        assert_usage(all_of_them)
        assert (one["texts"], all_of_them["texts"]) == (1, len(CONTENTS))
        assert 0 < one["input_tokens"] < all_of_them["input_tokens"]

    def test_a_text_is_nearest_to_itself_as_a_query(self, embedder: Embedder) -> None:
        queries, documents = embedder.embed_queries(CONTENTS).vectors, embedder.embed_documents(CONTENTS).vectors
        assert (queries @ documents.T).argmax(axis=1).tolist() == list(range(len(CONTENTS)))


class TestStores:
    def test_a_document_asked_for_by_its_own_words_comes_first(self, filled: Store) -> None:
        for doc in DOCS:
            assert filled.search(embedded(doc.content), 3).ranking[0].doc == doc

    @pytest.mark.parametrize("depth", [1, 2, 5, len(DOCS), len(DOCS) + 1, 1000])
    def test_at_most_depth_distinct_documents_best_first(self, filled: Store, depth: int) -> None:
        ranking = filled.search(embedded("water, tides and the lamp of a king"), depth).ranking
        keys = [(item.score, item.doc.doc_id) for item in ranking]
        assert 0 < len(ranking) <= min(depth, len(DOCS))
        assert keys == sorted(keys, reverse=True)
        assert len({item.doc.doc_id for item in ranking}) == len(ranking)
        assert all(math.isfinite(item.score) and type(item.score) is float for item in ranking)

    def test_a_smaller_depth_gives_the_head_of_a_larger_one(self, filled: Store) -> None:
        if "rrf" in str(filled.identity):
            pytest.skip("what RRF fuses depends on the depth of its parts")
        query = embedded("water, tides and the lamp of a king")
        whole = filled.search(query, 100).ranking
        assert all(filled.search(query, depth).ranking == whole[:depth] for depth in range(1, len(DOCS)))

    @pytest.mark.parametrize("text", ["zyzzyva qoph", "the of and", "?", "\u200b"])
    def test_a_query_without_a_known_word_is_no_error(self, filled: Store, text: str) -> None:
        found = filled.search(embedded(text), 5)
        assert len(found.ranking) <= 5
        assert_usage(found.usage)

    def test_twins_are_all_found_with_one_score(self, store: Store) -> None:
        twins = [type(DOCS[0])(f"t{number}", "", "basalt lava", f"t{number}") for number in range(4)]
        docs = [*twins, *DOCS]
        vectors = np.concatenate([np.tile(embedded("basalt lava").vector, (4, 1)), VECTORS])  # type: ignore[arg-type]
        store.add(docs, vectors if store.needs_vectors else None)
        ranking = store.search(embedded("basalt lava"), 4).ranking
        assert [item.doc.doc_id for item in ranking] == ["t3", "t2", "t1", "t0"]

    def test_a_document_without_words_can_stand_in_the_index(self, store: Store) -> None:
        docs = [*DOCS, type(DOCS[0])("empty", "", "the of and", "empty")]
        vectors = np.concatenate([VECTORS, np.zeros_like(VECTORS[:1])])
        store.add(docs, vectors if store.needs_vectors else None)
        assert store.search(embedded(DOCS[4].content), 3).ranking[0].doc == DOCS[4]

    def test_a_document_that_the_embedder_knows_no_word_of_is_in_no_index_of_vectors(self, store: Store) -> None:
        if not store.needs_vectors:
            pytest.skip("this store asks no embedder")
        docs = [*DOCS[:5], Doc("silent", "", "qoph zyzzyva", "silent"), *DOCS[5:]]
        vectors = np.insert(VECTORS, 5, 0, axis=0)
        store.add(docs, vectors)
        for text in ("water, tides and the lamp of a king", CONTENTS[7]):
            found = store.search(embedded(text), 1000).ranking
            assert "silent" not in [item.doc.doc_id for item in found]
            assert found[0].doc == (DOCS[7] if text == CONTENTS[7] else found[0].doc)

    def test_a_query_that_the_embedder_knows_no_word_of_finds_nothing_by_its_vector(self, filled: Store) -> None:
        if not filled.needs_vectors:
            pytest.skip("this store asks no embedder")
        silent = EmbeddedQuery(Query("q", "zyzzyva qoph"), np.zeros_like(VECTORS[0]))
        assert filled.search(silent, 5).ranking == ()

    def test_usage_counts_searches(self, filled: Store) -> None:
        usage = filled.search(embedded(CONTENTS[0]), 3).usage
        assert_usage(usage)
        assert usage["searches"] >= 1

    def test_the_index_has_a_size_once_there_is_something_in_it(self, store: Store) -> None:
        assert store.index_bytes == 0
        store.add(DOCS, VECTORS if store.needs_vectors else None)
        assert type(store.index_bytes) is int
        assert store.index_bytes > 0

    @pytest.mark.parametrize("seed", [0, 1])
    @pytest.mark.parametrize("depth", [1, 5, 100])
    @pytest.mark.parametrize("unknown", [False, True])
    def test_nested_sub_corpora_equal_an_index_of_each(
        self, store: Store, depth: int, seed: int, *, unknown: bool
    ) -> None:
        docs, vectors = crowd(seed)
        if unknown:  # the embedder knows no word of every fifth
            vectors = vectors.copy()
            vectors[::5] = 0
        layouts = crowd_layouts(len(docs), seed)
        given = search_nested(store, docs, vectors, queries=ASKED, layouts=layouts, depth=depth)
        assert [len(cells) for cells in given] == [5, 3]
        expected = one_by_one(store, docs, vectors, layouts, depth)
        for cell, alone in zip([*given[0], *given[1]], expected, strict=True):
            assert cell.places.tolist() == alone.places.tolist()
            assert cell.scores.tolist() == alone.scores.tolist()

    def test_a_shallower_nested_search_is_a_prefix_where_the_store_says_so(self, store: Store) -> None:
        if not (isinstance(store, NestedStore) and store.shallower_is_prefix):
            pytest.skip("this store makes no such promise")
        docs, vectors = crowd(0)
        layouts = crowd_layouts(len(docs), 0)
        deep, shallow = (
            store.search_nested(docs, vectors, queries=ASKED, layouts=layouts, depth=depth) for depth in (20, 6)
        )
        for whole, cell in zip([*deep[0], *deep[1]], [*shallow[0], *shallow[1]], strict=True):
            assert np.array_equal(whole.places[:, :6], cell.places)
            assert np.array_equal(whole.scores[:, :6], cell.scores)

    def test_a_nested_search_leaves_the_index_alone(self, filled: Store) -> None:
        if not isinstance(filled, NestedStore):
            pytest.skip("this store is filled anew for each sub-corpus")
        before = [filled.search(query, 5).ranking for query in ASKED], filled.index_bytes
        docs, vectors = crowd(0)
        filled.search_nested(docs, vectors, queries=ASKED, layouts=crowd_layouts(len(docs), 0), depth=5)
        assert ([filled.search(query, 5).ranking for query in ASKED], filled.index_bytes) == before

    def test_the_exact_counterpart_is_empty_and_finds_the_same_where_nothing_is_missed(self, filled: Store) -> None:
        if not isinstance(filled, ApproximateStore):
            pytest.skip("this store is exact")
        exact = filled.exact()
        assert (exact.index_bytes, exact.needs_vectors) == (0, filled.needs_vectors)
        exact.add(DOCS, VECTORS if exact.needs_vectors else None)
        assert all(exact.search(query, 5).ranking == filled.search(query, 5).ranking for query in ASKED)


def crowd(seed: int) -> tuple[list[Doc], Vectors]:
    """A pool of sixty passages: each several times, so that ties are everywhere, with ids in no order."""
    random = np.random.default_rng(seed)
    chosen, numbers = random.integers(len(DOCS), size=60), random.permutation(60)
    docs = [Doc(f"p{number}", "", CONTENTS[place], "") for number, place in zip(numbers, chosen, strict=True)]
    return docs, VECTORS[chosen]


def crowd_layouts(pool: int, seed: int) -> list[Layout]:
    """All of the pool, and some of it."""
    random = np.random.default_rng(seed)
    return [Layout(random.permutation(pool), (1, 2, 13, 40, pool)), Layout(random.permutation(pool)[:30], (3, 7, 29))]


def one_by_one(
    store: Store, docs: Sequence[Doc], vectors: Vectors, layouts: Sequence[Layout], depth: int
) -> list[Nearest]:
    """What the live store finds in every sub-corpus."""
    places = {doc.doc_id: place for place, doc in enumerate(docs)}
    cells = []
    for members in (layout.members[:size] for layout in layouts for size in layout.sizes):
        store.add([docs[place] for place in members], vectors[members] if store.needs_vectors else None)
        cells.append(nearest([store.search(query, depth).ranking for query in ASKED], places, depth))
    return cells


class TestRerankers:
    def test_one_finite_score_a_document(self, reranker: Reranker) -> None:
        scored = reranker.score(QUERY, DOCS)
        assert len(scored.scores) == len(DOCS)
        assert all(type(score) is float and math.isfinite(score) for score in scored.scores)

    def test_no_documents_have_no_scores(self, reranker: Reranker) -> None:
        scored = reranker.score(QUERY, [])
        assert scored.scores == ()
        assert_usage(scored.usage)

    def test_the_same_question_gives_the_same_scores(self, reranker: Reranker) -> None:
        assert reranker.score(QUERY, DOCS) == reranker.score(QUERY, DOCS)

    def test_a_pointwise_score_depends_on_no_other_candidate(self, reranker: Reranker) -> None:
        if not reranker.pointwise:
            pytest.skip("this reranker says that its scores depend on their company")
        together = reranker.score(QUERY, DOCS).scores
        backwards = reranker.score(QUERY, DOCS[::-1]).scores[::-1]
        alone = [reranker.score(QUERY, [doc]).scores[0] for doc in DOCS]
        spread = max(1.0, max(together) - min(together))
        assert backwards == pytest.approx(together, abs=tolerance(reranker) * spread, rel=0)
        assert alone == pytest.approx(together, abs=tolerance(reranker) * spread, rel=0)

    def test_pairs_of_several_queries_score_as_each_query_does(self, reranker: Reranker) -> None:
        if not isinstance(reranker, PairReranker):
            pytest.skip("this reranker scores query by query")
        queries = [QUERY, Query("r", "squeaking bicycle chain"), Query("s", "king")]
        pairs = [(query, doc) for doc in DOCS for query in queries if doc.doc_id[-1] != query.query_id]
        expected = [reranker.score(query, [doc]).scores[0] for query, doc in pairs]
        assert reranker.score_pairs(pairs) == pytest.approx(expected, abs=max(tolerance(reranker), 1e-6))
        assert reranker.score_pairs([]) == []

    @pytest.mark.parametrize("text", ["?", "\u200b", "zyzzyva " * 400])
    def test_odd_questions_and_documents_have_finite_scores(self, reranker: Reranker, text: str) -> None:
        odd = [type(DOCS[0])(f"o{place}", "", text, "o") for place, text in enumerate(["", "\u200b", "word " * 1500])]
        assert all(math.isfinite(score) for score in reranker.score(Query("q", text), [*odd, DOCS[0]]).scores)

    def test_usage_counts_documents_and_tokens(self, reranker: Reranker) -> None:
        usage = reranker.score(QUERY, DOCS).usage
        assert_usage(usage)
        if reranker.identity is None:
            pytest.skip("this part is never asked by a pipeline, so it bills nothing")
        assert (usage["requests"], usage["docs_scored"]) == (1, len(DOCS))
        assert usage["input_tokens"] > reranker.score(QUERY, DOCS[:1]).usage["input_tokens"] > 0


class TestInjectors:
    def test_the_prompt_holds_the_chosen_chunks_in_order_and_the_question(self, injector: Injector) -> None:
        injected = injector.inject(QUERY, ranking_of(4, 0, 8, 2))
        places = [injected.prompt.index(item.doc.content) for item in injected.ranking]
        assert places == sorted(places)
        assert QUERY.text in injected.prompt
        assert not [doc for doc in DOCS if doc not in docs_in(injected.ranking) and doc.text in injected.prompt]

    def test_with_room_for_all_the_k_best_are_chosen(self, injector: Injector) -> None:
        assert injector.inject(QUERY, ranking_of(4, 0, 8, 2)).ranking == ranking_of(4, 0, 8)

    def test_a_short_ranking_is_injected_whole(self, injector: Injector) -> None:
        assert injector.inject(QUERY, ranking_of(7)).ranking == ranking_of(7)

    def test_an_empty_ranking_leaves_the_question(self, injector: Injector) -> None:
        injected = injector.inject(QUERY, ())
        assert injected.ranking == ()
        assert QUERY.text in injected.prompt
        assert injected.usage["docs_injected"] == 0

    def test_usage_counts_chunks(self, injector: Injector) -> None:
        usage = injector.inject(QUERY, ranking_of(4, 0, 8, 2)).usage
        assert_usage(usage)
        assert usage["docs_injected"] == 3


def docs_in(ranking: Sequence[Any]) -> list[Any]:
    return [item.doc for item in ranking]


class TestGenerators:
    def test_an_answer_is_text_with_an_end(self, generator: Generator) -> None:
        for generated in map(generator.generate, PROMPTS):
            assert type(generated.text) is str
            assert generated.finish in ("stop", "length")

    def test_an_answer_has_at_most_so_many_tokens_and_says_when_it_was_cut(self, generator: Generator) -> None:
        generated = generator.generate(PROMPTS[1])
        assert 0 < generated.usage["output_tokens"] <= generator.max_new_tokens
        if generated.finish == "length":
            assert generated.usage["output_tokens"] == generator.max_new_tokens

    def test_of_several_answers_one_is_cut_at_three_tokens(self, generator: Generator) -> None:
        if generator.max_new_tokens != MOST_TOKENS:
            pytest.skip("this generator was not told how much it may say")
        assert "length" in {generator.generate(asked).finish for asked in PROMPTS}

    def test_the_same_prompt_has_the_same_answer(self, generator: Generator) -> None:
        first, second = (generator.generate(PROMPTS[0]) for _ in range(2))
        assert untimed(first) == untimed(second)

    def test_many_answers_are_those_of_each_prompt_and_untimed(self, generator: Generator) -> None:
        if not isinstance(generator, ManyGenerator):
            pytest.skip("this generator answers one by one")
        together = generator.generate_many(PROMPTS)
        assert together == [untimed(generator.generate(asked)) for asked in PROMPTS]
        assert generator.generate_many(PROMPTS[:1]) == together[:1]
        assert generator.generate_many([]) == []

    def test_usage_counts_requests_and_what_is_known_of_tokens(self, generator: Generator) -> None:
        usage = generator.generate(PROMPTS[0]).usage
        assert_usage(usage)
        assert (usage["requests"], usage["retries"]) == (1, 0)
        if "input_tokens" in usage:
            longer = generator.generate(PROMPTS[0].replace("Question:", f"{CONTENTS[0]}\n\nQuestion:"))
            assert longer.usage["input_tokens"] > usage["input_tokens"] > 0

    def test_the_first_token_was_timed_or_not_measured(self, generator: Generator) -> None:
        first_token_ns = generator.generate(PROMPTS[0]).first_token_ns
        assert first_token_ns is None or (type(first_token_ns) is int and first_token_ns >= 0)

    def test_a_prompt_has_more_tokens_than_its_beginning(self, generator: Generator) -> None:
        texts = [" ".join(CONTENTS[:count]) for count in range(5)]
        counts = [generator.count_tokens(text) for text in texts]
        assert all(type(count) is int and count >= 0 for count in counts)
        assert counts == sorted(set(counts))

    def test_bounds_are_whole_numbers_or_unknown(self, generator: Generator) -> None:
        assert type(generator.max_new_tokens) is int
        assert generator.max_new_tokens > 0
        context = generator.context_tokens
        assert context is None or (type(context) is int and context > generator.max_new_tokens)

    @pytest.mark.parametrize("asked", ["", " ", "\u200b", "\x00🦉\n\t", "{passages} {question}", "word " * 300])
    def test_odd_prompts_have_an_answer(self, generator: Generator, asked: str) -> None:
        generated = generator.generate(asked)
        assert type(generated.text) is str
        assert_usage(generated.usage)
        assert generator.count_tokens(asked) >= 0


def untimed(generated: Generated) -> Generated:
    return replace(generated, first_token_ns=None)
