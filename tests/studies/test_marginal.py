"""One more chunk: worth it where the gain is told, undecided where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pandas as pd
import pytest

from ragprof.studies.contract import EstimateValue
from ragprof.studies.injection.data import AnswerBill
from ragprof.studies.injection.economics import SweptAnswers, marginal

QUESTIONS = 40


def setting(k: int, right: Sequence[int], *, usd: str | None = None) -> SweptAnswers:
    """`right` are the questions that are answered correctly with k chunks."""
    ids = [f"q{number:02}" for number in range(QUESTIONS)]
    correct = pd.Series([float(number in set(right)) for number in range(QUESTIONS)], index=ids)
    bill = None if usd is None else AnswerBill({"prompt tokens": dict.fromkeys(ids, Decimal(usd))})
    return SweptAnswers(k, correct, correct / 2, pd.Series(1e8 * k, index=ids[:4]), bill)


def last(settings: list[SweptAnswers], value_usd: float | None = None) -> tuple[int | None, str]:
    found = marginal("p", settings, value_usd=value_usd, seed=0)
    return found.last_worthwhile_k, found.status


def test_a_gain_that_stops_is_worth_it_up_to_there() -> None:
    settings = [setting(1, range(10)), setting(2, range(20)), setting(3, range(30)), setting(4, range(30))]
    assert last(settings) == (3, "told")
    assert marginal("p", settings, value_usd=None, seed=0).statement.endswith("; beyond that no gain is told.")


def test_small_steps_add_up() -> None:
    steps = [setting(k, range(10 + 2 * k)) for k in (1, 2, 3, 4, 5)]
    pairs = [last(steps[place : place + 2]) for place in range(4)]
    assert pairs == [(None, "undecided")] * 4
    assert last(steps) == (4, "told")


def test_an_early_gain_is_not_counted_again_later() -> None:
    settings = [setting(1, range(10)), setting(2, range(30)), setting(3, [*range(29), 35]), setting(4, range(31))]
    assert last(settings) == (2, "told")


def test_what_cannot_be_told_is_undecided_and_says_how_many_questions_would() -> None:
    found = marginal("p", [setting(1, range(10)), setting(2, range(11))], value_usd=None, seed=0)
    assert (found.last_worthwhile_k, found.status) == (None, "undecided")
    assert found.statement == (
        "p: whether more than k = 1 chunks are worth it is undecided (from k = 1 to 2 the share of correct answers "
        "changes by +2.5 pp (95% CI +0.0 to +7.5 pp), n = 40; about 274 more questions would tell)."
    )


def test_chunks_that_do_harm_are_told_not_to_be_worth_it() -> None:
    assert last([setting(1, range(30)), setting(2, range(15))]) == (1, "told")


@pytest.mark.parametrize(
    ("value_usd", "expected"), [(0.10, (2, "told")), (0.001, (1, "told")), (0.03, (None, "undecided"))]
)
def test_a_gain_is_weighed_against_its_price(value_usd: float, expected: tuple[int | None, str]) -> None:
    settings = [setting(1, range(10), usd="0.001"), setting(2, range(20), usd="0.008")]
    assert last(settings, value_usd) == expected


def test_a_price_that_is_not_known_leaves_the_worth_unknown() -> None:
    settings = [setting(1, range(10)), setting(2, range(30))]
    found = marginal("p", settings, value_usd=0.1, seed=0)
    assert (found.last_worthwhile_k, found.status) == (None, "undecided")
    assert "something is unpriced" in found.statement
    assert found.steps[0].added_usd_per_1000 is None
    assert found.steps[0].usd_per_extra_correct is None


def test_steps_say_what_a_chunk_brings_and_adds() -> None:
    (step,) = marginal(
        "p", [setting(1, range(10), usd="0.001"), setting(3, range(20), usd="0.003")], value_usd=None, seed=0
    ).steps
    assert (step.from_k, step.to_k, step.added_usd_per_1000, step.usd_per_extra_correct) == (
        1,
        3,
        "2",
        "0.008",
    )
    assert (step.correct_gain.mean, step.f1_gain.mean, step.correct_gain.n) == (0.25, 0.125, 40)
    assert step.added_first_token_ns == EstimateValue(mean=2e8, interval=None, n=4)  # four equal ones bound nothing
    low, high = (float(end) for end in step.usd_per_extra_correct_interval)
    assert 0.004 < low < 0.008 < high < 0.03


def test_a_gain_that_is_not_told_has_a_price_that_is_open_above() -> None:
    (step,) = marginal(
        "p", [setting(1, range(10), usd="0.001"), setting(2, range(11), usd="0.002")], value_usd=None, seed=0
    ).steps
    assert step.usd_per_extra_correct == "0.04"
    assert step.usd_per_extra_correct_interval[1] is None


def test_a_single_k_says_nothing_of_one_more() -> None:
    found = marginal("p", [setting(3, range(10))], value_usd=None, seed=0)
    assert (found.steps, found.last_worthwhile_k, found.status) == ([], None, "undecided")


def test_questions_without_gold_answers_leave_it_open() -> None:
    blank = [
        SweptAnswers(k, pd.Series(dtype=float), pd.Series(dtype=float), pd.Series(dtype=float), None) for k in (1, 2)
    ]
    found = marginal("p", blank, value_usd=None, seed=0)
    assert found.statement == "p: no question has a gold answer, so nothing can be said of one more chunk."
