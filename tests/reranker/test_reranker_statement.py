"""Statements of rerankers whose profit and loss can be told by heart: perfect, useless, harmful, free, unpriced.

A passage has 100 tokens, the LLM takes a dollar for a million of them and the reranker a dollar for 1,000 queries, so
that four chunks less save 0.4 USD per 1,000 queries.
"""

from __future__ import annotations

import numpy as np
import pytest
from reranker_data import Arm, data_of

from ragprof.core.errors import UnknownName
from ragprof.statistics.estimates import quantile
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.chunks import iso_quality
from ragprof.studies.reranker.effects import (
    added_latency,
    means,
    metrics_of,
    money,
    money_ends,
    quality_gain,
)
from ragprof.studies.reranker.statement import net_of, statement

PERFECT = Arm(search=[5] * 20, reranked=[1] * 20)
USELESS = Arm(search=[3] * 20, reranked=[3] * 20)
HARMFUL = Arm(search=[1] * 20, reranked=[20] * 20, depths=(20,))
MIXED = Arm(search=[2, 4, 6, 8] * 10, reranked=[1, 6, 2, 3] * 10)


def test_the_metrics_of_the_statement_begin_with_the_studys_own() -> None:
    assert metrics_of(data_of(PERFECT, metric="R@20"), "reranked") == [
        "R@20", "nDCG@10", "RR@10", "Success@5", "R@5", "evidence@5",
    ]  # fmt: skip


def test_a_gain_is_the_paired_difference_with_both_sides() -> None:
    found = quality_gain(data_of(PERFECT), "reranked")["RR@10"]
    assert found.difference == pytest.approx(0.8)
    assert found.interval == pytest.approx([0.496820, 0.833687], abs=1e-6)
    assert (found.without, found.reached, found.n) == (pytest.approx(0.2), 1.0, 20)
    assert found.p is not None
    assert found.p < 0.001


def test_a_reranker_that_changes_nothing_gains_nothing() -> None:
    found = quality_gain(data_of(USELESS), "reranked")["nDCG@10"]
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.interval == pytest.approx([-0.168433, 0.168433], abs=1e-6)


def test_a_gain_at_another_depth_is_that_of_its_ranking() -> None:
    data = data_of(Arm(search=[4] * 8, reranked={5: [2] * 8, 10: [1] * 8}, depths=(5, 10)))
    assert quality_gain(data, "reranked", 5)["RR@10"].difference == 0.25
    assert quality_gain(data, "reranked")["RR@10"].difference == 0.75


def test_added_time_is_the_difference_of_quantiles_over_the_same_queries() -> None:
    plain, reranked = [10, 20, 30, 40, 50], [110, 120, 130, 140, 1050]
    data = data_of(Arm(search=[5] * 20, reranked=[1] * 20, timed={0: plain, 10: reranked}))
    found = added_latency(data, "reranked", 10)
    assert found.timed_queries == 5
    for name, level in (("p50", 0.5), ("p95", 0.95)):
        with_it, without = (
            quantile(np.repeat(np.array(each, float)[:, None], 2, axis=1), level) for each in (reranked, plain)
        )
        assert getattr(found, f"added_{name}_ns") == round(with_it - without)
    assert found.added_p50_interval_ns is not None
    assert found.added_p50_interval_ns[0] == 100


def test_a_query_that_was_timed_one_way_only_takes_no_part() -> None:
    data = data_of(Arm(search=[5] * 20, reranked=[1] * 20, timed={0: [10, 20, 30], 10: [40, 50]}))
    found = added_latency(data, "reranked")
    assert (found.added_p50_ns, found.timed_queries) == (30, 2)


def test_nothing_timed_is_null_and_not_zero() -> None:
    assert added_latency(data_of(PERFECT), "reranked").as_json() == {
        "added_p50_ns": None, "added_p50_interval_ns": None, "added_p95_ns": None, "added_p95_interval_ns": None,
        "timed_queries": 0,
    }  # fmt: skip


