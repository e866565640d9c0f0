"""Keep, drop or shrink: the rule, in one place. Arrays in, a verdict and its reason out. Reads no file.

A figure is told from a bound where its 95 % percentile interval lies on one side of it; a gain or a harm also needs
p < 0.05 of the paired sign-flip test. As the pipeline is declared, the first of these:

1. inert: DROP, it reorders nothing
2. fewer than six queries: UNDECIDED, no test can tell anything with so few
3. told to harm: DROP
4. the gain is told to be below the smallest that counts (of a free reranker: not above 0): DROP
5. the gain is not told from 0: UNDECIDED, with the number of queries that would tell
6. it is told to break a limit of the eval (added latency, money): DROP; UNDECIDED where that is not told
7. where somebody says what a point is worth: DROP where the gain is told to be worth less than it costs, UNDECIDED
   where neither is told; elsewhere the market says so: DROP where as many chunks, or more, without a reranker hold as
   much evidence and are told to cost less
8. a pipeline without a reranker is as good, and clearly cheaper and faster: DROP
9. KEEP

Then the smaller depths, down to the k chunks that are sent: where it would be kept as declared, SHRINK to the smallest
that would be kept too, is told to lose less than the smallest gain that counts and less than half the gain, and saves
money or time. Where it would not be kept, SHRINK to the one that gains most among those that would be kept alone (their
p corrected for having picked one of several).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.case import AtDepth, Case, limits, priced
from ragprof.studies.reranking.verdict_words import gain_words, price_words, savings_words, signed, usd, worth_words

Word: TypeAlias = Literal["KEEP", "DROP", "SHRINK", "UNDECIDED"]
ALPHA = 0.05
FEWEST = 6
"""With five queries the smallest p of a two-sided sign-flip test is 2 / 2^5 = 0.0625."""
CLEARLY = 0.05
POWER_95_80 = 2.80
"""z of 0.975 plus z of 0.8."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`depth` is the one to go on with; 0 without a reranker. `more_queries` are those that an UNDECIDED needs."""

    word: Word
    depth: int
    reason: str
    more_queries: int | None = None


def decide(case: Case) -> Verdict:
    """As declared, then the smaller depths."""
    declared = as_declared(case)
    if declared.word == "KEEP":
        return _shallower(case) or declared
    return declared if case.inert else _smaller_instead(case, declared) or declared


def as_declared(case: Case) -> Verdict:
    """The first rule that applies, whatever smaller depths do."""
    rules = (_inert, _too_few, _harmful, _too_small, _untold, _over_limit, _not_worth_it, _more_chunks, _rival)
    for rule in rules:
        if (found := rule(case)) is not None:
            return found
    return Verdict("KEEP", case.own.depth, f"It lifts {gain_words(case, case.own)}, and {price_words(case)}.")


def _inert(case: Case) -> Verdict | None:
    if not case.inert:
        return None
    return Verdict("DROP", 0, "It is inert: it leaves every query's candidates in the order that the search gave them.")


def _too_few(case: Case) -> Verdict | None:
    if case.queries >= FEWEST:
        return None
    return _undecided(case, f"With {case.queries} queries no test can tell anything", FEWEST - case.queries)


def _harmful(case: Case) -> Verdict | None:
    if case.gain_limits(case.own)[1] >= 0 or case.own.p >= ALPHA:
        return None
    return Verdict("DROP", 0, f"It makes results worse: it lowers {gain_words(case, case.own)}.")


def _too_small(case: Case) -> Verdict | None:
    low, high = case.gain_limits(case.own)
    if high >= case.margin or (case.free and low > 0):
        return None
    return Verdict(
        "DROP",
        0,
        f"It lifts ranking quality by at most {high:+.3f} {case.metric}, less than the {case.margin:g} that counts "
        f"(measured {case.own.gain[0]:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}).",
    )


def _untold(case: Case) -> Verdict | None:
    low, high = case.gain_limits(case.own)
    if low > 0 and case.own.p < ALPHA:
        return None
    gain = f"{case.own.gain[0]:+.3f} {case.metric}, cannot be told from none (95 % interval {low:+.3f} to {high:+.3f})"
    return _undecided(case, f"With {case.queries:,} queries its gain in ranking quality, {gain}", case.more_queries)


def _over_limit(case: Case) -> Verdict | None:
    added, most = case.own.added_p95_ms, case.max_added_p95_ms
    if added is not None and most is not None and added[0] > most:
        if added[1] <= most:
            words = f"Whether it adds more than the {most:g} ms at p95 that are allowed ({added[0]:,.0f} ms measured)"
            return Verdict("UNDECIDED", case.own.depth, f"{words} cannot be told; more timed queries would tell.")
        return Verdict("DROP", 0, f"It adds {added[0]:,.0f} ms at p95, more than the {most:g} ms allowed.")
    cost, budget = case.own.cost, case.max_usd_per_1000
    if budget is not None and cost is not None and float(cost[0]) > budget:
        words = f"It costs {usd(float(cost[0]))} per 1,000 queries, more than the {usd(budget)} allowed"
        return Verdict("DROP", 0, f"{words}.")
    return None


