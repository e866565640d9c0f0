"""Keep, drop or shrink: the rule, in one place. Arrays in, a verdict and its reason out. Reads no file.

A figure is certain to be on one side of a bound where its 95 % percentile interval lies there; a gain or a harm is
significant where its interval excludes 0 and p < 0.05 of the paired sign-flip test. Costs that are certain beat a gain
that is not, so the grounds to drop come first, and what is open last. As the pipeline is declared:

DROP, for the first of these that is certain:
1. inert: it reorders nothing
2. a limit of the eval is broken (added p95, money), whatever it gains
and with six queries or more, since fewer tell nothing about a gain:
3. significant harm
4. the gain is below the smallest that counts (of a free reranker: not above 0)
5. the gain is worth less than it costs, where somebody says what a point is worth; elsewhere the market says so: as
   many chunks, or more, without a reranker hold as much evidence and cost less
6. a pipeline without a reranker is as good, and clearly cheaper and faster

UNDECIDED, for all of these that are open, each with what would decide it:
7. a limit that is broken by the figure but not for certain, or that cannot be checked
8. fewer than six queries, or a gain that is not significant
9. where somebody says what a point is worth: whether a significant gain is worth its cost

KEEP where nothing is open. Where the search found nothing at all, nothing can be said: UNDECIDED.

Then the smaller depths, down to the k chunks that are sent: where it would be kept as declared, SHRINK to the smallest
that would be kept too, loses significantly less than the smallest gain that counts and than half the gain, and saves
money or time. Where it would not be kept, SHRINK to the one that gains most among those that would be kept alone (their
p corrected for having picked one of several).

Where a model made the judgements, gains and losses are those that people's judgements correct; until people have judged
enough the verdict says that they are the model's. Of the grounds to drop it, more chunks and another pipeline rest on
the model's grades, and say so.

A verdict hangs most on the assumption that has to change least, as a factor, for another verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ragprof.report.figures import counted, difference, duration, share, span, usd, with_interval
from ragprof.statistics.draws import Array, interval
from ragprof.statistics.power import ALPHA, more_queries
from ragprof.statistics.unseen import SIGNED, all_equal, interval_of_equal, queries_to_exclude, unseen_share
from ragprof.studies.contract import VerdictWord
from ragprof.studies.reranker.section import SensitiveTo

POINT = 0.01
NS_PER_MS = 1e6
FEWEST = 6
"""With five queries the smallest p of a two-sided sign-flip test is 2 / 2^5 = 0.0625."""
CLEARLY = 0.05
SAVED = 0.05
QUIETER = "timing it again on a quieter machine would decide it"
PEOPLE = "what people judge"
UNCORRECTED = "Its quality is as {models} judged; people have judged too few queries to correct it."
QUERIES, TIMED, PRICE = "the number of queries", "the number of timed queries", "the reranker's price"
FACTORS = tuple(float(f"{10 ** (step / 12):.3g}") for step in range(1, 25))
"""1.21 up to 100, a step each of 21 %."""


@dataclass(frozen=True)
class MoreChunks:
    """The smallest k that holds as much evidence without the reranker, and the tokens that it takes more a query.

    `less_evidence` is the most that it may hold less by, as the interval of the difference has it.
    """

    k: int
    extra_tokens: Array
    less_evidence: float = 0.0


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
    beside the reranker's own cost, in USD per 1,000 queries at no price of the LLM, and in prompt tokens a query.

    `less_quality` is the most that it may be worse by, as the interval of the difference has it.
    """

    name: str
    cheaper_usd: float
    fewer_tokens: float
    less_quality: float = 0.0


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
    nothing_found: bool = False
    """Whether the search gave it no candidate for any query."""
    busy: str = ""
    """Why its times, and money that is billed by time, are withheld."""
    unchecked: OpenQuestion | None = None
    """Why it may not be kept on a model's judgements."""
    judged_by: str = ""
    """The models whose grades the judgements are; empty where people made them."""
    checked: int = 0
    """Queries that people judged, by which gains and losses are corrected; 0 where they are not."""

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

    def value_limits(self, at: AtDepth) -> tuple[float, float] | None:
        """The interval of that value, with what a gain may be that is the same for all queries."""
        value = self.value(at)
        if value is None or at.cost is None or not is_same_for_all(at.gain):
            return None if value is None else limits(value)
        low, high = (end / POINT * float(self.worth_usd_per_point or 0.0) for end in self.gain_limits(at))
        paid = limits(-at.cost)
        return low + paid[0], high + paid[1]

    def gain_limits(self, at: AtDepth) -> tuple[float, float]:
        """The interval of a gain. Where all queries gain the same, most often nothing, what was not seen may differ."""
        return limits_of_change(at.gain, self.queries)

    def alone(self, at: AtDepth) -> RerankerCase:
        """The same reranker declared at a smaller depth; its p is that of one picked among several."""
        picked = replace(at, p=min(1.0, at.p * max(1, len(self.smaller))))
        return replace(self, own=picked, smaller=())

    def is_significant(self, at: AtDepth) -> bool:
        """Whether the gain is told from 0, upwards."""
        return self.gain_limits(at)[0] > 0 and at.p < ALPHA

    def gained(self, at: AtDepth) -> str:
        """For sentences: "ranking quality by 0.021 nDCG@10 (95% CI +0.012 to +0.030)"."""
        corrected = " as corrected by people" if self.checked else ""
        return f"ranking quality by {abs(at.gain[0]):.3f} {self.metric}{corrected} ({self.interval_words(at)})"

    def interval_words(self, at: AtDepth) -> str:
        """ "95% CI +0.012 to +0.030", or where that of the resamples would be 0 to 0, how far it may be from it."""
        if at.gain.any():
            return _ci(self.gain_limits(at))
        unseen = share(unseen_share(self.queries))
        return f"no query changed, but up to {unseen} of others still may: {span(self.gain_limits(at), difference)}"


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


