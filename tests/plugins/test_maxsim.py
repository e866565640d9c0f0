"""MaxSim: the fast paths equal a loop over token vectors, and the score is what the paper defines."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from passages import CONTENTS, DOCS

from ragprof.core import Doc, Query
from ragprof.parts.models.encoder import Transformer
from ragprof.parts.rerankers.maxsim import MaxSimReranker

QUERIES = [
    Query("a", "How does a lighthouse flash?"),
    Query("b", "oil"),
    Query("c", "moon and sun pull along one line " * 60),
]


@pytest.fixture(scope="module")
def reranker() -> MaxSimReranker:
    part = MaxSimReranker(precision="float32")
    part.load()
    return part


def token_vectors(minilm: Transformer, text: str) -> NDArray[np.float64]:
    """Unit vectors of every token of one text that is read alone, special tokens included."""
    (encoded,) = minilm.encode([text])
    vectors = encoded.tokens[0, : encoded.lengths[0]].numpy().astype(np.float64)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def by_loop(minilm: Transformer, query: Query, doc: Doc) -> float:
    """Mean over the query's own tokens of the best cosine with any token of the document."""
    asked = token_vectors(minilm, query.text)[1:-1]
    tokens = token_vectors(minilm, doc.content)
    return sum(max(float(one @ other) for other in tokens) for one in asked) / len(asked)


@pytest.mark.parametrize("query", QUERIES, ids=["question", "one word", "over the maximum length"])
def test_the_score_is_that_of_a_loop_over_token_vectors(
    minilm: Transformer, reranker: MaxSimReranker, query: Query
) -> None:
    docs = [*DOCS[:4], Doc("long", "", "rope " * 400, "long"), Doc("empty", "", "", "empty")]
    expected = [by_loop(minilm, query, doc) for doc in docs]
    assert reranker.score(query, docs).scores == pytest.approx(expected, abs=2e-5)


def test_pairs_of_many_queries_have_the_scores_of_each_query(reranker: MaxSimReranker) -> None:
    pairs = [(query, doc) for doc in DOCS for query in QUERIES if (query.query_id, doc.doc_id) != ("b", "d03")]
    scores = reranker.score_pairs(pairs)
    for query in QUERIES:
        mine = [place for place, pair in enumerate(pairs) if pair[0] == query]
        alone = reranker.score(query, [pairs[place][1] for place in mine]).scores
        assert [scores[place] for place in mine] == pytest.approx(alone, abs=1e-5)


def test_documents_of_equal_content_have_equal_scores(reranker: MaxSimReranker) -> None:
    twin = Doc("twin", DOCS[4].title, DOCS[4].text, "twin")
    scores = reranker.score_pairs([(QUERIES[0], DOCS[4]), (QUERIES[0], DOCS[5]), (QUERIES[0], twin)])
    assert scores[0] == scores[2] != scores[1]


def test_the_document_that_answers_scores_highest_and_a_text_scores_1_with_itself(reranker: MaxSimReranker) -> None:
    scores = reranker.score(QUERIES[0], DOCS).scores
    assert DOCS[scores.index(max(scores))].title == "Lighthouses"
    same = Doc("same", "", CONTENTS[0], "same")
    assert reranker.score(Query("q", CONTENTS[0]), [same]).scores == pytest.approx([1.0], abs=1e-5)


def test_the_query_is_billed_once_for_every_document(reranker: MaxSimReranker) -> None:
    one, two = (reranker.score(QUERIES[1], DOCS[:count]).usage["input_tokens"] for count in (1, 2))
    second = reranker.score(QUERIES[1], DOCS[1:2]).usage["input_tokens"]
    assert two == one + second
