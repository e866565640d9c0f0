"""How long the threads of this process ran on a core, how long they waited for one, and what the machine did meanwhile.

Linux tells all of it: `schedstat` of every thread (time that it was ready to run and had no core), pressure stall
information, and the time that a hypervisor took away ("steal"). Elsewhere there are CPU time and involuntary switches.
What a system does not tell is None, never 0. A thread that came and went between two readings, as those of an app do,
is in the CPU time alone: it is taken to have waited as much, for its time on a core, as the threads that stayed.
A reading takes microseconds, so it is never taken within a measured span, and only around what is 200 times as long.
`RAGPROF_CORE_TIMES=off` turns all readings off.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol

from ragprof.core.clock import cpu_ns, thread_cpu_ns

NS_PER_S = 10**9
MOST_OVERHEAD = 0.01
"""Two readings may take so much of what they are taken around."""
TRIES = 16
TASKS = Path("/proc/self/task")
STAT, PRESSURE = Path("/proc/stat"), Path("/proc/pressure/cpu")


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Counters that only rise, or the difference of two readings of them. Of the process but for the last three."""

    cpu_ns: int | None = None
    """On a core, over all threads."""
    waiting_ns: int | None = None
    """Ready to run and without a core, over all threads."""
    switches: int | None = None
    """How often a thread was taken off its core before it was done."""
    machine_ns: int | None = None
    """All cores of the machine together: busy, whoever with."""
    stolen_ns: int | None = None
    """All cores together: ready to run, and taken by the hypervisor for others."""
    pressure_ns: int | None = None
    """Time in which some task of the machine waited for a core."""
    known_cpu_ns: int | None = None
    """On a core, over the threads whose waiting was read."""

    def since(self, earlier: CoreTimes) -> CoreTimes:
        """What was added; None where either reading has nothing. The waiting is that of all threads that ran."""
        pairs = ((getattr(self, name), getattr(earlier, name)) for name in (*FIELDS, "known_cpu_ns"))
        found = CoreTimes(*(None if now is None or then is None else max(0, now - then) for now, then in pairs))
        if found.waiting_ns and found.cpu_ns and found.known_cpu_ns and found.cpu_ns > found.known_cpu_ns:
            return replace(found, waiting_ns=round(found.waiting_ns * found.cpu_ns / found.known_cpu_ns))
        return found

    def values(self) -> tuple[int | None, ...]:
        return tuple(getattr(self, name) for name in FIELDS)


FIELDS = ("cpu_ns", "waiting_ns", "switches", "machine_ns", "stolen_ns", "pressure_ns")
NOTHING = CoreTimes()


