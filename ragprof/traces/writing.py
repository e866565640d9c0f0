"""Spans to OTLP's JSON: one export request a line, as a collector's file receiver reads it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

INTERNAL = 1
"""SPAN_KIND_INTERNAL: what a pipeline does itself, or asks a library to do."""


@dataclass(frozen=True, slots=True)
class SpanToWrite:
    """One span. Times are ns since 1970 in UTC. `parent` is a place among the spans of its trace, None for the root."""

    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    parent: int | None


def request_line(key: str, spans: Sequence[SpanToWrite], resource: Mapping[str, Any]) -> bytes:
    """Return one trace as a line. Its ids are made of `key`, so that equal keys give equal ids."""
    return msgspec.json.encode(as_request([trace_of(key, spans, resource)])) + b"\n"


def as_request(traces: Sequence[Mapping[str, Any]], *, base64: bool = False) -> dict[str, Any]:
    """Return an export request. Ids are in hex, as OTLP's JSON has them; in `base64` for protobuf's own JSON."""
    if not base64:
        return {"resourceSpans": list(traces)}
    return {"resourceSpans": [{**trace, "scopeSpans": [_in_base64(each) for each in trace["scopeSpans"]]}
                              for trace in traces]}  # fmt: skip


def _in_base64(scope: Mapping[str, Any]) -> dict[str, Any]:
    ids = ("traceId", "spanId", "parentSpanId")
    spans = [
        {**span, **{name: b64encode(bytes.fromhex(span[name])).decode() for name in ids if name in span}}
        for span in scope["spans"]
    ]
    return {**scope, "spans": spans}


def trace_of(key: str, spans: Sequence[SpanToWrite], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return one trace as OTLP's `ResourceSpans`, with ids in hex."""
    trace_id = _id(key, 16)
    written = [
        {
            "traceId": trace_id,
            "spanId": _id(f"{key}/{place}", 8),
            **({} if span.parent is None else {"parentSpanId": _id(f"{key}/{span.parent}", 8)}),
            "name": span.name,
            "kind": INTERNAL,
            "startTimeUnixNano": str(span.start_ns),
            "endTimeUnixNano": str(span.end_ns),
            "attributes": _attributes(span.attributes),
            "status": {},
        }
        for place, span in enumerate(spans)
    ]
    scope = {"name": "ragprof", "version": str(resource.get("ragprof.version", ""))}
    return {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": written}]}


def _id(key: str, size: int) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[: 2 * size]


def _attributes(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in of.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _attributes(value)}}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": str(value)}
