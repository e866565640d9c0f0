"""`ragprof load` beside guidellm on one OpenAI-compatible server of this machine: rates, p50, p95 and p99 of both.

    python evals/performance/load_tools.py [--rate 40] [--seconds 60] [--guidellm guidellm]

The server answers as so many servers with exponential service times would, first come first served (M/M/k); half of
the service time passes before the first token. Both tools take turns, are given the same Poisson rate and so many
questions, one after the other, and count in their own ways: we from when a request was due, guidellm from when it was
sent. Each row says whether their difference can be told from none by its 95% interval, with what the law of the queue
has beside it; the exit code is 1 where one of seven differs, which chance does in one of four runs or so. guidellm is
heavy: give it a virtual environment of its own (python -m venv guidellm && guidellm/bin/pip install guidellm) and name
its command. It gets one worker process, as we have one: ten, its default, are too many for a few cores.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

MODEL = "known"
QUESTIONS = 50
LEVELS = (0.5, 0.95, 0.99)
BLOCKS = 25
Z = 1.96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each turn of each tool")
    parser.add_argument("--turns", type=int, default=2, help="how often each tool takes its turn")
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--mean-ms", type=float, default=50.0, help="mean service time")
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--guidellm", default="guidellm", help="the command, such as guidellm/bin/guidellm")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.mean_ms / 1e3, given.servers, given.seed))
        return
    if shutil.which(given.guidellm) is None:
        raise SystemExit(
            f"guidellm is not installed as '{given.guidellm}': python -m venv guidellm && guidellm/bin/pip install "
            "guidellm, then --guidellm guidellm/bin/guidellm"
        )
    sides: dict[str, list[Latencies]] = {OURS: [], THEIRS: []}
    for turn in range(given.turns):
        for name in (OURS, THEIRS) if turn % 2 == 0 else (THEIRS, OURS):
            with running(given.mean_ms, given.servers, seed=turn) as url:
                ask = ours if name == OURS else partial(theirs, given.guidellm)
                sides[name].append(ask(url, rate=given.rate, seconds=given.seconds, seed=turn))
    shown = Table(
        title=f"{given.turns} turns of {given.seconds:g} s at {given.rate:g} requests a second; "
        f"{given.servers} servers of {given.mean_ms:g} ms",
        box=SIMPLE_HEAD, title_justify="left",
    )  # fmt: skip
    for column in ("", "by the law", *sides, "difference", "answer"):
        shown.add_column(column, justify="left" if column in ("", "answer") else "right")
    wrong = 0
    for row in rows(sides, given):
        shown.add_row(*row)
        wrong += row[-1] != AGREE
    Console().print(shown)
    raise SystemExit(1 if wrong else 0)


OURS, THEIRS, AGREE = "ragprof load", "guidellm", "agree"
FIRST_TOKEN = 0.5
"""Share of a service that passes before the first token."""
Latencies: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Seconds to the whole answer and to the first token, of every request that was answered, in order of time."""