def is_same_for_all(drawn: Array) -> bool:
    """Whether a paired difference of a metric is the same in every resample, since it is for every query."""
    return bool(np.isfinite(drawn).all()) and all_equal(drawn, SIGNED)


def limits_of_change(drawn: Array, queries: int) -> tuple[float, float]:
    """Of a paired difference of a metric; where all queries have the same, by what was not seen."""
    if is_same_for_all(drawn):
        return interval_of_equal(float(drawn[0]), queries, bounds=SIGNED) or limits(drawn)
    return limits(drawn)


def most_below(drawn: Array, *, queries: int) -> float:
    """The most by which a paired difference may lie below 0."""
    return max(0.0, -limits_of_change(drawn, queries)[0])


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """What keeps a verdict open: the finding, and what would decide it; `more_queries` where that is a number."""

    finding: str
    decided_by: str
    hangs_on: str
    more_queries: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """`depth` is the one to continue with; 0 without a reranker. `open` is what an UNDECIDED waits for."""

    word: VerdictWord
    depth: int
    reason: str
    open: tuple[OpenQuestion, ...] = ()

    @property
    def more_queries(self) -> int | None:
        """About how many more queries would decide it; None where it is decided or no number is known."""
        return next((each.more_queries for each in self.open if each.more_queries is not None), None)


def decided_words(word: VerdictWord, depth: int) -> str:
    return f"SHRINK to depth {depth}" if word == "SHRINK" else word


def decide(case: RerankerCase) -> Decision:
    """As declared, then the smaller depths; nothing is kept on judgements that may not bear it."""
    found = _decided(case)
    if case.unchecked is not None and found.word in ("KEEP", "SHRINK"):
        reason = f"{case.unchecked.finding}; {case.unchecked.decided_by}."
        return Decision("UNDECIDED", case.own.depth, reason, (case.unchecked,))
    if case.judged_by and not case.checked:
        return replace(found, reason=f"{found.reason} {UNCORRECTED.format(models=case.judged_by)}")
    return found


def _decided(case: RerankerCase) -> Decision:
    declared = as_declared(case)
    if declared.word == "KEEP":
        return _shallower(case) or declared
    return declared if case.inert else _smaller_instead(case, declared) or declared


