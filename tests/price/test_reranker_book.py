"""The shipped book of rerankers: every figure says where it is from, and its bills are what the providers describe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ragprof.cli.listing import show
from ragprof.core.errors import BadInput, UnknownName
from ragprof.price import price_recording
from ragprof.price.rates import OPTIONS, PublishedRate, books_folder, read_book, valid_on

LOOKED_UP = date(2026, 11, 22)
BOOK = read_book(books_folder() / "rerankers.toml")
RATES = [rate for entries in BOOK.values() for rate in entries]
PROVIDERS = {
    "azure", "bedrock", "cohere", "contextual", "dashscope", "deepinfra", "fireworks", "google", "isaacus", "jina",
    "mixedbread", "primeintellect", "together", "voyage", "zeroentropy",
}  # fmt: skip

LIMITED = """\
[[rates]]
name = "own/rerank"
shape = "per_input_token"
usd = "0.05"
max_docs = 1000
max_tokens = 32000
since = 2026-01-01
source = "a contract"
"""


def each(rate: PublishedRate) -> str:
    return f"{rate.name} {rate.since}"


@pytest.mark.parametrize("rate", RATES, ids=each)
def test_a_rate_has_a_source_a_past_day_and_a_shape_of_rerankers(rate: PublishedRate) -> None:
    assert rate.source.startswith("https://")
    assert rate.since <= LOOKED_UP
    assert rate.verified is None or rate.since <= rate.verified <= LOOKED_UP
    assert rate.shape in {"per_search", "per_request", "per_input_token"} <= set(OPTIONS)
    assert rate.usd > 0


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate.verified is None], ids=each)
def test_what_is_not_verified_says_why(rate: PublishedRate) -> None:
    assert rate.note.startswith("Not verified")


def test_a_verified_rate_does_not_call_itself_unverified() -> None:
    assert not [rate.name for rate in RATES if rate.verified and "Not verified" in rate.note]


def test_the_main_hosted_rerankers_are_there() -> None:
    assert {name.split("/")[0] for name in BOOK} == PROVIDERS


def test_prices_that_were_read_on_the_provider_s_page() -> None:
    assert {rate.name: str(rate.usd) for rate in RATES if rate.verified} == {
        "contextual/rerank": "0.12",
        "dashscope/gte-rerank-v2": "0.115",
        "dashscope/qwen3-rerank": "0.10",
        "dashscope/qwen3-rerank-beijing": "0.069",
        "deepinfra/qwen3-reranker-0.6b": "0.01",
        "deepinfra/qwen3-reranker-8b": "0.05",
        "mixedbread/mxbai-rerank-large-v2": "0.15",
        "primeintellect/qwen3-reranker-0.6b": "0.20",
        "voyage/rerank-2": "0.05",
        "voyage/rerank-2-lite": "0.02",
        "voyage/rerank-2.5": "0.05",
        "voyage/rerank-2.5-lite": "0.02",
        "zeroentropy/zerank-1": "0.025",
        "zeroentropy/zerank-2": "0.025",
    }


@pytest.mark.parametrize(
    ("name", "day", "usd"),
    [
        ("contextual/rerank", date(2026, 6, 19), "0.12"),
        ("contextual/rerank", date(2026, 6, 20), "0.05"),
        ("jina/jina-reranker-v2-base-multilingual", date(2025, 4, 30), "0.018"),
        ("jina/jina-reranker-v2-base-multilingual", date(2025, 5, 1), "0.05"),
    ],
)
def test_a_changed_price_has_both_days(name: str, day: date, usd: str) -> None:
    assert valid_on(BOOK[name], day).usd == Decimal(usd)


def test_limits_of_a_call_are_those_of_the_provider() -> None:
    limits = {rate.name: (rate.max_docs, rate.max_tokens) for rate in RATES}
    assert limits["voyage/rerank-2.5"] == (1_000, 32_000)
    assert limits["dashscope/qwen3-rerank"] == (500, 4_000)
    assert limits["cohere/rerank-v3.5"] == (10_000, 4_096)
    assert limits["google/ranking-api"] == (200, 1_024)


@pytest.mark.parametrize(
    ("rate", "documents", "usd"),
    [
        # 60 documents of 900 tokens in pieces of 500 - 20: 120 pieces are 2 searches of $0.002.
        ("cohere/rerank-v3.5", [900] * 60, "4"),
        # 60 documents that fit are one search.
        ("cohere/rerank-v3.5", [480] * 60, "2"),
        # Voyage's own example: 100 documents, 500 tokens with the query: 50,000 tokens are $0.0025.
        ("voyage/rerank-2.5", [480] * 100, "2.5"),
        # AWS's own example: 350 documents are 4 queries, of $0.001.
        ("bedrock/amazon.rerank-v1", [100] * 350, "4"),
        # Not split: no window of Google's is billed.
        ("google/ranking-api", [5_000] * 100, "1"),
    ],
)
def test_a_thousand_queries_cost(recorded: Callable[..., Path], rate: str, documents: list[int], usd: str) -> None:
    folder = recorded(prices={"rerank": rate}, candidates={"q1": documents, "q2": documents}, query_tokens=20)
    priced = price_recording(folder, on=LOOKED_UP).pipelines["dense"]
    assert priced.stages["rerank"] == Decimal(usd)


def test_limits_are_read_and_written_down(book: Callable[..., Path]) -> None:
    (rate,) = read_book(book(LIMITED))["own/rerank"]
    assert (rate.max_docs, rate.max_tokens) == (1_000, 32_000)
    assert rate.as_json()["max_docs"] == 1_000
    assert rate.as_json()["max_tokens"] == 32_000


def test_limits_that_are_not_written_are_not_known(book: Callable[..., Path]) -> None:
    (rate,) = read_book(book(LIMITED.replace("max_docs = 1000\nmax_tokens = 32000\n", "")))["own/rerank"]
    assert (rate.max_docs, rate.max_tokens) == (None, None)
    assert rate.as_json()["max_docs"] is None


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("max_docs = 1000", "max_docs = 0", 5, "'max_docs' is 0; write a whole number of 1 or more"),
        ("max_docs = 1000", 'max_docs = "1000"', 5, "'max_docs' is '1000'"),
        ("max_docs = 1000", "max_docs = true", 5, "'max_docs' is True"),
        ("max_tokens = 32000", "max_tokens = -1", 6, "'max_tokens' is -1"),
        ("max_tokens = 32000", "max_tokens = 4096.5", 6, "'max_tokens' is 4096.5"),
    ],
)
def test_a_bad_limit_is_named_with_its_line(
    book: Callable[..., Path], old: str, new: str, line: int, says: str
) -> None:
    path = book(LIMITED.replace(old, new))
    with pytest.raises(BadInput) as failure:
        read_book(path)
    assert (failure.value.file, failure.value.line) == (path, line)
    assert says in str(failure.value)


def test_a_machine_has_no_limits_of_a_call(book: Callable[..., Path]) -> None:
    with pytest.raises(UnknownName, match="no key of a per_hour rate named 'max_docs'") as failure:
        read_book(book(LIMITED.replace("per_input_token", "per_hour")))
    assert failure.value.line == 5


def test_the_list_shows_each_price_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show("rates")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = [" ".join(line.split()) for line in lines]
    at = shown.index("cohere/rerank-v4.0-pro $2.50/1k searches, 2026-03-16 ?")
    assert shown[at + 1 : at + 3] == ["a search: 100 docs, 500 tokens each", "a call: 10,000 docs, window 32,768"]
    assert "jina/jina-reranker-v2-base-multilingual $0.018/1M input tokens, 2025-02-20 ?" in shown
    assert "contextual/rerank $0.12/1M input tokens, 2025-07-01" in shown
    assert "aws/m7i.large $0.1008/hour, 2026-11-22 ?" in shown
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
