"""Traces that are sent while a recording is made: to a real server on loopback, which may refuse, fail or be gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ragprof.core import Answer, Doc, Query, ScoredDoc, Span, Trace
from ragprof.core.clock import Silent, now_ns
from ragprof.core.errors import BadInput
from ragprof.evals import EvalConfig
from ragprof.exports.live import LiveTraces
from ragprof.record.timings import TimedQuery
from ragprof.session.run import run

service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
CONFIG = EvalConfig.model_validate({"name": "mine", "pipelines": [{"name": "bm25", "store": "bm25s"}]})
CREDENTIAL = "swordfish 17"


class Collector:
    """What was posted, and the statuses that are answered, the last one for ever."""

    def __init__(self, address: str, statuses: list[int]) -> None:
        self.address, self.statuses = address, statuses
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    @property
    def spans(self) -> list[Any]:
        requests = [service.ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        resources = [each for request in requests for each in request.resource_spans]
        return [span for resource in resources for scope in resource.scope_spans for span in scope.spans]


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.paths.append(self.path)
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = made.statuses.pop(0) if len(made.statuses) > 1 else made.statuses[0]
            if status == 200:
                made.bodies.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Collector(f"http://127.0.0.1:{server.server_port}", [200])
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def timed(number: int) -> TimedQuery:
    query = Query(f"q{number}", "how many days of leave")
    found = (ScoredDoc(Doc("leave", "", "Thirty days.", "leave"), 2.5),)
    answer = Answer(query, {"search": found, "inject": found}, "prompt", {"search": {"searches": 1}, "inject": {}})
    start = now_ns()
    return TimedQuery("bm25", 0, answer, Trace(query.query_id, (Span("search", start, 3_000_000),), start, 4_000_000))


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_run_sends_each_live_query(collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    data = Path(__file__).parents[1] / "data"
    shutil.copytree(data / "handbook", tmp_path / "handbook")
    made = run(shutil.copy(data / "handbook.toml", tmp_path), out=tmp_path / "out", otlp=collector.address)
    assert set(collector.paths) == {"/v1/traces"}
    roots = [span for span in collector.spans if not span.parent_span_id]
    names = {(attributes(each)["ragprof.pipeline"], attributes(each)["ragprof.query_id"]) for each in roots}
    assert {name for name, _ in names} == set(made.summary["pipelines"])
    assert {attributes(each)["openinference.span.kind"] for each in collector.spans} == {
        "CHAIN", "EMBEDDING", "RETRIEVER", "RERANKER", "PROMPT",
    }  # fmt: skip
    assert not any(key.endswith(("content", "input.value")) for span in collector.spans for key in attributes(span))


def test_what_is_sent_is_what_was_timed(collector: Collector) -> None:
    noted = Noted()
    live = LiveTraces(collector.address, CONFIG, texts=False, progress=noted)
    live.add(timed(1))
    live.close()
    root, search = collector.spans
    assert (root.name, search.name, search.parent_span_id) == ("bm25", "search", root.span_id)
    assert search.end_time_unix_nano - search.start_time_unix_nano == 3_000_000
    assert attributes(search) == {
        "openinference.span.kind": "RETRIEVER", "ragprof.stage": "search", "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "bm25s", "gen_ai.retrieval.top_k": 20, "retrieval.documents.0.document.id": "leave",
        "retrieval.documents.0.document.score": 2.5, "ragprof.usage.searches": 1,
        "gen_ai.retrieval.documents": attributes(search)["gen_ai.retrieval.documents"],
    }  # fmt: skip
    assert noted.notes == [f"1 trace sent to {collector.address}/v1/traces"]


def test_texts_are_sent_if_asked_for_and_not_hidden(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENINFERENCE_HIDE_RETRIEVAL_DOCUMENTS", "true")
    live = LiveTraces(collector.address, CONFIG, texts=True, progress=Noted())
    live.add(timed(1))
    live.close()
    told = attributes(collector.spans[1])
    assert told["input.value"] == "how many days of leave"
    assert told["retrieval.documents.0.document.content"] == "__REDACTED__"


def test_headers_come_from_the_environment_and_are_never_shown(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20swordfish%2017,x-team=search")
    live = LiveTraces(collector.address, CONFIG, texts=False, progress=Noted())
    live.greet()
    assert collector.headers[0]["authorization"] == f"Bearer {CREDENTIAL}"
    assert collector.headers[0]["x-team"] == "search"
    collector.statuses = [401]
    with pytest.raises(BadInput) as problem:
        live.greet()
    assert problem.value.message == (
        f"--otlp: {collector.address}/v1/traces takes no traces: it wants other credentials (401); set "
        "$OTEL_EXPORTER_OTLP_HEADERS"
    )


def test_a_busy_server_gets_them_later_and_one_that_refuses_costs_traces_only(collector: Collector) -> None:
    noted, collector.statuses = Noted(), [503, 200]
    live = LiveTraces(collector.address, CONFIG, texts=False, progress=noted)
    live.add(timed(1))
    live.send()
    assert collector.spans == []
    live.send()
    assert len(collector.spans) == 2
    collector.statuses = [400]
    for number in (2, 3):
        live.add(timed(number))
        live.send()
    live.close()
    assert noted.notes == [
        f"1 trace sent to {collector.address}/v1/traces",
        "2 traces could not be sent: status 400",
    ]


def test_a_round_with_more_traces_than_may_wait_loses_the_rest(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.exports.live.MOST_WAITING", 2)
    noted = Noted()
    live = LiveTraces(collector.address, CONFIG, texts=False, progress=noted)
    for number in range(5):
        live.add(timed(number))
    live.close()
    assert noted.notes[1] == "3 traces could not be sent: more than 2 were waiting"


def test_an_address_where_nobody_listens_is_told_before_anything_is_recorded(tmp_path: Path) -> None:
    data = Path(__file__).parents[1] / "data"
    with pytest.raises(BadInput, match=r"--otlp: http://127\.0\.0\.1:9/v1/traces takes no traces: ConnectError"):
        run(data / "handbook.toml", out=tmp_path / "out", otlp="http://127.0.0.1:9")
    assert [path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".lock"] == []
