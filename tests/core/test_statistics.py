"""Statistics: literal cases worked out on paper, and what must hold whatever the numbers are."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragprof.core import Estimate
from ragprof.core.errors import NonFiniteScore
from ragprof.statistics.estimates import holm, mean_estimate, more_queries_needed, paired_p, quantile_estimates

scores = st.lists(st.integers(0, 1000).map(lambda value: value / 1000), min_size=2, max_size=40)
p_values = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8)


def test_no_values_say_nothing() -> None:
    assert mean_estimate([]) == Estimate(None, None, 0)


def test_one_value_has_a_mean_and_no_interval() -> None:
    assert mean_estimate([0.25]) == Estimate(0.25, None, 1)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_estimate([0.5, 0.5, 0.5]) == Estimate(0.5, (0.5, 0.5), 3)


def test_the_interval_of_two_values_runs_from_one_to_the_other() -> None:
    assert mean_estimate([0.0, 1.0]) == Estimate(0.5, (0.0, 1.0), 2)


def test_the_interval_has_the_width_that_the_normal_approximation_gives() -> None:
    values = np.random.default_rng(5).normal(10.0, 2.0, 400)
    estimate = mean_estimate(values)
    assert estimate.interval is not None
    half = 1.96 * values.std() / math.sqrt(400)
    assert estimate.interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


@settings(max_examples=40, deadline=None)
@given(scores)
def test_the_interval_contains_the_mean_and_stays_within_the_values(values: list[float]) -> None:
    estimate = mean_estimate(values)
    assert estimate.mean == pytest.approx(sum(values) / len(values))
    assert estimate.mean is not None
    assert estimate.interval is not None
    low, high = estimate.interval
    assert min(values) - 1e-12 <= low <= estimate.mean + 1e-12
    assert estimate.mean - 1e-12 <= high <= max(values) + 1e-12
    assert estimate.n == len(values)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(1).random(30)
    assert mean_estimate(values, seed=3) == mean_estimate(values, seed=3)
    assert mean_estimate(values, seed=3) != mean_estimate(values, seed=4)


def test_quantiles_are_those_of_all_observations_together() -> None:
    estimates = quantile_estimates([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [0.5, 0.9])
    assert [(estimate.mean, estimate.n) for estimate in estimates] == [(3.5, 6), (5.5, 6)]


def test_the_interval_of_two_clusters_runs_from_one_clusters_quantile_to_the_others() -> None:
    (estimate,) = quantile_estimates([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [0.5])
    assert estimate.interval == (2.0, 5.0)


def test_clusters_are_resampled_whole_not_observation_by_observation() -> None:
    (estimate,) = quantile_estimates([[0.0] * 50, [1.0] * 50], [0.5])
    assert estimate == Estimate(0.5, (0.0, 1.0), 100)


def test_uneven_clusters_count_every_observation_in_the_quantile() -> None:
    (estimate,) = quantile_estimates([[1.0, 1.0, 7.0], [3.0]], [0.5])
    assert (estimate.mean, estimate.n) == (2.0, 4)
    assert estimate.interval == (1.0, 3.0)


def test_one_cluster_has_quantiles_and_no_interval() -> None:
    assert quantile_estimates([[1.0, 2.0, 3.0]], [0.5]) == [Estimate(2.0, None, 3)]


@pytest.mark.parametrize("clusters", [[], [[]], [[], []]])
def test_no_observations_say_nothing(clusters: list[list[float]]) -> None:
    assert quantile_estimates(clusters, [0.5, 0.95]) == [Estimate(None, None, 0)] * 2


def test_equal_sides_have_p_one() -> None:
    assert paired_p([0.1, 0.9, 0.5], [0.1, 0.9, 0.5]) == 1.0


def test_three_equal_differences_have_two_of_eight_sign_flips_as_extreme() -> None:
    assert paired_p([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]) == pytest.approx(0.25)


def test_ten_equal_differences_have_two_of_1024_sign_flips_as_extreme() -> None:
    assert paired_p([1.0] * 10, [0.0] * 10) == pytest.approx(2 / 1024)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=25))
def test_the_test_does_not_mind_which_side_comes_first(pairs: list[tuple[int, int]]) -> None:
    left, right = [pair[0] / 10 for pair in pairs], [pair[1] / 10 for pair in pairs]
    forth, back = paired_p(left, right), paired_p(right, left)
    assert forth == pytest.approx(back)
    assert 0 < forth <= 1


def test_holms_correction_of_four_worked_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_one_comparison_needs_no_correction_and_none_has_none() -> None:
    assert holm({"a": 0.04}) == {"a": 0.04}
    assert holm({}) == {}


@given(p_values)
def test_corrected_p_values_keep_their_order_grow_and_stay_within_one(raw: dict[str, float]) -> None:
    adjusted = holm(raw)
    assert list(adjusted) == list(raw)
    assert all(raw[name] <= adjusted[name] <= 1.0 for name in raw)
    by_raw = sorted(raw, key=lambda name: raw[name])
    assert all(adjusted[first] <= adjusted[then] for first, then in pairwise(by_raw))


def test_queries_needed_for_a_difference_worked_by_hand() -> None:
    assert more_queries_needed([0.0, 2.0]) == 14  # ((1.960 + 0.842) * 1.4142 / 1)^2 = 15.70, so 16 in all


def test_no_more_queries_are_needed_for_a_difference_that_shows_already() -> None:
    assert more_queries_needed([1.0, 1.1, 0.9, 1.0, 1.05, 0.95]) == 0


@pytest.mark.parametrize("differences", [[], [0.3], [-1.0, 1.0], [0.0, 0.0]])
def test_without_a_difference_no_number_of_queries_would_show_it(differences: list[float]) -> None:
    assert more_queries_needed(differences) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "function",
    [
        mean_estimate,
        more_queries_needed,
        lambda values: quantile_estimates([values], [0.5]),
        lambda values: paired_p(values, [0.0, 0.0]),
    ],
)
def test_a_value_that_is_not_finite_is_an_error(function: Callable[[list[float]], object], value: float) -> None:
    with pytest.raises(NonFiniteScore, match="NaN or infinite"):
        function([1.0, value])
