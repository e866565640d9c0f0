"""The answer in words, from variants of a recorded run: never more certain than the figures."""

from __future__ import annotations

from typing import Any

import pytest
from main_runs import changed, cut, disturbed, led_by, scored, timed, unpriced

from ragprof.core.quantities import duration
from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.profile.headline import headline, tiles, twins, warnings
from ragprof.studies.profile.section import Noise, ProfileSection
from ragprof.studies.profile.tables import comparisons


def compared(run: ProfileSection, baseline: str, candidate: str, difference: float, **others: Any) -> ProfileSection:
    """The run with another outcome of one pair, 0.01 to both sides; the pair may be turned around."""
    ends = (difference - 0.01, difference + 0.01)
    new = {"baseline": baseline, "candidate": candidate, "difference": difference, "interval": ends, **others}
    pairs = tuple(
        pair.model_copy(update=new) if {pair.baseline, pair.candidate} == {baseline, candidate} else pair
        for pair in run.comparisons
    )
    return run.model_copy(update={"comparisons": pairs})


@pytest.fixture
def pair(main_run: ProfileSection) -> ProfileSection:
    """bm25 at 0.6 and 10 ms, dense at 0.7 and 20 ms, not told apart."""
    run = cut(main_run, "bm25", "dense")
    for name, quality, p50 in (("bm25", 0.6, 10.0), ("dense", 0.7, 20.0)):
        run = timed(scored(run, name, quality), name, p50=p50)
    return run


@pytest.fixture
def reranked(main_run: ProfileSection) -> ProfileSection:
    """hybrid at 10 ms and its reranked twin at 25 ms."""
    run = timed(timed(cut(main_run, "hybrid", "hybrid+overlap"), "hybrid", p50=10), "hybrid+overlap", p50=25)
    bill = run.pipelines["hybrid+overlap"].cost_usd_per_1000_queries
    priced = type(bill).model_validate({**bill.as_json(), "rerank": "0.012"})
    return changed(run, "hybrid+overlap", cost_usd_per_1000_queries=priced)


def test_a_clear_winner(pair: ProfileSection) -> None:
    found = headline(compared(pair, "bm25", "dense", 0.1, verdict="better"))
    assert found[0] == (
        "dense ranks highest: nDCG@10 0.700 (95% CI 0.650\u20130.750), significantly above every other with 12 queries."
    )
    assert found[1].startswith("In the slowest pipeline, dense (20.0 ms at p50), ")
    assert found[2] == "A prompt holds 115 tokens on average with bm25 and 127 with dense."


def test_a_tie_names_all_and_which_of_them_is_the_fastest(pair: ProfileSection) -> None:
    assert headline(pair)[0] == (
        "dense ranks highest: nDCG@10 0.700 (95% CI 0.650\u20130.750); with 12 queries it cannot be told apart from "
        "bm25. Of these bm25 is the fastest: 10.0 ms at p50 against 20.0 ms."
    )


def test_a_tie_in_time_as_well(pair: ProfileSection) -> None:
    found = headline(timed(pair, "dense", p50=10.5))
    assert found[0].endswith("it cannot be told apart from bm25. None of them is clearly the fastest.")


def test_several_equals_are_listed(main_run: ProfileSection) -> None:
    assert "it cannot be told apart from hybrid+overlap, dense and bm25." in headline(main_run)[0]


def test_one_candidate_is_never_the_best(pair: ProfileSection) -> None:
    (first, *_) = headline(cut(pair, "dense"))
    assert first == "dense reaches nDCG@10 0.700 (95% CI 0.650\u20130.750) over 12 queries."


def test_without_a_mean_nothing_is_said_of_quality(pair: ProfileSection) -> None:
    found = headline(scored(scored(pair, "bm25", None), "dense", None))
    assert found[0].startswith("In the slowest pipeline")


def test_the_evals_first_metric_leads(main_run: ProfileSection) -> None:
    found = headline(led_by(main_run, "P@5"))
    assert ": P@5 0." in found[0]
    assert "changes P@5 by " in found[1]


def test_equals_lead_together(pair: ProfileSection) -> None:
    same = scored(scored(pair, "bm25", 0.6), "dense", 0.6)
    assert headline(same)[0] == (
        "bm25 and dense rank equally high: nDCG@10 0.600 (95% CI 0.550\u20130.650) with 12 queries. "
        "Of these bm25 is the fastest: 10.0 ms at p50 against 20.0 ms."
    )
    assert tiles(same)[0].label == "nDCG@10"
    assert tiles(same)[0].pipeline == ""


