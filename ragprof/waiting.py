"""Time that is not a stage's own: waits between attempts, and attempts that failed. Kept out of every latency.

A part that waits says so with `exclude`; whoever measures reads `excluded_ns` before and after, and subtracts.
"""

from __future__ import annotations

from contextvars import ContextVar

_excluded: ContextVar[int] = ContextVar("excluded", default=0)


def exclude(duration_ns: int) -> None:
    """Say that so many ns of the time now passing are not the work of the stage. In this thread or task only."""
    _excluded.set(_excluded.get() + duration_ns)


def excluded_ns() -> int:
    """All that was excluded in this thread or task so far."""
    return _excluded.get()
