"""Load on real sockets and threads, against a server and workers whose service times are known."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from known_server import running, service_times, waited

from ragprof.apps.http import HttpApp
from ragprof.core import Query
from ragprof.core.clock import now_ns, thread_cpu_ns
from ragprof.studies.load.arrivals import arrivals
from ragprof.studies.load.client import HttpLoad
from ragprof.studies.load.measured import MeasuredStep
from ragprof.studies.load.pool import DIVERGED, Asker, StepLimits, WorkerPool
from ragprof.studies.load.recorded import RecordedStep
from ragprof.studies.load.requests import StepLog, StepRun

QUERIES = [Query("one", "first question"), Query("two", "second question")]
PATIENT = StepLimits(drain_s=5.0, longest_wait_s=60.0)


def unwatched(_log: StepLog, _seconds: float) -> None:
    """Nobody looks."""


def opened(url: str, rate: float, seconds: float, *, limits: StepLimits = PATIENT, timeout_s: float = 10.0) -> StepRun:
    load = HttpLoad(HttpApp(url), QUERIES, now_ns, timeout_s, 500)
    return load.open(arrivals("poisson", rate, seconds, seed=(1,)), limits, unwatched)


def latencies_s(run: StepRun) -> np.ndarray:
    return np.sort((run.log.ended - run.log.due) / 1e9)


def test_a_stall_is_in_the_open_loop_and_hidden_by_a_closed_one() -> None:
    with running(mean_ms=2, servers=4, stall_every_s=1.0, stall_s=0.3) as url:
        run = opened(url, 60, 3.0)
        load = HttpLoad(HttpApp(url), QUERIES, now_ns, 10.0, 500)
        closed = load.closed(1, 3.0, PATIENT, unwatched)
    took, hidden = latencies_s(run), latencies_s(closed)
    assert set(run.log.outcome) == {"ok"}
    # 30 % of all arrivals fall into a stall and wait for what is left of it.
    assert np.quantile(took, 0.85) > 0.08
    assert np.mean(took > 0.05) > 0.15
    assert len(hidden) > len(took)
    assert np.mean(hidden > 0.05) < 0.05


def test_every_arrival_has_one_row_whatever_became_of_it() -> None:
    with running(mean_ms=1, servers=8, busy_every=5) as url:
        run = opened(url, 200, 1.0)
    table = run.log.table(["one", "two"], run.cut)
    assert len(table) == len(run.log.due)
    counts = table["outcome"].value_counts().to_dict()
    assert counts == {"ok": len(table) - len(table) // 5, "busy": len(table) // 5}
    assert run.log.retry_after == counts["busy"]
    assert (table["ended_ns"] >= table["due_ns"]).all()
    assert table["late_ns"].notna().all()


def test_a_server_that_dies_is_told_by_what_is_left_unanswered() -> None:
    with running(mean_ms=1, dies_after=20) as url:
        run = opened(url, 100, 1.0)
    outcomes = run.log.outcome
    assert outcomes.count("ok") <= 20
    assert outcomes.count("unreached") == len(outcomes) - outcomes.count("ok")
    assert run.log.said


def test_a_server_that_never_answers_ends_by_the_time_limit_and_one_that_is_too_slow_by_its_queue() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = opened(f"http://127.0.0.1:{silent.getsockname()[1]}/", 20, 0.3, timeout_s=0.2)
    assert set(run.log.outcome) == {"timeout"}
    with running(mean_ms=100) as url:
        short = StepLimits(drain_s=0.1, longest_wait_s=60.0)
        run = opened(url, 50, 0.5, limits=short)
    assert run.log.outcome.count("unfinished") >= len(run.log.due) - 8
    assert (run.log.table(["one"], run.cut)["ended_ns"] >= 0.4e9).any()


def test_a_clock_that_jumps_loses_no_request_and_the_step_is_flagged() -> None:
    """As where a machine slept: what was due meanwhile is sent at once, and late through nobody's fault but ours."""
    begun = now_ns()

    def jumping() -> int:
        return (now := now_ns()) + (3_000_000_000 if now - begun > 400_000_000 else 0)

    with running(mean_ms=1, servers=64) as url:
        due = arrivals("constant", 40, 2.0, seed=(1,))
        begun = now_ns()
        run = HttpLoad(HttpApp(url), QUERIES, jumping, 10.0, 500).open(due, PATIENT, unwatched)
    assert run.log.outcome == ["ok"] * 80
    assert (run.log.ended >= run.log.due).all()
    table = run.log.table(["one", "two"], run.cut)
    assert MeasuredStep.of(cast(RecordedStep, {"warm_s": 0.0}), table).generator_bound


def sleeper(times: np.ndarray) -> Asker:
    """Takes the next service time; one of several threads."""
    taken = iter(range(len(times)))
    lock = threading.Lock()

    def ask(_query: Query) -> Mapping[str, int]:
        with lock:
            seconds = float(times[next(taken)])
        time.sleep(seconds)
        return {"search": round(seconds * 1e9)}

    return ask


def pooled(times: np.ndarray, workers: int) -> WorkerPool:
    ask = sleeper(times)

    @contextmanager
    def asker() -> Iterator[Asker]:
        yield ask

    return WorkerPool(asker, workers, QUERIES, now_ns)


def test_a_step_too_short_for_its_rate_has_one_arrival_within_it() -> None:
    (due,) = arrivals("poisson", 0.001, 2.0, seed=(1,))
    assert 0 <= due <= 1_800_000_000


