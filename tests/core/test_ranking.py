"""Ranking: by score, ties by doc_id, both descending; the best few are what sorting everything gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragprof.core import Doc
from ragprof.core.errors import NonFiniteScore
from ragprof.core.ranking import ranked, top, without

few_scores = st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.25, 2.0, 1e300]), min_size=1, max_size=30)
any_scores = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30)


def doc(doc_id: str) -> Doc:
    return Doc(doc_id, "", "", doc_id)


def docs_for(scores: list[float]) -> list[Doc]:
    """Ids that are not in the order of their places: 0, 17, 4, 21, ..."""
    return [doc(str(place * 17 % 31)) for place in range(len(scores))]


def test_higher_scores_come_first_and_ties_go_by_doc_id_descending() -> None:
    pairs = [(doc("a"), 1.0), (doc("c"), 2.0), (doc("b"), 1.0), (doc("d"), -3.0)]
    assert [item.doc.doc_id for item in ranked(pairs)] == ["c", "b", "a", "d"]


def test_nothing_ranked_is_an_empty_ranking() -> None:
    assert ranked([]) == ()


@given(few_scores | any_scores)
def test_the_order_is_that_of_score_and_doc_id_whatever_came_first(scores: list[float]) -> None:
    pairs = list(zip(docs_for(scores), scores, strict=True))
    ranking = ranked(pairs)
    keys = [(item.score, item.doc.doc_id) for item in ranking]
    assert keys == sorted(keys, reverse=True)
    assert sorted(item.doc.doc_id for item in ranking) == sorted(doc.doc_id for doc, _ in pairs)
    assert [item.doc.doc_id for item in ranked(reversed(pairs))] == [item.doc.doc_id for item in ranking]


@given(few_scores | any_scores, st.integers(1, 40))
def test_the_best_few_are_the_head_of_the_whole_ranking(scores: list[float], depth: int) -> None:
    docs = docs_for(scores)
    assert top(np.array(scores), docs, depth) == ranked(zip(docs, scores, strict=True))[:depth]


@given(few_scores, st.integers(1, 40), st.sampled_from([np.float32, np.float64]))
def test_every_tie_at_the_cut_is_settled_by_doc_id(scores: list[float], depth: int, dtype: type) -> None:
    docs = docs_for(scores)
    array = np.minimum(np.array(scores), 1e30).astype(dtype)
    assert top(array, docs, depth) == ranked(zip(docs, array.tolist(), strict=True))[:depth]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_an_error_that_names_the_document(score: float) -> None:
    with pytest.raises(NonFiniteScore, match="document 'b' got the score"):
        ranked([(doc("a"), 1.0), (doc("b"), score)])


@settings(max_examples=50)
@given(few_scores, st.integers(0, 29), st.integers(1, 40))
def test_a_nan_is_found_wherever_it_stands_and_however_few_are_wanted(
    scores: list[float], place: int, depth: int
) -> None:
    scores[place % len(scores)] = math.nan
    with pytest.raises(NonFiniteScore):
        top(np.array(scores), docs_for(scores), depth)


def test_no_passage_of_the_document_that_the_query_is_taken_from_is_a_result() -> None:
    passages = [Doc("q#1", "", "", "q"), Doc("a#1", "", "", "a"), Doc("q#2", "", "", "q"), Doc("q", "", "", "b")]
    ranking = ranked((passage, -float(place)) for place, passage in enumerate(passages))
    assert [item.doc.doc_id for item in without(ranking, "q")] == ["a#1", "q"]
    assert without(ranking, "z") == ranking
    assert without(ranking, None) == ranking
