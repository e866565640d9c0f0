"""Click logs as judgements: weak ones, that stand beside those of others."""

from __future__ import annotations

import csv
from pathlib import Path

from ragprof.core.errors import BadInput

CLICKED, SHOWN_OFTEN = 0.3, 5
"""A passage that was shown five times and clicked in three of ten is called relevant, one never clicked irrelevant."""


def clicks_of(path: Path) -> dict[str, dict[str, int]]:
    """Grades 0 and 1 from a click log: columns query_id, doc_id, shown, clicked. What was shown too seldom is left out.

    Clicks follow the order in which results stood, so these are weak: they stand beside other judges, and kappa tells.
    Raises BadInput.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _grades(csv.DictReader(stream), path)
    except UnicodeDecodeError as failure:
        raise BadInput(f"not UTF-8 (byte {failure.start}); save it as UTF-8", file=path) from None
    except csv.Error as failure:
        raise BadInput(f"not valid CSV ({failure}); mend it", file=path) from None


def _grades(rows: csv.DictReader[str], path: Path) -> dict[str, dict[str, int]]:
    missing = {"query_id", "doc_id", "shown", "clicked"} - set(rows.fieldnames or ())
    if missing:
        raise BadInput(
            f"a click log needs query_id, doc_id, shown and clicked; missing: {', '.join(sorted(missing))}", file=path
        )
    found: dict[str, dict[str, int]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            shown, clicked = int(row["shown"]), int(row["clicked"])
        except (TypeError, ValueError):
            raise BadInput("shown and clicked are whole numbers", file=path, line=number) from None
        if not 0 <= clicked <= shown:
            raise BadInput(f"it was clicked {clicked} times and shown {shown} times; mend it", file=path, line=number)
        if shown >= SHOWN_OFTEN and (clicked == 0 or clicked / shown >= CLICKED):
            found.setdefault(row["query_id"], {})[row["doc_id"]] = int(clicked > 0)
    return found
