"""Spans that an app emits by OpenTelemetry, caught in memory while a question runs: those of OpenInference and GenAI.

A processor of ours is added to the tracer provider that the app has set, and hears nothing outside a profile. Nothing
is exported from here, and what the app exports itself goes where it always went.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakSet

from ragprof.core import STAGES
from ragprof.core.spans import AppSpan, Listener, listening

SOURCE = "OpenTelemetry spans of the app"
LISTS = {"search": "retrieval.documents", "rerank": "reranker.output_documents", "inject": "input.documents"}
"""Where a span of a stage has the documents that left it, as OpenInference numbers them."""
UNITS = ("input_tokens", "output_tokens")


@contextmanager
def watched(_listener: Listener) -> Iterator[None]:
    """Hear what the provider emits that is set by now; without OpenTelemetry in the process there is nothing."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import trace

        provider = trace.get_tracer_provider()
        if hasattr(provider, "add_span_processor") and provider not in _heard():
            provider.add_span_processor(_processor_class()())
            _heard().add(provider)
    yield


@cache
def _heard() -> WeakSet[Any]:
    """The providers that have a processor of ours."""
    return WeakSet()


@cache
def _processor_class() -> Any:
    from opentelemetry.sdk.trace import SpanProcessor

    class SpanCatcher(SpanProcessor):  # type: ignore[misc]  # its package is not read by mypy
        """Times spans by the clock of the question that they are part of."""

        def __init__(self) -> None:
            self._open: dict[int, tuple[Listener, AppSpan]] = {}

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if (here := listening()) is None:
                return
            listener = here[0]
            above = self._open.get(span.parent.span_id) if span.parent is not None else None
            parent = above[1] if above is not None and above[0] is listener else None
            self._open[span.context.span_id] = (listener, listener.begin(span.name, SOURCE, parent))

        def on_end(self, span: Any) -> None:
            found = self._open.pop(span.context.span_id, None)
            if found is not None:
                listener, caught = found
                listener.end(caught)
                _describe(caught, span.name, span.attributes or {})

    return SpanCatcher


def _describe(caught: AppSpan, name: str, attributes: Mapping[str, Any]) -> None:
    """What its attributes say: its stage, documents, prompt and tokens."""
    from ragprof.traces.attributes import facts_of
    from ragprof.traces.vocabulary import stage_of

    facts = facts_of(attributes.items())
    stage = stage_of(facts, name)
    caught.name = stage if stage in STAGES else name
    caught.prompt = facts.get("prompt") if stage == "generate" else None
    caught.candidates = facts.get("candidates", len(facts["offered"]) if "offered" in facts else None)
    caught.usage = {unit: facts[unit] for unit in UNITS if unit in facts} if stage == "generate" else {}
    if stage in LISTS:
        found = documents_in(attributes, LISTS[stage]) or [{"id": doc_id} for doc_id, _ in facts.get("found", ())]
        caught.documents = found or None


def documents_in(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Documents that are numbered under a prefix, in their order: id, text, score and metadata, as far as told."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if not name.startswith(f"{prefix}."):
            continue
        number, _, rest = name.removeprefix(f"{prefix}.").partition(".")
        if not number.isdigit():
            continue
        field = rest.removeprefix("document.")
        found.setdefault(int(number), {})["text" if field == "content" else field] = _metadata(field, value)
    return [found[number] for number in sorted(found)]


def _metadata(field: str, value: Any) -> Any:
    if field != "metadata" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
