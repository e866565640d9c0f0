"""Disturbance: what a busy machine did to timings is written down and flagged, and never subtracted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from clockwork import QUESTIONS, HandClock, Workbench

from ragprof.core import cores, files
from ragprof.core.clock import Silent
from ragprof.core.cores import CoreTimes
from ragprof.evals import Timing
from ragprof.record import timings as timings_module
from ragprof.record.disturbance import Disturbance, disturbance_of, disturbances, waiting_of, waiting_share
from ragprof.record.query import traced
from ragprof.record.timings import QuietMoments, Timings, time_pipelines, warmed

ONCE = Timing(seconds=1.0, rounds=2, min_queries=1, warmup=1, patience=0)
BOUNDS = {"waiting_bound": 0.10, "noise_bound": 0.10}


@dataclass
class HandMeter:
    """Counters by the hand of a clock: of each ns that passes, `waiting` is spent waiting and the rest on a core."""

    clock: HandClock
    waiting: float = 0.0
    stolen: float = 0.0
    waited: float = 0.0
    seen: int = 0

    def of_process(self) -> CoreTimes:
        passed, self.seen = self.clock.now - self.seen, self.clock.now
        self.waited += passed * self.waiting
        return CoreTimes(round(self.seen - self.waited), round(self.waited), 0)

    def of_machine(self) -> CoreTimes:
        own = self.of_process()
        return CoreTimes(own.cpu_ns, own.waiting_ns, 0, own.cpu_ns, round(self.stolen * self.seen), 0)

    def shortest_ns(self) -> int:
        return 2500


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def meter(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> HandMeter:
    made = HandMeter(clock)
    monkeypatch.setattr(cores, "meter", lambda: made)
    return made


def spans_of(clock: HandClock, *, timing: Timing = ONCE) -> pd.DataFrame:
    pipelines = [Workbench(clock, {"embed": 1000, "search": 2000, "rerank": 3000, "inject": 4000}).pipeline()]
    return time_pipelines(pipelines, QUESTIONS, timing=timing, clock=clock, progress=Silent()).span_table()


def test_every_span_that_is_read_says_how_long_it_ran_and_waited(clock: HandClock, meter: HandMeter) -> None:
    meter.waiting = 0.25
    bench = Workbench(clock, {"embed": 1000, "search": 2000, "rerank": 3000, "inject": 4000})
    _, trace = traced(bench.pipeline(), QUESTIONS[0], clock, read={"search", "inject", "query"})
    read = {span.stage: (span.cores.cpu_ns, span.cores.waiting_ns) for span in trace.spans}
    assert read == {"embed": (None, None), "search": (1500, 500), "rerank": (None, None), "inject": (3000, 1000)}
    assert (trace.cores.cpu_ns, trace.cores.waiting_ns, trace.duration_ns) == (7500, 2500, 10_000)


def test_stages_are_read_where_two_readings_add_next_to_nothing_and_rounds_always(
    clock: HandClock, meter: HandMeter
) -> None:
    """Two readings are 1 % of 2,500 ns: rerank and inject take longer, embed and search do not."""
    meter.waiting = 0.25
    spans = spans_of(clock)
    read = spans[spans["waiting_ns"].notna()].groupby(["phase", "stage"])["waiting_ns"].unique().map(list)
    assert read.to_dict() == {("timed", "rerank"): [750], ("timed", "inject"): [1000], ("round", "query"): [22_500]}
    assert set(spans.loc[spans["phase"] == "round", "duration_ns"]) == {90_000}


def test_waiting_is_subtracted_from_no_duration(clock: HandClock, meter: HandMeter) -> None:
    meter.waiting = 0.9
    spans = spans_of(clock)
    assert set(spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]["duration_ns"]) == {10_000}


def test_what_reading_takes_is_in_no_duration(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(HandMeter):
        def of_process(self) -> CoreTimes:
            clock.moved(50)
            return super().of_process()

    monkeypatch.setattr(cores, "meter", lambda: Slow(clock))
    read = {"embed", "search", "rerank", "inject", "query"}
    _, trace = traced(Workbench(clock).pipeline(), QUESTIONS[0], clock, read=read)
    assert [span.duration_ns for span in trace.spans] == [10, 20, 30, 40]
    assert trace.duration_ns == 100


@pytest.mark.parametrize(("waiting", "busy"), [(0.0, False), (0.08, False), (0.12, True), (0.74, True)])
def test_a_share_of_waiting_above_the_bound_is_busy(
    clock: HandClock, meter: HandMeter, waiting: float, busy: bool
) -> None:
    meter.waiting = waiting
    found = disturbance_of(spans_of(clock), BOUNDS)
    assert found.waiting == pytest.approx(waiting, abs=1e-3)
    assert found.busy is busy


def test_the_reason_names_the_share() -> None:
    busy = Disturbance(waiting=0.74, waiting_bound=0.1, spread=0.5, spread_bound=0.1)
    assert busy.reason == "the machine was busy (74% of the time waiting for a core)"
    noisy = Disturbance(waiting=0.01, waiting_bound=0.1, spread=0.31, spread_bound=0.1)
    assert noisy.reason == "the rounds' median latencies differ by 31% (bound 10%)"
    quiet = Disturbance(waiting=0.01, waiting_bound=0.1, spread=0.05, spread_bound=0.1)
    assert (quiet.reason, quiet.busy, quiet.noisy) == ("", False, False)


def test_time_that_a_hypervisor_took_counts_as_waiting(clock: HandClock, meter: HandMeter) -> None:
    """Of 4 ns of the machine 1 is stolen; the process runs all the time, so a quarter of its wish was not met."""
    meter.stolen = 1 / 3
    assert waiting_of(spans_of(clock)) == pytest.approx(0.25, abs=1e-2)


def test_threads_that_sleep_while_a_server_answers_wait_for_no_core() -> None:
    rows = pd.DataFrame({"duration_ns": [300], "cpu_ns": [2], "waiting_ns": [3]}).astype("Int64")
    assert waiting_share(rows) == 0.01


def test_several_threads_share_one_whole() -> None:
    """Two threads over 100 ns: one ran, one waited."""
    rows = pd.DataFrame({"duration_ns": [100], "cpu_ns": [100], "waiting_ns": [100]}).astype("Int64")
    assert waiting_share(rows) == 0.5


def test_where_threads_are_not_told_the_pressure_of_the_machine_stands_in() -> None:
    columns = {"phase": ["round"], "duration_ns": [1000], "cpu_ns": [900], "waiting_ns": [None], "pressure_ns": [400]}
    assert waiting_of(pd.DataFrame(columns)) == 0.4


def test_recordings_of_older_versions_were_not_measured_and_are_not_busy() -> None:
    rows = [
        ("timed", number, f"q{query}", stage, 100)
        for number in (0, 1)
        for query in (1, 2)
        for stage in ("query", "search")
    ]
    old = pd.DataFrame(rows, columns=["phase", "round", "query_id", "stage", "duration_ns"])
    found = disturbance_of(old, {"noise_bound": 0.1})
    assert (found.waiting, found.busy, found.waiting_bound) == (None, False, 0.10)


def test_a_recording_has_one_flag_a_pipeline(handbook_recording: Path) -> None:
    path = handbook_recording / "spans.parquet"
    spans = pd.read_parquet(path)
    dense = (spans["pipeline"] == "dense") & (spans["phase"] == "round")
    spans["cpu_ns"] = spans["duration_ns"].astype("Int64")
    spans["waiting_ns"] = (spans["duration_ns"] * dense).astype("Int64")
    files.write_table(path, spans)
    found = disturbances(handbook_recording)
    assert {name: flag.busy for name, flag in found.items()} == {
        "bm25": False,
        "dense": True,
        "hybrid": False,
        "hybrid+overlap": False,
    }
    assert found["dense"].waiting == 0.5


def test_what_was_timed_without_a_meter_has_no_reading() -> None:
    clock = HandClock()
    timings = Timings()
    timings.add("a", "timed", 0, traced(Workbench(clock).pipeline(), QUESTIONS[0], clock)[1])
    assert timings.span_table()["waiting_ns"].isna().all()


@dataclass
class Weather(HandMeter):
    """Busy between two moments of the clock, and quiet before and after."""

    since: int = 0
    until: int = 0

    def of_process(self) -> CoreTimes:
        self.waiting = 0.7 if self.since <= self.clock.now <= self.until else 0.0
        return super().of_process()


@pytest.fixture
def pauses(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited; the clock moves by them."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.moved(round(seconds * 1e9))

    monkeypatch.setattr(timings_module, "sleep", sleep)
    return waited


PATIENT = ONCE.model_copy(update={"patience": 20.0, "rounds": 3})


def test_a_quiet_machine_is_waited_for_before_the_rounds(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    weather = Weather(clock, until=5_000_000_000)
    monkeypatch.setattr(cores, "meter", lambda: weather)
    found = disturbance_of(spans_of(clock, timing=PATIENT), BOUNDS)
    assert (pauses, found.busy) == ([1.0, 2.0, 4.0], False)


def test_the_busiest_round_is_timed_again_and_replaced(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """Of three rounds of 80 us the second is busy; after a pause it is not."""
    weather = Weather(clock, since=100_000, until=170_000)
    monkeypatch.setattr(cores, "meter", lambda: weather)
    spans = spans_of(clock, timing=PATIENT)
    whole = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
    assert pauses == [1.0]
    assert whole.groupby("round").size().to_dict() == {0: 6, 1: 6, 2: 6}
    assert whole.groupby("round")["start_ns"].min().gt(1_000_000_000).to_dict() == {0: False, 1: True, 2: False}
    assert disturbance_of(spans, BOUNDS).waiting == 0.0


def test_patience_ends_and_what_is_still_busy_is_flagged(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    weather = Weather(clock, until=10**15)
    monkeypatch.setattr(cores, "meter", lambda: weather)
    found = disturbance_of(spans_of(clock, timing=PATIENT), BOUNDS)
    assert sum(pauses) <= 20.0
    assert (pauses, found.busy) == ([1.0, 2.0, 4.0, 8.0], True)


def test_without_patience_nothing_is_waited_for(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    weather = Weather(clock, until=10**15)
    monkeypatch.setattr(cores, "meter", lambda: weather)
    assert disturbance_of(spans_of(clock), BOUNDS).busy
    assert pauses == []


def test_warm_ups_of_a_study_wait_for_a_quieter_moment_too(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """The reranker's and the injection's live rounds begin with `warmed`."""
    weather = Weather(clock, until=2_000_000_000)
    monkeypatch.setattr(cores, "meter", lambda: weather)
    parts = Workbench(clock).pipeline()
    asking = {"a": lambda query: traced(parts, query, clock)[1].duration_ns}
    patience = QuietMoments(PATIENT, clock, Silent())
    assert warmed(asking, QUESTIONS, timing=PATIENT, progress=Silent(), patience=patience) == {"a": 100}
    assert pauses == [1.0, 2.0]
