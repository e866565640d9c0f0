"""What a correct answer costs: ratios of sums over one pipeline's own answers, each with an interval. Reads no file.

Numerator and denominator of every ratio come from the same resampled questions; timed questions are resampled apart
from them where they are fewer. FORMULAS says in words what each key is. What is not measured or not priced is None,
never 0.

The point where one more chunk costs more than it brings. Reads no file.

Going up from the smallest k, a larger k is worth it when its paired gain in correct answers over the last k that was
worth it is told from 0: the whole 95 % interval is above 0 and the sign-flip test agrees (p < 0.05; where few questions
change, the bootstrap alone is told too early). The comparison is with that k and not with the one before, so that
several small steps add up until together they are told; nor is it with the smallest k, so that a gain made early is not
counted twice. Where the eval says what a correct answer is worth, value x gain - added cost a question takes the gain's
place (the cost at its mean, since its scatter is small beside that of right and wrong).

The last k that was worth it is told when any was, or when every larger k is told in the same way to bring less than it
costs. Otherwise the study is undecided: absence of a told gain is not a told absence. No correction is made for the
number of steps: with many of them one in twenty may be told by chance.

The utility of inference U = A * R / L^k, and which pipeline wins for which time sensitivity k. Reads no file.

A is the share of correct answers, R the nDCG of what is in the prompt, L the seconds to the first token (retrieval and
packing included). In log U = log(A R) - k log L every pipeline is a straight line in k, so who wins where is the upper
envelope of those lines: exact, no grid. A pipeline with A R = 0 never wins.
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
from ragprof.statistics.draws import Array, Draws, over, resampled
from ragprof.statistics.estimates import estimated, gained
from ragprof.statistics.paired import paired_p
from ragprof.statistics.power import ALPHA, more_queries_needed
from ragprof.studies.injection.data import Bill, added_usd

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
class Facts:
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
    bill: Bill | None,
    *,
    draws: Draws,
    timed_draws: Draws | None,
    watts: float | None,
) -> Facts:
    """The facts of one pipeline from its answerable questions, its timed questions and its bill.

    `watts` is drawn while a question is answered where the machine did not measure its energy.
    """
    tokens = asked["model_tokens"] + asked["output_tokens"]
    unknown = np.full(len(draws.counts), np.nan)
    known_joules = joules(timed, watts)
    return Facts(
        accuracy=draws.mean(asked["correct"]),
        relevance=draws.mean(asked["ndcg"]),
        usd=unknown if bill is None else bill.drawn(draws),
        tokens=draws.mean(tokens),
        correct_tokens=draws.mean(asked["correct"] * asked["output_tokens"]),
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
    facts: Facts,
    asked: pd.DataFrame,
    timed: pd.DataFrame,
    *,
    energy: Mapping[str, Any] | None,
    sensitivities: Sequence[float],
    seed: int,
) -> dict[str, Any]:
    """The `economics` of one pipeline."""
    return {
        "setting": "own",
        **_money(facts),
        **_energy(facts, energy or {}),
        "accuracy": estimated(asked["correct"], seed=seed),
        "relevance": estimated(asked["ndcg"], seed=seed),
        "time_to_first_token_s": estimated(timed["until_token_ns"] / 1e9, seed=seed),
        "utility": {f"{each:g}": _or_none(facts.utility(each), facts.decided) for each in sensitivities},
        "formulas": dict(FORMULAS),
    }


def _money(facts: Facts) -> dict[str, Any]:
    return {
        "usd_per_query": _or_none(facts.usd, facts.asked),
        "usd_per_correct_answer": _or_none(over(facts.usd, facts.accuracy), facts.decided),
        "usd_per_token_of_correctness": _or_none(over(facts.usd, facts.correct_tokens), facts.decided),
        "correct_answers_per_million_tokens": _or_none(over(facts.accuracy, facts.tokens) * 1e6, facts.decided),
        "tokens_per_query": _or_none(facts.tokens, facts.asked),
    }


def _energy(facts: Facts, energy: Mapping[str, Any]) -> dict[str, Any]:
    per_1000 = facts.joules / JOULES_PER_KWH * 1_000
    return {
        "joules_per_query": _or_none(facts.joules, facts.metered),
        "joules_per_correct_answer": _or_none(over(facts.joules, facts.accuracy), facts.metered),
        "energy_usd_per_1000_queries": _or_none(per_1000 * _rate(energy, "usd_per_kwh"), facts.metered),
        "kg_co2_per_1000_queries": _or_none(per_1000 * _rate(energy, "kg_co2_per_kwh"), facts.metered),
    }


def _rate(energy: Mapping[str, Any], key: str) -> float:
    """A figure of the energy table; NaN where it has none."""
    found = energy.get(key)
    return float("nan") if found is None else float(found)


def _or_none(figures: Array, n: int) -> dict[str, Any] | None:
    """An estimate; None where the figure was never measured or priced. A price that is infinite stays an estimate."""
    return None if n == 0 or np.isnan(figures[0]) else resampled(figures, n)


@dataclass(frozen=True)
class Setting:
    """What was found with k chunks: `correct`, `f1` and the timed `first_token_ns` by query_id, and the bill."""

    k: int
    correct: pd.Series
    f1: pd.Series
    first_token_ns: pd.Series
    bill: Bill | None


@dataclass(frozen=True)
class Weighing:
    """One k against another: the gain in correct answers, and what is left of it after its price.

    `told`: the net gain is told from 0, above or below.
    """

    setting: Setting
    baseline_k: int
    gain: Mapping[str, Any]
    net: Mapping[str, Any]
    told: bool
    more: int | None

    @property
    def is_worth_it(self) -> bool:
        return self.told and self.net["mean"] > 0

    @property
    def is_worthless(self) -> bool:
        return self.told and self.net["mean"] < 0


def marginal(name: str, settings: list[Setting], *, value_usd: float | None, seed: int) -> dict[str, Any]:
    """The `marginal` of one pipeline, from settings of rising k. `value_usd` is what a correct answer is worth."""
    steps = [_step(before, after, seed) for before, after in pairwise(settings)]
    best, reached, told = last_worthwhile(settings, value_usd=value_usd, seed=seed)
    return {
        "steps": steps,
        "last_worthwhile_k": best.k if told else None,
        "status": "told" if told else "undecided",
        "usd_per_correct_answer": value_usd,
        "statement": f"{name}: {_statement(settings, best, reached, told=told, value_usd=value_usd, seed=seed)}",
    }


def last_worthwhile(
    settings: list[Setting], *, value_usd: float | None, seed: int
) -> tuple[Setting, Weighing | None, bool]:
    """The last k that is worth it, how it was weighed against the one before it, and whether that is told."""
    best, reached = settings[0], None
    for setting in settings[1:]:
        weighed = weigh(setting, best, value_usd=value_usd, seed=seed)
        if weighed.is_worth_it:
            best, reached = setting, weighed
    if reached is not None:
        return best, reached, True
    larger = settings[1:]
    worthless = (weigh(each, best, value_usd=value_usd, seed=seed).is_worthless for each in larger)
    return best, None, bool(larger) and all(worthless)


def weigh(candidate: Setting, baseline: Setting, *, value_usd: float | None, seed: int) -> Weighing:
    """Candidate against baseline; an unpriced bill makes the net gain in money unknown."""
    gains = gained(candidate.correct, baseline.correct)
    gain = estimated(gains, seed=seed)
    added = Decimal(0) if value_usd is None else added_usd(candidate.bill, baseline.bill)
    if added is None:
        return Weighing(candidate, baseline.k, gain, {"mean": None, "interval": None, "n": 0}, False, None)
    nets = gains if value_usd is None else gains * value_usd - float(added)
    net = estimated(nets, seed=seed)
    return Weighing(candidate, baseline.k, gain, net, _is_told(nets, net["interval"], seed), more_queries_needed(nets))


def _is_told(nets: pd.Series, interval: list[float] | None, seed: int) -> bool:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return False
    return paired_p(nets, np.zeros(len(nets)), seed=seed) < ALPHA


def _step(before: Setting, after: Setting, seed: int) -> dict[str, Any]:
    gain = estimated(gained(after.correct, before.correct), seed=seed)
    added = added_usd(after.bill, before.bill)
    price, interval = _extra_correct(added, gain)
    return {
        "from_k": before.k,
        "to_k": after.k,
        "correct_gain": gain,
        "f1_gain": estimated(gained(after.f1, before.f1), seed=seed),
        "added_usd_per_1000": None if added is None else plain(added * QUERIES),
        "added_first_token_ns": estimated(gained(after.first_token_ns, before.first_token_ns), seed=seed),
        "usd_per_extra_correct": price,
        "usd_per_extra_correct_interval": interval,
    }


def _extra_correct(added: Decimal | None, gain: Mapping[str, Any]) -> tuple[str | None, list[str | None] | None]:
    """USD of one more correct answer, where there are more and they cost more; open above where the gain is not told.

    The interval is that of the gain, at the mean added cost.
    """
    if added is None or added <= 0 or gain["mean"] is None or gain["mean"] <= 0:
        return None, None
    price = plain(added / Decimal(repr(gain["mean"])))
    if gain["interval"] is None:
        return price, None
    low, high = gain["interval"]
    dearest = plain(added / Decimal(repr(low))) if low > 0 else None
    return price, [plain(added / Decimal(repr(high))), dearest]


def _statement(
    settings: list[Setting],
    best: Setting,
    reached: Weighing | None,
    *,
    told: bool,
    value_usd: float | None,
    seed: int,
) -> str:
    if len(settings) < 2:
        return f"only k = {settings[0].k} was recorded, so nothing can be said of one more chunk."
    most = weigh(settings[-1], settings[0], value_usd=value_usd, seed=seed)
    if not most.gain["n"]:
        return "no question has a gold answer, so nothing can be said of one more chunk."
    worth = "" if value_usd is None else f" with a correct answer worth ${value_usd:g}"
    if reached is not None:
        last = "" if best.k == settings[-1].k else "; beyond that no gain is told"
        return f"more chunks are worth it up to k = {best.k}{worth} ({_change(reached)}){last}."
    if told:
        return f"more chunks than k = {best.k} bring no more than they cost{worth} ({_change(most)})."
    if not most.net["n"]:
        return f"something is unpriced, so what more than k = {best.k} chunks are worth is not known ({_change(most)})."
    more = f"; about {most.more:,} more questions would tell" if most.more else ""
    return f"whether more than k = {best.k} chunks are worth it{worth} is undecided ({_change(most)}{more})."


def _change(weighed: Weighing) -> str:
    gain = weighed.gain
    ends = gain["interval"]
    interval = "" if ends is None else f"95 % interval {100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}, "
    return (
        f"from k = {weighed.baseline_k} to {weighed.setting.k} the share of correct answers changes by "
        f"{100 * gain['mean']:+.1f} points, {interval}n = {gain['n']}"
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


def utility_of(facts: Mapping[str, Facts], *, sensitivities: Sequence[float]) -> dict[str, Any]:
    """The `utility` of the section; pipelines without answers judged, relevance or timings take no part."""
    known = {name: each for name, each in facts.items() if np.isfinite(each.utility(1.0)[0])}
    found = winners(known)
    return {
        "presets": presets(sensitivities),
        "curve": [{"k": float(k), "values": _values(known, float(k))} for k in steps()],
        "winners": found,
        "statement": statement(found, len(known)),
        "formula": FORMULA,
    }


def presets(sensitivities: Sequence[float]) -> list[dict[str, Any]]:
    """The presets, and the eval's own sensitivities."""
    named = [{"name": name, "k": k, "reason": reason} for name, k, reason in PRESETS]
    own = [{"name": f"k = {k:g}", "k": k, "reason": "from the eval file"} for k in sensitivities]
    return [*named, *(line for line in own if line["k"] not in {k for _, k, _ in PRESETS})]


