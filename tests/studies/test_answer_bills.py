"""Bills: the mean of each item over the questions that it is known for, summed; one null makes all of it UNPRICED."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from ragprof.statistics.draws import Draws
from ragprof.studies.injection.data import added_usd, bill_of, usd_for_each, usd_interval, usd_per_1000

IDS = ["a", "b"]


def costs(*rows: tuple[str, str, str | None]) -> pd.DataFrame:
    found = [(query_id, item, None if usd is None else Decimal(usd)) for query_id, item, usd in rows]
    return pd.DataFrame(found, columns=["query_id", "item", "usd"])


PRICED = costs(
    ("a", "prompt tokens", "0.001"), ("b", "prompt tokens", "0.003"), ("a", "machine time", "0.0005"),
    ("elsewhere", "prompt tokens", "9"),
)  # fmt: skip


def test_items_are_averaged_over_their_own_questions() -> None:
    bill = bill_of(PRICED, IDS)
    assert bill is not None
    assert bill.per_query() == Decimal("0.0025")
    assert usd_per_1000(bill) == "2.5"


def test_one_unpriced_line_leaves_the_whole_unpriced() -> None:
    bill = bill_of(pd.concat([PRICED, costs(("b", "machine time", None))]), IDS)
    assert bill is None
    assert (usd_per_1000(bill), usd_interval(bill, Draws.of(IDS, seed=0)), usd_for_each(bill, 3.0)) == (
        None,
        None,
        None,
    )


def test_no_lines_are_no_bill() -> None:
    assert bill_of(PRICED, ["c"]) is None


def test_the_interval_is_over_questions() -> None:
    bill = bill_of(PRICED[PRICED["item"] == "prompt tokens"], IDS)
    assert usd_interval(bill, Draws.of(IDS, seed=0)) == ("1", "3")


def test_an_item_of_a_single_question_leaves_no_interval() -> None:
    assert usd_interval(bill_of(PRICED, IDS), Draws.of(IDS, seed=0)) is None


def test_the_price_of_something_that_is_not_there_is_none() -> None:
    bill = bill_of(PRICED, IDS)
    assert usd_for_each(bill, 250.0) == "0.00001"
    assert (usd_for_each(bill, 0.0), usd_for_each(bill, None)) == (None, None)


def test_added_money_is_exact() -> None:
    cheap, dear = bill_of(PRICED[:1], IDS), bill_of(PRICED, IDS)
    assert added_usd(dear, cheap) == Decimal("0.0015")
    assert added_usd(dear, None) is None
