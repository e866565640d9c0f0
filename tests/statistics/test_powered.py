"""Prediction-powered means: no bias whatever the chances are, intervals that hold the truth, no word too many."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from ragprof.core.errors import BadInput
from ragprof.statistics.powered import DrawnQueries, powered_mean
from ragprof.statistics.unseen import UNIT


def drawn_by(weights: np.ndarray, order: np.ndarray) -> DrawnQueries:
    """Draws in this order, each in proportion to the weights of what was left."""
    before = np.concatenate([[0.0], np.cumsum(weights[order])[:-1]])
    return DrawnQueries(order, weights[order] / (weights.sum() - before))


def test_the_mean_over_all_samples_is_the_persons_mean_of_all_queries() -> None:
    person, model = np.array([0.9, 0.1, 0.4, 0.0, 0.6]), np.array([1.0, 0.5, 0.2, 0.3, 0.3])
    weights = np.array([0.1, 0.4, 0.2, 0.25, 0.05])
    samples = [drawn_by(weights, np.array(order)) for order in permutations(range(5), 3)]
    probabilities = [float(np.prod(each.chances)) for each in samples]
    for power in (0.0, 0.6, 1.0):
        means = [powered_mean(model, person[each.places], each, power=power).mean for each in samples]
        assert np.dot(probabilities, means) == pytest.approx(0.4, abs=1e-12)
    assert sum(probabilities) == pytest.approx(1.0)


def test_an_error_that_is_the_same_everywhere_is_taken_away_whole() -> None:
    model = np.linspace(0.2, 0.9, 60)
    found = powered_mean(model, model[:20] - 0.1, drawn_by(np.ones(60), np.arange(20)))
    assert (found.mean, found.power) == (pytest.approx(0.45), pytest.approx(1.0))
    # What is left is the scatter of the questions alone: 1 / sqrt(60) of their standard deviation.
    assert found.half_width == pytest.approx(2.110 * model.std() / np.sqrt(60), rel=0.35)


def test_where_everything_is_judged_the_model_has_no_say() -> None:
    person = np.array([0.0, 1.0] * 10)
    found = powered_mean(np.full(20, 0.9), person, drawn_by(np.ones(20), np.arange(20)))
    assert (found.mean, found.power, found.drawn) == (0.5, 0.0, 20)
    assert found.interval == pytest.approx((0.25992, 0.74008), abs=1e-5)


def test_few_draws_have_no_interval_and_none_leave_the_models_mean() -> None:
    model = np.array([0.2, 0.4] * 10)
    assert powered_mean(model, model[:14], drawn_by(np.ones(20), np.arange(14))).interval is None
    nothing = powered_mean(model, model[:0], DrawnQueries(np.arange(0), np.zeros(0)))
    assert (nothing.mean, nothing.interval, nothing.drawn) == (pytest.approx(0.3), None, 0)


def test_where_a_person_says_the_same_of_all_the_interval_is_that_of_what_was_not_seen() -> None:
    """Of 17 queries none was less than perfect: by Clopper and Pearson up to 19.5 % of all may be."""
    model, drawn = np.tile([1.0, 0.9], 100), drawn_by(np.ones(200), np.arange(17))
    found = powered_mean(model, np.ones(17), drawn, bounds=UNIT)
    assert found.mean == 1.0
    assert found.interval == (pytest.approx(0.8049, abs=1e-4), 1.0)
    same = powered_mean(np.zeros(200), np.zeros(17), drawn)
    assert same.interval == (pytest.approx(-0.1951, abs=1e-4), pytest.approx(0.1951, abs=1e-4))


def test_no_interval_reaches_beyond_what_is_possible() -> None:
    person = np.array([1.0] * 16 + [0.0])
    found = powered_mean(np.ones(200), person, drawn_by(np.ones(200), np.arange(17)), bounds=UNIT)
    assert found.interval is not None
    assert found.interval[0] < found.mean < found.interval[1] == 1.0


@pytest.mark.parametrize("active", [False, True])
def test_the_interval_holds_the_truth_where_the_models_does_not(active: bool) -> None:
    """300 samples of 30 of 250 queries; the model scores 0.15 too high on two thirds of them."""
    rng, held, held_by_model, narrower = np.random.default_rng(5), 0, 0, []
    for _ in range(300):
        person = (rng.random(250) < 0.6).astype(float)
        wrong = rng.random(250)
        model = np.where(wrong < 0.1, 1 - person, person) + np.where(wrong > 0.35, 0.15, 0.0)
        weights = np.where(wrong < 0.2, 3.0, 1.0) if active else np.ones(250)
        drawn = drawn_by(weights, np.argsort(rng.exponential(size=250) / weights)[:30])
        found = powered_mean(model, person[drawn.places], drawn)
        alone = powered_mean(model, person[drawn.places], drawn, power=0.0)
        assert found.interval is not None
        held += found.interval[0] <= 0.6 <= found.interval[1]
        held_by_model += abs(model.mean() - 0.6) <= 1.96 * model.std() / np.sqrt(250)
        narrower.append(found.half_width / alone.half_width)
    assert held >= 279
    assert held_by_model < 180
    assert np.mean(narrower) < 0.8


def test_draws_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadInput, match="drawn twice"):
        DrawnQueries(np.array([1, 1]), np.array([0.5, 0.5]))
    with pytest.raises(BadInput, match="no chance to be"):
        DrawnQueries(np.array([1]), np.array([0.0]))
    with pytest.raises(BadInput, match="2 judged queries do not fit 1 draws of 3"):
        powered_mean(np.zeros(3), np.zeros(2), DrawnQueries(np.array([0]), np.array([0.3])))
