"""Meters: how much energy a stretch of work took. Knows no money, no carbon and no question.

A measured meter reads what the machine counts itself: an NVIDIA GPU through NVML, processor and memory through RAPL.
It counts the whole device, whoever keeps it busy. `StatedWatts` is an estimate and says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from ragprof.core.clock import Clock, now_ns

ESTIMATE = "estimate"
POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(r"intel-rapl:\d+")
MEMORY = re.compile(r"intel-rapl:\d+:\d+")


class Meter(Protocol):
    """`source` is "nvml", "rapl", "nvml+rapl" or "estimate"."""

    @property
    def source(self) -> str: ...

    def read_nj(self) -> int:
        """Nanojoules since a moment that stays the same; only the difference between two readings says anything."""


def joules(meter: Meter, *, since_nj: int) -> float:
    """Energy from an earlier reading until now."""
    return (meter.read_nj() - since_nj) / 10**9


def find_meter(watts: float | None, *, clock: Clock = now_ns, powercap: Path = POWERCAP) -> Meter | None:
    """What this machine counts, GPU and processor added; else an estimate from the stated watts; else None."""
    found: list[Meter] = [meter for meter in (NvmlMeter.found(), RaplMeter.found(powercap)) if meter is not None]
    if len(found) > 1:
        return Together(tuple(found))
    if found:
        return found[0]
    return None if watts is None else StatedWatts(watts, clock)


@dataclass(frozen=True)
class StatedWatts:
    """Watts that somebody wrote down, times the time that passed. An estimate."""

    watts: float
    clock: Clock
    source = ESTIMATE

    def read_nj(self) -> int:
        return round(self.watts * self.clock())


@dataclass(frozen=True)
class Together:
    """Meters of different devices as one."""

    meters: tuple[Meter, ...]

    @property
    def source(self) -> str:
        return "+".join(meter.source for meter in self.meters)

    def read_nj(self) -> int:
        return sum(meter.read_nj() for meter in self.meters)


@dataclass(frozen=True)
class NvmlMeter:
    """NVIDIA GPUs, Volta or newer: each counter gives a device's millijoules since its driver was loaded."""

    counters: Sequence[Callable[[], int]]
    source = "nvml"

    def read_nj(self) -> int:
        return sum(int(counter()) for counter in self.counters) * 10**6

    @classmethod
    def found(cls) -> NvmlMeter | None:
        """The GPUs that CUDA_VISIBLE_DEVICES names, else all. None without package, driver or energy counters."""
        if find_spec("pynvml") is None:
            return None
        nvml = import_module("pynvml")
        try:
            nvml.nvmlInit()
            named = os.environ.get("CUDA_VISIBLE_DEVICES")
            names = [str(index) for index in range(nvml.nvmlDeviceGetCount())] if named is None else named.split(",")
            handles = [
                nvml.nvmlDeviceGetHandleByIndex(int(name))
                if name.isdigit()
                else nvml.nvmlDeviceGetHandleByUUID(name.encode())
                for name in map(str.strip, names)
                if name not in ("", "-1")
            ]
            for handle in handles:
                nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except nvml.NVMLError:
            return None
        counters = [partial(nvml.nvmlDeviceGetTotalEnergyConsumption, handle) for handle in handles]
        return cls(counters) if counters else None


@dataclass(frozen=True)
class Domain:
    """One of RAPL's counters in microjoules; past `range_uj` it begins again at 0."""

    path: Path
    range_uj: int

    def read_uj(self) -> int:
        return int(self.path.read_text(encoding="ascii"))


class RaplMeter:
    """Processor packages and, where it has a counter of its own, their memory (Linux powercap; Intel and AMD).

    Cores and graphics are parts of a package and psys holds it, so neither is added. A counter may begin again once
    between two readings, which takes it half an hour or more; read at least that often.
    """

    source = "rapl"

    def __init__(self, domains: Sequence[Domain]) -> None:
        self.domains = tuple(domains)
        self._last = [domain.read_uj() for domain in self.domains]
        self._total_uj = 0

    @classmethod
    def found(cls, powercap: Path = POWERCAP) -> RaplMeter | None:
        """None without a package, or where its counters may not be read (often root alone may)."""

        def name_of(zone: Path) -> str:
            return (zone / "name").read_text(encoding="ascii").strip()

        try:
            domains = [
                Domain(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text(encoding="ascii")))
                for zone in sorted(powercap.glob("intel-rapl:*"))
                if (PACKAGE.fullmatch(zone.name) and name_of(zone).startswith("package"))
                or (MEMORY.fullmatch(zone.name) and name_of(zone) == "dram")
            ]
            return cls(domains) if domains else None
        except (OSError, ValueError):
            return None

    def read_nj(self) -> int:
        for place, domain in enumerate(self.domains):
            now = domain.read_uj()
            grown = now - self._last[place]
            self._total_uj += grown if grown >= 0 else grown + domain.range_uj
            self._last[place] = now
        return self._total_uj * 1_000
