"""The first call of every part, kept apart from the rounds."""

from __future__ import annotations

from clockwork import DOCS, QUESTIONS, HandClock, Workbench

from ragprof.record.pipeline import Parts
from ragprof.record.timings import ColdStarts

QUERY = QUESTIONS[0]


def durations(parts: Parts, cold: ColdStarts, others: list[Parts] | None = None) -> dict[str, int]:
    """The cold spans of one pipeline, taken together with the others."""
    traces = cold.queries([parts, *(others or [])], QUERY)
    return {span.stage: span.duration_ns for span in traces[parts.name].spans}


def test_every_stage_shows_its_first_call() -> None:
    clock = HandClock()
    parts = Workbench(clock, first=1_000).pipeline()
    cold = ColdStarts(clock)
    cold.embedders([parts], QUERY)
    assert durations(parts, cold) == {"embed": 1_010, "search": 1_020, "rerank": 1_030, "inject": 1_040}


def test_the_embedder_is_cold_before_the_corpus_is_embedded() -> None:
    clock = HandClock()
    parts = Workbench(clock, first=1_000).pipeline()
    assert parts.embedder is not None
    cold = ColdStarts(clock)
    cold.embedders([parts], QUERY)
    parts.embedder.embed_documents([doc.content for doc in DOCS])
    assert durations(parts, cold)["embed"] == 1_010


def test_the_whole_is_the_sum_of_the_first_spans() -> None:
    clock = HandClock()
    parts = Workbench(clock, first=1_000).pipeline()
    cold = ColdStarts(clock)
    cold.embedders([parts], QUERY)
    assert cold.queries([parts], QUERY)["a"].duration_ns == 4_100


def test_a_shared_part_is_cold_once_and_shown_by_all() -> None:
    clock = HandClock()
    bench = Workbench(clock, first=1_000)
    first = bench.pipeline("a")
    second = Parts("b", first.embedder, first.store, 4, None, first.injector)
    cold = ColdStarts(clock)
    cold.embedders([first, second], QUERY)
    assert bench.calls == ["embed"]
    traces = cold.queries([first, second], QUERY)
    shown = {name: [(span.stage, span.duration_ns) for span in trace.spans] for name, trace in traces.items()}
    assert shown == {
        "a": [("embed", 1_010), ("search", 1_020), ("rerank", 1_030), ("inject", 1_040)],
        "b": [("embed", 1_010), ("search", 1_020), ("inject", 1_040)],
    }


def test_parts_of_their_own_are_each_cold() -> None:
    clock = HandClock()
    first, second = (Workbench(clock, first=1_000).pipeline(name) for name in "ab")
    cold = ColdStarts(clock)
    cold.embedders([first, second], QUERY)
    assert durations(second, cold, [first]) == {"embed": 1_010, "search": 1_020, "rerank": 1_030, "inject": 1_040}
