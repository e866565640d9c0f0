"""The answer in words, from summaries made by hand: never more certain than the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ragprof.core.quantities import duration, money
from ragprof.studies.profile.headline import headline, twins, warnings

METRIC = "nDCG@10"
MS = 1_000_000


def pipeline(
    quality: float | None,
    *,
    p50: float = 10,
    spread: float = 0.5,
    reranker: str = "none",
    cost: Mapping[str, Any] | None = None,
    tokens: float = 500,
    **other: Any,
) -> dict[str, Any]:
    """One pipeline's entry; times in ms, the interval of p50 reaching `spread` ms to both sides."""
    stage = "search" if reranker == "none" else "rerank"
    score = {"mean": quality, "interval": None if quality is None else [quality - 0.05, quality + 0.05], "n": 100}
    whole = {"p50_ns": p50 * MS, "p50_interval_ns": [(p50 - spread) * MS, (p50 + spread) * MS], "mean_ns": p50 * MS}
    config = {"embedder": "e", "store": {"name": "s"}, "depth": 20, "injector": {}, "reranker": {"name": reranker}}
    return {
        "config": config,
        "scores": {stage: {METRIC: score, "Judged@5": {"mean": 1.0}}},
        "end_to_end": whole,
        "stages": {"search": {"mean_ns": 0.25 * p50 * MS}, stage: {"mean_ns": 0.75 * p50 * MS}},
        "usage_per_query": {"inject.prompt_tokens": tokens},
        "cost_usd_per_1000_queries": {"total": "0.5", "unpriced": [], **(cost or {})},
        "noise": {"noisy": False, "spread": 0.02, "bound": 0.1},
        "closure": 0.999,
        **other,
    }  # fmt: skip


def compared(
    baseline: str, candidate: str, difference: float, verdict: str, *, more: int | None = None
) -> dict[str, Any]:
    interval = [difference - 0.01, difference + 0.01]
    row = {"metric": METRIC, "baseline": baseline, "candidate": candidate, "difference": difference}
    return {**row, "interval": interval, "verdict": verdict, "more_queries": more}


def summary(pipelines: Mapping[str, Any], *comparisons: Mapping[str, Any]) -> dict[str, Any]:
    final = {name: "rerank" if "rerank" in entry["scores"] else "search" for name, entry in pipelines.items()}
    return {"queries": 100, "pipelines": pipelines, "comparisons": list(comparisons), "final_stage": final}


def test_a_clear_winner() -> None:
    found = headline(
        summary(
            {"bm25": pipeline(0.6, tokens=400), "dense": pipeline(0.7, p50=20)},
            compared("bm25", "dense", 0.1, "better"),
        )
    )
    assert found == [
        "dense ranks highest: nDCG@10 0.700 (95 % interval 0.650 to 0.750), told apart from every other pipeline "
        "with 100 queries.",
        "In the slowest pipeline, dense (20 ms at p50), search takes 75% of the time.",
        "A prompt holds 400 tokens on average with bm25 and 500 with dense.",
    ]


def test_a_tie_names_all_and_which_of_them_is_the_fastest() -> None:
    found = headline(
        summary({"a": pipeline(0.71, p50=30), "b": pipeline(0.7, p50=10)}, compared("a", "b", -0.01, "undecided"))
    )
    assert found[0] == (
        "a ranks highest: nDCG@10 0.710 (95 % interval 0.660 to 0.760); with 100 queries it cannot be told apart "
        "from b. Of these b is the fastest: 10 ms at p50 against 30 ms."
    )


def test_a_tie_in_time_as_well() -> None:
    found = headline(
        summary({"a": pipeline(0.71, p50=10), "b": pipeline(0.7, p50=10.5)}, compared("a", "b", -0.01, "undecided"))
    )
    assert found[0].endswith("it cannot be told apart from b. None of them is clearly the fastest.")


def test_three_equals_are_listed() -> None:
    rows = [compared(*pair, 0.0, "undecided") for pair in (("a", "b"), ("a", "c"), ("b", "c"))]
    found = headline(summary({"a": pipeline(0.72), "b": pipeline(0.71), "c": pipeline(0.7)}, *rows))
    assert "it cannot be told apart from b and c." in found[0]


