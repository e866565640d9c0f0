"""Marks in a user's own code and what a tree of spans says of time: own time, the critical path, who told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from threading import Thread

import pytest

import ragprof
from ragprof.core.spans import AppSpan, Listener, heard_by, listening
from ragprof.core.spantree import one_after_another, stage_times


def timeline(*spans: tuple[str, int, int, int | None], source: str = "hooks") -> list[AppSpan]:
    """Spans of (name, start, end, place of the parent)."""
    made: list[AppSpan] = []
    for name, start, end, parent in spans:
        made.append(AppSpan(name, source, start, end, None if parent is None else made[parent]))
    return made


def path_of(spans: list[AppSpan], end: int = 100) -> dict[str, int]:
    return {stage: time.path_ns for stage, time in stage_times(spans, 0, end).items()}


def test_a_stage_has_its_own_time_without_that_of_the_spans_in_it() -> None:
    spans = timeline(("chain", 0, 90, None), ("search", 10, 50, 0), ("embed", 10, 30, 1), ("generate", 50, 85, 0))
    assert path_of(spans) == {"other:chain": 15, "search": 20, "embed": 20, "generate": 35}


def test_several_searches_of_a_question_are_one_stage() -> None:
    spans = timeline(("search", 0, 20, None), ("search", 30, 60, None))
    (time,) = stage_times(spans, 0, 100).values()
    assert (time.path_ns, time.busy_ns, time.calls, time.source) == (50, 50, 2, "hooks")


def test_of_parallel_branches_the_one_that_ends_last_is_waited_for_and_all_are_busy() -> None:
    spans = timeline(("search", 0, 60, None), ("rerank", 10, 80, None))
    times = stage_times(spans, 0, 100)
    assert {stage: (time.path_ns, time.busy_ns) for stage, time in times.items()} == {
        "search": (10, 60),
        "rerank": (70, 70),
    }


def test_as_one_piece_each_a_stage_begins_where_those_before_it_ended() -> None:
    """Two searches around a reranking take the 50 from 10 on; what began at 30 comes after them, and ends in time."""
    spans = timeline(("search", 10, 30, None), ("rerank", 30, 50, None), ("search", 50, 80, None))
    times = stage_times(spans, 0, 100)
    assert one_after_another(times) == {"search": 10, "rerank": 60}
    assert times["rerank"].path_ns == 20
    assert one_after_another({}) == {}


def test_stages_on_the_path_never_add_up_to_more_than_the_whole() -> None:
    spans = timeline(("a", 0, 100, None), ("b", 0, 100, 0), ("c", 0, 100, 0), ("d", 5, 250, 1))
    assert sum(path_of(spans).values()) == 100


def test_spans_of_two_sources_lie_within_one_another_by_time() -> None:
    hooks = timeline(("search", 0, 80, None))
    marks = timeline(("embed", 10, 30, None), ("rerank", 40, 80, None), source="marks")
    assert path_of(hooks + marks) == {"search": 20, "embed": 20, "rerank": 40}
    assert stage_times(hooks + marks, 0, 100)["rerank"].source == "marks"


def test_spans_of_one_source_that_only_overlap_are_no_parents() -> None:
    spans = timeline(("search", 0, 80, None), ("embed", 10, 30, None))
    assert stage_times(spans, 0, 100)["search"].busy_ns == 80


def test_a_mark_outside_a_profile_does_nothing() -> None:
    @ragprof.stage("search")
    def search(question: str) -> list[str]:
        return [question]

    with ragprof.span("rerank") as marked:
        marked.documents = ["a"]
    assert (search("q"), listening()) == (["q"], None)


def heard(work: object) -> list[AppSpan]:
    listener = Listener()
    with heard_by(listener):
        work()  # type: ignore[operator]
    return list(listener.close())


def test_marks_are_heard_with_what_is_around_them() -> None:
    @ragprof.stage("search")
    def search() -> list[str]:
        with ragprof.span("embed"):
            pass
        return ["d1", "d2"]

    search_span, embed = heard(search)
    assert (search_span.stage, search_span.returned, embed.parent) == ("search", ["d1", "d2"], search_span)
    assert search_span.start_ns <= embed.start_ns <= (embed.end_ns or 0) <= (search_span.end_ns or 0)


def test_async_functions_and_generators_are_marked_to_their_end() -> None:
    @ragprof.stage("search")
    async def search() -> list[str]:
        await asyncio.sleep(0.01)
        return ["d1"]

    @ragprof.stage("generate")
    def pieces() -> Iterator[str]:
        yield from ("a", "b")

    @ragprof.stage("generate")
    async def later() -> AsyncIterator[str]:
        yield "c"

    async def all_of_it() -> None:
        assert await search() == ["d1"]
        assert list(pieces()) == ["a", "b"]
        assert [piece async for piece in later()] == ["c"]

    found = heard(lambda: asyncio.run(all_of_it()))
    assert [span.stage for span in found] == ["search", "generate", "generate"]
    assert (found[0].end_ns or 0) - found[0].start_ns >= 9_000_000
    assert found[1].first_ns is not None
    assert found[2].first_ns is not None


def test_a_thread_without_a_context_is_heard_too() -> None:
    def work() -> None:
        thread = Thread(target=lambda: ragprof.span("search").__enter__())
        thread.start()
        thread.join()

    (span,) = heard(work)
    assert span.end_ns is not None


def test_what_comes_after_a_question_was_closed_is_not_heard() -> None:
    listener = Listener()
    with heard_by(listener):
        listener.close()
        with ragprof.span("search"):
            pass
    assert listener.spans == []


def test_an_error_ends_its_span_and_goes_through() -> None:
    def work() -> None:
        with pytest.raises(ZeroDivisionError), ragprof.span("search"):
            _ = 1 / 0

    (span,) = heard(work)
    assert span.end_ns is not None
