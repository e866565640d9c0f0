"""An HTTP server whose service times are known: k servers, first come first served, in a process of its own.

`python known_server.py '{"mean_ms": 4, "law": "exponential", "servers": 1, "seed": 0}'` prints its port. It serves no
request in fact: each is answered when k servers with these times would have done so, by absolute times, so that no
late timer adds up. All that a queue needs is exact, and theory tells its waiting times.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def service_times(law: str, mean_s: float, seed: int, n: int) -> np.ndarray:
    """The first n service times in s."""
    if law == "exponential":
        return np.random.default_rng([seed, 99]).exponential(mean_s, n)
    return np.full(n, mean_s)


def waited(arrivals_s: Sequence[float], services_s: Sequence[float], servers: int) -> np.ndarray:
    """Time from arrival to answer of each, by Kiefer and Wolfowitz's recursion."""
    free = [0.0] * servers
    found = np.empty(len(arrivals_s))
    for place, (arrived, service) in enumerate(zip(arrivals_s, services_s, strict=False)):
        ends = max(arrived, free[0]) + service
        heapq.heapreplace(free, ends)
        found[place] = ends - arrived
    return found


class KnownServer:
    """What all connections share."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.times = service_times(
            settings.get("law", "fixed"), settings.get("mean_ms", 1.0) / 1e3, settings.get("seed", 0), 1_000_000
        )
        self.free, self.asked, self.begun = [0.0] * settings.get("servers", 1), 0, 0.0

    def ends(self) -> float:
        """When the request that comes now is answered."""
        now = time.perf_counter()
        self.begun = self.begun or now
        start = max(now, self.free[0])
        every, long = self.settings.get("stall_every_s"), self.settings.get("stall_s", 0.0)
        if every and (start - self.begun) % every > every - long:
            start += every - (start - self.begun) % every
        ends = start + self.times[self.asked % len(self.times)]
        heapq.heapreplace(self.free, ends)
        return ends


class Answering(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self, server: KnownServer) -> None:
        self.server, self.heard = server, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        head, found, body = self.heard.partition(b"\r\n\r\n")
        if not found:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        if len(body) < length:
            return
        self.heard = body[length:]
        if head.startswith(b"GET /count"):
            self.send(b"200 OK", str(self.server.asked).encode())
        else:
            self.answer()

    def answer(self) -> None:
        server, loop = self.server, asyncio.get_running_loop()
        settings = server.settings
        if server.asked >= settings.get("dies_after", 10**12):
            os._exit(1)
        every = settings.get("busy_every")
        if every and server.asked % every == every - 1:
            server.asked += 1
            self.send(b"429 Too Many Requests", b'{"detail": "slow down"}', b"Retry-After: 1\r\n")
            return
        ends = server.ends()
        server.asked += 1
        wait = ends - time.perf_counter()
        body = json.dumps({"documents": ["access-1"], "spans": [
            {"name": "search", "start_ms": 0, "duration_ms": 1000 * float(server.times[(server.asked - 1) % 1_000_000])}
        ]}).encode() if settings.get("spans") else b'{"documents": ["access-1"]}'  # fmt: skip
        if wait <= 0:
            self.send(b"200 OK", body)
        else:
            loop.call_later(wait, self.send, b"200 OK", body)

    def send(self, status: bytes, body: bytes, more: bytes = b"") -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
                % (status, more, len(body), body)
            )


async def serve(settings: dict[str, Any]) -> None:
    known = KnownServer(settings)
    server = await asyncio.get_running_loop().create_server(
        lambda: Answering(known), "127.0.0.1", settings.get("port", 0), backlog=4096
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


@contextmanager
def running(**settings: Any) -> Iterator[str]:
    """The address of such a server, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), json.dumps(settings)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/answer"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
