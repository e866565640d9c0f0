"""The rule on constructed cases whose right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.case import AtDepth, Case, MoreChunks, Rival
from ragprof.studies.reranking.sensitivity import sensitive_to
from ragprof.studies.reranking.verdict import decide

DRAWN = 4_001


def around(mean: float, spread: float = 0.0) -> Array:
    """Row 0 the mean itself, the resamples evenly over mean - spread to mean + spread."""
    return np.concatenate([[mean], np.linspace(mean - spread, mean + spread, DRAWN - 1)])


def at(depth: int, gain: Array, *, loss: Array | None = None, cost: float | None = 1.0, p95: float = 100.0) -> AtDepth:
    return AtDepth(
        depth, gain, around(0.0, 0.05) if loss is None else loss, None if cost is None else around(cost), p95
    )


def case(own: AtDepth, *smaller: AtDepth, **changes: object) -> Case:
    plain = Case(metric="nDCG@10", own=own, smaller=smaller, inert=False, queries=300, more_queries=None, margin=0.01)
    return replace(plain, **changes)  # type: ignore[arg-type]


PERFECT = at(20, around(0.3, 0.05))


def test_a_perfect_reranker_is_kept() -> None:
    verdict = decide(case(PERFECT))
    assert (verdict.word, verdict.depth) == ("KEEP", 20)
    assert "lifts ranking quality by 0.300 nDCG@10 (95 % interval +0.253 to +0.347)" in verdict.reason


def test_an_inert_one_is_dropped_and_called_so() -> None:
    verdict = decide(case(at(20, around(0.0)), inert=True))
    assert (verdict.word, verdict.depth) == ("DROP", 0)
    assert "inert" in verdict.reason


def test_a_harmful_one_is_dropped() -> None:
    verdict = decide(case(at(20, around(-0.1, 0.05))))
    assert verdict.word == "DROP"
    assert verdict.reason.startswith("It makes results worse: it lowers ranking quality by 0.100 nDCG@10")


def test_one_that_harms_only_from_deep_down_is_shrunk_to_the_depth_that_gains_most() -> None:
    verdict = decide(case(at(100, around(-0.1, 0.05)), at(5, around(0.03, 0.01)), at(10, around(0.05, 0.01))))
    assert (verdict.word, verdict.depth) == ("SHRINK", 10)


def test_one_that_gains_too_little_to_count_is_dropped() -> None:
    verdict = decide(case(at(20, around(0.004, 0.002))))
    assert verdict.word == "DROP"
    assert "lifts ranking quality by at most +0.006 nDCG@10, less than the 0.01 that counts" in verdict.reason


def test_a_free_one_is_kept_for_a_gain_too_small_to_count() -> None:
    verdict = decide(case(at(20, around(0.004, 0.002), cost=0.0)))
    assert verdict.word == "KEEP"
    assert "it is free" in verdict.reason


def test_a_free_one_that_harms_is_dropped_all_the_same() -> None:
    assert decide(case(at(20, around(-0.1, 0.05), cost=0.0))).word == "DROP"


def test_too_few_queries_leave_it_undecided_with_their_number() -> None:
    verdict = decide(case(at(20, around(0.03, 0.05)), more_queries=450))
    assert (verdict.word, verdict.depth, verdict.more_queries) == ("UNDECIDED", 20, 450)
    assert "about 450 more queries would tell" in verdict.reason


def test_a_depth_that_loses_next_to_nothing_is_shrunk_to() -> None:
    shallow = at(10, around(0.298, 0.05), loss=around(0.002, 0.003))
    verdict = decide(case(PERFECT, at(5, around(0.2, 0.05), loss=around(0.1, 0.02)), shallow))
    assert (verdict.word, verdict.depth) == ("SHRINK", 10)


def test_half_of_a_small_gain_is_not_given_away() -> None:
    own = at(20, around(0.015, 0.004))
    assert decide(case(own, at(5, around(0.007, 0.004), loss=around(0.008, 0.001)))).word == "KEEP"


def test_what_is_too_slow_is_shrunk_to_what_is_not_or_dropped() -> None:
    fast = at(5, around(0.1, 0.02), loss=around(0.2, 0.02), p95=40.0)
    verdict = decide(case(PERFECT, fast, max_added_p95_ms=50.0))
    assert (verdict.word, verdict.depth) == ("SHRINK", 5)
    assert "adds 100 ms at p95, more than the 50 ms allowed" in verdict.reason
    assert decide(case(PERFECT, max_added_p95_ms=50.0)).word == "DROP"


def test_what_is_over_the_budget_is_dropped() -> None:
    assert decide(case(PERFECT, max_usd_per_1000=0.5)).word == "DROP"
    assert decide(case(PERFECT, max_usd_per_1000=1.5)).word == "KEEP"


def test_a_stated_worth_decides_between_gain_and_price() -> None:
    assert decide(case(PERFECT, worth_usd_per_point=1.0)).word == "KEEP"
    assert decide(case(PERFECT, worth_usd_per_point=0.001)).word == "DROP"
    assert decide(case(PERFECT, worth_usd_per_point=1.0 / 30)).word == "UNDECIDED"


def test_more_chunks_that_do_the_same_for_less_drop_it_and_a_dearer_llm_keeps_it() -> None:
    chunks = MoreChunks(8, around(1_000.0, 100.0))
    cheap = case(PERFECT, more_chunks=chunks, llm_usd_per_million=0.15)
    verdict = decide(cheap)
    assert verdict.word == "DROP"
    assert "sending 8 chunks without it puts as much evidence into the prompt for $0.85 less" in verdict.reason
    assert decide(replace(cheap, llm_usd_per_million=2.5)).word == "KEEP"
    assert decide(replace(cheap, worth_usd_per_point=1.0)).word == "KEEP"


def test_a_rival_that_is_as_good_cheaper_and_faster_drops_it() -> None:
    rivals = (Rival("dear", -2.0, 0.0), Rival("hybrid", -0.5, 1_000.0))
    rivalled = case(PERFECT, rivals=rivals, llm_usd_per_million=0.15)
    verdict = decide(rivalled)
    assert verdict.word == "DROP"
    assert verdict.reason == "hybrid is as good, costs $0.65 less per 1,000 queries and answers faster."
    assert decide(replace(rivalled, llm_usd_per_million=0.0)).word == "DROP"
    assert decide(replace(rivalled, rivals=rivals[:1])).word == "KEEP"


def test_a_rival_is_none_where_its_longer_prompts_cost_more_than_it_saves() -> None:
    longer = case(PERFECT, rivals=(Rival("hybrid", 0.0, -1_000.0),), llm_usd_per_million=0.15)
    assert decide(longer).word == "DROP"
    assert decide(replace(longer, llm_usd_per_million=2.5)).word == "KEEP"


def test_without_a_price_the_verdict_rests_on_quality_and_says_so() -> None:
    verdict = decide(case(at(20, around(0.3, 0.05), cost=None)))
    assert verdict.word == "KEEP"
    assert "UNPRICED" in verdict.reason


def test_what_saves_more_tokens_than_it_costs_says_what_it_saves() -> None:
    kept = case(PERFECT, tokens_saved=around(1_000.0), llm_usd_per_million=2.5)
    assert "at equal quality it saves $1.50 more in prompt tokens than it costs" in decide(kept).reason
    dear = replace(kept, llm_usd_per_million=0.5)
    assert "at equal quality the prompt tokens that it saves pay for less than that" in decide(dear).reason


def test_the_assumption_that_flips_first_is_named() -> None:
    cheap = case(PERFECT, more_chunks=MoreChunks(8, around(1_000.0)), llm_usd_per_million=0.5)
    found = sensitive_to(cheap, decide(cheap))
    assert found["what"] in ("the price of the LLM's tokens", "the reranker's price")
    assert found["becomes"] == "KEEP"
    assert found["factor"] in (pytest.approx(2.15), pytest.approx(1 / 2.15))


def test_a_verdict_that_no_price_moves_rests_on_the_queries() -> None:
    kept = case(PERFECT, margin=0.0, llm_usd_per_million=None)
    found = sensitive_to(replace(kept, own=replace(PERFECT, cost=None)), decide(kept))
    assert (found["what"], found["factor"]) == ("the number of queries", None)


def test_an_undecided_verdict_hangs_on_the_number_of_queries() -> None:
    open_case = case(at(20, around(0.03, 0.05)), more_queries=300)
    found = sensitive_to(open_case, decide(open_case))
    assert (found["what"], found["factor"]) == ("the number of queries", 2.0)
