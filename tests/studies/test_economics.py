"""Unit economics from twelve questions whose sums can be done by heart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from ragprof.statistics.draws import Draws
from ragprof.studies.injection.data import AnswerBill
from ragprof.studies.injection.economics import FORMULAS, economics_of, facts_of

IDS = [f"q{number:02}" for number in range(12)]
ENERGY = {"usd_per_kwh": "0.2", "kg_co2_per_kwh": "0.5"}
BILL = AnswerBill(
    {"prompt tokens": dict.fromkeys(IDS, Decimal("0.0015")), "retrieval": dict.fromkeys(IDS, Decimal("0.0005"))}
)


def asked(right: int = 9) -> pd.DataFrame:
    """900 prompt and 100 output tokens a question; the first ones are answered correctly."""
    correct = [float(number < right) for number in range(len(IDS))]
    columns = {"correct": correct, "ndcg": 0.8, "model_tokens": 900.0, "output_tokens": 100.0, "ending": "whole"}
    return pd.DataFrame(columns, index=IDS)


def timed(*, joules: float | None = 72.0) -> pd.DataFrame:
    return pd.DataFrame(
        {"until_token_ns": 5e8, "end_to_end_ns": 2e9, "joules": joules}, index=IDS[:4], dtype=float
    )  # fmt: skip


def economics(
    rows: pd.DataFrame,
    times: pd.DataFrame,
    bill: AnswerBill | None = BILL,
    *,
    energy: Any = ENERGY,
    watts: float | None = None,
) -> dict[str, Any]:
    draws = Draws.of(IDS, seed=0)
    timed_draws = Draws.of(list(times.index), seed=0) if len(times) else None
    facts = facts_of(rows, times, bill, draws=draws, timed_draws=timed_draws, watts=watts)
    return economics_of(facts, rows, times, energy=energy, sensitivities=[1.0, 2.0], seed=0).as_json()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("usd_per_query", 0.002),
        ("usd_per_correct_answer", 0.024 / 9),
        ("usd_per_token_of_correctness", 0.024 / 900),
        ("correct_answers_per_million_tokens", 9 / 12_000 * 1e6),
        ("tokens_per_query", 1000.0),
        ("joules_per_query", 72.0),
        ("joules_per_correct_answer", 96.0),
        ("energy_usd_per_1000_queries", 72 / 3.6e6 * 0.2 * 1000),
        ("kg_co2_per_1000_queries", 72 / 3.6e6 * 0.5 * 1000),
        ("accuracy", 0.75),
        ("relevance", 0.8),
        ("time_to_first_token_s", 0.5),
    ],
)
def test_figures_follow_their_formulas(key: str, expected: float) -> None:
    assert economics(asked(), timed())[key]["mean"] == pytest.approx(expected)
    assert key in FORMULAS


def test_utility_is_what_is_left_of_the_answers_after_the_wait() -> None:
    utility = economics(asked(), timed())["utility"]
    assert [utility[k]["mean"] for k in ("1", "2")] == pytest.approx([0.75 * 0.8 / 0.5, 0.75 * 0.8 / 0.25])
    low, high = utility["1"]["interval"]
    assert 0.5 < low < 1.2 < high < 1.61


def test_ratios_take_both_sides_from_the_same_resample() -> None:
    found = economics(asked(), timed())
    low, high = found["usd_per_correct_answer"]["interval"]
    ends = [0.002 / end for end in reversed(found["correct_answers_per_million_tokens"]["interval"])]
    assert [low, high] == pytest.approx([end * 1000 for end in ends], rel=1e-6)


def test_few_correct_answers_have_a_price_without_a_bound_above() -> None:
    found = economics(asked(right=1), timed())["usd_per_correct_answer"]
    assert found["mean"] == pytest.approx(0.024)
    assert found["interval"] == [pytest.approx(0.008), None]


def test_no_correct_answer_has_no_price() -> None:
    found = economics(asked(right=0), timed())
    assert found["usd_per_correct_answer"] == {"mean": None, "interval": None, "n": 12}
    assert found["usd_per_token_of_correctness"]["mean"] is None
    assert found["correct_answers_per_million_tokens"]["mean"] == 0.0


def test_what_is_unpriced_is_null_and_not_0() -> None:
    found = economics(asked(), timed(), bill=None)
    assert [found[key] for key in ("usd_per_query", "usd_per_correct_answer", "usd_per_token_of_correctness")] == [
        None
    ] * 3
    assert found["tokens_per_query"]["mean"] == 1000.0


def test_what_was_not_timed_is_null() -> None:
    found = economics(asked(), timed()[:0])
    assert (found["joules_per_query"], found["kg_co2_per_1000_queries"]) == (None, None)
    assert found["utility"] == {"1": None, "2": None}
    assert found["time_to_first_token_s"] == {"mean": None, "interval": None, "n": 0}


def test_energy_that_nobody_measured_is_the_stated_watts_times_the_time() -> None:
    assert economics(asked(), timed(joules=None), watts=10.0)["joules_per_query"]["mean"] == 20.0
    assert economics(asked(), timed(joules=None))["joules_per_query"] is None
    assert economics(asked(), timed(), watts=10.0)["joules_per_query"]["mean"] == 72.0


def test_without_a_table_of_energy_there_are_joules_and_no_carbon() -> None:
    found = economics(asked(), timed(), energy=None)
    assert (found["joules_per_query"]["mean"], found["kg_co2_per_1000_queries"]) == (72.0, None)


def test_questions_without_gold_answers_are_paid_for_all_the_same() -> None:
    rows = asked().assign(correct=[1.0] * 3 + [0.0] * 3 + [None] * 6)
    found = economics(rows, timed())
    assert found["usd_per_query"]["n"] == 12
    assert (found["usd_per_correct_answer"]["mean"], found["usd_per_correct_answer"]["n"]) == (pytest.approx(0.004), 6)
