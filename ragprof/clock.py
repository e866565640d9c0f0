"""The one place where time is read or waited for. What measures takes a clock, so that a test can move it by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds of a monotonic clock."""


def now_ns() -> int:
    return time.perf_counter_ns()


def sleep(seconds: float) -> None:
    time.sleep(seconds)
