"""One side of an interleaved comparison: `python -m ragprof.against.worker`, asked in JSON lines over its pipes.

A request is {"do": name, ...}; the reply is {"done": value}, or {"error": message, "exit_code": n}. While it works it
says {"progress": [task, total]} and {"progress": [steps]}. Whatever libraries print goes to the error stream, so that
nothing but replies is in the answers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from ragprof import environment, files
from ragprof.errors import RagprofError
from ragprof.preparation import Prepared, prepare
from ragprof.record.driven import Driven
from ragprof.record.recording import Bench, fingerprint_of, shuffled

PROTOCOL = 1


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


class Worker:
    """The requests, a method each."""

    def __init__(self, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say = say
        self._prepared: Prepared | None = None
        self._driven: Driven | None = None

    def prepare(self, *, eval_file: str, corpus: str | None, books: list[str]) -> dict[str, Any]:
        """Read and check everything; loads no model. Says what this side is, so that it can be refused early."""
        self._prepared = prepare(
            Path(eval_file), corpus=None if corpus is None else Path(corpus), books=[Path(book) for book in books]
        )
        subject = self._prepared.subject
        return {
            "protocol": PROTOCOL,
            "corpus": subject.corpus.sha256,
            "questions": fingerprint_of(subject.queries),
            "qrels": self._prepared.evaluation.qrels_sha256,
            "pipelines": [parts.name for parts in subject.pipelines],
            "queries": [query.query_id for query in shuffled(subject.queries, subject.config.seed)],
        }

    def load(self, *, folder: str) -> dict[str, Any]:
        """Load models, embed what the cache lacks, build the indexes."""
        if self._prepared is None:
            raise RuntimeError("a worker is prepared before it loads")
        place = Path(folder)
        files.ready_folder(place, remedy="give another one with --out")
        self._driven = Driven(self._prepared.subject, Bench(place, files.cache_folder(), Reported(self._say)))
        return environment.describe()

    def rank(self) -> None:
        self._ready.rank()

    def ask(self, *, pipeline: str, query: str, phase: str, number: int) -> dict[str, int]:
        return self._ready.ask(pipeline, query, phase=phase, number=number)

    def write(self, *, job: str) -> None:
        self._ready.write(job=job)

    @property
    def _ready(self) -> Driven:
        if self._driven is None:
            raise RuntimeError("a worker is loaded before it is asked")
        return self._driven


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Answer until the requests end."""

    def say(message: Mapping[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    worker = Worker(say)
    verbs: dict[str, Callable[..., Any]] = {
        "prepare": worker.prepare,
        "load": worker.load,
        "rank": worker.rank,
        "ask": worker.ask,
        "write": worker.write,
    }
    for line in requests:
        request = json.loads(line)
        try:
            say({"done": verbs[request.pop("do")](**request)})
        except RagprofError as problem:
            say({"error": str(problem), "exit_code": problem.exit_code})


def main() -> None:
    """Keep the real standard output for replies and send everything else to the error stream."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
