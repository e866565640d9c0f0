"""Where things are in `comparison.json`: its rows, its gates and in which order a reader wants them.

Every key may be missing or null. A document without a gate reads as one of plain comparisons; nothing absent becomes 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ragprof.quantities import KINDS
from ragprof.report.lookup import at, entries
from ragprof.report.palette import pipeline_colours

Document: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Mapping[str, Any]
VERDICTS = ("worse", "better", "equivalent", "undecided", "unpriced", "incomparable", "missing")
GATE_VERDICTS = ("regression", "unpriced", "incomparable", "undecided", "holds")
"""The worst first."""
_CHANGED = ("worse", "better")


def rows(document: Document) -> Sequence[Row]:
    """Every quantity of every common pipeline."""
    return entries(document, "rows")


def is_gated(document: Document) -> bool:
    return at(document, "gate") is not None


def gates(document: Document) -> list[Row]:
    """The worst first: pipelines by their worst gate, each one's gates by verdict; else in the document's order."""
    found = entries(document, "gate", "gates")
    worst: dict[str, int] = {}
    for row in found:
        worst[pipeline(row)] = min(worst.get(pipeline(row), len(GATE_VERDICTS)), _rank(row))
    places = {name: place for place, name in enumerate(worst)}
    return sorted(found, key=lambda row: (worst[pipeline(row)], places[pipeline(row)], _rank(row)))


def _rank(row: Row) -> int:
    verdict = at(row, "gate")
    return GATE_VERDICTS.index(verdict) if verdict in GATE_VERDICTS else len(GATE_VERDICTS)


def pipeline(row: Row) -> str:
    return str(at(row, "pipeline") or "")


def pipelines(document: Document) -> list[str]:
    """Every pipeline that has a row or a gate, in the order of the document."""
    return list(dict.fromkeys(pipeline(row) for row in [*rows(document), *entries(document, "gate", "gates")]))


def colours(document: Document) -> dict[str, str]:
    """Each pipeline's colour on the page."""
    return pipeline_colours(pipelines(document))


def of_pipeline(document: Document, name: str) -> list[Row]:
    return [row for row in rows(document) if pipeline(row) == name]


def primary(document: Document) -> list[Row]:
    return [row for row in rows(document) if at(row, "primary")]


def told(document: Document) -> list[Row]:
    """What is shown where there is no gate: the primary rows, and every row that is better or worse."""
    return [row for row in rows(document) if at(row, "primary") or at(row, "verdict") in _CHANGED]


def decisive(document: Document) -> list[Row]:
    """What the verdict rests on: the gates, or the primary rows where there is none."""
    return gates(document) if is_gated(document) else primary(document)


def of_kind(found: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in found if at(row, "kind") == kind]


def kinds(found: Sequence[Row]) -> list[str]:
    return [kind for kind in KINDS if of_kind(found, kind)]


def counts(found: Sequence[Row], key: str) -> dict[str, int]:
    """verdict -> how many rows have it, the known verdicts in their order; none is left out for being 0."""
    known = GATE_VERDICTS if key == "gate" else VERDICTS
    return {verdict: sum(at(row, key) == verdict for row in found) for verdict in known}


def worst(document: Document) -> dict[str, Mapping[str, Any]]:
    """pipeline -> its queries that got worst; only pipelines that have any, gated ones where there is a gate.

    Pipelines that regressed or got worse come first.
    """
    found = {name: one for name, one in (at(document, "worst") or {}).items() if entries(one, "queries")}
    order = list(dict.fromkeys(map(pipeline, gates(document)))) or _worse_first(document)
    return {name: found[name] for name in order if name in found}


def _worse_first(document: Document) -> list[str]:
    worse = {pipeline(row) for row in rows(document) if at(row, "verdict") == "worse"}
    return sorted(pipelines(document), key=lambda name: name not in worse)


def changes(document: Document) -> list[tuple[str, Mapping[str, Any]]]:
    """(pipeline, part that differs) for every identity that is not the same on both sides."""
    return [(name, change) for name, found in (at(document, "changed") or {}).items() for change in found or ()]