def test_a_perfect_reranker_needs_one_chunk_instead_of_five() -> None:
    found = iso_quality(data_of(PERFECT), "reranked")
    assert (found.figure.k_without, found.figure.k_with, found.figure.interval) == (5, 1, (1, 1))
    assert found.figure.tokens_saved_per_query == EstimateValue(mean=400.0, interval=(400.0, 400.0), n=20)
    assert (found.tokens_saved[0], len(found.tokens_saved)) == (400.0, 10_001)


def test_a_useless_reranker_saves_no_tokens_even_where_the_last_chunks_hold_nothing() -> None:
    found = iso_quality(data_of(USELESS), "reranked")
    assert (found.figure.own_k, found.figure.k_without, found.figure.k_with) == (5, 3, 3)
    assert found.figure.tokens_saved_per_query == EstimateValue(mean=0.0, interval=(0.0, 0.0), n=20)


def test_a_reranker_that_needs_more_chunks_saves_less_than_nothing() -> None:
    found = iso_quality(data_of(Arm(search=[5] * 20, reranked=[7] * 20)), "reranked")
    assert found.figure.k_with == 7
    assert found.tokens_saved[0] == -200.0


def test_quality_that_no_k_reaches_is_null_and_open() -> None:
    figure = iso_quality(data_of(HARMFUL), "reranked").figure
    assert (figure.k_with, figure.interval, figure.quality_with) == (None, (None, None), None)
    assert figure.tokens_saved_per_query == EstimateValue(mean=None, interval=None, n=20)


def test_longer_passages_in_front_eat_up_what_fewer_chunks_save() -> None:
    data = data_of(Arm(search=[5] * 20, reranked=[2] * 20, tokens={"search": 100, "rerank": 250}))
    assert iso_quality(data, "reranked").tokens_saved[0] == 0.0


def test_each_resample_has_its_own_smallest_k() -> None:
    figure = iso_quality(data_of(MIXED), "reranked").figure
    assert figure.k_without == 4
    assert figure.k_with == 2
    assert figure.interval == (2, 3)


def test_the_net_is_the_cost_minus_the_tokens_saved() -> None:
    net = net_of(data_of(PERFECT), "reranked")
    assert net.cost is not None
    assert net.saved is not None
    assert net.net is not None
    assert (net.cost[0], net.saved[0], net.net[0]) == pytest.approx((1.0, 0.4, 0.6))
    assert net.net.shape == net.gain.shape == (10_001,)


def test_the_net_at_other_prices_is_computed_anew() -> None:
    dear = net_of(data_of(PERFECT), "reranked").at(10.0)
    assert dear.net is not None
    assert dear.net[0] == pytest.approx(1.0 - 4.0)


def test_the_statement_of_a_perfect_reranker() -> None:
    found = statement(data_of(PERFECT), "reranked")
    assert found.reranker_usd_per_1000_queries == "1"
    assert found.reranker_usd_interval == ("1", "1")
    assert (found.llm, found.llm_usd_saved_per_1000_queries) == ("the LLM", "0.4")
    assert (found.net_usd_per_1000_queries, found.net_interval) == ("0.6", ("0.6", "0.6"))
    assert found.per_month.as_json() == {
        "queries": 1_000_000, "reranker_usd": "1000", "reranker_usd_interval": ["1000", "1000"],
        "llm_usd_saved": "400", "llm_usd_saved_interval": ["400", "400"], "net_usd": "600",
        "net_interval": ["600", "600"],
    }  # fmt: skip
    assert found.usd_per_point == "0.0163093"
    assert found.billing.units_per_query.mean == 1.0


def test_a_point_is_paid_for_at_equal_k_so_no_saved_token_is_taken_off() -> None:
    data = data_of(Arm(search=[5] * 20, reranked=[1] * 20), metric="RR@10")
    assert statement(data, "reranked").usd_per_point == "0.0125"


def test_a_useless_reranker_costs_its_price_and_buys_no_point() -> None:
    found = statement(data_of(USELESS), "reranked")
    assert (found.llm_usd_saved_per_1000_queries, found.net_usd_per_1000_queries) == ("0", "1")
    assert (found.usd_per_point, found.usd_per_point_interval) == (None, None)


