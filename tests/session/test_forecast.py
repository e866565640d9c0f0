"""What a run would take, said before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragprof.core.clock import Silent
from ragprof.record.rankings import document_vectors
from ragprof.session.forecast import forecast
from ragprof.studies.preparation import prepare


def rows(handbook: Path, cache: Path) -> dict[str, str]:
    return dict(forecast(prepare(handbook).subject, cache=cache))


def test_what_there_is_to_do(handbook: Path, cache: Path) -> None:
    found = rows(handbook, cache)
    assert found["corpus"] == "handbook: 24 passages of 24 documents, about 643 tokens"
    assert found["questions"] == "12 judged"
    assert found["pipelines"] == "bm25, dense, hybrid, hybrid+overlap"
    assert found["embed with hashing"].startswith("24 of 24 passages are new: about ")
    assert found["time"].endswith("in all, 2 s of it live timings")


def test_prompts_and_their_price(handbook: Path, cache: Path) -> None:
    """Three passages of 26.8 tokens; gpt-4o-mini reads a million tokens for $0.15."""
    expected = "about 80 tokens a query, about $0.012 per 1,000 queries with openai:gpt-4o-mini"
    assert rows(handbook, cache)["prompt of bm25"] == expected


@pytest.mark.parametrize(
    ("llm", "expected"),
    [("", ", UNPRICED (no llm in [prices])"), ('llm = "free"\n', ", priced by 'free'")],
    ids=["none", "from-a-book"],
)
def test_prompts_without_a_models_price(handbook: Path, cache: Path, llm: str, expected: str) -> None:
    text = handbook.read_text()
    handbook.write_text(text.replace('llm = "openai:gpt-4o-mini"\n', llm))
    assert rows(handbook, cache)["prompt of bm25"] == f"about 80 tokens a query{expected}"


def test_what_is_embedded_already_is_not_counted_again(handbook: Path, cache: Path) -> None:
    subject = prepare(handbook).subject
    embedder = subject.pipelines[1].embedder
    assert embedder is not None
    document_vectors(embedder, [doc.content for doc in subject.corpus.docs[:10]], cache=cache, progress=Silent())
    assert rows(handbook, cache)["embed with hashing"].startswith("14 of 24 passages are new")


def test_a_forecast_writes_nothing(handbook: Path, cache: Path) -> None:
    rows(handbook, cache)
    assert not cache.exists()


def test_a_forecast_leaves_the_cache_as_it_is(handbook: Path, cache: Path) -> None:
    subject = prepare(handbook).subject
    embedder = subject.pipelines[1].embedder
    assert embedder is not None
    document_vectors(embedder, ["one text"], cache=cache, progress=Silent())
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    rows(handbook, cache)
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before
