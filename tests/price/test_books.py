"""Rate books: the shipped ones hold, dates choose, and a bad book says where it is bad."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, UnknownName
from ragprof.price import rate_names
from ragprof.price.rates import Unpriced, catalogue, read_book, shipped_books, valid_on

GOOD = """\
# my prices
[[rates]]
name = "own/rerank"
shape = "per_search"
usd = "1.50"
per = 1000
docs_per_search = 50
since = 2026-01-01
source = "the contract of 2025"

[[rates]]
name = "own/rerank"
shape = "per_search"
usd = "1.25"
per = 1000
docs_per_search = 50
since = 2026-07-01
source = "the contract of 2026"
verified = 2026-07-02
note = "renegotiated"
"""


def test_shipped_names_are_what_the_evals_use() -> None:
    names = set(rate_names())
    assert {
        "free",
        "cohere/rerank-v3.5",
        "voyage/rerank-2.5",
        "bedrock/amazon.rerank-v1",
        "google/ranking-api",
    } <= names
    assert {"aws/m7i.large", "aws/c7i.large", "aws/g5.xlarge", "gcp/e2-standard-2"} <= names


def test_every_shipped_rate_says_where_it_is_from() -> None:
    rates = [rate for entries in catalogue().values() for rate in entries]
    assert len(rates) >= 18
    for rate in rates:
        assert rate.source.startswith("https://"), rate.name
        assert rate.usd > 0, rate.name
        assert rate.verified is not None or rate.note, rate.name


def test_the_books_are_package_data() -> None:
    assert [path.name for path in shipped_books()] == ["machines.toml", "rerankers.toml"]


def test_an_appended_price_leaves_the_older_one_valid() -> None:
    jina = catalogue()["jina/jina-reranker-v2-base-multilingual"]
    assert valid_on(jina, date(2025, 4, 30)).usd == Decimal("0.018")
    assert valid_on(jina, date(2025, 5, 1)).usd == Decimal("0.05")


def test_the_latest_entry_not_after_the_day_is_valid(book: Callable[..., Path]) -> None:
    entries = read_book(book(GOOD))["own/rerank"]
    assert valid_on(entries, date(2026, 6, 30)).usd == Decimal("1.50")
    assert valid_on(entries, date(2026, 7, 1)).usd == Decimal("1.25")
    assert valid_on(entries, date(2026, 7, 1)).verified == date(2026, 7, 2)


def test_before_the_first_entry_there_is_no_rate(book: Callable[..., Path]) -> None:
    with pytest.raises(
        Unpriced, match=r"no rate on that date: 'own/rerank' on 2025-12-31 \(the first is of 2026-01-01\)"
    ):
        valid_on(read_book(book(GOOD))["own/rerank"], date(2025, 12, 31))


def test_a_book_on_top_replaces_all_entries_of_a_name(book: Callable[..., Path]) -> None:
    own = book(GOOD.replace("own/rerank", "cohere/rerank-v3.5"))
    later = book(GOOD.replace("own/rerank", "cohere/rerank-v3.5").replace("1.25", "9.99"), "later.toml")
    assert [rate.usd for rate in catalogue([own])["cohere/rerank-v3.5"]] == [Decimal("1.50"), Decimal("1.25")]
    assert catalogue([own, later])["cohere/rerank-v3.5"][-1].usd == Decimal("9.99")
    assert "aws/m7i.large" in catalogue([own])


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('usd = "1.25"', "usd = 1.25", 14, "1.25 is no price"),
        ('usd = "1.25"', 'usd = "-1"', 14, "'-1' is no price"),
        ('usd = "1.25"', 'usd = "NaN"', 14, "'NaN' is no price"),
        ('usd = "1.25"', 'usd = "cheap"', 14, "'cheap' is no price"),
        ("since = 2026-07-01", 'since = "2026-07-01"', 17, "write a day without quotes"),
        ("since = 2026-07-01", "since = 2026-01-01", 17, "two rates since 2026-01-01"),
        ("verified = 2026-07-02", "verified = true", 19, "'verified' is True"),
        ("per = 1000\ndocs_per_search = 50\nsince = 2026-07-01", "per = 0\nsince = 2026-07-01", 15, "'per' is 0"),
        ('note = "renegotiated"', "note = 3", 20, "write text in quotes"),
        ('source = "the contract of 2026"\n', "", 11, "missing here: 'source'"),
        ('note = "renegotiated"', 'note = "', 20, "not valid TOML"),
    ],
)
def test_a_bad_entry_is_named_with_its_line(
    book: Callable[..., Path], old: str, new: str, line: int, says: str
) -> None:
    assert old in GOOD
    path = book(GOOD.replace(old, new))
    with pytest.raises(BadInput) as failure:
        read_book(path)
    assert (failure.value.file, failure.value.line) == (path, line)
    assert says in str(failure.value)


def test_an_unknown_key_gets_a_suggestion(book: Callable[..., Path]) -> None:
    path = book(GOOD.replace("verified =", "verifed ="))
    with pytest.raises(
        UnknownName, match="no key of a per_search rate named 'verifed'; did you mean 'verified'"
    ) as failure:
        read_book(path)
    assert failure.value.line == 19


def test_an_unknown_shape_gets_a_suggestion(book: Callable[..., Path]) -> None:
    with pytest.raises(UnknownName, match="named 'per_serch'; did you mean 'per_search'") as failure:
        read_book(book(GOOD.replace('per_search"\nusd = "1.50', 'per_serch"\nusd = "1.50')))
    assert failure.value.line == 4


def test_a_key_of_another_shape_is_unknown(book: Callable[..., Path]) -> None:
    with pytest.raises(UnknownName, match="no key of a per_hour rate named 'docs_per_search'"):
        read_book(book(GOOD.replace('per_search"\n', 'per_hour"\n')))


def test_a_misspelt_table_gets_a_suggestion(book: Callable[..., Path]) -> None:
    with pytest.raises(UnknownName, match="named 'rate'; did you mean 'rates'") as failure:
        read_book(book("\n[[rate]]\nname = 'own/x'\n"))
    assert failure.value.line == 2


@pytest.mark.parametrize("name", ["rerank", "own/re:rank", "free", "own/ rerank"])
def test_a_name_must_be_of_a_book(book: Callable[..., Path], name: str) -> None:
    with pytest.raises(BadInput, match="is no rate name"):
        read_book(book(GOOD.replace("own/rerank", name)))


def test_a_book_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.toml: cannot read this rate book"):
        read_book(tmp_path / "absent.toml")
