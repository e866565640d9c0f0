"""Keep, drop or shrink: the rule, in one place. Arrays in, a verdict and its reason out. Reads no file.

Every figure is an array of 1 + resamples: row 0 is what was found. A figure is told from a bound where its 95 %
percentile interval lies on one side of it. The rule, first match:

1. inert: DROP, it reorders nothing
2. the gain is told to be below 0: SHRINK to the depth that gains most, where one is told to gain; else DROP
3. the gain is told to be below the smallest that counts (of a free reranker: below 0): DROP
4. the gain is not told from 0: UNDECIDED, with the number of queries that would tell
5. it breaks a limit of the eval (added latency, money): SHRINK to a depth within it that is told to gain; else DROP
6. where somebody says what a point is worth: DROP or SHRINK where the gain is told to be worth less than the cost
   (UNDECIDED where that is not told); elsewhere the market says so: DROP where more chunks without a reranker hold as
   much evidence and are told to cost less
7. another pipeline of the eval is as good, costs less and is faster: DROP
8. a smaller depth is told to lose less than the smallest gain that counts, and less than half the gain: SHRINK to it
9. KEEP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.case import AtDepth, Case, limits
from ragprof.studies.reranking.verdict_words import gain_words, price_words, signed, usd

Word: TypeAlias = Literal["KEEP", "DROP", "SHRINK", "UNDECIDED"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`depth` is the one to go on with; 0 without a reranker. `more_queries` are those that an UNDECIDED needs."""

    word: Word
    depth: int
    reason: str
    more_queries: int | None = None


def decide(case: Case) -> Verdict:
    """The first rule that applies."""
    for rule in (_inert, _harmful, _too_small, _untold, _over_limit, _not_worth_it, _more_chunks, _rival, _shallower):
        if (found := rule(case)) is not None:
            return found
    return Verdict("KEEP", case.own.depth, f"It lifts {gain_words(case, case.own)}, and {price_words(case)}.")


def _inert(case: Case) -> Verdict | None:
    if not case.inert:
        return None
    return Verdict("DROP", 0, "It is inert: it leaves every query's candidates in the order that the search gave them.")


def _harmful(case: Case) -> Verdict | None:
    _, high = limits(case.own.gain)
    if high >= 0:
        return None
    if (better := _best(_gaining(case))) is not None:
        return Verdict(
            "SHRINK",
            better.depth,
            f"From {case.own.depth} candidates it lowers {gain_words(case, case.own)}, but from {better.depth} it "
            f"lifts {gain_words(case, better)}.",
        )
    return Verdict("DROP", 0, f"It makes results worse: it lowers {gain_words(case, case.own)}.")


def _too_small(case: Case) -> Verdict | None:
    low, high = limits(case.own.gain)
    if high >= case.margin or (case.free and low > 0):
        return None
    return Verdict(
        "DROP",
        0,
        f"It lifts ranking quality by at most {high:+.3f} {case.metric}, less than the {case.margin:g} that counts "
        f"(measured {case.own.gain[0]:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}).",
    )


def _untold(case: Case) -> Verdict | None:
    low, high = limits(case.own.gain)
    if low > 0:
        return None
    more = "" if case.more_queries is None else f"; about {case.more_queries:,} more queries would tell"
    return Verdict(
        "UNDECIDED",
        case.own.depth,
        f"With {case.queries:,} queries its gain in ranking quality, {case.own.gain[0]:+.3f} {case.metric}, cannot be "
        f"told from none "
        f"(95 % interval {low:+.3f} to {high:+.3f}){more}.",
        case.more_queries,
    )


def _over_limit(case: Case) -> Verdict | None:
    broken = _broken(case, case.own)
    if not broken:
        return None
    within = [at for at in _gaining(case) if not _broken(case, at)]
    if (best := _best(within)) is not None:
        return Verdict(
            "SHRINK", best.depth, f"{broken}; from {best.depth} candidates it does not, and lifts "
            f"{gain_words(case, best)}."
        )  # fmt: skip
    return Verdict("DROP", 0, f"{broken}, and no smaller depth that is known to gain stays within it.")


