"""The rule on constructed cases whose right answer is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragprof.statistics.draws import Array
from ragprof.studies.reranker.corrected import moved_to, p_of
from ragprof.studies.reranker.verdict import (
    AtDepth,
    MoreChunks,
    OpenQuestion,
    RerankerCase,
    Rival,
    decide,
    limits,
    sensitive_to,
)

DRAWN = 4_001


def around(mean: float, spread: float = 0.0) -> Array:
    """Row 0 the mean itself, the resamples evenly over mean - spread to mean + spread."""
    return np.concatenate([[mean], np.linspace(mean - spread, mean + spread, DRAWN - 1)])


def at(
    depth: int,
    gain: Array,
    *,
    loss: Array | None = None,
    cost: float | None = 1.0,
    p: float = 0.001,
    p95: tuple[float, float] = (100.0, 10.0),
    chunks: MoreChunks | None = None,
) -> AtDepth:
    """`p95` is what it adds in ms, with half the width of its interval."""
    lost = around(0.0, 0.05) if loss is None else loss
    added = (p95[0], p95[0] - p95[1], p95[0] + p95[1])
    return AtDepth(depth, gain, lost, None if cost is None else around(cost), p, added, chunks)


def case(own: AtDepth, *smaller: AtDepth, **changes: object) -> RerankerCase:
    plain = RerankerCase(
        metric="nDCG@10", own=own, smaller=smaller, inert=False, queries=300, more_queries=None, margin=0.01
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


DOCS = (Path(__file__).parents[2] / "docs" / "reranker.md").read_text(encoding="utf-8")
PERFECT = at(20, around(0.3, 0.05))


GAINS = {
    "significant gain": at(20, around(0.3, 0.05)),
    "gain not significant": at(20, around(0.03, 0.05), p=0.2),
    "too small or harm": at(20, around(-0.1, 0.05)),
}
"""Columns of the truth table in docs/reranker.md."""


def with_costs(kind: str, own: AtDepth) -> RerankerCase:
    """That gain with the costs of one row of the truth table."""
    gain = float(own.gain[0])
    rows = {
        "reorders nothing": case(own, inert=True),
        "a limit is certainly broken": case(replace(own, added_p95_ms=(10_100, 7_500, 11_200)), max_added_p95_ms=300.0),
        "certainly worth less than its price": case(own, worth_usd_per_point=0.001),
        "as much evidence for less": case(
            replace(own, more_chunks=MoreChunks(5, around(0.0))), k=5, llm_usd_per_million=0.15
        ),
        "a pipeline as good for less": case(own, rivals=(Rival("hybrid", 0.5, 0.0),), llm_usd_per_million=0.15),
        "a limit may be broken": case(replace(own, added_p95_ms=(320.0, 280.0, 350.0)), max_added_p95_ms=300.0),
        "a limit cannot be checked": case(replace(own, cost=None), max_usd_per_1000=1.0),
        "worth may not cover its price": case(own, worth_usd_per_point=abs(0.01 / gain)),
        "none of these": case(own),
    }
    return rows[kind]


def truth_table() -> list[tuple[str, str, str]]:
    """Row, column and verdict of every cell of the table in docs/reranker.md."""
    table = DOCS.partition("| what it costs |")[2].partition("\n\n")[0].splitlines()
    columns = [cell.strip() for cell in table[0].strip("| ").split("|")]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table[2:]]
    return [(row, column, word) for row, *words in cells for column, word in zip(columns, words, strict=True)]


@pytest.mark.parametrize(("costs", "gain", "word"), truth_table())
def test_every_cell_of_the_documented_truth_table(costs: str, gain: str, word: str) -> None:
    assert decide(with_costs(costs, GAINS[gain])).word == word


def test_the_truth_table_has_all_rows_and_columns() -> None:
    assert len(truth_table()) == 9 * 3
    assert {column for _, column, _ in truth_table()} == set(GAINS)


def test_a_limit_that_is_certainly_broken_drops_it_whatever_its_gain_turns_out_to_be() -> None:
    slow = replace(GAINS["gain not significant"], added_p95_ms=(10_100, 7_500, 11_200))
    verdict = decide(case(slow, max_added_p95_ms=300.0, more_queries=247))
    assert verdict.reason == (
        "It adds 10.1 s (95% CI 7.50\u201311.2 s) at p95, more than the 300 ms allowed, whatever its gain turns out to "
        "be: measured +0.030 nDCG@10 (95% CI \u22120.018 to +0.077)."
    )
    assert decide(case(slow, max_added_p95_ms=300.0, queries=3)).word == "DROP"


def test_nothing_is_kept_on_judgements_that_people_have_not_borne_out() -> None:
    question = OpenQuestion("The grades are a model's", "15 queries judged by people would tell", "what people judge")
    kept, dropped = case(GAINS["significant gain"]), case(GAINS["too small or harm"])
    verdict = decide(replace(kept, unchecked=question))
    assert (decide(kept).word, verdict.word, verdict.open) == ("KEEP", "UNDECIDED", (question,))
    assert verdict.reason == "The grades are a model's; 15 queries judged by people would tell."
    assert decide(replace(dropped, unchecked=question)) == decide(dropped)


def test_a_verdict_that_drops_never_lifts_by_less_than_nothing() -> None:
    """The interval lies below 0, and the test, with its p of 0.06, does not call it harm."""
    verdict = decide(case(at(20, around(-0.1, 0.04), p=0.06)))
    assert verdict.word == "DROP"
    assert verdict.reason == (
        "It does not lift ranking quality: measured \u22120.100 nDCG@10 (95% CI \u22120.138 to \u22120.062), where "
        "0.01 would count."
    )


@pytest.mark.parametrize("gain", ["significant gain", "gain not significant"])
def test_an_undecided_verdict_says_all_that_would_decide_it(gain: str) -> None:
    own = replace(GAINS[gain], added_p95_ms=(320.0, 280.0, 350.0), cost=None)
    verdict = decide(case(own, max_added_p95_ms=300.0, max_usd_per_1000=1.0, more_queries=247))
    told = [
        "more timed queries (seconds under [reranker.timing]) would decide it.",
        "a rate for it under [prices] would decide it.",
        "about 247 more would decide it.",
    ]
    found = [told.index(words) for words in re.findall(r"; ([^;]*?decide it\.)", verdict.reason)]
    assert found == ([0, 1, 2] if gain == "gain not significant" else [0, 1])


def test_where_no_query_changed_the_number_is_that_of_what_was_not_seen() -> None:
    """Of 60 queries none changed: from 368 on, less than the 0.01 that counts may change: 0.99^368 = 0.025."""
    verdict = decide(case(at(20, around(0.0), p=1.0), queries=60))
    assert verdict.more_queries == 308
    assert "no query changed, but up to 6.0% of others still may: \u22120.060 to +0.060" in verdict.reason


def test_a_tie_of_too_few_queries_is_not_as_good_for_certain() -> None:
    open_gain = GAINS["gain not significant"]
    tied = case(open_gain, rivals=(Rival("hybrid", 0.5, 0.0, less_quality=3 / 60),), llm_usd_per_million=0.15)
    assert decide(tied).word == "UNDECIDED"
    assert decide(replace(tied, own=PERFECT)).word == "DROP"
    held = replace(open_gain, more_chunks=MoreChunks(5, around(0.0), less_evidence=0.05))
    assert decide(case(held, k=5, llm_usd_per_million=0.15)).word == "UNDECIDED"


def test_a_price_that_is_not_certainly_over_the_budget_is_open() -> None:
    own = replace(PERFECT, cost=around(1.0, 0.2))
    verdict = decide(case(own, max_usd_per_1000=0.95, hourly=True))
    assert verdict.word == "UNDECIDED"
    assert "$1.00 per 1,000 queries, which is not significantly more than the $0.950 allowed" in verdict.reason
    assert decide(case(own, max_usd_per_1000=0.7)).word == "DROP"


def test_a_perfect_reranker_is_kept() -> None:
    verdict = decide(case(PERFECT))
    assert (verdict.word, verdict.depth) == ("KEEP", 20)
    assert "lifts ranking quality by 0.300 nDCG@10 (95% CI +0.253 to +0.347)" in verdict.reason


def test_an_inert_one_is_dropped_and_called_so() -> None:
    verdict = decide(case(at(20, around(0.0)), inert=True))
    assert (verdict.word, verdict.depth) == ("DROP", 0)
    assert "inert" in verdict.reason


def test_where_the_search_found_nothing_no_reranker_is_called_inert() -> None:
    empty = case(at(20, around(0.0)), inert=True, nothing_found=True)
    verdict = decide(empty)
    assert verdict.word == "UNDECIDED"
    assert verdict.reason == (
        "The search found no candidate for any of 300 queries, so there was nothing to rerank; a search that finds "
        "something would decide it."
    )
    hangs_on = sensitive_to(empty, verdict)
    assert hangs_on.sentence == "It hangs most on the search: a search that finds something would decide it."


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
    verdict = decide(case(at(20, around(0.03, 0.05), p=0.2), more_queries=450))
    assert (verdict.word, verdict.depth, verdict.more_queries) == ("UNDECIDED", 20, 450)
    assert "not significant with 300 queries; about 450 more would decide it." in verdict.reason


def test_five_queries_tell_nothing_however_clear_they_look() -> None:
    assert decide(case(PERFECT, queries=5)).word == "UNDECIDED"
    assert decide(case(at(20, around(0.0)), queries=5)).word == "UNDECIDED"
    assert decide(case(PERFECT, queries=6)).word == "KEEP"


def test_a_gain_that_the_test_does_not_tell_is_none_whatever_its_interval() -> None:
    assert decide(case(at(20, around(0.3, 0.05), p=0.06))).word == "UNDECIDED"


def test_no_change_in_few_queries_is_not_yet_too_small_a_gain() -> None:
    """None of 60 changed: up to 3 in 60 may."""
    assert decide(case(at(20, around(0.0), p=1.0), queries=60)).word == "UNDECIDED"
    assert decide(case(at(20, around(0.0), p=1.0), queries=600)).word == "DROP"


def test_a_depth_that_loses_next_to_nothing_and_saves_is_shrunk_to() -> None:
    shallow = at(10, around(0.298, 0.05), loss=around(0.002, 0.003), cost=0.5, p95=(50.0, 5.0))
    verdict = decide(case(PERFECT, at(5, around(0.2, 0.05), loss=around(0.1, 0.02), cost=0.2), shallow))
    assert (verdict.word, verdict.depth) == ("SHRINK", 10)
    assert verdict.reason.endswith("saves $0.500 per 1,000 queries and 50 ms at p95.")


def test_a_smaller_depth_that_saves_neither_money_nor_time_is_left() -> None:
    same = at(10, around(0.298, 0.05), loss=around(0.002, 0.003))
    assert decide(case(PERFECT, same)).word == "KEEP"


def test_a_smaller_depth_that_does_not_fill_the_prompt_is_left() -> None:
    shallow = at(10, around(0.298, 0.05), loss=around(0.002, 0.003), cost=0.5)
    assert decide(case(PERFECT, shallow, k=11)).word == "KEEP"
    assert decide(case(PERFECT, shallow, k=10)).word == "SHRINK"


def test_a_loss_that_is_worth_more_than_it_saves_is_not_taken() -> None:
    shallow = at(10, around(0.298, 0.05), loss=around(0.002, 0.003), cost=0.9)
    assert decide(case(PERFECT, shallow, worth_usd_per_point=1.0)).word == "KEEP"


def test_half_of_a_small_gain_is_not_given_away() -> None:
    own = at(20, around(0.015, 0.004))
    assert decide(case(own, at(5, around(0.007, 0.004), loss=around(0.008, 0.001), cost=0.1))).word == "KEEP"


def test_one_that_drowns_in_its_candidates_is_shrunk_to_where_it_gains() -> None:
    small = at(10, around(0.05, 0.01))
    too_small = decide(case(at(50, around(0.002, 0.006), p=0.6), small))
    untold = decide(case(at(50, around(0.02, 0.03), p=0.2), small))
    assert (too_small.word, too_small.depth) == (untold.word, untold.depth) == ("SHRINK", 10)
    assert "but from 10 candidates instead of 50 it lifts ranking quality by 0.050" in untold.reason


def test_a_depth_picked_among_many_needs_a_smaller_p() -> None:
    others = [at(depth, around(0.001, 0.01), p=0.5) for depth in (5, 15)]
    assert decide(case(at(50, around(0.002, 0.006), p=0.6), at(10, around(0.05, 0.01), p=0.04), *others)).word == "DROP"


def test_a_depth_is_shrunk_to_only_where_it_would_be_kept() -> None:
    tiny = at(5, around(0.002, 0.001), p95=(40.0, 4.0))
    assert decide(case(PERFECT, tiny, max_added_p95_ms=50.0)).word == "DROP"


def test_what_is_too_slow_is_shrunk_to_what_is_not_or_dropped() -> None:
    fast = at(5, around(0.1, 0.02), loss=around(0.2, 0.02), p95=(40.0, 4.0))
    verdict = decide(case(PERFECT, fast, max_added_p95_ms=50.0))
    assert (verdict.word, verdict.depth) == ("SHRINK", 5)
    assert "adds 100 ms (95% CI 90.0\u2013110 ms) at p95, more than the 50 ms allowed" in verdict.reason
    assert decide(case(PERFECT, max_added_p95_ms=50.0)).word == "DROP"


def test_where_a_smaller_depth_is_open_a_drop_says_so_and_what_would_decide_it() -> None:
    fast = at(5, around(0.02, 0.03), p=0.2, p95=(40.0, 4.0))
    verdict = decide(case(PERFECT, fast, max_added_p95_ms=50.0, more_queries=247))
    assert (verdict.word, verdict.depth) == ("DROP", 0)
    assert verdict.reason.endswith(
        " ms allowed. From 5 candidates instead of 20 this is open: its gain in ranking quality, +0.020 "
        "nDCG@10 (95% CI \u22120.008 to +0.049), is not significant with 300 queries; about 247 more would decide it."
    )


def test_a_clock_that_does_not_tell_leaves_a_limit_undecided() -> None:
    assert decide(case(at(20, around(0.3, 0.05), p95=(100.0, 60.0)), max_added_p95_ms=50.0)).word == "UNDECIDED"


def test_what_is_over_the_budget_is_dropped() -> None:
    assert decide(case(PERFECT, max_usd_per_1000=0.5)).word == "DROP"
    assert decide(case(PERFECT, max_usd_per_1000=1.5)).word == "KEEP"


def test_a_stated_worth_decides_between_gain_and_price() -> None:
    assert decide(case(PERFECT, worth_usd_per_point=1.0)).word == "KEEP"
    assert decide(case(PERFECT, worth_usd_per_point=0.001)).word == "DROP"
    assert decide(case(PERFECT, worth_usd_per_point=1.0 / 30)).word == "UNDECIDED"


def test_more_chunks_that_do_the_same_for_less_drop_it_and_a_dearer_llm_keeps_it() -> None:
    cheap = case(at(20, around(0.3, 0.05), chunks=MoreChunks(8, around(1_000.0, 100.0))), llm_usd_per_million=0.15)
    verdict = decide(cheap)
    assert verdict.word == "DROP"
    assert "sending 8 chunks without it puts as much evidence into the prompt, and costs $0.850 less" in verdict.reason
    assert decide(replace(cheap, llm_usd_per_million=2.5)).word == "KEEP"
    assert decide(replace(cheap, llm_usd_per_million=0.0)).word == "DROP"
    assert decide(replace(cheap, worth_usd_per_point=1.0)).word == "KEEP"


def test_where_the_same_chunks_hold_as_much_without_it_there_is_nothing_to_pay_for() -> None:
    verdict = decide(case(at(20, around(0.3, 0.05), chunks=MoreChunks(5, around(0.0))), k=5, llm_usd_per_million=0.15))
    assert verdict.word == "DROP"
    assert "the 5 chunks that are sent hold as much evidence without it, which costs $1.00 less" in verdict.reason


def test_resamples_in_which_no_number_of_chunks_is_enough_are_not_cheaper() -> None:
    extra = around(1_000.0)
    extra[1:400] = np.inf
    open_case = case(at(20, around(0.3, 0.05), chunks=MoreChunks(8, extra)), llm_usd_per_million=0.0)
    assert decide(open_case).word == "KEEP"


def test_a_rival_that_is_as_good_cheaper_and_faster_drops_it() -> None:
    rivals = (Rival("dear", -2.0, 0.0), Rival("hybrid", -0.5, 1_000.0))
    rivalled = case(PERFECT, rivals=rivals, llm_usd_per_million=0.15, bill_usd=5.0)
    verdict = decide(rivalled)
    assert verdict.word == "DROP"
    assert verdict.reason == (
        "hybrid is as good without a reranker, costs $0.650 less per 1,000 queries and answers faster."
    )
    assert decide(replace(rivalled, llm_usd_per_million=0.0)).word == "DROP"
    assert decide(replace(rivalled, rivals=rivals[:1])).word == "KEEP"
    assert decide(replace(rivalled, bill_usd=50.0)).word == "KEEP"


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
    never = replace(kept, tokens_saved=np.full(DRAWN, -np.inf))
    assert "no number of chunks that was looked at" in decide(never).reason


def test_infinite_ends_keep_their_sign() -> None:
    drawn = around(1.0)
    drawn[1:] = np.inf
    assert limits(drawn) == (np.inf, np.inf)
    assert limits(np.full(5, np.nan)) == (-np.inf, np.inf)


def test_the_assumption_that_flips_first_is_named() -> None:
    cheap = case(at(20, around(0.3, 0.05), chunks=MoreChunks(8, around(1_000.0))), llm_usd_per_million=0.5)
    found = sensitive_to(cheap, decide(cheap))
    assert found.what in ("the price of the LLM's tokens", "the reranker's price")
    assert found.becomes == "KEEP"
    assert found.factor in (pytest.approx(2.15), pytest.approx(1 / 2.15))


def test_a_limit_that_decides_is_an_assumption_too() -> None:
    slow = case(replace(PERFECT, cost=None), max_added_p95_ms=50.0, margin=0.0)
    found = sensitive_to(slow, decide(slow))
    assert (found.what, found.factor, found.becomes) == (
        "the milliseconds allowed",
        pytest.approx(2.15),
        "KEEP",
    )


def test_a_verdict_that_no_price_moves_rests_on_the_queries() -> None:
    kept = case(replace(PERFECT, cost=None), margin=0.0)
    found = sensitive_to(kept, decide(kept))
    assert (found.what, found.factor) == ("the number of queries", None)


def test_an_undecided_verdict_hangs_on_the_number_of_queries() -> None:
    open_case = case(at(20, around(0.03, 0.05), p=0.2), more_queries=300)
    found = sensitive_to(open_case, decide(open_case))
    assert (found.what, found.factor) == ("the number of queries", 2.0)
    assert found.sentence == "It hangs most on the number of queries: 2 times as many would decide it."
    timed = case(at(20, around(0.3, 0.05), p95=(100.0, 60.0)), max_added_p95_ms=50.0)
    assert sensitive_to(timed, decide(timed)).what == "the number of timed queries"


def test_a_models_gains_are_moved_to_what_people_correct_them_to_before_any_word_is_said() -> None:
    for drawn in (around(0.3, 0.05), np.zeros(10_001)):
        moved = moved_to(drawn, {"mean": 0.1, "low": 0.02, "high": 0.18}, seed=0)
        assert (moved[0], *limits(moved)) == pytest.approx((0.1, 0.02, 0.18))
    assert p_of({"mean": 0.1, "low": 0.0, "high": 0.2}) == pytest.approx(0.05)
    kept = decide(case(at(20, moved, p=0.014), judged_by="m", checked=20))
    assert (kept.word, kept.reason.partition("),")[0]) == (
        "KEEP", "It lifts ranking quality by 0.100 nDCG@10 as corrected by people (95% CI +0.020 to +0.180"
    )  # fmt: skip
    harm = at(20, around(-0.1, 0.05))
    assert decide(case(harm, judged_by="m")).reason.endswith(
        "Its quality is as m judged; people have judged too few queries to correct it."
    )
    waits = decide(case(GAINS["gain not significant"], judged_by="m", checked=20))
    assert waits.open[0].finding.endswith("is not significant with 300 queries, of which people judged 20")
    assert waits.open[0].decided_by.startswith("more queries judged by people")