def test_nobody_leads_where_nothing_relevant_was_found(pair: ProfileSection) -> None:
    run = scored(scored(pair, "bm25", 0.0), "dense", 0.0)
    assert headline(run)[0] == (
        "No pipeline ranks a relevant document: nDCG@10 is 0 over 12 queries; check that the judgements name documents "
        "of this corpus."
    )
    silent = changed(changed(run, "bm25", empty_rankings=12), "dense", empty_rankings=12)
    assert "nDCG@10 is 0 over 12 queries; every ranking is empty: " in headline(silent)[0]
    assert headline(cut(run, "dense"))[0].startswith("dense ranks no relevant document: nDCG@10 is 0")


def test_prompts_of_one_length_are_told_once(pair: ProfileSection) -> None:
    run = pair
    for name in run.pipelines:
        run = changed(run, name, usage_per_query={"inject.prompt_tokens": 43.2})
    assert headline(run)[2] == "A prompt holds 43 tokens on average with every pipeline."


def test_one_query_is_no_queries(pair: ProfileSection) -> None:
    assert "over 1 query." in headline(cut(pair.model_copy(update={"queries": 1}), "dense"))[0]


def test_a_reranker_that_moves_nothing_changes_nothing(reranked: ProfileSection) -> None:
    n = reranked.comparisons[0].n
    ends = mean_estimate([0.0] * n, bounds=SIGNED).interval
    run = compared(reranked, "hybrid", "hybrid+overlap", 0.0, interval=ends, verdict="undecided")
    assert headline(run)[1].startswith("The reranker of hybrid+overlap leaves the nDCG@10 of every query as it is; it")


def test_of_a_reranker_with_a_study_of_its_own_the_profile_says_nothing(reranked: ProfileSection) -> None:
    assert len(headline(reranked)) == len(headline(reranked, answered=["hybrid+overlap"])) + 1


def test_empty_rankings_are_counted_and_are_not_unjudged_ones(main_run: ProfileSection) -> None:
    run = _quiet(main_run)
    scores = run.pipelines["bm25"].scores
    half = scores["search"]["Judged@5"].model_copy(update={"mean": 0.5})
    run = changed(run, "bm25", empty_rankings=6, scores={**scores, "search": {**scores["search"], "Judged@5": half}})
    assert warnings(run, []) == ["bm25: found nothing for 6 of 12 queries; they count as 0"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (("hybrid", "hybrid+overlap", 0.04, "better", None), "+0.040 (95% CI +0.030 to +0.050), a real gain"),
        (("hybrid+overlap", "hybrid", -0.04, "worse", None), "+0.040 (95% CI +0.030 to +0.050), a real gain"),
        (
            ("hybrid", "hybrid+overlap", -0.04, "worse", None),
            "\u22120.040 (95% CI \u22120.050 to \u22120.030), a real loss",
        ),
        (
            ("hybrid", "hybrid+overlap", 0.005, "undecided", 1_234),
            "+0.005 (95% CI \u22120.005 to +0.015), not significant; about 1,234 more queries would be needed",
        ),
    ],
    ids=["gain", "gain-from-the-other-side", "loss", "undecided"],
)
def test_what_a_reranker_changes(reranked: ProfileSection, outcome: tuple[Any, ...], expected: str) -> None:
    baseline, candidate, difference, verdict, more = outcome
    run = compared(reranked, baseline, candidate, difference, verdict=verdict, more_queries=more)
    assert headline(run)[1] == (
        f"The reranker of hybrid+overlap changes nDCG@10 by {expected}; it adds 15.0 ms to the median query "
        "and $0.0120 to 1,000 queries."
    )


def test_an_interval_without_0_beside_not_significant_is_explained(main_run: ProfileSection) -> None:
    """Of four pipelines there are six pairs; the interval is that of one, the verdict is corrected over all."""
    run = compared(main_run, "hybrid", "hybrid+overlap", 0.036, p=0.02, p_holm=0.12, verdict="undecided",
                   more_queries=None)  # fmt: skip
    assert headline(run)[1].startswith(
        "The reranker of hybrid+overlap changes nDCG@10 by +0.036 (95% CI +0.026 to +0.046), not significant after "
        "correction for 6 comparisons (Holm, p = 0.120); it adds "
    )
    (row,) = [row for row in comparisons(run).rows if row.cells[3].text == "+0.036"]
    assert row.cells[-1].note == "not significant after correction for 6 comparisons (Holm, p = 0.120)"


def test_an_unpriced_reranker_has_no_price_in_words(reranked: ProfileSection) -> None:
    found = headline(unpriced(reranked, "hybrid+overlap"))
    assert found[1].endswith("it adds 15.0 ms to the median query.")
    assert "$" not in " ".join(found)


def test_a_reranker_without_a_twin_is_not_credited(reranked: ProfileSection) -> None:
    config = {**reranked.pipelines["hybrid+overlap"].config, "depth": 50}
    alone = changed(reranked, "hybrid+overlap", config=config)
    assert twins(reranked) == {"hybrid+overlap": "hybrid"}
    assert twins(alone) == {}
    assert not [sentence for sentence in headline(alone) if sentence.startswith("The reranker")]


