"""Models behind HTTP as targets of their own: a chat endpoint as OpenAI has it, streamed, and a rerank endpoint.

Says what is sent for a question, from where on an answer has begun, what is a whole answer, and which tokens the server
counted. Opens no connection.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ragprof.core.errors import NonFiniteScore
from ragprof.evals.load import LoadEndpoint
from ragprof.parts.http.calls import CallFailed, Server, parsed
from ragprof.parts.http.formats import (
    DONE,
    FORMATS,
    Reply,
    RerankSettings,
    amended,
    object_of,
    path_under,
    request_body,
    said_by,
    scores_in,
    units_counted,
    unknown_settings,
)

CHAT = "/chat/completions"
DATA = b"data:"


class Endpoint(Protocol):
    """What load is put on behind HTTP: an app of the user's own, or one of those here."""

    @property
    def address(self) -> str:
        """Where requests are posted."""
        ...

    def headers(self) -> dict[str, str]:
        """Those of a request, the key among them: never to be written down."""
        ...

    def body(self, question: str) -> bytes:
        """What is posted for a question."""
        ...

    def begins(self, content: bytes) -> bool:
        """Whether what has come so far holds the beginning of an answer."""
        ...

    def told(self, content: bytes) -> dict[str, int] | None:
        """The ns of each stage that an answer tells of; None for what is no answer."""
        ...

    def units(self, content: bytes) -> dict[str, int]:
        """What the server counted for an answer, such as its tokens."""
        ...

    def refused(self, content: bytes, status: int) -> str:
        """What a refusal says, without the key. `body` leaves out from now on what the server says that it does not
        know."""
        ...


@dataclass(frozen=True)
class ChatEndpoint:
    """Chat completions, streamed and greedy. Begun is an answer with its first token, that of reasoning too."""

    declared: LoadEndpoint
    _unknown: set[str] = field(default_factory=set, compare=False)
    """Settings that the server refused as unknown."""

    @property
    def _server(self) -> Server:
        return Server(
            self.declared.base_url, key_name=self.declared.api_key_env or "OPENAI_API_KEY", timeout_s=60, connections=1
        )

    @property
    def address(self) -> str:
        url = self._server.url
        return url if url.endswith(CHAT) else f"{url}{CHAT}"

    def headers(self) -> dict[str, str]:
        return {**HEADERS, **self._server.key_headers(), "Accept": "text/event-stream"}

    def body(self, question: str) -> bytes:
        return _json(self._request(question))

    def _request(self, question: str) -> dict[str, object]:
        prompt = self.declared.prompt.replace("{question}", question)
        request = {
            "model": self.declared.model, "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.declared.max_tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip
        return amended(request, frozenset(self._unknown))

    def refused(self, content: bytes, status: int) -> str:
        failure = self._server.refused(content, status)
        self._unknown.update(unknown_settings(failure, self._request("")))
        return failure.reason

    def begins(self, content: bytes) -> bool:
        for event in _events(content.rpartition(b"\n")[0]):
            choices = event.get("choices")
            for choice in choices if isinstance(choices, list) else []:
                if isinstance(choice, dict) and any(said_by(choice)):
                    return True
        return False

    def told(self, content: bytes) -> dict[str, int] | None:
        try:
            reply, ended = self._read(content)
        except CallFailed:
            return None
        return {} if reply.has_answer and ended else None

    def units(self, content: bytes) -> dict[str, int]:
        try:
            return self._read(content)[0].usage
        except CallFailed:
            return {}

    @staticmethod
    def _read(content: bytes) -> tuple[Reply, bool]:
        """The answer, and whether it came to its end. Raises CallFailed for what is none, or tells an error."""
        reply = Reply()
        if DATA not in content[:200]:
            reply.take(object_of(content))
            return reply, True
        ended = False
        for line in content.splitlines():
            data = line.removeprefix(DATA).strip()
            if line.startswith(DATA) and data == DONE.encode():
                ended = True
            elif line.startswith(DATA) and data:
                reply.take(object_of(data))
        return reply, ended or reply.finish is not None


@dataclass(frozen=True)
class RerankEndpoint:
    """Scores of so many passages for each question. Which passages is drawn by the question, so that both sides of a
    comparison send the same."""

    declared: LoadEndpoint
    passages: Sequence[str]

    @property
    def _server(self) -> Server:
        form = FORMATS[self.declared.dialect]
        key_name = form.key_name if self.declared.api_key_env is None else self.declared.api_key_env
        return Server(self.declared.base_url, key_name=key_name, timeout_s=60, connections=1)

    @property
    def address(self) -> str:
        url = self._server.url
        return f"{url}{path_under(url, FORMATS[self.declared.dialect])}"

    def headers(self) -> dict[str, str]:
        return {**HEADERS, **self._server.key_headers()}

    @property
    def _many(self) -> int:
        return min(self.declared.documents, len(self.passages))

    def body(self, question: str) -> bytes:
        start, many = zlib.crc32(question.encode()) % len(self.passages), self._many
        texts = [self.passages[(start + place) % len(self.passages)] for place in range(many)]
        asked = RerankSettings(self.declared.model, truncate=True, max_tokens_per_doc=None)
        return _json(request_body(FORMATS[self.declared.dialect], asked, question, texts))

    def begins(self, content: bytes) -> bool:
        return bool(content)

    def told(self, content: bytes) -> dict[str, int] | None:
        try:
            scores_in(FORMATS[self.declared.dialect], parsed(content), self._many)
        except (CallFailed, NonFiniteScore):
            return None
        return {}

    def units(self, content: bytes) -> dict[str, int]:
        try:
            return units_counted(FORMATS[self.declared.dialect], parsed(content), {})
        except CallFailed:
            return {}

    def refused(self, content: bytes, status: int) -> str:
        return self._server.refused(content, status).reason


HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "ragprof",
}  # fmt: skip


def _json(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _events(content: bytes) -> list[dict[str, object]]:
    """The objects of whole lines of a stream; what is none yet is passed over."""
    found = []
    for line in content.splitlines():
        if not line.startswith(DATA):
            continue
        try:
            event = json.loads(line.removeprefix(DATA))
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found
