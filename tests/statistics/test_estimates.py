"""Statistics: literal cases worked out on paper, and what must hold whatever the numbers are."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats.mstats import hdquantiles

from ragprof.core import Estimate
from ragprof.core.errors import NonFiniteScore
from ragprof.statistics.draws import Draws, resampled
from ragprof.statistics.estimates import (
    mean_estimate,
    quantile,
    quantile_estimates,
    resampled_quantiles,
    rounds_of,
    share_estimate,
)
from ragprof.statistics.paired import FLIPS, holm, paired_p, paired_ps
from ragprof.statistics.power import more_queries_needed
from ragprof.statistics.unseen import SIGNED, UNIT, Bounds, queries_to_exclude, unseen_share

scores = st.lists(st.integers(0, 1000).map(lambda value: value / 1000), min_size=2, max_size=40)
p_values = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8)


def test_no_values_say_nothing() -> None:
    assert mean_estimate([], bounds=UNIT) == Estimate(None, None, 0)


def test_one_value_has_a_mean_and_no_interval() -> None:
    assert mean_estimate([0.25], bounds=UNIT) == Estimate(0.25, None, 1)


@pytest.mark.parametrize(
    ("value", "n", "bounds", "wanted"),
    [
        # A share u of all queries may look otherwise, with (1 - u)^n = 0.025: 0.842, 0.708, 0.0362.
        (1.0, 2, UNIT, (0.158114, 1.0)),
        (0.5, 3, UNIT, (0.146201, 0.853799)),
        (0.0, 100, UNIT, (0.0, 0.0362167)),
        (0.0, 2, SIGNED, (-0.841886, 0.841886)),
        (0.25, 100, SIGNED, (0.204729, 0.277163)),
        # Nothing bounds the mean of tokens or money; six equal values bound the median.
        (43.0, 5, None, None),
        (43.0, 6, None, (43.0, 43.0)),
    ],
)
def test_equal_values_claim_no_more_than_so_many_can(
    value: float, n: int, bounds: Bounds | None, wanted: tuple[float, float] | None
) -> None:
    estimate, draws = mean_estimate([value] * n, bounds=bounds), Draws.of([str(at) for at in range(n)], seed=0)
    assert (estimate.mean, estimate.n) == (value, n)
    for span in (
        estimate.interval,
        draws.estimate(np.full(n, value), bounds=bounds)["interval"],
        resampled(draws.mean(pd.Series(value, index=draws.ids)), n, bounds=bounds)["interval"],
    ):
        assert (span and tuple(span)) == (wanted and pytest.approx(wanted, rel=1e-5))


def test_none_or_all_of_n_have_the_interval_of_a_share() -> None:
    assert mean_estimate([0.0] * 20, bounds=UNIT).interval == pytest.approx(share_estimate(0, 20).interval)
    assert mean_estimate([1.0] * 20, bounds=UNIT).interval == pytest.approx(share_estimate(20, 20).interval)


def test_so_many_queries_must_show_nothing_for_what_was_not_seen_to_be_below_a_share() -> None:
    assert [queries_to_exclude(share) for share in (0.01, 0.5, 0.0, 1.0)] == [368, 6, None, None]
    assert unseen_share(368) <= 0.01 < unseen_share(367)


def test_the_interval_of_two_values_runs_from_one_to_the_other() -> None:
    assert mean_estimate([0.0, 1.0], bounds=UNIT) == Estimate(0.5, (0.0, 1.0), 2)


def test_the_interval_has_the_width_that_the_normal_approximation_gives() -> None:
    values = np.random.default_rng(5).normal(10.0, 2.0, 400)
    estimate = mean_estimate(values, bounds=None)
    assert estimate.interval is not None
    half = 1.96 * values.std() / math.sqrt(400)
    assert estimate.interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


@settings(max_examples=40, deadline=None)
@given(scores)
def test_the_interval_contains_the_mean_and_stays_within_the_values(values: list[float]) -> None:
    assume(len(set(values)) > 1)
    estimate = mean_estimate(values, bounds=UNIT)
    assert estimate.mean == pytest.approx(sum(values) / len(values))
    assert estimate.mean is not None
    assert estimate.interval is not None
    low, high = estimate.interval
    assert min(values) - 1e-12 <= low <= estimate.mean + 1e-12
    assert estimate.mean - 1e-12 <= high <= max(values) + 1e-12
    assert estimate.n == len(values)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(1).random(30)
    assert mean_estimate(values, bounds=None, seed=3) == mean_estimate(values, bounds=None, seed=3)
    assert mean_estimate(values, bounds=None, seed=3) != mean_estimate(values, bounds=None, seed=4)


def timings(*rounds: list[float]) -> np.ndarray:
    """One list per query."""
    return np.array(rounds)


def test_quantiles_are_harrell_and_davis_of_all_observations_together() -> None:
    table = np.random.default_rng(2).random((7, 3))
    estimates = quantile_estimates(table, [0.5, 0.95, 0.99])
    assert [found.mean for found in estimates] == pytest.approx(hdquantiles(table, [0.5, 0.95, 0.99]).tolist())
    assert [found.n for found in estimates] == [21] * 3


def test_resampled_quantiles_are_harrell_and_davis_of_the_drawn_rows() -> None:
    rng = np.random.default_rng(1)
    table, drawn = rng.random((7, 3)), rng.integers(0, 7, size=(20, 7))
    counts = np.array([np.bincount(each, minlength=7) for each in drawn], dtype=np.int32)
    found = resampled_quantiles(table, counts, [0.5, 0.95])
    wanted = np.array([[hdquantiles(table[each], [level])[0] for level in (0.5, 0.95)] for each in drawn])
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_the_p50_of_two_is_their_mean_and_a_p99_of_twenty_little_else_than_the_largest() -> None:
    assert quantile(timings([100.0], [200.0]), 0.5) == pytest.approx(150.0)
    assert quantile(np.arange(1.0, 21.0)[:, None], 0.99) == pytest.approx(20, abs=0.3)


def test_queries_are_resampled_whole_not_observation_by_observation() -> None:
    (estimate,) = quantile_estimates(timings([0.0] * 50, [1.0] * 50), [0.5])
    assert (estimate.mean, estimate.interval, estimate.n) == (pytest.approx(0.5), (0.0, 1.0), 100)


def test_every_query_has_the_fewest_rounds_that_one_has() -> None:
    rows = [("b", 0, 3.0), ("a", 2, 7.0), ("a", 0, 1.0), ("a", 1, 2.0), ("b", 1, 4.0), ("c", 0, None), ("c", 1, 5.0)]
    times = pd.DataFrame(rows, columns=["query_id", "round", "duration_ns"])
    assert rounds_of(times, queries=["a", "b"]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert rounds_of(times).tolist() == [[1.0], [3.0], [5.0]]
    assert rounds_of(times[:0]).size == 0


@pytest.mark.parametrize(
    ("level", "n", "known"),
    # 1 - 0.95^58 - 0.05^58 is 0.949, 1 - 0.95^59 - 0.05^59 is 0.951; of a p50 6 bound it, of a p99 299.
    [(0.5, 5, False), (0.5, 6, True), (0.95, 58, False), (0.95, 59, True), (0.99, 298, False), (0.99, 299, True)],
)
def test_equal_durations_claim_to_know_a_quantile_only_where_so_many_can(level: float, n: int, known: bool) -> None:
    (estimate,) = quantile_estimates(np.full((n, 2), 3e6), [level])
    assert estimate == Estimate(pytest.approx(3e6), (3e6, 3e6) if known else None, 2 * n)


def test_one_query_has_quantiles_and_no_interval() -> None:
    assert quantile_estimates(timings([1.0, 2.0, 3.0]), [0.5]) == [Estimate(2.0, None, 3)]


def test_no_observations_say_nothing() -> None:
    assert quantile_estimates(np.empty((0, 0)), [0.5, 0.95]) == [Estimate(None, None, 0)] * 2


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


@pytest.mark.parametrize("n", [5, 13, 14, 60])
def test_p_is_that_of_scipys_permutation_test(n: int) -> None:
    rng = np.random.default_rng(n)
    first, second = rng.random((2, n))
    wanted = stats.permutation_test(
        (first, second),
        lambda left, right, axis: left.mean(axis) - right.mean(axis),
        permutation_type="samples",
        n_resamples=FLIPS,
        rng=4,
    )
    assert paired_p(first, second, seed=4) == wanted.pvalue


def test_columns_are_tested_by_the_same_flips_as_each_alone() -> None:
    columns = np.random.default_rng(3).normal(0.1, 1, (30, 4))
    together = paired_ps(columns, seed=2)
    assert together.tolist() == [paired_ps(columns[:, [at]], seed=2)[0] for at in range(4)]


def test_flips_that_tie_with_what_was_found_count_on_both_sides() -> None:
    """Three of 0.1 and one of -0.3 sum to 0 but for rounding: no sum is more extreme in a direction."""
    assert paired_p([0.1, 0.1, 0.1, 0.0], [0.0, 0.0, 0.0, 0.3]) == 1.0


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
        lambda values: mean_estimate(values, bounds=None),
        more_queries_needed,
        lambda values: quantile_estimates(np.array([values]), [0.5]),
        lambda values: paired_p(values, [0.0, 0.0]),
    ],
)
def test_a_value_that_is_not_finite_is_an_error(function: Callable[[list[float]], object], value: float) -> None:
    with pytest.raises(NonFiniteScore, match="NaN or infinite"):
        function([1.0, value])
