"""A comparison in sentences: the verdict first, what fails, what the two sides are, how it was measured."""

from __future__ import annotations

import re
from itertools import takewhile

from ragprof.report import figures
from ragprof.studies.gate.cells import ARROW
from ragprof.studies.gate.document import (
    ComparedSide,
    Comparison,
    FactDifference,
    GateResult,
    counts,
    gate_counts,
)

NAMED = 3
"""Gates that a headline names; the rest is counted."""
SHARED_END = 40
"""An end this long that both identities share, such as a prompt's template, tells nothing and is left out."""
FAILING = ("regression", "unpriced", "incomparable")
ALWAYS = ("worse", "better", "equivalent", "undecided")


def headline(comparison: Comparison) -> str:
    """The verdict in one sentence: of the gate, or how many quantities got worse and better where there is none."""
    gate = comparison.gate
    if gate is None:
        return f"no gate; {tally(comparison)}"
    found = gate_counts(gate.gates)
    if gate.verdict == "regression":
        if not found["regression"]:
            return f"UNPRICED: {_gates_of(comparison, 'unpriced')} lacks a price, and without one a money gate fails"
        unpriced = f"; {found['unpriced']} UNPRICED" if found["unpriced"] else ""
        return f"REGRESSION: {_gates_of(comparison, 'regression')} got worse by more than the margin{unpriced}"
    if gate.verdict == "incomparable":
        return f"INCOMPARABLE: {_gates_of(comparison, 'incomparable')} cannot be judged from these two recordings"
    if gate.verdict == "undecided":
        passes = "passes, as it is not strict" if gate.exit_code == 0 else "fails, as it is strict"
        held = f"{found['holds']} hold. The gate {passes}"
        return f"UNDECIDED: {_gates_of(comparison, 'undecided')} cannot be told yet; {held}"
    return f"HOLDS: all {len(gate.gates)} gates hold" if len(gate.gates) > 1 else "HOLDS: the one gate holds"


def _gates_of(comparison: Comparison, verdict: str) -> str:
    """`2 of 9 gates (dense nDCG@10, bm25 latency_p95)`; beyond a few they are counted."""
    every = comparison.gates
    found = [f"{row.pipeline} {row.quantity}" for row in every if row.gate == verdict]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    gates = "gate" if len(every) == 1 else "gates"
    return f"{len(found)} of {len(every)} {gates} ({', '.join([*found[:NAMED], *more])})"


def tally(comparison: Comparison) -> str:
    """`3 worse, 1 better, 41 equivalent, 12 undecided`, then what could not be compared."""
    found = counts(comparison.quantities)
    return ", ".join(counted(verdict, count) for verdict, count in found.items() if count or verdict in ALWAYS)


def gate_tally(gate: GateResult) -> str:
    """`2 regression, 1 UNPRICED, 6 hold`: what there is."""
    return ", ".join(counted(verdict, count) for verdict, count in gate_counts(gate.gates).items() if count)


def counted(verdict: str, count: int) -> str:
    return f"{count} {({'unpriced': figures.UNPRICED, 'holds': 'hold'}).get(verdict, verdict)}"


def failures(comparison: Comparison) -> list[str]:
    """A sentence a gate that does not hold for certain, the worst first."""
    return [row.message for row in comparison.gates if row.gate in FAILING]


def side(one: ComparedSide) -> str:
    """`name (baseline of 22 November 2026, ragprof 0.1.0)`."""
    version = figures.text(one.ragprof_version)
    return f"{one.label} ({one.source} of {figures.day(one.created)}, ragprof {version})"


def basis(comparison: Comparison) -> str:
    """How many queries, whether both sides were timed in one job, and what an interleaved job took."""
    if not comparison.paired:
        return f"{comparison.base.queries:,} and {figures.counted(comparison.candidate.queries, 'trace')}, not paired"
    job = "one job" if comparison.same_job else "two jobs"
    found = f"n = {figures.counted(comparison.queries, 'query')} on both sides; timed in {job}"
    if (took := comparison.against) is None:
        return found
    spent, budget = figures.count(took.spent_seconds), figures.count(took.budget_seconds)
    return f"{found}: {took.looks} of {took.looks_allowed} looks, {spent} of {budget} s of live queries"


