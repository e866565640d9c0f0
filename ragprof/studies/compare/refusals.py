"""A gate over sides that cannot be compared: a document that says so, for who reads verdicts instead of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragprof.evals import Gate, Margin
from ragprof.quantities import quantity
from ragprof.studies.compare import verdicts
from ragprof.studies.compare.comparable import differences
from ragprof.studies.compare.comparison import FORMAT, side_facts
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.rows import Row


def unrecorded(label: str, *, queries: int) -> dict[str, Any]:
    """What a document says of a side that was not recorded, as it was refused before."""
    absent = dict.fromkeys(("created", "ragprof_version", "recording"))
    return {"label": label, "source": "recording", "corpus": {}, "queries": queries, **absent}


def refused(
    sides: tuple[dict[str, Any], dict[str, Any]],
    gate: Gate,
    why: str,
    *,
    eval_name: str,
    title: str,
    pipelines: Sequence[str],
    strict: bool,
) -> dict[str, Any]:
    """Every gate `incomparable`, no figure, exit code 3. `sides` are base and candidate as `side_facts` has them."""
    rows = [
        _row(pipeline, label, margin, why)
        for pipeline in pipelines
        for label, margin in gate.quantities.items()
        if pipeline in (margin.pipelines or gate.pipelines or pipelines)
    ]
    judged = {"verdict": "incomparable", "exit_code": verdicts.INCOMPARABLE, "strict": strict, "family": 0}
    return {
        "format": FORMAT,
        "eval": eval_name,
        "title": title,
        "base": sides[0],
        "candidate": sides[1],
        "queries": 0,
        "same_job": False,
        "differences": [],
        "notes": [why],
        "alpha": gate.alpha,
        "confidence": 1 - gate.alpha,
        "family": 0,
        "rows": [],
        "worst": {},
        "changed": {},
        "gate": {**judged, "gates": rows},
        "against": None,
    }


def refused_sides(base: Evidence, candidate: Evidence, gate: Gate, why: str, *, strict: bool) -> dict[str, Any]:
    """The same of two sides that were recorded."""
    document = refused(
        (side_facts(base), side_facts(candidate)),
        gate,
        why,
        eval_name=candidate.facts["eval"],
        title=candidate.facts["title"],
        pipelines=candidate.pipelines,
        strict=strict,
    )
    return {**document, "differences": [each.as_json() for each in differences(base, candidate)]}


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
