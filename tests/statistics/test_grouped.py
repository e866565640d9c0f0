"""Intervals of values in groups: those of the groups, as wide as they must be, and of single values unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from ragprof.statistics.estimates import mean_estimate, quantile_estimates, share_estimate
from ragprof.statistics.grouped import grouped_mean, grouped_quantiles, grouped_share, variance_of_mean


def test_values_that_stand_alone_have_the_figures_that_they_have_without_groups() -> None:
    values, alone = np.random.default_rng(0).normal(size=60), np.arange(60)
    assert grouped_mean(values, alone, bounds=None) == mean_estimate(values, bounds=None)
    assert grouped_share(values > 0, alone) == share_estimate(int((values > 0).sum()), 60)
    assert grouped_quantiles(values, alone, [0.5, 0.95], seed=0) == quantile_estimates(values[:, None], [0.5, 0.95])


def test_what_never_happened_in_many_values_of_few_groups_may_happen_in_the_next_group() -> None:
    """0 of 4 groups is 0 to 0.602, however many values each has."""
    found = grouped_share(np.zeros(400, bool), np.repeat(np.arange(4), 100))
    assert (found.mean, found.n) == (0.0, 400)
    assert found.interval == pytest.approx((0.0, 0.6024), abs=1e-4)


def test_one_group_has_no_interval_and_groups_that_happen_to_agree_are_no_better_than_single_values() -> None:
    values = np.tile([1.0, 2.0, 3.0, 4.0], 5)
    assert grouped_mean(values, np.zeros(20, int), bounds=None).interval is None
    assert grouped_quantiles(values, np.zeros(20, int), [0.5], seed=0)[0].interval is None
    assert variance_of_mean(values, np.repeat(np.arange(5), 4)) == pytest.approx(values.var(ddof=1) / 20)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """Twenty sessions of one to ten traces each, alike within a session: mean 0, median 0, a quarter below -0.954."""
    rng, held = np.random.default_rng(7), {"mean": 0, "median": 0, "share": 0, "as if alone": 0}
    for _ in range(200):
        sizes = rng.integers(1, 11, size=20)
        groups = np.repeat(np.arange(20), sizes)
        values = np.repeat(rng.normal(size=20), sizes) + rng.normal(size=len(groups))
        below = values < -0.9538726
        for name, truth, found in (
            ("mean", 0.0, grouped_mean(values, groups, bounds=None)),
            ("median", 0.0, grouped_quantiles(values, groups, [0.5], seed=0)[0]),
            ("share", 0.25, grouped_share(below, groups)),
            ("as if alone", 0.25, share_estimate(int(below.sum()), len(below))),
        ):
            assert found.interval is not None
            held[name] += found.interval[0] <= truth <= found.interval[1]
    assert min(held["mean"], held["median"], held["share"]) >= 185, held
    assert held["as if alone"] < 175