def _not_worth_it(case: Case) -> Verdict | None:
    value = case.value(case.own)
    if value is None:
        return None
    low, high = limits(value)
    worth = f"at {usd(case.worth_usd_per_point or 0)} a point (0.01 {case.metric}) and 1,000 queries"
    if low > 0:
        return None
    if high >= 0:
        needed = _needed(value, case.queries)
        more = "" if needed is None else f"; about {needed:,} more queries would tell"
        return Verdict(
            "UNDECIDED",
            case.own.depth,
            f"Whether its gain is worth its price {worth} cannot be told with {case.queries:,} queries{more}.",
            needed,
        )
    pays = [at for at in _gaining(case) if (each := case.value(at)) is not None and limits(each)[0] > 0]
    if (best := _best(pays)) is not None:
        return Verdict(
            "SHRINK", best.depth, f"Its gain from {case.own.depth} candidates is worth less than it costs {worth}; "
            f"from {best.depth} it is worth more."
        )  # fmt: skip
    return Verdict("DROP", 0, f"Its gain is worth less than it costs {worth}.")


def _more_chunks(case: Case) -> Verdict | None:
    if case.worth_usd_per_point is not None or case.more_chunks is None:
        return None
    if case.own.cost is None or case.llm_usd_per_million is None:
        return None
    if case.llm_usd_per_million == 0:
        return None
    dearer = case.own.cost - case.more_chunks.extra_tokens * case.llm_usd_per_million / 1_000
    if limits(dearer)[0] <= 0:
        return None
    return Verdict(
        "DROP",
        0,
        f"It lifts {gain_words(case, case.own)}, but sending {case.more_chunks.k} chunks without it puts as much "
        f"evidence into the prompt for {usd(float(dearer[0]))} less per 1,000 queries.",
    )


def _rival(case: Case) -> Verdict | None:
    """The one that is cheapest at the case's prices, if it is cheaper than this pipeline."""
    cost, llm = case.own.cost, case.llm_usd_per_million
    if cost is None or llm is None or not case.rivals:
        return None
    cheaper = {
        rival.name: float(cost[0]) + rival.cheaper_usd + rival.fewer_tokens * llm / 1_000 for rival in case.rivals
    }
    name = max(cheaper, key=lambda each: cheaper[each])
    if cheaper[name] <= 0:
        return None
    return Verdict(
        "DROP", 0, f"{name} is as good, costs {usd(cheaper[name])} less per 1,000 queries and answers faster."
    )


def _shallower(case: Case) -> Verdict | None:
    bound = min(case.margin, float(case.own.gain[0]) / 2)
    for at in sorted(case.smaller, key=lambda at: at.depth):
        low, high = limits(at.loss)
        if high < bound and limits(at.gain)[0] > 0:
            return Verdict(
                "SHRINK",
                at.depth,
                f"From {at.depth} candidates instead of {case.own.depth} it lifts {gain_words(case, at)}; the "
                f"difference to the full depth is {signed(-at.loss[0])} ({signed(-high)} to {signed(-low)}), less "
                f"than counts.",
            )
    return None


def _gaining(case: Case) -> list[AtDepth]:
    return [at for at in case.smaller if limits(at.gain)[0] > 0]


def _best(found: Sequence[AtDepth]) -> AtDepth | None:
    return max(found, key=lambda at: (float(at.gain[0]), -at.depth), default=None)


def _broken(case: Case, at: AtDepth) -> str:
    """Which limit a depth breaks, in words; empty for none, and for what was not measured."""
    if case.max_added_p95_ms is not None and at.added_p95_ms is not None and at.added_p95_ms > case.max_added_p95_ms:
        return f"It adds {at.added_p95_ms:,.0f} ms at p95, more than the {case.max_added_p95_ms:g} ms allowed"
    cost = at.cost
    if case.max_usd_per_1000 is not None and cost is not None and float(cost[0]) > case.max_usd_per_1000:
        return f"It costs {usd(float(cost[0]))} per 1,000 queries, more than the {usd(case.max_usd_per_1000)} allowed"
    return ""


def _needed(figures: Array, queries: int) -> int | None:
    """Queries beyond these at which the interval of a mean would leave 0 out with power 0.8 (normal approximation)."""
    mean, deviation = float(figures[0]), float(np.nanstd(figures[1:])) * np.sqrt(queries)
    if mean == 0 or not np.isfinite(mean):
        return None
    return max(0, int(np.ceil((2.80 * deviation / abs(mean)) ** 2)) - queries) or None
