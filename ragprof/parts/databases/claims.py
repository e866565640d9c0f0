"""Names of what we make in databases and folders, so that what a killed run left can be told and taken away.

`ragprof_<machine>_<process>_<its start>_<number>`: it is left over once that process of that machine is gone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
from itertools import count
from pathlib import Path

PREFIX = "ragprof_"
NAME = re.compile(r"ragprof_(?P<machine>[0-9a-f]{8})_(?P<process>\d+)_(?P<start>\d+)_(?P<number>\d+)")
LOG = logging.getLogger("ragprof")
MARK = "made-by-ragprof"
"""A file in every folder of ours: no folder without it is taken away, whatever its name."""
_numbers = count(1)


def own_name() -> str:
    """A name that nothing else has, good for a table, a collection or a folder."""
    process = os.getpid()
    return f"{PREFIX}{_machine()}_{process}_{_started(process)}_{next(_numbers)}"


def is_left_over(name: str) -> bool:
    """Whether it is a name of ours, from this machine, whose process is gone. Of other machines nothing is known."""
    found = NAME.fullmatch(name)
    if found is None or found["machine"] != _machine():
        return False
    return _started(int(found["process"])) != int(found["start"])


def told_of(what: str, names: list[str]) -> None:
    """Say what was taken away, if anything."""
    if names:
        LOG.warning("ragprof took away what a run that was killed had left: %s %s", what, ", ".join(sorted(names)))


def own_folder() -> Path:
    """A new empty folder among the temporary ones, after those of killed runs were taken away."""
    sweep_folders()
    folder = Path(tempfile.gettempdir()) / own_name()
    folder.mkdir(mode=0o700)
    (folder / MARK).touch()
    return folder


def places() -> list[Path]:
    """Folders that have a name like ours."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def sweep_folders() -> None:
    """Take away the folders of killed runs, and end the servers that still run in them."""
    gone = []
    for folder in places():
        if is_left_over(folder.name) and not folder.is_symlink() and (folder / MARK).is_file():
            end_servers_in(folder)
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder.name)
    told_of("the folders", gone)


def end_servers_in(folder: Path) -> None:
    """End every process that was started on a folder of ours, named in its command; wait until it is gone."""
    import signal

    from ragprof.core.clock import sleep

    running = [process for process in _processes() if _names(process, folder)]
    for process in running:
        _signal(process, signal.SIGINT)  # PostgreSQL: at once, but orderly; others: as Ctrl-C
    for _ in range(50):
        running = [process for process in running if _names(process, folder)]
        if not running:
            return
        sleep(0.1)
    for process in running:
        _signal(process, signal.SIGKILL)


def processes_in(folder: Path) -> list[int]:
    """Processes that were started on a folder of ours, and their children."""
    parents = {process for process in _processes() if _names(process, folder)}
    return [process for process in _processes() if process in parents or _parent(process) in parents]


def _signal(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _names(process: int, folder: Path) -> bool:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    own = os.fsencode(folder)
    return any(word == own or word.startswith(own + b"/") or word.endswith(b"=" + own) for word in command)


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _stat(process: int) -> list[str]:
    """What the system tells of a process, from its state on; empty where there is none."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def _parent(process: int) -> int:
    return int(found[1]) if (found := _stat(process)) else 0


def _started(process: int) -> int:
    """Ticks from the machine's start to the process's; -1 where there is no such process, 0 where nobody tells."""
    if Path("/proc/self/stat").exists():
        return int(found[19]) if (found := _stat(process)) and found[0] != "Z" else -1
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return -1
    except PermissionError:
        return 0
    return 0