def as_declared(case: RerankerCase) -> Decision:
    """The first certain ground to drop it, else all that is open, whatever smaller depths do."""
    if case.nothing_found:
        asked = counted(case.queries, "query", "queries")
        words = f"The search found no candidate for any of {asked}, so there was nothing to rerank"
        question = OpenQuestion(words, "a search that finds something would decide it", "the search")
        return Decision("UNDECIDED", case.own.depth, f"{words}; {question.decided_by}.", (question,))
    certain = [_inert, _over_limit]
    if case.queries >= FEWEST:
        certain += [_harmful, _too_small, _worth_less, _more_chunks, _rival]
    for rule in certain:
        if (reason := rule(case)) is not None:
            return Decision("DROP", 0, reason)
    questions = tuple(each for rule in (_open_time, _open_money, _open_gain) if (each := rule(case)) is not None)
    if questions:
        reason = " ".join(f"{each.finding}; {each.decided_by}." for each in questions)
        return Decision("UNDECIDED", case.own.depth, reason, questions)
    return Decision("KEEP", case.own.depth, f"It lifts {case.gained(case.own)}, and {_price_words(case)}.")


def _inert(case: RerankerCase) -> str | None:
    return (
        "It is inert: it leaves every query's candidates in the order that the search gave them."
        if case.inert
        else None
    )


def _over_limit(case: RerankerCase) -> str | None:
    """A limit that is broken for certain."""
    added, most = case.own.added_p95_ms, case.max_added_p95_ms
    if added is not None and most is not None and added[1] > most:
        return f"It adds {_ms(added)} at p95, more than the {most:g} ms allowed{_whatever_it_gains(case)}."
    cost, budget = case.own.cost, case.max_usd_per_1000
    if cost is not None and budget is not None and limits(cost)[0] > budget:
        return (
            f"It costs {usd(float(cost[0]))} per 1,000 queries, more than the {usd(budget)} "
            f"allowed{_whatever_it_gains(case)}."
        )
    return None


def _ms(added: tuple[float, float, float]) -> str:
    """ "10.1 s (95% CI 7.50-11.2 s)"; without an interval the figure alone."""
    found, *ends = (each * NS_PER_MS for each in added)
    return with_interval(found, ends if np.isfinite(ends).all() else None, duration)


def _whatever_it_gains(case: RerankerCase) -> str:
    """For a reason to drop it that holds though nobody knows yet what it gains."""
    if case.queries >= FEWEST and case.is_significant(case.own):
        return ""
    return f", whatever its gain turns out to be: measured {_change(case)}"


def _change(case: RerankerCase) -> str:
    """ "+0.010 nDCG@10 (95% CI -0.006 to +0.026)"."""
    corrected = " as corrected by people" if case.checked else ""
    return f"{difference(case.own.gain[0])} {case.metric}{corrected} ({case.interval_words(case.own)})"


def _harmful(case: RerankerCase) -> str | None:
    if case.gain_limits(case.own)[1] >= 0 or case.own.p >= ALPHA:
        return None
    return f"It makes results worse: it lowers {case.gained(case.own)}."


def _too_small(case: RerankerCase) -> str | None:
    low, high = case.gain_limits(case.own)
    if high >= case.margin or (case.free and low > 0):
        return None
    if high <= 0:
        return f"It does not lift ranking quality: measured {_change(case)}, where {case.margin:g} would count."
    return (
        f"It lifts ranking quality by at most {difference(high)} {case.metric}, less than the {case.margin:g} that "
        f"counts (measured {difference(case.own.gain[0])}, {case.interval_words(case.own)})."
    )


def _worth_less(case: RerankerCase) -> str | None:
    """Its price is above the most that its gain can be worth."""
    ends, cost = case.value_limits(case.own), case.own.cost
    if ends is None or cost is None or ends[1] >= 0:
        return None
    most = usd(max(0.0, float(cost[0]) + ends[1]))
    return (
        f"Its gain is worth less than it costs {_worth_words(case)}: at most {most} against "
        f"{usd(float(cost[0]))} per 1,000 queries."
    )


def _worth_words(case: RerankerCase) -> str:
    return f"at {usd(case.worth_usd_per_point)} a point (0.01 {case.metric}) and 1,000 queries"


