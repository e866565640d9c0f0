"""What running a command in a test gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed on either stream."""

    code: int
    output: str
    message: str


class Ragprof(Protocol):
    """`ragprof("run", path)` is `ragprof run PATH`."""

    def __call__(self, *arguments: object) -> Outcome: ...
