"""Load on a service behind HTTP: one thread, one event loop, a connection for every request that is under way.

A request is sent when it is due, whatever became of those before it, and once: what fails is counted, never sent
again. How late it was sent is known of each; where that is a part of the latency, the step says so. The wire is read by
httptools (the parser of llhttp), since clients that do more for their user take longer than the services under test.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import numpy as np

from ragprof.core import Query
from ragprof.core.clock import Clock
from ragprof.core.errors import BadInput
from ragprof.core.plain import said_by
from ragprof.studies.load.arrivals import Times
from ragprof.studies.load.endpoints import Endpoint
from ragprof.studies.load.pool import DIVERGED, EVERY_S, StepLimits, Watch
from ragprof.studies.load.requests import BUSY, ERROR, OK, TIMED_OUT, UNREACHED, StepLog, StepRun

MOST_BYTES = 64 * 1024 * 1024
BUSY_STATUS = (429, 503)
FEWEST_FILES = 128
"""File descriptors that the rest of the process is left."""


@dataclass
class HttpReply:
    """What came for one request."""

    status: int = 0
    first_ns: int = -1
    body: bytearray = field(default_factory=bytearray)
    retry_after: bool = False


class Connection(asyncio.Protocol):
    """One connection to the service: a request at a time, kept open as long as the service lets it."""

    def __init__(self, clock: Clock, begins: Callable[[bytes], bool]) -> None:
        self._clock, self._begins = clock, begins
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answered: asyncio.Future[HttpReply] | None = None
        self._reply = HttpReply()
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open from now on."""
        self._transport, self.is_open = transport, True  # type: ignore[assignment]  # TCP gives an asyncio.Transport

    def send(self, request: bytes) -> asyncio.Future[HttpReply]:
        """Send one request; what is returned has its reply, or raises ConnectionError."""
        self._reply, self._parser = HttpReply(), httptools.HttpResponseParser(self)
        self._answered = asyncio.get_running_loop().create_future()
        assert_open = self._transport
        if assert_open is None or not self.is_open:
            self._answered.set_exception(ConnectionError("the connection was closed"))
        else:
            assert_open.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        """Read on; what is no HTTP ends the connection."""
        if self._parser is None:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as failure:
            self._fail(f"what came is no HTTP ({failure})")
            self.close()

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Note a time to wait."""
        if name.lower() in (b"retry-after", b"retry-after-ms"):
            self._reply.retry_after = True

    def on_headers_complete(self) -> None:
        """Know the status."""
        self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep it, and when the answer in it began."""
        now = self._clock()
        self._reply.body += body
        if self._reply.first_ns < 0 and self._begins(bytes(self._reply.body)):
            self._reply.first_ns = now
        if len(self._reply.body) > MOST_BYTES:
            self._fail(f"its answer is larger than {MOST_BYTES:,} bytes")
            self.close()

    def on_message_complete(self) -> None:
        """Hand it over, unless it was only an announcement (1xx)."""
        if self._reply.status < 200:
            return
        self.is_open = self.is_open and bool(self._parser.should_keep_alive())
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._reply)

    def eof_received(self) -> None:
        """An answer without a length ends here."""
        if self._parser is not None and self._reply.status and self._answered is not None and not self._answered.done():
            self.is_open = False
            headers_say_no_length = not self._parser.should_keep_alive()
            if headers_say_no_length:
                self._answered.set_result(self._reply)

    def connection_lost(self, failure: Exception | None) -> None:
        """It is closed; what was under way failed."""
        self.is_open = False
        self._fail(f"the connection broke ({said_by(failure)})" if failure else "the service closed the connection")

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def _fail(self, words: str) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(words))


@dataclass(frozen=True)
class HttpLoad:
    """Load on one service. Questions are sent in turn."""

    app: Endpoint
    queries: Sequence[Query]
    clock: Clock
    timeout_s: float
    most_in_flight: int

    def open(self, due: Times, limits: StepLimits, watch: Watch) -> StepRun:
        """Send a request at each of these times. `watch` as of `WorkerPool.open`."""
        return asyncio.run(_Step(self, StepLog(due), limits, watch).opened())

    def closed(self, concurrency: int, seconds: float, limits: StepLimits, watch: Watch) -> StepRun:
        """Keep so many requests under way for a time, each sent when the one before it was answered."""
        step = _Step(self, StepLog.empty(limits.most_requests, seconds), limits, watch)
        return asyncio.run(step.closed(concurrency, seconds))


def check_files(most_in_flight: int) -> None:
    """Raises BadInput where the system lets the process have fewer connections than may be under way."""
    try:
        import resource
    except ImportError:  # there is none on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most_in_flight + FEWEST_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return
    most = hard - FEWEST_FILES
    fewer = f", or set max_in_flight to at most {most:,}" if most > 0 else ""
    raise BadInput(
        f"max_in_flight = {most_in_flight:,} needs as many connections, and this process may open {hard:,} files; "
        f"raise the limit (ulimit -n {needed}){fewer}"
    )