def test_on_a_busy_machine_no_sentence_rests_on_time(reranked: ProfileSection, pair: ProfileSection) -> None:
    """Neither latency nor what it is multiplied with to money is told; quality and tokens are."""
    busy = "the machine was busy (74% of the time waiting for a core)"
    run = disturbed(reranked, "hybrid+overlap", share=0.74)
    found = headline(changed(run, "hybrid+overlap", billed_by_time=("rerank",)))
    assert found[0].endswith(f"Which of them is the fastest is withheld: {busy}.")
    assert found[1].endswith(f"more queries would be needed; what it adds to the latency is withheld: {busy}.")
    assert found[2] == f"Where the time goes is not told: {busy}."
    assert found[3].startswith("A prompt holds ")
    assert not [word for word in " ".join(found).split() if word in ("ms", "µs", "p50") or word.startswith("$")]
    assert not [sentence for sentence in headline(disturbed(pair, "dense", share=0.05)) if "withheld" in sentence]


def test_on_a_busy_machine_a_reranker_billed_by_call_keeps_its_price(reranked: ProfileSection) -> None:
    found = headline(disturbed(reranked, "hybrid", share=0.2))
    assert "; it adds $0.0120 to 1,000 queries; what it adds to the latency is withheld: the machine was " in found[1]


def test_a_busy_machine_is_warned_of_before_noise(main_run: ProfileSection) -> None:
    run = changed(
        disturbed(_quiet(main_run), "bm25", share=0.74), "bm25", noise=Noise(spread=0.5, bound=0.1, noisy=True)
    )
    assert warnings(run, []) == [
        "bm25: its latency and its cost may be that of other work: the machine was busy (74% of the time waiting for a "
        "core); run it again when the machine does nothing else"
    ]


def _quiet(run: ProfileSection) -> ProfileSection:
    """bm25 alone, with nothing to warn of."""
    run = cut(run, "bm25")
    scores = run.pipelines["bm25"].scores
    judged = scores["search"]["Judged@5"].model_copy(update={"mean": 1.0})
    return changed(
        run,
        "bm25",
        noise=Noise(spread=0.02, bound=0.1, noisy=False),
        closure=0.999,
        scores={**scores, "search": {**scores["search"], "Judged@5": judged}},
    )


def test_nothing_to_warn_of(main_run: ProfileSection) -> None:
    assert warnings(_quiet(main_run), ["a notice"]) == ["a notice"]


def test_what_a_reader_must_know(main_run: ProfileSection) -> None:
    quiet = _quiet(main_run)
    noisy = changed(quiet, "bm25", noise=Noise(spread=0.31, bound=0.1, noisy=True))
    open_ended = changed(quiet, "bm25", closure=0.913)
    unjudged = changed(quiet, "bm25", scores=main_run.pipelines["bm25"].scores)
    assert [warnings(run, []) for run in (noisy, open_ended, unjudged, unpriced(quiet, "bm25", "search"))] == [
        [
            "bm25: noisy timing, the rounds' median latencies differ by 31% (bound 10%); "
            "compare its latency on a quieter machine"
        ],
        ["bm25: the stages account for only 91.3% of the time end to end"],
        ["bm25: only 33% of its top five are judged; its quality may be understated"],
        ["bm25: UNPRICED search: no rate named 'hosted'"],
    ]


def test_stages_without_a_named_rate_are_one_warning(main_run: ProfileSection) -> None:
    quiet = _quiet(main_run)
    bill = quiet.pipelines["bm25"].cost_usd_per_1000_queries
    reasons = (
        "search: no rate for search; name one under [prices] as search or machine",
        "other:Lang Chain: no rate for other:Lang Chain; name one under [prices] as machine",
        "inject: no rate for the prompt; name one under [prices] as llm",
    )
    bare = bill.model_copy(update={"unpriced": reasons})
    assert bare.unpriced_stages == {"search", "other:Lang Chain", "inject"}
    assert warnings(changed(quiet, "bm25", cost_usd_per_1000_queries=bare), []) == [
        "bm25: UNPRICED search, other:Lang Chain and inject: no rate is named; under [prices], llm is the rate "
        "of prompts and answers, machine that of what runs here"
    ]


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0 µs"),
        (850_000, "850 µs"),
        (999_600, "1 ms"),
        (12_345_678, "12.3 ms"),
        (999_999_999, "1 s"),
        (1_200_000_000, "1.2 s"),
        (4_321_000_000_000, "4320 s"),
        (-5_000, "-5 µs"),
    ],
)
def test_durations_in_a_readers_units(nanoseconds: float, expected: str) -> None:
    assert duration(nanoseconds) == expected
