"""What other tools write is read: ids, times, vocabularies, formats, and files that are broken."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written import DAY, MS, attributes, openinference, passage, request, span, write

from ragprof.core.errors import BadInput
from ragprof.traces import SpanFacts
from ragprof.traces.exported import exported_spans
from ragprof.traces.otlp import kept_share, spans_of
from ragprof.traces.reading import TraceAccount, read_spans
from ragprof.traces.spill import by_trace
from ragprof.traces.times import instant
from ragprof.traces.vocabulary import FACTS


def read(path: Path) -> tuple[list[SpanFacts], TraceAccount]:
    account = TraceAccount(path)
    return list(read_spans(path, account)), account


def one(about: dict[str, Any], name: str = "call") -> SpanFacts:
    (found,) = spans_of(request([span(1, 1, name, 0, 10, about, parent=None)]))
    return found


def test_ids_in_base64_are_those_in_hex() -> None:
    hexed = openinference()[1]
    coded = dict(hexed)
    for key in ("traceId", "spanId", "parentSpanId"):
        coded[key] = base64.b64encode(bytes.fromhex(hexed[key])).decode()
    (first,), (second,) = (list(spans_of(request([each]))) for each in (hexed, coded))
    assert first == second


def test_times_are_texts_or_numbers() -> None:
    written = openinference()[0]
    numbers = {**written, "startTimeUnixNano": int(written["startTimeUnixNano"])}
    (found,) = spans_of(request([numbers]))
    assert (found.start_ns, found.end_ns) == (DAY, DAY + 180 * MS)


@pytest.mark.parametrize(
    ("about", "stage"),
    [
        ({"openinference.span.kind": "EMBEDDING"}, "embed"),
        ({"openinference.span.kind": "RETRIEVER"}, "search"),
        ({"openinference.span.kind": "RERANKER"}, "rerank"),
        ({"openinference.span.kind": "PROMPT"}, "inject"),
        ({"openinference.span.kind": "LLM"}, "generate"),
        ({"openinference.span.kind": "CHAIN"}, ""),
        ({"openinference.span.kind": "TOOL"}, "other:call"),
        ({"gen_ai.operation.name": "embeddings"}, "embed"),
        ({"gen_ai.operation.name": "retrieval"}, "search"),
        ({"gen_ai.operation.name": "rerank"}, "rerank"),
        ({"gen_ai.operation.name": "chat"}, "generate"),
        ({"gen_ai.operation.name": "text_completion"}, "generate"),
        ({"llm.request.type": "completion"}, "generate"),
        ({"gen_ai.operation.name": "invoke_agent"}, ""),
        ({"gen_ai.operation.name": "execute_tool"}, "other:call"),
        ({"db.system": "qdrant"}, "search"),
        ({"db.system": "postgresql"}, "other:call"),
        ({}, "other:call"),
    ],
)
def test_a_span_tells_its_stage(about: dict[str, Any], stage: str) -> None:
    assert one(about).stage == stage


@pytest.mark.parametrize("fact", ["input_tokens", "output_tokens", "cached_tokens", "model", "provider"])
def test_old_and_new_names_tell_the_same(fact: str) -> None:
    written: Any = 12 if fact.endswith("tokens") else "name"
    assert {name: one({name: written}).facts[fact] for name in FACTS[fact]} == dict.fromkeys(FACTS[fact], written)


def test_of_two_names_the_first_in_the_table_counts_whatever_their_order() -> None:
    for names in (("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),):
        for order in (names, names[::-1]):
            about = {name: 5 if name == names[0] else 7 for name in order}
            assert one(about).facts["input_tokens"] == 5


def test_documents_of_both_conventions_are_read() -> None:
    told = [{"id": "x", "score": 0.9}, {"id": "y"}]
    for about in (
        {"retrieval.documents.0.document.id": "x", "retrieval.documents.1.document.id": "y"},
        {"gen_ai.retrieval.documents": told},
        {"gen_ai.retrieval.documents": json.dumps(told)},
    ):
        assert [doc_id for doc_id, _ in one({"gen_ai.operation.name": "retrieval", **about}).facts["found"]] == [
            "x",
            "y",
        ]


def test_a_passage_without_an_id_is_known_by_its_text() -> None:
    about = {f"retrieval.documents.{n}.document.content": passage(each) for n, each in enumerate("aba")}
    first, second, third = one(about).facts["found"]
    assert first[0].startswith("text:")
    assert first == third != second


def test_the_prompt_is_read_from_messages_in_json() -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "content": "Say\nso"}]}]
    assert "Say\nso" in one({"gen_ai.input.messages": json.dumps(messages)}).facts["prompt"]


def test_a_question_is_read_out_of_a_chains_input() -> None:
    assert one({"input.value": '{"question": "Why?", "k": 3}'}).facts["question"] == "Why?"
    assert one({"input.value": "Why?"}).facts["question"] == "Why?"
    assert "question" not in one({"input.value": "__REDACTED__"}).facts


def test_nothing_but_what_the_table_names_is_kept() -> None:
    about = {
        "openinference.span.kind": "LLM", "api_key": "sk-secret", "http.request.header.authorization": "Bearer secret",
        "user.id": "somebody", "metadata": '{"password": "secret"}', "embedding.embeddings.0.embedding.vector": [0.5],
    }  # fmt: skip
    assert one(about).facts == {"kind": "LLM"}


def test_a_file_may_hold_several_formats(tmp_path: Path) -> None:
    langfuse = {
        "id": "o1", "traceId": "t1", "type": "GENERATION", "name": "answer", "model": "gpt-4o-mini",
        "startTime": "2025-11-24T16:00:00.100+01:00", "endTime": "2025-11-24T16:00:01.100+01:00",
        "completionStartTime": "2025-11-24T16:00:00.350+01:00",
        "usageDetails": {"input": 90, "input_cached_tokens": 10, "output": 5}, "costDetails": {"total": 0.25},
        "input": [{"role": "user", "content": "Why?"}], "level": "ERROR", "parentObservationId": "o0",
    }  # fmt: skip
    phoenix = {
        "name": "retrieve", "span_kind": "RETRIEVER", "parent_id": None, "status_code": "OK",
        "context": {"trace_id": "t2", "span_id": "s2"}, "start_time": "2025-11-24T15:00:00+00:00",
        "end_time": "2025-11-24T15:00:00.5+00:00",
        "attributes": {"retrieval": {"documents": [{"document": {"id": "a"}}]}, "input": {"value": "Why?"}},
    }  # fmt: skip
    spans, account = read(write(tmp_path / "mixed.jsonl", [request(openinference()), langfuse, phoenix, {"other": 1}]))
    assert dict(account.spans) == {"OTLP": 5, "Langfuse": 1, "Phoenix": 1}
    assert account.foreign == 1
    generation, retrieval = spans[-2:]
    assert (generation.stage, generation.failed, generation.trace_id) == ("generate", True, "t1")
    assert generation.end_ns is not None
    assert generation.end_ns - generation.start_ns == 1000 * MS
    told = {
        name: generation.facts[name] for name in ("input_tokens", "cached_tokens", "output_tokens", "usd", "prompt")
    }
    assert told == {"input_tokens": 100, "cached_tokens": 10, "output_tokens": 5, "usd": 0.25, "prompt": "user\nWhy?"}
    assert generation.facts["first_token_s"] == 0.25
    assert (retrieval.stage, retrieval.facts["found"], retrieval.facts["question"]) == ("search", [["a", ""]], "Why?")
    assert generation.start_ns - retrieval.start_ns == 100 * MS  # 16:00 in Berlin is 15:00 in UTC


def test_an_event_of_langfuse_takes_no_time(tmp_path: Path) -> None:
    event = {"id": "o1", "traceId": "t1", "type": "EVENT", "name": "clicked", "startTime": "2025-11-24T16:00:00Z"}
    ((found,), _) = read(write(tmp_path / "events.jsonl", [event]))
    assert (found.stage, found.end_ns) == ("", DAY)


def test_phoenix_parquet_is_read(tmp_path: Path) -> None:
    rows = [
        {"context.trace_id": "t", "context.span_id": "s1", "parent_id": None, "name": "query", "span_kind": "CHAIN",
         "start_time": "2025-11-24T15:00:00Z", "end_time": "2025-11-24T15:00:01Z", "status_code": "OK",
         "attributes.input.value": "Why?", "attributes.ragprof": {"pipeline": "hybrid", "round": 0},
         "attributes.retrieval.documents": None},
        {"context.trace_id": "t", "context.span_id": "s2", "parent_id": "s1", "name": "retrieve",
         "span_kind": "RETRIEVER", "start_time": "2025-11-24T15:00:00Z", "end_time": "2025-11-24T15:00:00.25Z",
         "status_code": "ERROR", "attributes.input.value": "Why?",
         "attributes.retrieval.documents": [{"document.id": "a", "document.content": passage("a")}]},
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "spans.parquet")
    (chain, retrieve), account = read(tmp_path / "spans.parquet")
    assert dict(account.spans) == {"Phoenix Parquet": 2}
    assert (chain.stage, retrieve.stage, retrieve.parent_id, retrieve.failed) == ("", "search", "s1", True)
    assert retrieve.facts["found"][0][0] == "a"
    assert chain.service == "hybrid"  # of a trace that ragprof sent, since Phoenix keeps no resource


def test_spans_as_the_sdk_for_python_writes_them_are_read(tmp_path: Path) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace.export", reason="opentelemetry-sdk is not installed")
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    path = tmp_path / "spans.jsonl"
    with path.open("w", encoding="utf-8") as file:
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        exporter = sdk.ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
        provider.add_span_processor(sdk.SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("shop")
        kind = {"openinference.span.kind": "RERANKER"}
        with suppress(KeyError), tracer.start_as_current_span("answer"):
            with tracer.start_as_current_span("rerank", attributes=kind):
                pass
            raise KeyError
    (rerank, answer), account = read(path)
    assert dict(account.spans) == {"OpenTelemetry SDK": 2}
    assert (rerank.service, rerank.stage, rerank.parent_id, rerank.failed) == ("shop", "rerank", answer.span_id, False)
    assert (answer.trace_id, answer.parent_id, answer.failed) == (rerank.trace_id, "", True)
    assert answer.facts["error"] == "KeyError"


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(BadInput, match=r"no column 'context\.trace_id'; it has x"):
        read(tmp_path / "x.parquet")


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(request(openinference())).encode()))
    assert len(read(path)[0]) == 5


def test_a_last_line_that_was_cut_off_costs_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.jsonl", [request(openinference(1)), request(openinference(2))])
    path.write_text(path.read_text()[:-40])
    spans, account = read(path)
    assert (len(spans), account.unread, account.first_unread, account.cut_off) == (5, 1, 2, True)


def test_broken_lines_in_the_middle_are_counted_with_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    lines = [
        json.dumps(request(openinference(1))),
        "{broken",
        '{"resourceSpans": 5}',
        json.dumps(request(openinference(2))),
    ]
    path.write_text("\n".join(lines) + "\n")
    spans, account = read(path)
    assert (len(spans), account.unread, account.first_unread, account.cut_off) == (10, 2, 2, False)


def test_a_line_too_long_for_memory_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragprof.traces.reading.MOST_BYTES", 50_000)
    huge = span(1, 1, "x", 0, 1, {"input.value": "x" * 200_000}, parent=None)
    spans, account = read(write(tmp_path / "huge.jsonl", [request([huge]), request(openinference(2))]))
    assert (len(spans), account.too_long, account.unread) == (5, 1, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("hello\n", "no span in it"),
        ('{"a": 1}\n', "no span in it"),
        ("[1, 2]\n", "no span in it"),
        ('{\n  "name": "answer"\n}\n', "write each object on a line of its own, as jq -c does"),
    ],
)
def test_a_file_without_a_span_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match=says) as failure:
        read(path)
    assert failure.value.file == path


@pytest.mark.parametrize(
    ("state", "share"),
    [
        ("ot=th:8", 0.5),
        ("ot=th:c;rv:1", 0.25),
        ("vendor=1,ot=th:ff", 1 / 256),
        ("ot=th:0", None),
        ("ot=rv:1", None),
        ("", None),
    ],
)
def test_the_trace_state_tells_what_a_sampler_kept(state: str, share: float | None) -> None:
    assert kept_share(state) == share


def test_signs_of_samplers_are_kept() -> None:
    (found,) = spans_of(
        request([span(1, 1, "x", 0, 1, {"SampleRate": 4}, parent=None)], scope={"tailsampling.policy": "slow"})
    )
    assert found.facts["sampled"] == ["SampleRate", "tailsampling.policy"]


def test_an_instant_keeps_its_zone_and_its_digits() -> None:
    assert instant("2025-11-24T16:00:00.123456Z") == DAY + 123_456_000
    assert instant("2025-11-24T21:30:00.123456+05:30") == DAY + 123_456_000
    assert instant("2025-11-24T16:00:00") == DAY
    assert instant(DAY // 1_000_000) == DAY
    assert instant("yesterday") is None


def test_spans_of_a_trace_are_put_together_however_far_apart(tmp_path: Path) -> None:
    spans = [each for n in range(1, 41) for each in spans_of(request(openinference(n)))]
    mixed: Iterable[SpanFacts] = (spans[place] for place in sorted(range(200), key=lambda place: place % 5))
    traces = list(by_trace(mixed, total_bytes=10**9, beside=tmp_path))
    assert sorted(len(trace) for trace in traces) == [5] * 40
    assert sorted((each for trace in traces for each in trace), key=repr) == sorted(spans, key=repr)
    assert list(tmp_path.iterdir()) == []


def test_attributes_of_the_tests_are_otlps() -> None:
    assert attributes({"a": 1}) == [{"key": "a", "value": {"intValue": "1"}}]


USUAL: list[dict[str, Any]] = [
    request(openinference(), service="shop"),
    request([{**openinference()[0], "parentSpanId": None, "traceState": "ot=th:8", "status": {"code": 2}}]),
    request([
        span(1, 1, "c", 0, 10, {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.cost": 0.5, "x": True, "y": ["a"],
                                "gen_ai.input.messages": [{"role": "user", "parts": [{"content": "hello"}]}]}),
        {**span(2, 1, "chat", 0, 10, {"openinference.span.kind": "LLM"}),
         "events": [{"name": "exception", "attributes": attributes({"exception.type": "Timeout"})},
                    {"name": "gen_ai.first_token", "timeUnixNano": str(DAY + 4 * MS)}]},
    ]),
]  # fmt: skip


@pytest.mark.parametrize("line", USUAL)
def test_decoding_by_schema_and_patient_reading_tell_the_same(line: dict[str, Any]) -> None:
    assert exported_spans(json.dumps(line).encode()) == list(spans_of(line))


@pytest.mark.parametrize(
    "change",
    [
        {"trace_id": "1" * 32, "traceId": None},
        {"attributes": [{"key": "llm.token_count.prompt", "value": {"intValue": "twelve"}}]},
        {"attributes": [{"key": "input.value", "value": "hello"}]},
        {"attributes": [{"key": "input.value", "value": {"bytesValue": "aGVsbG8="}}]},
        {"startTimeUnixNano": None, "start_time_unix_nano": "1"},
        {"status": "OK"},
    ],
)
def test_what_does_not_fit_the_schema_is_left_to_patient_reading(change: dict[str, Any]) -> None:
    assert exported_spans(json.dumps(request([{**openinference()[0], **change}])).encode()) is None