def test_a_harmful_rerankers_net_is_not_known_rather_than_its_price() -> None:
    found = statement(data_of(HARMFUL), "reranked")
    assert (found.reranker_usd_per_1000_queries, found.net_usd_per_1000_queries) == ("1", None)


def test_a_free_reranker_saves_all_that_it_saves() -> None:
    found = statement(data_of(Arm(search=[5] * 20, reranked=[1] * 20, usd=0.0, units=0.0, shape="free")), "reranked")
    assert (found.reranker_usd_per_1000_queries, found.net_usd_per_1000_queries) == ("0", "-0.4")
    assert found.usd_per_point == "0"


def test_what_is_unpriced_is_null_and_never_zero() -> None:
    found = statement(data_of(Arm(search=[5] * 20, reranked=[1] * 20, usd=None)), "reranked")
    assert found.reranker_usd_per_1000_queries is None
    assert found.net_usd_per_1000_queries is None
    assert found.usd_per_point is None
    assert found.llm_usd_saved_per_1000_queries == "0.4"
    assert found.billing.rate is None
    assert found.billing.unpriced == "no price is set"


def test_an_unpriced_llm_leaves_the_cost_and_takes_the_net() -> None:
    found = statement(data_of(PERFECT, llm=None), "reranked")
    assert found.reranker_usd_per_1000_queries == "1"
    assert (found.llm_usd_saved_per_1000_queries, found.net_usd_per_1000_queries) == (None, None)
    assert found.per_month.net_usd is None


def test_another_priced_llm_is_named_and_one_that_is_unpriced_is_not_replaced() -> None:
    data = data_of(PERFECT, llms={"dear": "10", "unknown": None})
    assert statement(data, "reranked", llm="dear").net_usd_per_1000_queries == "-3"
    assert statement(data, "reranked", llm="unknown").net_usd_per_1000_queries is None
    with pytest.raises(UnknownName, match="no LLM among the priced ones named 'deer'; did you mean 'dear'"):
        statement(data, "reranked", llm="deer")


def test_machine_hours_are_those_of_the_timed_queries() -> None:
    usd = [0.001, 0.003, *[None] * 18]
    data = data_of(Arm(search=[5] * 20, reranked=[1] * 20, usd=usd, shape="per_hour", utilisation="0.5"))
    net = net_of(data, "reranked")
    assert net.priced_queries == 2
    found = statement(data, "reranked")
    assert (found.reranker_usd_per_1000_queries, found.reranker_usd_interval) == ("2", ("1", "3"))
    assert found.billing.units_per_query.n == 2
    assert (found.net_usd_per_1000_queries, found.net_interval) == ("1.6", ("0.6", "2.6"))


def test_a_single_query_has_no_interval() -> None:
    found = statement(data_of(Arm(search=[5], reranked=[1])), "reranked")
    assert found.net_usd_per_1000_queries == "0.6"
    assert (found.net_interval, found.iso_quality_k.interval) == (None, None)


def test_without_traffic_there_is_no_month() -> None:
    found = statement(data_of(PERFECT, queries_per_month=None), "reranked").per_month
    assert set(found.as_json().values()) == {None}


def test_money_is_written_in_six_digits_and_rounding_noise_is_none() -> None:
    assert money(0.1 + 0.2 - 0.3) == "0"
    assert money(1234567.0) == "1234570"
    assert money(0.0000123456789) == "0.0000123457"
    assert (money(None), money(float("inf")), money(float("nan"))) == (None, None, None)


def test_an_end_of_money_that_is_infinite_is_open() -> None:
    figures = np.array([1.0, *[1.0] * 60, *[np.inf] * 40])
    assert money_ends(figures, 5) == ("1", None)
    assert money_ends(figures, 1) is None


def test_a_mean_over_known_values_leaves_the_others_out() -> None:
    data = data_of(Arm(search=[1] * 4, reranked=[1] * 4))
    values = np.array([1.0, 3.0, np.nan, np.nan])
    assert means(data, values)[0] == 2.0
    assert means(data, np.stack([values, np.ones(4)]))[0].tolist() == [2.0, 1.0]