def steps() -> list[float]:
    """Log-spaced k for drawing."""
    return [float(k) for k in np.geomspace(LOWEST, HIGHEST, CURVE_POINTS)]


def winners(facts: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Ranges of rising k with the pipeline that wins in each.

    `share` is that of the joint resamples (all pipelines asked the same resampled questions) in which it also wins at
    the range's logarithmic middle; pipelines that tie there divide the resample between them.
    """
    lines = {name: _line(each) for name, each in facts.items() if each.accuracy[0] * each.relevance[0] > 0}
    return [
        {"from_k": start, "to_k": end, "pipeline": name, "share": share(facts, name, sqrt(start * end))}
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


def share(facts: Mapping[str, Facts], name: str, k: float) -> float:
    """The share of resamples in which this pipeline has the highest U at k; one where every U is 0 has no winner."""
    columns = np.array([each.utility(k)[1:] for each in facts.values()])
    values = np.where(np.isnan(columns), 0.0, columns)
    highest = values.max(axis=0)
    tied = (values >= highest * (1 - TIE)) & (highest > 0)
    credit = tied / np.maximum(tied.sum(axis=0), 1)
    return float(credit[list(facts).index(name)].mean())


def statement(found: Sequence[Mapping[str, Any]], pipelines: int) -> str:
    """Who wins where, and where that cannot be told."""
    if not found:
        return f"{FORMULA} cannot be compared: no pipeline has correct answers, relevant chunks and timings together."
    if pipelines == 1:
        return (
            f"{FORMULA} has nothing to compare: {found[0]['pipeline']} is the only pipeline with answers and timings."
        )
    ranges = "; ".join(f"{each['pipeline']} is ahead {_range(each)}{_sure(each)}" for each in found)
    return f"By {FORMULA}, {ranges}."


def _range(winner: Mapping[str, Any]) -> str:
    if (winner["from_k"], winner["to_k"]) == (LOWEST, HIGHEST):
        return f"for every k from {LOWEST:g} to {HIGHEST:g}"
    if winner["from_k"] == LOWEST:
        return f"for k below {winner['to_k']:.2g}"
    if winner["to_k"] == HIGHEST:
        return f"for k above {winner['from_k']:.2g}"
    return f"for k from {winner['from_k']:.2g} to {winner['to_k']:.2g}"


def _sure(winner: Mapping[str, Any]) -> str:
    share = f"{100 * winner['share']:.0f} %"
    told = "" if winner["share"] >= AGREED else ", so it cannot be told apart from the others"
    return f" (in {share} of the resamples{told})"


def _line(facts: Facts) -> Line:
    return -log(facts.seconds[0]), log(facts.accuracy[0] * facts.relevance[0])


def _values(facts: Mapping[str, Facts], k: float) -> dict[str, float]:
    return {name: float(each.utility(k)[0]) for name, each in facts.items()}
