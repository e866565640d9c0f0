"""Ratios from one resample: means of what is known, and intervals that are open where there is nothing to divide by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ragprof.core.errors import BadInput
from ragprof.statistics.draws import (
    VERDICT_RESAMPLES,
    Draws,
    ends,
    interval,
    observed_interval,
    over,
    resampled,
    resampled_counts,
)
from ragprof.statistics.estimates import estimated, gained, mean_estimate
from ragprof.statistics.unseen import UNIT

IDS = [f"q{number}" for number in range(8)]


def test_row_0_is_what_was_found() -> None:
    draws = Draws.of(IDS, seed=0)
    assert draws.mean(pd.Series(range(8), index=IDS, dtype=float))[0] == 3.5
    assert draws.counts.shape == (2001, 8)
    assert (draws.counts.sum(axis=1) == 8).all()


def test_the_order_of_the_questions_decides_nothing() -> None:
    values = pd.Series(range(8), index=IDS, dtype=float)
    forth, back = Draws.of(IDS, seed=3), Draws.of(IDS[::-1], seed=3)
    assert forth.mean(values).tolist() == back.mean(values[::-1]).tolist()


def test_numerator_and_denominator_come_from_the_same_resample() -> None:
    draws = Draws.of(IDS, seed=0)
    cost = pd.Series(range(1, 9), index=IDS, dtype=float)
    ratio = over(draws.mean(cost * 3), draws.mean(cost))
    assert ratio == pytest.approx(np.full(2001, 3.0))


def test_a_question_without_a_value_takes_no_part() -> None:
    values = pd.Series([1.0, None, 3.0], index=["q0", "q1", "q2"])
    assert Draws.of(IDS, seed=0).mean(values)[0] == 2.0


def test_the_resamples_of_a_report_are_the_first_of_those_of_a_verdict() -> None:
    report, verdict = (resampled_counts(37, seed=5, resamples=count) for count in (2_000, VERDICT_RESAMPLES))
    assert np.array_equal(report, verdict[:2_000])
    rows = np.random.default_rng(5).integers(0, 37, (2_000, 37))
    assert np.array_equal(report, [np.bincount(row, minlength=37) for row in rows])


def test_every_mean_rests_on_the_same_resampled_queries() -> None:
    values = pd.Series(np.random.default_rng(1).random(8), index=IDS)
    alone, shared = (
        mean_estimate(values, bounds=UNIT, seed=3).interval,
        Draws.of(IDS, seed=3).estimate(values.to_numpy(), bounds=UNIT),
    )
    assert shared["interval"] == pytest.approx(alone, rel=1e-14)


def test_an_interval_is_infinite_where_its_end_is() -> None:
    drawn = np.array([*range(95), *[np.inf] * 5, np.nan], dtype=float)
    assert interval(drawn) == (2.0, np.inf)
    assert interval(np.array([np.nan])) is None


def test_an_observed_interval_runs_from_one_resample_to_another() -> None:
    assert observed_interval(np.array([1.0, 2.0] * 20)) == (1.0, 2.0)
    assert observed_interval(np.arange(101.0), confidence=0.5) == (25.0, 75.0)


def test_a_ratio_without_anything_to_divide_by_is_open_above() -> None:
    figures = over(np.ones(101), np.array([1.0, *[0.5] * 90, *[0.0] * 10]))
    assert resampled(figures, 4) == {"mean": 1.0, "interval": [2.0, None], "n": 4}


def test_a_ratio_that_is_infinite_has_no_mean() -> None:
    assert resampled(over(np.ones(11), np.zeros(11)), 4) == {"mean": None, "interval": None, "n": 4}


def test_what_was_never_measured_has_neither_mean_nor_interval() -> None:
    assert resampled(np.full(11, np.nan), 4) == {"mean": None, "interval": None, "n": 4}
    unknown = pd.Series([None, None], dtype=float)
    assert estimated(unknown, bounds=UNIT, seed=0) == {
        "mean": None,
        "interval": None,
        "n": 0,
    }


def test_one_question_has_no_interval() -> None:
    assert resampled(np.array([2.0, 2.0, 2.0]), 1) == {"mean": 2.0, "interval": None, "n": 1}


def test_ends_are_percentiles_of_the_resamples() -> None:
    assert ends(np.array([-1.0, *range(201)]), n=9) == pytest.approx([5.0, 195.0])


def test_gains_are_paired_by_question() -> None:
    after = pd.Series({"b": 1.0, "a": 0.5, "d": 1.0})
    before = pd.Series({"a": 0.25, "b": None, "c": 1.0})
    assert gained(after, before).to_dict() == {"a": 0.25}


def test_no_question_is_an_error() -> None:
    with pytest.raises(BadInput, match="nothing to resample: 0 queries"):
        Draws.of([], seed=0)
