"""A recording logged to MLflow: names that it allows, figures with their intervals, artefacts, and what is refused."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ragprof.core.errors import BadInput, MissingPackage
from ragprof.exports import mlflow as mlflow_logging
from ragprof.exports.mlflow import allowed, log, metrics, params, pipeline_names

needs_mlflow = pytest.mark.skipif(find_spec("mlflow") is None, reason="the extra `mlflow` is not installed")
third_party = pytest.mark.filterwarnings("ignore")  # SQLAlchemy's and MLflow's own deprecations of each other


def estimate(value: float) -> dict[str, Any]:
    return {"mean": value, "interval": [value - 0.1, value + 0.1], "n": 3}


def times(nanoseconds: int) -> dict[str, Any]:
    interval = [nanoseconds - 500_000, nanoseconds + 500_000]
    return {
        name: value
        for quantile in ("p50", "p95")
        for name, value in ((f"{quantile}_ns", nanoseconds), (f"{quantile}_interval_ns", interval))
    }


PIPELINE = {
    "stages": {"search": times(2_000_000)},
    "end_to_end": times(3_000_000),
    "usage_estimates": {"inject.prompt_tokens": estimate(900.0)},
    "cost_usd_per_1000_queries": {
        "total": None,
        "interval": [None, None],
        "search": "0.5",
        "stage_intervals": {"search": ["0.4", "0.6"]},
    },
    "scores": {"search": {"nDCG@10": estimate(0.6)}},
}
SUMMARY: dict[str, Any] = {
    "eval": "tiny",
    "title": "Tiny",
    "created": "2026-11-22T11:36:06Z",
    "ragprof_version": "0.1.0",
    "corpus": {"name": "tiny", "docs": 3, "sha256": "c0"},
    "qrels_sha256": "90",
    "queries": 3,
    "seed": 0,
    "environment": {"cpu": "CPU", "cores": 2, "gpu": None, "packages": {"numpy": "2.4.6"}},
    "pipelines": {"bm25+maxsim": PIPELINE, "bm25_maxsim": PIPELINE},
    "final_stage": {"bm25+maxsim": "search", "bm25_maxsim": "search"},
    "headline": ["bm25 ranks highest"],
    "warnings": [],
}
MANIFEST: dict[str, Any] = {
    "recording": "abc",
    "config": {"pipelines": [{"name": "bm25+maxsim"}]},
    "identities": {"bm25+maxsim": {"store": "bm25s k1=1.5", "injector": "top_k " + "x" * 400, "reranker": None}},
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    (folder / "report.md").write_text("# Tiny\n", encoding="utf-8")
    return folder


def test_names_are_those_that_mlflow_allows() -> None:
    assert allowed("bm25+maxsim/search.nDCG@10") == "bm25_maxsim/search.nDCG_at_10"
    assert allowed("a:b?c\n") == "a_b_c_"


def test_pipelines_that_would_share_a_name_are_told_apart() -> None:
    assert pipeline_names(["a+b", "a_b", "a/b", "..", "x" * 300]) == {
        "a+b": "a_b",
        "a_b": "a_b_2",
        "a/b": "a_b_3",
        "..": "pipeline",
        "x" * 300: "x" * 120,
    }


def test_metrics_are_figures_with_the_ends_of_their_intervals() -> None:
    found = {key.partition("/")[2]: value for key, value in metrics(SUMMARY).items() if key.startswith("bm25_maxsim/")}
    assert found == pytest.approx(
        {
            **{"nDCG_at_10": 0.6, "nDCG_at_10_low": 0.5, "nDCG_at_10_high": 0.7},
            **{"search.nDCG_at_10": 0.6, "search.nDCG_at_10_low": 0.5, "search.nDCG_at_10_high": 0.7},
            **{"latency_p50": 3.0, "latency_p50_low": 2.5, "latency_p50_high": 3.5},
            **{"latency_p95": 3.0, "latency_p95_low": 2.5, "latency_p95_high": 3.5},
            **{"search.latency_p50": 2.0, "search.latency_p50_low": 1.5, "search.latency_p50_high": 2.5},
            **{"search.latency_p95": 2.0, "search.latency_p95_low": 1.5, "search.latency_p95_high": 2.5},
            **{"inject.prompt_tokens": 900.0, "inject.prompt_tokens_low": 899.9, "inject.prompt_tokens_high": 900.1},
            **{"search.usd_per_1000_queries": 0.5},
            **{"search.usd_per_1000_queries_low": 0.4, "search.usd_per_1000_queries_high": 0.6},
        }
    )


def test_a_bill_that_lacks_a_rate_is_not_logged_as_zero() -> None:
    assert "bm25_maxsim/usd_per_1000_queries" not in metrics(SUMMARY)


def test_params_are_short_and_leave_out_what_is_not_there() -> None:
    found = params(SUMMARY, MANIFEST)
    assert found["eval"] == "tiny"
    assert found["corpus_sha256"] == "c0"
    assert found["version/numpy"] == "2.4.6"
    assert found["bm25_maxsim/store"] == "bm25s k1=1.5"
    assert found["bm25_maxsim/injector"] == "top_k " + "x" * 243 + "…"
    assert {"machine/gpu", "bm25_maxsim/reranker"} & set(found) == set()


def test_without_the_package_the_message_says_what_to_install(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_logging, "find_spec", lambda _name: None)
    with pytest.raises(MissingPackage, match=re.escape("pip install 'ragprof[mlflow]'")):
        log(recording)


@needs_mlflow
@third_party
@pytest.mark.slow
def test_a_recording_becomes_a_run_with_params_metrics_and_artefacts(recording: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    client.create_experiment("gates", artifact_location=(tmp_path / "artefacts").as_uri())
    run_id = log(recording, tracking_uri=uri, experiment="gates", run_name="one")
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("one", "FINISHED")
    assert run.data.metrics == pytest.approx(metrics(SUMMARY))
    assert run.data.params == params(SUMMARY, MANIFEST)
    assert run.data.tags["ragprof.recording"] == "abc"
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.md", "summary.json"]


@needs_mlflow
@third_party
def test_what_mlflow_refuses_is_one_sentence(recording: Path) -> None:
    with pytest.raises(BadInput, match=r"MLflow took no run: .*; give another tracking URI"):
        log(recording, tracking_uri="nowhere://at/all")


@needs_mlflow
def test_a_folder_without_a_summary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"summary\.json: this file is missing"):
        log(tmp_path)
