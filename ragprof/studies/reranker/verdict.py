"""Keep, drop or shrink: the rule, in one place. Arrays in, a verdict and its reason out. Reads no file.

A figure is significantly on one side of a bound where its 95 % percentile interval lies there; a gain or a harm also
needs p < 0.05 of the paired sign-flip test. As the pipeline is declared, the first of these:

1. inert: DROP, it reorders nothing
2. fewer than six queries: UNDECIDED, no test can tell anything with so few
3. significant harm: DROP
4. the gain is significantly below the smallest that counts (of a free reranker: not above 0): DROP
5. the gain is not significant: UNDECIDED, with the number of queries that would be needed
6. it breaks a limit of the eval (added latency, money): DROP; UNDECIDED where the latency is not significantly above
7. where somebody says what a point is worth: DROP where the gain is significantly worth less than it costs, UNDECIDED
   where it is not significantly worth more either; elsewhere the market says so: DROP where as many chunks, or more,
   without a reranker hold as much evidence and cost significantly less
8. a pipeline without a reranker is as good, and clearly cheaper and faster: DROP
9. KEEP

Then the smaller depths, down to the k chunks that are sent: where it would be kept as declared, SHRINK to the smallest
that would be kept too, loses significantly less than the smallest gain that counts and than half the gain, and saves
money or time. Where it would not be kept, SHRINK to the one that gains most among those that would be kept alone (their
p corrected for having picked one of several).

A verdict hangs most on the assumption that has to change least, as a factor, for another verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ragprof.report.figures import difference, span, usd
from ragprof.statistics.draws import Array, interval
from ragprof.statistics.power import ALPHA, more_queries
from ragprof.studies.reranker.section import SensitiveTo, VerdictWord

POINT = 0.01
# None in n may be up to 3 / n: Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 1983.
THREE = 3.0
FEWEST = 6
"""With five queries the smallest p of a two-sided sign-flip test is 2 / 2^5 = 0.0625."""
CLEARLY = 0.05
SAVED = 0.05
QUERIES = "the number of queries"
FACTORS = tuple(float(f"{10 ** (step / 12):.3g}") for step in range(1, 25))
"""1.21 up to 100, a step each of 21 %."""


@dataclass(frozen=True)
class MoreChunks:
    """The smallest k that holds as much evidence without the reranker, and the tokens that it takes more a query."""

    k: int
    extra_tokens: Array


@dataclass(frozen=True)
class AtDepth:
    """What the reranker does from so many candidates, in arrays of 1 + resamples: row 0 is what was found.

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
    """A pipeline without a reranker that is known to be as good and answers clearly faster. What it is cheaper by,
    beside the reranker's own cost, in USD per 1,000 queries at no price of the LLM, and in prompt tokens a query."""

    name: str
    cheaper_usd: float
    fewer_tokens: float


@dataclass(frozen=True)
class RerankerCase:
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

    def alone(self, at: AtDepth) -> RerankerCase:
        """The same reranker declared at a smaller depth; its p is that of one picked among several."""
        picked = replace(at, p=min(1.0, at.p * max(1, len(self.smaller))))
        return replace(self, own=picked, smaller=())

    def gained(self, at: AtDepth) -> str:
        """For sentences: "ranking quality by 0.021 nDCG@10 (95% CI +0.012 to +0.030)"."""
        return f"ranking quality by {abs(at.gain[0]):.3f} {self.metric} ({_ci(self.gain_limits(at))})"


def _ci(ends: tuple[float, float]) -> str:
    return f"95% CI {span(ends, difference)}"


def priced(tokens: Array, usd_per_million: float) -> Array:
    """USD per 1,000 queries of tokens a query. Tokens without a price cost nothing, however many."""
    if usd_per_million:
        return np.asarray(tokens * (usd_per_million / 1_000))
    return np.where(np.isposinf(tokens), np.inf, 0.0)


