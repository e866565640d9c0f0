"""A whole run with a hosted embedder: what it asks, what it reuses, what that costs, and where it stops."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from embedding_server import MODEL, texts_of
from speaking_server import SpeakingServer

from ragprof.core.errors import BadInput
from ragprof.record.trial import Trial, recording_effort
from ragprof.session.forecast import forecast
from ragprof.session.run import run
from ragprof.studies.preparation import prepare

BOOK = """
[[rates]]
name = "own/embed"
shape = "per_input_token"
usd = "1.00"
per = 1000
since = 2026-01-01
source = "contract"
"""
EVAL = """
name = "hosted"
metrics = ["nDCG@10"]
[corpus]
path = "handbook"
[timing]
seconds = 0.2
rounds = 2
min_queries = 2
warmup = 1
[prices]
{prices}
[[pipelines]]
name = "dense"
embedder = {{ name = "openai_compatible", base_url = "{url}", model = "{model}" }}
store = "faiss_flat"
depth = 5
injector = {{ name = "top_k", k = 3 }}
"""


@pytest.fixture
def hosted(handbook: Path, cache: Path, server: SpeakingServer) -> Path:
    written(handbook, server, 'embed = "own/embed"')
    handbook.with_name("own.toml").write_text(BOOK)
    return handbook


def written(handbook: Path, server: SpeakingServer, prices: str) -> None:
    handbook.write_text(EVAL.format(url=server.url, model=MODEL, prices=prices))


def book(hosted: Path) -> list[Path]:
    return [hosted.with_name("own.toml")]


def corpus_texts(server: SpeakingServer) -> list[str]:
    return [text for body in server.bodies if len(texts_of(body)) == 24 for text in texts_of(body)]


def test_a_run_is_billed_by_what_the_server_counted_and_pays_for_the_corpus_once(
    hosted: Path, server: SpeakingServer, tmp_path: Path
) -> None:
    first = run(hosted, out=tmp_path / "first", books=book(hosted)).summary["pipelines"]["dense"]
    texts = corpus_texts(server)
    tokens = sum(len(text.split()) for text in texts)
    assert len(texts) == 24
    assert first["indexing"] == {
        "tokens": tokens, "counted_by": "server", "rate": "own/embed", "usd": str(Decimal(tokens) / 1000), "reason": "",
    }  # fmt: skip
    usage = pd.read_parquet(tmp_path / "first" / "usage.parquet")
    counted = usage[(usage["stage"] == "embed") & (usage["unit"] == "input_tokens")]
    assert len(counted) == counted["query_id"].nunique() == 12
    assert Decimal(first["cost_usd_per_1000_queries"]["embed"]) == pytest.approx(Decimal(counted["count"].mean()))
    page = (tmp_path / "first" / "report.md").read_text()
    assert "Indexing" in page
    second = run(hosted, out=tmp_path / "second", books=book(hosted)).summary["pipelines"]["dense"]
    assert corpus_texts(server) == texts  # nothing of it was asked again
    assert second["indexing"] == first["indexing"]


def test_without_a_rate_the_stage_and_the_index_are_unpriced(
    hosted: Path, server: SpeakingServer, tmp_path: Path
) -> None:
    written(hosted, server, "")
    dense = run(hosted, out=tmp_path / "out").summary["pipelines"]["dense"]
    assert dense["cost_usd_per_1000_queries"]["embed"] is None
    assert dense["indexing"]["usd"] is None
    assert dense["indexing"]["reason"] == "no rate for embed; name one under [prices] as embed"


def test_a_budget_that_is_too_small_ends_the_run_before_it_embeds(hosted: Path, server: SpeakingServer) -> None:
    with pytest.raises(BadInput, match=r"more than the \$0\.500 that the budget leaves; raise --budget-usd"):
        run(hosted, books=book(hosted), budget_usd="0.50")
    assert not corpus_texts(server)
    written(hosted, server, "")
    with pytest.raises(BadInput, match="a budget needs the price of what 'dense' embeds with"):
        run(hosted, books=book(hosted), budget_usd="0.50")


def test_what_the_server_counts_beyond_the_forecast_ends_the_run_and_is_kept(
    hosted: Path, server: SpeakingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.record.recording.expected_tokens", lambda *_: 1)
    with pytest.raises(BadInput, match=r"the budget of \$0\.100 is spent \(\$0\.\d+\); what was embedded is kept"):
        run(hosted, books=book(hosted), budget_usd="0.10")
    texts = corpus_texts(server)
    run(hosted, books=book(hosted), budget_usd="9")
    assert corpus_texts(server) == texts


def test_check_tells_the_cost_and_pays_for_a_few_texts_alone(hosted: Path, cache: Path, server: SpeakingServer) -> None:
    trial = Trial(prepare(hosted, books=book(hosted)).subject, cache)
    rows = dict(forecast(trial, recording_effort(trial), judged=True, books=book(hosted)))
    said = rows[f"{MODEL} is paid"]
    found = re.fullmatch(
        r"about ([\d,]+) tokens of new passages and of questions: about \$(.*) by 'own/embed'; "
        "--budget-usd sets a limit",
        said,
    )
    assert found is not None
    assert Decimal(found[2]) == pytest.approx(Decimal(found[1].replace(",", "")) / 1000, rel=Decimal("0.01"))
    asked = [text for body in server.bodies for text in texts_of(body)]
    assert len(asked) < 24 + 12 + 12