class _Step:
    """One step on one event loop."""

    def __init__(self, load: HttpLoad, log: StepLog, limits: StepLimits, watch: Watch) -> None:
        self._load, self._log, self._limits, self._watch = load, log, limits, watch
        self._idle: list[Connection] = []
        self._requests = _written(load.app, load.queries)
        url = urlsplit(load.app.address)
        self._host, self._tls = url.hostname or "", url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        self._context = ssl.create_default_context() if self._tls else None
        self._room = asyncio.Semaphore(load.most_in_flight)
        self._begun, self._over = 0, False
        self._tasks: set[asyncio.Task[None]] = set()

    def _now(self) -> int:
        return self._load.clock() - self._begun

    async def opened(self) -> StepRun:
        log, stopped = self._log, ""
        await self._warm()
        self._begun = self._load.clock()
        watching = asyncio.create_task(self._watching())
        try:
            for number, due in enumerate(log.due.tolist()):
                wait = (due - self._now()) / 1e9
                if wait > 0:
                    await asyncio.sleep(wait)
                elif number % 16 == 0:
                    await asyncio.sleep(0)  # answers are read, too, while requests are late
                if -wait > self._limits.longest_wait_s or self._oldest_wait() > self._limits.longest_wait_s:
                    stopped = DIVERGED
                    break
                task = asyncio.create_task(self._asked(number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=0.2 if stopped else self._limits.drain_s)
        finally:
            cut = await self._ended(watching)
        return StepRun(log, cut, stopped)

    async def closed(self, concurrency: int, seconds: float) -> StepRun:
        log, until, taken = self._log, round(seconds * 1e9), 0
        await self._warm()
        self._begun = self._load.clock()
        watching = asyncio.create_task(self._watching())

        async def one_after_another() -> None:
            nonlocal taken
            while self._now() < until and taken < len(log.due):
                number, taken = taken, taken + 1
                log.due[number] = self._now()
                await self._asked(number)

        try:
            self._tasks = {asyncio.create_task(one_after_another()) for _ in range(concurrency)}
            await asyncio.wait(self._tasks, timeout=seconds + self._limits.drain_s)
        finally:
            cut = await self._ended(watching)
        log.cut_to(taken)
        return StepRun(log, cut)

    async def _warm(self) -> None:
        """Open a connection ahead of the first request; where there is none, each request finds that out."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._load.timeout_s):
                self._idle.append(await self._connected())

    async def _ended(self, watching: asyncio.Task[None]) -> int:
        self._over, cut = True, self._now()
        watching.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)
        return cut

    async def _watching(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._watch(self._log, self._now() / 1e9)

    def _oldest_wait(self) -> float:
        """Seconds for which requests have waited for a place among those under way."""
        waiting = len(self._tasks) - self._log.under_way
        if waiting <= 0 or not self._room.locked():
            return 0.0
        unsent = np.flatnonzero(self._log.sent < 0)
        return (self._now() - int(self._log.due[unsent[0]])) / 1e9 if len(unsent) else 0.0

    async def _connected(self) -> Connection:
        while self._idle:
            kept = self._idle.pop()
            if kept.is_open:
                return kept
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            lambda: Connection(self._load.clock, self._load.app.begins), self._host, self._port, ssl=self._context
        )
        return made

    async def _asked(self, number: int) -> None:
        log = self._log
        async with self._room:
            sent = self._now()
            log.sent[number], log.late[number] = sent, sent - int(log.due[number])
            log.under_way += 1
            connection = None
            reply: HttpReply | None = None
            outcome, complaint = OK, ""
            try:
                async with asyncio.timeout(self._load.timeout_s):
                    connection = await self._connected()
                    reply = await connection.send(self._requests[number % len(self._requests)])
            except TimeoutError:
                outcome, complaint = TIMED_OUT, f"nothing came within {self._load.timeout_s:g} s"
            except OSError as failure:  # ConnectionError and what a system says of a host are among them
                outcome, complaint = UNREACHED, said_by(failure)
            except asyncio.CancelledError:
                log.under_way -= 1
                if connection is not None:
                    connection.close()
                return
            ended = self._now()
            log.under_way -= 1
            if connection is not None and connection.is_open and reply is not None:
                self._idle.append(connection)
            elif connection is not None:
                connection.close()
        stages: Mapping[str, int] | None = None
        if reply is not None:
            if reply.first_ns >= 0:
                log.first[number] = reply.first_ns - self._begun
            outcome, complaint, stages = self._judged(reply)
        log.end(number, ended, outcome, stages)
        if complaint:
            log.complain(complaint)

    def _judged(self, reply: HttpReply) -> tuple[str, str, Mapping[str, int] | None]:
        """Whether it is an answer; what is said where it is none; the stages that it tells of."""
        if reply.status in BUSY_STATUS:
            self._log.retry_after += reply.retry_after
            return BUSY, self._refused(reply), None
        if not 200 <= reply.status < 300:
            return ERROR, self._refused(reply), None
        content = bytes(reply.body)
        told = self._load.app.told(content)
        for unit, count in self._load.app.units(content).items() if told is not None else ():
            self._log.used[unit] = self._log.used.get(unit, 0) + count
        return (ERROR, "what came is no answer", None) if told is None else (OK, "", told)

    def _refused(self, reply: HttpReply) -> str:
        """What it says, in a few words. Requests that follow leave out what it says that the service does not know."""
        app, queries = self._load.app, self._load.queries
        said = f"status {reply.status}: {app.refused(bytes(reply.body), reply.status)}"
        if _written(app, queries[:1])[0] != self._requests[0]:
            self._requests = _written(app, queries)
        return said


def _written(app: Endpoint, queries: Sequence[Query]) -> list[bytes]:
    """Each question as the bytes of its request."""
    url = urlsplit(app.address)
    path = url.path or "/"
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {url.netloc}",
        *(f"{name}: {value}" for name, value in app.headers().items()),
    ]
    head = "\r\n".join(lines)
    bodies = [app.body(query.text) for query in queries]
    return [f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body for body in bodies]
