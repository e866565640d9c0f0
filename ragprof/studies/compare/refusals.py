"""A gate over sides that cannot be compared: a document that says so, for who reads verdicts instead of messages."""

from __future__ import annotations

from typing import Any

from ragprof.evals import Gate, Margin
from ragprof.quantities import quantity
from ragprof.studies.compare import verdicts
from ragprof.studies.compare.comparable import differences, same_job
from ragprof.studies.compare.comparison import FORMAT, side_facts
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.rows import Row


def refused(base: Evidence, candidate: Evidence, gate: Gate, why: str, *, strict: bool) -> dict[str, Any]:
    """The document of sides that may not be compared: every gate `incomparable`, no figure, exit code 3."""
    rows = [
        _row(pipeline, label, margin, why)
        for pipeline in candidate.pipelines
        for label, margin in gate.quantities.items()
        if pipeline in (margin.pipelines or gate.pipelines or candidate.pipelines)
    ]
    return {
        "format": FORMAT,
        "eval": candidate.facts["eval"],
        "title": candidate.facts["title"],
        "base": side_facts(base),
        "candidate": side_facts(candidate),
        "queries": 0,
        "same_job": same_job(base, candidate),
        "differences": [each.as_json() for each in differences(base, candidate)],
        "notes": [why],
        "alpha": gate.alpha,
        "confidence": 1 - gate.alpha,
        "family": 0,
        "rows": [],
        "worst": {},
        "changed": {},
        "gate": {
            "verdict": "incomparable",
            "exit_code": verdicts.INCOMPARABLE,
            "strict": strict,
            "family": 0,
            "gates": rows,
        },
        "against": None,
    }


def _row(pipeline: str, label: str, margin: Margin, why: str) -> Row:
    asked = quantity(label)
    named = {"pipeline": pipeline, "base_pipeline": pipeline, "quantity": label}
    kind = {"kind": asked.kind, "stage": asked.stage, "name": asked.name, "unit": asked.unit}
    absent = dict.fromkeys(
        ("base", "candidate", "difference", "interval", "relative", "relative_interval", "p", "p_holm", "more_queries",
         "noise")
    )  # fmt: skip
    return {
        **named,
        **kind,
        **absent,
        "better": verdicts.better_of(asked, margin),
        "primary": not asked.stage,
        "n": 0,
        "margin": margin.absolute,
        "margin_why": "",
        "confidence": 1 - verdicts.ALPHA,
        "verdict": "incomparable",
        "gate": "incomparable",
        "reason": why,
        "margin_absolute": margin.absolute,
        "margin_relative": margin.relative,
        "message": f"{label} of '{pipeline}' cannot be compared: {why}",
    }
