"""One query under a clock that stands still by itself: every span and every gap is known beforehand."""

from __future__ import annotations

import pytest
from clockwork import DOCS, QUESTIONS, HandClock, Workbench

from ragprof.core import Span
from ragprof.record.pipeline import Pipeline
from ragprof.record.query import ask, bare, traced
from ragprof.record.timings import Timings
from ragprof.studies.profile.latency import closure

QUERY = QUESTIONS[0]


def closure_of(clock: HandClock) -> float:
    """Closure of one query of the workbench's pipeline."""
    timings = Timings()
    timings.add("a", "timed", 0, traced(Workbench(clock).pipeline(), QUERY, clock)[1])
    return closure(timings.span_table())


def test_each_stage_has_one_span_in_the_order_of_the_hops() -> None:
    clock = HandClock(now=1_000)
    _, trace = traced(Workbench(clock).pipeline(), QUERY, clock)
    assert trace.spans == (
        Span("embed", 1_000, 10),
        Span("search", 1_010, 20),
        Span("rerank", 1_030, 30),
        Span("inject", 1_060, 40),
    )
    assert (trace.query_id, trace.start_ns, trace.duration_ns) == ("q1", 1_000, 100)


def test_stages_left_out_have_no_span() -> None:
    clock = HandClock()
    parts = Pipeline("a", store=Workbench(clock).search, depth=2).parts()
    parts.store.add(DOCS, None)
    assert [span.stage for span in traced(parts, QUERY, clock)[1].spans] == ["search", "inject"]


def test_closure_is_exactly_one_where_nothing_lies_between_the_stages() -> None:
    assert closure_of(HandClock()) == 1.0


def test_closure_shows_what_reading_the_clock_takes() -> None:
    """Ten readings of 1 ns: nine within the whole, of which one falls into each of four spans."""
    assert closure_of(HandClock(per_reading=1)) == 104 / 109


def test_a_bare_query_reads_no_clock() -> None:
    clock = HandClock()
    ask(Workbench(clock).pipeline(), QUERY, bare)
    assert (clock.readings, clock.now) == (0, 100)


def test_measuring_changes_no_answer() -> None:
    clock = HandClock()
    parts = Workbench(clock).pipeline()
    assert ask(parts, QUERY, bare) == traced(parts, QUERY, clock)[0]


def test_the_answer_holds_the_ranking_after_each_stage() -> None:
    answer = ask(Workbench(HandClock()).pipeline(), QUERY, bare)
    orders = {stage: [item.doc.doc_id for item in ranking] for stage, ranking in answer.rankings.items()}
    assert orders == {
        "search": ["d1", "d2", "d3", "d4"],
        "rerank": ["d4", "d3", "d2", "d1"],
        "inject": ["d4", "d3", "d2", "d1"],
    }
    assert answer.prompt == "passage 4 passage 3 passage 2 passage 1 question 1"
    assert answer.usage["rerank"] == {"requests": 1, "docs_scored": 4}


@pytest.mark.parametrize("stage", ["embed", "search", "rerank", "inject"])
def test_a_slower_stage_lengthens_its_own_span_alone(stage: str) -> None:
    clock = HandClock()
    bench = Workbench(clock)
    before = {span.stage: span.duration_ns for span in traced(bench.pipeline(), QUERY, clock)[1].spans}
    bench.times[stage] += 500
    after = {span.stage: span.duration_ns for span in traced(bench.pipeline(), QUERY, clock)[1].spans}
    assert after == {**before, stage: before[stage] + 500}
