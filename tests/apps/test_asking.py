"""Asking a pipeline of the user's own: rankings, failures, time limits, and a service behind HTTP."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from passages import DOCS, TEXTS
from speaking_server import Handler, SpeakingServer, speaking

import ragprof
from ragprof.core import Query
from ragprof.core.clock import SILENT, now_ns
from ragprof.core.errors import AppFailed, BadInput
from ragprof.pytest_plugin.fixture import declared
from ragprof.record.apps import AskedApp, OwnThread
from ragprof.record.pipeline import Pipeline
from ragprof.record.timings import time_pipelines

QUERY = Query("q1", "which tides come when sun and moon pull along one line?")


def asked(app: Any, **options: Any) -> AskedApp:
    found = Pipeline("prod", app=app, **options).parts().app
    assert found is not None
    found.add(DOCS, None)
    return found


def ids(app: AskedApp, stage: str) -> list[str]:
    return [item.doc.doc_id for item in app.answer(QUERY).rankings[stage]]  # type: ignore[index]


def test_a_retriever_ranks_at_search_and_injects_what_it_found() -> None:
    app = asked(lambda question: [("d09", 0.9), ("d01", 0.5)])
    assert ids(app, "search") == ids(app, "inject") == ["d09", "d01"]
    assert [item.score for item in app.answer(QUERY).rankings["search"]] == [0.9, 0.5]


def test_rankings_are_taken_at_search_rerank_and_inject() -> None:
    def rag(question: str) -> dict[str, Any]:
        with ragprof.span("search") as search:
            search.documents = ["d01", "d02", "d03"]
        with ragprof.span("rerank") as rerank:
            rerank.documents = ["d03", "d01", "d02"]
        return {"answer": "Twice a month.", "documents": ["d03"]}

    answer = asked(rag).answer(QUERY)
    assert {stage: [item.doc.doc_id for item in ranking] for stage, ranking in answer.rankings.items()} == {
        "search": ["d01", "d02", "d03"],
        "rerank": ["d03", "d01", "d02"],
        "inject": ["d03"],
    }
    assert answer.usage["rerank"] == {"requests": 1, "docs_scored": 3}
    assert answer.usage["generate"] == {"output_tokens": 5}


def test_several_searches_are_merged_place_by_place_and_a_document_keeps_its_best() -> None:
    def rag(question: str) -> list[str]:
        for found in (["d01", "d02"], ["d03", "d01", "d04"]):
            with ragprof.span("search") as search:
                search.documents = found
        return ["d01"]

    assert ids(asked(rag), "search") == ["d01", "d03", "d02", "d04"]


def test_documents_that_the_corpus_lacks_are_counted_and_listed() -> None:
    app = asked(lambda question: [{"id": "intranet-7", "text": "Not here."}, {"id": "x", "text": TEXTS[3][1]}, "d01"])
    ranking = app.ranked(QUERY, of=1).rankings["search"]
    assert [item.doc.doc_id for item in ranking] == ["intranet-7", "d03", "d01"]
    assert app.log.unknown == {"intranet-7": 1}
    assert app.log.by_text == 1 * 2
    assert app.log.unknown_tokens == {"intranet-7": 3}


def test_chunks_of_one_document_stand_at_the_best_and_ids_twice_are_no_error() -> None:
    app = asked(lambda question: ["d02", "d01", "d02"])
    assert [item.doc.doc_id for item in app.ranked(QUERY, of=1).rankings["search"]] == ["d02", "d01"]
    assert app.log.twice == 2


def test_async_apps_and_streams_are_run_to_their_end() -> None:
    async def later(question: str) -> list[str]:
        await asyncio.sleep(0)
        return ["d04"]

    def pieces(question: str) -> Iterator[str]:
        yield "Twice "
        time.sleep(0.01)
        yield "a month."

    assert ids(asked(later), "search") == ["d04"]
    answer = asked(pieces).answer(QUERY)
    assert answer.generated is not None
    assert answer.generated.text == "Twice a month."
    heard = asked(pieces).hear(QUERY, watched=True)
    assert heard.first_ns is not None
    assert heard.end_ns - heard.first_ns >= 9_000_000


def test_an_app_that_returns_nothing_has_found_nothing() -> None:
    app = asked(lambda question: None)
    assert app.ranked(QUERY, of=1).rankings["search"] == ()
    assert app.log.without_documents == 1


def failing(at: set[int]) -> Callable[[str], list[str]]:
    calls = iter(range(1000))

    def rag(question: str) -> list[str]:
        if next(calls) in at:
            raise RuntimeError("index  is\nlocked")
        return ["d01"]

    return rag


def test_an_exception_is_counted_and_the_run_goes_on_until_there_are_too_many() -> None:
    app = asked(failing({3, 7}))
    queries = [Query(f"q{number}", "why?") for number in range(20)]
    for query in queries[:7]:
        app.ranked(query, of=20)
    assert app.log.failed == {"q3": "question 'q3': RuntimeError: index is locked"}
    with pytest.raises(BadInput) as raised:
        app.ranked(queries[7], of=20)
    assert str(raised.value) == (
        "app 'prod' failed for 2 questions of 20, more than 5%; the first: question 'q3': RuntimeError: index is locked"
    )


def test_an_app_that_hangs_is_given_up_and_the_next_question_is_asked() -> None:
    slow = iter((5.0, 0.0))

    def rag(question: str) -> list[str]:
        time.sleep(next(slow))
        return ["d01"]

    app = asked(rag, timeout_seconds=0.05)
    with pytest.raises(AppFailed, match=r"question 'q1': nothing came from app 'prod' within 0.05 s") as raised:
        app.answer(QUERY)
    assert not raised.value.in_time
    assert ids(app, "search") == ["d01"]


def test_what_is_no_answer_is_told_by_its_type() -> None:
    with pytest.raises(AppFailed, match="question 'q1': app 'prod' returned 7; expected a text, a list of documents"):
        asked(lambda question: 7).answer(QUERY)


def test_a_trace_has_a_span_for_every_stage_that_was_heard_before() -> None:
    turns = iter(range(10))

    def rag(question: str) -> list[str]:
        with ragprof.span("search"):
            pass
        if next(turns) == 0:
            with ragprof.span("rerank"):
                pass
        return ["d01"]

    app = asked(rag)
    app.ranked(QUERY, of=1)
    _, trace = app.traced(QUERY, now_ns, read_cores=False)
    assert [span.stage for span in trace.spans] == ["search", "rerank"]
    assert trace.spans[1].duration_ns == 0
    assert sum(span.duration_ns for span in trace.spans) <= trace.duration_ns


def test_an_app_has_nothing_of_ours_beside_it() -> None:
    with pytest.raises(BadInput, match="pipeline 'prod': an app brings its own store; leave store out"):
        Pipeline("prod", app=lambda question: [], store="bm25s").parts()
    with pytest.raises(BadInput, match="pipeline 'prod' has no store; give one, or an app"):
        Pipeline("prod").parts()
    with pytest.raises(BadInput, match=r"it is called with \(question\)"):
        Pipeline("prod", app=lambda: []).parts()


@pytest.fixture
def service() -> Iterator[SpeakingServer]:
    with speaking() as server:
        yield server


def says(**reply: Any) -> Callable[[Handler], None]:
    return lambda handler: handler.send(200, json.dumps(reply))


def streams(*events: Any, cut: bool = False) -> Callable[[Handler], None]:
    def step(handler: Handler) -> None:
        handler.begin()
        for event in events:
            handler.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
        if not cut:
            handler.end()
        handler.close_connection = True

    return step


def test_a_service_is_posted_the_question_and_its_answer_is_read(service: SpeakingServer) -> None:
    spans = [
        {"name": "search", "start_ms": 1, "duration_ms": 4, "documents": ["d09", "d01"]},
        {"name": "rerank", "start_ms": 5, "duration_ms": 2.5},
    ]
    service.plan.append(says(answer="Twice a month.", documents=[{"id": "d09"}], spans=spans))
    app = asked(f"{service.url}/answer", arguments={"k": 3})
    assert (app.kind, app.app.description) == ("http", "HTTP service on this machine")
    heard = app.hear(QUERY, watched=True)
    assert service.bodies[-1] == {"question": QUERY.text, "k": 3}
    answer, times, _ = app.told(QUERY, heard)
    assert {stage: time.source for stage, time in times.items()} == dict.fromkeys(
        ("search", "rerank"), "the response's spans"
    )
    assert times["search"].busy_ns == 4_000_000
    assert [item.doc.doc_id for item in answer.rankings["search"]] == ["d09", "d01"]
    assert [item.doc.doc_id for item in answer.rankings["rerank"]] == ["d09"]


def test_a_stream_is_read_to_its_end_and_its_first_piece_is_timed(service: SpeakingServer) -> None:
    service.plan.append(streams({"documents": ["d09"]}, {"delta": "Twice "}, {"delta": "a month."}, "[DONE]"))
    heard = asked(service.url).hear(QUERY, watched=True)
    assert (heard.returned.text, heard.returned.documents) == ("Twice a month.", ["d09"])
    assert heard.first_ns is not None
    assert heard.start_ns < heard.first_ns <= heard.end_ns


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (streams({"delta": "Twice "}, cut=True), "question 'q1': ConnectionError: RemoteProtocolError"),
        (
            lambda handler: handler.send(500, '{"error": "index is down"}'),
            "question 'q1': ConnectionError: status 500: index is down",
        ),
        (lambda handler: handler.send(200, "<html>"), "question 'q1': ConnectionError: what came is not JSON"),
        (says(status="ok"), "app 'prod' returned dict; expected a text"),
    ],
)
def test_a_service_that_fails_is_told(service: SpeakingServer, step: Any, message: str) -> None:
    service.plan.append(step)
    with pytest.raises(AppFailed) as raised:
        asked(service.url).answer(QUERY)
    assert message in str(raised.value)


def test_a_service_that_is_too_slow_is_given_up(service: SpeakingServer) -> None:
    service.plan.append(lambda handler: time.sleep(0.6))
    with pytest.raises(AppFailed, match=r"question 'q1': .*nothing came .*within 0.2 s"):
        asked(service.url, timeout_seconds=0.2).answer(QUERY)


def test_nothing_listens_there() -> None:
    with pytest.raises(AppFailed, match=r"question 'q1': ConnectionError: ConnectError: .* \(http://127\.0\.0\.1:9/"):
        asked("http://127.0.0.1:9/answer").answer(QUERY)


def test_a_question_that_fails_in_a_live_round_is_left_out_of_all_rounds() -> None:
    queries = [Query(f"q{number}", "why?") for number in range(20)]
    parts = Pipeline("prod", app=failing({60})).parts()
    app = parts.app
    assert app is not None
    app.add(DOCS, None)
    for query in queries:
        app.ranked(query, of=20)
    timing = ragprof.Timing(seconds=5, rounds=3, patience=0)
    spans = time_pipelines([parts], queries, timing=timing, clock=now_ns, progress=SILENT).span_table()
    (lost,) = app.log.failed
    timed = spans[spans["phase"] == "timed"]
    assert {*timed["query_id"]} == {query.query_id for query in queries} - {lost}
    assert (timed.groupby("query_id")["round"].nunique() == 3).all()


def test_the_pytest_fixture_tells_apps_apart_by_object_and_options() -> None:
    def rag(question: str) -> list[str]:
        return []

    apps = [Pipeline("a", app=rag), Pipeline("a", app=rag, arguments={"k": 3}), Pipeline("a", app=lambda question: [])]
    assert len({declared(each) for each in apps}) == 3
    assert declared(apps[0]) == declared(Pipeline("a", app=rag))


def test_the_thread_of_an_app_ends_with_the_app() -> None:
    owner = OwnThread()
    thread = owner.do(lambda _runner: threading.current_thread(), 5)
    assert thread.name == "ragprof-app"
    del owner
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
