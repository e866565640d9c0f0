"""Which queries are helped and hurt, and whether a reranker does anything at all."""

from __future__ import annotations

from dataclasses import replace

from reranker_data import Arm, data_of

from ragprof.studies.reranker.analysis import is_inert
from ragprof.studies.reranker.headroom import queries

TOP = "RR@10"


def test_helped_hurt_and_unchanged_are_counted_exactly() -> None:
    found = queries(data_of(Arm([3, 5, 1, 4, None], [1, 4, 2, 4, None])), "reranked")
    assert (found.helped, found.hurt, found.unchanged) == (2, 1, 2)


def test_the_clearest_change_comes_first() -> None:
    found = queries(data_of(Arm([4, 2, 5, 1, 1], [2, 1, 1, 2, 5]), metric=TOP), "reranked").clearest
    assert [each.query_id for each in found.helped] == ["q002", "q001", "q000"]
    assert [each.query_id for each in found.hurt] == ["q004", "q003"]
    assert found.helped[0].as_json() == {
        "query_id": "q002", "text": "question 2", "change": 0.8, "before": 0.2, "after": 1.0,
        "doc_id": "d5", "doc_text": "document 5", "doc_where": None, "from_rank": 5, "to_rank": 1,
    }  # fmt: skip


def test_unchanged_are_shown_where_reranking_could_have_helped() -> None:
    """Not the query whose document is on top already, nor the one whose document search missed."""
    found = queries(data_of(Arm([1, None, 2, 5], [1, None, 2, 5]), metric=TOP), "reranked")
    assert found.unchanged == 4
    assert [each.query_id for each in found.clearest.unchanged] == ["q003", "q002"]


def test_no_more_than_ten_are_shown() -> None:
    found = queries(data_of(Arm([2] * 30, [1] * 30)), "reranked")
    assert found.helped == 30
    assert [each.query_id for each in found.clearest.helped] == [f"q{number:03}" for number in range(10)]


def test_texts_that_were_not_kept_are_null() -> None:
    data = data_of(Arm([2], [1]))
    moves = data.tables["moves"].assign(query_text=None, doc_text=None)
    (shown,) = queries(replace(data, tables={**data.tables, "moves": moves}), "reranked").clearest.helped
    assert (shown.text, shown.doc_text, shown.from_rank) == (None, None, 2)


def test_a_document_that_moved_out_of_sight_has_no_rank() -> None:
    data = data_of(Arm([1, 1], [None, 1]))
    (shown,) = queries(data, "reranked").clearest.hurt
    assert (shown.from_rank, shown.to_rank) == (1, None)


def test_a_reranker_that_changes_no_order_is_inert() -> None:
    assert is_inert(data_of(Arm([1, 5, None], [1, 5, None])), "reranked")


def test_a_reranker_that_changes_one_order_is_not_inert() -> None:
    assert not is_inert(data_of(Arm([1, 5, None], [1, 4, None])), "reranked")


def test_what_it_changes_beyond_the_own_depth_does_not_count() -> None:
    """Candidate 10 comes first of 10; among the first 5 the order is that of the search."""
    assert is_inert(data_of(Arm([10, 10], {5: [None, None], 10: [1, 1]}, depths=(5, 10), own_depth=5)), "reranked")
    assert not is_inert(data_of(Arm([10, 10], {5: [None, None], 10: [1, 1]}, depths=(5, 10))), "reranked")


def test_equal_scores_are_settled_by_id_as_in_the_pipeline() -> None:
    """d9 is before d10 and d8 by id, descending: an order that search did not have."""
    data = data_of(Arm([1], [1], depths=(10,)))
    flat = data.tables["candidates"].assign(rerank_score=0.0)
    assert not is_inert(replace(data, tables={**data.tables, "candidates": flat}), "reranked")


def test_with_no_candidates_at_all_nothing_is_changed() -> None:
    data = data_of(Arm([1], [1]))
    none = data.tables["candidates"].iloc[:0]
    assert is_inert(replace(data, tables={**data.tables, "candidates": none}), "reranked")
