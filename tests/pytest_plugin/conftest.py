"""Small suites that use the plugin, run by pytest in pytest, over recordings of the handbook made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_suites import ALONE, HANDBOOK, Run, installed, one_passage

from ragprof import pytest_plugin


@pytest.fixture(scope="session")
def plugin_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plugin-cache")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory, plugin_cache: Path) -> Path:
    """`good` (bm25, reranked by overlap) and `bad` (a retriever that finds one passage) in one folder, read only.

    Whatever the plugin loads is loaded here: pytest forgets the modules that a suite inside a test was first to load.
    """
    from ragprof import Pipeline, Timing, profile
    from ragprof.evals import GateMargin, GateSettings
    from ragprof.pytest_plugin import results as comparisons  # noqa: F401
    from ragprof.studies.gate import baselines, evidence
    from ragprof.studies.gate import comparison as gates

    folder = tmp_path_factory.mktemp("recordings")
    handbook = {"corpus": HANDBOOK, "queries": HANDBOOK / "queries.jsonl", "qrels": HANDBOOK / "qrels" / "test.tsv"}
    timing = Timing(seconds=0.2, rounds=2, min_queries=3, warmup=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(plugin_cache))
        good = Pipeline("lexical", store="bm25s", depth=10, reranker="overlap")
        bad = Pipeline("lexical", store=one_passage, depth=10)
        for name, pipeline in (("good", good), ("bad", bad)):
            profile([pipeline], **handbook, timing=timing, name=name, out=folder / name)
    sides = [evidence.of_recording(folder / name) for name in ("good", "bad")]
    gates.gate_of(sides[0], sides[1], GateSettings(quantities={"AP": GateMargin(absolute=0.01)}), strict=False)
    baselines.save(sides[0], folder / "kept")
    return folder


@pytest.fixture
def suite(pytester: pytest.Pytester, recordings: Path, plugin_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test module by pytest, in this process, with `good`, `bad`, `kept` and `handbook` beside it."""
    monkeypatch.setenv("RAGPROF_CACHE", str(plugin_cache))
    monkeypatch.delenv("CI", raising=False)
    for name in ("good", "bad", "kept"):
        shutil.copytree(recordings / name, pytester.path / name)
    shutil.copytree(HANDBOOK, pytester.path / "handbook")
    pytester.makeini("[pytest]\nfilterwarnings = error")

    def run(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=code)
        plugins = [] if installed() else [pytest_plugin]
        return pytester.runpytest_inprocess(*ALONE, *arguments, plugins=plugins)

    return run
