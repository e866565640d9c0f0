"""Any callable as a stage: what it returns is checked and counted, and never reused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from passages import CONTENTS, DOCS, embedded, ranking_of

from ragprof.core import Query
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.parts.adapters import FunctionEmbedder, FunctionInjector, FunctionReranker, FunctionStore

QUERY = Query("q", "why?")


def lengths(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


def retriever(question: str, depth: int) -> list[tuple[str, float]]:
    return [("d03", 0.5), ("d07", 0.9), ("d01", 0.5)]


def count_words(question: str, texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_nothing_that_a_function_returns_may_be_reused() -> None:
    parts = [FunctionEmbedder(lengths), FunctionStore(retriever), FunctionReranker(count_words), FunctionInjector(max)]
    assert [part.identity for part in parts] == [None] * 4
    assert not FunctionReranker(count_words).pointwise


def test_an_embedder_becomes_float32_rows() -> None:
    embedded_texts = FunctionEmbedder(lengths).embed_queries(["ab", "abcd"])
    assert embedded_texts.vectors.dtype == np.float32
    assert embedded_texts.vectors.tolist() == [[2.0, 1.0], [4.0, 1.0]]
    assert dict(embedded_texts.usage) == {"texts": 2}


@pytest.mark.parametrize("returned", [[[1.0, 2.0]], [1.0, 2.0], [[[1.0]], [[2.0]]]])
def test_an_embedder_that_does_not_give_one_row_a_text_is_told_so(returned: object) -> None:
    def wrong(texts: list[str]) -> object:
        return returned

    with pytest.raises(BadInput, match=r"embedder 'wrong' gave shape .* for 2 texts; it owes one row a text"):
        FunctionEmbedder(wrong).embed_documents(CONTENTS[:2])


def test_a_retriever_is_ranked_and_cut_like_every_store() -> None:
    store = FunctionStore(retriever)
    store.add(DOCS, None)
    found = store.search(embedded("why?"), 2)
    assert [(item.doc.doc_id, item.score) for item in found.ranking] == [("d07", 0.9), ("d03", 0.5)]
    assert dict(found.usage) == {"searches": 1}


def test_a_retriever_that_finds_nothing_gives_an_empty_ranking() -> None:
    store = FunctionStore(lambda question, depth: iter(()))
    store.add(DOCS, None)
    assert store.search(embedded("why?"), 2).ranking == ()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("nowhere", 1.0)], r"returned the document 'nowhere', which is not in the corpus"),
        ([("d01", 2.0), ("d02", 1.5), ("d01", 1.0)], r"returned the document 'd01' twice; give each one once"),
    ],
)
def test_a_retriever_with_unknown_or_repeated_documents_is_told_which(
    pairs: list[tuple[str, float]], message: str
) -> None:
    store = FunctionStore(lambda question, depth: pairs)
    store.add(DOCS, None)
    with pytest.raises(BadInput, match=message):
        store.search(embedded("why?"), 5)


def test_a_retrievers_nan_is_an_error() -> None:
    store = FunctionStore(lambda question, depth: [("d01", math.nan)])
    store.add(DOCS, None)
    with pytest.raises(NonFiniteScore, match="document 'd01' got the score nan"):
        store.search(embedded("why?"), 5)


def test_a_reranker_is_given_contents_and_gives_floats() -> None:
    scored = FunctionReranker(count_words).score(QUERY, DOCS[:2])
    assert scored.scores == (16.0, 16.0)
    assert dict(scored.usage) == {"requests": 1, "docs_scored": 2}


def test_a_reranker_with_too_few_scores_is_told_so() -> None:
    def stingy(question: str, texts: list[str]) -> list[float]:
        return [1.0]

    with pytest.raises(BadInput, match="reranker 'stingy' gave 1 scores for 3 documents"):
        FunctionReranker(stingy).score(QUERY, DOCS[:3])


def test_an_injector_is_given_the_k_best_contents() -> None:
    def join(question: str, texts: list[str]) -> str:
        return "\n".join([*texts, question])

    injected = FunctionInjector(join, k=2).inject(QUERY, ranking_of(4, 0, 8))
    assert injected.prompt == f"{DOCS[4].content}\n{DOCS[0].content}\nwhy?"
    assert injected.ranking == ranking_of(4, 0)
    assert dict(injected.usage) == {"docs_injected": 2}


def test_an_object_that_can_be_called_is_named_by_its_class() -> None:
    class Stingy:
        def __call__(self, question: str, texts: list[str]) -> list[float]:
            return []

    with pytest.raises(BadInput, match="reranker 'Stingy' gave 0 scores for 1 documents"):
        FunctionReranker(Stingy()).score(QUERY, DOCS[:1])
