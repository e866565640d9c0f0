"""Differences, intervals and p of two sides: worked by hand where a hand can, and checked on simulated equal sides."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from compare_data import cost, ndcg, query, rising, row, side, timings, tokens

from ragprof.core.errors import BadInput
from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.paired import Effect, Paired, Timed, mean_effects, paired_ps, quantile_effects
from ragprof.statistics.power import detectable, more_queries, more_queries_needed, spread
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.gate.comparison import compare


def effect_of(base: np.ndarray, candidate: np.ndarray, *, seed: int = 0, confidence: float = 0.95) -> Effect:
    """Of one item."""
    columns = Paired(np.asarray(base, float).reshape(-1, 1), np.asarray(candidate, float).reshape(-1, 1))
    (effect,) = mean_effects([columns], seed=seed, confidences=[confidence])
    return effect


def exact_p(differences: list[float]) -> float:
    """Over every assignment of signs."""
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(total >= abs(sum(differences)) - 1e-12 for total in sums) / len(sums)


def test_a_difference_is_the_mean_of_candidate_minus_base() -> None:
    found = row(compare(side(ndcg([0.2, 0.4, 0.6, 0.8])), side(ndcg([0.3, 0.4, 0.7, 0.9]))), "nDCG@10")
    assert (found.base, found.candidate, found.difference, found.n) == (0.5, 0.575, 0.075, 4)
    assert found.relative == 0.15
    assert found.interval[0] < 0.075 < found.interval[1]


def test_only_queries_that_both_sides_measured_count() -> None:
    base, candidate = side(ndcg([0.2, 0.4, 0.6, 0.8])), side(ndcg([0.4, 0.6, None, 0.8]))
    found = row(compare(base, candidate), "nDCG@10")
    assert (found.n, found.base) == (3, 0.466666666667)
    assert found.difference == 0.133333333333


def test_a_constant_difference_leaves_open_what_no_query_showed_and_its_p_is_by_flips() -> None:
    found = row(compare(side(ndcg(rising(0.1, 0.05, 10))), side(ndcg(rising(0.2, 0.05, 10)))), "nDCG@10")
    assert found.interval == pytest.approx((-0.239347, 0.377647), abs=1e-6)
    assert found.p == pytest.approx(2 / 2**10)


def test_equal_sides_differ_by_exactly_nothing() -> None:
    found = row(compare(side(ndcg([0.1, 0.2, 0.3])), side(ndcg([0.1, 0.2, 0.3]))), "nDCG@10")
    assert (found.difference, found.interval, found.p, found.verdict) == (0.0, None, 1.0, "equivalent")
    assert found.reason == "the same in all 3 queries"


def test_a_difference_in_the_last_digit_is_none() -> None:
    effect = effect_of(np.full(20, 0.3), np.full(20, 0.1 + 0.2))
    assert (effect.difference, effect.p, effect.interval, effect.identical) == (0.0, 1.0, None, True)


def test_one_query_has_a_difference_but_no_interval() -> None:
    found = row(compare(side(ndcg([0.5])), side(ndcg([0.1]))), "nDCG@10")
    assert (found.difference, found.interval, found.verdict) == (-0.4, None, "undecided")
    assert found.reason == "one query has no interval"


def test_a_base_of_zero_has_no_relative_difference() -> None:
    found = row(compare(side(ndcg([0.0, 0.0, 0.0])), side(ndcg([0.1, 0.2, 0.3]))), "nDCG@10")
    assert (found.difference, found.relative, found.relative_interval) == (0.2, None, None)


@pytest.mark.parametrize("differences", [[1.0, 2.0, 3.0], [1.0, 2.0, -3.0, 4.0, 0.5], [0.1] * 6, [5.0, 0.0, 0.0, 0.0]])
def test_p_is_that_of_all_flips_of_sign(differences: list[float]) -> None:
    (p,) = paired_ps(np.array(differences).reshape(-1, 1), seed=3)
    assert p == pytest.approx(exact_p(differences))


def test_figures_do_not_depend_on_what_else_is_compared() -> None:
    before, after = [0.1, 0.5, 0.3, 0.9, 0.2, 0.4], [0.2, 0.4, 0.5, 0.9, 0.1, 0.6]
    alone = row(compare(side(ndcg(before)), side(ndcg(after))), "nDCG@10")
    more = tokens(rising(900, 13, 6)), cost(rising(2, 0.5, 6))
    among = row(compare(side(ndcg(before), *more), side(ndcg(after), *more)), "nDCG@10")
    same = ("base", "candidate", "difference", "interval", "relative_interval", "p")
    assert [getattr(alone, key) for key in same] == [getattr(among, key) for key in same]


def test_the_same_sides_give_the_same_document_to_the_last_digit() -> None:
    rng = np.random.default_rng(5)
    base = side(ndcg(list(rng.random(12))), times=[timings([list(rng.random(12) + 1) for _ in range(3)])])
    candidate = side(ndcg(list(rng.random(12))), times=[timings([list(rng.random(12) + 1) for _ in range(2)])])
    first, second = (json.dumps(compare(base, candidate).document, allow_nan=False) for _ in range(2))
    assert first == second


def test_a_bill_is_the_sum_of_the_means_of_its_items_over_the_queries_that_each_has() -> None:
    rerank = {"stage": "rerank", "item": "searches"}
    base = side(cost([1.0, 2.0, 3.0, 4.0]), cost([10.0, 20.0, None, None], **rerank))
    candidate = side(cost([1.0, 2.0, 4.0, 5.0]), cost([12.0, 20.0, 99.0, None], **rerank))
    document = compare(base, candidate)
    whole = row(document, "usd_per_1000_queries")
    assert (whole.base, whole.candidate, whole.difference) == (17.5, 19.0, 1.5)
    assert whole.n == 2
    assert row(document, "rerank.usd_per_1000_queries").difference == 1.0


def test_a_stage_that_only_one_side_pays_for_is_part_of_the_whole_bill_alone() -> None:
    base, candidate = (
        side(cost([1.0, 1.0, 1.0])),
        side(cost([1.0, 1.0, 1.0]), cost([2.0, 4.0, 3.0], "rerank", "searches")),
    )
    document = compare(base, candidate)
    whole, stage = row(document, "usd_per_1000_queries"), row(document, "rerank.usd_per_1000_queries")
    assert (whole.base, whole.candidate, whole.difference) == (1.0, 4.0, 3.0)
    assert (stage.verdict, stage.base, stage.candidate) == ("missing", None, 3.0)
    assert stage.reason == "the base did not record it"


def test_more_queries_are_those_of_the_paired_test() -> None:
    differences = np.array([0.3, -0.1, 0.2, 0.05, -0.2, 0.15])
    effect = effect_of(np.full(6, 0.5), 0.5 + differences)
    found = more_queries(effect.difference, effect.standard_error, n=6, alpha=0.05)
    assert found == more_queries_needed(differences, alpha=0.05)


def test_latency_is_the_ratio_of_the_quantiles_of_all_rounds() -> None:
    base, candidate = [[10.0, 20.0, 30.0], [12.0, 22.0, 32.0]], [[11.0, 22.0, 33.0], [13.2, 24.2, 35.2]]
    found = row(compare(side(times=[timings(base)]), side(times=[timings(candidate)])), "latency_p50")
    assert (found.base, found.candidate, found.difference, found.unit) == (21.0, 23.1, 2.1, "ms")
    assert (found.relative, found.n) == (0.1, 3)
    assert found.relative_interval == (pytest.approx(0.1), pytest.approx(0.1))


def test_a_side_is_thinned_to_the_fewest_rounds_that_a_query_has() -> None:
    base = side(times=[timings([[10.0, 20.0], [10.0, 20.0], [900.0, None]])])
    candidate = side(times=[timings([[10.0, 20.0], [10.0, 20.0]])])
    assert row(compare(base, candidate), "latency_p95").difference == 0.0


def test_latency_rests_on_queries_that_were_timed_on_both_sides() -> None:
    base, candidate = side(times=[timings([[10.0, 20.0, 900.0]])]), side(times=[timings([[10.0, 20.0]])])
    found = row(compare(base, candidate), "latency_p95")
    assert (found.n, found.difference, found.p) == (2, 0.0, 1.0)


def test_a_ratio_without_scatter_has_the_smallest_p_there_is() -> None:
    base, candidate = side(times=[timings([[10.0] * 5])]), side(times=[timings([[15.0] * 5])])
    found = row(compare(base, candidate), "latency_p50")
    assert 0 < found.p < 1e-300
    assert (found.interval, found.verdict) == ((5.0, 5.0), "worse")


def test_a_clock_that_read_nothing_has_no_ratio() -> None:
    base, candidate = side(times=[timings([[0.0] * 5])]), side(times=[timings([[15.0] * 5])])
    found = row(compare(base, candidate), "latency_p50")
    assert (found.relative, found.p, found.verdict) == (None, None, "undecided")
    assert found.reason == "a duration of 0 has no ratio"


def test_equal_sides_are_told_apart_by_the_clock_no_more_often_than_one_time_in_twenty() -> None:
    rng, n, told, repetitions = np.random.default_rng(7), 20, 0, 150
    for _ in range(repetitions):
        queries = rng.normal(2, 0.3, (n, 1))
        found = Timed(*(np.exp(queries + rng.normal(0, 0.1, (n, 2))) for _ in range(2)))
        (effect,) = quantile_effects(found, ["p50"], seed=0, confidence=0.95)
        assert effect.interval is not None
        assert effect.p is not None
        told += effect.p < 0.05 and not effect.interval[0] <= 0 <= effect.interval[1]
    assert told <= 0.05 * repetitions + 2 * math.sqrt(0.05 * 0.95 * repetitions)


def test_a_detectable_effect_is_found_four_times_in_five() -> None:
    rng, n, repetitions = np.random.default_rng(11), 25, 400
    effect = detectable(0.2, n)
    samples = rng.normal(effect, 0.2, (n, repetitions))
    found = float((paired_ps(samples, seed=0) < 0.05).mean())
    assert found == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / repetitions))


def test_what_so_many_queries_detect() -> None:
    assert detectable(0.2, 300) == pytest.approx(0.0325, abs=0.0005)
    assert detectable(0.2, 1200) == pytest.approx(0.0325 / 2, abs=0.0005)
    assert detectable(0.2, 300, alpha=0.05 / 10) > detectable(0.2, 300)
    assert spread([0.1, 0.3]) == pytest.approx(0.1414214)


def test_a_single_query_detects_nothing() -> None:
    with pytest.raises(BadInput, match="record at least two queries"):
        detectable(0.2, 1)


def test_an_interval_is_the_percentile_bootstrap_of_the_mean() -> None:
    differences = np.random.default_rng(2).normal(1.0, 1.0, 40)
    effect, wanted = effect_of(np.zeros(40), differences), mean_estimate(differences, bounds=SIGNED, seed=1).interval
    assert wanted is not None
    assert effect.interval == pytest.approx(wanted, abs=0.05)


def test_queries_stand_in_the_order_of_their_ids() -> None:
    assert [query(at) for at in (0, 9, 10)] == sorted([query(10), query(9), query(0)])
