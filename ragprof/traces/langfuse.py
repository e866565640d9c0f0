"""Langfuse observations as JSON lines, as its export and its public API give them: one observation an object."""

from __future__ import annotations

from typing import Any

from ragprof.traces import SpanFacts
from ragprof.traces.attributes import Keep, document, mapping, question_of, texts_of
from ragprof.traces.otlp import UNNAMED
from ragprof.traces.times import instant
from ragprof.traces.vocabulary import stage_of

TOLD = frozenset({"kind", "model", "session", "question", "prompt", "found", "reranked", "offered"})
"""Facts that are no numbers."""


def is_observation(line: dict[str, Any]) -> bool:
    return (
        "type" in line and ("traceId" in line or "trace_id" in line) and ("startTime" in line or "start_time" in line)
    )


def span_of(line: dict[str, Any], keep: Keep | None = None) -> SpanFacts:
    """Return an observation as a span. Names are camel case from the API, snake case from exports to a blob store."""

    def get(camel: str, snake: str) -> Any:
        return line.get(camel) if line.get(camel) is not None else line.get(snake)

    start, end = instant(get("startTime", "start_time")) or 0, instant(get("endTime", "end_time"))
    if line.get("type") == "EVENT" and end is None:
        end = start
    kind, name = str(line.get("type") or ""), str(line.get("name") or "observation")
    usage = mapping(get("usageDetails", "usage_details") or line.get("usage"))
    cost = mapping(get("costDetails", "cost_details"))
    input_tokens = usage.get("input", get("promptTokens", "prompt_tokens"))
    cached = usage.get("input_cached_tokens", usage.get("cache_read_input_tokens"))
    told = {
        "kind": kind,
        "model": get("providedModelName", "provided_model_name") or line.get("model"),
        # Langfuse keeps cached tokens apart from the others; both were read.
        "input_tokens": None if input_tokens is None else int(input_tokens) + int(cached or 0),
        "output_tokens": usage.get("output", get("completionTokens", "completion_tokens")),
        "cached_tokens": cached,
        "total_tokens": usage.get("total"),
        "usd": cost.get("total", get("calculatedTotalCost", "total_cost")),
    }
    facts: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    if (first := instant(get("completionStartTime", "completion_start_time"))) is not None:
        facts["first_token_s"] = max(0, first - start) / 1e9
    stage = stage_of(facts, name)
    given, made = line.get("input"), line.get("output")
    if (session := get("sessionId", "session_id")) is not None:
        facts["session"] = session
    if (question := question_of(given)) is not None and stage != "generate":
        facts["question"] = question
    if stage == "generate" and given is not None:
        facts["prompt"] = "\n".join(texts_of(given))
    if stage in ("search", "rerank") and (documents := _documents(made, keep)):
        facts["found" if stage == "search" else "reranked"] = documents
    if stage == "rerank" and isinstance(given, dict) and (documents := _documents(given, keep)):
        facts["offered"] = documents
    facts = {name: value if name in TOLD else float(value) for name, value in facts.items()}
    for name in ("input_tokens", "output_tokens", "cached_tokens", "total_tokens"):
        if name in facts:
            facts[name] = int(facts[name])
    return SpanFacts(
        trace_id=str(get("traceId", "trace_id") or ""), span_id=str(line.get("id") or ""),
        parent_id=str(get("parentObservationId", "parent_observation_id") or ""),
        service=str(line.get("serviceName") or UNNAMED), name=name, start_ns=start,
        end_ns=end if end is not None and end >= start else None, stage=stage,
        failed=line.get("level") == "ERROR", facts=facts,
    )  # fmt: skip


def _documents(value: Any, keep: Keep | None) -> list[list[Any]]:
    """Passages of a retriever's output: objects with an id, a text, or metadata, in a list or under `documents`."""
    listed = value
    if isinstance(value, dict):
        listed = next((value[name] for name in ("documents", "docs", "results", "nodes") if name in value), None)
    if not isinstance(listed, list):
        return []
    documents = []
    for each in listed:
        if not isinstance(each, dict):
            continue
        metadata = mapping(each.get("metadata"))
        text = next((each[name] for name in ("page_content", "content", "text") if isinstance(each.get(name), str)), "")
        ids = (of.get(name) for of in (each, metadata) for name in ("id", "doc_id", "_id", "source"))
        documents.append(document(next(filter(None, ids), None), text, keep))
    return documents
