"""Read eval files: parse, check, and find the line of a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ragprof.core import plain
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import read_toml
from ragprof.evals.config import EvalConfig
from ragprof.evals.gate import GateSettings

KEY = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""


def read_eval(path: Path) -> EvalConfig:
    """Parse and check an eval file. Raises BadInput or UnknownName with file and line."""
    if not path.is_file():
        raise BadInput("no such eval file; start from evals/python-docs.toml", file=path)
    text, table = read_toml(path, what="eval file")
    try:
        return EvalConfig.model_validate(table)
    except ValidationError as failure:
        problem = failure.errors()[0]
        location = (*problem["loc"], *getattr(problem.get("ctx", {}).get("error"), "inside", ()))
        line = line_of(text, location)
        if problem["type"] == "extra_forbidden":
            raise UnknownName("key", str(location[-1]), _known_keys(location[:-1]), file=path, line=line) from None
        raise BadInput(complaint(failure), file=path, line=line) from None


def read_gate(path: Path) -> GateSettings:
    """The table [gate] of a file that may hold nothing else. Raises BadInput with file and line."""
    text, table = read_toml(path, what="file with a [gate]")
    try:
        return GateSettings.model_validate(table.get("gate", {}))
    except ValidationError as failure:
        problem = failure.errors()[0]
        inside = getattr(problem.get("ctx", {}).get("error"), "inside", ())
        line = line_of(text, ("gate", *problem["loc"], *inside))
        raise BadInput(f"gate.{complaint(failure)}", file=path, line=line) from None


def line_of(text: str, location: Sequence[str | int]) -> int | None:
    """Find the line of a key by scanning the file's tables; None if it is not found."""
    place: list[str | int] = []
    counts: dict[str, int] = {}
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        header = re.match(r"\[(\[)?([^\]]+)\]", line.lstrip())
        if header and "=" not in line.split("]")[0]:
            parts = _keys(header[2])
            if header[1]:
                counts[".".join(parts)] = counts.get(".".join(parts), -1) + 1
            place = []
            for depth, part in enumerate(parts, start=1):
                above = ".".join(parts[:depth])
                place += [part, counts[above]] if above in counts else [part]
            here = list(place)
        else:
            key = re.match(rf"\s*({KEY}(?:\s*\.\s*{KEY})*)\s*=", line)
            if not key:
                continue
            here = [*place, *_keys(key[1])]
        shared = 0
        while shared < min(len(here), len(location)) and here[shared] == location[shared]:
            shared += 1
        if shared == len(here) and (best is None or shared > best[0]):
            best = (shared, number)
    return best[1] if best else None


def _keys(dotted: str) -> list[str]:
    """A dot or any other sign within quotes belongs to a key."""
    return [key.strip("\"'") for key in re.findall(KEY, dotted)]


def complaint(failure: ValidationError) -> str:
    """Describe the first error of a configuration, with the location of the value in front."""
    problem = failure.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = plain.refused(problem)
    if problem["type"] == "string_pattern_mismatch" and where == "name":
        message += "; title may have any signs"
    return f"{where}: {message}" if where else message


def _known_keys(location: Sequence[str | int]) -> list[str]:
    model: Any = EvalConfig
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            # The table inside an annotation such as `tuple[PipelineConfig, ...]` or `Chunking | None`.
            inside = [each for each in getattr(annotation, "__args__", ()) if isinstance(each, type)]
            model = next((each for each in inside if issubclass(each, BaseModel)), annotation)
    return list(model.model_fields)
