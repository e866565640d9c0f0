"""The fit of time to first token: coefficients recovered, a bend told only where there is one, else nulls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from ragprof.studies.injection.data import LIVE, InjectionData
from ragprof.studies.injection.first_token import (
    PrefillTimings,
    decode_per_token,
    first_token,
    fitted,
    is_bent,
    nonnegative,
    quadratic_from,
)

LENGTHS = (128, 256, 512, 1024, 2048)


def prefill(
    a: float,
    b: float,
    c: float,
    *,
    lengths: tuple[int, ...] = LENGTHS,
    rounds: int = 4,
    scatter: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (round_, n, (a + b * n + c * n * n) * (1 + scatter * rng.standard_normal()))
        for round_ in range(rounds)
        for n in lengths
    ]
    return pd.DataFrame(rows, columns=["round", "prompt_tokens", "first_token_ns"])


def timings(table: pd.DataFrame) -> PrefillTimings:
    return PrefillTimings(
        *(table[column].to_numpy(float) for column in ("prompt_tokens", "first_token_ns")), table["round"].to_numpy()
    )


def test_coefficients_come_back_from_times_without_noise() -> None:
    fit = first_token(prefill(20e6, 400_000, 30), model="tiny", seed=0)[1]
    assert [getattr(fit, key) for key in ("a_ns", "b_ns_per_token", "c_ns_per_token2")] == pytest.approx(
        [20e6, 400_000, 30]
    )
    assert fit.quadratic_from_tokens == 1530
    assert fit.residual_ns == pytest.approx(0, abs=1)
    assert [line.prompt_tokens for line in fit.residuals] == list(LENGTHS)
    assert fit.statement == (
        "The time to first token of tiny is 20.0 ms and 400 µs per prompt token (n = 20, 128 to 2,048 tokens), plus "
        "30 ns per squared token (95% CI 30\u201330): the quadratic term makes up 10% of the time from 1,530 tokens on."
    )


def test_the_quadratic_term_matters_from_the_first_length_at_which_it_is_a_tenth() -> None:
    at = quadratic_from(20e6, 400_000, 30)
    shares = [30 * n * n / (20e6 + 400_000 * n + 30 * n * n) for n in (at - 1, at)]
    assert shares[0] < 0.1 <= shares[1]
    assert quadratic_from(0.0, 9.0, 1.0) == 1
    assert quadratic_from(0.0, 90.0, 1.0) == 10


def test_a_line_has_no_quadratic_term() -> None:
    fit = first_token(prefill(20e6, 400_000, 0), model="tiny", seed=0)[1]
    assert fit.c_ns_per_token2 == pytest.approx(0, abs=1e-6)
    assert fit.quadratic_from_tokens is None
    assert "no quadratic term can be told from 0" in fit.statement


def test_noise_on_a_line_is_seldom_taken_for_a_bend_and_a_bend_is_found() -> None:
    alarms = [prefill(20e6, 400_000, 0, scatter=0.03, seed=seed) for seed in range(50)]
    bends = [prefill(20e6, 400_000, 30, scatter=0.03, seed=seed) for seed in range(10)]
    assert sum(is_bent(timings(table), fitted(timings(table), seed=0)) for table in alarms) <= 4
    assert sum(is_bent(timings(table), fitted(timings(table), seed=0)) for table in bends) >= 9


def test_a_time_that_grows_more_slowly_than_the_prompt_is_said_to() -> None:
    fit = first_token(prefill(20e6, 400_000, -60, scatter=0.005), model="tiny", seed=0)[1]
    assert fit.c_ns_per_token2 == 0
    assert fit.intervals.c_ns_per_token2[1] < 0
    assert fit.quadratic_from_tokens is None
    assert "grows more slowly than in proportion" in fit.statement


def test_a_round_that_is_slow_throughout_widens_the_line_and_makes_no_bend() -> None:
    table = prefill(20e6, 400_000, 0, scatter=0.002)
    steady = first_token(table, model="tiny", seed=0)[1]
    slow = table.assign(first_token_ns=table["first_token_ns"].where(table["round"] > 0, table["first_token_ns"] * 1.2))
    drifted = first_token(slow, model="tiny", seed=0)[1]
    low, high = drifted.intervals.b_ns_per_token
    assert low < 400_000 < high
    assert high - low > 5 * np.diff(steady.intervals.b_ns_per_token)[0]
    assert drifted.quadratic_from_tokens is None


def test_the_curve_stays_within_what_was_timed() -> None:
    curve = first_token(prefill(20e6, 400_000, 30, scatter=0.02), model="tiny", seed=0)[1].curve
    assert (curve[0].prompt_tokens, curve[-1].prompt_tokens, len(curve)) == (128, 2048, 30)
    assert all(point.interval_ns[0] <= point.value_ns <= point.interval_ns[1] for point in curve)


def test_points_are_the_p50_of_a_length() -> None:
    table = pd.DataFrame({"round": [0, 1, 2], "prompt_tokens": [64] * 3, "first_token_ns": [10.0, 40.0, 20.0]})
    ((point,), _) = first_token(table, model="tiny", seed=0)
    assert (point.prompt_tokens, point.p50_ns, point.n, point.interval_ns) == (64, 23, 3, (10, 40))


@pytest.mark.parametrize("lengths", [(), (128,), (128, 512)])
def test_fewer_than_three_lengths_are_no_fit(lengths: tuple[int, ...]) -> None:
    points, fit = first_token(prefill(20e6, 400_000, 30, lengths=lengths), model="tiny", seed=0)
    assert (fit.a_ns, fit.c_ns_per_token2, fit.curve) == (None, None, [])
    assert f"it was timed at {len(lengths)} prompt lengths" in fit.statement
    assert len(points) == len(lengths)


def test_three_lengths_timed_once_are_a_curve_without_intervals() -> None:
    fit = first_token(prefill(20e6, 400_000, 30, lengths=(128, 512, 2048), rounds=1), model="tiny", seed=0)[1]
    assert fit.c_ns_per_token2 == pytest.approx(30)
    assert fit.intervals.as_json() == {"a_ns": None, "b_ns_per_token": None, "c_ns_per_token2": None}
    assert fit.quadratic_from_tokens is None
    assert "nobody can tell" in fit.statement


def test_times_that_were_not_measured_take_no_part() -> None:
    table = prefill(20e6, 400_000, 30)
    missing = pd.concat([table, table.assign(first_token_ns=None)])
    assert first_token(missing, model="tiny", seed=0) == first_token(table, model="tiny", seed=0)


def test_bounded_least_squares_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    design = rng.random((6, 3))
    rows = rng.standard_normal((50, 6))
    expected = [nnls(design, row)[0] for row in rows]
    assert nonnegative(design, rows) == pytest.approx(np.array(expected), abs=1e-9)


def test_decoding_is_the_time_of_a_token_after_the_first() -> None:
    live = pd.DataFrame(
        {
            "query_id": ["a", "a", "b", "c", "d"],
            "decode_ns": [100.0, 300.0, 90.0, 7.0, None],
            "output_tokens": [11.0, 11.0, 4.0, 1.0, 5.0],
            "first_reasoning_ns": None,
            "reasoning_tokens": None,
        }
    )
    assert decode_per_token(live, seed=0) == {"mean": 25.0, "interval": [20.0, 30.0], "n": 2}


def test_reasoning_is_no_part_of_decoding_and_what_was_not_counted_tells_nothing() -> None:
    live = pd.DataFrame(
        {
            "query_id": ["a", "b"],
            "decode_ns": [100.0, 300.0],
            "output_tokens": [15.0, 15.0],
            "first_reasoning_ns": [5.0, 5.0],
            "reasoning_tokens": [4.0, None],
        }
    )
    found = decode_per_token(live, seed=0)
    assert (found["mean"], found["n"]) == (10.0, 1)


def test_time_of_reasoning_is_that_of_the_rounds_in_which_the_model_reasoned() -> None:
    """One question, two rounds: 5 ms of reasoning in one; in the other, which was quicker, none."""
    rows = pd.DataFrame([dict.fromkeys(LIVE, 0)] * 2).assign(pipeline="one", setting="own", query_id="q1")
    rows = rows.assign(first_token_ns=[45_000_000, 20_000_000], first_reasoning_ns=[40_000_000, None])
    data = InjectionData({}, {}, {}, pd.DataFrame(), rows, pd.DataFrame(), pd.DataFrame())
    assert data.timed("one")["reasoning_ns"].tolist() == [5_000_000]
    assert data.timed("one")["first_token_ns"].tolist() == [32_500_000]
