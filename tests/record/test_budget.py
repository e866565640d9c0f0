"""How the stated seconds are shared out, and what is said where they are few."""

from __future__ import annotations

import pytest

from ragprof.evals import Timing
from ragprof.record.budget import FEWEST_TIMED, few_timed, shares, taken_s, warm_ups

MS, S = 1_000_000, 1_000_000_000
BRIEF = Timing(seconds=0.0041, rounds=3, warmup=1)
"""4 ms over three rounds and the bare ones, and 0.1 ms to warm up."""


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        pytest.param({"a": 1_000}, {"a": 100}, id="all-that-there-are"),
        pytest.param({"a": 100_000}, {"a": 10}, id="what-the-time-allows"),
        pytest.param({"a": 2_000_000}, {"a": 6}, id="a-handful-even-beyond-the-time"),
        pytest.param({"a": 50_000, "b": 50_000}, {"a": 10, "b": 10}, id="equals-share-equally"),
        pytest.param({"slow": 50_000, "fast": 500}, {"fast": 100, "slow": 19}, id="fast-ones-leave-time-to-slow-ones"),
        pytest.param({"slow": 40_000, "fast": 10_000}, {"fast": 33, "slow": 17}, id="by-the-root-of-the-duration"),
        pytest.param({"a": 900_000, "b": 900_000}, {"a": 6, "b": 6}, id="a-handful-of-each-even-beyond-the-time"),
        pytest.param({"a": 0}, {"a": 100}, id="too-fast-for-the-clock"),
        pytest.param({}, {}, id="nobody"),
    ],
)
def test_shares_of_the_time(durations: dict[str, int], expected: dict[str, int]) -> None:
    assert shares(durations, 100, BRIEF, asked=4) == expected


def test_no_more_queries_than_there_are_and_no_more_than_are_wished_for_beyond_the_time() -> None:
    assert shares({"a": 2_000_000}, 3, BRIEF, asked=4) == {"a": 3}
    assert shares({"a": 2_000_000}, 100, BRIEF.model_copy(update={"min_queries": 2}), asked=4) == {"a": 2}


PYTHON_DOCS = {"bm25": 3 * MS, "dense": 14 * MS, "hybrid": 17 * MS, "dense+maxsim": 800 * MS, "hybrid+maxsim": 820 * MS}


@pytest.mark.parametrize("seconds", [60, 90, 200, 1000])
def test_all_that_is_asked_keeps_to_the_seconds(seconds: float) -> None:
    timing = Timing(seconds=seconds)
    counts = shares(PYTHON_DOCS, 160, timing, asked=4)
    assert min(counts.values()) >= FEWEST_TIMED
    assert taken_s(counts, PYTHON_DOCS, timing, asked=4) <= seconds


def test_a_pipeline_warms_up_for_a_tenth_of_its_time_and_once_at_least() -> None:
    timing = Timing(seconds=40, warmup=3)
    assert [warm_ups(duration, timing, 4) for duration in (100 * MS, 600 * MS, 2 * S)] == [3, 2, 1]


def test_what_more_queries_would_take_is_said_and_true() -> None:
    timing = Timing(seconds=40)
    counts = shares(PYTHON_DOCS, 160, timing, asked=4)
    few = few_timed(PYTHON_DOCS, counts, 160, timing, asked=4)
    assert few is not None
    assert few.sentence == (
        "The latency of dense+maxsim and hybrid+maxsim rests on 6 queries each, too few for an interval of p95; 20 "
        "would take about 2.2 min: timing.seconds = 160"
    )
    enough = shares(PYTHON_DOCS, 160, Timing(seconds=160), asked=4)
    assert 20 <= min(enough.values()) <= 22
    assert few_timed(PYTHON_DOCS, enough, 160, timing, asked=4) is None


def test_one_of_several_parts_says_the_seconds_of_all() -> None:
    """At each of 8 sizes 7.5 s of 60; every round warms up."""
    timing = Timing(seconds=60, min_queries=8, warmup=2).among(8)
    few = few_timed({"slow": S}, {"slow": 6}, 160, timing, asked=3, warmed=3, table="growth.timing", parts=8)
    assert few is not None
    assert few.sentence == (
        "The latency of slow rests on 6 queries; 8 would take about 4.0 min: growth.timing.seconds = 250"
    )


def test_nothing_is_said_where_all_there_are_were_timed() -> None:
    assert few_timed({"slow": S}, {"slow": 5}, 5, Timing(), asked=4) is None