def interval_words(comparison: Comparison) -> str:
    return f"{100 * comparison.confidence:g}% interval"


HASH, SHORT_HASH = re.compile("[0-9a-f]{64}"), 12


def blocked(one: FactDifference) -> str:
    """What a difference between the two sides keeps from being compared."""
    return {"all": "everything", "tokens": "token counts and their cost"}.get(one.blocks, one.blocks)


def difference(one: FactDifference) -> str:
    """One field that differs: both values, and what cannot be compared for it."""
    values = f"{one.field}: {value(one.base)} {ARROW} {value(one.candidate)}"
    return values if one.blocks == "nothing" else f"{values}; so {blocked(one)} cannot be compared"


def value(found: object) -> str:
    told = ", ".join(map(str, found)) if isinstance(found, list | tuple) else figures.text(found)
    return f"{told[:SHORT_HASH]}..." if HASH.fullmatch(told) else told


def changes(comparison: Comparison) -> list[str]:
    """A sentence for every part of a pipeline that is not the same on both sides."""
    said = []
    for pipeline, one in ((name, part) for name, parts in comparison.changed.items() for part in parts):
        base, candidate = (" ".join((identity or "none").split()) for identity in (one.base, one.candidate))
        pairs = zip(reversed(base.split(" ")), reversed(candidate.split(" ")), strict=False)
        shared = sum(len(word) + 1 for word, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if shared > SHARED_END:
            base, candidate = f"{base[:-shared]} ...", f"{candidate[:-shared]} ..."
        said.append(f"{pipeline}: {one.part} {base} {ARROW} {candidate}")
    return said


def method(comparison: Comparison) -> list[str]:
    """How the figures came about, for someone who has to believe them."""
    said = [
        "Both sides answered the same queries, so every difference is taken query by query; only queries that both "
        "sides have count.",
        f"Intervals are {interval_words(comparison)}s of a paired bootstrap over queries; for latency a query is drawn "
        "with all its rounds on both sides, and p50 and p95 (as Harrell and Davis estimate quantiles, steadier than a "
        "single observation) are compared as ratios.",
        "p is two-sided: signs of the differences flipped at random, for latency from the bootstrap of the log ratio; "
        f"Holm's correction over {figures.text(comparison.family)} quantities, alpha {comparison.alpha}.",
        "The margin is the larger of an absolute one and a share of the base's figure. Equivalent: the interval lies "
        "inside the margin. Better or worse: the corrected p is below alpha and the interval excludes no difference. "
        "Undecided: these queries cannot tell, which is not the same as equal.",
    ]
    if not comparison.paired:
        said[:3] = [
            "The sides are samples of traces, of other questions; nothing is paired.",
            f"Means: Welch's test and {interval_words(comparison)}s. p50 and p95: Harrell and Davis's estimates, "
            "compared as ratios by the scatter of each side's own.",
            f"Holm's correction over {figures.text(comparison.family)} quantities, alpha {comparison.alpha}.",
        ]
    if comparison.gate is not None:
        said.append(
            "A gate is a regression where the whole interval is worse than its margin and p, corrected over the "
            f"{figures.text(comparison.gate.family)} gates only, is below alpha. It holds where the worse end of the "
            "interval is within the margin. A money gate without a price fails."
        )
    if (job := comparison.against) is not None:
        said.append(
            "Both sides ran interleaved on this machine (A B B A). First A ran against A: what differed then is the "
            f"machine's own noise, and no margin is below it. {job.looks} of {job.looks_allowed} looks in "
            f"{job.spent_seconds} of {job.budget_seconds} seconds, {job.rounds} rounds of {figures.text(job.queries)} "
            "queries; p is corrected for the looks."
        )
        if job.failed:
            lost = ", ".join(f"{figures.counted(number, 'question')} of {name}" for name, number in job.failed.items())
            said.append(f"Failed on a side, and left out of both sides' times: {lost}.")
    return said


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know, then what of the two sides differs enough to matter."""
    differing = [one for one in comparison.differences if one.blocks != "nothing"]
    return [*comparison.notes, *map(difference, differing)]
