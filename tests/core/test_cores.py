"""CoreMeter: that threads of this process waited for a core is seen, and nothing is invented where nothing is told."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragprof.core import cores
from ragprof.core.cores import NOTHING, CoreMeter, CoreTimes, Unread, meter

TOLD = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system keeps no waiting by thread")
SPIN = "import time\nend = time.perf_counter() + float(1)\nwhile time.perf_counter() < end: pass"


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.fixture
def one_core() -> Iterator[int]:
    """This process on one core of its own choice, for the test alone."""
    allowed = os.sched_getaffinity(0)
    core = min(allowed)
    os.sched_setaffinity(0, {core})
    yield core
    os.sched_setaffinity(0, allowed)


@TOLD
def test_a_competitor_for_the_only_core_is_seen_as_waiting(one_core: int) -> None:
    """Two that want one core get half of it each: the other half is waiting. Others on the machine only add to it."""
    rival = subprocess.Popen([sys.executable, "-c", SPIN.replace("float(1)", "30.0")])
    try:
        os.sched_setaffinity(rival.pid, {one_core})
        time.sleep(0.3)
        meter = CoreMeter()
        before = meter.of_machine()
        spin(0.5)
        added = meter.of_machine().since(before)
    finally:
        rival.kill()
        rival.wait()
    assert added.cpu_ns is not None
    assert added.waiting_ns is not None
    assert added.waiting_ns > 0.25 * (added.cpu_ns + added.waiting_ns)
    assert added.switches
    assert added.machine_ns


@TOLD
def test_waiting_of_other_threads_counts_and_ended_threads_take_nothing_back(one_core: int) -> None:
    """Four threads of one core wait for each other; what they waited stays in the sum after they have ended."""
    meter = CoreMeter()
    before = meter.of_process()
    buffer = bytes(2_000_000)
    stop = time.perf_counter() + 0.4

    def work() -> None:  # hashing a large buffer leaves the interpreter, so that threads do run at once
        while time.perf_counter() < stop:
            hashlib.sha256(buffer).digest()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    during = meter.of_process()
    for thread in threads:
        thread.join()
    after = meter.of_process()
    waited = during.since(before).waiting_ns
    assert waited is not None
    assert waited > 50_000_000
    assert after.waiting_ns is not None
    assert during.waiting_ns is not None
    assert after.waiting_ns >= during.waiting_ns


@TOLD
def test_a_forked_child_reads_its_own_threads() -> None:
    script = (
        "import os, time\n"
        "from ragprof.core.cores import CoreMeter\n"
        "meter = CoreMeter()\nmeter.of_process()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    own = int(open('/proc/self/schedstat').read().split()[1])\n"
        "    os._exit(0 if meter.of_process().waiting_ns >= own else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_system_that_tells_nothing_gives_none_and_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TASKS", "STAT", "PRESSURE"):
        monkeypatch.setattr(cores, name, tmp_path / "nothing")
    found = CoreMeter().of_machine()
    assert (found.waiting_ns, found.machine_ns, found.stolen_ns, found.pressure_ns) == (None, None, None, None)
    assert found.cpu_ns is not None
    assert found.since(found).waiting_ns is None


def test_steal_and_pressure_are_read_as_linux_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 4000 7 5 6 12 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    (tmp_path / "cpu").write_text("some avg10=11.64 avg60=4.60 avg300=5.83 total=6944\nfull avg10=0.00 total=0\n")
    monkeypatch.setattr(cores, "STAT", tmp_path / "stat")
    monkeypatch.setattr(cores, "PRESSURE", tmp_path / "cpu")
    monkeypatch.setattr(cores.os, "sysconf", lambda _: 100)
    found = CoreMeter().of_machine()
    assert (found.machine_ns, found.stolen_ns, found.pressure_ns) == (1_610_000_000, 120_000_000, 6_944_000)


def test_a_difference_of_readings_is_none_where_one_has_nothing() -> None:
    later, earlier = CoreTimes(10, 5, 3, 100, 7, None), CoreTimes(4, 5, 1, None, 2, 1)
    assert later.since(earlier) == CoreTimes(6, 0, 2, None, 5, None)


@TOLD
def test_threads_that_came_and_went_waited_as_those_that_stayed() -> None:
    read = CoreMeter()
    before = read.of_process()
    for _ in range(3):
        worker = threading.Thread(target=spin, args=[0.02])
        worker.start()
        worker.join()
    found = read.of_process()
    assert found.known_cpu_ns is not None
    assert before.known_cpu_ns is not None
    assert found.cpu_ns is not None
    assert before.cpu_ns is not None
    assert found.known_cpu_ns - before.known_cpu_ns < (found.cpu_ns - before.cpu_ns) / 2
    assert CoreTimes(300, 20, known_cpu_ns=100).since(CoreTimes(0, 10, known_cpu_ns=0)).waiting_ns == 30


def test_the_environment_turns_readings_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CORE_TIMES", "off")
    meter.cache_clear()
    off = meter()
    assert isinstance(off, Unread)
    assert (off.of_process(), off.of_machine()) == (NOTHING, NOTHING)


@TOLD
def test_two_readings_take_at_most_a_hundredth_of_what_they_are_taken_around() -> None:
    """CPU time of real readings, with threads that sleep: other work on the machine does not change it."""
    reader, leave = CoreMeter(), threading.Event()
    reader.of_process()  # opens a file for each thread that there is
    alone = reader.shortest_ns()
    threads = [threading.Thread(target=leave.wait) for _ in range(30)]
    for thread in threads:
        thread.start()
    shortest, start = reader.shortest_ns(), time.thread_time_ns()
    for _ in range(200):
        reader.of_process()
    reading = (time.thread_time_ns() - start) / 200
    leave.set()
    for thread in threads:
        thread.join()
    assert alone < shortest
    assert 0.2 < 2 * reading / shortest / 0.01 < 2
    assert reading < 1_000_000


def test_where_nothing_is_read_everything_is_long_enough() -> None:
    assert Unread().shortest_ns() == 0
