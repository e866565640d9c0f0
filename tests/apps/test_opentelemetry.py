"""Spans that an app emits by the OpenTelemetry SDK, with OpenInference or GenAI attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from passages import DOCS

pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
from one_provider import provider
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ragprof
from ragprof.core import Query
from ragprof.record.opentelemetry import SOURCE, documents_in
from ragprof.record.pipeline import Pipeline

QUERY = Query("q1", "why?")
EXPORTED = InMemorySpanExporter()


@pytest.fixture(scope="module")
def tracer() -> Iterator[Any]:
    """Of an app with an exporter of its own."""
    processor = SimpleSpanProcessor(EXPORTED)
    provider().add_span_processor(processor)
    yield trace.get_tracer("app")
    processor.shutdown()


def test_spans_of_both_vocabularies_are_caught_with_documents_and_tokens(tracer: Any) -> None:
    def rag(question: str) -> str:
        with tracer.start_as_current_span("chain", attributes={"openinference.span.kind": "CHAIN"}):
            with tracer.start_as_current_span("VectorStoreRetriever") as span:
                span.set_attribute("openinference.span.kind", "RETRIEVER")
                for place, doc in enumerate((DOCS[9], DOCS[1])):
                    name = f"retrieval.documents.{place}.document"
                    span.set_attribute(f"{name}.content", doc.content)
                    span.set_attribute(f"{name}.metadata", json.dumps({"page": doc.doc_id}))
                with tracer.start_as_current_span("embeddings m", attributes={"gen_ai.operation.name": "embeddings"}):
                    pass
            with tracer.start_as_current_span("chat m") as span:
                span.set_attribute("gen_ai.operation.name", "chat")
                span.set_attribute("gen_ai.usage.input_tokens", 70)
                span.set_attribute("gen_ai.usage.output_tokens", 3)
            with ragprof.span("clean up"):
                pass
        return "twice a month"

    app = Pipeline("prod", app=rag, doc_id="metadata.page").parts().app
    assert app is not None
    app.add(DOCS, None)
    answer, times, _ = app.told(QUERY, app.hear(QUERY, watched=True))
    assert {stage: time.source for stage, time in times.items()} == {
        "other:chain": SOURCE, "search": SOURCE, "embed": SOURCE, "generate": SOURCE, "other:clean up": "ragprof.span",
    }  # fmt: skip
    assert [item.doc.doc_id for item in answer.rankings["search"]] == ["d09", "d01"]
    assert answer.usage["generate"] == {"requests": 1, "input_tokens": 70, "output_tokens": 3}


def test_outside_a_profile_nothing_is_caught_and_the_app_exports_as_ever(tracer: Any) -> None:
    EXPORTED.clear()
    with tracer.start_as_current_span("alone"):
        pass
    assert [span.name for span in EXPORTED.get_finished_spans()] == ["alone"]


def test_documents_stand_in_the_order_of_their_numbers() -> None:
    at = "retrieval.documents"
    attributes = {f"{at}.10.document.id": "b", f"{at}.2.document.id": "a", f"{at}.x": 1}
    assert documents_in(attributes, at) == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "LLM", "gen_ai.input.messages": "[" * 1_000 + "]" * 1_000},
        {"openinference.span.kind": "RETRIEVER", "retrieval.documents.².document.id": "d01"},
    ],
)
def test_attributes_that_cannot_be_read_do_not_reach_the_app(tracer: Any, attributes: dict[str, str]) -> None:
    def rag(question: str) -> list[str]:
        with tracer.start_as_current_span("odd", attributes=attributes):
            pass
        return ["d01"]

    app = Pipeline("prod", app=rag).parts().app
    assert app is not None
    app.add(DOCS, None)
    assert [item.doc.doc_id for item in app.answer(QUERY).rankings["search"]] == ["d01"]