def _more_chunks(case: RerankerCase) -> str | None:
    """The market's word, where nobody says what a point is worth."""
    found, llm = case.own.more_chunks, case.llm_usd_per_million
    if case.worth_usd_per_point is not None or found is None or case.own.cost is None or llm is None:
        return None
    dearer = case.own.cost - priced(found.extra_tokens, llm)
    if limits(dearer)[0] <= 0 or not _is_as_good(case, found.less_evidence):
        return None
    chunks = counted(found.k, "chunk")
    sent = (
        f"the {chunks} that {'is' if found.k == 1 else 'are'} sent "
        f"{'holds' if found.k == 1 else 'hold'} as much evidence without it, which costs"
        if found.k <= case.k
        else f"sending {chunks} without it puts as much evidence into the prompt, and costs"
    )
    less = f"{usd(float(dearer[0]))} less per 1,000 queries{_by_the_model(case)}"
    if case.is_significant(case.own):
        return f"It lifts {case.gained(case.own)}, but {sent} {less}."
    return f"{sent[0].upper()}{sent[1:]} {less}{_whatever_it_gains(case)}."


def _is_as_good(case: RerankerCase, less: float) -> bool:
    """Whether an alternative that may be worse by so much at most is as good beyond doubt.

    Where the gain is significant, the same evidence or a tie of all queries is enough to compare the costs.
    """
    return case.is_significant(case.own) or less <= case.margin


def _rival(case: RerankerCase) -> str | None:
    """The one that is cheapest at the case's prices, if it is clearly cheaper than this pipeline."""
    cost, llm = case.own.cost, case.llm_usd_per_million
    sure = [rival for rival in case.rivals if _is_as_good(case, rival.less_quality)]
    if cost is None or llm is None or not sure:
        return None
    cheaper = {rival.name: float(cost[0]) + rival.cheaper_usd + rival.fewer_tokens * llm / 1_000 for rival in sure}
    name = max(cheaper, key=lambda each: cheaper[each])
    if cheaper[name] <= CLEARLY * (case.bill_usd or 0.0):
        return None
    less = f"costs {usd(cheaper[name])} less per 1,000 queries"
    return f"{name} is as good without a reranker, {less} and answers faster{_by_the_model(case)}."


def _by_the_model(case: RerankerCase) -> str:
    """Behind a comparison that rests on the judgements as they are, where the gain itself is corrected."""
    return f" (as {case.judged_by} judged: this comparison is not corrected by people)" if case.checked else ""


def _open_time(case: RerankerCase) -> OpenQuestion | None:
    """A limit of time that is broken by the figure but not for certain, or that nothing was timed for."""
    added, most = case.own.added_p95_ms, case.max_added_p95_ms
    if most is None or (added is not None and added[0] <= most):
        return None
    decided_by = "more timed queries (seconds under [reranker.timing]) would decide it"
    if added is None and case.busy:
        return OpenQuestion(f"What it adds at p95 is withheld: {case.busy}", QUIETER, TIMED)
    if added is None:
        return OpenQuestion(f"What it adds at p95 was not timed, and {most:g} ms are allowed", decided_by, TIMED)
    words = f"It adds {_ms(added)} at p95, which is not significantly more than the {most:g} ms allowed"
    return OpenQuestion(words, decided_by, TIMED)


def _open_money(case: RerankerCase) -> OpenQuestion | None:
    """The same of a limit of money; without a price nothing that is said of money can be checked."""
    cost, budget = case.own.cost, case.max_usd_per_1000
    if cost is None and case.busy and case.hourly:
        return OpenQuestion(f"What it costs is billed by time and withheld: {case.busy}", QUIETER, TIMED)
    if cost is None:
        if budget is None and case.worth_usd_per_point is None:
            return None
        against = "what a point is worth" if budget is None else f"the {usd(budget)} per 1,000 queries allowed"
        words = f"Its price is not known (UNPRICED), so it cannot be held against {against}"
        return OpenQuestion(words, "a rate for it under [prices] would decide it", PRICE)
    if budget is None or float(cost[0]) <= budget:
        return None
    over = f"which is not significantly more than the {usd(budget)} allowed"
    words = f"It costs {usd(float(cost[0]))} per 1,000 queries, {over}"
    more = "more timed queries (seconds under [reranker.timing])" if case.hourly else "more queries"
    return OpenQuestion(words, f"{more} would decide it", TIMED if case.hourly else QUERIES)


