"""Which studies there are, in the order of the report: one line a study. They are imported when they are used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.studies.contract import Study

PROFILE, TRACE = "profile", "trace"
STUDIES = ("growth", "injection", "reranker", "curate", "screen", "chunking", "stores", "load", "audit")
"""Folders of `ragprof/studies/` that join the main profile. Not among them are the gate, which compares two recordings,
and TRACE, which stands alone: it has no eval and records nothing."""


def study(name: str) -> Study[Any, Any]:
    """The study of that name."""
    found: Study[Any, Any] = import_module(f"ragprof.studies.{name}.study").STUDY
    return found


def present(folder: Path) -> list[Study[Any, Any]]:
    """The studies that have a folder or a page in a recording, in order: the names of both begin with the study's."""
    return [study(name) for name in STUDIES if any(folder.glob(f"{name}*"))]


def every() -> list[Study[Any, Any]]:
    """All studies beside the profile, in order."""
    return [study(name) for name in STUDIES]
