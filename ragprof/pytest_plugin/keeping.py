"""With --ragprof-out: each comparison of a test as JSON and as a page, beside the recordings that were kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragprof import files
from ragprof.pytest_plugin.cases import Case
from ragprof.report.compare.html import comparison_page
from ragprof.studies.compare.comparison import compare
from ragprof.studies.compare.evidence import Evidence

APART = re.compile(r"[^A-Za-z0-9]+")


def keep_comparison(case: Case, base: Evidence, candidate: Evidence, gate: Mapping[str, Any]) -> Path:
    """Write every quantity of two sides and what was gated; gives the JSON's path, the page is beside it."""
    document = {**compare(base, candidate), "gate": dict(gate)}
    name = APART.sub("-", f"{case.name}-{len(case.checks) + 1}-vs-{base.label}").strip("-")
    path = case.settings.out / "comparisons" / f"{name}.json"
    files.write_json(path, document)
    files.write_text(path.with_suffix(".html"), comparison_page(document))
    return path
