"""Cold start: the first call of each part in this process, after its model was loaded and before anything warmed it.

A part that several pipelines share is cold once; each of them shows that one span. Kept apart from the rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragprof.clock import Clock
from ragprof.core import Query, Span, StageName, Trace
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.stages import Part


class ColdStarts:
    """First spans by part. `embedders` must be called before any document is embedded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[int, Span] = {}

    def embedders(self, pipelines: Sequence[Parts], query: Query) -> None:
        """Take the first call of every embedder."""
        for parts in pipelines:
            if parts.embedder is not None and id(parts.embedder) not in self._first:
                start = self._clock()
                parts.embedder.embed_queries([query.text])
                self._first[id(parts.embedder)] = Span("embed", start, self._clock() - start)

    def queries(self, pipelines: Sequence[Parts], query: Query) -> dict[str, Trace]:
        """One cold trace a pipeline, put together from the first spans of its parts."""
        return {parts.name: self._cold(parts, query) for parts in pipelines}

    def _cold(self, parts: Parts, query: Query) -> Trace:
        _, trace = traced(parts, query, self._clock)
        stages: dict[StageName, Part | None] = {
            "embed": parts.embedder,
            "search": parts.store,
            "rerank": parts.reranker,
            "inject": parts.injector,
            "generate": parts.generator,
        }
        spans = tuple(self._first.setdefault(id(stages[span.stage]), span) for span in trace.spans)
        return Trace(query.query_id, spans, trace.start_ns, sum(span.duration_ns for span in spans))
