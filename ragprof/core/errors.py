"""The errors that ragprof raises on purpose. Each message says what was asked, what was found and what to do.

RagprofError
├── BadInput             a file, a setting or a name that the user can mend (exit code 2)
│   ├── UnknownName      a plugin, key, metric or corpus that does not exist
│   ├── MissingModel     model weights that are neither on disk nor reachable
│   ├── MissingPackage   an optional dependency that is not installed
│   └── AppFailed        a pipeline of the user's own that answered a question with an error, or not in time
├── NonFiniteScore       NaN or infinity out of an embedder or a reranker (exit code 2)
└── Incomparable         two recordings that must not be compared (exit code 3)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class RagprofError(Exception):
    """Base of every error below; the command line prints it as one line and ends with `exit_code`."""

    exit_code = 2


class BadInput(RagprofError):
    """Something the user gave is wrong. `where` is put in front as file:line."""

    def __init__(self, message: str, *, file: Path | None = None, line: int | None = None) -> None:
        self.file, self.line, self.message = file, line, message
        super().__init__(f"{place(file, line)}{message}")

    def at(self, file: Path, line: int | None) -> BadInput:
        """The same message with its place in front; unchanged where it names another file or a line already."""
        if self.line is not None or self.file not in (None, file):
            return self
        return BadInput(self.message, file=file, line=line)


class UnknownName(BadInput):
    """A name that is not among those known."""

    def __init__(
        self, what: str, name: str, known: Iterable[str], *, file: Path | None = None, line: int | None = None
    ) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "."
        super().__init__(
            f"no {what} named '{name}'{hint} There are: {', '.join(names) or 'none'}", file=file, line=line
        )


class MissingModel(BadInput):
    """A model that is not on disk, while no hub answers."""


class MissingPackage(BadInput):
    """A package that a named part needs and that is not installed."""


class AppFailed(BadInput):
    """A pipeline of the user's own that gave nothing for one question: an exception, or a time limit."""

    def __init__(self, message: str, *, in_time: bool = True) -> None:
        super().__init__(message)
        self.in_time = in_time


class NonFiniteScore(RagprofError):
    """NaN or infinity where a number is needed; nothing computed from it could be trusted."""


class Incomparable(RagprofError):
    """Two recordings that differ in what must be equal."""

    exit_code = 3


def place(file: Path | None, line: int | None) -> str:
    """`file:line: `, `file: ` or nothing, as editors and terminals make it clickable."""
    if file is None:
        return ""
    return f"{file}: " if line is None else f"{file}:{line}: "
