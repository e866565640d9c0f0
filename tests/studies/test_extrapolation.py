"""Forecasts of curves that are known, and the reasons why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from ragprof.core.errors import BadInput, UnknownName
from ragprof.studies.growth.extrapolation import (
    MODELS,
    Addend,
    Held,
    Predicted,
    checked,
    figure,
    forecast,
    forecast_sum,
    log_linear,
    power_law,
)

SIZES = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]
N = np.array(SIZES, dtype=float)
TARGETS = [64_000, 320_000]
NONE = np.empty((0, len(SIZES)))
UNIT, POSITIVE = (0.0, 1.0), (0.0, np.inf)


def around(points: ArrayLike, *, level: float = 0.0, apart: float = 0.0) -> NDArray[np.float64]:
    """Replicates: all sizes move together by `level`, and each on its own by `apart` (standard deviations)."""
    rng = np.random.default_rng(0)
    return np.asarray(points) + rng.normal(0, level, (500, 1)) + rng.normal(0, apart, (500, np.size(points)))


def quality(points: ArrayLike, replicates: ArrayLike, *, targets: list[int] = TARGETS) -> dict[str, Any]:
    return forecast(SIZES, replicates, points, targets=targets, model="log-linear", bounds=UNIT)


def timing(points: ArrayLike, replicates: ArrayLike = NONE, *, targets: list[int] = TARGETS) -> dict[str, Any]:
    return forecast(SIZES, replicates, points, targets=targets, model="power law", bounds=POSITIVE)


def test_a_straight_line_goes_on() -> None:
    """0.8 at 1,000, and 0.05 less at each doubling."""
    points = 0.8 - 0.05 * np.log2(N / 1_000)
    answer = quality(points, around(points, level=0.02))
    assert (answer["model"], answer["abstained"], answer["reason"]) == ("log-linear", False, "")
    assert answer["interval_kind"] == "queries and orders"
    assert answer["held_out"]["size"] == 32_000
    assert answer["held_out"]["predicted"] == pytest.approx(0.55)
    assert answer["held_out"]["error"] == pytest.approx(0.0, abs=1e-9)
    assert [(at["size"], round(at["value"], 4)) for at in answer["at"]] == [(64_000, 0.5), (320_000, 0.3839)]
    low, high = answer["at"][1]["interval"]
    assert (low, high) == (pytest.approx(0.345, abs=0.005), pytest.approx(0.423, abs=0.005))


def test_what_resampling_leaves_open_grows_with_the_distance() -> None:
    points = 0.8 - 0.05 * np.log2(N / 1_000)
    answer = quality(points, around(points, apart=0.01))
    widths = [np.ptp(part["interval"]) for part in (answer["held_out"], *answer["at"])]
    assert widths == sorted(widths)


def test_a_held_out_error_widens_the_interval_by_the_steps_beyond() -> None:
    """Off by 0.004 for one doubling: at five doublings the ends lie 0.02 further out than at the held-out size."""
    held = Predicted(32_000, 0.504, (0.484, 0.524))
    far = Predicted(1_024_000, 0.3, (0.295, 0.305))
    answer = checked("m", [Held(held, 0.5, 16_000)], at=[far], bounds=UNIT)
    assert answer["at"] == [{"size": 1_024_000, "value": 0.3, "interval": [pytest.approx(0.26), pytest.approx(0.34)]}]


def test_scatter_about_the_curve_stands_in_for_a_held_out_size_hit_by_chance() -> None:
    held, far = Predicted(32_000, 0.5, (0.48, 0.52)), Predicted(64_000, 0.4, (0.38, 0.42))
    answer = checked("m", [Held(held, 0.5, 16_000)], at=[far], bounds=UNIT, scatter=0.03)
    assert answer["at"][0]["interval"] == [pytest.approx(0.35), pytest.approx(0.45)]


def test_within_the_data_no_model_error_is_added() -> None:
    held, inner = Predicted(32_000, 0.51, (0.48, 0.53)), Predicted(20_000, 0.6, (0.58, 0.62))
    answer = checked("m", [Held(held, 0.5, 16_000)], at=[inner], bounds=UNIT)
    assert answer["at"][0]["interval"] == [pytest.approx(0.57), pytest.approx(0.62)]


def test_errors_of_a_relative_model_are_shares_of_the_value() -> None:
    held, far = Predicted(32_000, 110.0, (90.0, 120.0)), Predicted(64_000, 200.0, (195.0, 205.0))
    answer = checked("m", [Held(held, 100.0, 16_000)], at=[far], bounds=POSITIVE, relative=True)
    assert answer["at"][0]["interval"] == [pytest.approx(140.0), pytest.approx(240.0)]


def test_a_missed_held_out_size_is_no_forecast() -> None:
    points = 0.8 - 0.05 * np.log2(N / 1_000)
    points[-1] = 0.45
    answer = quality(points, around(points, level=0.01))
    assert (answer["abstained"], answer["at"]) == (True, [])
    assert answer["held_out"]["error"] == pytest.approx(0.1)
    assert answer["reason"] == "predicted 0.550 [0.531, 0.569] for 32,000, measured 0.450"


def test_a_curve_that_bends_is_no_line() -> None:
    points = 0.9 - 0.02 * np.log2(N / 1_000) ** 2
    answer = quality(points, around(points, level=0.01))
    assert answer["abstained"]
    assert answer["held_out"]["predicted"] == pytest.approx(0.54)
    assert answer["held_out"]["measured"] == pytest.approx(0.40)


def test_no_value_where_the_line_has_left_the_range_of_the_metric() -> None:
    points = 0.6 - 0.1 * np.log2(N / 1_000)
    answer = quality(points, around(points, level=0.02), targets=[48_000, 128_000, 640_000])
    assert [at["size"] for at in answer["at"]] == [48_000]
    assert answer["at"][0]["interval"][0] >= 0.0
    assert answer["reason"] == "no value for 128,000, 640,000: there the curve has left the range 0 to 1"
    assert not answer["abstained"]
    assert quality(points, around(points, level=0.02), targets=[640_000])["abstained"]


@pytest.mark.parametrize(("model", "kept", "needed"), [("log-linear", 3, 3), ("power law", 4, 4)])
def test_too_few_sizes(model: str, kept: int, needed: int) -> None:
    points = np.arange(1.0, 7.0)
    answer = forecast(
        SIZES[:kept], np.ones((9, kept)), points[:kept], targets=TARGETS, model=model, bounds=POSITIVE
    )  # fmt: skip
    assert answer["abstained"]
    asked, found = f"the {model} needs {needed} sizes below the largest to be fitted to", f"{kept - 1} were measured"
    assert answer["reason"] == f"{asked}, and {found}"
    held = {"size": SIZES[kept - 1], "predicted": None, "interval": None, "measured": float(kept), "error": None}
    assert answer["held_out"] == held


def test_sizes_that_were_not_measured_are_left_out() -> None:
    points = 0.8 - 0.05 * np.log2(N / 1_000)
    points[[1, 5]] = np.nan
    answer = quality(points, around(points, level=0.02))
    assert answer["held_out"]["size"] == 16_000
    assert answer["at"][0]["value"] == pytest.approx(0.5)
    assert quality(np.full(6, np.nan), NONE)["held_out"]["size"] is None


def test_a_power_law_is_found_again() -> None:
    answer = timing(2e6 + 3_000 * N**0.5)
    assert answer["held_out"]["predicted"] == pytest.approx(2e6 + 3_000 * 32_000**0.5, rel=1e-6)
    assert [at["value"] for at in answer["at"]] == pytest.approx([2e6 + 3_000 * n**0.5 for n in TARGETS], rel=1e-6)
    assert answer["interval_kind"] == "residuals about the curve"


def test_bytes_of_a_flat_index() -> None:
    answer = timing(45 + 1_024 * N)
    assert [round(at["value"]) for at in answer["at"]] == [45 + 1_024 * n for n in TARGETS]
    assert answer["at"][1]["interval"] == pytest.approx([0.99 * 327_680_045, 1.01 * 327_680_045])


def test_what_does_not_grow_is_forecast_flat() -> None:
    answer = timing(np.full(6, 5e6), around(np.full(6, 5e6), level=1e5))
    assert [at["value"] for at in answer["at"]] == pytest.approx([5e6, 5e6])
    assert answer["at"][0]["interval"] == pytest.approx(answer["at"][1]["interval"])


def test_noise_about_a_constant_is_no_growth() -> None:
    """The last size is 2 % slow: c + a n^1.5 would fit best and forecast 1.6 times the time at ten times the size."""
    answer = timing(5e6 * np.array([1.0, 0.99, 1.01, 1.0, 1.0, 1.02]))
    assert answer["at"][0]["value"] == answer["at"][1]["value"] == pytest.approx(5e6, rel=0.01)


def test_falling_values_are_not_forecast_to_fall_for_ever() -> None:
    answer = timing(5e6 * np.array([1.3, 1.2, 1.15, 1.1, 1.08, 1.07]))
    assert all(at["value"] > 5e6 for at in answer["at"])


def test_timings_scatter_more_than_resampled_queries_show() -> None:
    points = 300 * N * np.array([1.03, 0.97, 1.02, 0.98, 1.01, 1.02])
    answer = timing(points, points * (1 + np.random.default_rng(0).normal(0, 0.001, (500, 1))))
    assert not answer["abstained"]
    assert answer["interval_kind"] == "queries and orders, residuals about the curve"
    low, high = answer["at"][1]["interval"]
    assert low < 300 * 320_000 < high
    assert high - low > 0.1 * 300 * 320_000


def test_a_cliff_at_the_largest_size_is_no_power_law() -> None:
    points = 300 * N
    points[-1] *= 2
    answer = timing(points)
    assert answer["reason"] == "predicted 9,600,000 [9,504,000, 9,696,000] for 32,000, measured 19,200,000"


def test_a_power_law_of_nothing() -> None:
    answer = timing([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert answer["reason"] == "the power law needs values above 0, and one of 0 was measured"


def test_each_row_is_fitted_as_it_would_be_alone() -> None:
    rows = np.random.default_rng(0).uniform(1, 2, (150, 6)) * N**0.7
    at = np.array([64_000.0])
    for fit in (log_linear, power_law):
        alone = [fit(N, row[None], at)[0, 0] for row in rows]
        assert np.allclose(fit(N, rows, at)[:, 0], alone)


def test_the_line_is_that_of_least_squares() -> None:
    points = np.array([0.9, 0.7, 0.65, 0.6, 0.4, 0.42])
    slope, level = np.polyfit(np.log(N), points, 1)
    assert log_linear(N, points[None], np.array([64_000.0]))[0, 0] == pytest.approx(level + slope * np.log(64_000))


@pytest.mark.parametrize("model", ["linear", "logarithmic", "constant"])
def test_forecasts_of_noisy_timings_hold_twenty_times_further_where_the_curve_is_known(model: str) -> None:
    """3 % noise: most are made, and at least nine in ten hold the truth, whatever grows."""
    truth = {"linear": 2e6 + 300 * np.append(N, 640_000), "constant": np.full(7, 5e6)}
    truth["logarithmic"] = 2e6 + 4e5 * np.log(np.append(N, 640_000) / 1_000)
    rng = np.random.default_rng(0)
    drawn = [truth[model][:6] * (1 + rng.normal(0, 0.03, 6)) for _ in range(60)]
    answers = [forecast(SIZES, NONE, each, targets=[640_000], model=model, bounds=POSITIVE) for each in drawn]
    ends = np.array([answer["at"][0]["interval"] for answer in answers if answer["at"]])
    assert len(ends) > 45
    assert ((ends[:, 0] <= truth[model][-1]) & (ends[:, 1] >= truth[model][-1])).mean() >= 0.9


def test_a_power_law_of_noisy_timings_says_little_twenty_times_further() -> None:
    """Its exponent is not known: what it does not know is no forecast."""
    rng = np.random.default_rng(0)
    answers = [timing((2e6 + 300 * N) * (1 + rng.normal(0, 0.03, 6)), targets=[640_000]) for _ in range(60)]
    assert sum(bool(answer["at"]) for answer in answers) < 15


def test_an_exact_scan_is_never_forecast_flat_and_never_below_what_it_took_already() -> None:
    """Flat within the noise from 1,000 to 32,000: the scan rises all the same, and the last size is the slowest."""
    points = 9.5e6 * np.array([1.0, 1.004, 0.997, 1.002, 0.999, 1.01])
    answer = forecast(SIZES, NONE, points, targets=TARGETS, model="linear", bounds=POSITIVE)
    values = [at["value"] for at in answer["at"]]
    assert values[0] >= points[-1]
    assert values == sorted(values)
    assert values[-1] > values[0]
    assert answer["at"][0]["interval"][1] > 9.5e6


def test_a_scan_a_graph_and_a_constant_go_on_as_what_they_do_says() -> None:
    curves = {"linear": 2e6 + 300 * N, "logarithmic": 2e6 + 4e5 * np.log(N / 1_000), "constant": np.full(6, 5e6)}
    found = {
        model: [at["value"] for at in forecast(SIZES, NONE, each, targets=TARGETS, model=model, bounds=POSITIVE)["at"]]
        for model, each in curves.items()
    }
    assert found["linear"] == pytest.approx([2e6 + 300 * 64_000, 2e6 + 300 * 320_000])
    assert found["logarithmic"] == pytest.approx([2e6 + 4e5 * np.log(64), 2e6 + 4e5 * np.log(320)])
    assert found["constant"] == pytest.approx([5e6, 5e6])


def test_money_is_the_sum_of_what_it_pays_for() -> None:
    """$0.10 for the prompt and $0.03 for the reranker stay; a scan of $0.02 at 32,000 doubles with the corpus."""
    none = np.empty((0, 6))
    parts = [
        Addend("log-linear", np.full(6, 0.10), none),
        Addend("constant", np.full(6, 0.03), none),
        Addend("linear", 0.02 * N / 32_000, none),
    ]
    answer = forecast_sum(SIZES, parts, targets=TARGETS, bounds=POSITIVE)
    assert answer["model"] == "sum of parts"
    assert [at["value"] for at in answer["at"]] == pytest.approx([0.17, 0.33])
    assert answer["held_out"]["measured"] == pytest.approx(0.15)


def test_an_interval_wider_than_the_value_is_no_forecast() -> None:
    held = Predicted(32_000, 0.153, (0.1, 0.2))
    near, far = Predicted(64_000, 0.16, (0.09, 0.22)), Predicted(640_000, 0.47, (0.0, 0.95))
    answer = checked("m", [Held(held, 0.153, 16_000)], at=[near, far], bounds=POSITIVE, is_known=True)
    assert [at["size"] for at in answer["at"]] == [64_000]
    assert answer["reason"] == "no value for 640,000: the interval is wider than the value and than what was measured"
    alone = checked("m", [Held(held, 0.153, 16_000)], at=[far], bounds=POSITIVE, is_known=True)
    assert (alone["abstained"], alone["at"]) == (True, [])


def test_a_model_must_hold_at_the_two_largest_sizes() -> None:
    """At the largest it is right by chance; at the one before it was far off."""
    points = 2e6 + 300 * N
    points[4] *= 1.5
    answer = forecast(SIZES, NONE, points, targets=TARGETS, model="linear", bounds=POSITIVE)
    assert answer["held_out_before"]["size"] == 16_000
    assert answer["abstained"]
    assert "for 16,000, measured 10,200,000" in answer["reason"]


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.relative])
def test_no_model_of_what_is_taken_ever_falls(model: str) -> None:
    falling = 5e6 * np.array([[1.3, 1.2, 1.15, 1.1, 1.08, 1.07]])
    found = MODELS[model].fit(N, falling, np.array([64_000.0, 320_000.0, 3_200_000.0]))[0]
    assert (np.diff(found) >= -1e-6 * found[0]).all()


def test_the_largest_figures_are_whole_numbers_and_the_smallest_have_digits() -> None:
    assert [figure(x) for x in (12_345_678.9, 56.78, 0.3314, 0.012345, 0.0, -0.5)] == [
        "12,345,679", "56.8", "0.331", "0.0123", "0", "-0.500",
    ]  # fmt: skip


def test_names_and_shapes_that_cannot_be() -> None:
    with pytest.raises(UnknownName, match="no model of growth named 'power'; did you mean 'power law'"):
        forecast(SIZES, NONE, N, targets=TARGETS, model="power", bounds=POSITIVE)
    with pytest.raises(BadInput, match="one mean per size"):
        forecast(SIZES, np.ones((5, 4)), N, targets=TARGETS, model="power law", bounds=POSITIVE)
    with pytest.raises(BadInput, match="sizes of a forecast rise"):
        forecast([*SIZES[:5], 5], NONE, N, targets=TARGETS, model="power law", bounds=POSITIVE)


def test_a_sure_error_that_matters_abstains_though_the_interval_is_wide() -> None:
    """The questions differ a lot from each other, so the interval is wide; the curve bends for each of them alike."""
    sizes = [100, 200, 400, 800, 1600]
    curve = np.array([0.60, 0.50, 0.41, 0.34, 0.30])
    shift = np.random.default_rng(3).normal(0, 0.05, 500)[:, None]
    found = forecast(sizes, curve + shift, curve, targets=[3200], model="log-linear", bounds=(0, 1))
    held = found["held_out"]
    assert held["interval"][0] < held["measured"] < held["interval"][1]
    assert held["error_interval"][1] < 0
    assert found["abstained"]
    assert found["reason"] == "predicted 0.245 for 1,600, measured 0.300: off by -0.055 [-0.055, -0.055]"


def test_a_sure_error_that_does_not_matter_is_no_reason_to_abstain() -> None:
    sizes = [100, 200, 400, 800, 1600]
    curve = np.array([0.60, 0.55, 0.50, 0.45, 0.41])
    shift = np.random.default_rng(3).normal(0, 0.05, 500)[:, None]
    found = forecast(sizes, curve + shift, curve, targets=[3200], model="log-linear", bounds=(0, 1))
    assert found["held_out"]["error"] == pytest.approx(-0.01)
    assert not found["abstained"]
