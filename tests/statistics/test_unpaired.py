"""Two samples of different queries: known answers, and how often equal samples are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ragprof.statistics.estimates import MOST_OF_ONE_ROUND, quantile_estimates, share_estimate
from ragprof.statistics.unpaired import LEAST, mean_effect, quantile_effect


def test_a_difference_of_means_is_welchs() -> None:
    rng = np.random.default_rng(3)
    base, candidate = rng.normal(10, 1, 40), rng.normal(11, 3, 25)
    found = mean_effect(base, candidate)
    theirs = stats.ttest_ind(candidate, base, equal_var=False)
    interval = theirs.confidence_interval()
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.relative == pytest.approx(found.difference / base.mean())


def test_one_value_a_side_tells_nothing() -> None:
    found = mean_effect(np.array([1.0]), np.array([2.0]))
    assert (found.difference, found.interval, found.p) == (1.0, None, None)


def test_a_quantile_that_doubled_is_told_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(4)
    base, candidate = rng.lognormal(0, 0.4, 300), 2 * rng.lognormal(0, 0.4, 300)
    found = quantile_effect(base, candidate, "p95", seed=0)
    assert found.p is not None
    assert found.p < 1e-6
    assert found.relative_interval is not None
    assert found.relative_interval[0] < 1.0 < found.relative_interval[1]  # + 100 %


def test_a_p95_of_few_durations_is_not_compared() -> None:
    few = np.arange(1.0, LEAST["p95"])
    found = quantile_effect(few, few * 3, "p95", seed=0)
    assert (found.p, found.interval) == (None, None)
    assert quantile_effect(few, few * 3, "p50", seed=0).p is not None


@pytest.mark.slow
def test_equal_samples_are_told_apart_about_as_often_as_alpha_says() -> None:
    rng = np.random.default_rng(5)
    pairs = [(rng.lognormal(0, 0.4, 130), rng.lognormal(0, 0.4, 170)) for _ in range(200)]
    for name in ("p50", "p95"):
        told = [(found := quantile_effect(*pair, name, seed=0)).p is not None and found.p < 0.05 for pair in pairs]
        assert 0.01 <= np.mean(told) <= 0.10


def test_intervals_of_very_many_are_those_that_resamples_give() -> None:
    values = np.random.default_rng(6).lognormal(0, 1, MOST_OF_ONE_ROUND)
    more = np.append(values, np.median(values))
    for level in (0.5, 0.95, 0.99):
        (resampled,) = quantile_estimates(values[:, None], [level])
        (ordered,) = quantile_estimates(more[:, None], [level])
        assert ordered.mean == pytest.approx(resampled.mean, rel=2e-4)
        assert resampled.interval is not None
        assert ordered.interval is not None
        width = resampled.interval[1] - resampled.interval[0]
        assert ordered.interval == pytest.approx(resampled.interval, abs=width / 6)


def test_a_share_of_none_has_an_interval() -> None:
    assert share_estimate(0, 100).interval == pytest.approx((0.0, 0.0362), abs=1e-4)
    assert share_estimate(100, 100).interval == pytest.approx((0.9638, 1.0), abs=1e-4)
    theirs = stats.binomtest(7, 50).proportion_ci(method="exact")
    assert share_estimate(7, 50).interval == pytest.approx((theirs.low, theirs.high))
    assert share_estimate(0, 0).interval is None


def test_groups_of_one_are_no_groups_and_equal_ones_scatter_as_their_means_do() -> None:
    """Six values twice each are worth six: the interval of the means, not one by the square root of 2 narrower."""
    base, candidate = np.arange(6.0), np.arange(6.0) ** 2
    alone = np.arange(6), np.arange(6)
    plain = mean_effect(base, candidate)
    assert mean_effect(base, candidate, groups=alone) == plain
    twice = mean_effect(np.repeat(base, 2), np.repeat(candidate, 2), groups=(np.repeat(alone[0], 2),) * 2)
    assert twice.interval == pytest.approx(plain.interval)
    assert (twice.p, twice.n) == (pytest.approx(plain.p), 6)


def test_a_quantile_of_groups_scatters_as_they_do() -> None:
    durations, groups = np.repeat(np.arange(1.0, 101.0), 20), np.repeat(np.arange(100), 20)
    grouped = quantile_effect(durations, durations * 1.2, "p50", seed=0, groups=(groups, groups))
    single = quantile_effect(durations, durations * 1.2, "p50", seed=0)
    assert (single.p < 0.001, grouped.p > 0.05, grouped.n) == (True, True, 100)


def test_a_side_that_is_all_equal_leaves_open_what_it_did_not_show() -> None:
    """0 of 20 failed, then 20 of 20: from 0 to 0.168 and from 0.832 to 1, squared and added."""
    effect = mean_effect(np.zeros(20), np.ones(20), bounds=(0.0, 1.0))
    assert effect.interval == pytest.approx((1 - 0.168433 * 2**0.5, 1.0), abs=1e-5)
    assert effect.p == pytest.approx(2 / 137846528820)
    one_side = mean_effect(np.zeros(20), np.array([0.0, 1.0] * 10), bounds=(0.0, 1.0))
    assert one_side.interval is not None
    assert one_side.interval[0] < 0.5 - 0.168433
    # Without bounds the median is known, of six or more.
    assert mean_effect(np.full(5, 3.0), np.full(9, 3.0)).interval is None
    assert mean_effect(np.full(6, 3.0), np.full(9, 3.0)).interval == (0.0, 0.0)