def _open_gain(case: RerankerCase) -> OpenQuestion | None:
    """Whether it gains, and if so whether that is worth its cost."""
    if case.queries < FEWEST:
        few = FEWEST - case.queries
        words = f"No test can tell anything with {counted(case.queries, 'query', 'queries')}"
        return OpenQuestion(words, f"at least {few:,} more would be needed", QUERIES, few)
    needed: int | None = None
    with_queries = f"with {counted(case.queries, 'query', 'queries')}"
    if not case.is_significant(case.own):
        needed = case.more_queries
        if not case.own.gain.any():
            # So many queries without a change that the most that may still change is below what counts.
            unchanged = queries_to_exclude(case.margin)
            needed = None if unchanged is None else max(0, unchanged - case.queries) or None
        words = f"Its gain in ranking quality, {_change(case)}, is not significant {with_queries}"
        if case.checked:
            judged = f"{words}, of which people judged {case.checked:,}"
            return OpenQuestion(judged, "more queries judged by people (`ragprof label --next 20`) would tell", PEOPLE)
        return OpenQuestion(words, _queries_words(needed), QUERIES, needed)
    value, ends = case.value(case.own), case.value_limits(case.own)
    if value is None or ends is None or ends[0] > 0:
        return None
    words = f"Whether its gain is worth its price {_worth_words(case)} is not known {with_queries}"
    if case.hourly:
        # An hourly machine's cost rests on the timed queries alone, so more questions would not settle it.
        return OpenQuestion(words, "more timed queries (seconds under [reranker.timing]) would decide it", TIMED)
    if np.isfinite(value[0]):
        needed = more_queries(float(value[0]), float(np.nanstd(value[1:])), n=case.queries, alpha=ALPHA) or None
    return OpenQuestion(words, _queries_words(needed), QUERIES, needed)


def _queries_words(needed: int | None) -> str:
    if needed is None:
        return "no number of queries can be named that would decide it"
    return f"about {needed:,} more would decide it"


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
        low, high = limits_of_change(at.loss, case.queries)
        saved = _savings_words(case, at)
        if high < bound and saved and _as_valuable(case, at) and as_declared(case.alone(at)).word == "KEEP":
            lost = f"{difference(-at.loss[0])} against the full depth ({_ci((-high, -low))})"
            instead = f"From {counted(at.depth, 'candidate')} instead of {case.own.depth} it lifts {case.gained(at)}"
            return Decision("SHRINK", at.depth, f"{instead}, {lost}, and saves {saved}.")
    return None


def _smaller_instead(case: RerankerCase, declared: Decision) -> Decision | None:
    """The smaller depth that gains most among those at which it would be kept; of a DROP, where it is open."""
    alone = [(at, as_declared(case.alone(at))) for at in _eligible(case)]

    def best(word: VerdictWord) -> tuple[AtDepth, Decision] | None:
        found = [each for each in alone if each[1].word == word]
        return max(found, key=lambda each: (float(each[0].gain[0]), -each[0].depth), default=None)

    if (found := best("KEEP")) is not None:
        kept = found[0]
        instead = (
            f"but from {counted(kept.depth, 'candidate')} instead of {case.own.depth} it lifts {case.gained(kept)}"
        )
        return Decision("SHRINK", kept.depth, f"{declared.reason.removesuffix('.')}; {instead}.")
    if declared.word == "DROP" and (found := best("UNDECIDED")) is not None:
        waiting, reason = found[0], found[1].reason
        shallow = f"From {counted(waiting.depth, 'candidate')} instead of {case.own.depth} this is open"
        return replace(declared, reason=f"{declared.reason} {shallow}: {reason[0].lower()}{reason[1:]}")
    return None


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
    if decision.open:
        what, needed = decision.open[0].hangs_on, decision.more_queries
        if what != QUERIES or needed is None:
            sentence = f"It hangs most on {what}: {decision.open[0].decided_by}."
            return SensitiveTo(what=what, sentence=sentence, factor=None, becomes=None)
        total = (needed + case.queries) / case.queries
        times = f"{total:,.0f}" if total >= 10 else f"{total:.2g}"
        sentence = f"It hangs most on {QUERIES}: {times} times as many would decide it."
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
            f"measured with {counted(case.queries, 'query', 'queries')}."
        )
        return SensitiveTo(what=QUERIES, sentence=sentence, factor=None, becomes=None)
    what, factor, becomes = min(flips, key=lambda flip: abs(np.log(flip[1])))
    sentence = f"It hangs most on {what}: at {factor:.2g} times what it is, the verdict is {becomes}."
    return SensitiveTo(what=what, sentence=sentence, factor=factor, becomes=becomes)
