"""`ragprof load` beside guidellm on one OpenAI-compatible server of this machine: rates, p50, p95 and p99 of both.

    python evals/performance/load_tools.py [--rate 40] [--seconds 60] [--guidellm guidellm]

The server answers as so many servers with exponential service times would, first come first served (M/M/k); half of
the service time passes before the first token. Both are given the same Poisson rate and so many questions in turn, one
after the other, and their own ways to count: we from when a request was due, guidellm from when it was sent. Where it
is not installed, it is said how, and ours alone is shown. guidellm is heavy: give it a virtual environment of its own
(python -m venv guidellm && guidellm/bin/pip install guidellm) and name its command.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

MODEL = "known"
QUESTIONS = 50
LEVELS = (0.5, 0.95, 0.99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--mean-ms", type=float, default=50.0, help="mean service time")
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--guidellm", default="guidellm", help="the command, such as guidellm/bin/guidellm")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.mean_ms / 1e3, given.servers))
        return
    shown = Table(
        title=f"{given.rate:g} requests a second, {given.seconds:g} s; {given.servers} servers of {given.mean_ms:g} ms",
        box=SIMPLE_HEAD, title_justify="left",
    )  # fmt: skip
    for name in ("", "requests", "a second", "p50", "p95", "p99", "first token p50", "p99"):
        shown.add_column(name, justify="right" if name else "left")
    with running(given.mean_ms, given.servers) as url:
        row(shown, "ragprof load", *ours(url, given.rate, given.seconds), given.seconds)
    found = None
    with running(given.mean_ms, given.servers) as url:
        if shutil.which(given.guidellm) is not None:
            found = theirs(given.guidellm, url, given.rate, given.seconds)
    if found is not None:
        row(shown, "guidellm", *found, given.seconds)
    Console().print(shown)
    if found is None:
        Console().print(
            f"guidellm is not installed as '{given.guidellm}': python -m venv guidellm && guidellm/bin/pip install "
            "guidellm, then --guidellm guidellm/bin/guidellm"
        )


def row(shown: Table, name: str, latencies: np.ndarray, first: np.ndarray, seconds: float) -> None:
    whole, begun = np.quantile(latencies, LEVELS), np.quantile(first, LEVELS)
    cells = [f"{len(latencies):,}", f"{len(latencies) / seconds:.1f}", *(f"{1e3 * each:.0f} ms" for each in whole)]
    shown.add_row(name, *cells, f"{1e3 * begun[0]:.0f} ms", f"{1e3 * begun[2]:.0f} ms")


def ours(url: str, rate: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Seconds to the whole answer and to the first token, of every request that was answered."""
    from ragprof.core import Query
    from ragprof.core.clock import now_ns
    from ragprof.evals.load import LoadEndpoint
    from ragprof.studies.load.arrivals import arrivals
    from ragprof.studies.load.client import HttpLoad
    from ragprof.studies.load.endpoints import ChatEndpoint
    from ragprof.studies.load.pool import StepLimits

    endpoint = ChatEndpoint(LoadEndpoint(kind="chat", base_url=f"{url}/v1", model=MODEL))
    queries = [Query(f"q{number}", question) for number, question in enumerate(questions())]
    due = arrivals("poisson", rate, seconds, seed=(0,))
    limits = StepLimits(drain_s=30.0, longest_wait_s=600.0)
    log = HttpLoad(endpoint, queries, now_ns, 60.0, 2000).open(due, limits, lambda _log, _passed: None).log
    answered = np.array([outcome == "ok" for outcome in log.outcome])
    return (log.ended - due)[answered] / 1e9, (log.first - due)[answered] / 1e9


def theirs(command: str, url: str, rate: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of guidellm, out of its JSON report."""
    with TemporaryDirectory() as folder:
        data, out = Path(folder) / "questions.jsonl", Path(folder) / "report.json"
        many = round(1.5 * rate * seconds) + 100  # it asks each row once
        rows = [{"prompt": questions()[number % QUESTIONS], "output_tokens_count": 8} for number in range(many)]
        data.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
        subprocess.run(
            [command, "run", "--backend", f"kind=openai_http,target={url},model={MODEL}",
             "--profile", f"kind=poisson,rate={rate:g}", "--constraint", f"kind=max_duration,seconds={seconds:g}",
             "--data", f"kind=json_file,path={data}", "--output", f"kind=json,path={out}", "--disable-console"],
            check=True,
        )  # fmt: skip
        report = json.loads(out.read_text())
    (benchmark,) = report["benchmarks"]
    requests = benchmark["requests"]["successful"]
    latencies = np.array([each["request_latency"] for each in requests], float)
    return latencies, np.array([each["time_to_first_token_ms"] for each in requests], float) / 1e3


def questions() -> Sequence[str]:
    return [f"What does section {number} of the manual say about returns?" for number in range(QUESTIONS)]


@contextmanager
def running(mean_ms: float, servers: int) -> Iterator[str]:
    """The address of a server in a process of its own, which ends with the block."""
    command = [sys.executable, __file__, "--serve", "--mean-ms", str(mean_ms), "--servers", str(servers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


class Known:
    """So many servers with exponential service times, the same in every run; answers by absolute times."""

    def __init__(self, mean_s: float, servers: int) -> None:
        self._services, self._free = iter(np.random.default_rng(7).exponential(mean_s, 1_000_000)), [0.0] * servers

    def times(self) -> tuple[float, float]:
        """When the first token of the request that comes now is due, and when the last one."""
        now, service = time.perf_counter(), float(next(self._services))
        ends = max(now, self._free[0]) + service
        heapq.heapreplace(self._free, ends)
        return ends - service / 2, ends


async def serve(mean_s: float, servers: int) -> None:
    known = Known(mean_s, servers)

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
