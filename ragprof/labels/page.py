"""The page on which people judge: on this machine's loopback alone, by a secret in its address, saved at each key.

It asks nothing of any other host, shows question and passage as text, and does not know which pipeline found what. A
request that does not come to this machine's own name is refused, whatever it knows (DNS rebinding).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files as resources
from threading import Thread
from typing import Any, Protocol

from ragprof.core.errors import BadInput, RagprofError
from ragprof.labels.judging import PairTexts

MOST_BYTES = 10_000
LONGEST_NAME = 40


@dataclass(frozen=True)
class Desk:
    """What a person sees next; `pair` None: nothing is waiting. `said` is what the last key did."""

    pair: PairTexts | None
    done: int
    left: int
    said: str = ""


class Judging(Protocol):
    """Hands out passages and takes judgements; what it returns is on disk."""

    def next(self, person: str) -> Desk: ...

    def grade(self, person: str, query_id: str, doc_id: str, grade: int | None) -> Desk:
        """Save a grade, or None for a skip. Raises BadInput for a pair that is not in the pool."""

    def undo(self, person: str) -> Desk:
        """Take back the last judgement of this person; it is shown again."""


def person_named(given: str) -> str:
    """The name of a person who judges. Raises BadInput for one that a model or an import could have."""
    name = " ".join(given.split())[:LONGEST_NAME]
    if not name or not name.isprintable() or ":" in name:
        raise BadInput("give a name without a colon")
    return name


class _Page(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_meant():
            return
        if self.path.partition("?")[0] != f"/{self.server.token}/":
            self._send(404, b"nothing here", "text/plain")
            return
        nonce = secrets.token_urlsafe(16)
        page = resources("ragprof.labels").joinpath("page.html").read_text(encoding="utf-8").replace("{nonce}", nonce)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        self._send(200, page.encode(), "text/html; charset=utf-8", policy)

    def do_POST(self) -> None:
        if not self._is_meant():
            return
        action = self.path.removeprefix(f"/{self.server.token}/")
        length = self.headers.get("Content-Length", "")
        if action not in ("next", "grade", "undo") or self.headers.get("Content-Type") != "application/json":
            self._answer(404, {"error": "nothing here"})
        elif not length.isdigit() or int(length) > MOST_BYTES:
            self._answer(413, {"error": "too long"})
        else:
            self._answer(*self._done(action, self.rfile.read(int(length))))

    def _done(self, action: str, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            asked = json.loads(body)
            person, grade = person_named(str(asked["person"])), asked.get("grade")
            if grade is not None and (isinstance(grade, bool) or grade not in (0, 1, 2, 3)):
                return 400, {"error": "a grade is 0, 1, 2 or 3"}
            judging = self.server.judging
            if action == "grade":
                desk = judging.grade(person, str(asked["query_id"]), str(asked["doc_id"]), grade)
            else:
                desk = judging.undo(person) if action == "undo" else judging.next(person)
        except RagprofError as problem:
            return 400, {"error": str(problem)}
        except (ValueError, KeyError, TypeError, AttributeError):
            return 400, {"error": "not understood"}
        pair = desk.pair
        texts = None if pair is None else {
            "query_id": pair.query_id, "doc_id": pair.doc_id, "question": pair.question, "passage": pair.passage,
            "where": pair.where,
        }  # fmt: skip
        return 200, {"pair": texts, "done": desk.done, "left": desk.left, "said": desk.said}

    def _is_meant(self) -> bool:
        """Whether the request names this machine and, in its path, the secret."""
        port = self.server.server_address[1]
        parts = self.path.split("/")
        token = parts[1] if len(parts) > 1 else ""
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        if known and self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return True
        self._send(403, b"open the whole address that ragprof printed", "text/plain")
        return False

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind), ("Content-Length", str(len(content))), ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"),
        ):  # fmt: skip
            self.send_header(name, value)
        if status >= 400:
            # What the client sent along is not read, so that the connection cannot go on.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the address holds the secret."""


class PageServer(ThreadingHTTPServer):
    """Serves the page until it is shut down."""

    daemon_threads = True

    def __init__(self, judging: Judging, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Page)
        self.judging, self.token = judging, secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"


@contextmanager
def served(judging: Judging, port: int = 0) -> Iterator[PageServer]:
    """A server that runs until the end of the `with`. Raises BadInput for a port that is not free."""
    try:
        server = PageServer(judging, port)
    except OSError as failure:
        raise BadInput(
            f"cannot serve on port {port}: {failure.strerror}; give another with --port, or none for a free one"
        ) from None
    thread = Thread(target=server.serve_forever, args=(0.05,), name="ragprof-page", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
