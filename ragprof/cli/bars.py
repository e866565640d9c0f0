"""Progress bars with remaining time, on the terminal's error stream; plain lines where there is no terminal."""

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
        self._console = console
        wide = console.width >= WIDE
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *([BarColumn(bar_width=24)] if wide else []),
            MofNCompleteColumn(),
            *([TimeElapsedColumn()] if wide else []),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, task: str, total: int) -> None:
        if not self._console.is_terminal and total:
            self._console.print(f"{plain.line(task)} ({total:,})")
        self._task = self._bars.add_task(plain.line(task), total=total, visible=total > 0)

    def advance(self, steps: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def done(self) -> None:
        if self._task is not None:
            self._bars.stop_task(self._task)
            self._task = None
