"""A pool of processes: each has models and an index of its own, and Python's lock for itself alone.

A worker thread of this process hands each question to its own process and waits; how long the process ran and waited
for a core it says itself. What it does is in `worker`; here is how it is started, asked and ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, cast

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.studies.load.pool import Asker

MODULE = "ragprof.studies.load.worker"
LAST_WORDS, SECONDS_TO_END = 2_000, 10


@dataclass(frozen=True)
class WorkerOrder:
    """What a process is to be: a target of an eval, beside the recording of its folder; `corpus` is its sha256."""

    eval_file: Path
    folder: Path
    cache: Path
    settings: Mapping[str, Any]
    target: str
    corpus: str

    def as_json(self) -> dict[str, Any]:
        places = {name: str(getattr(self, name).absolute()) for name in ("eval_file", "folder", "cache")}
        return {**places, "settings": dict(self.settings), "target": self.target, "corpus": self.corpus}


class WorkerProcess:
    """One of them. Raises BadInput where it cannot be had."""

    def __init__(self, order: WorkerOrder) -> None:
        self._complaints = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed by `end`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
        )  # fmt: skip
        self._requests, self._replies = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        self._asked(order.as_json())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it may be asked again."""
        return self._process.poll() is None

    def ask(self, query: Query) -> Mapping[str, int]:
        """Ns of each stage. Raises BadInput where the process failed for it, or ended."""
        return cast(Mapping[str, int], self._asked({"query": query.query_id}))

    def _asked(self, request: Mapping[str, Any]) -> Any:
        with suppress(BrokenPipeError):
            self._requests.write(f"{json.dumps(request)}\n")
            self._requests.flush()
        line = self._replies.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            said = self._complaints.read()[-LAST_WORDS:].strip()
            raise BadInput(
                f"a worker process ended ({self._process.returncode}): {said.splitlines()[-1] if said else ''}"
            )
        reply = json.loads(line)
        if "error" in reply:
            raise BadInput(reply["error"])
        return reply["done"]

    def end(self) -> None:
        """Close its input, which ends it; kill it where that does not."""
        with suppress(BrokenPipeError):
            self._requests.close()
        try:
            self._process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()
        self._complaints.close()


class ProcessClients:
    """What workers ask with: a process each, kept from step to step, until `close`."""

    def __init__(self, order: WorkerOrder) -> None:
        self._order, self._lock = order, Lock()
        self._free: list[WorkerProcess] = []
        self._made: list[WorkerProcess] = []

    @contextmanager
    def asker(self) -> Iterator[Asker]:
        with self._lock:  # one after the other: the second finds in the cache what the first has embedded
            if self._free:
                process = self._free.pop()
            else:
                process = WorkerProcess(self._order)
                self._made.append(process)
        try:
            yield process.ask
        finally:
            if process.is_alive:
                self._free.append(process)

    def processes(self) -> list[int]:
        """Ids of those that were made."""
        return [process.pid for process in self._made]

    def close(self) -> None:
        """End all of them."""
        for process in self._made:
            process.end()
        self._made, self._free = [], []
