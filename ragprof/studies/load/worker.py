"""What a process of the pool does: `python -m ragprof.studies.load.worker`, asked in JSON lines over its pipes.

The first line is the order, and is answered once the index is built; each further one is a question by its id, answered
with ns by stage. Whatever libraries print goes to the error stream.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ragprof.core.clock import SILENT
from ragprof.core.cores import ThreadMeter
from ragprof.core.errors import BadInput, RagprofError
from ragprof.core.plain import said_by
from ragprof.record.pipeline import closing
from ragprof.record.recording import Bench, build_indexes, embed, load
from ragprof.studies.contract import Request
from ragprof.studies.load.plan import plan
from ragprof.studies.load.record import stages_of
from ragprof.studies.load.requests import RAN, WAITED
from ragprof.studies.preparation import Prepared, prepare


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Answer until the requests end."""

    def say(message: Mapping[str, Any]) -> None:
        replies.write(f"{json.dumps(message)}\n")
        replies.flush()

    order = json.loads(requests.readline() or "{}")
    if not order:
        return
    eval_file, folder = Path(order["eval_file"]), Path(order["folder"])
    try:
        prepared = prepare(eval_file, beside=folder)
        with closing(prepared.subject.pipelines):
            _answer(prepared, order, requests, say)
    except RagprofError as problem:
        say({"error": str(problem)})


def _answer(prepared: Prepared, order: Mapping[str, Any], requests: IO[str], say: Any) -> None:
    subject = prepared.subject
    if subject.corpus.sha256 != order["corpus"]:
        raise BadInput('pool = "processes" searches the corpus of the eval file; leave --corpus out, or use threads')
    bench = Bench(Path(order["folder"]), Path(order["cache"]), SILENT)
    planned = plan(prepared, Request(Path(order["eval_file"]), order["settings"]))
    parts = next(target for target in planned.targets if target.name == order["target"]).declared
    load([parts], SILENT)
    embedding = embed(subject, subject.corpus.docs, bench)
    build_indexes([parts], subject.corpus.docs, embedding.documents, clock=bench.clock, progress=SILENT)
    say({"done": True})
    queries, meter = {query.query_id: query for query in subject.queries}, ThreadMeter()
    for line in requests:
        query, before = queries[json.loads(line)["query"]], meter.read()
        try:
            found = dict(stages_of(parts, query, bench=bench))
        except RagprofError as failure:
            say({"error": str(failure)})
            continue
        except Exception as failure:  # a part may raise anything; it is counted, and the next is asked
            say({"error": said_by(failure)})
            continue
        after = meter.read()
        if before is not None and after is not None:
            found |= {RAN: after[0] - before[0], WAITED: after[1] - before[1]}
        say({"done": found})


def main() -> None:
    """Keep the real standard output for replies and send everything else to the error stream."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
