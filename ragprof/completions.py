"""The wire format of OpenAI-compatible answers: streamed chunks or one object, chat or text. Opens no connection.

Nothing is made up: a count that the server does not give is absent, and so is a first token that was not seen coming.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from ragprof.clock import Clock
from ragprof.http_calls import CallFailed, complaint, parsed

DONE = "[DONE]"
STREAM = "text/event-stream"


@dataclass
class Reply:
    """An answer as it comes in. `first_at_ns` is the clock's reading at its first text; None if there was none."""

    text: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    finish: str | None = None
    first_at_ns: int | None = None
    has_answer: bool = False

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Add what a chunk, or a whole response, says. Raises CallFailed where it is not of the format."""
        self.usage |= counted(chunk.get("usage"))
        choices = chunk.get("choices") or []
        if not isinstance(choices, list):
            raise malformed()
        for choice in choices[:1]:
            self.has_answer = True
            self.text += text_of(choice)
            self.finish = choice.get("finish_reason") or self.finish


def read(response: httpx2.Response, clock: Clock) -> Reply:
    """The whole answer. Raises CallFailed where it is cut, malformed, an error, or no answer at all."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == STREAM:
        return streamed(response, clock)
    if kind.endswith("json"):
        return whole(response)
    raise CallFailed(f"it sent '{kind}' where an answer should be", again=False)


def streamed(response: httpx2.Response, clock: Clock) -> Reply:
    """A stream of events to its very end, so that the connection can be used again."""
    reply, ended = Reply(), False
    for event in httpx2.EventSource(response):
        if ended or not event.data:
            continue
        if event.data.strip() == DONE:
            ended = True
            continue
        reply.take(object_of(event.data))
        if reply.text and reply.first_at_ns is None:
            reply.first_at_ns = clock()
    if not reply.has_answer or not (ended or reply.finish):
        raise CallFailed("the stream ended before the answer did")
    return reply


def whole(response: httpx2.Response) -> Reply:
    """A response of a server that does not stream."""
    reply = Reply()
    reply.take(object_of(response.read()))
    if not reply.has_answer:
        raise malformed()
    return reply


def object_of(content: bytes | str) -> Mapping[str, Any]:
    """One JSON object. Raises CallFailed for anything else, and for one that tells an error."""
    chunk = parsed(content)
    if not isinstance(chunk, dict):
        raise malformed()
    if chunk.get("error"):
        code = chunk["error"].get("code") if isinstance(chunk["error"], dict) else None
        raise complaint(chunk, code if isinstance(code, int) else 500)
    return chunk


def text_of(choice: Any) -> str:
    """The text that a choice adds: of a delta or a message in chat, its own in a text completion."""
    if not isinstance(choice, dict):
        raise malformed()
    inner = choice.get("delta", choice.get("message"))
    text = choice.get("text") if inner is None else inner.get("content") if isinstance(inner, dict) else inner
    if text is not None and not isinstance(text, str):
        raise malformed()
    return text or ""


def counted(usage: Any) -> dict[str, int]:
    """Tokens as the server counted them; a unit that it does not give is left out."""
    if not isinstance(usage, dict):
        return {}
    details = usage.get("prompt_tokens_details")
    given = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "cached_tokens": details.get("cached_tokens") if isinstance(details, dict) else None,
    }
    return {unit: count for unit, count in given.items() if type(count) is int and count >= 0}


def malformed() -> CallFailed:
    """A chunk that is JSON but not of the format."""
    return CallFailed("what came is not an answer of the OpenAI format")
