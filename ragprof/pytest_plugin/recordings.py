"""The recordings of a session, each made once: by this process, or by another worker of the same run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof import files
from ragprof.studies.compare.evidence import Evidence, of_recording

if TYPE_CHECKING:
    from ragprof.session import Result

MARK = ".session"
OUTDATED = "bpe_openai"
"""It reads its tables in an outdated way; a project in which warnings are errors is not to fail by that."""


@dataclass(frozen=True)
class Recorded:
    """A recording and the figures in it. `kept` keeps objects alive that the recording is known by."""

    folder: Path
    evidence: Evidence
    kept: tuple[object, ...] = ()


@dataclass
class Recordings:
    """All of a session, in one folder. A recording that an earlier session left there is made anew."""

    folder: Path
    session: str
    known: dict[str, Recorded] = field(default_factory=dict)

    def once(
        self, name: str, rests_on: Sequence[str], make: Callable[[Path], Result], *, keep: Iterable[object] = ()
    ) -> Recorded:
        """The recording that rests on just this; `make` is given the folder to record into."""
        digest = hashlib.sha256("\n\n".join(rests_on).encode()).hexdigest()[:12]
        if digest not in self.known:
            folder = self.folder / f"{name}-{digest}"
            self._record(folder, make)
            self.known[digest] = Recorded(folder, of_recording(folder, label=name), tuple(keep))
        return self.known[digest]

    def _record(self, folder: Path, make: Callable[[Path], Result]) -> None:
        files.ready_folder(self.folder, remedy="give another one with --ragprof-out")
        mark = folder / MARK
        with held(self.folder / f".{folder.name}.lock"):
            if mark.exists() and mark.read_text(encoding="utf-8") == self.session:
                return
            mark.unlink(missing_ok=True)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=OUTDATED)
                make(folder)
            files.write_text(mark, self.session)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Wait for a lock that other workers may have; it ends with the process that holds it."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
