"""How long work tells of itself. Room 0 knows only the protocol; the command line draws the bars."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """`start` names a task and its number of steps, `advance` reports steps done, `done` ends it."""

    def start(self, task: str, total: int) -> None: ...

    def advance(self, steps: int) -> None: ...

    def done(self) -> None: ...


class Silent:
    """Reports to nobody."""

    def start(self, task: str, total: int) -> None:
        """Say nothing."""

    def advance(self, steps: int) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say nothing."""
