"""One recording has one p95, whoever prints it: the product records, and every printer is asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from unsealed import unsealed

from ragprof.core import files
from ragprof.evals import GateMargin, GateSettings
from ragprof.pytest_plugin.checks import PluginSettings, RunningTest
from ragprof.pytest_plugin.results import ProfiledResult
from ragprof.session.run import weigh
from ragprof.session.summary import analyse
from ragprof.studies.gate.comparison import compare, gate_of
from ragprof.studies.gate.sides import read_side

DATA = Path(__file__).parents[1] / "data"
QUANTILES = ("p50", "p95")
PLAIN, RERANKED = "hybrid", "hybrid+overlap"
EVAL = """
name = "one"
metrics = ["nDCG@10"]
timing = { seconds = 2, rounds = 3, min_queries = 12, warmup = 1 }
[corpus]
path = "handbook"
[reranker]
depths = [5, 10]
timing = { seconds = 2, rounds = 3, min_queries = 12, warmup = 1 }
[[pipelines]]
name = "hybrid"
embedder = "hashing"
store = { name = "rrf", stores = ["bm25s", "faiss_flat"] }
depth = 10
[[pipelines]]
name = "hybrid+overlap"
embedder = "hashing"
store = { name = "rrf", stores = ["bm25s", "faiss_flat"] }
depth = 10
reranker = "overlap"
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rerankers and all. What the main recording timed also stands where the rerankers' live queries do, so that both
    have the same times to print."""
    home = tmp_path_factory.mktemp("one")
    shutil.copytree(DATA / "handbook", home / "handbook")
    (home / "one.toml").write_text(EVAL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(home / "cache"))
        folder = weigh(home / "one.toml", out=home / "out").folder
    unsealed(folder)
    live, spans = pd.read_parquet(folder / "reranker" / "live.parquet"), pd.read_parquet(folder / "spans.parquet")
    timed = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
    for depth, pipeline in ((0, PLAIN), (10, RERANKED)):
        times = timed[timed["pipeline"] == pipeline].set_index(["round", "query_id"])["duration_ns"]
        rows = live["depth"] == depth
        keys = list(zip(live.loc[rows, "round"], live.loc[rows, "query_id"], strict=True))
        live.loc[rows, "end_to_end_ns"] = times.loc[keys].to_numpy()
    files.write_table(folder / "reranker" / "live.parquet", live)
    return folder


@pytest.fixture(scope="module")
def summary(recording: Path) -> dict[str, Any]:
    return analyse(recording).as_json()


def reported(summary: dict[str, Any], pipeline: str, name: str) -> int:
    """ns, as the report has it."""
    return int(summary["pipelines"][pipeline]["end_to_end"][f"{name}_ns"])


@pytest.mark.parametrize("name", QUANTILES)
def test_the_depth_curve_has_the_reports(summary: dict[str, Any], name: str) -> None:
    curve = summary["reranker"][RERANKED]["depth_curve"]
    assert {row[f"{name}_ns"] for row in curve if row["depth"] == 10} == {reported(summary, RERANKED, name)}


@pytest.mark.parametrize("name", QUANTILES)
def test_the_rerankers_statement_has_the_difference_of_the_reports(summary: dict[str, Any], name: str) -> None:
    added = summary["reranker"][RERANKED]["statement"][f"added_{name}_ns"]
    assert added == pytest.approx(reported(summary, RERANKED, name) - reported(summary, PLAIN, name), abs=1)


@pytest.mark.parametrize("name", QUANTILES)
def test_a_comparison_and_a_gate_have_the_reports(recording: Path, summary: dict[str, Any], name: str) -> None:
    side = read_side(recording)
    gate = GateSettings(quantities={f"latency_{name}": GateMargin(relative=0.5)})
    rows = [*compare(side, side).quantities, *gate_of(side, side, gate, strict=True).gates]
    asked = [row for row in rows if row.quantity == f"latency_{name}"]
    assert sorted(row.pipeline for row in asked) == sorted([PLAIN, RERANKED] * 2)
    for row in asked:
        assert row.base is not None
        assert row.base == row.candidate
        assert round(row.base * 1e6) == reported(summary, row.pipeline, name)


@pytest.mark.parametrize("name", [*QUANTILES, "p99"])
def test_the_fixture_of_pytest_has_the_reports(
    recording: Path, summary: dict[str, Any], name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    running = RunningTest("one", Path(__file__), PluginSettings.of(request.config, temporary=tmp_path))
    result = ProfiledResult("one", recording, lambda: read_side(recording), running)
    found = result.latency(name, pipeline=RERANKED)
    assert round(found.value * 1e6) == reported(summary, RERANKED, name)
    interval = summary["pipelines"][RERANKED]["end_to_end"][f"{name}_interval_ns"]
    assert (found.interval and [round(end * 1e6) for end in found.interval]) == interval
    assert (interval is None) == (name != "p50")  # 12 queries are too few for the others
