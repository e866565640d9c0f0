"""Time that passes when a test says so, or when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial


@dataclass
class PassingTime:
    """A clock in ns, and a sleep that moves it. `slept` holds each sleep in seconds."""

    now_ns: int = 1_000
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passes(seconds)

    def passes(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def passing(self, seconds: float) -> Callable[[], None]:
        return partial(self.passes, seconds)
