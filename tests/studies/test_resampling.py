"""Queries and orders resampled: against loops written out, and against the variance that is known."""

from __future__ import annotations

import numpy as np
import pytest

from ragprof.core.errors import BadInput
from ragprof.statistics.draws import Weights, estimate, estimates, mean_of, replicates_of, weights

NAN = float("nan")
TWICE = Weights(queries=np.array([[2.0, 0.0], [1.0, 1.0]]), orders=np.array([[1.0, 1.0], [0.0, 2.0]]))


def test_each_replicate_draws_as_many_as_there_are() -> None:
    drawn = weights(7, 3, replicates=50, seed=0)
    assert drawn.queries.shape == (50, 7)
    assert drawn.orders.shape == (50, 3)
    assert set(drawn.queries.sum(1)) == {7.0}
    assert set(drawn.orders.sum(1)) == {3.0}


def test_the_same_seed_draws_the_same_queries_whatever_the_number_of_orders() -> None:
    five, one = weights(40, 5, seed=3), weights(40, 1, seed=3)
    assert np.array_equal(five.queries, one.queries)
    assert not np.array_equal(five.queries, weights(40, 5, seed=4).queries)


def test_queries_and_orders_are_drawn_apart() -> None:
    drawn = weights(6, 6, seed=0)
    assert not np.array_equal(drawn.queries, drawn.orders)


def test_nothing_to_draw_from() -> None:
    with pytest.raises(BadInput, match="nothing to resample: 0 queries, 5 orders, 1000 replicates"):
        weights(0, 5, seed=0)


def test_replicates_written_out() -> None:
    """First: query 0 twice in both orders, (1 + 3) / 2. Second: order 1 alone, (3 + 4) / 2."""
    assert replicates_of([[1.0, 2.0], [3.0, 4.0]], TWICE).tolist() == [[2.0], [3.5]]


def test_a_query_without_a_value_takes_no_part() -> None:
    assert replicates_of([[NAN, 2.0], [3.0, 4.0]], TWICE).tolist() == [[3.0], [3.5]]
    assert mean_of([[NAN, 2.0], [3.0, 4.0]]).tolist() == [3.0]


def test_a_replicate_that_drew_no_value_is_not_a_number() -> None:
    found = replicates_of([[NAN, 2.0], [NAN, 4.0]], TWICE)
    assert np.isnan(found[0, 0])
    assert found[1, 0] == 4.0


def test_a_single_row_holds_for_each_order() -> None:
    drawn = weights(9, 5, seed=1)
    row = np.arange(9.0)[None]
    assert np.allclose(replicates_of(row, drawn), replicates_of(np.repeat(row, 5, axis=0), drawn), atol=1e-12)


def test_every_metric_is_a_column_as_it_would_be_alone() -> None:
    drawn = weights(12, 4, seed=0, replicates=60)
    values = np.random.default_rng(0).random((4, 12, 3))
    values[values < 0.2] = NAN
    loop = np.array(
        [
            np.nansum(o[:, None, None] * q[None, :, None] * values, axis=(0, 1))
            / (o[:, None, None] * q[None, :, None] * ~np.isnan(values)).sum((0, 1))
            for o, q in zip(drawn.orders, drawn.queries, strict=True)
        ]
    )
    assert np.allclose(replicates_of(values, drawn), loop, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 9), (5, 8), (1, 10)])
def test_values_that_do_not_fit_the_weights(shape: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="do not fit weights of 5 orders and 9 queries"):
        replicates_of(np.zeros(shape), weights(9, 5, seed=0))


def test_a_flat_list_is_no_table() -> None:
    with pytest.raises(BadInput, match=r"\(orders, queries\) or \(orders, queries, metrics\), not \(9,\)"):
        replicates_of(np.zeros(9), weights(9, 5, seed=0))


def test_an_estimate() -> None:
    found = estimate(np.tile(np.arange(10.0), (5, 1)), weights(10, 5, seed=0))
    assert (found["mean"], found["n"]) == (4.5, 10)
    low, high = found["interval"]
    assert (low, high) == (pytest.approx(2.7, abs=0.3), pytest.approx(6.3, abs=0.3))


def test_equal_values_have_an_interval_of_one_point() -> None:
    values = np.full((5, 8), 0.1)
    values[0, 3] = NAN
    assert estimate(values, weights(8, 5, seed=0)) == {"mean": 0.1, "interval": [0.1, 0.1], "n": 8}


def test_one_query_has_no_interval() -> None:
    values = np.full((2, 3), NAN)
    values[:, 1] = [0.2, 0.4]
    assert estimate(values, weights(3, 2, seed=0)) == {"mean": pytest.approx(0.3), "interval": None, "n": 1}


def test_no_value_is_no_mean_and_not_zero() -> None:
    values = np.stack([np.full((2, 3), NAN), np.zeros((2, 3))], axis=2)
    nothing, zero = estimates(values, weights(3, 2, seed=0))
    assert nothing == {"mean": None, "interval": None, "n": 0}
    assert zero == {"mean": 0.0, "interval": [0.0, 0.0], "n": 3}


def test_n_counts_queries_and_not_cells() -> None:
    assert estimate([[NAN, 0.1, 0.2], [NAN, NAN, 0.3]], weights(3, 2, seed=0))["n"] == 2


def test_orders_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(0, 0.1, (1, 80))
    alike, apart = np.repeat(queries, 5, axis=0), queries + np.array([-0.2, -0.1, 0.0, 0.1, 0.2])[:, None]
    drawn = weights(80, 5, seed=0)
    narrow, wide = (np.ptp(estimate(values, drawn)["interval"]) for values in (alike, apart))
    assert wide > 3 * narrow


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Effects of 60 queries, 12 orders and their cells: 95 % nominal, in 300 worlds; Owen's variance errs upwards."""
    rng = np.random.default_rng(0)
    drawn = weights(60, 12, seed=0, replicates=400)
    worlds = rng.normal(0, 0.3, (12, 60, 300)) + rng.normal(0, 1, (1, 60, 300)) + rng.normal(0, 0.4, (12, 1, 300))
    ends = np.array([found["interval"] for found in estimates(worlds, drawn)])
    assert 0.92 <= ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean() <= 0.98
