"""A comparison as a GitLab Code Quality report: a finding for every case that does not hold.

Format: docs.gitlab.com, "Code Quality report format". GitLab tells new findings from known ones by the fingerprint, so
that rests on eval, pipeline, quantity and outcome, never on a figure.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Any

from ragprof.report.compare.cases import Case, cases, line, worst_first
from ragprof.report.compare.reading import Document

PASSING = "minor"
FAILING = {"regression": "critical", "unpriced": "major", "incomparable": "major", "undecided": "minor"}
"""What fails the build."""


def code_quality(document: Document, *, eval_file: str) -> str:
    """A JSON list, worst first, empty where all is well. `eval_file` is its path from the repository's root."""
    path = str(PurePosixPath(eval_file.replace("\\", "/")))
    told = [case for case in worst_first(cases(document)) if case.level in ("error", "warning")]
    findings = [_finding(case, document, path) for case in told]
    return json.dumps(findings, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finding(case: Case, document: Document, path: str) -> dict[str, Any]:
    return {
        "description": line(case.message),
        "check_name": f"ragprof.{case.outcome}.{case.quantity}",
        "fingerprint": _fingerprint(case, document),
        "severity": FAILING[case.outcome] if case.fails else PASSING,
        "location": {"path": path, "lines": {"begin": 1}},
    }


def _fingerprint(case: Case, document: Document) -> str:
    parts = ("ragprof", str(document["eval"]), str(case.row["pipeline"]), str(case.row["quantity"]), case.outcome)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
