"""The golden comparisons (tests/golden/make.py) as typed values, and variants of them that are hard to record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ragprof.studies.gate.document import ChangedPart, Comparison, FactDifference, GateRow, LostQuery, QuantityRow
from ragprof.studies.gate.verdicts import exit_code, overall

GOLDEN = Path(__file__).parents[1] / "golden" / "comparison.json"
BM25, DENSE, HYBRID = "bm25", "dense", "hybrid+overlap"


@cache
def golden(name: str) -> Comparison:
    """`compared`, `gated` or `interleaved`."""
    document: Mapping[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    read = {("quantities" if key == "rows" else key): value for key, value in document.items() if key != "format"}
    return TypeAdapter(Comparison).validate_python(read)


def find(comparison: Comparison, pipeline: str, quantity: str) -> QuantityRow:
    return next(row for row in comparison.quantities if (row.pipeline, row.quantity) == (pipeline, quantity))


def with_gates(comparison: Comparison, *gates: GateRow, strict: bool = False) -> Comparison:
    """The comparison with these gates and what follows from them."""
    assert comparison.gate is not None
    told = [row.gate for row in gates]
    gate = replace(
        comparison.gate, verdict=overall(told), exit_code=exit_code(told, strict=strict), strict=strict, gates=gates
    )
    return replace(comparison, gate=gate)


def only(*verdicts: str, strict: bool = False) -> Comparison:
    """The gated comparison with the gates alone that have one of these verdicts."""
    found = golden("gated")
    assert found.gate is not None
    return with_gates(found, *(row for row in found.gate.gates if row.gate in verdicts), strict=strict)


def many(pipelines: int) -> Comparison:
    """The gated comparison with so many pipelines, each with every row and gate of dense: too long for a comment."""
    found = golden("gated")
    assert found.gate is not None
    names = [f"pipeline-{number:03d}" for number in range(pipelines)]
    rows = [row for row in found.quantities if row.pipeline == DENSE]
    gates = [replace(row, pipeline=name, base_pipeline=name) for name in names for row in found.gate.gates]
    return replace(
        with_gates(found, *gates),
        quantities=tuple(replace(row, pipeline=name, base_pipeline=name) for name in names for row in rows),
        worst=dict.fromkeys(names, found.worst[DENSE]),
    )


def everywhere(text: str) -> Comparison:
    """The gated comparison with every name and text replaced by one that would be markup."""
    found = golden("gated")
    assert found.gate is not None

    def spoilt(row: Any, **more: str) -> Any:
        return replace(row, pipeline=text, base_pipeline=text, margin_why=text, reason=text, **more)

    worst = found.worst[DENSE]
    query = LostQuery(text, 0.9, 0.1, (text, "d2"), ("d2", text))
    return replace(
        with_gates(found, *(spoilt(row, message=text) for row in found.gate.gates)),
        quantities=tuple(map(spoilt, found.quantities)),
        title=text,
        notes=(text,),
        base=replace(found.base, label=text),
        differences=(FactDifference(text, text, text, "latency"),),
        worst={text: replace(worst, queries=(query, *worst.queries[1:]))},
        changed={text: (ChangedPart(text, text, None),)},
    )
