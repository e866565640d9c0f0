"""Queries and orders resampled: against loops written out, and against the variance that is known."""

from __future__ import annotations

import numpy as np
import pytest

from ragprof.core.errors import BadInput
from ragprof.statistics.draws import Array, Draws
from ragprof.statistics.unseen import UNIT

NAN = float("nan")
TWICE = Draws(
    ("a", "b"), np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
)


def draws(queries: int, orders: int, *, resamples: int = 1_000, seed: int = 0) -> Draws:
    return Draws.of([f"q{at:03}" for at in range(queries)], seed=seed, resamples=resamples, orders=orders)


def one_metric(values: list[list[float]]) -> Array:
    return np.array(values)[..., None]


def test_each_resample_draws_as_many_as_there_are() -> None:
    drawn = draws(7, 3, resamples=50)
    assert (drawn.counts.shape, drawn.orders.shape) == ((51, 7), (51, 3))
    assert (set(drawn.counts.sum(1)), set(drawn.orders.sum(1))) == ({7.0}, {3.0})


def test_the_same_seed_draws_the_same_queries_whatever_the_number_of_orders() -> None:
    five, one = draws(40, 5, seed=3), draws(40, 1, seed=3)
    assert np.array_equal(five.counts, one.counts)
    assert not np.array_equal(five.counts, draws(40, 5, seed=4).counts)


def test_queries_and_orders_are_drawn_apart() -> None:
    drawn = draws(6, 6)
    assert not np.array_equal(drawn.counts, drawn.orders)


def test_means_written_out() -> None:
    """As found, (1 + 2 + 3 + 4) / 4. Query 0 twice in both orders, (1 + 3) / 2. Order 1 alone, (3 + 4) / 2."""
    assert TWICE.means(one_metric([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[2.5], [2.0], [3.5]]


def test_a_query_without_a_value_takes_no_part() -> None:
    assert TWICE.means(one_metric([[NAN, 2.0], [3.0, 4.0]])).tolist() == [[3.0], [3.0], [3.5]]


def test_a_resample_that_drew_no_value_is_not_a_number() -> None:
    found = TWICE.means(one_metric([[NAN, 2.0], [NAN, 4.0]]))
    assert np.isnan(found[1, 0])
    assert found[2, 0] == 4.0


def test_a_single_row_holds_for_each_order() -> None:
    drawn, row = draws(9, 5, seed=1), np.arange(9.0)[None, :, None]
    assert np.allclose(drawn.means(row), drawn.means(np.repeat(row, 5, axis=0)), atol=1e-12)


def test_every_metric_is_a_column_as_it_would_be_alone() -> None:
    drawn = draws(12, 4, resamples=60)
    values = np.random.default_rng(0).random((4, 12, 3))
    values[values < 0.2] = NAN
    loop = np.array(
        [
            np.nansum(o[:, None, None] * q[None, :, None] * values, axis=(0, 1))
            / (o[:, None, None] * q[None, :, None] * ~np.isnan(values)).sum((0, 1))
            for o, q in zip(drawn.orders, drawn.counts, strict=True)
        ]
    )
    assert np.allclose(drawn.means(values), loop, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 9, 1), (5, 8, 1), (1, 10, 2), (9,), (10, 2)])
def test_values_that_do_not_fit_the_draws(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="do not fit draws of 5 orders and 9 queries"):
        draws(9, 5).means(np.zeros(shape))


def test_an_estimate() -> None:
    found = draws(10, 5).estimate(np.tile(np.arange(10.0), (5, 1)), bounds=None)
    assert (found["mean"], found["n"]) == (4.5, 10)
    low, high = found["interval"]
    assert (low, high) == (pytest.approx(2.7, abs=0.3), pytest.approx(6.3, abs=0.3))


def test_equal_values_have_the_interval_of_what_no_query_showed() -> None:
    values = np.full((5, 8), 0.1)
    values[0, 3] = NAN
    wanted = [0.1 * 0.025 ** (1 / 8), 1 - 0.9 * 0.025 ** (1 / 8)]
    assert draws(8, 5).estimate(values, bounds=UNIT) == {"mean": 0.1, "interval": pytest.approx(wanted), "n": 8}


def test_one_query_has_no_interval() -> None:
    values = np.full((2, 3), NAN)
    values[:, 1] = [0.2, 0.4]
    assert draws(3, 2).estimate(values, bounds=UNIT) == {"mean": pytest.approx(0.3), "interval": None, "n": 1}


def test_no_value_is_no_mean_and_not_zero() -> None:
    values = np.stack([np.full((2, 3), NAN), np.zeros((2, 3))], axis=2)
    nothing, zero = draws(3, 2).estimates(values, bounds=[UNIT, UNIT])
    assert nothing == {"mean": None, "interval": None, "n": 0}
    assert zero == {"mean": 0.0, "interval": [0.0, pytest.approx(0.707599, abs=1e-6)], "n": 3}


def test_n_counts_queries_and_not_cells() -> None:
    assert draws(3, 2).estimate(np.array([[NAN, 0.1, 0.2], [NAN, NAN, 0.3]]), bounds=UNIT)["n"] == 2


def test_orders_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(0, 0.1, (1, 80))
    alike, apart = np.repeat(queries, 5, axis=0), queries + np.array([-0.2, -0.1, 0.0, 0.1, 0.2])[:, None]
    drawn = draws(80, 5)
    narrow, wide = (np.ptp(drawn.estimate(values, bounds=None)["interval"]) for values in (alike, apart))
    assert wide > 3 * narrow


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Effects of 60 queries, 12 orders and their cells: 95 % nominal, in 300 worlds; Owen's variance errs upwards."""
    rng = np.random.default_rng(0)
    drawn = draws(60, 12, resamples=400)
    worlds = rng.normal(0, 0.3, (12, 60, 300)) + rng.normal(0, 1, (1, 60, 300)) + rng.normal(0, 0.4, (12, 1, 300))
    ends = np.array([found["interval"] for found in drawn.estimates(worlds, bounds=[None] * worlds.shape[-1])])
    assert 0.92 <= ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean() <= 0.98
