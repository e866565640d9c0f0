"""A service behind HTTP: a question is posted as JSON, an answer comes as JSON or as a stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import httpx2

from ragprof.core import STAGES, AppAnswer
from ragprof.core.clock import now_ns
from ragprof.core.errors import BadInput
from ragprof.core.spans import AppSpan, Listener, listening
from ragprof.core.stages import App
from ragprof.parts.hits import member
from ragprof.parts.http.calls import BoundedStream, CallFailed, Server, is_loopback, parsed
from ragprof.parts.returned import answer_of, joined, units_of

DONE = "[DONE]"
TOLD = "the response's spans"
NS_PER_MS = 1_000_000
CONNECTIONS = 8
"""One is in use; a question that was given up may hold another for a while."""
LONGEST_MS = 10**9
MOST_BYTES = 64 * 1024 * 1024
"""Of one answer, unpacked."""


class HttpApp:
    """Posts `{"question": ..., **arguments}` to an address; `question` is another name for the first of these.

    What comes back as JSON is read as what a callable returns, with `spans` if it has any: a list of `name`,
    `start_ms` and `duration_ms` (since the service took the question) and, if it likes, `documents`. A stream is
    server-sent events, lines of JSON or plain text. A question is sent once: what fails is counted, not sent again.
    """

    identity = None

    def __init__(
        self,
        target: str,
        question: str = "question",
        arguments: Mapping[str, Any] | None = None,
        documents: str | None = None,
        answer: str | None = None,
        api_key_env: str = "APP_API_KEY",
        timeout_seconds: float = 120.0,
    ) -> None:
        self._question, self._arguments = question, dict(arguments or {})
        self._documents, self._answer, self._timeout_s = documents, answer, timeout_seconds
        try:
            self._server = Server(target, key_name=api_key_env, timeout_s=timeout_seconds, connections=CONNECTIONS)
        except BadInput as problem:
            raise BadInput(problem.message.replace("base_url", "app")) from None

    @staticmethod
    def fits(target: object) -> bool:
        """Whether it is an address."""
        return isinstance(target, str) and target.startswith(("http://", "https://"))

    @property
    def description(self) -> str:
        return "HTTP service on this machine" if is_loopback(self._server.url) else "HTTP service"

    def load(self) -> None:
        """Nothing to load; whether the service answers is seen with the first question."""

    def call(self, question: str) -> object:
        """The parsed response. Raises ConnectionError where there is none, or only a part of one."""
        try:
            return self._posted(question)
        except CallFailed as failure:
            status = f"status {failure.status}: " if failure.status is not None and failure.status >= 300 else ""
            moved = status and 300 <= (failure.status or 0) < 400
            reason = "it redirects; give the address that it leads to" if moved else failure.reason
            where = f" ({self._server.url})" if failure.status is None else ""
            raise ConnectionError(f"{status}{reason}{where}") from None

    @property
    def address(self) -> str:
        """Where questions are posted."""
        return self._server.url

    def headers(self) -> dict[str, str]:
        """Those of a request, the key among them: never to be written down."""
        own = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "ragprof"}
        return {**own, **self._server.key_headers()}

    def body(self, question: str) -> bytes:
        """What is posted for a question."""
        return json.dumps({**self._arguments, self._question: question}, ensure_ascii=False).encode()

    def told(self, content: bytes) -> dict[str, int] | None:
        """The ns of each stage that an answer tells of; None for what is no answer. Streams are taken as they are."""
        text = content.decode("utf-8", "replace")
        try:
            returned = json.loads(text)
        except (ValueError, RecursionError):
            return {} if text.strip() and not text.lstrip().startswith("<") else None
        if self.read(returned) is None:
            return None
        found: dict[str, int] = {}
        spans = member(returned, "spans") if isinstance(returned, dict) else None
        for each in spans if isinstance(spans, list) else []:
            name, duration = member(each, "name"), member(each, "duration_ms")
            if isinstance(name, str) and _is_time(duration):
                stage = AppSpan(name).stage
                stage = stage if stage in STAGES else "other"
                found[stage] = found.get(stage, 0) + round(max(0, duration) * NS_PER_MS)
        return found

    def begins(self, content: bytes) -> bool:
        """Whether what has come so far is the beginning of an answer."""
        return bool(content)

    def units(self, _content: bytes) -> dict[str, int]:
        """What was counted for an answer: nothing that load looks at."""
        return {}

    def refused(self, content: bytes, status: int) -> str:
        """What a refusal says, without the key."""
        return self._server.refused(content, status).reason

    def _posted(self, question: str) -> object:
        here = listening()
        listener = None if here is None else here[0]
        sent_ns = 0 if listener is None else listener.clock()
        with self._server.exchange("POST", "", {**self._arguments, self._question: question}) as response:
            until_ns = now_ns() + round(self._timeout_s * 1e9)
            response.stream = BoundedStream(response.stream, until_ns, self._timeout_s, most_bytes=MOST_BYTES)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream":
                return joined(_events(response, self._server.without_key))
            if kind in ("application/x-ndjson", "application/jsonl"):
                return joined(parsed(self._server.without_key(line)) for line in response.iter_lines() if line.strip())
            if kind.startswith("text/") and kind != "text/html":
                return joined(map(self._server.without_key, response.iter_text()))
            response.read()
            content = self._server.without_key(response.text)
            # Flask calls JSON that is returned as text HTML.
            returned = parsed_page(content) if kind == "text/html" else parsed(content)
        if listener is not None:
            _tell(listener, returned, sent_ns)
        return returned

    @staticmethod
    def watched(_listener: Listener, /) -> AbstractContextManager[None]:
        """What happens elsewhere is known by the response alone."""
        return nullcontext()

    def read(self, returned: object) -> AppAnswer | None:
        return answer_of(returned, documents=self._documents, answer=self._answer)


def parsed_page(content: str) -> Any:
    """JSON that a server calls HTML. Raises CallFailed for a page, such as one to log in."""
    try:
        return parsed(content)
    except CallFailed:
        raise CallFailed(
            "what came is a page of HTML, no answer; is it the address of the service, and does it want a login?"
        ) from None


def _events(response: httpx2.Response, without_key: Callable[[str], str]) -> Iterator[Any]:
    """The data of server-sent events, parsed where it is JSON."""
    for event in httpx2.EventSource(response):
        if not event.data or event.data.strip() == DONE:
            continue
        data = without_key(event.data)
        try:
            yield json.loads(data)
        except (ValueError, RecursionError):
            yield data


def _tell(listener: Listener, returned: object, sent_ns: int) -> None:
    """Add the spans that a response tells of; what is no span there is let alone."""
    told = member(returned, "spans")
    for each in told if isinstance(told, list) else []:
        name, start, duration = (member(each, key) for key in ("name", "start_ms", "duration_ms"))
        if not (isinstance(name, str) and _is_time(start) and _is_time(duration)):
            continue
        begun = sent_ns + round(max(0, start) * NS_PER_MS)
        listener.spans.append(
            AppSpan(
                name, TOLD, begun, begun + round(max(0, duration) * NS_PER_MS), documents=member(each, "documents"),
                candidates=member(each, "candidates"), usage=units_of(member(each, "usage") or {}),
            )
        )  # fmt: skip


def _is_time(value: object) -> bool:
    """Whether it is ms that a question could take; before its beginning counts as at it."""
    return isinstance(value, int | float) and abs(value) < LONGEST_MS


plugin: type[App] = HttpApp
