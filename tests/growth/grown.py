"""A finished growth recording as the tests read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragprof.studies.growth.plan import Growing
from ragprof.studies.preparation import Prepared


@dataclass(frozen=True)
class Grown:
    """A finished growth recording and what it was made of."""

    eval_file: Path
    cache: Path
    folder: Path
    prepared: Prepared
    growing: Growing
    summary: dict[str, Any]

    @property
    def growth(self) -> dict[str, Any]:
        return dict(self.summary["growth"])
