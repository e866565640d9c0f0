"""OTLP as JSON lines: one `resourceSpans` object a line, as the collector's file exporter and the SDKs write it.

Ids are hex, as OTLP's JSON has them, or base64, as protobuf's own JSON has them; times are ns, as text or as a number.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any

from ragprof.traces import SpanFacts
from ragprof.traces.attributes import SAMPLED, Keep, facts_of, plain
from ragprof.traces.vocabulary import FIRST_TOKEN_EVENTS, stage_of

UNNAMED = "traces"
"""The service of spans that name none."""
NO_IDS = ("0" * 32, "0" * 16)
FAILED = (2, "STATUS_CODE_ERROR", "ERROR")


def is_otlp(line: dict[str, Any]) -> bool:
    return "resourceSpans" in line or "resource_spans" in line or "startTimeUnixNano" in line


def spans_of(line: dict[str, Any], keep: Keep | None = None) -> Iterator[SpanFacts]:
    """Yield the spans of one line: of an export request, or one span alone."""
    if "startTimeUnixNano" in line:
        yield span_of(line, UNNAMED, (), keep)
        return
    for resource_spans in line.get("resourceSpans") or line.get("resource_spans") or ():
        resource = (resource_spans.get("resource") or {}).get("attributes") or ()
        named = [each for each in resource if isinstance(each, dict) and each.get("key") == "service.name"]
        service = str((plain(named[-1].get("value")) if named else None) or UNNAMED)
        for part in ("scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
            for scope in resource_spans.get(part) or ():
                about = (scope.get("scope") or {}).get("attributes") or ()
                sampled = [str(each.get("key")) for each in about if each.get("key") in SAMPLED]
                for span in scope.get("spans") or ():
                    yield span_of(span, service, sampled, keep)


def span_of(span: dict[str, Any], service: str, sampled: Any, keep: Keep | None = None) -> SpanFacts:
    """Return one span. What its events and its state of sampling tell is among its facts."""
    get = span.get
    ids = (
        get("traceId") or get("trace_id") or "", get("spanId") or get("span_id") or "",
        get("parentSpanId") or get("parent_span_id") or "",
    )  # fmt: skip
    return spoken_span(
        ids, service, str(get("name") or "span"), get("startTimeUnixNano") or get("start_time_unix_nano"),
        get("endTimeUnixNano") or get("end_time_unix_nano"), facts_of(get("attributes") or (), keep),
        get("events") or (), sampled, get("traceState"), get("status"),
    )  # fmt: skip


def spoken_span(
    ids: tuple[str, str, str], service: str, name: str, started: Any, ended: Any, facts: dict[str, Any],
    events: Sequence[dict[str, Any]], sampled: Sequence[str], state: Any, status: Any,
) -> SpanFacts:  # fmt: skip
    """Return a span of its members as they are written; `ids` are those of trace, span and parent."""
    start, end = nanoseconds(started), nanoseconds(ended)
    trace_id, span_id, parent_id = ids
    for event in events:
        called = event.get("name")
        if called == "exception" and "error" not in facts:
            facts |= {"error": _event_fact(event, "exception.type") or "exception"}
        elif called in FIRST_TOKEN_EVENTS and "first_token_s" not in facts:
            facts["first_token_s"] = max(0, nanoseconds(event.get("timeUnixNano")) - start) / 1e9
    if sampled:
        facts.setdefault("sampled", []).extend(sampled)
    if state and (share := kept_share(str(state))) is not None:
        facts["kept_share"] = share
    return SpanFacts(
        hexadecimal(trace_id, 32), hexadecimal(span_id, 16), hexadecimal(parent_id, 16) if parent_id else "", service,
        name or "span", start, end if end and end >= start else None, stage_of(facts, name or "span"),
        bool(status) and status.get("code") in FAILED, facts,
    )  # fmt: skip


def nanoseconds(value: Any) -> int:
    """Return a time as it is written, text or number, in ns; 0 for none."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def hexadecimal(written: str, size: int) -> str:
    """Return an id in hex, `size` digits, whether it was written so or in base64; empty for none and for zeros."""
    if len(written) == size:
        return "" if written in NO_IDS else written.lower()
    if not written:
        return ""
    try:
        return base64.b64decode(written, validate=True).hex()
    except (binascii.Error, ValueError):
        return written


def kept_share(state: str) -> float | None:
    """Return the share of traces that a sampler kept, by OpenTelemetry's `ot=th:` in the trace state; None where all.

    `th` is the threshold below which a trace was dropped, hex digits of 56 bits, trailing zeros left out
    (opentelemetry.io, TraceState: Probability Sampling).
    """
    for member in state.split(","):
        vendor, _, rest = member.strip().partition("=")
        if vendor != "ot":
            continue
        for part in rest.split(";"):
            key, _, digits = part.partition(":")
            if key == "th" and digits:
                try:
                    share = 1 - int(digits.ljust(14, "0")[:14], 16) / (1 << 56)
                except ValueError:
                    return None
                return share if share < 1 else None
    return None


def _event_fact(event: dict[str, Any], name: str) -> str:
    found = {each.get("key"): plain(each.get("value")) for each in event.get("attributes") or ()}
    return str(found.get(name) or "")
