"""What one query of each billing shape uses, in figures that can be checked on paper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragprof.price import price_recording
from ragprof.price.bills import calls, pair_tokens, pieces
from ragprof.price.rates import PublishedRate

ON = date(2026, 11, 22)
TOKENS = st.integers(min_value=0, max_value=20_000)


def searches(per: int | None, window: int | None = None) -> PublishedRate:
    return PublishedRate(
        name="test/search", unit="search", usd=Decimal("0.002"), per=1, since=ON, source="", shape="per_search",
        verified=None, note="", docs_per_unit=per, window_tokens=window,
    )  # fmt: skip


@pytest.mark.parametrize(("documents", "expected"), [(0, 0), (1, 1), (100, 1), (101, 2), (150, 2), (350, 4)])
def test_a_search_holds_a_hundred_documents(documents: int, expected: int) -> None:
    assert calls([50] * documents, query_tokens=20, rate=searches(100)) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"), [(0, 1), (1, 1), (4_076, 1), (4_077, 2), (8_152, 2), (8_153, 3), (9_000, 3)]
)
def test_a_document_is_split_at_the_window_less_the_query(tokens: int, expected: int) -> None:
    assert pieces(tokens, query_tokens=20, window_tokens=4_096) == expected


def test_pieces_fill_searches_as_documents_do() -> None:
    assert calls([9_000] * 34, query_tokens=20, rate=searches(100, 4_096)) == 2
    assert calls([9_000] * 33, query_tokens=20, rate=searches(100, 4_096)) == 1


def test_without_a_window_no_document_is_split() -> None:
    assert pieces(1_000_000, query_tokens=20, window_tokens=None) == 1


def test_a_query_longer_than_half_the_window_leaves_half_of_it() -> None:
    assert pieces(2_048, query_tokens=10_000, window_tokens=4_096) == 1
    assert pieces(2_049, query_tokens=10_000, window_tokens=4_096) == 2


def test_a_request_without_a_ceiling_is_one_however_many_documents() -> None:
    assert calls([50] * 999, query_tokens=20, rate=searches(None)) == 1
    assert calls([], query_tokens=20, rate=searches(None)) == 0


def test_the_query_is_billed_once_for_every_document() -> None:
    assert pair_tokens([100, 200, 300], query_tokens=20) == 660
    assert pair_tokens([], query_tokens=20) == 0


@given(tokens=TOKENS, more=TOKENS, query=TOKENS, window=st.integers(min_value=2, max_value=5_000))
def test_splitting_is_monotone_in_tokens(tokens: int, more: int, query: int, window: int) -> None:
    fewer = pieces(tokens, query_tokens=query, window_tokens=window)
    assert 1 <= fewer <= pieces(tokens + more, query_tokens=query, window_tokens=window)
    assert fewer <= pieces(tokens, query_tokens=query + more, window_tokens=window)


@given(st.lists(TOKENS, max_size=50), st.lists(TOKENS, max_size=50), TOKENS)
def test_tokens_of_pairs_are_additive(first: list[int], second: list[int], query: int) -> None:
    together = pair_tokens([*first, *second], query_tokens=query)
    assert together == pair_tokens(first, query_tokens=query) + pair_tokens(second, query_tokens=query)


BOOK = """
[[rates]]
name = "test/search"
shape = "per_search"
usd = "2.00"
per = 1000
docs_per_search = 100
window_tokens = 4096
since = 2026-01-01
source = "https://example.org"

[[rates]]
name = "test/request"
shape = "per_request"
usd = "1.00"
per = 1000
docs_per_request = 100
since = 2026-01-01
source = "https://example.org"

[[rates]]
name = "test/token"
shape = "per_input_token"
usd = "0.05"
per = 1000000
since = 2026-01-01
source = "https://example.org"

[[rates]]
name = "test/hour"
shape = "per_hour"
usd = "0.36"
since = 2026-01-01
source = "https://example.org"

[[rates]]
name = "test/month"
shape = "per_month"
usd = "70"
since = 2026-01-01
source = "https://example.org"
"""


@pytest.mark.parametrize(
    ("rate", "usd"),
    [
        ("test/search", "4"),  # 150 documents are 2 searches of $0.002
        ("test/request", "2"),  # and 2 requests of $0.001
        ("test/token", "0.9"),  # 150 x 20 + 150 x 100 = 18,000 tokens of $0.00000005
        ("test/hour", "0.004"),  # 20 ms / 0.5 at $0.0001 a second
        ("test/month", "0.07"),  # $70 / 1,000,000 queries
        ("free", "0"),
    ],
)
def test_each_shape_prices_a_thousand_queries(
    recorded: Callable[..., Path], book: Callable[..., Path], rate: str, usd: str
) -> None:
    folder = recorded(
        prices={"rerank": rate}, candidates={"q1": [100] * 150, "q2": [100] * 150}, timed_ns={"q1": [10**7, 3 * 10**7]}
    )
    priced = price_recording(folder, books=[book(BOOK)], on=ON).pipelines["dense"]
    assert priced.stages["rerank"] == Decimal(usd)


def test_a_long_document_is_billed_as_three(recorded: Callable[..., Path], book: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "test/search"}, candidates={"q1": [9_000] * 34})
    assert price_recording(folder, books=[book(BOOK)], on=ON).pipelines["dense"].stages["rerank"] == Decimal(4)


def test_a_query_that_found_nothing_costs_no_search(recorded: Callable[..., Path], book: Callable[..., Path]) -> None:
    folder = recorded(prices={"rerank": "test/search"}, candidates={"q1": [100] * 10, "q2": []})
    assert price_recording(folder, books=[book(BOOK)], on=ON).pipelines["dense"].stages["rerank"] == Decimal(1)


@pytest.mark.parametrize(
    ("stage", "usd"), [("search", "2"), ("embed", "0.001")]
)  # one recorded search of $0.002; 20 recorded tokens of $0.00000005
def test_search_and_embed_bill_what_they_recorded(
    recorded: Callable[..., Path], book: Callable[..., Path], stage: str, usd: str
) -> None:
    rate = {"search": "test/search", "embed": "test/token"}[stage]
    folder = recorded(prices={stage: rate})
    assert price_recording(folder, books=[book(BOOK)], on=ON).pipelines["dense"].stages[stage] == Decimal(usd)


def test_the_searches_that_happened_are_billed(recorded: Callable[..., Path], book: Callable[..., Path]) -> None:
    folder = recorded(
        prices={"search": "test/search"},
        candidates={"q1": [100], "q2": [100], "q3": [100]},
        timed_ns={"q1": [5, 5], "q2": [5, 5]},
    )
    usage = pd.read_parquet(folder / "usage.parquet")
    several = pd.DataFrame(
        [("dense", "q1", "search", "searches", 3)], columns=["pipeline", "query_id", "stage", "unit", "count"]
    )
    pd.concat([usage[usage["unit"] != "searches"], several]).to_parquet(folder / "usage.parquet")
    # q1 searched three times at $0.002, q2 was asked live and did not search, q3 was never asked live
    assert price_recording(folder, books=[book(BOOK)], on=ON).pipelines["dense"].stages["search"] == Decimal(3)
