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

The words of a verdict's reason: gains, prices and money as a reader is told them. Decides nothing.

What a verdict rests on, in arrays of 1 + resamples: row 0 is what was found. Reads no file and decides nothing.

Which assumption a verdict hangs on most: the one that has to change least, as a factor, for another verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from ragprof.statistics.draws import Array, interval

POINT = 0.01
THREE = 3.0
"""None in n may be up to 3 / n: Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 1983."""


@dataclass(frozen=True)
class MoreChunks:
    """The smallest k that holds as much evidence without the reranker, and the tokens that it takes more a query."""

    k: int
    extra_tokens: Array


@dataclass(frozen=True)
class AtDepth:
    """What the reranker does from so many candidates.

    `loss` is what is lost against the pipeline's own depth, `p` of the gain (sign-flip test), `cost` in USD per 1,000
    queries (None: UNPRICED), `added_p95_ms` with its interval (None: not timed).
    """

    depth: int
    gain: Array
    loss: Array
    cost: Array | None
    p: float = 0.0
    added_p95_ms: tuple[float, float, float] | None = None
    more_chunks: MoreChunks | None = None


@dataclass(frozen=True)
class Rival:
    """A pipeline without a reranker that is told to be as good and answers clearly faster. What it is cheaper by,
    beside the reranker's own cost, in USD per 1,000 queries at no price of the LLM, and in prompt tokens a query."""

    name: str
    cheaper_usd: float
    fewer_tokens: float


@dataclass(frozen=True)
class Case:
    """All that a verdict rests on. `k` chunks are sent; `bill_usd` is the pipeline's whole bill per 1,000 queries.

    `tokens_saved` a query, at equal quality; prices in USD per million tokens.
    """

    metric: str
    own: AtDepth
    smaller: Sequence[AtDepth]
    inert: bool
    queries: int
    more_queries: int | None
    margin: float
    k: int = 1
    bill_usd: float | None = None
    tokens_saved: Array | None = None
    llm_usd_per_million: float | None = None
    rivals: Sequence[Rival] = ()
    worth_usd_per_point: float | None = None
    max_added_p95_ms: float | None = None
    max_usd_per_1000: float | None = None
    hourly: bool = False

    @property
    def free(self) -> bool:
        return self.own.cost is not None and not np.nan_to_num(self.own.cost).any()

    @property
    def net(self) -> Array | None:
        """Cost at the own depth minus the LLM money saved at equal quality, USD per 1,000 queries."""
        if self.own.cost is None or self.tokens_saved is None or self.llm_usd_per_million is None:
            return None
        return np.asarray(self.own.cost - priced(self.tokens_saved, self.llm_usd_per_million))

    def value(self, at: AtDepth) -> Array | None:
        """What the gain at equal k is worth minus what it costs, USD per 1,000 queries.

        The tokens saved are not in it: they are the same profit, taken at equal quality.
        """
        if at.cost is None or self.worth_usd_per_point is None:
            return None
        return np.asarray(at.gain / POINT * self.worth_usd_per_point - at.cost)

    def gain_limits(self, at: AtDepth) -> tuple[float, float]:
        """The interval of a gain. Where no query changed at all, it may still be that up to 3 in n would."""
        if not at.gain.any():
            return -THREE / self.queries, THREE / self.queries
        return limits(at.gain)

    def alone(self, at: AtDepth) -> Case:
        """The same reranker declared at a smaller depth; its p is that of one picked among several."""
        picked = replace(at, p=min(1.0, at.p * max(1, len(self.smaller))))
        return replace(self, own=picked, smaller=())


def priced(tokens: Array, usd_per_million: float) -> Array:
    """USD per 1,000 queries of tokens a query. Tokens without a price cost nothing, however many."""
    return (
        np.asarray(tokens * (usd_per_million / 1_000))
        if usd_per_million
        else np.where(np.isposinf(tokens), np.inf, 0.0)
    )


def limits(figures: Array) -> tuple[float, float]:
    """Ends of the percentile interval, infinite ones with their sign; all there is where nothing is known."""
    return interval(figures[1:]) or (-np.inf, np.inf)


SAVED = 0.05


def gain_words(case: Case, at: AtDepth) -> str:
    low, high = case.gain_limits(at)
    return f"ranking quality by {abs(at.gain[0]):.3f} {case.metric} (95 % interval {low:+.3f} to {high:+.3f})"


def worth_words(case: Case) -> str:
    return f"at {usd(case.worth_usd_per_point or 0)} a point (0.01 {case.metric}) and 1,000 queries"


def price_words(case: Case) -> str:
    """What it costs, in the words of a sentence's second half."""
    if case.own.cost is None:
        return "its price is not known (UNPRICED), so this rests on quality and time alone"
    if case.free:
        return "it is free"
    cost = float(case.own.cost[0])
    words = f"costs {usd(cost)} per 1,000 queries, {usd(cost * POINT / float(case.own.gain[0]))} for each point of it"
    return words if case.net is None else f"{words}; {_net_words(case.net)}"


def _net_words(net: Array) -> str:
    low, high = limits(net)
    if np.isposinf(net[0]):
        return "no number of chunks that was looked at makes its prompts shorter at equal quality"
    if high < 0:
        return f"at equal quality it saves {usd(-float(net[0]))} more in prompt tokens than it costs"
    if low > 0:
        return "at equal quality the prompt tokens that it saves pay for less than that"
    return "whether the prompt tokens saved at equal quality pay for it cannot be told"


def savings_words(case: Case, at: AtDepth) -> str:
    """What a smaller depth saves, where it saves a twentieth of it or more: money, time or both. Empty for neither."""
    said, own = [], case.own
    if own.cost is not None and at.cost is not None and own.cost[0] - at.cost[0] > SAVED * own.cost[0]:
        said.append(f"{usd(float(own.cost[0] - at.cost[0]))} per 1,000 queries")
    if own.added_p95_ms and at.added_p95_ms and own.added_p95_ms[0] - at.added_p95_ms[0] > SAVED * own.added_p95_ms[0]:
        said.append(f"{own.added_p95_ms[0] - at.added_p95_ms[0]:,.0f} ms at p95")
    return " and ".join(said)


def signed(value: float) -> str:
    return f"{value:+.3f}"


def usd(value: float) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 or size == 0 else f"{sign}${float(f'{size:.2g}'):.10f}".rstrip("0")


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
        return _sensitivity_undecided(case, verdict)
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


def _sensitivity_undecided(case: Case, verdict: Verdict) -> dict[str, Any]:
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
