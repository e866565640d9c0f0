"""How fast the generator of `ragprof load` is, and how late: arrivals a second, lateness, processor time of a request.

    python evals/performance/load.py [--rates 500,1000,2000,4000] [--seconds 5]

Behind HTTP on one event loop, against a server of the tests in a process of its own, which answers after 1 ms; and on
threads of this process, whose work is a sleep of 1 ms. The promise: 2,000 arrivals a second on one core, with a median
lateness under 1 ms.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "load"))
from known_server import running

from ragprof.apps.http import HttpApp
from ragprof.core import Query
from ragprof.core.clock import now_ns
from ragprof.core.environment import describe
from ragprof.studies.load.arrivals import arrivals
from ragprof.studies.load.client import HttpLoad
from ragprof.studies.load.pool import Asker, StepLimits, WorkerPool

LIMITS = StepLimits(drain_s=30.0, longest_wait_s=600.0)
WORKERS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="500,1000,2000,4000")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    machine = describe()
    shown = Table(title=f"{machine['cpu']}, {machine['cores']} cores", box=SIMPLE_HEAD, title_justify="left")
    for name in ("generator", "arrivals/s", "requests", "answered", "late p50", "late p99", "CPU of a request"):
        shown.add_column(name, justify="left" if name == "generator" else "right")
    with running(mean_ms=1, servers=1024) as url:
        service = HttpLoad(HttpApp(url), [Query("q", "question")], now_ns, 30.0, 4000)
        for rate in rates:
            row(shown, "HTTP, one event loop", service, rate, options.seconds)
    pool = WorkerPool(asleep, WORKERS, [Query("q", "question")], now_ns)
    for rate in rates:
        row(shown, f"{WORKERS} threads", pool, rate, options.seconds)
    Console().print(shown)


@contextmanager
def asleep() -> Iterator[Asker]:
    """Work that takes a millisecond and no processor."""

    def ask(_query: Query) -> Mapping[str, int]:
        threading.Event().wait(0.001)
        return {}

    yield ask


def row(shown: Table, name: str, generator: HttpLoad | WorkerPool, rate: float, seconds: float) -> None:
    """One step at this rate."""
    due = arrivals("poisson", rate, seconds, seed=(0,))
    before = time.process_time()
    run = generator.open(due, LIMITS, lambda _log, _passed: None)
    cpu = time.process_time() - before
    late = run.log.late[run.log.late >= 0] / 1e6
    shown.add_row(
        name, f"{rate:,.0f}", f"{len(due):,}", f"{run.log.outcome.count('ok'):,}",
        f"{np.median(late):.3f} ms", f"{np.quantile(late, 0.99):.2f} ms", f"{1e6 * cpu / len(due):.0f} µs",
    )  # fmt: skip


if __name__ == "__main__":
    main()
