"""A comparison in sentences: the verdict first, what fails, what the two sides are, how it was measured."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from ragprof.report import figures
from ragprof.report.lookup import at, entries
from ragprof.studies.gate import cells
from ragprof.studies.gate.cells import Document, Row, counts, gates, is_gated, pipeline, rows

_NAMED = 3
SHARED_END = 40
_FAILING = ("regression", "unpriced", "incomparable")
_ALWAYS = ("worse", "better", "equivalent", "undecided")


def headline(document: Document) -> str:
    """The verdict in one sentence: of the gate, or how many quantities got worse and better where there is none."""
    if not is_gated(document):
        return f"no gate; {tally(document)}"
    verdict = str(at(document, "gate", "verdict"))
    return _HEADLINES.get(verdict, _other)(document)


def tally(document: Document) -> str:
    """`3 worse, 1 better, 41 equivalent, 12 undecided`, then what could not be compared."""
    found = counts(rows(document), "verdict")
    return ", ".join(counted(verdict, count) for verdict, count in found.items() if count or verdict in _ALWAYS)


def gate_tally(document: Document) -> str:
    """`2 regression, 1 UNPRICED, 6 hold`: what there is."""
    found = counts(gates(document), "gate")
    return ", ".join(counted(verdict, count) for verdict, count in found.items() if count)


def counted(verdict: str, count: int) -> str:
    return f"{count} {_COUNTED.get(verdict, verdict)}"


_COUNTED = {"unpriced": figures.UNPRICED, "holds": "hold"}


def _regression(document: Document) -> str:
    found = counts(gates(document), "gate")
    if not found["regression"]:
        return f"UNPRICED: {_of(document, 'unpriced')} lacks a price, and without one a money gate fails"
    unpriced = f"; {found['unpriced']} UNPRICED" if found["unpriced"] else ""
    return f"REGRESSION: {_of(document, 'regression')} got worse by more than the margin{unpriced}"


def _incomparable(document: Document) -> str:
    return f"INCOMPARABLE: {_of(document, 'incomparable')} cannot be judged from these two recordings"


def _undecided(document: Document) -> str:
    passes = "passes, as it is not strict" if at(document, "gate", "exit_code") == 0 else "fails, as it is strict"
    held = counts(gates(document), "gate")["holds"]
    return f"UNDECIDED: {_of(document, 'undecided')} cannot be told yet; {held} hold. The gate {passes}"


def _holds(document: Document) -> str:
    found, total = counts(gates(document), "gate"), len(gates(document))
    if found["holds"] == total:
        return f"HOLDS: all {total} gates hold" if total > 1 else "HOLDS: the one gate holds"
    return f"HOLDS: {found['holds']} of {total} gates hold, {found['undecided']} undecided"


def _other(document: Document) -> str:
    return f"{at(document, 'gate', 'verdict')}: {gate_tally(document)}"


_HEADLINES = {
    "regression": _regression,
    "incomparable": _incomparable,
    "undecided": _undecided,
    "holds": _holds,
}


def _of(document: Document, verdict: str) -> str:
    """`2 of 9 gates (dense nDCG@10, bm25 latency_p95)`; beyond a few they are counted."""
    every = gates(document)
    found = [f"{pipeline(row)} {at(row, 'quantity')}" for row in every if at(row, "gate") == verdict]
    more = [f"{len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return f"{len(found)} of {len(every)} {_gates(len(every))} ({', '.join([*found[:_NAMED], *more])})"


def _gates(count: int) -> str:
    return "gate" if count == 1 else "gates"


def failures(document: Document) -> list[str]:
    """A sentence a gate that does not hold for certain, the worst first."""
    return [message(row) for row in gates(document) if at(row, "gate") in _FAILING]


def message(row: Row) -> str:
    """What the gate says of itself, else its figures."""
    said, named = at(row, "message"), f"{pipeline(row)} {at(row, 'quantity')}"
    if said:
        return str(said)
    if at(row, "difference") is None:
        why = at(row, "reason")
        return f"{named}: {cells.words(at(row, 'gate'))}{f', {why}' if why else ''}"
    text, ends = cells.short_change(row)
    return (
        f"{named}: {cells.from_to(row)}, {text} ({ends}), "
        f"margin {cells.short_margin(row)}: {cells.words(at(row, 'gate'))}"
    )


def side(document: Document, key: str) -> str:
    """One side: `name (baseline of 22 November 2026, ragprof 0.1.0)`."""
    one = at(document, key)
    made = f"{at(one, 'source') or 'recording'} of {figures.day(at(one, 'created'))}"
    return f"{figures.text(at(one, 'label'))} ({made}, ragprof {figures.text(at(one, 'ragprof_version'))})"


def basis(document: Document) -> str:
    """How many queries, and whether both sides were timed in one job."""
    queries = at(document, "queries")
    found = f"n = {figures.count(queries)} queries" if queries is not None else f"n {figures.ABSENT}"
    same = at(document, "same_job")
    job = "" if same is None else "; timed in one job" if same else "; timed in two jobs"
    return f"{found} on both sides{job}{_looked(at(document, 'against'))}"


def _looked(against: Any) -> str:
    """What an interleaved job took: looks and seconds."""
    if against is None:
        return ""
    looks, allowed = figures.count(at(against, "looks")), figures.count(at(against, "looks_allowed"))
    spent, budget = (figures.count(at(against, key)) for key in ("spent_seconds", "budget_seconds"))
    return f": {looks} of {allowed} looks, {spent} of {budget} s of live queries"


def interval_words(document: Document) -> str:
    confidence = at(document, "confidence")
    return "interval" if confidence is None else f"{100 * confidence:g}% interval"


def blocked(difference: Any) -> str:
    """What a difference between the two sides keeps from being compared."""
    blocks = at(difference, "blocks")
    return {"nothing": "nothing", "all": "everything", "tokens": "token counts and their cost"}.get(
        str(blocks), figures.text(blocks)
    )


def difference(one: Any) -> str:
    """One field that differs: both values, and what cannot be compared for it."""
    values = f"{value(at(one, 'base'))} {cells.ARROW} {value(at(one, 'candidate'))}"
    field = figures.text(at(one, "field"))
    if at(one, "blocks") in (None, "nothing"):
        return f"{field}: {values}"
    return f"{field}: {values}; so {blocked(one)} cannot be compared"


def value(found: Any) -> str:
    return ", ".join(map(str, found)) if isinstance(found, list | tuple) else figures.text(found)


def change(name: str, one: Any) -> str:
    """A part's identity on both sides, on one line; a long end that both share, such as a template, is left out."""
    base, candidate = (" ".join(figures.text(at(one, key) or "none").split()) for key in ("base", "candidate"))
    shared = _shared_end(base, candidate)
    if shared > SHARED_END:
        base, candidate = f"{base[:-shared]} ...", f"{candidate[:-shared]} ..."
    return f"{name}: {figures.text(at(one, 'part'))} {base} {cells.ARROW} {candidate}"


