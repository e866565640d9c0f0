"""The test that is running: where it stands, what the options say, and the checks that it has made so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof.errors import BadInput
from ragprof.pytest_plugin.settings import Settings

if TYPE_CHECKING:
    from ragprof.pytest_plugin.checks import Check


@dataclass(frozen=True, eq=False)
class Case:
    """`file` is the test's own. `checks` are those that no report has told yet."""

    name: str
    file: Path
    settings: Settings
    checks: list[Check] = field(default_factory=list)

    def made(self, check: Check) -> Check:
        """Remember a check for the report of this test."""
        self.checks.append(check)
        return check

    def located(self, given: str | Path, *, what: str) -> Path:
        """A path as it is, or relative to the test's file, to pytest's root or to where pytest was started.

        Raises BadInput naming where it looked.
        """
        path = Path(given).expanduser()
        places = [path] if path.is_absolute() else [root / path for root in (self.file.parent, *self.settings.roots)]
        tried = list(dict.fromkeys(places))
        found = next((each for each in tried if each.exists()), None)
        if found is None:
            raise BadInput(f"there is no {what} '{given}'; looked for {' and '.join(map(str, tried))}")
        return found.resolve()
