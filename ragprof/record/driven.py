"""A recording whose live queries are asked for from outside, one at a time: by whoever compares two processes.

Everything else is as in `record.recording`. The rounds of both sides of a comparison are interleaved by the asker.
"""

from __future__ import annotations

from collections.abc import Mapping

from ragprof import environment
from ragprof.core import Query
from ragprof.errors import BadInput
from ragprof.record.flops import count_flops
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.record.rankings import Ranked
from ragprof.record.recording import Bench, Ready, Subject, clear, rank, ready, shuffled, write
from ragprof.record.timings import Timings


class Driven:
    """Loads, embeds and builds when it is made. Ranks for quality when `rank` is called, which must be before `write`.

    Raises as the record pass does.
    """

    def __init__(self, subject: Subject, bench: Bench) -> None:
        self._subject, self._bench = subject, bench
        clear(bench.folder)
        self._made: Ready = ready(subject, bench)
        self._ranked: dict[str, Ranked] = {}
        self._timings = Timings()
        self._parts: Mapping[str, Parts] = {parts.name: parts for parts in subject.pipelines}
        self._queries: Mapping[str, Query] = {query.query_id: query for query in subject.queries}

    def rank(self) -> None:
        """Rankings of every pipeline, from what the cache has and the rest computed."""
        self._ranked = rank(self._subject, self._made.embedding, self._bench)

    def ask(self, pipeline: str, query_id: str, *, phase: str, number: int) -> dict[str, int]:
        """One live query: ns by stage, and of the whole as `query`. Kept in the spans under `phase`."""
        if pipeline not in self._parts or query_id not in self._queries:
            raise BadInput(f"there is no pipeline '{pipeline}' or no query '{query_id}' on this side")
        answer, trace = traced(self._parts[pipeline], self._queries[query_id], self._bench.clock)
        self._timings.add(pipeline, phase, number, trace)
        self._timings.add_usage(pipeline, answer)
        return {"query": trace.duration_ns, **{span.stage: span.duration_ns for span in trace.spans}}

    def write(self, *, job: str) -> None:
        """Count what is to be counted and write the recording; recordings of one `job` were interleaved."""
        order = shuffled(self._subject.queries, self._subject.config.seed)
        counted = order[: self._subject.config.gate.flop_queries]
        count_flops(self._subject.pipelines, counted, self._timings, self._bench.progress)
        self._timings.peaks = dict.fromkeys(self._parts, environment.peak_rss_bytes())
        write(self._subject, self._bench, self._made, self._ranked, self._timings, job=job)
