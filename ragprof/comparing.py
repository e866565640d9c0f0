"""`compare`: two recordings, or a recording and a baseline, side by side. Runs no pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ragprof.errors import BadInput
from ragprof.evals import Margin
from ragprof.quantities import Kind
from ragprof.studies.compare import baselines, evidence
from ragprof.studies.compare import comparison as comparisons
from ragprof.studies.compare.evidence import Evidence


@dataclass(frozen=True)
class Comparison:
    """What came of it: `document` is plain JSON, documented in docs/ci.md."""

    document: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0, unless a gate says otherwise: 1 regression, 3 not comparable, 4 undecided where that is strict."""
        gate = self.document["gate"]
        return 0 if gate is None else int(gate["exit_code"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The gates where there are some, else every quantity."""
        gate = self.document["gate"]
        found: list[dict[str, Any]] = self.document["rows"] if gate is None else gate["gates"]
        return found


def compare(
    base: str | Path,
    candidate: str | Path,
    *,
    margins: Mapping[Kind, Margin] | None = None,
    pipelines: Sequence[str] | None = None,
) -> Comparison:
    """Every quantity of two recordings or baselines. `margins` go before the usual ones, by kind.

    Raises Incomparable where corpus, questions or judgements differ, BadInput for a folder that is neither.
    """
    return Comparison(comparisons.compare(read_side(base), read_side(candidate), margins=margins, pipelines=pipelines))


def read_side(place: str | Path) -> Evidence:
    """The figures of a recording's folder or of a baseline's. Raises BadInput for anything else."""
    folder = Path(place)
    if not folder.is_dir():
        raise BadInput(
            "no such folder; give that of a recording, such as reports/<eval>, or of a baseline", file=folder
        )
    kept = baselines.read(folder) if baselines.is_baseline(folder) else evidence.of_recording(folder)
    return replace(kept, label=shown(folder))


def shown(folder: Path) -> str:
    """A folder as it may stand in a report: as it was given, or from here, or by its last two names."""
    if not folder.is_absolute():
        return str(folder)
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else Path(*folder.parts[-2:]))


def save_baseline(recording: str | Path, *, into: str | Path, rankings: bool = True) -> Path:
    """Keep the figures of a recording as a baseline in a folder of its own, in place of what is there."""
    return baselines.save(read_side(recording), Path(into), rankings=rankings)
