"""Whether a busy machine is told: live rounds beside nobody, beside work on one core, and beside work on two.

    python evals/performance/busy.py [--runs 20]

This process keeps to two cores, and so do its competitors, each a process that compresses all the time: "one core" and
"two cores" then mean the same on every machine. Nothing is waited for (`patience = 0`). A quiet run needs a machine
that does nothing else. Besides, what the readings add to a query: the processor's time of all readings of live rounds
beside nobody, over the time of their queries. Dense search is over the handbook of the tests, BM25 over the source of
Python's standard library. A line for each says whether it is as promised; if not all are, the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

CORES = sorted(os.sched_getaffinity(0))[:2]
os.sched_setaffinity(0, CORES)  # before libraries count the cores

from rich.box import SIMPLE_HEAD  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from ragprof.core import Doc, Query, cores  # noqa: E402
from ragprof.core.clock import Silent, now_ns, thread_cpu_ns  # noqa: E402
from ragprof.core.cores import MOST_OVERHEAD, CoreMeter, CoreTimes  # noqa: E402
from ragprof.core.environment import describe  # noqa: E402
from ragprof.core.errors import BadInput, RagprofError  # noqa: E402
from ragprof.corpus import Corpus, read_corpus, read_evaluation_set  # noqa: E402
from ragprof.evals import Timing  # noqa: E402
from ragprof.record.disturbance import disturbance_of  # noqa: E402
from ragprof.record.pipeline import Parts, Pipeline  # noqa: E402
from ragprof.record.timings import time_pipelines  # noqa: E402

HANDBOOK = Path(__file__).parents[2] / "tests" / "data" / "handbook"
TIMING = Timing(seconds=0.6, rounds=2, min_queries=3, warmup=1, patience=0)
REPEATED = 25
"""How often the 12 questions of the handbook are asked in a round: 300, as many as SciFact has."""
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


class WatchedMeter(CoreMeter):
    """A meter that counts its readings around work, and the processor's time that they take."""

    def __init__(self) -> None:
        super().__init__()
        self.readings = self.spent_ns = 0

    def of_process(self) -> CoreTimes:
        return self._watched(super().of_process)

    def of_machine(self) -> CoreTimes:
        return self._watched(super().of_machine)

    def shortest_ns(self) -> int:
        known = self.readings, self.spent_ns
        found = super().shortest_ns()
        self.readings, self.spent_ns = known
        return found

    def _watched(self, read: Callable[[], CoreTimes]) -> CoreTimes:
        start = thread_cpu_ns()
        found = read()
        self.spent_ns += thread_cpu_ns() - start
        self.readings += 1
        return found


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
    told = [promise(side, found) for side, found in runs.items()]
    told += [overhead(parts, queries) for parts in pipelines]
    for kept, sentence in told:
        console.print(f"{'as promised' if kept else 'NOT AS PROMISED'}: {sentence}", highlight=False)
    facts, asked = describe(), len(queries) // REPEATED
    console.print(
        f"{len(corpus.docs)} passages, {asked} questions; {facts['cpu']}, 2 of {facts['cores']} cores",
        style="dim", highlight=False,
    )  # fmt: skip
    sys.exit(0 if all(kept for kept, _ in told) else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="runs beside each; default 20")
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
    return corpus, list(queries) * REPEATED, (dense, words)


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
            f"{statistics.median(shares):.1%} ({min(shares):.1%}-{max(shares):.1%})",
            f"{statistics.median(p50s):.1f} ({min(p50s):.1f}-{max(p50s):.1f})",
        )
    return shown


def promise(side: str, found: Sequence[LiveRun]) -> tuple[bool, str]:
    """Whether a side was flagged as it has to be: never beside nobody, always beside work."""
    flagged, wanted = sum(run.busy for run in found), len(found) if SIDES[side] else 0
    return flagged == wanted, f"beside {side} {flagged} of {len(found)} runs are flagged, {wanted} have to be"


def overhead(parts: Parts, queries: Sequence[Query]) -> tuple[bool, str]:
    """Whether all readings of live rounds take at most MOST_OVERHEAD of the time of their queries."""
    watched = WatchedMeter()
    with patch.object(cores, "meter", lambda: watched):
        spans = time_pipelines([parts], queries, timing=TIMING, clock=now_ns, progress=Silent()).span_table()
    asked = spans.loc[spans["phase"].isin(["timed", "bare"]) & (spans["stage"] == "query"), "duration_ns"]
    stages = spans.loc[(spans["phase"] == "timed") & spans["waiting_ns"].notna(), "stage"].unique()
    share = watched.spent_ns / asked.sum()
    return share <= MOST_OVERHEAD, (
        f"{watched.readings} readings add {share:.2%} to {len(asked)} queries of {parts.name} of "
        f"{asked.median() / MS:.2f} ms, at most {MOST_OVERHEAD:.0%} is due; one takes "
        f"{watched.spent_ns / watched.readings / 1e3:.0f} \u00b5s of a core; read around "
        f"{', '.join(['all queries of a round', *stages])}"
    )


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"busy.py: {error}")
