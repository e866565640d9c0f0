"""Spans in and out: traces that other tools recorded, read as spans with stages, and a recording written as spans.

Reads OTLP JSON lines, Langfuse observations and Phoenix spans, with OpenInference or OpenTelemetry GenAI attributes.
Knows no price, no judgement and no report. Keeps of a span only what `vocabulary` names, so that nothing else of what
somebody traced (secrets, user ids, whole vectors) is ever written anywhere.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ragprof.core import STAGES


class SpanFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One span as it was read: what it did, when, and what `vocabulary` knows of its attributes.

    Times are ns since 1970 in UTC. `end_ns` is None for a span that never ended or that ended before it began. `stage`
    is one of STAGES, empty for a span that only holds others together, or `other:<name>`.
    """

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int | None
    stage: str
    failed: bool
    facts: dict[str, Any]


RAG_STAGES = frozenset(STAGES)
