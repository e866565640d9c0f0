"""Spans of Phoenix: rows of its Parquet files and data frames, and lines of JSON with the same names.

OpenTelemetry's SDK for Python writes a span by itself (`ReadableSpan.to_json`) with these names and its resource.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragprof.core.errors import BadInput
from ragprof.traces import SpanFacts
from ragprof.traces.attributes import Keep, facts_of, flat, mapping
from ragprof.traces.otlp import UNNAMED
from ragprof.traces.times import instant
from ragprof.traces.vocabulary import FIRST_TOKEN_EVENTS, stage_of

BATCH = 1_000
PREFIX = "attributes."


def is_phoenix(line: dict[str, Any]) -> bool:
    return "context.trace_id" in line or (isinstance(line.get("context"), dict) and "trace_id" in line["context"])


def is_sdk(line: dict[str, Any]) -> bool:
    return is_phoenix(line) and isinstance(line.get("resource"), dict)


def span_of(line: dict[str, Any], keep: Keep | None = None) -> SpanFacts:
    """Return a row as a span. Attributes are nested under `attributes`, or columns whose names begin with that."""
    context, pairs = mapping(line.get("context")), list(flat(mapping(line.get("attributes"))))
    pairs += [
        pair for name, value in line.items() if name.startswith(PREFIX) for pair in flat(value, name[len(PREFIX) :])
    ]
    facts = facts_of([{"key": name, "value": value} for name, value in pairs], keep)
    if line.get("span_kind"):
        facts.setdefault("kind", line["span_kind"])
    name, start = str(line.get("name") or "span"), instant(line.get("start_time")) or 0
    # Phoenix keeps no resource; of ours the root says which pipeline it is of.
    own = next((value for key, value in pairs if key == "ragprof.pipeline"), None)
    resource = mapping(mapping(line.get("resource")).get("attributes"))
    named = resource.get("service.name") or line.get("project_name") or line.get("service")
    end, service = instant(line.get("end_time")), own or named or UNNAMED
    for event in line.get("events") or ():
        if not isinstance(event, dict):
            continue
        if event.get("name") == "exception":
            facts.setdefault("error", str(mapping(event.get("attributes")).get("exception.type") or "exception"))
        elif event.get("name") in FIRST_TOKEN_EVENTS and (first := instant(event.get("timestamp"))) is not None:
            facts.setdefault("first_token_s", max(0, first - start) / 1e9)
    return SpanFacts(
        trace_id=str(line.get("context.trace_id") or context.get("trace_id") or ""),
        span_id=str(line.get("context.span_id") or context.get("span_id") or ""),
        parent_id=str(line.get("parent_id") or ""), service=str(service), name=name, start_ns=start,
        end_ns=end if end is not None and end >= start else None, stage=stage_of(facts, name),
        failed="ERROR" in (line.get("status_code"), mapping(line.get("status")).get("status_code")), facts=facts,
    )  # fmt: skip


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, a batch in memory at a time. Raises BadInput for any other file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if not {"context.trace_id", "context"} & set(file.schema_arrow.names):
                raise BadInput(
                    f"no column 'context.trace_id'; it has {', '.join(file.schema_arrow.names[:8])}: these are no "
                    "spans of Phoenix",
                    file=path,
                )
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    yield {name: _as_text(value) for name, value in row.items() if value is not None}
    except (OSError, ValueError, OverflowError, pa.ArrowException) as failure:
        raise BadInput(f"not a readable Parquet file ({failure}); export it again", file=path) from None


def _as_text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
