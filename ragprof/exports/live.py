"""Traces that are sent while a recording is made: OTLP over HTTP, to a collector, to Phoenix or whatever takes them.

Nothing is sent while anything is timed: what a round has asked waits, at most so many traces, until the round is over.
A server that fails costs traces and never the recording; how many, and why, is told once. Needs
ragprof[opentelemetry]; headers, such as those with a key, come from OpenTelemetry's own environment variables.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx2

from ragprof.core import Query
from ragprof.core.clock import Clock, Progress, now_ns, wall_ns
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, MissingPackage
from ragprof.evals import EvalConfig
from ragprof.exports.spans import PipelineRecord, SpanTexts, resource_of, spans_of
from ragprof.parts.http.calls import is_loopback, plain_url
from ragprof.record.recording import redacted
from ragprof.record.timings import TimedQuery
from ragprof.traces.privacy import hidden, shown
from ragprof.traces.writing import as_request, trace_of

PATH = "/v1/traces"
EXTRA = "pip install 'ragprof[opentelemetry]'"
HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
TIMEOUT_S = 10.0
TRACES_A_REQUEST = 100
MOST_WAITING = 10_000
"""Traces that wait to be sent; of a round with more the rest are lost, and counted."""
BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which the protocol has a client try again."""


class LiveTraces:
    """Takes timed queries and sends them when `send` is called; `close` sends the rest and tells what became of all.

    `texts` sends questions and passages too, as far as OPENINFERENCE_HIDE_* lets them be seen.
    """

    def __init__(
        self, address: str, config: EvalConfig, *, texts: bool, progress: Progress, clock: Clock = now_ns
    ) -> None:
        """Raises BadInput for an address or a header that is none, and MissingPackage."""
        try:
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: F401
        except ImportError:
            raise MissingPackage(f"sending traces needs the package opentelemetry-proto: {EXTRA}") from None
        try:
            base = plain_url(address)
        except BadInput as problem:
            raise BadInput(problem.message.replace("base_url", "--otlp")) from None
        self.address = base if base.endswith(PATH) else f"{base}{PATH}"
        self._configs = {each.name: redacted(each.model_dump(mode="json")) for each in config.pipelines}
        self._eval, self._texts, self._progress, self._clock = config.name, texts, progress, clock
        self._key, self._hidden = uuid4().hex, hidden(os.environ)
        self._headers = headers_of(os.environ)
        self._waiting: deque[tuple[int, TimedQuery]] = deque()
        self._sent, self._lost = 0, Counter[str]()
        self._number = 0
        self._client = httpx2.Client(timeout=TIMEOUT_S, trust_env=not is_loopback(base))

    def greet(self) -> None:
        """Send a request without any trace. Raises BadInput where nobody takes it, or not from us."""
        reason = self._posted(())
        if reason is not None:
            raise BadInput(f"--otlp: {self.address} takes no traces: {reason}")

    def add(self, timed: TimedQuery) -> None:
        """Keep a timed query until nothing is timed."""
        self._number += 1
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((self._number, timed))
        else:
            self._lost[f"more than {MOST_WAITING:,} were waiting"] += 1

    def send(self) -> None:
        """Send what waits. What a busy server, or one that is gone, does not take waits for the next time."""
        while self._waiting:
            some = [self._waiting[place] for place in range(min(TRACES_A_REQUEST, len(self._waiting)))]
            reason = self._posted([self._trace(number, timed) for number, timed in some])
            if reason is not None and reason.again:
                return
            for _ in some:
                self._waiting.popleft()
            if reason is None:
                self._sent += len(some)
            else:
                self._lost[reason] += len(some)

    def close(self) -> None:
        """Send what is left, and say how many traces were sent and how many were not."""
        self.send()
        if self._waiting:
            why = self._posted(())
            self._lost["the server did not take them in time" if why is None else why] += len(self._waiting)
            self._waiting.clear()
        self._client.close()
        self._progress.note(f"{counted(self._sent, 'trace')} sent to {self.address}")
        if lost := self._lost.total():
            most = self._lost.most_common(1)[0][0]
            self._progress.note(f"{counted(lost, 'trace')} could not be sent: {most}")

    def _trace(self, number: int, timed: TimedQuery) -> dict[str, Any]:
        """One trace, at the time of day at which it was recorded."""
        trace, query_id = timed.trace, timed.answer.query.query_id
        offset = wall_ns() - self._clock()
        whole = (offset + trace.start_ns, offset + trace.start_ns + trace.duration_ns)
        places = {
            span.stage: (offset + span.start_ns, offset + span.start_ns + span.duration_ns) for span in trace.spans
        }
        record = record_of(timed, self._configs[timed.pipeline])
        texts = _texts(timed) if self._texts else SpanTexts()
        spans = spans_of(record, whole, places, timed.number, query_id, "otlp", texts)
        masked = [replace(each, attributes=shown(each.attributes.items(), self._hidden)) for each in spans]
        resource = resource_of(timed.pipeline, self._eval, version("ragprof"), self._key)
        extra = {} if timed.size is None else {"ragprof.size": timed.size}
        return trace_of(f"{self._key}/{number}", masked, {**resource, **extra})

    def _posted(self, traces: Sequence[Mapping[str, Any]]) -> Refused | None:
        """Send them in one request; None if they were taken."""
        from google.protobuf.json_format import ParseDict
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ParseDict(as_request(traces, base64=True), ExportTraceServiceRequest())
        headers = {**self._headers, "Content-Type": "application/x-protobuf", "User-Agent": "ragprof"}
        try:
            response = self._client.post(self.address, content=request.SerializeToString(), headers=headers)
        except httpx2.TimeoutException:
            return Refused(f"nothing came within {TIMEOUT_S:g} s", again=True)
        except httpx2.HTTPError as problem:
            return Refused(f"{type(problem).__name__}: {self._without_secrets(str(problem))}", again=True)
        if response.is_success:
            return None
        if response.status_code in (401, 403):
            return Refused(f"it wants other credentials ({response.status_code}); set ${HEADERS[0]}", again=False)
        return Refused(f"status {response.status_code}", again=response.status_code in BUSY)

    def _without_secrets(self, text: str) -> str:
        for value in self._headers.values():
            text = text.replace(value, "***")
        return " ".join(text.split())[:300]


