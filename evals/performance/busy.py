"""Whether a busy machine is told: live rounds beside nobody, beside work on one core, and beside work on two.

    python evals/performance/busy.py [--runs 20] [--pairs 200]

This process keeps to two cores, and so do its competitors, each a process that compresses all the time: "one core" and
"two cores" then mean the same on every machine. Nothing is waited for (`patience = 0`). A quiet run needs a machine
that does nothing else. Besides, what the readings add to a query: the same queries with and without them, in turns.
Dense search is over the handbook of the tests, BM25 over the source of Python's standard library.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

CORES = sorted(os.sched_getaffinity(0))[:2]
os.sched_setaffinity(0, CORES)  # before libraries count the cores

from rich.box import SIMPLE_HEAD  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from ragprof.core import Doc, Query, cores  # noqa: E402
from ragprof.core.clock import Silent, now_ns  # noqa: E402
from ragprof.core.cores import CoreMeter, Unread  # noqa: E402
from ragprof.core.environment import describe  # noqa: E402
from ragprof.core.errors import BadInput, RagprofError  # noqa: E402
from ragprof.corpus import Corpus, read_corpus, read_evaluation_set  # noqa: E402
from ragprof.evals import Timing  # noqa: E402
from ragprof.record.disturbance import disturbance_of  # noqa: E402
from ragprof.record.pipeline import Parts, Pipeline  # noqa: E402
from ragprof.record.query import traced  # noqa: E402
from ragprof.record.timings import time_pipelines  # noqa: E402

HANDBOOK = Path(__file__).parents[2] / "tests" / "data" / "handbook"
TIMING = Timing(seconds=1, rounds=2, min_queries=8, warmup=2, patience=0)
SIDES = {"nobody": 0, "one core": 1, "two cores": 2}
WORK = "import zlib\nblock = bytes(range(256)) * 4096\nwhile True:\n    zlib.compress(block)\n"
PASSAGE = 1_000
MS = 1e6


@dataclass(frozen=True, slots=True)
class LiveRun:
    """One recording's worth of live rounds: the highest share of waiting, whether it was flagged, p50 of `dense`."""

    waiting: float
    busy: bool
    p50_ns: float


def main() -> None:
    options, console = arguments(), Console()
    if len(CORES) < 2:
        raise BadInput("this machine has one core for this process; give it two")
    corpus, queries, pipelines = subject()
    live(pipelines, queries)
    runs: dict[str, list[LiveRun]] = {side: [] for side in SIDES}
    for number in range(options.runs):
        for side, rivals in SIDES.items():
            with console.status(f"run {number + 1} of {options.runs}, beside {side}"), competitors(rivals):
                runs[side].append(live(pipelines, queries))
    console.print(table(runs))
    for parts in pipelines:
        console.print(overhead(parts, queries, options.pairs), highlight=False)
    facts = describe()
    console.print(
        f"{len(corpus.docs)} passages, {len(queries)} questions; {facts['cpu']}, 2 of {facts['cores']} cores",
        style="dim", highlight=False,
    )  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="runs beside each; default 20")
    parser.add_argument("--pairs", type=int, default=200, metavar="N", help="queries with and without readings")
    return parser.parse_args()


def subject() -> tuple[Corpus, Sequence[Query], tuple[Parts, Parts]]:
    """What the packaged MiniLM searches, whose threads work together, and what one thread searches by words."""
    corpus = read_corpus(HANDBOOK)
    queries = read_evaluation_set(HANDBOOK / "queries.jsonl", HANDBOOK / "qrels" / "test.tsv", corpus=corpus).queries
    dense = Pipeline("dense", embedder="sentence_transformers", store="faiss_flat", depth=10).parts()
    words = Pipeline("bm25", store="bm25s", depth=10).parts()
    for part in dense.stages:
        part.load()
    texts = [doc.content for doc in corpus.docs]
    dense.store.add(corpus.docs, dense.embedder.embed_documents(texts).vectors if dense.embedder else None)
    words.store.add(standard_library(), None)
    return corpus, queries, (dense, words)


def standard_library() -> list[Doc]:
    """Passages of 1,000 characters out of the modules beside `os`."""
    passages = []
    for path in sorted(Path(os.__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for start in range(0, len(text), PASSAGE):
            name = f"{path.stem}-{start}"
            passages.append(Doc(name, path.stem, text[start : start + PASSAGE], name))
    return passages


@contextmanager
def competitors(number: int) -> Iterator[None]:
    """So many processes that compute without end, on the cores of this one."""
    started = [subprocess.Popen([sys.executable, "-c", WORK]) for _ in range(number)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def live(pipelines: Sequence[Parts], queries: Sequence[Query]) -> LiveRun:
    """Time the pipelines as `ragprof run` does."""
    spans = time_pipelines(pipelines, queries, timing=TIMING, clock=now_ns, progress=Silent()).span_table()
    flags = [disturbance_of(rows, TIMING.model_dump()) for _, rows in spans.groupby("pipeline")]
    whole = spans.query("pipeline == 'dense' and phase == 'timed' and stage == 'query'")
    waiting = max(flag.waiting or 0.0 for flag in flags)
    return LiveRun(waiting, any(flag.busy for flag in flags), float(whole["duration_ns"].median()))


def table(runs: dict[str, list[LiveRun]]) -> Table:
    shown = Table(
        title=f"live rounds beside other work, bound {TIMING.waiting_bound:.0%}", box=SIMPLE_HEAD, title_justify="left"
    )
    shown.add_column("beside")
    for heading in ("flagged busy", "waiting: median (lowest-highest)", "p50 of dense, ms: median (lowest-highest)"):
        shown.add_column(heading, justify="right")
    for side, found in runs.items():
        shares, p50s = [run.waiting for run in found], [run.p50_ns / MS for run in found]
        shown.add_row(
            side,
            f"{sum(run.busy for run in found)} of {len(found)}",
            f"{median(shares):.1%} ({min(shares):.1%}-{max(shares):.1%})",
            f"{median(p50s):.1f} ({min(p50s):.1f}-{max(p50s):.1f})",
        )
    return shown


def overhead(parts: Parts, queries: Sequence[Query], pairs: int) -> str:
    """What readings add to the duration of a query, asked with and without them in turns, and what they take beside."""
    meter, unread = CoreMeter(), Unread()
    taken: dict[str, list[int]] = {"read": [], "unread": []}
    for number in range(pairs):
        order = (("read", meter), ("unread", unread))
        for name, reader in order if number % 2 else order[::-1]:
            with patch.object(cores, "meter", lambda reader=reader: reader):
                taken[name].append(traced(parts, queries[number % len(queries)], now_ns)[1].duration_ns)
    start = now_ns()
    for _ in range(pairs):
        meter.of_process()
    reading = (now_ns() - start) / pairs
    added = median(read - unread for read, unread in zip(taken["read"], taken["unread"], strict=True))
    base = median(taken["unread"])
    return (
        f"{parts.name}: readings add {added / 1e3:+.1f} µs to a query of {base / MS:.2f} ms ({added / base:+.2%}, "
        f"{pairs} pairs); one takes {reading / 1e3:.0f} µs, between the spans and in none of them"
    )


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"busy.py: {error}")