def test_one_candidate_is_never_the_best() -> None:
    (first, *_) = headline(summary({"only": pipeline(0.7)}))
    assert first == "only reaches nDCG@10 0.700 (95 % interval 0.650 to 0.750) over 100 queries."


def test_without_the_metric_nothing_is_said_of_quality() -> None:
    found = headline(summary({"a": pipeline(None), "b": pipeline(None)}))
    assert found[0].startswith("In the slowest pipeline")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            compared("dense", "dense+r", 0.04, "better"),
            "The reranker of dense+r changes nDCG@10 by +0.040 (95 % interval +0.030 to +0.050), a real gain; "
            "it adds 15 ms to the median query and $0.012 to 1,000 queries.",
        ),
        (
            compared("dense+r", "dense", -0.04, "worse"),
            "The reranker of dense+r changes nDCG@10 by +0.040 (95 % interval +0.030 to +0.050), a real gain; "
            "it adds 15 ms to the median query and $0.012 to 1,000 queries.",
        ),
        (
            compared("dense", "dense+r", -0.04, "worse"),
            "The reranker of dense+r changes nDCG@10 by -0.040 (95 % interval -0.050 to -0.030), a real loss; "
            "it adds 15 ms to the median query and $0.012 to 1,000 queries.",
        ),
        (
            compared("dense", "dense+r", 0.005, "undecided", more=1_234),
            "The reranker of dense+r changes nDCG@10 by +0.005 (95 % interval -0.005 to +0.015), not told from zero; "
            "about 1,234 more queries would tell; it adds 15 ms to the median query and $0.012 to 1,000 queries.",
        ),
    ],
    ids=["gain", "gain-from-the-other-side", "loss", "undecided"],
)
def test_what_a_reranker_changes(row: Mapping[str, Any], expected: str) -> None:
    pipelines = {
        "dense": pipeline(0.7, p50=10),
        "dense+r": pipeline(0.74, p50=25, reranker="overlap", cost={"rerank": "0.012"}),
    }
    assert headline(summary(pipelines, row))[1] == expected


def test_an_unpriced_reranker_has_no_price_in_words() -> None:
    pipelines = {
        "dense": pipeline(0.7),
        "dense+r": pipeline(0.74, p50=25, reranker="overlap", cost={"rerank": None, "total": None}),
    }
    found = headline(summary(pipelines, compared("dense", "dense+r", 0.04, "better")))
    assert found[1].endswith("it adds 15 ms to the median query.")
    assert "$" not in " ".join(found)


def test_a_reranker_without_a_twin_is_not_credited() -> None:
    other = pipeline(0.74, reranker="overlap")
    other["config"]["depth"] = 50
    found = summary({"dense": pipeline(0.7), "dense+r": other}, compared("dense", "dense+r", 0.04, "better"))
    assert twins(found) == {}
    assert not [sentence for sentence in headline(found) if sentence.startswith("The reranker")]


def test_nothing_to_warn_of() -> None:
    assert warnings(summary({"a": pipeline(0.7)}), ["a notice"]) == ["a notice"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"noise": {"noisy": True, "spread": 0.31, "bound": 0.1}},
            "a: noisy timing, the rounds' median latencies differ by 31% (bound 10%); "
            "compare its latency on a quieter machine",
        ),
        ({"closure": 0.913}, "a: the stages account for only 91.3% of the time end to end"),
        (
            {"scores": {"search": {METRIC: {"mean": 0.7, "interval": None}, "Judged@5": {"mean": 0.6}}}},
            "a: only 60% of its top five are judged; its quality may be understated",
        ),
        (
            {"cost_usd_per_1000_queries": {"total": None, "unpriced": ["embed: no rate"]}},
            "a: UNPRICED embed: no rate",
        ),
    ],
    ids=["noise", "closure", "judged", "unpriced"],
)
def test_what_a_reader_must_know(changes: dict[str, Any], expected: str) -> None:
    assert warnings(summary({"a": pipeline(0.7, **changes)}), []) == [expected]


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


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ("0", "$0"),
        ("0.00000743", "$0.00000743"),
        ("0.012345", "$0.0123"),
        ("0.9996", "$1.00"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
        ("12345678.905", "$12,345,678.90"),
    ],
)
def test_money_without_an_exponent(usd: str, expected: str) -> None:
    assert money(usd) == expected
