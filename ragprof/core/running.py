"""What runs on this machine, as the commands themselves tell it: a small file each, in the user's cache folder.

A command holds a lock on its file as long as it lives, so that one which was killed is known to be gone and its file is
removed by the next who looks. Nothing is told where the folder cannot be written: no command ends because of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ragprof.core import files, plain
from ragprof.core.errors import BadInput

KEPT_LINES = 40
LONGEST = 400


@dataclass(frozen=True)
class RunningCommand:
    """What a command told last; `task` is a line of --json-progress, `said` its last sentences."""

    pid: int
    command: str
    folder: str
    began: str
    """ISO time in UTC."""
    task: Mapping[str, Any] | None
    said: Sequence[str]


class Announcement:
    """One command's file. `tell` takes a line of progress: an object in JSON, or a sentence."""

    def __init__(self, file: IO[str], command: str) -> None:
        self._file, self._said = file, deque[str](maxlen=KEPT_LINES)
        self._about = {
            "pid": os.getpid(), "command": plain.without_secrets(command)[:LONGEST], "folder": _here(),
            "began": datetime.now(UTC).isoformat(timespec="seconds"), "task": None,
        }  # fmt: skip
        self._write()

    def tell(self, line: str) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if isinstance(told, dict):
            self._about["task"] = told
        else:
            self._said.append(plain.without_secrets(line)[:LONGEST])
        self._write()

    def _write(self) -> None:
        with suppress(OSError):  # a full disk does not end what is measured
            self._file.seek(0)
            self._file.truncate()
            self._file.write(json.dumps({**self._about, "said": list(self._said)}))
            self._file.flush()


@contextmanager
def announced(command: str) -> Iterator[Announcement | None]:
    """Tell others that this command runs, until the end of the block. None where nothing can be written."""
    try:
        home = _home()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = home / f"{os.getpid()}.json"
        file = path.open("a+", encoding="utf-8")  # keeps what an outer block of this process has told
    except (OSError, BadInput):
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # an outer block of this process tells already; waiting for it would last for ever
            yield None
            return
        try:
            yield Announcement(file, command)
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # whatever else is kept there
                home.rmdir()
                home.parent.rmdir()


def running() -> list[RunningCommand]:
    """What the commands told last that run now, the oldest first."""
    found = []
    for path in _told():
        # What is just being written, or is none of ours, is left out.
        with suppress(OSError, ValueError, TypeError), path.open("r+", encoding="utf-8") as file:
            if _is_held(file):
                found.append(RunningCommand(**json.loads(file.read())))
            else:
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda each: str(each.began))


def stop(pid: int) -> bool:
    """Ask a command to end, which it does cleanly, as after Ctrl-C. False where none of these runs by that number."""
    if not any(each.pid == pid for each in running()):
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return False
    return True


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # the folder was removed under the command
        return ""


def _home() -> Path:
    return files.cache_folder() / "running"


def _told() -> list[Path]:
    try:
        return sorted(_home().glob("*.json"))
    except (OSError, BadInput):
        return []


def _is_held(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
