"""Live rounds: which pipeline answers when, what is thrown away, and how often each query is asked bare."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from clockwork import QUESTIONS, HandClock, Workbench

from ragprof.core.clock import Silent
from ragprof.evals import Timing
from ragprof.record.timings import Timings, rotated, time_pipelines
from ragprof.statistics.estimates import noise
from ragprof.studies.profile.latency import overhead

ROUNDS = Timing(seconds=1.0, rounds=3, min_queries=1, warmup=2)


def timed(clock: HandClock, *benches: Workbench, timing: Timing = ROUNDS) -> Timings:
    """Rounds of pipelines named a, b, c, ... over six questions."""
    pipelines = [bench.pipeline("abc"[place]) for place, bench in enumerate(benches)]
    return time_pipelines(pipelines, QUESTIONS, timing=timing, clock=clock, progress=Silent())


def whole(spans: pd.DataFrame, phase: str) -> pd.DataFrame:
    """The end-to-end rows of a phase, in the order of time."""
    return spans[(spans["phase"] == phase) & (spans["stage"] == "query")].sort_values("start_ns")


def test_rounds_are_interleaved_and_rotated() -> None:
    clock = HandClock()
    spans = timed(clock, *(Workbench(clock) for _ in range(3))).span_table()
    rows = whole(spans, "timed")
    order = [list(dict.fromkeys(rows[rows["round"] == number]["pipeline"])) for number in range(3)]
    assert order == [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]]
    assert rows["round"].is_monotonic_increasing


def test_rotation_comes_round() -> None:
    clock = HandClock()
    pipelines = [Workbench(clock).pipeline(name) for name in "ab"]
    assert [[parts.name for parts in rotated(pipelines, number)] for number in range(3)] == [
        ["a", "b"],
        ["b", "a"],
        ["a", "b"],
    ]


def test_every_query_is_timed_once_a_round() -> None:
    clock = HandClock()
    spans = timed(clock, Workbench(clock)).span_table()
    assert Counter(whole(spans, "timed")["query_id"]) == dict.fromkeys((query.query_id for query in QUESTIONS), 3)
    assert set(whole(spans, "timed")["duration_ns"]) == {100}


def test_warm_up_is_asked_and_forgotten() -> None:
    clock = HandClock()
    bench = Workbench(clock, first=1_000_000)
    timings = timed(clock, bench)
    assert bench.calls.count("search") == 2 + 3 * 6 + 6
    spans = timings.span_table()
    assert spans.loc[spans["phase"] != "round", "duration_ns"].max() == 100


def test_each_query_is_asked_bare_once_over_all_rounds() -> None:
    clock = HandClock()
    rows = whole(timed(clock, Workbench(clock), Workbench(clock)).span_table(), "bare")
    asked = rows.groupby("pipeline")["query_id"].agg(sorted)
    assert asked["a"] == asked["b"] == ["q1", "q2", "q3", "q4", "q5", "q6"]
    assert Counter(rows["round"]) == {0: 4, 1: 4, 2: 4}


def test_the_bare_query_comes_before_its_twin_as_often_as_after_it() -> None:
    clock = HandClock()
    spans = timed(clock, Workbench(clock)).span_table().set_index(["query_id", "round"])
    bare = spans.loc[spans["phase"] == "bare", "start_ns"]
    twin = spans.loc[spans["phase"] == "instrumented", "start_ns"]
    assert sorted((bare - twin).dropna()) == [-100, -100, -100, 100, 100, 100]


def test_overhead_is_what_the_readings_of_the_clock_take() -> None:
    """With 1 ns a reading the bare loop shows 101 ns, the instrumented one 100 and 11 readings."""
    clock = HandClock(per_reading=1)
    spans = timed(clock, Workbench(clock)).span_table()
    assert set(whole(spans, "bare")["duration_ns"]) == {101}
    assert set(whole(spans, "instrumented")["duration_ns"]) == {111}
    found = overhead(spans, seed=0)
    assert (found.mean, found.interval) == (pytest.approx(10 / 101), pytest.approx((10 / 101, 10 / 101)))


def test_overhead_is_nothing_where_reading_the_clock_takes_nothing() -> None:
    clock = HandClock()
    assert overhead(timed(clock, Workbench(clock)).span_table(), seed=0).mean == 0.0


def test_a_steady_machine_has_no_noise() -> None:
    clock = HandClock()
    rows = whole(timed(clock, Workbench(clock)).span_table(), "timed")
    assert noise(rows, 0.1) == {"spread": 0.0, "bound": 0.1, "noisy": False}


def test_usage_is_that_of_the_live_calls() -> None:
    clock = HandClock()
    usage = timed(clock, Workbench(clock)).usage_table()
    one = usage[usage["query_id"] == "q3"]
    assert {(row.stage, row.unit): row.count_ for row in one.rename(columns={"count": "count_"}).itertuples()} == {
        ("embed", "texts"): 1,
        ("search", "searches"): 1,
        ("rerank", "requests"): 1,
        ("rerank", "docs_scored"): 4,
        ("inject", "docs_injected"): 4,
    }


def test_slow_pipelines_answer_a_prefix_of_the_queries() -> None:
    clock = HandClock()
    slow = Workbench(clock, {"embed": 10, "search": 400_000, "rerank": 30, "inject": 40})
    timing = Timing(seconds=0.004, rounds=3, min_queries=2, warmup=1)
    rows = whole(timed(clock, slow, timing=timing).span_table(), "timed")
    assert sorted(set(rows["query_id"])) == ["q1", "q2"]


def test_warm_up_rounds_and_bare_queries_keep_to_the_seconds() -> None:
    """200 and 20 us a query: 12 ms hold 6 queries of the one and all of the other, in 3 rounds and bare."""
    clock = HandClock()
    slow = Workbench(clock, {"embed": 10, "search": 199_920, "rerank": 30, "inject": 40})
    fast = Workbench(clock, {"embed": 10, "search": 19_920, "rerank": 30, "inject": 40})
    seconds = 0.0066
    spans = timed(clock, slow, fast, timing=Timing(seconds=seconds, rounds=3, warmup=3)).span_table()
    assert whole(spans, "timed").groupby("pipeline")["query_id"].nunique().to_dict() == {"a": 6, "b": 6}
    assert clock.now <= seconds * 1e9


def test_a_slow_pipeline_warms_up_with_fewer_queries() -> None:
    """A tenth of 4 ms is gone after one query of 400 us; then two fit, in two rounds and bare."""
    clock = HandClock()
    slow = Workbench(clock, {"embed": 10, "search": 400_000, "rerank": 30, "inject": 40})
    timed(clock, slow, timing=Timing(seconds=0.004, rounds=2, min_queries=1, warmup=3))
    assert slow.calls.count("search") == 1 + 2 * 2 + 2
