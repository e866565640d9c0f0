"""`gate --init`: a first [gate] table, from what a recording can tell, written at the end of its eval file."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path

from pydantic import ValidationError

from ragprof import files
from ragprof.comparing import read_side
from ragprof.errors import BadInput
from ragprof.evals import EvalConfig, read_eval
from ragprof.studies.compare.initial import InitialGate, initial_gate


def propose(eval_file: str | Path, *, recording: str | Path | None = None) -> InitialGate:
    """Write a [gate] into an eval file, from a recording of it (default: reports/<name>), and return what it says.

    Raises BadInput where the file has one already, or where the recording is of another eval.
    """
    path = Path(eval_file)
    config = read_eval(path)
    if config.gate.quantities:
        raise BadInput("it has [gate.quantities] already; edit them, or take them out first", file=path)
    side = read_side(Path("reports") / config.name if recording is None else recording)
    if side.facts["eval"] != config.name:
        raise BadInput(
            f"'{side.label}' is a recording of '{side.facts['eval']}', not of '{config.name}'; run 'ragprof run' first",
            file=path,
        )
    proposal = initial_gate(side, alpha=config.gate.alpha)
    text = _writable_text(path)
    if re.search(r"^\s*\[\s*gate\s*[\].]", text, re.MULTILINE):
        raise BadInput("it has a [gate] table without quantities; take it out and run this again", file=path)
    whole = f"{text.rstrip()}\n\n{proposal.toml}"
    _check_toml(whole, path)
    mode = stat.S_IMODE(path.stat().st_mode)
    files.write_text(path, whole.replace("\n", "\r\n") if b"\r\n" in path.read_bytes() else whole)
    path.chmod(mode)
    return proposal


def _writable_text(path: Path) -> str:
    """What is in it, line ends as in Python. Raises BadInput where it may not be written, which a rename would be."""
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise BadInput("it is read-only; allow writing to it (chmod u+w), so that [gate] can be added", file=path)
    return path.read_text(encoding="utf-8-sig")


def _check_toml(text: str, path: Path) -> None:
    """What will be written can be read again."""
    try:
        EvalConfig.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as failure:
        raise BadInput(f"a [gate] cannot be added to it ({failure}); write one by hand", file=path) from None
