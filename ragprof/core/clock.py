"""The one place where time is read or waited for. What measures takes a clock, so that a test can move it by hand.

Waits between attempts and attempts that failed are no stage's own time and are kept out of every latency: a part that
waits says so with `exclude`; whoever measures reads `excluded_ns` before and after, and subtracts. `Progress` is how
long work reports its steps; the command line draws the bars.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from typing import Protocol, TypeAlias, runtime_checkable

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds of a monotonic clock."""


now_ns: Clock = time.perf_counter_ns
"""The function itself and nothing around it: a search in memory takes microseconds."""


def wall_ns() -> int:
    """Nanoseconds since 1970 in UTC; for the time of day, never for a duration."""
    return time.time_ns()


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def cpu_ns() -> int:
    """Time on a core of all threads of this process, those that have ended too."""
    return time.process_time_ns()


def thread_cpu_ns() -> int:
    """Time on a core of the calling thread alone."""
    return time.thread_time_ns()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


_excluded: ContextVar[int] = ContextVar("excluded", default=0)


def exclude(duration_ns: int) -> None:
    """Say that so many ns of the time now passing are not the work of the stage. In this thread or task only."""
    _excluded.set(_excluded.get() + duration_ns)


def excluded_ns() -> int:
    """All that was excluded in this thread or task so far."""
    return _excluded.get()


class OwnTime:
    """What of a call is its stage's own work: from `begin` to `end`; `leave` excludes the rest of the call.

    A search's own work is the library's call and what any caller of it does, such as turning rows into documents.
    Counting, checking and giving the result our form come before and after.
    """

    __slots__ = ("_before", "_entered", "_entered_apart", "_own", "_start")

    def __init__(self) -> None:
        self._own = self._start = self._before = 0
        self._entered, self._entered_apart = now_ns(), _excluded.get()

    def begin(self) -> None:
        self._before = _excluded.get()
        self._start = now_ns()

    def end(self) -> None:
        """Close the span; what was excluded within it stays excluded once."""
        self._own = now_ns() - self._start - (_excluded.get() - self._before)

    def leave(self) -> None:
        """Exclude what of the call until now is neither its own nor excluded yet. The last thing before it returns."""
        apart = _excluded.get()
        _excluded.set(apart + now_ns() - self._entered - self._own - (apart - self._entered_apart))


class Progress(Protocol):
    """`start` names a task and its number of steps, `advance` reports steps done, `done` ends it.

    A task may be started within another; `advance` and `done` are of the innermost. One of a single step has nothing
    to count, only a beginning and an end. `note` says one sentence on what is being done.
    """

    def start(self, task: str, total: int) -> None: ...

    def advance(self, steps: int) -> None: ...

    def done(self) -> None: ...

    def note(self, sentence: str) -> None: ...


@runtime_checkable
class TellsState(Protocol):
    """A progress that can say what a task is at besides how far it is, such as the rate of requests."""

    def state(self, words: str) -> None: ...


class Silent:
    """Reports to nobody."""

    def start(self, task: str, total: int) -> None:
        """Say nothing."""

    def advance(self, steps: int) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say nothing."""

    def note(self, sentence: str) -> None:
        """Say nothing."""


SILENT: Progress = Silent()


@contextmanager
def step(progress: Progress, task: str, total: int = 1) -> Iterator[None]:
    """Report the block as a task; it reports the steps, if there are more than one."""
    progress.start(task, total)
    yield
    progress.done()
