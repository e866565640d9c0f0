"""summary.json of a real run: follows the published schema, and says what its tables say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.report.html import charts_of
from ragprof.report.palette import pipeline_colours
from ragprof.session import summary as summary_module
from ragprof.session.again import redraw
from ragprof.session.run import run
from ragprof.session.summary import analyse, schema
from ragprof.studies.contract import Context
from ragprof.studies.profile.analysis import describe, profile_of
from ragprof.studies.profile.headline import tiles
from ragprof.studies.profile.study import show

SCHEMA = Path(summary_module.__file__).with_name("summary.schema.json")
SECTIONS = (
    "GrowthSection",
    "InjectionSection",
    "RerankerVerdict",
    "RerankerStudy",
    "CurateSection",
    "ScreenSection",
    "ChunkingSection",
    "StoresSection",
    "LoadSection",
    "AuditSection",
)


@pytest.fixture(scope="module")
def summary(recorded_handbook: Path) -> dict[str, Any]:
    return dict(json.loads((recorded_handbook / "summary.json").read_text()))


def test_a_run_follows_the_schema(summary: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(summary)


def test_the_schema_in_the_package_is_that_of_the_typed_sections() -> None:
    """`python -m ragprof.session.summary` writes it anew, and that of trace profiles."""
    assert json.loads(SCHEMA.read_text()) == schema()


def test_the_page_on_the_summary_names_every_field_of_every_section() -> None:
    text = (Path(__file__).parents[2] / "docs" / "summary.md").read_text(encoding="utf-8")
    parts = [schema(), *(schema()["$defs"][name] for name in ("PipelineSummary", *SECTIONS))]
    named = {name for part in parts for name in part["properties"]}
    assert sorted(name for name in named if not re.search(rf"[`.]{re.escape(name)}[`.]", text)) == []


def test_a_schema_that_everything_follows_would_prove_nothing(summary: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for broken in (
        {**summary, "format": 2},
        {**summary, "queries": 0},
        {key: value for key, value in summary.items() if key != "work"},
        {**summary, "pipelines": {"p": {}}},
    ):
        assert not validator.is_valid(broken)


def test_facts_of_the_run(summary: dict[str, Any]) -> None:
    assert (summary["format"], summary["eval"], summary["queries"]) == (1, "handbook", 12)
    assert list(summary["pipelines"]) == ["bm25", "dense", "hybrid", "hybrid+overlap"]
    assert summary["final_stage"] == {
        "bm25": "search", "dense": "search", "hybrid": "search", "hybrid+overlap": "rerank",
    }  # fmt: skip
    assert summary["corpus"]["docs"] == 24
    assert summary["work"] == {"docs_embedded": 24, "docs_reused": 0, "queries_embedded": 12, "pairs_scored": 120}


def test_quality_is_that_of_the_tables(summary: dict[str, Any]) -> None:
    found = {
        name: round(pipeline["scores"][summary["final_stage"][name]]["nDCG@10"]["mean"], 6)
        for name, pipeline in summary["pipelines"].items()
    }
    assert found == {"bm25": 0.775641, "dense": 0.827404, "hybrid": 0.855093, "hybrid+overlap": 0.849848}


def test_every_pair_is_compared_once_on_the_final_ranking(summary: dict[str, Any]) -> None:
    rows = {(row["baseline"], row["candidate"]): row for row in summary["comparisons"]}
    assert len(rows) == 6
    assert {row["metric"] for row in rows.values()} == {"nDCG@10"}
    assert rows["hybrid", "hybrid+overlap"]["difference"] == pytest.approx(0.849848 - 0.855093, abs=1e-6)
    assert rows["hybrid", "hybrid+overlap"]["verdict"] == "undecided"


def test_stages_and_remainder_make_the_whole(summary: dict[str, Any]) -> None:
    for pipeline in summary["pipelines"].values():
        total = sum(stage["mean_ns"] for stage in pipeline["stages"].values()) + pipeline["unaccounted"]["mean_ns"]
        assert total == pytest.approx(pipeline["end_to_end"]["mean_ns"], abs=1)
        assert 0 < pipeline["closure"] <= 1
        assert pipeline["end_to_end"]["n"] == 36


def test_money_is_plain_decimal_strings(summary: dict[str, Any]) -> None:
    for pipeline in summary["pipelines"].values():
        cost = pipeline["cost_usd_per_1000_queries"]
        assert re.fullmatch(r"\d+(\.\d+)?", cost["total"])
        assert cost["unpriced"] == []


def test_the_fronts_hold_what_is_known_of_them(summary: dict[str, Any]) -> None:
    assert set(summary["pareto"]) == {"latency", "cost"}
    assert "hybrid" in summary["pareto"]["latency"]
    assert "hybrid+overlap" not in summary["pareto"]["latency"]


def test_pipelines_in_one_line(summary: dict[str, Any]) -> None:
    found = [pipeline["description"] for pipeline in summary["pipelines"].values()]
    assert found == [
        "bm25s → top_k(k=3)",
        "hashing → faiss_flat → top_k(k=3)",
        "hashing → rrf(bm25s, faiss_flat) → token_budget(k=3, tokens=200)",
        "hashing → rrf(bm25s, faiss_flat) → overlap(10) → token_budget(k=3, tokens=200)",
    ]


def test_a_model_stands_for_its_embedder() -> None:
    config = {
        "embedder": {"name": "sentence_transformers", "model": "all-MiniLM-L6-v2"},
        "store": {"name": "faiss_flat"},
        "depth": 20,
        "reranker": {"name": "maxsim"},
        "injector": {"name": "top_k"},
    }
    assert describe(config) == "all-MiniLM-L6-v2 → faiss_flat → maxsim(20) → top_k()"


def test_a_summary_is_made_again_to_the_last_digit(handbook_recording: Path) -> None:
    before = (handbook_recording / "summary.json").read_bytes()
    redraw(handbook_recording)
    assert (handbook_recording / "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["judgement.json", "scores.parquet", "builds.parquet", "spans.parquet", "usage.parquet"]
)
def test_a_recording_that_lacks_a_file_is_no_summary(handbook_recording: Path, name: str) -> None:
    (handbook_recording / name).unlink()
    with pytest.raises(BadInput, match=f"{re.escape(name)}: this file is missing"):
        analyse(handbook_recording)


def test_a_recording_that_was_not_priced_says_so(handbook_recording: Path) -> None:
    (handbook_recording / "rates.json").unlink()
    with pytest.raises(BadInput, match=r"rates\.json: it is missing; price the recording first"):
        analyse(handbook_recording)


def test_an_eval_without_ndcg_is_led_by_its_first_metric(handbook: Path, cache: Path, tmp_path: Path) -> None:
    text = handbook.read_text(encoding="utf-8")
    handbook.write_text(re.sub(r"^metrics = .*$", 'metrics = ["P@5", "Judged@5", "AP"]', text, flags=re.MULTILINE))
    section = profile_of(run(handbook, out=tmp_path / "recording").folder)
    assert section.metric == "P@5"
    assert {pair.metric for pair in section.comparisons} == {"P@5"}
    assert " ranks highest: P@5 0." in section.headline[0]
    assert tiles(section)[0].label == "Highest P@5"
    assert section.pareto.latency
    assert section.pareto.cost
    context = Context(tuple(section.pipelines), "P@5", section.final_stage, pipeline_colours(section.pipelines))
    parts = show(section, context)
    charts = [chart.key for part in parts for chart in charts_of(part.blocks)]
    assert charts == ["time", "latency-quality", "cost-quality", "differences", "stage-quality", "tokens"]


def test_a_recording_of_a_busy_machine_has_no_front_over_time(handbook_recording: Path) -> None:
    """Waiting of one pipeline's threads withholds latency from front, sentences and tile, and leaves quality alone."""
    quiet = profile_of(handbook_recording)
    path = handbook_recording / "spans.parquet"
    spans = pd.read_parquet(path)
    waited = (spans["pipeline"] == "dense") & (spans["phase"] == "round")
    read = {"cpu_ns": spans["duration_ns"], "waiting_ns": 3 * spans["duration_ns"] * waited}
    files.write_table(path, spans.assign(**{column: values.astype("Int64") for column, values in read.items()}))
    busy = profile_of(handbook_recording)
    assert quiet.pareto.latency != ()
    assert busy.pareto.latency == ()
    assert busy.pipelines["dense"].latency_withheld == "the machine was busy (75% of the time waiting for a core)"
    assert [busy.pipelines[name].latency_withheld for name in ("bm25", "hybrid")] == ["", ""]
    assert busy.pipelines["dense"].end_to_end == quiet.pipelines["dense"].end_to_end
    assert busy.comparisons == quiet.comparisons
    assert (
        "Where the time goes is not told: the machine was busy (75% of the time waiting for a core)." in busy.headline
    )
    assert tiles(busy)[1].value == "withheld"
