"""Own machines against an API, providers side by side, prompts that repeat, what the reranker takes of the margin."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from embedding_server import MODEL, embedding
from test_load_study import DATA, HEAD

import ragprof
from ragprof.core.errors import BadInput
from ragprof.core.files import write_table
from ragprof.evals.settings import settings_of
from ragprof.report.html import charts_of
from ragprof.report.markdown import as_part
from ragprof.studies.contract import Context, Request
from ragprof.studies.load.decision import decisions
from ragprof.studies.load.economics import LoadTraffic, busiest_words, smallest_volume
from ragprof.studies.load.own_or_api import break_even_span, own_or_api
from ragprof.studies.load.prefix_costs import prefixes_of
from ragprof.studies.load.section import LoadSection
from ragprof.studies.load.study import STUDY
from ragprof.studies.load.tables import show
from ragprof.studies.preparation import prepare

PIPELINE = """
[[pipelines]]
name = "dense+overlap"
embedder = "hashing"
store = "faiss_flat"
depth = 10
reranker = "overlap"
injector = { name = "top_k", k = 3 }
"""
AGAINST = """
cached_from_tokens = 20
cached_step_tokens = 8
[economics.api]
embed = "openai:text-embedding-3-small"
rerank = "voyage/rerank-2.5"
llm = "openai:gpt-4.1-mini"
[energy]
region = "DE"
watts = 100
"""
CONTEXT = Context(("dense+overlap",), "nDCG@10", {}, {})


@pytest.mark.parametrize(
    ("rate", "left", "fixed", "volume"),
    [
        (1, "0.001", "0", 73_000),  # one machine of 0.10 USD an hour is 73 USD a month
        (1, "0.001", "27", 100_000),
        (0.01, "0.001", "0", None),  # one machine answers 26,280 a month, which earn 26 USD
        (0.03, "0.001", "27", 392_000),  # a full machine leaves 5.84 USD, so that five of them pay the 27
        (1, "-0.001", "0", None),
    ],
)
def test_the_smallest_volume_that_pays_whole_machines(rate: float, left: str, fixed: str, volume: int | None) -> None:
    assert smallest_volume(rate, Decimal("0.1"), Decimal(left), 1.0, fixed=Decimal(fixed)) == volume


def test_a_break_even_has_no_interval_where_no_end_is_another_volume() -> None:
    def span(low: float, high: float) -> tuple[int, int | None] | None:
        return break_even_span((20.0, 30.0), (low, high), Decimal("0.1"), Decimal(0), 1.0)

    assert span(0.001, 0.002) == (36_500, 73_000)  # one machine of 73 USD a month is enough at either price
    assert span(0.001, 0.001) is None


def test_an_hour_as_busy_as_all_others_is_not_called_the_busiest() -> None:
    assert busiest_words(1.0) == "every hour alike"
    assert busiest_words(3.36) == "the busiest hour, 3.36 times as busy as the mean one"


def test_only_a_price_that_exists_is_held_against_and_parts_are_loaded_alone(tmp_path: Path) -> None:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    path = tmp_path / "eval.toml"
    path.write_text(f"{HEAD}{AGAINST}[load]\nseconds = 1\nwithout_reranker = false\n{PIPELINE}")
    planned = STUDY.plan(prepare(path), Request(path))
    assert [(each.name, each.only) for each in planned.targets] == [
        ("dense+overlap", None), ("dense+overlap embed alone", "embed"), ("dense+overlap rerank alone", "rerank"),
    ]  # fmt: skip
    path.write_text(path.read_text().replace("voyage/rerank-2.5", "voyage/rerank-9"))
    with pytest.raises(BadInput, match=r"eval.toml:\d+: no rate named 'voyage/rerank-9'"):
        STUDY.plan(prepare(path), Request(path))


def test_a_model_of_somebody_else_that_answers_needs_a_budget_and_is_not_loaded_alone(tmp_path: Path) -> None:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    path = tmp_path / "eval.toml"
    hosted = 'generator = { name = "openai_compatible", model = "m", base_url = "https://llm.example.org/v1" }\n'
    path.write_text(f"{HEAD}{AGAINST}[load]\nwithout_reranker = false\n{PIPELINE}{hosted}")
    with pytest.raises(
        BadInput, match=r"load on the model that 'dense\+overlap' asks, which is not this machine, needs"
    ):
        STUDY.plan(prepare(path), Request(path))
    path.write_text(path.read_text().replace("[load]\n", "[load]\nmax_rate = 5\nusd_per_request = 0.001\n"))
    planned = STUDY.plan(prepare(path), Request(path, {"budget_usd": "1"}))
    assert [each.only for each in planned.targets] == [None, "embed", "rerank"]


def test_a_repeated_prefix_is_a_share_of_the_prompts_after_the_first(tmp_path: Path) -> None:
    rows = [("a", "by id", "q1", 100, 0, 0), ("a", "by id", "q2", 100, 40, 50), ("a", "by id", "q3", 200, 120, 120)]
    columns = ["pipeline", "order", "query_id", "tokens", "repeated", "repeated_any"]
    write_table(tmp_path / "prefixes.parquet", pd.DataFrame(rows, columns=columns))
    bill = {
        "pipeline": "a", "order": "by id", "rate": "x:y", "usd": 0.002, "usd_cached": 0.001,
        "saved_interval": [0.0005, 0.0015], "cached_tokens": 53.0, "reason": "",
    }  # fmt: skip
    config = {"pipelines": [{"name": "a", "injector": {"name": "top_k"}}]}
    (found,) = prefixes_of(tmp_path, [bill], config, seed=0)  # type: ignore[list-item]  # as it is read
    assert (found.repeated.mean, found.repeated.n) == (pytest.approx(0.5), 2)  # 40 of 100 and 120 of 200
    assert found.repeated_any.mean == pytest.approx(0.55)
    assert (found.is_own, found.usd_per_1000_cached, found.saved_per_1000) == (False, 1.0, (0.5, 1.5))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("money")
    shutil.copytree(DATA / "handbook", folder / "handbook")
    path = folder / "eval.toml"
    load = "[load]\nslo = { p95_ms = 400, error_rate = 0.01 }\nseconds = 3\nprofile = 'office'\n"
    head = HEAD.replace('llm = "free"', 'llm = "openai:gpt-4.1-mini"')
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        path.write_text(f'{head}{AGAINST}{load}{PIPELINE}generator = "extractive"\n')
        return ragprof.load(path, out=folder / "out").folder


@pytest.mark.slow
def test_own_machines_against_an_api_in_figures_sentences_and_a_chart(loaded: Path) -> None:
    section = LoadSection.read(json.loads((loaded / "summary.json").read_text()), "load")
    embed, rerank, generate = section.own_or_api
    assert (embed.stage, rerank.stage, generate.stage) == ("embed", "rerank", "generate")
    assert embed.missing == rerank.missing == generate.missing == ""
    assert embed.api_usd_per_1000.n == 12
    # One machine of 0.1008 USD an hour is 73.584 USD a month.
    assert embed.own_usd_per_month == "73.584"
    mean = embed.api_usd_per_1000.mean
    assert mean is not None
    assert embed.break_even_per_month == pytest.approx(73_584 / mean, rel=1e-6)
    assert embed.electricity is not None
    assert (embed.electricity.kwh_per_month, embed.electricity.region) == (73.0, "Germany")
    assert embed.break_even_with_electricity is not None
    assert embed.break_even_with_electricity > embed.break_even_per_month
    assert any(each.startswith("The reranker of dense+overlap is cheaper on one's own") for each in section.statements)
    (part,) = show(section, CONTEXT)
    assert "load-own-or-api-chart" in [chart.key for chart in charts_of(part.blocks)]
    text = as_part(part)
    assert "One's own machines against an API" in text
    assert {each.order for each in section.prefixes} == {"best_first", "best_last", "by id"}
    assert all(each.usd_per_1000_cached is not None for each in section.prefixes)
    (verdict,) = section.verdicts
    assert "of a question's margin" in verdict.sentence
    decided = decisions(section, CONTEXT)
    assert decided[0].question == "How many questions can dense+overlap answer?"
    assert decided[0].verdict in (loaded / "decision.md").read_text()


@pytest.mark.slow
def test_what_has_no_price_is_said(loaded: Path) -> None:
    section = LoadSection.read(json.loads((loaded / "summary.json").read_text()), "load")
    bills = json.loads((loaded / "load" / "costs.json").read_text())["api"]
    config = settings_of(loaded)
    traffic = LoadTraffic.of(config, "office", None)
    nameless = {"usd_per_hour": None, "reason": "no hourly rate"}
    unpriced = [each.model_copy(update={"money": each.money.model_copy(update=nameless)}) for each in section.targets]
    dark = {**config, "energy": {"region": "DE", "watts": None}}
    embed, rerank, _ = own_or_api(unpriced, [{**bills[0], "usd": None, "reason": "no rate"}, *bills[1:]], dark, traffic)
    assert embed.missing == "no price of the API: no rate; no price of a machine: no hourly rate"
    assert rerank.missing == "no price of a machine: no hourly rate"
    assert (rerank.break_even_per_month, rerank.break_even_share, rerank.electricity) == (None, None, None)
    (nobody, *_) = own_or_api([], bills, config, traffic)
    assert nobody.missing == "no embedder of this machine was put under load alone, so its capacity is not known"


@pytest.mark.slow
def test_two_servers_of_one_stage_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "eval.toml"
    with embedding("openai") as first, embedding("openai") as second:
        pipelines = "".join(
            f'[[pipelines]]\nname = "{name}"\nstore = "faiss_flat"\ndepth = 5\n'
            f'embedder = {{ name = "openai_compatible", model = "{MODEL}", base_url = "{server.url}" }}\n'
            for name, server in (("one", first), ("two", second))
        )
        path.write_text(f"{HEAD}[load]\nslo = {{ p95_ms = 400 }}\nseconds = 2\nrates = [10]\nrepeats = 1\n{pipelines}")
        folder = ragprof.load(path, out=tmp_path / "out").folder
        hosts = [server.url.split("/")[2] for server in (first, second)]
    section = LoadSection.read(json.loads((folder / "summary.json").read_text()), "load")
    assert [(each.stage, each.server, each.model) for each in section.providers] == [
        ("embed", hosts[0], MODEL), ("embed", hosts[1], MODEL),
    ]  # fmt: skip
    for each in section.providers:
        assert each.p95_ns.mean is not None
        assert each.p95_ns.mean > 0
        assert (each.retries.mean, each.failed is not None and each.failed.mean) == (0.0, 0.0)
        assert each.retries.interval is not None
        assert each.retries.interval[1] is not None
        assert each.retries.interval[1] > 0  # none of so many may still be some
        assert each.tokens_per_question is not None
    assert any(each.startswith("As embedder,") for each in section.statements)
    with embedding("openai") as third:
        path.write_text(
            path.read_text()
            .partition("[[pipelines]]")[0]
            .replace("[economics]\n", '[economics]\nrecordings = ["out"]\n')
            + '[[pipelines]]\nname = "three"\nstore = "faiss_flat"\ndepth = 5\n'
            + f'embedder = {{ name = "openai_compatible", model = "{MODEL}", base_url = "{third.url}" }}\n'
        )
        folder = ragprof.load(path, out=tmp_path / "again").folder
    found = LoadSection.read(json.loads((folder / "summary.json").read_text()), "load").providers
    assert [(each.pipeline, each.recording, each.same_questions) for each in found] == [
        ("three", "", True), ("one", "out", True), ("two", "out", True),
    ]  # fmt: skip
    path.write_text(path.read_text().replace('["out"]', '["handbook"]'))
    with pytest.raises(BadInput, match=r"'handbook' has no manifest.json; name the folder of a recording"):
        STUDY.plan(prepare(path), Request(path))
