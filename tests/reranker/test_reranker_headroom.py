"""What the best order of the same candidates would reach, and what is in the way of it."""

from __future__ import annotations

import pytest
from reranker_data import Arm, data_of

from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.headroom import headroom

TOP = "Success@1"


def test_a_reranker_that_equals_the_oracle_wins_everything() -> None:
    found = headroom(data_of(Arm([3, 5, 1, 2], [1, 1, 1, 1])), "reranked")
    assert found.captured_share is not None
    assert (found.captured_share.mean, found.captured_share.n) == (1.0, 4)
    assert found.captured_share.interval == pytest.approx((-0.6256, 1.0), abs=1e-4)
    assert found.left_by_reranker.mean == 0.0
    assert (
        "of what any reranker could win from these candidates, this one wins 100.0% (95% CI \u221262.6% to 100.0%)."
        in found.sentence
    )


def test_a_reranker_that_changes_nothing_wins_nothing() -> None:
    found = headroom(data_of(Arm([3, 5, 2] * 10, [3, 5, 2] * 10)), "reranked")
    assert found.captured_share is not None
    assert (found.captured_share.mean, found.captured_share.n) == (0.0, 30)
    # 30 queries leave open 1 - 0.025^(1/30) = 11.6 % of others; there is room for 0.494.
    assert found.captured_share.interval == pytest.approx((-0.2342, 0.2342), abs=1e-4)


def test_half_of_what_can_be_won_is_a_half() -> None:
    found = headroom(data_of(Arm([2] * 20, [1] * 10 + [2] * 10), metric=TOP), "reranked")
    assert found.captured_share == EstimateValue(mean=0.5, interval=(0.3, 0.7), n=20)


def test_a_reranker_that_loses_has_a_share_below_nothing() -> None:
    found = headroom(data_of(Arm([1] * 10 + [2] * 10, [3] * 20), metric=TOP), "reranked")
    assert found.captured_share is not None
    assert found.captured_share.mean == -1.0
    low, high = found.captured_share.interval or (0.0, 0.0)
    assert f"this one wins nothing and loses 100.0% (95% CI {-high:.1%}\u2013{-low:.1%})" in found.sentence


def test_where_nothing_can_be_won_there_is_no_share() -> None:
    found = headroom(data_of(Arm([1, 1, None, None], [1, 1, None, None])), "reranked")
    assert found.captured_share is None
    assert found.missed_by_search.mean == 0.5
    assert found.sentence.startswith(
        "Search misses 0.500 (95% CI 0.000\u20131.000) of nDCG@10; from these candidates there is"
    )


def test_recall_is_the_limit_where_search_misses_more_than_the_ordering_leaves() -> None:
    found = headroom(data_of(Arm([2] * 10 + [None] * 30, [1] * 10 + [None] * 30)), "reranked")
    assert found.limit == "recall"
    assert found.missed_by_search.mean == 0.75
    assert found.sentence.endswith("Do not buy a better reranker: search misses 0.750, the ordering only 0.000.")


def test_ordering_is_the_limit_where_search_finds_everything() -> None:
    found = headroom(data_of(Arm([2] * 20, [2] * 20)), "reranked")
    assert found.limit == "ordering"
    assert "Do not buy" not in found.sentence


def test_neither_is_the_limit_where_the_two_cannot_be_told_apart() -> None:
    assert headroom(data_of(Arm([2, 2, None], [2, 1, None]), metric=TOP), "reranked").limit == "neither"


@pytest.mark.parametrize("metric", ["P@5", "R@5"])
def test_a_metric_that_cannot_reach_1_is_not_held_against_search(metric: str) -> None:
    found = headroom(data_of(Arm([8, 8, None, None], [1, 1, None, None]), metric=metric), "reranked")
    full = 0.2 if metric == "P@5" else 1.0
    assert found.oracle.mean == pytest.approx(full / 2)
    assert found.missed_by_search.mean == pytest.approx(full / 2)
