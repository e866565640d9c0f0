"""What answers are worth: unit economics, the last chunk that pays, and the utility of inference. Reads no file.

*Unit economics* are ratios of sums over one pipeline's own answers, each with an interval. Numerator and denominator
come from the same resampled questions; timed questions are resampled apart from them where they are fewer. FORMULAS
says in words what each key is. What is not measured or not priced is None, never 0.

*The last chunk that pays.* Going up from the smallest k, a larger k is worth it when its paired gain in correct answers
over the last k that was worth it is significant: the whole 95 % interval is above 0 and the sign-flip test agrees
(p < 0.05; where few questions change, the bootstrap alone finds significance too early). The comparison is with that k
and not with the one before, so that several small steps add up until together they are significant; nor is it with the
smallest k, so that a gain made early is not counted twice. Where the eval says what a correct answer is worth, value x
gain - added cost of a question takes the gain's place (the cost at its mean, since its scatter is small beside that of
right and wrong). The last k that was worth it is known when any was, or when every larger k brings significantly less
than it costs. Otherwise the study is undecided: no significant gain is not a significant absence of gain. No correction
is made for the number of steps: with many of them one in twenty may be significant by chance.

*Utility* U = A * R / L^k for each time sensitivity k: A is the share of correct answers, R the nDCG of what is in the
prompt, L the seconds to the first token (retrieval and packing included). In log U = log(A R) - k log L every pipeline
is a straight line in k, so who wins where is the upper envelope of those lines: exact, no grid. A pipeline with A R = 0
never wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from math import log, sqrt
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ragprof.price.pricing import QUERIES, plain
from ragprof.report import figures
from ragprof.report.tables import points, points_span
from ragprof.statistics.draws import Array, Draws, over, resampled
from ragprof.statistics.estimates import estimated, gained
from ragprof.statistics.paired import paired_p
from ragprof.statistics.power import ALPHA, more_queries_needed
from ragprof.statistics.unseen import SIGNED, UNIT
from ragprof.studies.contract import EstimateValue
from ragprof.studies.injection.data import OWN, AnswerBill, added_usd, withheld
from ragprof.studies.injection.section import (
    ChunkMargin,
    ChunkStep,
    Economics,
    TimeSensitivity,
    UtilityPoint,
    UtilitySection,
    UtilityWinner,
)

JOULES_PER_KWH = 3_600_000
FORMULAS: Mapping[str, str] = {
    "usd_per_query": "total USD / questions: prompt tokens, output tokens, machine time and retrieval",
    "usd_per_correct_answer": "total USD / correct answers",
    "usd_per_token_of_correctness": "total USD / output tokens of correct answers",
    "correct_answers_per_million_tokens": "correct answers / (prompt tokens + output tokens) * 1,000,000",
    "tokens_per_query": "(prompt tokens + output tokens) / questions, as the generator counts them",
    "joules_per_query": "energy of the timed questions / timed questions",
    "joules_per_correct_answer": "joules per query / share of correct answers",
    "energy_usd_per_1000_queries": "joules per query / 3,600,000 * USD per kWh * 1,000",
    "kg_co2_per_1000_queries": "joules per query / 3,600,000 * kg CO2 per kWh * 1,000",
    "accuracy": "A: correct answers / questions with a gold answer",
    "relevance": "R: mean nDCG@10 of the chunks in the prompt",
    "time_to_first_token_s": "L: retrieval + packing + time to first token, mean seconds over timed questions",
    "utility": "U = A * R / L^k for each time sensitivity k",
}


@dataclass(frozen=True)
class AnswerFacts:
    """One pipeline's means, each found and in every resample (`Draws.mean`), and how many questions they rest on.

    A figure that was not measured is NaN throughout.
    """

    accuracy: Array
    relevance: Array
    usd: Array
    tokens: Array
    correct_tokens: Array
    joules: Array
    seconds: Array
    asked: int
    decided: int
    timed: int
    metered: int

    def utility(self, sensitivity: float) -> Array:
        return np.asarray(self.accuracy * self.relevance * self.seconds**-sensitivity)


def facts_of(
    asked: pd.DataFrame,
    timed: pd.DataFrame,
    bill: AnswerBill | None,
    *,
    draws: Draws,
    timed_draws: Draws | None,
    watts: float | None,
) -> AnswerFacts:
    """The facts of one pipeline from its answerable questions, its timed questions and its bill.

    `watts` is drawn while a question is answered where the machine did not measure its energy.
    """
    tokens = asked["model_tokens"] + asked["output_tokens"]
    unknown = np.full(len(draws.counts), np.nan)
    known_joules = joules(timed, watts)
    told = withheld(asked) is None
    return AnswerFacts(
        accuracy=draws.mean(asked["correct"]) if told else unknown,
        relevance=draws.mean(asked["ndcg"]),
        usd=unknown if bill is None else bill.drawn(draws),
        tokens=draws.mean(tokens),
        correct_tokens=draws.mean(asked["correct"] * asked["output_tokens"]) if told else unknown,
        joules=unknown if timed_draws is None else timed_draws.mean(known_joules),
        seconds=unknown if timed_draws is None else timed_draws.mean(timed["until_token_ns"] / 1e9),
        asked=len(asked),
        decided=int(asked["correct"].notna().sum()),
        timed=int(timed["until_token_ns"].notna().sum()),
        metered=int(known_joules.notna().sum()),
    )


def joules(timed: pd.DataFrame, watts: float | None) -> pd.Series:
    """Joules of each timed question: measured, else watts x the time from end to end, else NaN."""
    measured = timed["joules"]
    if measured.notna().any() or watts is None:
        return measured
    return timed["end_to_end_ns"] / 1e9 * watts


def economics_of(
    facts: AnswerFacts,
    asked: pd.DataFrame,
    timed: pd.DataFrame,
    *,
    energy: Mapping[str, Any] | None,
    sensitivities: Sequence[float],
    seed: int,
) -> Economics:
    """The economics of one pipeline, but for its bill in USD."""
    kwh = facts.joules / JOULES_PER_KWH * 1_000
    # A figure that the energy table lacks is NaN, and so is all that rests on it.
    usd_per_kwh, kg_per_kwh = (
        float("nan") if (energy or {}).get(key) is None else float((energy or {})[key])
        for key in ("usd_per_kwh", "kg_co2_per_kwh")
    )
    return Economics(
        setting=OWN,
        usd_per_query=_or_none(facts.usd, facts.asked),
        usd_per_correct_answer=_or_none(over(facts.usd, facts.accuracy), facts.decided),
        usd_per_token_of_correctness=_or_none(over(facts.usd, facts.correct_tokens), facts.decided),
        correct_answers_per_million_tokens=_or_none(over(facts.accuracy, facts.tokens) * 1e6, facts.decided),
        tokens_per_query=_or_none(facts.tokens, facts.asked),
        joules_per_query=_or_none(facts.joules, facts.metered),
        joules_per_correct_answer=_or_none(over(facts.joules, facts.accuracy), facts.metered),
        energy_usd_per_1000_queries=_or_none(kwh * usd_per_kwh, facts.metered),
        kg_co2_per_1000_queries=_or_none(kwh * kg_per_kwh, facts.metered),
        accuracy=EstimateValue(**estimated(asked["correct"], bounds=UNIT, seed=seed)),
        relevance=EstimateValue(**estimated(asked["ndcg"], bounds=UNIT, seed=seed)),
        time_to_first_token_s=EstimateValue(**estimated(timed["until_token_ns"] / 1e9, bounds=None, seed=seed)),
        utility={f"{each:g}": _or_none(facts.utility(each), facts.decided) for each in sensitivities},
        formulas=dict(FORMULAS),
    )


def _or_none(values: Array, n: int) -> EstimateValue | None:
    """An estimate; None where the figure was never measured or priced. A price that is infinite stays an estimate."""
    return None if n == 0 or np.isnan(values[0]) else EstimateValue(**resampled(values, n))


@dataclass(frozen=True)
class SweptAnswers:
    """What was found with k chunks: `correct`, `f1` and the timed `first_token_ns` by query_id, and the bill."""

    k: int
    correct: pd.Series
    f1: pd.Series
    first_token_ns: pd.Series
    bill: AnswerBill | None


@dataclass(frozen=True)
class ChunkGain:
    """One k against another: the gain in correct answers, and what is left of it after its price.

    `sign` is that of the net gain; 0 where it cannot be told from 0.
    """

    setting: SweptAnswers
    baseline_k: int
    gain: EstimateValue
    net: EstimateValue
    sign: int
    more: int | None


def marginal(name: str, settings: Sequence[SweptAnswers], *, value_usd: float | None, seed: int) -> ChunkMargin:
    """Where one pipeline stops paying, from settings of rising k. `value_usd` is what a correct answer is worth."""
    steps = []
    for before, after in pairwise(settings):
        gain, f1_gain, later = (
            EstimateValue(**estimated(gained(getattr(after, key), getattr(before, key)), bounds=bounds, seed=seed))
            for key, bounds in (("correct", SIGNED), ("f1", SIGNED), ("first_token_ns", None))
        )
        added = added_usd(after.bill, before.bill)
        price: str | None = None
        interval: tuple[str | None, str | None] | None = None
        # One more correct answer has a price where there are more of them and they cost more. The interval is that of
        # the gain, at the mean added cost; it is open above where the gain is not significant.
        if added is not None and added > 0 and gain.mean is not None and gain.mean > 0:
            price = plain(added / Decimal(repr(gain.mean)))
            if gain.interval is not None:
                low, high = (end or 0.0 for end in gain.interval)
                most = plain(added / Decimal(repr(low))) if low > 0 else None
                interval = (plain(added / Decimal(repr(high))), most)
        steps.append(
            ChunkStep(
                from_k=before.k,
                to_k=after.k,
                correct_gain=gain,
                f1_gain=f1_gain,
                added_usd_per_1000=None if added is None else plain(added * QUERIES),
                added_first_token_ns=later,
                usd_per_extra_correct=price,
                usd_per_extra_correct_interval=interval,
            )
        )
    best, reached, known = last_worthwhile(settings, value_usd=value_usd, seed=seed)
    return ChunkMargin(
        steps=steps,
        last_worthwhile_k=best.k if known else None,
        status="told" if known else "undecided",
        usd_per_correct_answer=value_usd,
        statement=f"{name}: {_statement(settings, best, reached, known=known, value_usd=value_usd, seed=seed)}",
    )


def last_worthwhile(
    settings: Sequence[SweptAnswers], *, value_usd: float | None, seed: int
) -> tuple[SweptAnswers, ChunkGain | None, bool]:
    """The last k that is worth it, its gain over the one before it, and whether that is known."""
    best, reached = settings[0], None
    for setting in settings[1:]:
        found = gain_of(setting, best, value_usd=value_usd, seed=seed)
        if found.sign > 0:
            best, reached = setting, found
    if reached is not None:
        return best, reached, True
    worthless = (gain_of(each, best, value_usd=value_usd, seed=seed).sign < 0 for each in settings[1:])
    return best, None, len(settings) > 1 and all(worthless)


def gain_of(candidate: SweptAnswers, baseline: SweptAnswers, *, value_usd: float | None, seed: int) -> ChunkGain:
    """Candidate against baseline; an unpriced bill makes the net gain in money unknown."""
    gains = gained(candidate.correct, baseline.correct)
    gain = EstimateValue(**estimated(gains, bounds=SIGNED, seed=seed))
    added = Decimal(0) if value_usd is None else added_usd(candidate.bill, baseline.bill)
    if added is None:
        return ChunkGain(candidate, baseline.k, gain, EstimateValue(mean=None, interval=None, n=0), 0, None)
    worth, price = (1.0 if value_usd is None else value_usd), float(added)
    nets = gains if value_usd is None else gains * worth - price
    net = EstimateValue(**estimated(nets, bounds=(-worth - price, worth - price), seed=seed))
    low, high = net.interval or (0.0, 0.0)
    outside = not (low or 0.0) <= 0 <= (high or 0.0)
    significant = outside and paired_p(nets, np.zeros(len(nets)), seed=seed) < ALPHA
    sign = int(np.sign(net.mean or 0.0)) if significant else 0
    return ChunkGain(candidate, baseline.k, gain, net, sign, more_queries_needed(nets))


def _statement(
    settings: Sequence[SweptAnswers],
    best: SweptAnswers,
    reached: ChunkGain | None,
    *,
    known: bool,
    value_usd: float | None,
    seed: int,
) -> str:
    if len(settings) < 2:
        return f"only k = {settings[0].k} was recorded, so nothing can be said of one more chunk."
    most = gain_of(settings[-1], settings[0], value_usd=value_usd, seed=seed)
    if not most.gain.n:
        return "no question has a gold answer, so nothing can be said of one more chunk."
    worth = "" if value_usd is None else f" with a correct answer worth ${value_usd:g}"
    if reached is not None:
        last = "" if best.k == settings[-1].k else "; beyond that no gain is told"
        return f"more chunks are worth it up to k = {best.k}{worth} ({_change(reached)}){last}."
    if known:
        return f"more chunks than k = {best.k} bring no more than they cost{worth} ({_change(most)})."
    if not most.net.n:
        return f"something is unpriced, so what more than k = {best.k} chunks are worth is not known ({_change(most)})."
    more = f"; about {figures.counted(most.more, 'more question')} would tell" if most.more else ""
    return f"whether more than k = {best.k} chunks are worth it{worth} is undecided ({_change(most)}{more})."


def _change(found: ChunkGain) -> str:
    gain = found.gain
    interval = "" if gain.interval is None else f" (95% CI {points_span(gain.interval)})"
    return (
        f"from k = {found.baseline_k} to {found.setting.k} the share of correct answers changes by "
        f"{points(gain.mean)}{interval}, n = {gain.n}"
    )


FORMULA = "U = A * R / L^k"
LOWEST, HIGHEST = 0.01, 10.0
CURVE_POINTS = 31
AGREED = 0.95
TIE = 1e-12
PRESETS: tuple[tuple[str, float, str], ...] = (
    ("creative", 0.1, "a draft is read at leisure: ten times the wait costs a fifth of the use"),
    ("support", 0.5, "a customer waits, but not for long: four times the wait costs half of the use"),
    ("incident response", 1.0, "every second counts the same: twice the wait costs half of the use"),
    ("trading", 2.0, "a late answer is worth little: twice the wait costs three quarters of the use"),
)
Line: TypeAlias = tuple[float, float]
"""Slope and value at k = 0 of log U."""


def utility_of(facts: Mapping[str, AnswerFacts], *, sensitivities: Sequence[float], busy: str = "") -> UtilitySection:
    """U of the pipelines; those without answers judged, relevance or timings take no part.

    `busy` is why the timings of one of them count for nothing: then nobody wins.
    """
    known = {name: each for name, each in facts.items() if np.isfinite(each.utility(1.0)[0])}
    found = [] if busy else winners(known)
    own = [(f"k = {k:g}", k, "from the eval file") for k in sensitivities if k not in {k for _, k, _ in PRESETS}]
    curve = [float(k) for k in np.geomspace(LOWEST, HIGHEST, CURVE_POINTS)]
    return UtilitySection(
        presets=[TimeSensitivity(name=name, k=k, reason=reason) for name, k, reason in (*PRESETS, *own)],
        curve=[
            UtilityPoint(k=k, values={name: float(each.utility(k)[0]) for name, each in known.items()}) for k in curve
        ],
        winners=found,
        statement=f"Who is ahead by {FORMULA} is withheld: {busy}." if busy else statement(found, len(known)),
        formula=FORMULA,
    )


def winners(facts: Mapping[str, AnswerFacts]) -> list[UtilityWinner]:
    """Ranges of rising k with the pipeline that wins in each.

    `share` is that of the joint resamples (all pipelines asked the same resampled questions) in which it also wins at
    the range's logarithmic middle; pipelines that tie there divide the resample between them.
    """
    lines = {
        name: (-log(each.seconds[0]), log(each.accuracy[0] * each.relevance[0]))
        for name, each in facts.items()
        if each.accuracy[0] * each.relevance[0] > 0
    }
    return [
        UtilityWinner(from_k=start, to_k=end, pipeline=name, share=share(facts, name, sqrt(start * end)))
        for start, end, name in envelope(lines)
    ]


def envelope(lines: Mapping[str, Line], low: float = LOWEST, high: float = HIGHEST) -> list[tuple[float, float, str]]:
    """Ranges (from, to, name) of the highest line, from `low` to `high` without a gap."""
    if not lines:
        return []
    place = low
    name = max(lines, key=lambda each: (lines[each][1] + low * lines[each][0], lines[each][0]))
    ranges: list[tuple[float, float, str]] = []
    while True:
        slope, start = lines[name]
        crossings = [((start - other) / (m - slope), -m, each) for each, (m, other) in lines.items() if m > slope]
        end, _, following = min(crossings, default=(high, 0.0, name))
        if end >= high:
            return [*ranges, (place, high, name)]
        if end > place:
            ranges.append((place, end, name))
        place, name = max(place, end), following


def share(facts: Mapping[str, AnswerFacts], name: str, k: float) -> float:
    """The share of resamples in which this pipeline has the highest U at k; one where every U is 0 has no winner."""
    columns = np.array([each.utility(k)[1:] for each in facts.values()])
    values = np.where(np.isnan(columns), 0.0, columns)
    highest = values.max(axis=0)
    tied = (values >= highest * (1 - TIE)) & (highest > 0)
    credit = tied / np.maximum(tied.sum(axis=0), 1)
    return float(credit[list(facts).index(name)].mean())


def statement(found: Sequence[UtilityWinner], pipelines: int) -> str:
    """Who wins where, and where that cannot be told."""
    if not found:
        return f"{FORMULA} cannot be compared: no pipeline has correct answers, relevant chunks and timings together."
    if pipelines == 1:
        return f"{FORMULA} has nothing to compare: {found[0].pipeline} is the only pipeline with answers and timings."
    ranges = []
    for each in found:
        where = f"for k from {each.from_k:.2g} to {each.to_k:.2g}"
        if (each.from_k, each.to_k) == (LOWEST, HIGHEST):
            where = f"for every k from {LOWEST:g} to {HIGHEST:g}"
        elif each.from_k == LOWEST:
            where = f"for k below {each.to_k:.2g}"
        elif each.to_k == HIGHEST:
            where = f"for k above {each.from_k:.2g}"
        doubt = "" if each.share >= AGREED else ", so it cannot be told apart from the others"
        ranges.append(f"{each.pipeline} is ahead {where} (in {figures.share(each.share)} of the resamples{doubt})")
    return f"By {FORMULA}, {'; '.join(ranges)}."
