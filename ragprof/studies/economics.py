"""What a correct answer costs: ratios of sums over one pipeline's own answers, each with an interval. Reads no file.

Numerator and denominator of every ratio come from the same resampled questions; timed questions, which are fewer, are
resampled apart from them. FORMULAS says in words what each key is. What is not measured or not priced is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ragprof.studies.answer_bills import Bill
from ragprof.studies.query_draws import Array, Draws, estimated, over, resampled

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