def test_workers_are_one_queue_before_k_servers() -> None:
    due = arrivals("poisson", 60, 1.5, seed=(2,))
    times = service_times("exponential", 0.02, 4, len(due))
    run = pooled(times, 2).open(due, PATIENT, unwatched)
    measured, known = (run.log.ended - due) / 1e9, waited(due / 1e9, times, 2)
    assert set(run.log.outcome) == {"ok"}
    # What is added to theory is how late sleepers wake; which of two workers takes a time first may differ.
    assert -0.002 < np.median(measured - known) < 0.03
    assert measured.mean() > 0.95 * known.mean()


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="this system does not tell")
def test_a_worker_says_whether_it_worked_or_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 ms of sleep, and 20 ms of work in Python on each of two threads, of which one runs at a time."""
    monkeypatch.delenv("RAGPROF_CORE_TIMES", raising=False)

    def burns(_query: Query) -> dict[str, int]:
        until = thread_cpu_ns() + 20_000_000
        while thread_cpu_ns() < until:
            pass
        return {}

    def sleeps(_query: Query) -> dict[str, int]:
        time.sleep(0.02)
        return {}

    found = {}
    for name, ask in (("burns", burns), ("sleeps", sleeps)):
        pool = WorkerPool(lambda ask=ask: nullcontext(ask), 2, QUERIES, now_ns)  # type: ignore[misc]
        log = pool.open(arrivals("constant", 20, 0.5, seed=(0,)), PATIENT, unwatched).log
        found[name] = log.table(["one"], 10**10)
    assert found["burns"]["ran_ns"].min() >= 20_000_000
    assert found["sleeps"]["ran_ns"].max() < 10_000_000
    slept = found["sleeps"]
    asleep = slept["ended_ns"] - slept["sent_ns"] - slept["ran_ns"] - slept["waited_ns"]
    assert asleep.min() >= 19_000_000


def test_more_than_workers_can_do_is_cut_off_and_said() -> None:
    due = arrivals("constant", 100, 5.0, seed=(0,))
    run = pooled(np.full(len(due), 0.05), 1).open(due, StepLimits(drain_s=0.1, longest_wait_s=0.4), unwatched)
    table = run.log.table(["one"], run.cut)
    assert run.stopped == DIVERGED
    assert len(table) < 200
    assert (table["outcome"] == "unfinished").mean() > 0.5


@pytest.mark.slow
def test_a_hundred_thousand_requests_are_neither_lost_nor_counted_twice() -> None:
    with running(mean_ms=1, servers=64) as url:
        run = opened(url, 1000, 100.0, limits=StepLimits(drain_s=60.0, longest_wait_s=600.0))
        with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) as asked:
            asked.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n")
            served = int(asked.recv(1000).rpartition(b"\r\n")[2])
    assert len(run.log.due) > 99_000
    assert run.log.outcome.count("ok") == len(run.log.due) == served


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "servers", "mean", "load", "seconds", "seed"),
    [
        ("exponential", 1, 0.010, 0.3, 45.0, 11),
        ("exponential", 1, 0.010, 0.6, 45.0, 11),
        ("exponential", 1, 0.004, 0.9, 90.0, 11),
        ("fixed", 4, 0.020, 0.3, 45.0, 11),
        ("fixed", 4, 0.020, 0.6, 45.0, 12),
        ("fixed", 4, 0.020, 0.9, 45.0, 11),
    ],
)
def test_waiting_is_measured_as_theory_has_it(
    law: str, servers: int, mean: float, load: float, seconds: float, seed: int
) -> None:
    """M/M/1 and M/D/4 over real sockets, request by request against Lindley's and Kiefer and Wolfowitz's recursion on
    the very same arrivals and service times; then quantiles against the stationary law.

    The recursion walks over the times at which requests were sent, so that what it leaves is the client's and the
    server's own doing, and not how late a busy machine woke the generator. A single server at 90 % forgets within
    1.5 s, and has to be that fast for its tail to be seen in 90 s. An interval of 95 % misses one time in twenty even
    where nothing is wrong: the seeds are such that the recursion alone, without a socket, lies within its own.
    """
    from test_load_figures import step

    rate = load * servers / mean
    with running(law=law, mean_ms=1e3 * mean, servers=servers, seed=7) as url:
        load_on = HttpLoad(HttpApp(url), QUERIES, now_ns, 60.0, 2000)
        due = arrivals("poisson", rate, seconds, seed=(seed,))
        run = load_on.open(due, StepLimits(drain_s=30.0, longest_wait_s=600.0), unwatched)
    assert set(run.log.outcome) == {"ok"}
    late, measured = (run.log.sent - due) / 1e9, (run.log.ended - due) / 1e9
    known = late + waited(run.log.sent / 1e9, service_times(law, mean, 7, len(due)), servers)
    off = np.abs(measured - known)
    told = f"off by {1e3 * np.median(off):.2f} ms in the median and {1e3 * np.quantile(off, 0.99):.2f} ms at p99"
    assert np.median(off) < 0.002, told
    assert np.quantile(off, 0.99) < 0.015, told
    found = step(rate, seconds, measured, due / 1e9)
    for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        # Where nobody waits, as in M/D/4 at 30 %, the law is one value: all that is above it is how late requests were.
        slack = 0.002 + float(np.quantile(late, level))
        interval = found.estimate(name).interval
        assert interval is not None
        low, high = (end / 1e9 for end in interval)
        assert low - slack <= stationary(law, servers, mean, rate, level) <= high + slack, (name, told)


def stationary(law: str, servers: int, mean: float, rate: float, level: float) -> float:
    """The quantile of the time in M/M/1, which is exponential; of M/D/4, which has no closed form, walked through."""
    if (law, servers) == ("exponential", 1):
        return float(-np.log(1 - level) / (1 / mean - rate))
    many = arrivals("poisson", rate, 1_000_000 / rate, seed=(12,)) / 1e9
    return float(np.quantile(waited(many, service_times(law, mean, 13, len(many)), servers)[10_000:], level))
