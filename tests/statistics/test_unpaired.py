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
