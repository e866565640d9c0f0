"""What a CI machine is told of a comparison, one case a gate: its outcome, how loudly to say it, one sentence.

Without a gate the cases are the primary rows, and only what got worse counts against the change: nobody asked for a
price or for latencies of two machines, so these are told but fail nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ragprof.report.compare import cells
from ragprof.report.compare.reading import Document, Row, primary
from ragprof.report.lookup import at, entries

Outcome: TypeAlias = Literal["regression", "unpriced", "incomparable", "undecided", "missing", "holds"]
Level: TypeAlias = Literal["error", "warning", "notice"]
OUTCOMES: tuple[Outcome, ...] = ("regression", "unpriced", "incomparable", "undecided", "missing", "holds")
"""Worst first."""
_OF_VERDICT: dict[str, Outcome] = {"worse": "regression", "better": "holds", "equivalent": "holds"}
_LEVELS: dict[str, Level] = {"worse": "warning", "better": "notice"}
_FAILING = ("regression", "unpriced", "incomparable")
_NOT_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u007f-\u009f]")


@dataclass(frozen=True, slots=True)
class Case:
    """`fails` says whether the build fails by it; `level` is None where nothing needs to be said."""

    pipeline: str
    quantity: str
    outcome: Outcome
    level: Level | None
    fails: bool
    message: str
    row: Row

    @property
    def name(self) -> str:
        """`hybrid: rerank.latency_p95`."""
        return f"{self.pipeline}: {self.quantity}"


def cases(document: Document) -> list[Case]:
    """One case a gate, in the order of the gate; without a gate one a primary row."""
    gate = at(document, "gate")
    if gate is None:
        return [_compared(row) for row in primary(document)]
    strict = bool(at(gate, "strict"))
    return [_gated(row, strict=strict) for row in entries(gate, "gates")]


def worst_first(found: Iterable[Case]) -> list[Case]:
    """By outcome, then by how many margins the figure got worse; equals keep their order."""
    return sorted(found, key=lambda case: (OUTCOMES.index(case.outcome), -_margins_worse(case.row)))


def counted(found: Iterable[Case]) -> dict[Outcome, int]:
    """Every outcome with its number of cases, worst first."""
    outcomes = [case.outcome for case in found]
    return {outcome: outcomes.count(outcome) for outcome in OUTCOMES}


def text(value: object) -> str:
    """Without the characters that XML forbids and that steer a terminal: other control characters than tab and line
    ends, halves of surrogate pairs."""
    return _NOT_TEXT.sub("", str(value))


def line(value: object) -> str:
    """As `text`, on one line."""
    return " ".join(text(value).split())


def sentence(row: Row) -> str:
    """`hybrid: latency_p95 12.3 → 14.5 ms, +18.0% (+9.0% to +27.0%), margin 10.0%, p 0.002`, then the reason."""
    change, ends = cells.short_change(row)
    told = f"{cells.from_to(row)}, {change} ({ends}), margin {cells.short_margin(row)}, p {cells.short_p(row)}"
    if row.get("difference") is None:
        told = str(row.get("gate") or row.get("verdict"))
    said = f"{row['pipeline']}: {row['quantity']} {told}"
    return f"{said}: {row['reason']}" if row.get("reason") else said


def _gated(row: Row, *, strict: bool) -> Case:
    outcome = _outcome(row.get("gate"))
    fails = outcome in _FAILING or (strict and outcome == "undecided")
    level: Level | None = None if outcome == "holds" else "error" if fails else "warning"
    return _case(row, outcome, level=level, fails=fails)


def _compared(row: Row) -> Case:
    verdict = str(row.get("verdict"))
    return _case(row, _outcome(_OF_VERDICT.get(verdict, verdict)), level=_LEVELS.get(verdict), fails=False)


def _outcome(name: object) -> Outcome:
    """What nobody knows is undecided."""
    return next((outcome for outcome in OUTCOMES if outcome == name), "undecided")


def _case(row: Row, outcome: Outcome, *, level: Level | None, fails: bool) -> Case:
    return Case(
        pipeline=line(row["pipeline"]),
        quantity=line(row["quantity"]),
        outcome=outcome,
        level=level,
        fails=fails,
        message=text(row.get("message") or sentence(row)),
        row=row,
    )


def _margins_worse(row: Row) -> float:
    difference = row.get("difference")
    if difference is None:
        return 0.0
    worse = difference if row.get("better") == "lower" else -difference
    margin = row.get("margin") or 0.0
    if margin:
        return float(worse / margin)
    return math.inf if worse > 0 else 0.0