def _shared_end(first: str, second: str) -> int:
    """Characters of the words that end both."""
    pairs = zip(reversed(first.split(" ")), reversed(second.split(" ")), strict=False)
    return sum(len(one) + 1 for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def method(document: Document) -> list[str]:
    """How the figures came about, for someone who has to believe them."""
    alpha, family = at(document, "alpha"), at(document, "family")
    said = [
        "Both sides answered the same queries, so every difference is taken query by query; only queries that both "
        "sides have count.",
        f"Intervals are {interval_words(document)}s of a paired bootstrap over queries; for latency a query is drawn "
        "with all its rounds on both sides, and p50 and p95 (as Harrell and Davis estimate quantiles, steadier than a "
        "single observation) are compared as ratios.",
        "p is two-sided: signs of the differences flipped at random, for latency from the bootstrap of the log ratio; "
        f"Holm's correction over {figures.text(family)} quantities, alpha {figures.text(alpha)}.",
        "The margin is the larger of an absolute one and a share of the base's figure. Equivalent: the interval lies "
        "inside the margin. Better or worse: the corrected p is below alpha and the interval excludes no difference. "
        "Undecided: these queries cannot tell, which is not the same as equal.",
    ]
    return [*said, *_gate_method(document), *_live_method(document)]


def _gate_method(document: Document) -> list[str]:
    if not is_gated(document):
        return []
    family = figures.text(at(document, "gate", "family"))
    return [
        "A gate is a regression where the whole interval is worse than its margin and p, corrected over the "
        f"{family} gates only, is below alpha. It holds where the worse end of the interval is within the margin. "
        "A money gate without a price fails."
    ]


def _live_method(document: Document) -> list[str]:
    against = at(document, "against")
    if against is None:
        return []
    looks, allowed = figures.text(at(against, "looks")), figures.text(at(against, "looks_allowed"))
    spent, budget = (figures.text(at(against, key)) for key in ("spent_seconds", "budget_seconds"))
    return [
        "Both sides ran interleaved on this machine (A B B A). First A ran against A: what differed then is the "
        f"machine's own noise, and no margin is below it. {looks} of {allowed} looks in {spent} of {budget} seconds, "
        f"{figures.text(at(against, 'rounds'))} rounds of {figures.text(at(against, 'queries'))} queries; "
        "p is corrected for the looks."
    ]


def notes(document: Document) -> list[str]:
    """What a reader must know, then what of the two sides differs enough to matter."""
    differing = [one for one in entries(document, "differences") if at(one, "blocks") not in (None, "nothing")]
    return [*map(str, entries(document, "notes")), *map(difference, differing)]