def rows(sides: Mapping[str, list[Latencies]], given: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Rate, then each quantile of whole answers and of first tokens: both sides, and whether their difference can be
    told from none."""
    seconds = given.turns * given.seconds
    counts = [sum(len(whole) for whole, _ in side) for side in sides.values()]
    reach = Z * math.hypot(*(math.sqrt(count) for count in counts)) / seconds
    yield told("a second", given.rate, [(count / seconds, count / seconds, count / seconds) for count in counts],
               "", more=reach)  # fmt: skip
    for place, what in ((0, "whole answer"), (1, "first token")):
        law = by_the_law(given, share=1.0 if place == 0 else FIRST_TOKEN)
        for level in LEVELS:
            found = [with_interval([turn[place] for turn in side], level) for side in sides.values()]
            yield told(f"{what}, p{100 * level:g}", 1e3 * float(np.quantile(law, level)), found, " ms", more=0.0)


def told(name: str, law: float, found: list[tuple[float, float, float]], unit: str, *, more: float) -> tuple[str, ...]:
    """A row. The interval of a difference is from those of both (MOVER: Zou and Donner, Statistics in Medicine 27)."""
    (one, low, high), (other, other_low, other_high) = found
    down = math.hypot(one - low, other_high - other) + more
    up = math.hypot(high - one, other - other_low) + more
    off = one - other
    same = off - down <= 0 <= off + up
    cells = [f"{each:.1f}{unit}" for each in (law, one, other)]
    return (name, *cells, f"{off:+.1f} ({off - down:+.1f} to {off + up:+.1f})", AGREE if same else "differ")


def with_interval(turns: Sequence[np.ndarray], level: float) -> tuple[float, float, float]:
    """A quantile in ms of all turns together, with its interval by blocks of time."""
    from ragprof.statistics.estimates import quantile_interval

    size = min(len(turn) for turn in turns) // BLOCKS
    blocks = np.concatenate([turn[: BLOCKS * size].reshape(BLOCKS, size) for turn in turns])
    value = float(np.quantile(np.concatenate(turns), level))
    low, high = quantile_interval(blocks, level)
    return 1e3 * value, 1e3 * min(low, value), 1e3 * max(high, value)


def by_the_law(given: argparse.Namespace, *, share: float) -> np.ndarray:
    """Seconds until this share of a service has passed, of Poisson arrivals before such servers."""
    rng, n = np.random.default_rng(11), 200_000
    arrived = np.cumsum(rng.exponential(1 / given.rate, n))
    services = rng.exponential(given.mean_ms / 1e3, n)
    free, found = [0.0] * given.servers, np.empty(n)
    for number, (at, service) in enumerate(zip(arrived.tolist(), services.tolist(), strict=True)):
        start = max(at, free[0])
        heapq.heapreplace(free, start + service)
        found[number] = start + share * service - at
    return found[n // 20 :]


def ours(url: str, *, rate: float, seconds: float, seed: int) -> Latencies:
    from ragprof.core import Query
    from ragprof.core.clock import now_ns
    from ragprof.evals.load import LoadEndpoint
    from ragprof.studies.load.arrivals import arrivals
    from ragprof.studies.load.client import HttpLoad
    from ragprof.studies.load.endpoints import ChatEndpoint
    from ragprof.studies.load.pool import StepLimits

    endpoint = ChatEndpoint(LoadEndpoint(kind="chat", base_url=f"{url}/v1", model=MODEL))
    queries = [Query(f"q{number}", question) for number, question in enumerate(questions())]
    due = arrivals("poisson", rate, seconds, seed=(seed,))
    limits = StepLimits(drain_s=30.0, longest_wait_s=600.0)
    log = HttpLoad(endpoint, queries, now_ns, 60.0, 2000).open(due, limits, lambda _log, _passed: None).log
    answered = np.array([outcome == "ok" for outcome in log.outcome])
    return (log.ended - due)[answered] / 1e9, (log.first - due)[answered] / 1e9


def theirs(command: str, url: str, *, rate: float, seconds: float, seed: int) -> Latencies:
    """Out of its JSON report."""
    with TemporaryDirectory() as folder:
        data, out = Path(folder) / "questions.jsonl", Path(folder) / "report.json"
        many = round(1.5 * rate * seconds) + 100  # it asks each row once
        rows = [{"prompt": questions()[number % QUESTIONS], "output_tokens_count": 8} for number in range(many)]
        data.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
        subprocess.run(
            [command, "run", "--backend", f"kind=openai_http,target={url},model={MODEL}",
             "--seed", f"kind=static,value={seed}", "--profile", f"kind=poisson,rate={rate:g}",
             "--constraint", f"kind=max_duration,seconds={seconds:g}",
             "--data", f"kind=json_file,path={data}", "--output", f"kind=json,path={out}", "--disable-console"],
            check=True, env={**os.environ, "GUIDELLM__MAX_WORKER_PROCESSES": "1"},
        )  # fmt: skip
        report = json.loads(out.read_text())
    (benchmark,) = report["benchmarks"]
    requests = sorted(benchmark["requests"]["successful"], key=lambda each: each["request_start_time"])
    latencies = np.array([each["request_latency"] for each in requests], float)
    return latencies, np.array([each["time_to_first_token_ms"] for each in requests], float) / 1e3


def questions() -> Sequence[str]:
    return [f"What does section {number} of the manual say about returns?" for number in range(QUESTIONS)]


@contextmanager
def running(mean_ms: float, servers: int, *, seed: int) -> Iterator[str]:
    """The address of a server in a process of its own, which ends with the block."""
    settings = {"--mean-ms": mean_ms, "--servers": servers, "--seed": seed}
    told = [word for name, value in settings.items() for word in (name, str(value))]
    command = [sys.executable, __file__, "--serve", *told]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


class Known:
    """So many servers with exponential service times, those of the seed; answers by absolute times."""

    def __init__(self, mean_s: float, servers: int, seed: int) -> None:
        self._services, self._free = (
            iter(np.random.default_rng([seed, 7]).exponential(mean_s, 1_000_000)),
            [0.0] * servers,
        )

    def times(self) -> tuple[float, float]:
        """When the first token of the request that comes now is due, and when the last one."""
        now, service = time.perf_counter(), float(next(self._services))
        ends = max(now, self._free[0]) + service
        heapq.heapreplace(self._free, ends)
        return ends - (1 - FIRST_TOKEN) * service, ends


async def serve(mean_s: float, servers: int, seed: int) -> None:
    known = Known(mean_s, servers, seed)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lengths = [
                    line.partition(":")[2] for line in head.split("\r\n") if line.lower().startswith("content-length:")
                ]
                body = await reader.readexactly(int(lengths[0])) if lengths else b"{}"
                if not head.startswith("POST"):
                    plain(writer, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
                    continue
                first, last = known.times()
                await spoken(writer, json.loads(body), first, last)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def plain(writer: asyncio.StreamWriter, content: Any) -> None:
    body = json.dumps(content).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def spoken(writer: asyncio.StreamWriter, body: dict[str, Any], first: float, last: float) -> None:
    """Eight tokens: one at `first`, the others at `last`."""
    usage = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
    if not body.get("stream"):
        await asyncio.sleep(max(0.0, last - time.perf_counter()))
        message = {"role": "assistant", "content": "a b c d e f g h"}
        plain(writer, {"id": "1", "object": "chat.completion", "model": MODEL, "usage": usage,
                       "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip
        return
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def event(delta: dict[str, str] | None, finish: str | None = None) -> None:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = {"id": "1", "object": "chat.completion.chunk", "model": MODEL, "choices": choices}
        data = f"data: {json.dumps(chunk if choices else {**chunk, 'usage': usage})}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    await asyncio.sleep(max(0.0, first - time.perf_counter()))
    event({"role": "assistant", "content": "a"})
    await asyncio.sleep(max(0.0, last - time.perf_counter()))
    for word in (" b", " c", " d", " e", " f", " g", " h"):
        event({"content": word})
    event({}, "stop")
    event(None)
    done = b"data: [DONE]\n\n"
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))


if __name__ == "__main__":
    main()
