"""What a stage says it waited for is in no span, not in the whole, and not in the bare query either."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest
from clockwork import DOCS, QUESTIONS, HandClock, Workbench

from ragprof.core.clock import Silent, exclude, excluded_ns
from ragprof.evals import Timing
from ragprof.record.pipeline import Parts, Pipeline
from ragprof.record.query import traced
from ragprof.record.recording import Bench
from ragprof.record.timings import Timings, time_pipelines
from ragprof.studies.injection.plan import Setting
from ragprof.studies.injection.record_live import AnsweringPipeline, LiveAnswers

STAGES = ("embed", "search", "rerank", "inject", "generate")


@dataclass
class WaitingBench(Workbench):
    """A workbench that also answers, in 50 ns; each stage waits `waits[stage]` ns more, and says so."""

    waits: dict[str, int] = field(default_factory=dict)

    def work(self, stage: str) -> None:
        super().work(stage)
        waited = self.waits.get(stage, 0)
        self.clock.moved(waited)
        exclude(waited)

    def generate(self, prompt: str) -> str:
        self.work("generate")
        return "an answer"

    def answering(self, name: str = "a") -> Parts:
        """All five stages, over DOCS."""
        self.times = {**self.times, "generate": 50}
        parts = Pipeline(
            name,
            embedder=self.embed,
            store=self.search,
            depth=4,
            reranker=self.rerank,
            injector=self.inject,
            generator=self.generate,
        ).parts()
        parts.store.add(DOCS, None)
        return parts


def durations(timings: Timings, phase: str, stage: str) -> list[int]:
    spans = timings.span_table()
    return [int(value) for value in spans[(spans["phase"] == phase) & (spans["stage"] == stage)]["duration_ns"]]


def test_excluded_times_add_up() -> None:
    before = excluded_ns()
    exclude(3)
    exclude(4)
    assert excluded_ns() - before == 7


def test_another_thread_excludes_nothing_here() -> None:
    before = excluded_ns()
    other = Thread(target=exclude, args=(1_000,))
    other.start()
    other.join()
    assert excluded_ns() == before


@pytest.mark.parametrize("stage", STAGES)
def test_waiting_is_in_no_span_and_not_in_the_whole(stage: str) -> None:
    clock = HandClock()
    bench = WaitingBench(clock, waits={stage: 7_000})
    _, trace = traced(bench.answering(), QUESTIONS[0], clock)
    assert {span.stage: span.duration_ns for span in trace.spans} == {
        "embed": 10,
        "search": 20,
        "rerank": 30,
        "inject": 40,
        "generate": 50,
    }
    assert trace.duration_ns == 150
    assert clock.now == 7_150


def test_waits_of_one_query_are_not_taken_from_the_next() -> None:
    clock = HandClock()
    bench = WaitingBench(clock, waits={"rerank": 7_000})
    parts = bench.answering()
    traced(parts, QUESTIONS[0], clock)
    bench.waits = {}
    assert traced(parts, QUESTIONS[1], clock)[1].duration_ns == 150


def test_timed_and_bare_queries_leave_waits_out_alike() -> None:
    clock = HandClock()
    bench = WaitingBench(clock, waits={"embed": 1_000, "generate": 2_000})
    timing = Timing(seconds=1.0, rounds=2, min_queries=1, warmup=1)
    timings = time_pipelines([bench.answering()], QUESTIONS, timing=timing, clock=clock, progress=Silent())
    assert durations(timings, "timed", "query") == [150] * 12
    assert durations(timings, "instrumented", "query") == [150] * 12
    assert durations(timings, "bare", "query") == [150] * 6
    assert durations(timings, "timed", "generate") == [50] * 12
    assert durations(timings, "timed", "embed") == [10] * 12


def test_a_pipeline_that_waits_gets_as_many_queries_as_one_that_does_not() -> None:
    clock = HandClock()
    benches = [WaitingBench(clock, waits={"search": 10**9}), WaitingBench(clock)]
    timing = Timing(seconds=0.0000022, rounds=2, min_queries=1, warmup=1)
    pipelines = [bench.answering("ab"[place]) for place, bench in enumerate(benches)]
    timings = time_pipelines(pipelines, QUESTIONS, timing=timing, clock=clock, progress=Silent())
    spans = timings.span_table()
    asked = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")].groupby("pipeline")["query_id"].nunique()
    assert asked.to_dict() == {"a": 2, "b": 2}


def test_a_live_answer_says_how_long_it_waited(tmp_path: Path) -> None:
    clock = HandClock()
    bench = WaitingBench(clock, waits={"search": 400, "generate": 600})
    parts = bench.answering()
    live = LiveAnswers(Bench(tmp_path, tmp_path, Silent(), clock), None)
    asker = AnsweringPipeline("a", Setting("own", parts.injector, wanted=4, timed=True), parts)
    assert [live.ask(asker, query, number) for number, query in enumerate(QUESTIONS[:2])] == [150, 150]
    table = live.table()
    assert table["end_to_end_ns"].tolist() == [150, 150]
    assert table["generate_ns"].tolist() == [50, 50]
    assert table["excluded_ns"].tolist() == [1_000, 1_000]
