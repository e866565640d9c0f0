"""What parsing a corpus costs: by the page of a service, by this machine's time, or nobody has said."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ragprof.corpus.account import ParsedFiles, ReadingAccount
from ragprof.price.parsing import parsing_bill
from ragprof.price.rates import PublishedRate, free_rate

ACCOUNT = ReadingAccount(
    parsed=(
        ParsedFiles(kind=".pdf", files=2, pages=90, empty_pages=1, parsing_ns=36_000_000_000, cached=0),
        ParsedFiles(kind=".parquet", files=10, pages=0, empty_pages=0, parsing_ns=0, cached=10),
    )
)


def rate(shape: str, usd: str, per: int = 1) -> PublishedRate:
    return PublishedRate("acme/x", "unit", Decimal(usd), per, date(2026, 1, 1), "a contract", shape, None, "")


@pytest.mark.parametrize(
    ("named", "usd"),
    [
        (rate("per_page", "1.5", 1000), "0.15"),
        (rate("per_request", "0.01"), "0.12"),
        (rate("per_hour", "2"), "0.04"),
        (free_rate(), "0"),
    ],
    ids=["pages", "files", "time", "free"],
)
def test_a_bill_counts_what_its_rate_is_for(named: PublishedRate, usd: str) -> None:
    bill = parsing_bill(ACCOUNT, named, utilisation=Decimal("0.5"))
    assert bill == {"pages": 100, "rate": named.name, "usd": usd, "reason": ""}


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (None, "no rate for parsing; name one under [prices] as parse (by the page) or machine (by the hour)"),
        (rate("per_search", "2"), "'acme/x' is billed per search, which parsing has none of"),
        (
            rate("per_hour", "2"),
            "'acme/x' is billed per hour; set utilisation under [prices], the busy share of paid hours",
        ),
    ],
    ids=["unnamed", "by the search", "no utilisation"],
)
def test_what_no_rate_covers_is_unpriced_with_its_reason(named: PublishedRate | None, reason: str) -> None:
    assert parsing_bill(ACCOUNT, named, utilisation=None) == {"pages": 100, "rate": None, "usd": None, "reason": reason}
