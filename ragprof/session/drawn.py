"""Whether the pages of a recording are up to date, decided by content and never by name or date.

A summary rests on every other file in the recording's folder, on ragprof's own files and on what is installed. One
digest over all of them is kept in drawn.json, with a digest of each page; where one does not agree, what it covers is
made anew.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ragprof.core import files
from ragprof.core.errors import BadInput

DRAWN_FILE, SUMMARY = "drawn.json", "summary.json"
AGAIN = "write it again with 'ragprof report'"


@dataclass(frozen=True)
class LastDrawn:
    """What `pages` of a recording were drawn from: a digest of all that they rest on, and one of each page."""

    rests_on: str
    pages: dict[str, str]

    def holds(self, folder: Path, page: str) -> bool:
        """Whether this page is there as it was drawn."""
        path = folder / page
        return path.is_file() and files.sha256_of(path) == self.pages.get(page)


def last_drawn(folder: Path) -> LastDrawn:
    """Return what was drawn the last time; empty if that is not known."""
    try:
        kept = files.read_json(folder / DRAWN_FILE, remedy=AGAIN)
        return LastDrawn(str(kept["rests_on"]), dict(kept["pages"]))
    except (BadInput, KeyError, TypeError, ValueError):
        return LastDrawn("", {})


def keep_drawn(folder: Path, pages: tuple[str, ...], rests_on: str) -> None:
    """Remember the pages that were just drawn, as they lie in the folder."""
    found = {page: files.sha256_of(folder / page) for page in pages if (folder / page).is_file()}
    files.write_json(folder / DRAWN_FILE, {"rests_on": rests_on, "pages": found})


def rests_on(folder: Path, pages: tuple[str, ...]) -> str:
    """Return a digest of everything that the pages of a recording are made from."""
    whole = hashlib.sha256(program().encode())
    made = {folder / name for name in (*pages, DRAWN_FILE)}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path not in made):
        whole.update(f"{path.relative_to(folder)}\0{files.sha256_of(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


@cache
def program() -> str:
    """ragprof's own files, and the names of what is installed, which carry the versions."""
    home = Path(__file__).parents[1]
    own = sorted(path for path in home.rglob("*") if path.is_file() and path.suffix != ".pyc")
    parts = [sys.version, *(f"{path.relative_to(home)} {files.sha256_of(path)}" for path in own)]
    for place in filter(Path.is_dir, map(Path, dict.fromkeys(sys.path))):
        parts += sorted(path.name for path in place.iterdir() if path.suffix in (".dist-info", ".egg-info"))
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()
