"""Load on a pool of threads of this process: pipelines that ragprof runs itself, and apps that are called.

In the open loop a worker takes the next arrival as soon as it is free and sleeps until that is due. So k workers serve
in order of arrival, as one queue before k servers does, and there is no dispatcher that could be late: a request that
was due while all were busy has waited since it was due. Only of a worker that slept is it known how late it woke.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from threading import Event, Lock, Semaphore, Thread
from typing import TypeAlias

from ragprof.core import Query
from ragprof.core.clock import Clock
from ragprof.core.cores import ThreadMeter
from ragprof.core.errors import RagprofError
from ragprof.core.plain import said_by
from ragprof.studies.load.arrivals import Times
from ragprof.studies.load.requests import ERROR, OK, RAN, WAITED, StepLog, StepRun

Asker: TypeAlias = Callable[[Query], Mapping[str, int]]
"""Asks one question and returns the ns of each stage. Of one thread alone."""
Watch: TypeAlias = Callable[[StepLog, float], None]
EVERY_S = 0.25
BEGUN = "begun"
"""Among the stages: ns from the question to the first token of its answer."""
DIVERGED = "requests came faster than they were answered, and the queue grew without end"


@dataclass(frozen=True)
class StepLimits:
    """When a step is ended: how long it is waited for answers at its end, and what wait of a request is too long."""

    drain_s: float
    longest_wait_s: float
    most_requests: int | None = None


class Schedule:
    """Hands out the requests of a step, each once: as they are due, or one whenever somebody is free."""

    def __init__(self, log: StepLog, now: Callable[[], int], until_ns: int | None = None) -> None:
        self.log, self.taken, self._now, self._until_ns, self._lock = log, 0, now, until_ns, Lock()

    def take(self) -> int | None:
        """The number of the next request; None once there is none, or in a closed loop once its time is over."""
        with self._lock:
            number = self.taken
            if number >= len(self.log.due):
                return None
            if self._until_ns is not None:
                if self._now() >= self._until_ns:
                    return None
                self.log.due[number] = self._now()
            self.taken = number + 1
            return number

    def backlog_s(self) -> float:
        """For how long the next request has been due."""
        if self._until_ns is not None or self.taken >= len(self.log.due):
            return 0.0
        return (self._now() - int(self.log.due[self.taken])) / 1e9


@dataclass(frozen=True)
class WorkerPool:
    """Threads that answer. `askers` makes what one of them asks with."""

    askers: Callable[[], AbstractContextManager[Asker]]
    workers: int
    queries: Sequence[Query]
    clock: Clock

    def open(self, due: Times, limits: StepLimits, watch: Watch) -> StepRun:
        """Serve these arrivals. `watch` is told about four times a second how it stands and how many s have passed."""
        step = _PoolStep(self, StepLog(due), limits)
        return step.run(self.workers, float(due[-1]) / 1e9, watch)

    def closed(self, concurrency: int, seconds: float, limits: StepLimits, watch: Watch) -> StepRun:
        """Let so many workers ask the next question whenever one was answered, for a time.

        What is due is when it was sent: a stall delays one request a worker, and hides all that it kept from coming.
        """
        step = _PoolStep(self, StepLog.empty(limits.most_requests, seconds), limits, until_ns=round(seconds * 1e9))
        found = step.run(concurrency, seconds, watch)
        step.log.cut_to(step.schedule.taken)
        return found


class _PoolStep:
    """One step on a pool."""

    def __init__(self, pool: WorkerPool, log: StepLog, limits: StepLimits, *, until_ns: int | None = None) -> None:
        self.pool, self.log, self.limits = pool, log, limits
        self.schedule = Schedule(log, self.now, until_ns)
        self._begun, self._cut = 0, 2**62
        self._stop, self._ready, self._writing = Event(), Event(), Lock()
        self._made = Semaphore(0)
        self._faults: list[BaseException] = []

    def now(self) -> int:
        """Ns since the step began."""
        return self.pool.clock() - self._begun

    def run(self, workers: int, seconds: float, watch: Watch) -> StepRun:
        """Serve until all is answered, the time at the end is over, or the queue has grown too long."""
        threads = [Thread(target=self._work, name="ragprof-load", daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for _ in threads:  # a connection that is still being opened is no part of the first request
            self._made.acquire()
        self._begun, stopped = self.pool.clock(), ""
        self._ready.set()
        try:
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(EVERY_S)
                watch(self.log, self.now() / 1e9)
                if self.now() / 1e9 > seconds + self.limits.drain_s:
                    break
                if self.schedule.backlog_s() > self.limits.longest_wait_s:
                    stopped = DIVERGED
                    break
        finally:
            with self._writing:
                self._cut = self.now()
                self._stop.set()
        for thread in threads:  # what hangs is left alone: it ends with the process
            thread.join(self.limits.drain_s / len(threads))
        if self._faults:
            raise self._faults[0]
        return StepRun(self.log, self._cut, stopped)

    def _work(self) -> None:
        try:
            asker = self.pool.askers()
            ask = asker.__enter__()
        except Exception as failure:  # a database that takes no more connections, an app that cannot be called
            self._faults.append(failure)
            self._stop.set()
            self._made.release()
            return
        self._made.release()
        with ExitStack() as stack:
            stack.push(asker.__exit__)
            meter = ThreadMeter()
            stack.callback(meter.close)
            self._ready.wait()
            while not self._stop.is_set() and (number := self.schedule.take()) is not None:
                due = int(self.log.due[number])
                if (early := due - self.now()) > 0:
                    if self._stop.wait(early / 1e9):
                        return
                    self.log.late[number] = self.now() - due
                self._serve(number, ask, meter)

    def _serve(self, number: int, ask: Asker, meter: ThreadMeter) -> None:
        log, outcome, complaint = self.log, OK, ""
        stages: Mapping[str, int] | None = None
        with self._writing:
            log.under_way += 1
        before = meter.read()
        log.sent[number] = self.now()
        try:
            stages = ask(self.pool.queries[number % len(self.pool.queries)])
        except RagprofError as failure:
            outcome, complaint = ERROR, str(failure)
        except Exception as failure:  # a part or an app may raise anything; it is counted, and the next is asked
            outcome, complaint = ERROR, said_by(failure)
        except BaseException as failure:
            self._faults.append(failure)
            self._stop.set()
        ended = self.now()
        after = meter.read()
        if stages is not None and before is not None and after is not None:
            stages = {RAN: after[0] - before[0], WAITED: after[1] - before[1], **stages}
        if stages is not None and BEGUN in stages:
            log.first[number] = log.sent[number] + stages[BEGUN]
        with self._writing:
            log.under_way -= 1
            if ended <= self._cut:
                log.end(number, ended, outcome, stages)
                if complaint:
                    log.complain(complaint)
