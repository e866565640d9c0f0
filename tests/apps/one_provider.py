"""OpenTelemetry's tracer provider, which can be set once for the process."""

from __future__ import annotations

from functools import cache

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider


@cache
def provider() -> TracerProvider:
    """As an app sets it up."""
    made = TracerProvider()
    trace.set_tracer_provider(made)
    return made
