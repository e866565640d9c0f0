"""Figures of a comparison as text and cells: each row in one unit, differences signed, verdicts with mark and word.

A figure that was not measured is `n/a`, one that lacks its rate `UNPRICED`; neither is shown as 0.

Where things are in `comparison.json`: its rows, its gates and in which order a reader wants them.

Every key may be missing or null. A document without a gate reads as one of plain comparisons; nothing absent becomes 0.

What a CI machine is told of a comparison, one case a gate: its outcome, how loudly to say it, one sentence.

Without a gate the cases are the primary rows, and only what got worse counts against the change: nobody asked for a
price or for latencies of two machines, so these are told but fail nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ragprof.core.quantities import KINDS
from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import at, entries
from ragprof.report.palette import pipeline_colours
from ragprof.report.tables import Cell, Tone, figure, needed
from ragprof.report.theme import time_unit

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


Writer: TypeAlias = Callable[[float], str]
ARROW = "\u2192"
NS_PER_MS = 1e6
_MILLION = 1_000_000
MARKS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "worse": ("\u25bc worse", "worse"),
    "equivalent": ("\u25cf equivalent", "quiet"),
    "regression": ("\u25bc regression", "worse"),
    "holds": ("\u25cf holds", "quiet"),
    "undecided": ("\u25c7 undecided", "undecided"),
    "unpriced": (figures.UNPRICED, "unpriced"),
    "incomparable": ("\u00d7 incomparable", "absent"),
    "missing": ("\u2013 missing", "absent"),
}


def unit_words(row: Row) -> str:
    """What its figures count: `score`, `ms`, `prompt tokens per query`, `USD per 1,000 queries`."""
    kind = at(row, "kind")
    if kind == "latency":
        return _time_unit(row)[0]
    if kind == "usage":
        return f"{str(at(row, 'unit') or 'units').replace('_', ' ')} per query"
    return "USD per 1,000 queries" if kind == "cost" else "score"


def direction(row: Row) -> str:
    better = at(row, "better")
    return f"{better} is better" if better else ""


def amount(row: Row) -> Writer:
    """Writes a figure of this row with its unit; all of a row's durations are in one unit."""
    kind = at(row, "kind")
    if kind == "latency":
        unit, length = _time_unit(row)
        return lambda value: f"{figures.three_digits(value * NS_PER_MS / length)} {unit}"
    return {"cost": figures.usd, "usage": _count}.get(str(kind), figures.score)


def _time_unit(row: Row) -> tuple[str, float]:
    known = [abs(at(row, side)) for side in ("base", "candidate") if at(row, side) is not None]
    return time_unit(max(known, default=1.0) * NS_PER_MS)


def _count(value: float) -> str:
    return figures.rough_count(value) if abs(value) >= _MILLION else figures.mean_count(value)


def change(row: Row) -> Writer:
    """Writes a difference of this row, with its sign and unit."""
    kind, write = at(row, "kind"), amount(row)
    if kind == "usage":
        write = _small_count
    return figures.difference if kind == "quality" else lambda value: signed(value, write)


def _small_count(value: float) -> str:
    return _count(value) if abs(value) >= _MILLION else figures.three_digits(value)


def percent(value: float) -> str:
    return signed(value, figures.share)


def ends(interval: figures.Interval, write: Writer) -> str:
    """Both ends of an interval; a unit that they share is written once."""
    text = figures.span(interval, write)
    low, between, high = text.partition(" to ")
    unit = high.rpartition(" ")[2]
    return f"{low.removesuffix(f' {unit}')}{between}{high}" if between and low.endswith(f" {unit}") else text


def side(row: Row, key: str) -> str:
    """The figure of one side. A bill that lacks a rate is UNPRICED."""
    value = at(row, key)
    if value is not None:
        return amount(row)(value)
    unpriced = "unpriced" in (at(row, "verdict"), at(row, "gate"))
    return figures.UNPRICED if unpriced else figures.ABSENT


def from_to(row: Row) -> str:
    """`base -> candidate`, a shared unit written once."""
    base, candidate = side(row, "base"), side(row, "candidate")
    unit = candidate.partition(" ")[2]
    shared = unit and base.endswith(f" {unit}")
    return f"{base.removesuffix(f' {unit}') if shared else base} {ARROW} {candidate}"


def _written(value: Any, write: Writer) -> str:
    return figures.ABSENT if value is None else write(value)


def difference(row: Row) -> str:
    return _written(at(row, "difference"), change(row))


def difference_ends(row: Row) -> str:
    return ends(at(row, "interval"), change(row))


def relative(row: Row) -> str:
    return _written(at(row, "relative"), percent)


def relative_ends(row: Row) -> str:
    return ends(at(row, "relative_interval"), percent)


def short_change(row: Row) -> tuple[str, str]:
    """The difference that people speak of, with its interval: points of a metric, else per cent where there are any."""
    if at(row, "kind") == "quality" or at(row, "relative") is None:
        return difference(row), difference_ends(row)
    return relative(row), relative_ends(row)


def short_margin(row: Row) -> str:
    """The margin as `short_change` tells the difference."""
    base, margin = at(row, "base"), at(row, "margin")
    if margin is None or at(row, "kind") == "quality" or at(row, "relative") is None or not base:
        return _written(margin, amount(row))
    return figures.share(margin / abs(base))


def quantity_cell(row: Row) -> Cell:
    words = ", ".join(part for part in (unit_words(row), direction(row)) if part)
    return Cell(figures.text(at(row, "quantity")), words)


def pipeline_cell(row: Row) -> Cell:
    """The pipeline; where another one's figures are its base, that one is named."""
    name, base = pipeline(row), at(row, "base_pipeline")
    return Cell(name, f"against {base}" if base not in (None, name) else "", pipeline=name)


def side_cell(row: Row, key: str) -> Cell:
    return figure(side(row, key))


def difference_cell(row: Row) -> Cell:
    return figure(difference(row), difference_ends(row))


def relative_cell(row: Row) -> Cell:
    return figure(relative(row), relative_ends(row))


def margin_cell(row: Row) -> Cell:
    """With where it comes from, unless that only repeats it."""
    margin, why = at(row, "margin"), str(at(row, "margin_why") or "")
    return figure(_written(margin, amount(row)), "" if margin is not None and why == f"{margin:g}" else why)


def p_cells(row: Row) -> tuple[Cell, Cell]:
    return figure(figures.p_value(at(row, "p"))), figure(figures.p_value(at(row, "p_holm")))


def short_p(row: Row) -> str:
    """The corrected p, or p where nothing was corrected."""
    corrected = at(row, "p_holm")
    return figures.p_value(at(row, "p") if corrected is None else corrected)


def words(verdict: Any) -> str:
    """A mark and a word: never told by colour alone."""
    return figures.ABSENT if verdict is None else MARKS.get(verdict, (str(verdict), ""))[0]


def tone(verdict: Any) -> Tone:
    return "absent" if verdict is None else MARKS.get(verdict, ("", ""))[1]


def verdict_cell(row: Row, key: str = "verdict") -> Cell:
    """The verdict of a row (`verdict`) or of its gate (`gate`), with its reason or with what is missing for one."""
    verdict = at(row, key)
    more = needed(row) if verdict == "undecided" else ""
    return Cell(words(verdict), str(at(row, "reason") or "") or more, tone(verdict))


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
    change, ends = short_change(row)
    told = f"{from_to(row)}, {change} ({ends}), margin {short_margin(row)}, p {short_p(row)}"
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
