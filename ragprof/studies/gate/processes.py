"""One side of an interleaved comparison in a process of its own: how it is started, asked and ended, and what it does.

It is `python -m ragprof.studies.gate.processes`, asked in JSON lines over its pipes.

A request is {"do": name, ...}; the reply is {"done": value}, or {"error": message, "exit_code": n}. While it works it
says {"progress": [task, total]} and {"progress": [steps]}. Whatever libraries print goes to the error stream, so that
nothing but replies is in the answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

from ragprof.core import Query, environment, files
from ragprof.core.clock import Progress
from ragprof.core.errors import BadInput, Incomparable, RagprofError
from ragprof.record.pipeline import Parts, closing
from ragprof.record.query import traced
from ragprof.record.rankings import Ranked
from ragprof.record.recording import Bench, Ready, Subject, clear, fingerprint_of, rank, ready, shuffled, write
from ragprof.record.timings import Timings, count_flops, unless_it_fails
from ragprof.report.figures import corpus_words
from ragprof.studies.contract import Request
from ragprof.studies.load.plan import LoadPlan
from ragprof.studies.load.plan import plan as plan_load
from ragprof.studies.load.record import LoadBench
from ragprof.studies.preparation import Prepared, prepare

MODULE = "ragprof.studies.gate.processes"
BOOT = """
import os, runpy, sys
users = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
sys.path[:] = [path for path in sys.path if path not in users]
at = next((at for at, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))), len(sys.path))
sys.path[at:at] = sys.argv[2:] + users
module = sys.argv[1]
del sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Starts a worker with the modules of its side behind the standard library: a file of the side that is called
random.py is no random to anybody else."""
LAST_WORDS = 2_000
SHORT = 80
SECONDS_TO_END = 20


@dataclass(frozen=True)
class RunnableSide:
    """Where one side of a comparison is run from. `paths` go on its import path, before installed packages."""

    label: str
    eval_file: Path
    python: Path = Path(sys.executable)
    folder: Path | None = None
    paths: tuple[Path, ...] = ()


class Process:
    """One worker. A context manager: the process is ended with the block, whatever happens."""

    def __init__(self, side: RunnableSide, progress: Progress) -> None:
        self._side, self._progress = side, progress
        paths = [*map(str, side.paths), str(side.folder or Path.cwd())]
        self._complaints = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed by `end`)
        try:
            self._process = subprocess.Popen(
                [str(side.python), "-P", "-c", BOOT, MODULE, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self._complaints, text=True, encoding="utf-8", errors="replace", cwd=side.folder,
            )  # fmt: skip
        except OSError as failure:
            self._complaints.close()
            raise BadInput(f"cannot start {side.python}: {failure.strerror}", file=side.eval_file) from None
        self._requests, self._replies = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._process.terminate()  # whoever stops the job does not wait for what it is at
        self.end()

    def ask(self, verb: str, **given: Any) -> Any:
        """The reply to one request. Raises what the worker complained of, or BadInput where it has ended."""
        try:
            self._requests.write(json.dumps({"do": verb, **given}) + "\n")
            self._requests.flush()
        except BrokenPipeError:
            raise self._ended() from None
        while True:
            line = self._replies.readline()
            if not line:
                raise self._ended()
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if not isinstance(message, dict):
                raise BadInput(
                    f"{self._side.label}: its answer is no reply of a worker: '{line.strip()[:SHORT]}'; does "
                    f"{self._side.python} print something of its own when it starts?"
                )
            if "progress" in message:
                steps = message["progress"]
                if len(steps) == 2:
                    self._progress.start(f"{steps[0]} ({self._side.label})", steps[1])
                elif steps:
                    self._progress.advance(steps[0])
                else:
                    self._progress.done()
            elif "error" in message:
                kind = Incomparable if message["exit_code"] == Incomparable.exit_code else BadInput
                raise kind(f"{self._side.label}: {message['error']}")
            else:
                return message["done"]

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

    def _ended(self) -> BadInput:
        """Why there is no answer, as far as it can be told."""
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read()[-LAST_WORDS:].strip()
        if "No module named 'ragprof" in said:
            return BadInput(
                f"{self._side.label}: its environment has no ragprof that can be compared; install this version of "
                f"ragprof into it ({self._side.python})"
            )
        if code < 0:
            name = signal.Signals(-code).name
            return BadInput(f"{self._side.label}: its process was ended by {name}; is there memory for two of them?")
        return BadInput(f"{self._side.label}: its process ended ({code}): {said.splitlines()[-1] if said else ''}")


PROTOCOL = 1
VERBS = ("prepare", "load", "rank", "ask", "write", "plan_load", "load_workers", "put_load", "write_load")


class Reported:
    """A Progress whose bars are drawn by whoever asked."""

    def __init__(self, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say = say

    def start(self, task: str, total: int) -> None:
        self._say({"progress": [task, total]})

    def advance(self, steps: int) -> None:
        self._say({"progress": [steps]})

    def done(self) -> None:
        self._say({"progress": []})

    def note(self, sentence: str) -> None:
        """Say nothing: a comparison of two sides has the bars alone."""


class Worker:
    """A recording whose live queries are asked for from outside, one at a time.

    A public method is a request, but for `close`: `prepare` first, then `load`, then `rank` before `write`. Raises as
    the record pass does.
    """

    def __init__(self, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say = say
        self._prepared: Prepared | None = None
        self._loaded: tuple[Bench, Ready] | None = None
        self._ranked: dict[str, Ranked] = {}
        self._timings = Timings()
        self._parts: Mapping[str, Parts] = {}
        self._queries: Mapping[str, Query] = {}
        self._eval_file = Path()
        self._load_plan: LoadPlan | None = None
        self._load_bench: LoadBench | None = None

    def prepare(self, *, eval_file: str, corpus: str | None, books: list[str]) -> dict[str, Any]:
        """Read and check everything; loads no model. Says what this side is, so that it can be refused early."""
        self._eval_file = Path(eval_file)
        self._prepared = prepare(
            self._eval_file, corpus=None if corpus is None else Path(corpus), books=[Path(book) for book in books]
        )
        subject = self._prepared.subject
        return {
            "protocol": PROTOCOL,
            "corpus": subject.corpus.sha256,
            "questions": fingerprint_of(subject.queries),
            "qrels": self._prepared.evaluation.qrels_sha256,
            "named": {
                "corpus": corpus_words(subject.corpus.name, len(subject.corpus.docs), subject.corpus.documents),
                "questions": f"{len(subject.queries):,}",
                "qrels": "",
            },
            "pipelines": [parts.name for parts in subject.pipelines],
            "queries": [query.query_id for query in shuffled(subject.queries, subject.config.seed)],
        }

    def load(self, *, folder: str) -> dict[str, Any]:
        """Load models, embed what the cache lacks, build the indexes."""
        place = Path(folder)
        files.ready_folder(place, remedy="give another one with --out")
        bench = Bench(place, files.cache_folder(), Reported(self._say))
        clear(place)
        self._loaded = bench, ready(self._subject, bench)
        self._parts = {parts.name: parts for parts in self._subject.pipelines}
        self._queries = {query.query_id: query for query in self._subject.queries}
        return environment.describe()

    def rank(self) -> None:
        """Rankings of every pipeline, for quality: from what the cache has, and the rest computed."""
        bench, made = self._bench_and_indexes
        self._ranked = rank(self._subject, made.embedding, bench)

    def ask(self, *, pipeline: str, query: str, phase: str, number: int) -> dict[str, int]:
        """One live query: ns by stage, and of the whole as `query`; nothing where an app failed for it.

        Kept in the spans under `phase`. Raises BadInput once an app has failed for too many.
        """
        bench, _ = self._bench_and_indexes
        if pipeline not in self._parts or query not in self._queries:
            raise BadInput(f"there is no pipeline '{pipeline}' or no query '{query}' on this side")
        # Its round is read around each query alone: between them this process waits for the other side.
        watched = self._timings.reading(pipeline, number, bench.clock) if phase == "timed" else nullcontext()
        parts = self._parts[pipeline]
        answer = None
        with watched, unless_it_fails(parts, self._queries[query], of=len(self._queries)):
            answer, trace = traced(parts, self._queries[query], bench.clock)
        if answer is None:  # an app failed for it
            return {}
        self._timings.add(pipeline, phase, number, trace)
        self._timings.add_usage(pipeline, answer)
        return {"query": trace.duration_ns, **{span.stage: span.duration_ns for span in trace.spans}}

    def plan_load(self, *, settings: dict[str, Any]) -> None:
        """Check what load is to be put on which pipelines; `settings` go before this side's own [load]."""
        if self._prepared is None:
            raise RuntimeError("a worker is prepared before it plans")
        self._load_plan = plan_load(self._prepared, Request(self._eval_file, settings))

    def load_workers(self) -> int | None:
        """How many threads answer; None where a service has its own."""
        if self._load_plan is None:
            return None
        return None if any(each.kind == "http" for each in self._load_plan.targets) else self._load_plan.workers

    def put_load(
        self, *, pipeline: str, key: str, purpose: Any, seconds: float, rate: float | None = None,
        concurrency: int | None = None,
    ) -> bool:  # fmt: skip
        """Make one step, and write it; whether the budget allowed it."""
        bench, _ = self._bench_and_indexes
        if self._load_plan is None:
            raise RuntimeError("load is planned before it is put")
        self._load_bench = self._load_bench or LoadBench(self._load_plan, bench)
        return self._load_bench.put(pipeline, key, purpose, seconds, rate=rate, concurrency=concurrency)

    def write_load(self) -> None:
        """Seal the steps that were made."""
        if self._load_bench is not None:
            self._load_bench.write()

    def close(self) -> None:
        """Have the stores give back what they made; no request."""
        if self._prepared is not None:
            with closing(self._prepared.subject.pipelines):
                self._parts = {}

    def write(self, *, job: str) -> None:
        """Count what is to be counted and write the recording; recordings of one `job` were interleaved."""
        bench, made = self._bench_and_indexes
        subject = self._subject
        counted = shuffled(subject.queries, subject.config.seed)[: subject.config.gate.flop_queries]
        count_flops(subject.pipelines, counted, self._timings, bench.progress)
        self._timings.peaks = dict.fromkeys(self._parts, environment.peak_rss_bytes())
        self._timings.leave_out_failed(subject.pipelines)
        untimed = {} if any(phase == "timed" for _, phase, *_ in self._timings.spans) else {"untimed": True}
        write(subject, bench, made, self._ranked, self._timings, job=job, **untimed)

    @property
    def _subject(self) -> Subject:
        if self._prepared is None:
            raise RuntimeError("a worker is prepared before it loads")
        return self._prepared.subject

    @property
    def _bench_and_indexes(self) -> tuple[Bench, Ready]:
        if self._loaded is None:
            raise RuntimeError("a worker is loaded before it is asked")
        return self._loaded


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Answer until the requests end."""

    def say(message: Mapping[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    worker = Worker(say)
    verbs = {verb: getattr(worker, verb) for verb in VERBS}
    try:
        for line in requests:
            request = json.loads(line)
            try:
                say({"done": verbs[request.pop("do")](**request)})
            except RagprofError as problem:
                say({"error": str(problem), "exit_code": problem.exit_code})
    finally:
        worker.close()


def main() -> None:
    """Keep the real standard output for replies and send everything else to the error stream."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
