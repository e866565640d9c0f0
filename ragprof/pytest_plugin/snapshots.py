"""Baselines by name, in a folder beside the test: read, or written where pytest was told to update them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ragprof.errors import BadInput
from ragprof.pytest_plugin.cases import Case
from ragprof.pytest_plugin.results import Baseline, Result
from ragprof.studies.compare import baselines
from ragprof.studies.compare.evidence import Evidence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def is_name(given: str | Path) -> bool:
    """Whether it is the name of a baseline: a text without a separator. Everything else is a path."""
    return isinstance(given, str) and NAME.fullmatch(given) is not None


def baseline_named(name: str, case: Case) -> Baseline:
    """The baseline of that name for this test, read when it is first needed. Raises BadInput for no name."""
    if not is_name(name):
        raise BadInput(f"'{name}' cannot be the name of a baseline; use letters, digits, '+', '.', '_' and '-'")
    folder = case.file.parent / case.settings.baselines / name
    return Baseline(label=name, folder=folder, read=lambda: _saved(folder, name), case=case)


def side_at(place: str | Path, case: Case) -> Result:
    """The recording or baseline in a folder."""
    from ragprof.comparing import read_side

    folder = case.located(place, what="recording or baseline")
    return Result(folder.name, folder, lambda: replace(read_side(folder), label=folder.name), case)


def write(result: Result, baseline: Baseline) -> Path:
    """Keep a result under the baseline's name; a worker that writes it at the same time leaves one of the two whole."""
    return baselines.save(result.evidence, baseline.folder)


def _saved(folder: Path, name: str) -> Evidence:
    if not baselines.is_baseline(folder):
        raise BadInput(f"there is no baseline '{name}' in {folder.parent}; run pytest --ragprof-update to write it")
    return replace(baselines.read(folder), label=name)