def _not_worth_it(case: Case) -> Verdict | None:
    value = case.value(case.own)
    if value is None or limits(value)[0] > 0:
        return None
    if limits(value)[1] < 0:
        return Verdict("DROP", 0, f"Its gain is worth less than it costs {worth_words(case)}.")
    words = f"Whether its gain is worth its price {worth_words(case)} cannot be told with {case.queries:,} queries"
    return _undecided(case, words, None if case.hourly else _needed(value, case.queries))


def _more_chunks(case: Case) -> Verdict | None:
    found, llm = case.own.more_chunks, case.llm_usd_per_million
    if case.worth_usd_per_point is not None or found is None or case.own.cost is None or llm is None:
        return None
    dearer = case.own.cost - priced(found.extra_tokens, llm)
    if limits(dearer)[0] <= 0:
        return None
    sent = (
        f"the {found.k} chunks that are sent hold as much evidence without it, which costs"
        if found.k <= case.k
        else f"sending {found.k} chunks without it puts as much evidence into the prompt, and costs"
    )
    less = f"{usd(float(dearer[0]))} less per 1,000 queries"
    return Verdict("DROP", 0, f"It lifts {gain_words(case, case.own)}, but {sent} {less}.")


def _rival(case: Case) -> Verdict | None:
    """The one that is cheapest at the case's prices, if it is clearly cheaper than this pipeline."""
    cost, llm = case.own.cost, case.llm_usd_per_million
    if cost is None or llm is None or not case.rivals:
        return None
    cheaper = {
        rival.name: float(cost[0]) + rival.cheaper_usd + rival.fewer_tokens * llm / 1_000 for rival in case.rivals
    }
    name = max(cheaper, key=lambda each: cheaper[each])
    if cheaper[name] <= CLEARLY * (case.bill_usd or 0.0):
        return None
    less = f"costs {usd(cheaper[name])} less per 1,000 queries"
    return Verdict("DROP", 0, f"{name} is as good without a reranker, {less} and answers faster.")


def _shallower(case: Case) -> Verdict | None:
    bound = min(case.margin, float(case.own.gain[0]) / 2)
    for at in _eligible(case):
        low, high = limits(at.loss)
        saved = savings_words(case, at)
        if high < bound and saved and _as_valuable(case, at) and as_declared(case.alone(at)).word == "KEEP":
            lost = f"{signed(-at.loss[0])} against the full depth ({signed(-high)} to {signed(-low)})"
            return Verdict(
                "SHRINK",
                at.depth,
                f"From {at.depth} candidates instead of {case.own.depth} it lifts {gain_words(case, at)}, {lost}, and "
                f"saves {saved}.",
            )
    return None


def _smaller_instead(case: Case, declared: Verdict) -> Verdict | None:
    """The smaller depth that gains most among those at which it would be kept."""
    kept = [at for at in _eligible(case) if as_declared(case.alone(at)).word == "KEEP"]
    best = max(kept, key=lambda at: (float(at.gain[0]), -at.depth), default=None)
    if best is None:
        return None
    instead = f"but from {best.depth} candidates instead of {case.own.depth} it lifts {gain_words(case, best)}"
    return Verdict("SHRINK", best.depth, f"{declared.reason.removesuffix('.')}; {instead}.")


def _eligible(case: Case) -> list[AtDepth]:
    """Smaller depths that still fill the prompt, smallest first."""
    return sorted((at for at in case.smaller if at.depth >= case.k), key=lambda at: at.depth)


def _as_valuable(case: Case, at: AtDepth) -> bool:
    """Whether the smaller depth is not told to be worth less, where anybody says what a point is worth."""
    own, here = case.value(case.own), case.value(at)
    return own is None or here is None or limits(np.asarray(here - own))[1] >= 0


def _undecided(case: Case, words: str, needed: int | None) -> Verdict:
    more = "" if needed is None else f"; about {needed:,} more queries would tell"
    return Verdict("UNDECIDED", case.own.depth, f"{words}{more}.", needed)


def _needed(figures: Array, queries: int) -> int | None:
    """Queries beyond these at which the interval of a mean would leave 0 out with power 0.8 (normal approximation)."""
    mean, deviation = float(figures[0]), float(np.nanstd(figures[1:])) * np.sqrt(queries)
    if mean == 0 or not np.isfinite(mean):
        return None
    return max(0, int(np.ceil((POWER_95_80 * deviation / abs(mean)) ** 2)) - queries) or None
