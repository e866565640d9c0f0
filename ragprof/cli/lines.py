"""Progress for logs and for machines: plain lines, or one JSON object a line. Never silent for long.

A task of several steps is told when it begins. Any task is told every 10 seconds, or at every twentieth part of it (but
no two lines within 2 seconds), and if it was, then also when it ends. A thread tells the time that passes while nothing
reports a step. Machines are told the beginning and the end of every task.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Event, Lock, Thread
from typing import Literal, TypeAlias

from ragprof.core import plain
from ragprof.core.clock import Clock, Progress, TellsState, now_ns
from ragprof.report.figures import rough_duration, three_digits

EVERY_S, EVERY_SHARE, APART_S = 10.0, 0.05, 2.0
BETWEEN = "still working"
"""What is told while no task is under way."""
State: TypeAlias = Literal["started", "running", "finished"]
Form: TypeAlias = "Callable[[TaskReport, bool], str | None]"
"""A line for a report, or None for none. The second argument says whether the task had a line since its beginning."""


@dataclass(frozen=True)
class TaskReport:
    """How far a task is. The fields are those of a line of --json-progress."""

    task: str
    state: State
    done: int
    total: int
    """Steps; 1 for a task that has none to count."""
    seconds: float
    """Since the task began."""
    per_second: float | None
    """None until a step is reported, and for a task that has none to count."""
    remaining_seconds: float | None
    """None besides where a step takes longer than all that are left were expected to."""


def as_json(report: TaskReport, _told: bool) -> str:
    return json.dumps(asdict(report), ensure_ascii=True)


def as_text(report: TaskReport, told: bool) -> str | None:
    """None where nobody needs a line: of what takes no time, people are told nothing but its beginning, if anything."""
    passed = rough_duration(report.seconds)
    if report.state == "started":
        return f"{report.task} ({report.total:,})" if report.total > 1 else None
    if report.state == "finished":
        rate = "" if report.per_second is None else f" ({three_digits(report.per_second)}/s)"
        return f"{report.task}: done in {passed}{rate}" if told else None
    if report.total <= 1:
        return f"{report.task}: {passed} so far"
    so_far = f"{report.task}: {report.done:,} of {report.total:,} ({report.done / report.total:.0%})"
    if report.per_second is not None:
        so_far += f", {three_digits(report.per_second)}/s"
    if report.remaining_seconds is None:
        return f"{so_far}, {passed} so far"
    return f"{so_far}, about {rough_duration(report.remaining_seconds)} left"


@dataclass
class Task:
    """A task under way; times in ns."""

    name: str
    total: int
    began: int
    done: int = 0
    advanced: int = 0
    """When the last step was reported."""
    told: int | None = None
    """Steps that the last line between beginning and end told."""

    def report(self, state: State, now: int) -> TaskReport:
        spent = (self.advanced - self.began) / 1e9
        # The rate is that of reported steps: a step that is under way is not taken for a slower machine.
        rate = self.done / spent if self.done and self.total > 1 and spent > 0 else None
        left = 0.0 if rate is None else (self.total - self.done) / rate - (now - self.advanced) / 1e9
        return TaskReport(
            self.name,
            state,
            self.done,
            self.total,
            seconds=round((now - self.began) / 1e9, 1),
            per_second=None if rate is None else round(rate, 3),
            remaining_seconds=round(left, 1) if left > 0 and state == "running" else None,
        )


class Lines:
    """Implements ragprof.core.clock.Progress; as a context manager it also tells the time that passes in between."""

    def __init__(
        self,
        write: Callable[[str], None],
        form: Form = as_text,
        *,
        clock: Clock = now_ns,
        every_s: float = EVERY_S,
    ) -> None:
        self._write, self._form, self._clock, self._every_ns = write, form, clock, round(every_s * 1e9)
        self._tasks: list[Task] = []
        self._idle = Task(BETWEEN, 1, clock())
        self._last = clock()
        self._lock, self._ended = Lock(), Event()
        self._watch = Thread(target=self._tell_in_time, name="ragprof-progress", daemon=True)

    def __enter__(self) -> Lines:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def start(self, task: str, total: int) -> None:
        with self._lock:
            self._tasks.append(Task(plain.line(task), total, self._clock(), advanced=self._clock()))
            if total:
                self._tell("started")

    def advance(self, steps: int) -> None:
        with self._lock:
            if not self._tasks:
                return
            task, now = self._tasks[-1], self._clock()
            task.done, task.advanced = task.done + steps, now
            part = task.done - (task.told or 0) >= EVERY_SHARE * task.total and now - self._last >= APART_S * 1e9
            if task.done < task.total and (part or now - self._last >= self._every_ns):
                self._tell("running")

    def done(self) -> None:
        with self._lock:
            if self._tasks:
                if self._tasks[-1].total:
                    self._tell("finished")
                self._tasks.pop()
            self._idle = Task(BETWEEN, 1, self._clock())

    def note(self, sentence: str) -> None:
        """Tell it as it is, to machines too: what is no object is a message."""
        with self._lock:
            self._write(plain.no_command(plain.line(sentence)))
            self._last = self._clock()

    def tick(self) -> None:
        """Tell how far the task is, if nothing was told for long."""
        with self._lock:
            if self._clock() - self._last >= self._every_ns:
                self._tell("running")

    def _tell_in_time(self) -> None:
        # Wakes when a line may be due and not otherwise: live queries are timed meanwhile.
        while not self._ended.wait(max(0.0, (self._last + self._every_ns - self._clock()) / 1e9)):
            self.tick()

    def _tell(self, state: State) -> None:
        now, task = self._clock(), self._tasks[-1] if self._tasks else self._idle
        line = self._form(task.report(state, now), task.told is not None)
        if line is not None:
            self._write(plain.no_command(line))
            self._last = now
        if state == "running":
            task.told = task.done


@dataclass(frozen=True)
class Both:
    """Reports to two at once."""

    one: Progress
    other: Progress

    def start(self, task: str, total: int) -> None:
        self.one.start(task, total)
        self.other.start(task, total)

    def advance(self, steps: int) -> None:
        self.one.advance(steps)
        self.other.advance(steps)

    def done(self) -> None:
        self.one.done()
        self.other.done()

    def note(self, sentence: str) -> None:
        self.one.note(sentence)
        self.other.note(sentence)

    def state(self, words: str) -> None:
        """Say what the task is at to those that can show it."""
        for each in (self.one, self.other):
            if isinstance(each, TellsState):
                each.state(words)
