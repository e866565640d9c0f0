"""Spans that an app emits by OpenTelemetry, caught in memory while a question runs: those of OpenInference and GenAI.

A processor of ours is added to the tracer provider that the app has set, and hears nothing outside a profile. Nothing
is exported from here, and what the app exports itself goes where it always went.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from weakref import WeakSet

from ragprof.core import STAGES
from ragprof.core.spans import MARK, AppSpan, Listener, listening

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
                with suppress(Exception):  # whatever its attributes hold, the app goes on as it would without us
                    _describe(caught, span.name, span.attributes or {})

    return SpanCatcher


def _describe(caught: AppSpan, name: str, attributes: Mapping[str, Any]) -> None:
    """What its attributes say: its stage, documents, prompt and tokens."""
    from ragprof.traces.attributes import facts_of
    from ragprof.traces.vocabulary import stage_of

    facts = facts_of([{"key": key, "value": value} for key, value in attributes.items()])
    stage = stage_of(facts, name)
    caught.name = stage if stage in STAGES else name
    caught.prompt = facts.get("prompt") if stage == "generate" else None
    caught.candidates = facts.get("candidates", len(facts["offered"]) if "offered" in facts else None)
    caught.usage = {unit: facts[unit] for unit in UNITS if unit in facts} if stage == "generate" else {}
    if stage in LISTS:
        found = documents_in(attributes, LISTS[stage]) or [{"id": doc_id} for doc_id, _ in facts.get("found", ())]
        caught.documents = found or None


def without_twins(spans: Sequence[AppSpan]) -> list[AppSpan]:
    """The spans without those of OpenTelemetry that tell of the same work as a hook of the framework.

    An instrumentor and a hook hear of a call one after the other, so that their spans overlap without one being in the
    other. What the one that goes knows, and the other does not, is kept.
    """
    caught = [span for span in spans if span.source == SOURCE]
    hooked = [span for span in spans if span.source not in (SOURCE, MARK)]
    pairs = [(*likeness, mine, own) for mine in caught for own in hooked if (likeness := _likeness(mine, own))]
    twins: dict[AppSpan, AppSpan] = {}
    taken = set[AppSpan]()
    for same, _, mine, own in sorted(pairs, key=lambda pair: pair[:2], reverse=True):
        # Several of one stage may be about one call: a wrapper's span, and one within it.
        if mine not in twins and (same or own not in taken):
            twins[mine] = own
            taken.add(own)
            for field in ("documents", "candidates", "prompt", "text", "first_ns"):
                if getattr(own, field) is None and not (field == "documents" and own.returned is not None):
                    setattr(own, field, getattr(mine, field))
            own.usage = own.usage or mine.usage
    for span in spans:
        span.parent = twins.get(span.parent, span.parent) if span.parent is not None else None
    return [span for span in spans if span not in twins]


def _likeness(mine: AppSpan, own: AppSpan) -> tuple[bool, float] | None:
    """Whether both are of one stage, and what they share of the longer one's time; None for no twins."""
    mine_end, own_end = mine.end_ns or mine.start_ns, own.end_ns or own.start_ns
    shared = min(mine_end, own_end) - max(mine.start_ns, own.start_ns)
    longest = max(mine_end - mine.start_ns, own_end - own.start_ns)
    if shared <= 0 or longest <= 0 or (mine.name in STAGES and mine.name != own.name):
        return None
    is_within = mine.start_ns <= own.start_ns and own_end <= mine_end
    is_around = own.start_ns <= mine.start_ns and mine_end <= own_end
    same = mine.name == own.name
    if shared <= longest / 2 and (is_within or is_around or not same):
        return None
    return same, shared / longest


def documents_in(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Documents that are numbered under a prefix, in their order: id, text, score and metadata, as far as told."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if not name.startswith(f"{prefix}."):
            continue
        number, _, rest = name.removeprefix(f"{prefix}.").partition(".")
        if not number.isdecimal():
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
