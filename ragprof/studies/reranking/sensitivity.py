"""Which assumption a verdict hangs on most: the one that has to change least, as a factor, for another verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.case import AtDepth, Case
from ragprof.studies.reranking.verdict import Verdict, decide

FACTORS = tuple(float(f"{10 ** (step / 12):.3g}") for step in range(1, 25))
"""1.21 up to 100, a step each of 21 %."""
QUERIES = "the number of queries"


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something that a verdict assumes, and the case as it would be with that times a factor."""

    what: str
    scaled: Callable[[float], Case]


def assumptions(case: Case) -> Iterator[Assumption]:
    """What of the case is a price or a choice; what was measured is not among it."""
    llm, worth = case.llm_usd_per_million, case.worth_usd_per_point
    if llm is not None:
        yield Assumption(
            "the price of the LLM's tokens", lambda factor: replace(case, llm_usd_per_million=llm * factor)
        )
    if case.own.cost is not None and not case.free:
        price = "the machine's price over its utilisation" if case.hourly else "the reranker's price"
        yield Assumption(price, lambda factor: _priced(case, factor))
    if worth is not None:
        yield Assumption("what a point is worth", lambda factor: replace(case, worth_usd_per_point=worth * factor))
    if case.max_added_p95_ms is not None:
        most = case.max_added_p95_ms
        yield Assumption("the milliseconds allowed", lambda factor: replace(case, max_added_p95_ms=most * factor))
    if case.max_usd_per_1000:
        budget = case.max_usd_per_1000
        yield Assumption("the dollars allowed", lambda factor: replace(case, max_usd_per_1000=budget * factor))
    if case.margin > 0:
        yield Assumption("the smallest gain that counts", lambda factor: replace(case, margin=case.margin * factor))


def sensitive_to(case: Case, verdict: Verdict) -> dict[str, Any]:
    """The assumption with the smallest change that flips the verdict, what it becomes, and a sentence."""
    if verdict.word == "UNDECIDED":
        return _undecided(case, verdict)
    flips = [flip for each in assumptions(case) if (flip := _flip(each, verdict)) is not None]
    if not flips:
        return {
            "what": QUERIES,
            "sentence": "No price and no choice within a hundredfold changes this verdict; it rests on what was "
            f"measured with {case.queries:,} queries.",
            "factor": None,
            "becomes": None,
        }
    what, factor, other = min(flips, key=lambda flip: abs(np.log(flip[1])))
    return {
        "what": what,
        "sentence": f"It hangs most on {what}: at {factor:.2g} times what it is, the verdict is {other}.",
        "factor": factor,
        "becomes": other,
    }


def _undecided(case: Case, verdict: Verdict) -> dict[str, Any]:
    needed = verdict.more_queries
    total = None if needed is None else (needed + case.queries) / case.queries
    times = "more of them would tell" if total is None else f"{_times(total)} times as many would tell"
    return {
        "what": QUERIES,
        "sentence": f"It hangs most on {QUERIES}: {times}.",
        "factor": total,
        "becomes": None,
    }


def _times(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def _flip(assumption: Assumption, verdict: Verdict) -> tuple[str, float, str] | None:
    """The nearest factor, up or down, at which another verdict stands."""
    for size in FACTORS:
        for factor in (size, 1 / size):
            found = decide(assumption.scaled(factor))
            if (found.word, found.depth) != (verdict.word, verdict.depth):
                return assumption.what, factor, _words(found)
    return None


def _words(verdict: Verdict) -> str:
    return f"SHRINK to {verdict.depth}" if verdict.word == "SHRINK" else verdict.word


def _priced(case: Case, factor: float) -> Case:
    return replace(case, own=_at(case.own, factor), smaller=tuple(_at(each, factor) for each in case.smaller))


def _at(at: AtDepth, factor: float) -> AtDepth:
    cost: Array | None = None if at.cost is None else np.asarray(at.cost * factor)
    return replace(at, cost=cost)
