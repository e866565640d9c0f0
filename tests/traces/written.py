"""Traces as other tools write them, one RAG query each, for the tests: literal shapes with chosen numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MS = 1_000_000
DAY = 1_764_000_000 * 10**9
"""2025-11-24T16:00:00Z in ns."""


def value(of: Any) -> dict[str, Any]:
    if isinstance(of, bool):
        return {"boolValue": of}
    if isinstance(of, int):
        return {"intValue": str(of)}
    if isinstance(of, float):
        return {"doubleValue": of}
    if isinstance(of, list):
        return {"arrayValue": {"values": [value(each) for each in of]}}
    if isinstance(of, dict):
        return {"kvlistValue": {"values": attributes(of)}}
    return {"stringValue": of}


def attributes(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(each)} for key, each in of.items()]


def span(
    trace: int,
    number: int,
    name: str,
    start_ms: float,
    end_ms: float | None,
    about: Mapping[str, Any],
    *,
    parent: int | None = 1,
    **more: Any,
) -> dict[str, Any]:
    """A span of OTLP's JSON. Times are ms after DAY; spans are numbered within the trace, the root is 1."""
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{trace * 1000 + number:016x}",
        **({} if parent is None else {"parentSpanId": f"{trace * 1000 + parent:016x}"}),
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(DAY + round(start_ms * MS)),
        **({} if end_ms is None else {"endTimeUnixNano": str(DAY + round(end_ms * MS))}),
        "attributes": attributes(about),
        "status": {},
        **more,
    }


def documents(prefix: str, ids: Sequence[str], *, texts: bool = True) -> dict[str, Any]:
    """Passages as OpenInference numbers them."""
    found: dict[str, Any] = {}
    for place, doc_id in enumerate(ids):
        found[f"{prefix}.{place}.document.id"] = doc_id
        found[f"{prefix}.{place}.document.score"] = 1.0 - place / 100
        if texts:
            found[f"{prefix}.{place}.document.content"] = passage(doc_id)
    return found


def passage(doc_id: str) -> str:
    return f"Passage {doc_id} says at some length what {doc_id} is about, so that it can be told from every other one."


def openinference(
    trace: int = 1,
    *,
    at_ms: float = 0.0,
    question: str | None = None,
    found: Sequence[str] = ("a", "b", "c", "d"),
    reranked: Sequence[str] | None = ("b", "a"),
    in_prompt: Sequence[str] | None = None,
    llm: Mapping[str, Any] | None = None,
    scale: float = 1.0,
) -> list[dict[str, Any]]:
    """Embed 10 ms inside search 40 ms, rerank 20 ms, generate 100 ms, in a chain of 180 ms: 10 ms are nobody's.

    Each trace asks a question of its own unless it is named.
    """
    question = question or f"How many days of leave are there, asked for the {trace}th time?"

    def at(ms: float) -> float:
        return at_ms + ms * scale

    used = in_prompt if in_prompt is not None else reranked if reranked is not None else found[:2]
    prompt = "\n".join([*(passage(doc_id) for doc_id in used), question])
    spans = [
        span(trace, 1, "answer", at(0), at(180), {"openinference.span.kind": "CHAIN", "input.value": question},
             parent=None),
        span(trace, 2, "retrieve", at(5), at(55),
             {"openinference.span.kind": "RETRIEVER", "input.value": question,
              **documents("retrieval.documents", found)}),
        span(trace, 3, "embed", at(5), at(15),
             {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "text-embedding-3-small",
              "llm.token_count.prompt": 8, "embedding.embeddings.0.embedding.vector": [0.1, 0.2]}, parent=2),
    ]  # fmt: skip
    if reranked is not None:
        spans.append(
            span(trace, 4, "rerank", at(55), at(75),
                 {"openinference.span.kind": "RERANKER", "reranker.model_name": "rerank-v3.5", "llm.provider": "cohere",
                  "reranker.query": question,
                  **documents("reranker.input_documents", found), **documents("reranker.output_documents", reranked)})
        )  # fmt: skip
    told = llm if llm is not None else {"llm.model_name": "gpt-4o-mini", "llm.provider": "openai",
                                        "llm.token_count.prompt": 1000, "llm.token_count.completion": 100}  # fmt: skip
    spans.append(
        span(trace, 5, "ChatOpenAI", at(78), at(178),
             {"openinference.span.kind": "LLM", **told, "llm.input_messages.0.message.role": "user",
              "llm.input_messages.0.message.content": prompt, "gen_ai.response.time_to_first_chunk": 0.025 * scale})
    )  # fmt: skip
    return spans


def request(
    spans: Sequence[Mapping[str, Any]], *, service: str = "shop", scope: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An export request with one resource."""
    about = {"name": "tests", **({"attributes": attributes(scope)} if scope else {})}
    resource = {"attributes": attributes({"service.name": service})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": about, "spans": list(spans)}]}]}


def write(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
