from __future__ import annotations

from typing import Any

import pytest

from ragprof.report import figures


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (850, "850 ns"),
        (412_300, "412 µs"),
        (1_234_567, "1.23 ms"),
        (99_960_000, "100 ms"),
        (1_500_000_000, "1.50 s"),
        (200_000_000_000, "3 min 20 s"),
        (0, "0 ns"),
        (None, "n/a"),
    ],
)
def test_a_duration_is_in_the_unit_that_reads_best(nanoseconds: float | None, text: str) -> None:
    assert figures.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("0.00012", "$0.000120"),
        ("0.1234", "$0.123"),
        ("12.3456", "$12.35"),
        ("123456.7", "$123,457"),
        ("-0.5", "\u2212$0.500"),
        (None, "n/a"),
    ],
)
def test_money_never_becomes_zero_by_rounding(amount: str | None, text: str) -> None:
    assert figures.usd(amount) == text


def test_a_published_price_keeps_its_digits() -> None:
    assert figures.plain_usd("0.0832") == "$0.0832"
    assert figures.plain_usd("0.02") == "$0.02"


@pytest.mark.parametrize(
    ("ends", "write", "text"),
    [
        ([1_000_000, 2_000_000], figures.duration, "1.00\u20132.00 ms"),
        ([900_000, 2_000_000], figures.duration, "900 µs\u20132.00 ms"),
        ([0.4, 0.6], figures.score, "0.400\u20130.600"),
        ([-0.01, 0.02], figures.difference, "\u22120.010 to +0.020"),
        (["0.1", "0.2"], figures.usd, "$0.100\u2013$0.200"),
        ([None, 0.6], figures.score, "n/a"),
        (None, figures.score, "n/a"),
    ],
)
def test_an_interval_writes_a_shared_unit_once(ends: Any, write: Any, text: str) -> None:
    assert figures.span(ends, write) == text


def test_counts_shares_and_sizes() -> None:
    assert figures.count(19740) == "19,740"
    assert figures.mean_count(1041.25) == "1,041.2"
    assert figures.rough_count(4_123_456) == "4.12 million"
    assert figures.rough_count(1_000_000) == "1 million"
    assert figures.share(0.996) == "99.6%"
    assert figures.share(-0.0008) == "\u22120.1%"
    assert figures.size(20_213_760) == "20.2 MB"
    assert figures.p_value(0.0004) == "< 0.001"
    assert figures.day("2026-11-22T01:02:03Z") == "22 November 2026"
    assert figures.day("yesterday") == "yesterday"


@pytest.mark.parametrize(
    "write",
    [
        *(figures.duration, figures.size, figures.count, figures.mean_count, figures.rough_count, figures.score),
        *(
            figures.difference,
            figures.share,
            figures.p_value,
            figures.usd,
            figures.plain_usd,
            figures.day,
            figures.text,
        ),
    ],
)
def test_absent_is_never_zero(write: Any) -> None:
    assert write(None) == "n/a"