class CoreMeter:
    """Reads the counters of this process; keeps their files open, for opening them is most of a reading."""

    def __init__(self) -> None:
        self._stat, self._pressure = _opened(STAT), _opened(PRESSURE)
        self._tasks: int | None = None
        self._files: dict[str, int] = {}
        self._ended = (0, 0)
        self._last: dict[str, tuple[int, int]] = {}
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def of_process(self) -> CoreTimes:
        """CPU time and waiting: a few microseconds, and one more per thread."""
        waiting_ns, known_ns = self._threads()
        return CoreTimes(cpu_ns(), waiting_ns, known_cpu_ns=known_ns)

    def of_machine(self) -> CoreTimes:
        """The same, switches, and what the machine did, to be read around many queries: it takes some times longer."""
        machine_ns, stolen_ns = _machine(self._stat)
        pressure_ns = _pressure_ns(self._pressure)
        waiting_ns, known_ns = self._threads()
        return CoreTimes(cpu_ns(), waiting_ns, _switches(), machine_ns, stolen_ns, pressure_ns, known_ns)

    def shortest_ns(self) -> int:
        """What takes as long may be read around with `of_process`: two readings take at most MOST_OVERHEAD of it.

        Measured each time, for a reading takes longer with every thread. CPU time: other work does not change it.
        """
        start = thread_cpu_ns()
        for _ in range(TRIES):
            self.of_process()
        return round(2 * (thread_cpu_ns() - start) / TRIES / MOST_OVERHEAD)

    def _forget(self) -> None:
        """Close all files; a forked child would read its parent's threads in them."""
        for file in self._files.values():
            os.close(file)
        if self._tasks is not None:
            os.close(self._tasks)
        self._files, self._last, self._ended = {}, {}, (0, 0)
        self._tasks = os.open(TASKS, os.O_RDONLY) if (TASKS / str(os.getpid()) / "schedstat").exists() else None

    def _threads(self) -> tuple[int | None, int | None]:
        """Waiting and time on a core of the threads that there are, and of those that there were when last read."""
        if self._tasks is None:
            return None, None
        # a folder's link count says how many folders are in it: listing them takes ten times as long
        if os.fstat(self._tasks).st_nlink - 2 != len(self._files) or not self._read():
            self._renew()
            self._read()
        ran, waited = self._ended
        return waited + sum(last[1] for last in self._last.values()), ran + sum(last[0] for last in self._last.values())

    def _read(self) -> bool:
        """Read every thread; False where one of them has ended."""
        complete = True
        for thread, file in self._files.items():
            try:
                ran, waited = os.pread(file, 64, 0).split()[:2]
                self._last[thread] = int(ran), int(waited)
            except (ProcessLookupError, ValueError):
                complete = False
        return complete

    def _renew(self) -> None:
        alive = {folder.name for folder in TASKS.iterdir()}
        for thread in set(self._files) - alive:
            os.close(self._files.pop(thread))
            ran, waited = self._last.pop(thread, (0, 0))
            self._ended = (self._ended[0] + ran, self._ended[1] + waited)
        for thread in alive - set(self._files):
            try:
                self._files[thread] = os.open(TASKS / thread / "schedstat", os.O_RDONLY)
            except OSError:  # it has ended since it was listed
                continue


def _switches() -> int | None:
    try:
        import resource
    except ImportError:  # there is none on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return None


def _machine(stat: int | None) -> tuple[int | None, int | None]:
    """Busy and stolen time of all cores, from the first line of /proc/stat: in it guests are part of user and nice."""
    if stat is None:
        return None, None
    try:
        user, nice, system, _idle, _io, irq, soft, steal = (int(field) for field in os.pread(stat, 256, 0).split()[1:9])
    except (OSError, ValueError):
        return None, None
    tick_ns = NS_PER_S // os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft) * tick_ns, steal * tick_ns


def _pressure_ns(pressure: int | None) -> int | None:
    if pressure is None:
        return None
    try:
        line = os.pread(pressure, 256, 0).partition(b"\n")[0]
        return int(line.rpartition(b"total=")[2]) * 1_000
    except (OSError, ValueError):  # a kernel that was told to keep no pressure refuses to be read
        return None


class ThreadMeter:
    """Reads how long the thread that made it ran on a core, and waited for one; it takes a few microseconds."""

    def __init__(self) -> None:
        is_read = os.environ.get("RAGPROF_CORE_TIMES", "").lower() != "off"
        self._file = _opened(Path("/proc/thread-self/schedstat")) if is_read else None

    def read(self) -> tuple[int, int] | None:
        """Ns on a core, and ready to run without one; None where the system does not tell."""
        if self._file is None:
            return None
        try:
            ran, waited = os.pread(self._file, 64, 0).split()[:2]
            return int(ran), int(waited)
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class CoreReader(Protocol):
    """What is read around a stage or a query, what around many queries, and what is long enough for the first."""

    def of_process(self) -> CoreTimes: ...

    def of_machine(self) -> CoreTimes: ...

    def shortest_ns(self) -> int: ...


class Unread:
    """A meter that reads nothing."""

    def of_process(self) -> CoreTimes:
        return NOTHING

    def of_machine(self) -> CoreTimes:
        return NOTHING

    def shortest_ns(self) -> int:
        return 0


@cache
def meter() -> CoreReader:
    """That of this process, or one that reads nothing where the environment says so."""
    return Unread() if os.environ.get("RAGPROF_CORE_TIMES", "").lower() == "off" else CoreMeter()
