"""Margins and verdicts at their edges."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compare_data import cost, ndcg, rising, row, side, timings, tokens

from ragprof.core.quantities import Kind, quantity
from ragprof.evals import GateMargin
from ragprof.studies.gate.cells import verdict_cell
from ragprof.studies.gate.comparison import compare
from ragprof.studies.gate.document import Better, GateVerdict, Interval, QuantityRow, Verdict
from ragprof.studies.gate.verdicts import (
    DEFAULTS,
    Clock,
    Tolerance,
    better_of,
    bound,
    clocked_tolerance,
    correction,
    exit_code,
    gate_correction,
    gate_verdict,
    overall,
    verdict,
)


def default_tolerance(kind: Kind, clock: Clock) -> Tolerance:
    return clocked_tolerance(DEFAULTS[kind], kind, clock)


@pytest.mark.parametrize(
    ("interval", "p", "better", "told"),
    [
        ((-0.01, 0.01), 0.001, "higher", "equivalent"),
        ((0.002, 0.009), 0.001, "higher", "equivalent"),
        ((0.002, 0.0101), 0.001, "higher", "better"),
        ((0.002, 0.0101), 0.001, "lower", "worse"),
        ((-0.03, -0.001), 0.049, "higher", "worse"),
        ((-0.03, -0.001), 0.05, "higher", "undecided"),
        ((-0.03, 0.0), 0.001, "higher", "undecided"),
        ((-0.03, 0.03), 0.001, "higher", "undecided"),
        ((0.02, 0.03), None, "higher", "undecided"),
        (None, 0.001, "higher", "undecided"),
    ],
)
def test_a_verdict_needs_the_interval_and_p(
    interval: Interval | None, p: float | None, better: Better, told: Verdict
) -> None:
    assert verdict(interval, margin=0.01, p=p, better=better, alpha=0.05) == told


@pytest.mark.parametrize(
    ("told", "interval", "p", "family", "why"),
    [
        ("undecided", (0.007, 0.063), 0.12, 45,
         "not significant after correction for 45 comparisons (Holm, p = 0.120)"),
        ("undecided", (-0.007, 0.063), 0.12, 45, ""),
        ("undecided", (0.007, 0.063), 0.12, 1, ""),
        ("better", (0.007, 0.063), 0.01, 45, ""),
        ("undecided", None, None, 45, ""),
    ],
)  # fmt: skip
def test_an_undecided_difference_whose_interval_excludes_0_says_that_p_is_corrected(
    told: str, interval: Interval | None, p: float | None, family: int, why: str
) -> None:
    assert correction(told, interval, p=p, family=family) == why


def test_a_row_and_its_gate_say_that_p_is_corrected() -> None:
    """Ten quantities are compared; nDCG@10 alone would be told with p = 0.02."""
    undecided = QuantityRow(
        pipeline="p", base_pipeline="p", quantity="nDCG@10", kind="quality", stage="", name="nDCG@10", unit="",
        better="higher", primary=True, interval=(-0.08, -0.02), p=0.02, p_holm=0.2, margin=0.01, margin_why="",
        verdict="undecided", more_queries=30,
    )  # fmt: skip
    why = "not significant after correction for 10 comparisons (Holm, p = 0.200)"
    assert gate_correction("undecided", undecided, family=10) == why
    assert gate_correction("undecided", replace(undecided, margin=0.05), family=10) == ""
    cell = verdict_cell(replace(undecided, reason=why))
    assert (cell.text, cell.note) == ("\u25c7 undecided", f"{why}; about 30 more queries would be needed")


@pytest.mark.parametrize(
    ("interval", "p", "better", "told"),
    [
        ((-5.0, 1.0), 0.9, "lower", "holds"),
        ((-5.0, 1.01), 0.9, "lower", "undecided"),
        ((1.01, 5.0), 0.04, "lower", "regression"),
        ((1.01, 5.0), 0.05, "lower", "undecided"),
        ((1.0, 5.0), 0.001, "lower", "undecided"),
        ((1.01, 5.0), None, "lower", "undecided"),
        ((1.01, 5.0), 0.001, "higher", "holds"),
        ((-5.0, -1.01), 0.001, "higher", "regression"),
        ((-1.0, 5.0), 0.001, "higher", "holds"),
        (None, None, "higher", "undecided"),
    ],
)
def test_a_regression_lies_beyond_the_margin_as_a_whole(
    interval: Interval | None, p: float | None, better: Better, told: GateVerdict
) -> None:
    assert gate_verdict(interval, margin=1.0, p=p, better=better, alpha=0.05) == told


def test_no_difference_holds_without_a_margin() -> None:
    assert gate_verdict((0.0, 0.0), margin=0.0, p=1.0, better="lower", alpha=0.05) == "holds"


@pytest.mark.parametrize(
    ("absolute", "relative", "base", "value", "why"),
    [
        (5.0, 0.1, 40.0, 5.0, "5 ms"),
        (5.0, 0.1, 60.0, 6.0, "10 % of the base"),
        (0.0, 0.1, -60.0, 6.0, "10 % of the base"),
        (5.0, 0.1, None, 5.0, "5 ms"),
        (0.0, 0.0, 60.0, 0.0, "no difference is allowed"),
    ],
)
def test_a_margin_is_the_larger_of_absolute_and_relative(
    absolute: float, relative: float, base: float | None, value: float, why: str
) -> None:
    found = bound(Tolerance(absolute, relative), base=base, unit="ms")
    assert (found.value, found.why) == (value, why)


def test_a_margin_is_never_below_the_noise() -> None:
    found = bound(Tolerance(0.0, 0.01), base=200.0, noise=0.04, unit="ms")
    assert (found.value, found.why) == (8.0, "4 % of the base, the noise of this machine")
    assert bound(Tolerance(0.0, 0.05), base=200.0, noise=0.04, unit="ms").value == 10.0


def test_measured_time_in_a_bill_has_the_margin_of_a_clock() -> None:
    found = bound(default_tolerance("cost", "two jobs"), base=10.0, clocked_base=2.0)
    assert found.value == pytest.approx(8.0 * 0.02 + 2.0 * 0.26)
    assert found.why == "2 % of the base, 26 % of its measured time: the sides were timed in two jobs"
    assert bound(default_tolerance("cost", "one job"), base=10.0, clocked_base=2.0).value == pytest.approx(0.2)


def test_two_jobs_have_a_wider_margin_for_latency_alone() -> None:
    assert [default_tolerance(kind, "two jobs").relative for kind in ("latency", "usage", "cost")] == [
        0.26,
        0.01,
        0.02,
    ]
    assert default_tolerance("latency", "one job").relative == 0.1
    assert default_tolerance("quality", "two jobs").absolute == 0.01


def test_the_margins_of_a_comparison_depend_on_its_jobs() -> None:
    rows = ndcg(rising(0.1, 0.05, 8)), tokens([1000.0] * 8), cost([2.0] * 8, "search", "machine time")
    base = side(*rows, times=[timings([[100.0] * 8])])
    one, two = (compare(base, side(*rows, times=[timings([[100.0] * 8])], job=job)) for job in ("j1", "j2"))
    names = ("nDCG@10", "latency_p95", "inject.prompt_tokens", "usd_per_1000_queries")
    assert [row(one, name).margin for name in names] == [0.01, 10.0, 10.0, 0.04]
    assert [row(two, name).margin for name in names] == [0.01, 26.0, 10.0, 0.52]
    assert (one.same_job, two.same_job) == (True, False)


def test_margins_that_are_given_replace_the_defaults_of_their_kind() -> None:
    base = side(ndcg([0.5] * 6), tokens([1000.0] * 6))
    document = compare(
        base, side(ndcg([0.48, 0.479] * 3), tokens([1000.0] * 6)), margins={"quality": GateMargin(absolute=0.03)}
    )
    assert (row(document, "nDCG@10").margin, row(document, "nDCG@10").verdict) == (0.03, "equivalent")
    assert row(document, "inject.prompt_tokens").margin == 10.0


def test_holm_corrects_over_every_figure_that_is_compared() -> None:
    before, after = [0.5] * 8, [0.6] * 8
    base = side(ndcg(before), ndcg(before, "b"), tokens([9.0] * 8), pipelines=["a", "b"])
    document = compare(base, side(ndcg(after), ndcg(before, "b"), tokens([9.0] * 8), pipelines=["a", "b"]))
    found = row(document, "nDCG@10")
    assert document.family == 3
    assert found.p == pytest.approx(2 / 2**8, rel=0.4)
    assert found.p_holm == pytest.approx(3 * found.p)
    assert row(document, "inject.prompt_tokens").p_holm == 1.0


def test_a_single_figure_may_be_told_where_one_of_many_is_not() -> None:
    before, after = [0.5] * 7, [0.6, 0.61, 0.59, 0.6, 0.61, 0.59, 0.6]
    more = [tokens([9.0] * 7), cost([2.0] * 7)]
    alone = row(compare(side(ndcg(before)), side(ndcg(after))), "nDCG@10")
    among = row(compare(side(ndcg(before), *more), side(ndcg(after), *more)), "nDCG@10")
    assert (alone.verdict, among.verdict) == ("better", "undecided")


def test_lower_is_better_for_all_but_quality() -> None:
    assert [better_of(quantity(name)) for name in ("nDCG@10", "latency_p95", "inject.prompt_tokens")] == [
        "higher",
        "lower",
        "lower",
    ]
    assert better_of(quantity("inject.docs_injected"), GateMargin(better="higher")) == "higher"


@pytest.mark.parametrize(
    ("verdicts", "strict", "code", "worst"),
    [
        (["holds", "holds"], True, 0, "holds"),
        (["holds", "undecided"], False, 0, "undecided"),
        (["holds", "undecided"], True, 4, "undecided"),
        (["undecided", "incomparable"], True, 3, "incomparable"),
        (["incomparable", "regression"], False, 1, "regression"),
        (["holds", "unpriced"], False, 1, "regression"),
    ],
)
def test_the_exit_code_is_that_of_the_worst_gate(
    verdicts: list[GateVerdict], strict: bool, code: int, worst: GateVerdict
) -> None:
    assert exit_code(verdicts, strict=strict) == code
    assert overall(verdicts) == worst


def test_a_latency_gate_between_jobs_is_never_finer_than_two_jobs_are() -> None:
    assert clocked_tolerance(GateMargin(relative=0.05), "latency", "two jobs").relative == 0.26
    assert clocked_tolerance(GateMargin(relative=0.40), "latency", "two jobs").relative == 0.40
    assert clocked_tolerance(GateMargin(relative=0.05), "latency", "one job").relative == 0.05
