"""An OpenAI-compatible server on this machine's loopback, that speaks the wire format and fails as it is told to.

Unasked, it answers with the first words of the prompt, as many as `max_tokens`; a token is a word. A step of `plan`
takes the place of one answer.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

MODELS = ("tiny-1", "tiny-2")


class Handler(BaseHTTPRequestHandler):
    """One connection. Steps write through `send`, `begin`, `write` and `end`."""

    protocol_version = "HTTP/1.1"
    server: SpeakingServer

    def do_GET(self) -> None:
        self.server.listings += 1
        self.server.listing(self)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.body: dict[str, Any] = json.loads(self.rfile.read(length))
        with self.server.counted(self.path, dict(self.headers), self.body):
            self.server.next_step()(self)

    def send(self, status: int, content: str, kind: str = "application/json", **headers: str) -> None:
        """A whole response. `retry_after` is sent as Retry-After."""
        data = content.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write(self, data: str) -> None:
        content = data.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


Step: TypeAlias = Callable[[Handler], None]


class SpeakingServer(ThreadingHTTPServer):
    """`bodies`, `headers` and `paths` are of all questions so far; `most_at_once` of them were open together."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: deque[Step] = deque()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.listings = self.at_once = self.most_at_once = 0
        self.listing: Step = partial(lists_models, models=MODELS)
        self.otherwise: Step = speaks
        self.released = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def next_step(self) -> Step:
        with self._lock:
            return self.plan.popleft() if self.plan else self.otherwise

    @contextmanager
    def counted(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Iterator[None]:
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.bodies.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is what some tests are about."""


@contextmanager
def speaking() -> Iterator[SpeakingServer]:
    """A server that runs until the end of the `with`."""
    server = SpeakingServer()
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Words:
    """An answer of several pieces, and what stands around them in the stream."""

    pieces: Sequence[str]
    finish: str = "stop"
    usage: Mapping[str, Any] | None = field(default_factory=dict)

    def chunks(self, chat: bool) -> Iterator[str]:
        """The data of each event, [DONE] last."""
        if chat:
            yield json.dumps({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for piece in self.pieces:
            said: dict[str, Any] = {"delta": {"content": piece}} if chat else {"text": piece}
            yield json.dumps({"choices": [{**said, "finish_reason": None}]})
        last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        yield json.dumps({"choices": [{**last, "finish_reason": self.finish}]})
        if self.usage:
            yield json.dumps({"choices": [], "usage": self.usage})
        yield "[DONE]"


def reply_to(body: Mapping[str, Any]) -> Words:
    """The first words of the prompt, with usage where it was asked for."""
    prompt: str = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    words = prompt.split()
    kept = words[: body.get("max_tokens", body.get("max_completion_tokens"))]
    usage = {"prompt_tokens": len(words), "completion_tokens": len(kept), "prompt_tokens_details": {"cached_tokens": 0}}
    pieces = [word if place == 0 else f" {word}" for place, word in enumerate(kept)]
    return Words(pieces, "length" if len(kept) < len(words) else "stop", usage if "stream_options" in body else None)


def speaks(handler: Handler) -> None:
    """The usual answer."""
    stream(handler, reply_to(handler.body).chunks("messages" in handler.body))


def stream(handler: Handler, chunks: Iterator[str] | Sequence[str]) -> None:
    handler.begin()
    for chunk in chunks:
        handler.write(f"data: {chunk}\n\n")
    handler.end()


def says(handler: Handler, words: Words) -> None:
    """These words in place of the prompt's."""
    stream(handler, words.chunks(chat=True))


def fails(handler: Handler, status: int, content: str = "{}", **headers: str) -> None:
    handler.send(status, content, **headers)


def writes(handler: Handler, *pieces: str) -> None:
    """A whole stream, as it is written."""
    handler.begin()
    for piece in pieces:
        handler.write(piece)
    handler.end()


def is_cut(handler: Handler) -> None:
    """A stream that ends in the middle of a chunk."""
    handler.begin()
    handler.write(f"data: {next(Words(['half']).chunks(chat=False))}\n\n")
    handler.close_connection = True


def hangs_up(handler: Handler) -> None:
    """No response at all."""
    handler.close_connection = True


def is_silent(handler: Handler) -> None:
    """Nothing until the server is closed."""
    handler.server.released.wait(10)
    handler.close_connection = True


def takes(handler: Handler, passing: Callable[[], None], then: Step) -> None:
    """Something passes, time by the test's clock for one, before the response begins."""
    passing()
    then(handler)


def lists_models(handler: Handler, models: Sequence[str]) -> None:
    handler.send(200, json.dumps({"object": "list", "data": [{"id": model} for model in models]}))
