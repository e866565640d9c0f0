"""What parsing the files of a corpus cost, once: by the page where a service does it, by time where this machine does.

A file of a kind without pages counts as one page. Reads what the recording says was read, and rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ragprof.corpus.account import ReadingAccount
from ragprof.price.pricing import plain
from ragprof.price.rates import FREE, PublishedRate, Unpriced

NS_PER_HOUR = 3_600 * 10**9
UNNAMED = "no rate for parsing; name one under [prices] as parse (by the page) or machine (by the hour)"


def pages_of(account: ReadingAccount) -> int:
    """Pages of all files that were parsed, as a service counts them."""
    return sum(each.pages or each.files for each in account.parsed)


def parsing_bill(
    account: ReadingAccount, rate: PublishedRate | None, *, utilisation: Decimal | None, reason: str = UNNAMED
) -> dict[str, Any]:
    """The `parsing` of rates.json. `reason` is why there is no rate."""
    pages = pages_of(account)
    try:
        if rate is None:
            raise Unpriced(reason)
        usd = rate.cost(_units(account, rate, pages, utilisation))
    except Unpriced as missing:
        return {"pages": pages, "rate": None, "usd": None, "reason": str(missing)}
    return {"pages": pages, "rate": rate.name, "usd": plain(usd), "reason": ""}


def _units(account: ReadingAccount, rate: PublishedRate, pages: int, utilisation: Decimal | None) -> Decimal:
    if rate.shape == FREE:
        return Decimal(0)
    if rate.shape == "per_page":
        return Decimal(pages)
    if rate.shape == "per_request":
        return Decimal(sum(each.files for each in account.parsed))
    if rate.shape != "per_hour":
        raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')}, which parsing has none of")
    if utilisation is None:
        raise Unpriced(
            f"'{rate.name}' is billed per hour; set utilisation under [prices], the busy share of paid hours"
        )
    return Decimal(sum(each.parsing_ns for each in account.parsed)) / NS_PER_HOUR / utilisation


def reading_of(corpus: Mapping[str, Any] | None) -> ReadingAccount:
    """The account in a manifest's `corpus`; an empty one in recordings that say nothing."""
    kept = (corpus or {}).get("reading")
    return kept if isinstance(kept, ReadingAccount) else ReadingAccount.model_validate(kept or {})
