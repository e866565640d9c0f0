"""Means, differences and fronts, from scores written out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from ragprof.studies.contract import ComparedPair, EstimateValue
from ragprof.studies.profile.quality import comparisons, estimates, final_stage, pareto, per_query

METRIC = "nDCG@10"


def scores(values: Sequence[float], *, stage: str = "search") -> pd.DataFrame:
    """One pipeline's scores: a value a query."""
    rows = [(stage, METRIC, f"q{number:02}", value) for number, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["stage", "metric", "query_id", "value"])


def compared(values: Mapping[str, Sequence[float]]) -> list[ComparedPair]:
    """Pipeline -> one value a query, compared in that order."""
    return comparisons({name: scores(column) for name, column in values.items()}, METRIC, seed=0)


def test_the_final_ranking_is_the_rerankers_where_there_is_one() -> None:
    plain, reranked = scores([0.5]), scores([0.7], stage="rerank")
    assert final_stage(plain) == "search"
    both = pd.concat([plain, reranked])
    assert final_stage(both) == "rerank"
    assert per_query(both, METRIC).to_dict() == {"q00": 0.7}


def test_estimates_by_stage_and_metric() -> None:
    found = estimates(scores([0.0, 1.0, 1.0, 0.0]), seed=0)
    assert found == {"search": {METRIC: EstimateValue(mean=0.5, interval=(0.0, 1.0), n=4)}}


def test_a_clear_difference_in_every_query() -> None:
    (row,) = compared({"a": [0.2] * 12, "b": [0.2 + 0.01 * number for number in range(10, 22)]})
    assert (row.baseline, row.candidate, row.metric, row.n) == ("a", "b", METRIC, 12)
    assert row.difference == pytest.approx(0.155)
    assert row.p == row.p_holm == 2 / 2**12
    assert (row.verdict, row.more_queries) == ("better", None)


def test_the_same_seen_from_the_other_side() -> None:
    (row,) = compared({"b": [0.2 + 0.01 * number for number in range(10, 22)], "a": [0.2] * 12})
    assert row.difference == pytest.approx(-0.155)
    assert row.verdict == "worse"


def test_too_few_queries_to_tell() -> None:
    (row,) = compared({"a": [0.0, 0.5, 0.4, 0.3], "b": [0.4, 0.4, 0.5, 0.5]})
    assert row.difference == pytest.approx(0.15)
    assert row.verdict == "undecided"
    assert row.p == 6 / 2**4
    assert row.more_queries == 12


def test_each_further_comparison_asks_for_more_queries() -> None:
    values = {"a": [0.0, 0.5, 0.4, 0.3], "b": [0.4, 0.4, 0.5, 0.5], "c": [0.0, 0.5, 0.4, 0.3]}
    rows = compared(values)
    assert [row.more_queries for row in rows] == [17, None, 17]


def test_no_difference_at_all_and_no_number_of_queries_would_show_one() -> None:
    (row,) = compared({"a": [0.1, 0.9], "b": [0.1, 0.9]})
    assert (row.difference, row.p, row.verdict, row.more_queries) == (0.0, 1.0, "undecided", None)


def test_holm_corrects_over_all_pairs() -> None:
    """Six queries that all differ in one direction: p = 2 / 2**6 = 0.03125, which one of three pairs must divide."""
    up = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    rows = {(row.baseline, row.candidate): row for row in compared({"a": [0.0] * 6, "b": up, "c": up})}
    assert {pair: row.p for pair, row in rows.items()} == {("a", "b"): 0.03125, ("a", "c"): 0.03125, ("b", "c"): 1.0}
    assert {pair: row.p_holm for pair, row in rows.items()} == {
        ("a", "b"): 0.09375,
        ("a", "c"): 0.09375,
        ("b", "c"): 1.0,
    }
    assert {row.verdict for row in rows.values()} == {"undecided"}
    (alone,) = compared({"a": [0.0] * 6, "b": up})
    assert alone.verdict == "better"


def test_queries_are_paired_by_their_ids_and_not_by_their_order() -> None:
    table = scores([0.1, 0.5, 0.9])
    (row,) = comparisons({"a": table.iloc[[2, 0, 1]], "b": table.iloc[[1, 2, 0]]}, METRIC, seed=0)
    assert (row.difference, row.p) == (0.0, 1.0)


def test_the_front_holds_what_nothing_beats() -> None:
    quality = {"cheap": 0.5, "good": 0.8, "beaten": 0.7, "twin": 0.8, "unpriced": 0.9, "unjudged": None}
    price = {"cheap": 1.0, "good": 2.0, "beaten": 3.0, "twin": 2.0, "unpriced": None, "unjudged": 0.5}
    assert pareto(quality, price) == ("cheap", "good", "twin")


def test_equal_quality_at_a_higher_price_is_beaten() -> None:
    assert pareto({"a": 0.5, "b": 0.5}, {"a": 1.0, "b": 2.0}) == ("a",)
    assert pareto({"a": 0.5, "b": 0.6}, {"a": 1.0, "b": 1.0}) == ("b",)


def test_a_front_of_nothing() -> None:
    assert pareto({}, {}) == ()
    assert pareto({"a": None}, {"a": 1.0}) == ()
