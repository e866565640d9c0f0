"""Files that are either whole or not there: written beside their place, then renamed. No pickle."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragprof.core.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LONGEST_NAME = 220
"""Bytes of a file's name: common file systems take 255, and what `whole` writes first has a longer one."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `path` if the block ends well and vanishes if it does not.

    A link stays one: what it names is written. A device or a pipe, such as /dev/stdout, is written into as it is.
    """
    direct = path.is_char_device() or path.is_fifo()
    if not direct:
        path = path.resolve() if path.is_symlink() else path
        ready_folder(path.parent, remedy="choose another one")
    partial = path if direct else path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        if not direct:
            partial.replace(path)
    except OSError as failure:
        remedy = "free some space and run again" if failure.errno in NO_ROOM else "check the path"
        raise BadInput(f"cannot write it: {failure.strerror or failure}; {remedy}", file=path) from failure
    finally:
        if not direct:
            partial.unlink(missing_ok=True)


def ready_folder(folder: Path, *, remedy: str) -> None:
    """Make a folder that files can be written into. Raises BadInput where the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refusal = "" if os.access(folder, os.W_OK | os.X_OK) else "Permission denied"
    except OSError as failure:
        refusal = failure.strerror or str(failure)
    if refusal:
        raise BadInput(f"cannot write into this folder: {refusal}; {remedy}", file=folder)


@contextmanager
def claimed(folder: Path, *, remedy: str = "wait for it or give --out") -> Iterator[None]:
    """Keep other runs out of a folder; the claim ends with the process.

    Raises BadInput where another run has it, and where there is no such folder.
    """
    check_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BadInput(f"another run is writing into this folder; {remedy}", file=folder) from None
    finally:
        os.close(handle)


def check_unclaimed(folder: Path) -> None:
    """Raises BadInput where another run has the folder: known before long preparations, which `claimed` comes after."""
    if folder.is_dir():
        with claimed(folder):
            return


def check_folder(folder: Path) -> None:
    """Raises BadInput where there is no such folder."""
    if not folder.is_dir():
        raise BadInput("no such folder; give that of a recording, such as reports/<eval>", file=folder)


def sweep(folder: Path) -> None:
    """Delete what writers that were killed left half-written in and below a folder; those that live keep theirs."""
    for left in folder.rglob(".*.partial"):
        writer = left.name.rpartition(".partial")[0].rpartition(".")[2]
        if writer.isdigit() and left.is_file() and not is_running(int(writer)):
            left.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether there is a process of this number, by whomever."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def unchanged_on_failure(folder: Path, *names: str) -> Iterator[None]:
    """Files of these names, in the folder and below it, are what they were if the block fails."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.name in names}
    try:
        yield
    except BaseException:
        for path in [path for path in folder.rglob("*") if path.name in names and path not in before]:
            path.unlink()
        for path, content in before.items():
            with whole(path) as partial:
                partial.write_bytes(content)
        raise


def inside(folder: Path, name: str) -> Path:
    """The file of that name in a folder. Raises BadInput for a name that leads elsewhere, or that no system takes."""
    leads_away = name in ("", ".", "..") or any(sign in name for sign in "/\\\0")
    if leads_away or len(os.fsencode(name)) > LONGEST_NAME:
        raise BadInput(f"{name[:80]!r} is no name of a file; rename what is called so", file=folder)
    return folder / name


def write_text(path: Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, remedy: str) -> dict[str, Any]:
    """An object that ragprof wrote. It, and every object in it, raises BadInput for a member that it lacks.

    `remedy` is what to do then.
    """
    if not path.exists():
        raise BadInput("this file is missing; is this the folder of a ragprof recording?", file=path)

    class Kept(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            raise BadInput(f"it has no '{name}'; {remedy}", file=path)

    try:
        kept = json.loads(path.read_text(encoding="utf-8"), object_hook=Kept)
    except (ValueError, RecursionError) as failure:  # not JSON, not UTF-8, or a number of thousands of digits
        raise BadInput(f"not valid JSON ({failure}); {remedy}", file=path) from None
    if not isinstance(kept, dict):
        raise BadInput(f"not a JSON object; {remedy}", file=path)
    return kept


DEEPEST_KEY = 64
"""Names in a dotted key; tomllib takes the square of their number."""
DOTTED = re.compile(r"[\w\"'-]++(?:[ \t]*+\.[ \t]*+[\w\"'-]++)*+")


def read_toml(path: Path, *, what: str) -> tuple[str, dict[str, Any]]:
    """Text and content of a file that the user has written. Raises BadInput with the line where it is no TOML."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as failure:
        raise BadInput(f"cannot read this {what}: {failure.strerror}; check the path", file=path) from None
    except UnicodeDecodeError as failure:
        raise BadInput(f"this {what} is not UTF-8 (byte {failure.start}); save it as UTF-8", file=path) from None
    return text, parsed_toml(text, path)


def parsed_toml(text: str, path: Path) -> dict[str, Any]:
    """The content of TOML. Raises BadInput with the line where it is none, or nested too deep to be read."""
    import tomllib

    for found in DOTTED.finditer(text):
        if found[0].count(".") >= DEEPEST_KEY:
            above = text.count("\n", 0, found.start())
            raise BadInput(f"a key of more than {DEEPEST_KEY} names; nest less", file=path, line=above + 1)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        place = re.search(r"at line (\d+)", str(failure))
        raise BadInput(
            f"not valid TOML: {failure}; mend it", file=path, line=int(place[1]) if place else None
        ) from None
    except RecursionError:
        raise BadInput("nested too deep to be read; nest less", file=path) from None
    except ValueError as failure:  # a number of thousands of digits
        raise BadInput(f"not valid TOML: {failure}; mend it", file=path) from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    with whole(path) as partial:
        table.to_parquet(partial, index=False)


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where vectors, scores and built corpora are kept: $RAGPROF_CACHE, else the user's cache folder.

    Raises BadInput where nobody says which folder is the user's: a variable that is empty says nothing.
    """
    if chosen := os.environ.get("RAGPROF_CACHE"):
        return written_path(chosen)
    try:
        return written_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ragprof"
    except BadInput:
        raise BadInput("there is no home folder to keep the cache in; set RAGPROF_CACHE to a folder") from None


def written_path(written: str | Path, *, beside: Path | None = None) -> Path:
    """A path that somebody wrote down, with `~` and environment variables as a shell reads them.

    Relative to the folder of the file `beside`, where it is given. Raises BadInput for a user who does not exist.
    """
    try:
        path = Path(os.path.expandvars(written)).expanduser()
        path.lstat()
    except RuntimeError:
        raise BadInput(f"'{written}': there is no home folder of that user; write the path out") from None
    except ValueError as failure:
        raise BadInput(f"{str(written)!r} is no path ({failure})") from None
    except OSError as failure:
        if failure.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise BadInput(f"'{written}' is no path: {failure.strerror}") from None
    return path if beside is None else beside.parent / path
