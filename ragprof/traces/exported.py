"""OTLP's JSON lines as collectors and SDKs export them, decoded by schema: nothing else of a line becomes objects.

A line of a hundred spans is a megabyte of dictionaries otherwise, of which a tenth is ever looked at. Whatever does not
fit the schema to the letter (former names, other types, half a line) is not read here but by `otlp`, which is patient.
Of what fits, both say the same.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ragprof.traces import SpanFacts
from ragprof.traces.attributes import SAMPLED, UNREADABLE, Keep, facts_at, plain
from ragprof.traces.otlp import UNNAMED, spoken_span

BEGINNING = b'{"resourceSpans"'
"""How a line begins that is worth a try."""


class Told(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An AnyValue: one of its members is there, or none."""

    stringValue: str | None = None  # noqa: N815  # as OTLP has it
    intValue: str | int | None = None  # noqa: N815
    doubleValue: float | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815
    arrayValue: Any = None  # noqa: N815
    kvlistValue: Any = None  # noqa: N815


class Attribute(msgspec.Struct, gc=False):
    """A name and what it tells."""

    key: str
    value: Told | None = None


class ExportedSpan(msgspec.Struct):
    """What is read of a span."""

    traceId: str  # noqa: N815
    spanId: str  # noqa: N815
    startTimeUnixNano: str | int  # noqa: N815
    name: str = ""
    parentSpanId: str | None = None  # noqa: N815
    endTimeUnixNano: str | int | None = None  # noqa: N815
    attributes: list[Attribute] = []
    events: list[dict[str, Any]] | None = None
    status: dict[str, Any] | None = None
    traceState: str | None = None  # noqa: N815


class ExportedScope(msgspec.Struct):
    """Spans of one library."""

    spans: list[ExportedSpan]
    scope: dict[str, Any] | None = None


class ExportedResource(msgspec.Struct):
    """What names the service."""

    attributes: list[Attribute] = []


class ExportedSpans(msgspec.Struct):
    """Spans of one service."""

    scopeSpans: list[ExportedScope]  # noqa: N815
    resource: ExportedResource | None = None
    scope_spans: None = None
    instrumentationLibrarySpans: None = None  # noqa: N815


class ExportRequest(msgspec.Struct):
    """One line."""

    resourceSpans: list[ExportedSpans]  # noqa: N815


DECODER = msgspec.json.Decoder(ExportRequest)


def exported_spans(line: bytes, keep: Keep | None = None) -> list[SpanFacts] | None:
    """Return the spans of a line in their order; None where it is not to the letter what an exporter writes."""
    if not line.startswith(BEGINNING):
        return None
    found: list[SpanFacts] = []
    try:
        for exported in DECODER.decode(line).resourceSpans:
            named = exported.resource.attributes if exported.resource is not None else ()
            services = [value_of(each) for each in named if each.key == "service.name"]
            service = str((services[-1] if services else None) or UNNAMED)
            for scope in exported.scopeSpans:
                about = (scope.scope or {}).get("attributes") or ()
                sampled = [str(each.get("key")) for each in about if each.get("key") in SAMPLED]
                found += [_span(span, service, sampled, keep) for span in scope.spans]
    except (msgspec.DecodeError, *UNREADABLE):
        return None
    return found


def _span(span: ExportedSpan, service: str, sampled: list[str], keep: Keep | None) -> SpanFacts:
    attributes = span.attributes
    names = tuple([each.key for each in attributes])
    return spoken_span(
        (span.traceId, span.spanId, span.parentSpanId or ""), service, span.name, span.startTimeUnixNano,
        span.endTimeUnixNano, facts_at(names, attributes, value_of, keep),
        span.events or (), sampled, span.traceState, span.status,
    )  # fmt: skip


def value_of(attribute: Attribute) -> Any:
    """The plain value, as `attributes.plain` has it."""
    told = attribute.value
    if told is None or (text := told.stringValue) is not None:
        return None if told is None else text
    if (number := told.intValue) is not None:
        return int(number)
    if told.arrayValue is not None:
        return plain({"arrayValue": told.arrayValue})
    if told.kvlistValue is not None:
        return plain({"kvlistValue": told.kvlistValue})
    return told.boolValue if told.doubleValue is None else told.doubleValue
