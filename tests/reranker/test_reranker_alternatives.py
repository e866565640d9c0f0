"""What else would buy the same: more chunks, other pipelines, students and smaller depths."""

from __future__ import annotations

import numpy as np
import pytest
from reranker_data import Arm, data_of

from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.alternatives import MainBills, alternatives, relation, whole_bills
from ragprof.studies.reranker.chunks import more_chunks
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.section import Alternative

NOTHING = MainBills({}, {}, {}, {})
ARM = Arm(search=[7] * 20, reranked={5: [None] * 20, 10: [2] * 20}, depths=(5, 10), usd={5: 0.0005, 10: 0.001})


def whole(**more: float) -> MainBills:
    """The reranked pipeline's bill is 3 USD per 1,000 queries, one of them the reranker's."""
    return MainBills({"reranked": 3.0, **more}, {"reranked": 1.0}, {"reranked": 900, "hybrid": 300}, {"hybrid": 700.0})


def found(data: RerankerData, what: str, bills: MainBills = NOTHING) -> list[Alternative]:
    return [each for each in alternatives(data, "reranked", bills)[0] if each.what == what]


def test_more_chunks_hold_what_the_reranker_pulls_up() -> None:
    (larger,) = found(data_of(ARM), "larger k", whole())
    assert (larger.k, larger.metric, larger.name) == (7, "evidence@7", "reranked without its reranker, k = 7")
    assert (larger.difference.mean, larger.difference.n) == (0.0, 20)
    assert larger.difference.interval == pytest.approx((-0.168433, 0.168433), abs=1e-6)
    assert larger.relation == "as good"
    assert larger.tokens_per_query == 700 + 50 + 10


def test_more_chunks_cost_their_tokens_and_save_the_reranker() -> None:
    (larger,) = found(data_of(ARM), "larger k", whole())
    assert larger.usd_per_1000_queries == "2.2"


def test_no_larger_k_where_the_own_one_holds_as_much() -> None:
    assert found(data_of(Arm(search=[3] * 20, reranked=[1] * 20)), "larger k") == []


def test_no_larger_k_where_none_that_was_looked_at_is_enough() -> None:
    assert found(data_of(Arm(search=[12] * 20, reranked=[1] * 20, depths=(20,))), "larger k") == []


def test_the_tokens_of_more_chunks_are_those_beyond_the_reranked_prompt() -> None:
    more = more_chunks(data_of(ARM), "reranked")
    assert more is not None
    assert (more.k, more.extra_tokens.shape) == (7, (10_001,))
    assert set(more.extra_tokens) == {200.0}


def test_a_resample_in_which_no_k_is_enough_is_open_above() -> None:
    more = more_chunks(data_of(Arm(search=[7, 12] * 10, reranked=[1, None] * 10, depths=(20,))), "reranked")
    assert more is not None
    assert more.k == 7
    few = Arm(search=[7, 12, 7, 7], reranked=[1, 1, None, 1], depths=(20,))
    more = more_chunks(data_of(few), "reranked")
    assert more is not None
    assert np.isinf(more.extra_tokens).any()


def test_other_pipelines_are_named_by_what_differs() -> None:
    pipelines = [
        {"name": "hybrid", "embedder": {"name": "hashing"}, "store": {"name": "rrf"}},
        {"name": "large", "embedder": {"name": "large"}, "store": {"name": "flat"}},
        {"name": "small", "embedder": {"name": "hashing"}, "store": {"name": "flat"}, "reranker": {"name": "small"}},
        {"name": "plain", "embedder": {"name": "hashing"}, "store": {"name": "flat"}},
    ]
    declared = [
        {"depth": 10, "reranker": {"name": "none"}, "injector": {"name": "top_k", "k": 5}, **pipeline}
        for pipeline in pipelines
    ]
    others = {"hybrid": [1] * 20, "large": [2] * 20, "small": [3] * 20, "plain": [7] * 20}
    data = data_of(ARM, pipelines=declared, others=others, metric="RR@10")
    listed = [each for each in alternatives(data, "reranked", whole(hybrid=1.5))[0] if each.depth == 10]
    by_name = {each.name: each for each in listed if each.what != "larger k"}
    assert {name: (each.what, each.relation) for name, each in by_name.items()} == {
        "hybrid": ("another search", "better"),
        "large": ("another embedder", "as good"),
        # 20 times -0.167: what no question showed may be as much.
        "small": ("another reranker", "undecided"),
    }
    hybrid = by_name["hybrid"]
    assert hybrid.difference.mean == 0.5
    assert (hybrid.usd_per_1000_queries, hybrid.p50_ns, hybrid.tokens_per_query) == ("1.5", 300, 700.0)
    assert (by_name["large"].usd_per_1000_queries, by_name["large"].p50_ns) == (None, None)


def test_a_student_is_another_reranker_with_its_own_bill() -> None:
    student = Arm(search=[7] * 20, reranked=[2] * 20, usd=0.0002, pipeline="reranked", student="tiny")
    data = data_of({"reranked": ARM, "reranked ~ tiny": student})
    (entry,) = found(data, "another reranker", whole())
    assert (entry.name, entry.relation, entry.usd_per_1000_queries) == ("reranked ~ tiny", "as good", "2.2")


def test_a_smaller_depth_is_an_alternative_at_its_own_price_and_time() -> None:
    timed = {0: [100] * 4, 5: [300] * 4, 10: [500] * 4}
    arm = Arm(search=[4] * 20, reranked=[1] * 20, depths=(5, 10), usd={5: 0.0005, 10: 0.001}, timed=timed)
    (entry,) = found(data_of(arm), "smaller depth", whole())
    assert (entry.name, entry.depth, entry.relation) == ("reranked, depth 5", 5, "as good")
    assert (entry.usd_per_1000_queries, entry.p50_ns) == ("2.5", 540)


def test_a_smaller_depth_that_loses_the_document_is_worse() -> None:
    (entry,) = found(data_of(ARM, metric="RR@10"), "smaller depth")
    assert (entry.difference.mean, entry.relation) == (-0.5, "worse")


def test_the_pipeline_itself_stands_beside_its_alternatives() -> None:
    _, own = alternatives(data_of(ARM, metric="RR@10"), "reranked", whole())
    assert (own.usd_per_1000_queries, own.p50_ns, own.tokens_per_query) == ("3", 900, 560.0)
    assert own.quality.interval == pytest.approx((0.415783, 0.584217), abs=1e-6)


def test_without_a_priced_recording_bills_are_null() -> None:
    data = data_of(ARM)
    assert whole_bills(data.home) == NOTHING
    listed, own = alternatives(data, "reranked", NOTHING)
    assert {each.usd_per_1000_queries for each in [*listed, own]} == {None}


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.001, 0.02), "better"),
        ((-0.009, 0.02), "as good"),
        ((-0.009, -0.001), "as good"),
        ((-0.02, 0.02), "undecided"),
        ((-0.02, -0.001), "worse"),
        (None, "undecided"),
    ],
)
def test_an_alternative_is_judged_by_its_whole_interval(interval: tuple[float, float] | None, word: str) -> None:
    assert relation(EstimateValue(mean=0.0, interval=interval, n=9), 0.01) == word