def limits(figures: Array) -> tuple[float, float]:
    """Ends of the percentile interval, infinite ones with their sign; all there is where nothing is known."""
    return interval(figures[1:]) or (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class Decision:
    """`depth` is the one to continue with; 0 without a reranker. `more_queries` are those that an UNDECIDED needs."""

    word: VerdictWord
    depth: int
    reason: str
    more_queries: int | None = None


def decided_words(word: VerdictWord, depth: int) -> str:
    return f"SHRINK to depth {depth}" if word == "SHRINK" else word


def decide(case: RerankerCase) -> Decision:
    """As declared, then the smaller depths."""
    declared = as_declared(case)
    if declared.word == "KEEP":
        return _shallower(case) or declared
    return declared if case.inert else _smaller_instead(case, declared) or declared


def as_declared(case: RerankerCase) -> Decision:
    """The first rule that applies, whatever smaller depths do."""
    rules = (_inert, _too_few, _harmful, _too_small, _not_significant, _over_limit, _not_worth_it, _more_chunks, _rival)
    for rule in rules:
        if (found := rule(case)) is not None:
            return found
    return Decision("KEEP", case.own.depth, f"It lifts {case.gained(case.own)}, and {_price_words(case)}.")


def _drop(reason: str) -> Decision:
    return Decision("DROP", 0, reason)


def _undecided(case: RerankerCase, words: str, needed: int | None) -> Decision:
    more = "" if needed is None else f"; about {needed:,} more would be needed"
    return Decision("UNDECIDED", case.own.depth, f"{words}{more}.", needed)


def _inert(case: RerankerCase) -> Decision | None:
    inert = "It is inert: it leaves every query's candidates in the order that the search gave them."
    return _drop(inert) if case.inert else None


def _too_few(case: RerankerCase) -> Decision | None:
    if case.queries >= FEWEST:
        return None
    return _undecided(case, f"No test can tell anything with {case.queries} queries", FEWEST - case.queries)


def _harmful(case: RerankerCase) -> Decision | None:
    if case.gain_limits(case.own)[1] >= 0 or case.own.p >= ALPHA:
        return None
    return _drop(f"It makes results worse: it lowers {case.gained(case.own)}.")


def _too_small(case: RerankerCase) -> Decision | None:
    low, high = case.gain_limits(case.own)
    if high >= case.margin or (case.free and low > 0):
        return None
    return _drop(
        f"It lifts ranking quality by at most {difference(high)} {case.metric}, less than the {case.margin:g} that "
        f"counts (measured {difference(case.own.gain[0])}, {_ci((low, high))})."
    )


def _not_significant(case: RerankerCase) -> Decision | None:
    low, high = case.gain_limits(case.own)
    if low > 0 and case.own.p < ALPHA:
        return None
    gain = f"{difference(case.own.gain[0])} {case.metric} ({_ci((low, high))})"
    words = f"Its gain in ranking quality, {gain}, is not significant with {case.queries:,} queries"
    return _undecided(case, words, case.more_queries)


def _over_limit(case: RerankerCase) -> Decision | None:
    added, most = case.own.added_p95_ms, case.max_added_p95_ms
    if added is not None and most is not None and added[0] > most:
        if added[1] <= most:
            words = f"It adds {added[0]:,.0f} ms at p95, which is not significantly more than the {most:g} ms allowed"
            return Decision("UNDECIDED", case.own.depth, f"{words}; more timed queries would be needed.")
        return _drop(f"It adds {added[0]:,.0f} ms at p95, more than the {most:g} ms allowed.")
    cost, budget = case.own.cost, case.max_usd_per_1000
    if budget is not None and cost is not None and float(cost[0]) > budget:
        return _drop(f"It costs {usd(float(cost[0]))} per 1,000 queries, more than the {usd(budget)} allowed.")
    return None


def _not_worth_it(case: RerankerCase) -> Decision | None:
    value = case.value(case.own)
    if value is None or limits(value)[0] > 0:
        return None
    worth = f"at {usd(case.worth_usd_per_point)} a point (0.01 {case.metric}) and 1,000 queries"
    if limits(value)[1] < 0:
        return _drop(f"Its gain is worth less than it costs {worth}.")
    needed = None
    if not case.hourly:
        # An hourly machine's cost rests on the timed queries alone, so more questions would not settle it.
        error = float(np.nanstd(value[1:]))
        needed = more_queries(float(value[0]), error, n=case.queries, alpha=ALPHA) if np.isfinite(value[0]) else None
    words = f"Whether its gain is worth its price {worth} is not known with {case.queries:,} queries"
    return _undecided(case, words, needed or None)


def _more_chunks(case: RerankerCase) -> Decision | None:
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
    return _drop(f"It lifts {case.gained(case.own)}, but {sent} {usd(float(dearer[0]))} less per 1,000 queries.")


def _rival(case: RerankerCase) -> Decision | None:
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
    return _drop(f"{name} is as good without a reranker, {less} and answers faster.")


def _price_words(case: RerankerCase) -> str:
    """What it costs, in the words of a sentence's second half."""
    if case.own.cost is None:
        return "its price is not known (UNPRICED), so this rests on quality and time alone"
    if case.free:
        return "it is free"
    cost = float(case.own.cost[0])
    words = f"costs {usd(cost)} per 1,000 queries, {usd(cost * POINT / float(case.own.gain[0]))} for each point of it"
    if case.tokens_saved is None or case.llm_usd_per_million is None:
        return words
    net = np.asarray(case.own.cost - priced(case.tokens_saved, case.llm_usd_per_million))
    low, high = limits(net)
    left = "whether the prompt tokens saved at equal quality pay for it is not known"
    if np.isposinf(net[0]):
        left = "no number of chunks that was looked at makes its prompts shorter at equal quality"
    elif high < 0:
        left = f"at equal quality it saves {usd(-float(net[0]))} more in prompt tokens than it costs"
    elif low > 0:
        left = "at equal quality the prompt tokens that it saves pay for less than that"
    return f"{words}; {left}"


def _shallower(case: RerankerCase) -> Decision | None:
    """The smallest depth that would be kept too, loses little and saves something."""
    bound = min(case.margin, float(case.own.gain[0]) / 2)
    for at in _eligible(case):
        low, high = limits(at.loss)
        saved = _savings_words(case, at)
        if high < bound and saved and _as_valuable(case, at) and as_declared(case.alone(at)).word == "KEEP":
            lost = f"{difference(-at.loss[0])} against the full depth ({_ci((-high, -low))})"
            instead = f"From {at.depth} candidates instead of {case.own.depth} it lifts {case.gained(at)}"
            return Decision("SHRINK", at.depth, f"{instead}, {lost}, and saves {saved}.")
    return None


def _smaller_instead(case: RerankerCase, declared: Decision) -> Decision | None:
    """The smaller depth that gains most among those at which it would be kept."""
    kept = [at for at in _eligible(case) if as_declared(case.alone(at)).word == "KEEP"]
    best = max(kept, key=lambda at: (float(at.gain[0]), -at.depth), default=None)
    if best is None:
        return None
    instead = f"but from {best.depth} candidates instead of {case.own.depth} it lifts {case.gained(best)}"
    return Decision("SHRINK", best.depth, f"{declared.reason.removesuffix('.')}; {instead}.")


def _eligible(case: RerankerCase) -> list[AtDepth]:
    """Smaller depths that still fill the prompt, smallest first."""
    return sorted((at for at in case.smaller if at.depth >= case.k), key=lambda at: at.depth)


def _as_valuable(case: RerankerCase, at: AtDepth) -> bool:
    """Whether the smaller depth is not significantly worth less, where anybody says what a point is worth."""
    own, here = case.value(case.own), case.value(at)
    return own is None or here is None or limits(np.asarray(here - own))[1] >= 0


def _savings_words(case: RerankerCase, at: AtDepth) -> str:
    """What a smaller depth saves, where it saves a twentieth of it or more: money, time or both. Empty for neither."""
    said, own = [], case.own
    if own.cost is not None and at.cost is not None and own.cost[0] - at.cost[0] > SAVED * own.cost[0]:
        said.append(f"{usd(float(own.cost[0] - at.cost[0]))} per 1,000 queries")
    if own.added_p95_ms and at.added_p95_ms and own.added_p95_ms[0] - at.added_p95_ms[0] > SAVED * own.added_p95_ms[0]:
        said.append(f"{own.added_p95_ms[0] - at.added_p95_ms[0]:,.0f} ms at p95")
    return " and ".join(said)


def assumptions(case: RerankerCase) -> Iterator[tuple[str, Callable[[float], RerankerCase]]]:
    """What of the case is a price or a choice, and the case with that times a factor; what was measured is not."""
    llm, worth, most, budget = (
        case.llm_usd_per_million, case.worth_usd_per_point, case.max_added_p95_ms, case.max_usd_per_1000
    )  # fmt: skip
    if llm is not None:
        yield "the price of the LLM's tokens", lambda factor: replace(case, llm_usd_per_million=llm * factor)
    if case.own.cost is not None and not case.free:
        price = "the machine's price over its utilisation" if case.hourly else "the reranker's price"
        yield price, lambda factor: _dearer(case, factor)
    if worth is not None:
        yield "what a point is worth", lambda factor: replace(case, worth_usd_per_point=worth * factor)
    if most is not None:
        yield "the milliseconds allowed", lambda factor: replace(case, max_added_p95_ms=most * factor)
    if budget:
        yield "the dollars allowed", lambda factor: replace(case, max_usd_per_1000=budget * factor)
    if case.margin > 0:
        yield "the smallest gain that counts", lambda factor: replace(case, margin=case.margin * factor)


def _dearer(case: RerankerCase, factor: float) -> RerankerCase:
    def at(one: AtDepth) -> AtDepth:
        return replace(one, cost=None if one.cost is None else np.asarray(one.cost * factor))

    return replace(case, own=at(case.own), smaller=tuple(map(at, case.smaller)))


def sensitive_to(case: RerankerCase, decision: Decision) -> SensitiveTo:
    """The assumption with the smallest change that flips the verdict, what it becomes, and a sentence."""
    if decision.word == "UNDECIDED":
        needed = decision.more_queries
        total = None if needed is None else (needed + case.queries) / case.queries
        times = "" if total is None else f"{total:,.0f} times " if total >= 10 else f"{total:.2g} times "
        needs = f"{times}as many would be needed" if times else "more of them would be needed"
        sentence = f"It hangs most on {QUERIES}: {needs}."
        return SensitiveTo(what=QUERIES, sentence=sentence, factor=total, becomes=None)
    flips: list[tuple[str, float, str]] = []
    for what, scaled in assumptions(case):
        # Up and down alike, so the nearest factor comes first.
        for factor in (each for size in FACTORS for each in (size, 1 / size)):
            other = decide(scaled(factor))
            if (other.word, other.depth) != (decision.word, decision.depth):
                flips.append((what, factor, decided_words(other.word, other.depth)))
                break
    if not flips:
        sentence = (
            "No price and no choice within a hundredfold changes this verdict; it rests on what was "
            f"measured with {case.queries:,} queries."
        )
        return SensitiveTo(what=QUERIES, sentence=sentence, factor=None, becomes=None)
    what, factor, becomes = min(flips, key=lambda flip: abs(np.log(flip[1])))
    sentence = f"It hangs most on {what}: at {factor:.2g} times what it is, the verdict is {becomes}."
    return SensitiveTo(what=what, sentence=sentence, factor=factor, becomes=becomes)