class Refused(str):
    """Why traces were not taken; `again` where the same ones may be taken later."""

    again: bool

    def __new__(cls, reason: str, *, again: bool) -> Refused:
        made = super().__new__(cls, reason)
        made.again = again
        return made


def headers_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Headers by OpenTelemetry's variables: `key=value,key=value`, percent-encoded. Raises BadInput without values."""
    found: dict[str, str] = {}
    for variable in HEADERS:
        for each in environment.get(variable, "").split(","):
            name, equals, value = each.partition("=")
            if each.strip() and not equals:
                raise BadInput(f"${variable} has a part without a value; write it as key=value,key=value")
            if each.strip():
                found[unquote(name.strip())] = unquote(value.strip())
    return found


def record_of(timed: TimedQuery, config: Mapping[str, Any]) -> PipelineRecord:
    """What is known of one query while it is recorded: no money and no quality yet."""
    answer, query_id = timed.answer, timed.answer.query.query_id
    first = None if answer.generated is None else answer.generated.first_token_ns
    return PipelineRecord(
        name=timed.pipeline,
        config=config,
        depth=config.get("depth"),
        rankings={
            (query_id, stage): [(item.doc.doc_id, item.score) for item in ranking]
            for stage, ranking in answer.rankings.items()
        },
        usage={(query_id, stage): usage for stage, usage in answer.usage.items()},
        usd={},
        scores={},
        first_tokens={} if first is None else {(query_id, timed.number): first},
    )


def _texts(timed: TimedQuery) -> SpanTexts:
    query: Query = timed.answer.query
    docs = {item.doc.doc_id: item.doc for ranking in timed.answer.rankings.values() for item in ranking}
    return SpanTexts({query.query_id: query.text}, docs)
