"""Rate books of one's own: what a recording was priced by stays known to it, and pricing is whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from handbook_reranker import RecordedRerankers, contents

from ragprof.core.errors import BadInput
from ragprof.session.again import redraw, reprice, restate
from ragprof.studies.reranker import price as reranker_price
from ragprof.studies.reranker.section import RerankerSection

BOOK = """
[[rates]]
name = "own/llm"
shape = "per_input_token"
usd = "7"
output_usd = "9"
per = 1_000_000
since = 2025-01-01
source = "our contract"

[[rates]]
name = "aws/m7i.large"
shape = "per_hour"
usd = "100"
since = 2025-01-01
source = "our contract"
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(BOOK)
    return path


def rates_of(folder: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((folder / "rates.json").read_text())["rates"]
    return found


@pytest.mark.slow
def test_a_rate_of_ones_own_book_is_known_to_later_commands_without_the_book(
    reranker_copy: RecordedRerankers, book: Path
) -> None:
    folder = reranker_copy.folder
    restate("reranker", folder, books=[book], changes={"llms": ["own/llm"]})
    book.unlink()
    for again in (reprice(folder), restate("reranker", folder), redraw(folder)):
        section = again.analysis.sections["reranker"]
        assert isinstance(section, RerankerSection)
        scenarios = section.verdicts["hybrid+overlap"].statement.scenarios
        assert [one.usd_per_million_tokens for one in scenarios if one.llm == "own/llm"] == ["7"]


@pytest.mark.slow
def test_a_book_that_was_given_once_overrides_no_shipped_price_for_ever(
    reranker_copy: RecordedRerankers, book: Path
) -> None:
    folder = reranker_copy.folder
    shipped = rates_of(folder)["aws/m7i.large"]["usd"]
    reprice(folder, books=[book])
    assert rates_of(folder)["aws/m7i.large"]["usd"] == "100"
    reprice(folder)
    assert rates_of(folder)["aws/m7i.large"]["usd"] == shipped != "100"


def test_an_unknown_rate_is_blamed_on_the_file_that_names_it(reranker_copy: RecordedRerankers) -> None:
    folder = reranker_copy.folder
    restate("reranker", folder, changes={"llms": ["openai:gpt-4.1"]})
    kept = folder / "reranker" / "settings.json"
    kept.write_text(kept.read_text().replace("openai:gpt-4.1", "own/llm"))
    with pytest.raises(BadInput, match="no rate named 'own/llm'") as told:
        reprice(folder)
    assert told.value.file == kept


@pytest.mark.parametrize("failure", [BadInput("no such rate"), KeyboardInterrupt(), RuntimeError("usd")])
def test_pricing_that_fails_half_way_leaves_every_file_as_it_was(
    reranker_copy: RecordedRerankers, book: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    before = contents(reranker_copy.folder)

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(reranker_price, "write_sealed", fail)
    with pytest.raises(type(failure)):
        reprice(reranker_copy.folder, books=[book])
    assert contents(reranker_copy.folder) == before
    with pytest.raises(type(failure)):
        restate("reranker", reranker_copy.folder, books=[book], changes={"llms": ["own/llm"], "margin": 0.2})
    assert contents(reranker_copy.folder) == before
