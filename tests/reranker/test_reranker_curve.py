"""Quality, cost and latency at every depth and k; the knee; the depth from which quality falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from reranker_data import Arm, data_of

from ragprof.statistics.estimates import quantile
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.depths import depth_curve, falls_from, knee

TOP = "Success@1"


def right_at(shares: dict[int, int], *, of: int = 40) -> RerankerData:
    """Depth -> how many of the queries, the first ones, have their document on top; search never has."""
    reranked = {depth: [1 if query < right else 2 for query in range(of)] for depth, right in shares.items()}
    return data_of(Arm([3] * of, reranked, depths=sorted(shares)), metric=TOP)


def noisy(*, depths: int, seed: int, of: int = 60) -> RerankerData:
    """Every depth is right with a probability of a half, each on its own."""
    right = np.random.default_rng(seed).random((depths, of)) < 0.5
    reranked = {5 + depth: [1 if each else 2 for each in row] for depth, row in enumerate(right)}
    return data_of(Arm([3] * of, reranked, depths=list(reranked)), metric=TOP)


def test_there_is_a_row_for_every_depth_and_k_and_the_own_k() -> None:
    curve = depth_curve(data_of(Arm([1, 2], [1, 1], depths=(5, 10), own_k=2), ks=(1, 3)), "reranked")
    assert [(row.depth, row.k) for row in curve] == [(5, 1), (5, 2), (5, 3), (10, 1), (10, 2), (10, 3)]


def test_scores_are_those_of_the_depth_at_k() -> None:
    data = data_of(Arm([2, 7, 7, None], [1, 1, 3, None], depths=(5, 10)), ks=(1, 3))
    shallow, deep = (row for row in depth_curve(data, "reranked") if row.k == 3)
    assert shallow.scores["evidence@3"].mean == 0.25
    assert deep.scores["evidence@3"].mean == 0.75
    assert deep.scores["P@3"].mean == pytest.approx(0.25)
    assert deep.scores["nDCG@3"].mean == pytest.approx((1 + 1 + 0.5) / 4)
    assert deep.scores["nDCG@10"].n == 4


def test_the_metric_of_the_study_stands_once_where_k_is_its_cutoff() -> None:
    row = depth_curve(data_of(Arm([1], [1]), ks=(10,)), "reranked")[-1]
    assert list(row.scores) == ["nDCG@10", "P@10", "evidence@10"]


def test_a_gain_is_against_search_and_a_loss_against_the_own_depth() -> None:
    data = right_at({5: 10, 10: 30, 20: 20})
    gains = {row.depth: (row.gain.mean, row.loss.mean) for row in depth_curve(data, "reranked")}
    assert gains == {5: (0.25, 0.25), 10: (0.75, -0.25), 20: (0.5, 0.0)}


def test_a_depth_below_k_holds_fewer_chunks() -> None:
    data = data_of(Arm([1, 1], [1, 1], depths=(2, 10)), ks=(5,))
    assert [row.prompt_tokens for row in depth_curve(data, "reranked")] == [60 + 200, 60 + 500]


def test_money_is_a_decimal_string_or_null() -> None:
    priced = depth_curve(data_of(Arm([1, 1], [1, 1], depths=(5, 10), usd={5: 0.001, 10: [0.002, None]})), "reranked")
    assert {row.depth: row.usd_per_1000_queries for row in priced} == {5: "1", 10: "2"}
    unpriced = depth_curve(data_of(Arm([1, 1], [1, 1], usd=None)), "reranked")
    assert {row.usd_per_1000_queries for row in unpriced} == {None}


def test_the_net_cost_is_that_of_the_depth() -> None:
    data = data_of(Arm([1, 1], [1, 1], depths=(5, 10)), ks=(5,))
    known = depth_curve(data, "reranked", {5: "0.5", 10: None}.__getitem__)
    assert [row.net_usd_per_1000_queries for row in known] == ["0.5", None]
    assert {row.net_usd_per_1000_queries for row in depth_curve(data, "reranked")} == {None}


def test_latency_is_that_of_the_live_rows_of_the_depth() -> None:
    data = data_of(Arm([1, 1, 1], [1, 1, 1], depths=(5, 10), timed={0: [10, 10, 10], 10: [30, 40, 80]}), ks=(5,))
    shallow, deep = depth_curve(data, "reranked")
    assert deep.p50_ns == round(quantile(np.array([[30.0] * 2, [40.0] * 2, [80.0] * 2]), 0.5))
    assert (deep.timed_queries, deep.p50_interval_ns) == (3, (30, 80))
    assert (shallow.p50_ns, shallow.p95_ns, shallow.timed_queries) == (None, None, 0)


def test_the_knee_is_the_smallest_depth_with_95_percent_of_the_best_gain() -> None:
    found = knee(depth_curve(right_at({5: 20, 10: 38, 20: 39, 30: 40}), "reranked"))
    assert found is not None
    assert (found.depth, found.share_of_gain) == (10, 0.95)
    assert found.sentence == (
        "Depth 10 is the smallest that has at least 95 % of the gain of the best depth, 30: +0.950 of +1.000."
    )


def test_there_is_no_knee_where_no_depth_gains() -> None:
    assert knee(depth_curve(data_of(Arm([1] * 4, [2] * 4, depths=(5, 10))), "reranked")) is None


def test_a_curve_that_rises_and_then_falls_falls_from_its_peak() -> None:
    found = falls_from(right_at({5: 20, 10: 36, 20: 16}), "reranked")
    assert (found.status, found.depth, found.interval) == ("falls", 10, (10, 10))
    assert found.sentence.startswith(
        "Quality falls beyond depth 10 (95 % of resamples: 10 to 10): +0.500 (95% band over 2 depths +"
    )


def test_a_curve_that_only_rises_does_not_fall() -> None:
    found = falls_from(right_at({5: 10, 10: 20, 20: 40}), "reranked")
    assert (found.status, found.depth, found.interval) == ("does not fall", None, None)


def test_a_curve_that_does_not_move_does_not_fall() -> None:
    assert falls_from(right_at({5: 20, 10: 20, 20: 20}), "reranked").status == "does not fall"


def test_a_fall_among_noise_is_undecided() -> None:
    found = falls_from(noisy(depths=3, seed=0), "reranked")
    assert found.status == "undecided"


def test_picking_the_best_of_many_depths_is_corrected_for() -> None:
    """There is no fall by construction. Depth 7 against 12 alone seems to tell one; as the best of seven not."""
    many = noisy(depths=8, seed=25)
    alone = replace(many, manifest=_with_depths(many, [7, 12]))
    assert falls_from(alone, "reranked").status == "falls"
    assert falls_from(many, "reranked").status == "undecided"


def test_one_depth_tells_nothing_of_more() -> None:
    found = falls_from(right_at({10: 20}), "reranked")
    assert (found.status, found.depth) == ("undecided", None)
    assert found.sentence == "Only depth 10 was looked at, so nothing can be said of more candidates."


def test_one_question_tells_no_fall() -> None:
    assert falls_from(right_at({5: 1, 10: 0}, of=1), "reranked").status == "undecided"


def test_a_listwise_reranker_is_read_from_the_set_of_each_depth() -> None:
    data = data_of(Arm([1], [1], depths=(2, 3), listwise=True))
    rows = [
        {"arm": "reranked", "depth": depth, "query_id": "q000", "rank": rank, "doc_id": f"{depth}-{rank}"}
        for depth in (2, 3)
        for rank in range(1, depth + 1)
    ]
    data = replace(data, tables={**data.tables, "candidates": pd.DataFrame(rows)})
    assert list(data.candidates("reranked", 2)["doc_id"]) == ["2-1", "2-2"]
    assert list(data.candidates("reranked", 3)["doc_id"]) == ["3-1", "3-2", "3-3"]


def _with_depths(data: RerankerData, depths: list[int]) -> dict[str, object]:
    return {**data.manifest, "arms": {"reranked": {**data.manifest["arms"]["reranked"], "depths": depths}}}
