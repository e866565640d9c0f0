"""A page on this machine alone: on its loopback, by a secret in its address, open as long as a command runs.

Whoever asks must name this machine (a name of another that leads here is refused: DNS rebinding) and the secret. What
changes anything must come from a page of this server (its Origin). Nothing is kept in a browser's cache, nothing is
asked of another host, and no line is logged, because the address holds the secret.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeVar

from ragprof.core.errors import BadInput

MOST_BYTES = 10_000
"""Of what a page sends."""


class LocalPage(BaseHTTPRequestHandler):
    """Answers what is meant for this server; `got` and `posted` are given the path behind the secret."""

    server: LocalServer
    protocol_version = "HTTP/1.1"

    def got(self, place: str) -> None:
        """Answer a GET; it changes nothing."""
        self.nothing_here()

    def posted(self, place: str, content: Any) -> tuple[int, dict[str, Any]]:
        """Return the status and what is answered to an object in JSON."""
        return 404, {"error": "nothing here"}

    def do_GET(self) -> None:
        if self._is_meant():
            self.got(self._place())

    def do_POST(self) -> None:
        if not self._is_meant():
            return
        length, origin = self.headers.get("Content-Length", ""), self.headers.get("Origin")
        own = origin is None or origin in (f"http://{host}" for host in self._hosts())
        if not own or self.headers.get("Content-Type") != "application/json":
            self.answer(404, {"error": "nothing here"})
        elif not length.isdigit() or int(length) > MOST_BYTES:
            self.answer(413, {"error": "too long"})
        else:
            try:
                content = json.loads(self.rfile.read(int(length)))
            except ValueError:
                self.answer(400, {"error": "not understood"})
                return
            self.answer(*self.posted(self._place(), content))

    def nothing_here(self) -> None:
        self.send(404, b"nothing here", "text/plain")

    def scripted(self, page: str) -> None:
        """Send a page of this package, in which `{nonce}` stands for what its own script and style must show."""
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        self.send(200, page.replace("{nonce}", nonce).encode(), "text/html; charset=utf-8", policy)

    def answer(self, status: int, content: Any) -> None:
        """Send JSON."""
        self.send(status, json.dumps(content).encode(), "application/json")

    def send(self, status: int, content: bytes, kind: str, policy: str = "default-src 'none'") -> None:
        """Send what is asked for, under a policy of what the browser may load for it."""
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

    def _hosts(self) -> tuple[str, str]:
        port = self.server.server_address[1]
        return f"127.0.0.1:{port}", f"localhost:{port}"

    def _place(self) -> str:
        return self.path.removeprefix(f"/{self.server.token}/")

    def _is_meant(self) -> bool:
        """Whether the request names this machine and, in its path, the secret."""
        token, slash, _ = self.path.removeprefix("/").partition("/")
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        if known and slash and self.headers.get("Host") in self._hosts():
            return True
        self.send(403, b"open the whole address that ragprof printed", "text/plain")
        return False


class LocalServer(ThreadingHTTPServer):
    """Serves pages of one kind until it is shut down. Raises BadInput for a port that is not free."""

    daemon_threads = True

    def __init__(self, page: type[LocalPage], port: int = 0) -> None:
        try:
            super().__init__(("127.0.0.1", port), page)
        except OSError as failure:
            raise BadInput(
                f"cannot serve on port {port}: {failure.strerror}; give another with --port, or none for a free one"
            ) from None
        self.token = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"


Server = TypeVar("Server", bound=LocalServer)


@contextmanager
def open_door(server: Server) -> Iterator[Server]:
    """The server answers until the end of the `with`."""
    thread = Thread(target=server.serve_forever, args=(0.05,), name="ragprof-page", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
