"""Progress bars with remaining time, on the error stream of a terminal. What a log gets is in `lines.py`."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ragprof.core import plain

WIDE = 80
"""A narrower terminal shows the task, its count and the remaining time, without a bar."""


class Bars:
    """One line per task. Implements ragprof.core.clock.Progress; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        wide = console.width >= WIDE
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *([BarColumn(bar_width=24)] if wide else []),
            MofNCompleteColumn(),
            *([TimeElapsedColumn()] if wide else []),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: list[TaskID] = []

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, task: str, total: int) -> None:
        self._tasks.append(self._bars.add_task(plain.line(task), total=total, visible=total > 0))

    def advance(self, steps: int) -> None:
        if self._tasks:
            self._bars.advance(self._tasks[-1], steps)

    def state(self, words: str) -> None:
        """Show what the task is at beside its name."""
        if self._tasks:
            task = self._bars.tasks[self._tasks[-1]]
            self._bars.update(task.id, description=f"{task.description.partition(': ')[0]}: {plain.line(words)}")

    def done(self) -> None:
        if self._tasks:
            task = self._tasks.pop()
            if self._bars.tasks[task].total == 1:  # it has no step to report but its end
                self._bars.update(task, completed=1)
            self._bars.stop_task(task)

    def note(self, sentence: str) -> None:
        self._bars.console.print(plain.line(sentence))
