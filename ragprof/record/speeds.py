"""Seconds that something took on this machine, kept in the cache: so that no model is loaded to measure it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TypeVar

from ragprof.core import cores, environment, files
from ragprof.core.clock import Clock, now_ns

SPEEDS = "speeds.json"
"""A file of the cache."""
AFTERWARDS = "judge, price and draw"
"""What a main recording took after its last query."""
WAITING = 0.1
"""Share of the time spent waiting for a core above which what is measured is not kept."""


T = TypeVar("T")


@dataclass
class Speeds:
    """What is known of this machine with these packages, by name; what is damaged is as unknown."""

    cache: Path
    clock: Clock = field(default=now_ns)

    def known(self, name: str | None, measure: Callable[[], float]) -> float:
        """Return the seconds of this name: measured once on this machine, unless it was busy meanwhile."""
        if name is not None and name in self.kept:
            return self.kept[name]
        seconds, _, is_quiet = self._watched(measure)
        if is_quiet and name is not None:
            self._keep(name, seconds)
        return seconds

    def timed(self, name: str, work: Callable[[], T]) -> T:
        """Do it, and keep how long it took the last time that the machine was not busy meanwhile."""
        made, took_ns, is_quiet = self._watched(work)
        if is_quiet:
            self._keep(name, took_ns / 1e9)
        return made

    def _watched(self, work: Callable[[], T]) -> tuple[T, int, bool]:
        meter, start = cores.meter(), self.clock()
        before = meter.of_process()
        made = work()
        added, took_ns = meter.of_process().since(before), self.clock() - start
        return made, took_ns, (added.waiting_ns or 0) <= WAITING * took_ns

    def _keep(self, name: str, seconds: float) -> None:
        self.kept[name] = seconds
        files.write_json(self.cache / SPEEDS, {"machine": _machine(), "seconds": self.kept})

    @cached_property
    def kept(self) -> dict[str, float]:
        """Name -> seconds, of what was measured before."""
        try:
            found = json.loads((self.cache / SPEEDS).read_text(encoding="utf-8"))
            kept = {str(name): float(value) for name, value in found["seconds"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return kept if found["machine"] == _machine() and all(0 < each < inf for each in kept.values()) else {}


def _machine() -> str:
    """What a measured speed holds for."""
    facts = environment.describe()
    return json.dumps([facts[name] for name in ("cpu", "cores", "memory_bytes", "python", "packages")], sort_keys=True)
