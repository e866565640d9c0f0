"""The commands on the handbook: what they print and what they leave on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import Ragprof

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "ragprof"]
FILES = [
    "builds.parquet",
    "costs.parquet",
    "drawn.json",
    "first_tokens.parquet",
    "judgement.json",
    "manifest.json",
    "rankings",
    "rates.json",
    "report.html",
    "report.md",
    "scores.parquet",
    "spans.parquet",
    "summary.json",
    "tokens.parquet",
    "usage.parquet",
]


def test_run_prints_80_columns_and_leaves_a_whole_recording(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    outcome = ragprof("run", handbook.name)
    assert outcome.code == 0
    assert max(map(len, outcome.output.splitlines())) <= 80
    assert outcome.output.endswith("\nreport: reports/handbook/report.html\n")
    assert [line for line in outcome.message.splitlines() if ": " not in line] == [
        "load models (7)",
        "embed document texts (24)",
        "embed query texts (12)",
        "build indexes (3)",
        "score pairs (120)",
        "time live queries (144)",
        "count tokens (24)",
    ]
    assert sorted(path.name for path in (tmp_path / "reports" / "handbook").iterdir()) == FILES


def test_check_spends_nothing_and_writes_no_recording(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    outcome = ragprof("check", handbook)
    assert (outcome.code, outcome.message) == (0, "")
    lines = [" ".join(line.split()) for line in outcome.output.splitlines()]
    assert lines[0] == "handbook: ready to run"
    whole = " ".join(lines)
    for said in (
        "corpus handbook: 24 passages of 24 documents, about 643 tokens",
        "questions 12 judged",
        "pipelines bm25, dense, hybrid, hybrid+overlap",
        "embed with hashing 24 of 24 passages are new: about 0 s",
    ):
        assert said in whole
    assert "prompt of bm25 about 115 tokens per query, about $0.0172 per" in whole
    for study in ("growth: sub-corpora", "injection: prompts to answer", "reranker: ", "audit: live queries 240"):
        assert study in whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "handbook", "handbook.toml"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["checks", "speeds.json"]


def test_report_draws_a_recording_again(ragprof: Ragprof, handbook_recording: Path) -> None:
    summary = (handbook_recording / "summary.json").read_bytes()
    for name in ("summary.json", "report.html", "report.md"):
        (handbook_recording / name).unlink()
    outcome = ragprof("report", handbook_recording)
    assert (outcome.code, outcome.message) == (0, "")
    assert outcome.output.endswith(f"report: {handbook_recording / 'report.html'}\n")
    assert (handbook_recording / "summary.json").read_bytes() == summary


def test_price_says_what_another_model_cost_on_another_day(ragprof: Ragprof, handbook_recording: Path) -> None:
    outcome = ragprof("price", handbook_recording, "--llm", "openai:gpt-4o", "--on", "2025-06-01")
    assert (outcome.code, outcome.message) == (0, "")
    rates = json.loads((handbook_recording / "rates.json").read_text())
    assert rates["on"] == "2025-06-01"
    assert "openai:gpt-4o" in rates["rates"]


@pytest.mark.parametrize("command", ["price", "report"])
def test_a_folder_that_is_not_there_is_said_to_be_missing(ragprof: Ragprof, tmp_path: Path, command: str) -> None:
    outcome = ragprof(command, tmp_path / "nosuch")
    assert outcome.code == 2
    assert outcome.message == (
        f"ragprof: {tmp_path / 'nosuch'}: no such folder; give that of a recording, such as reports/<eval>\n"
    )


def test_trec_writes_a_run_a_stage(ragprof: Ragprof, handbook_recording: Path) -> None:
    outcome = ragprof("trec", handbook_recording)
    assert (outcome.code, outcome.message) == (0, "")
    folder = handbook_recording / "trec"
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(Path(line).name for line in outcome.output.splitlines())
    assert names == [
        "bm25.inject.run",
        "bm25.search.run",
        "dense.inject.run",
        "dense.search.run",
        "hybrid+overlap.inject.run",
        "hybrid+overlap.rerank.run",
        "hybrid+overlap.search.run",
        "hybrid.inject.run",
        "hybrid.search.run",
    ]
    first = (folder / "bm25.search.run").read_text().splitlines()[0].split()
    assert first[:4] == ["q01", "Q0", "leave-annual", "1"]
    assert first[5] == "bm25.search"


def test_trec_writes_where_it_is_told(ragprof: Ragprof, handbook_recording: Path, tmp_path: Path) -> None:
    assert ragprof("trec", handbook_recording, "--into", tmp_path / "runs").code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 9
    assert not (handbook_recording / "trec").exists()


def test_list_shows_plugins_corpora_and_rates(ragprof: Ragprof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    outcome = ragprof("list")
    assert (outcome.code, outcome.message) == (0, "")
    shown = {line.split()[0] for line in outcome.output.splitlines() if line.strip()}
    assert {"embedders", "stores", "rerankers", "injectors", "corpora", "rates"} <= shown
    assert {"hashing", "faiss_flat", "rrf", "overlap", "token_budget", "python-docs", "aws/m7i.large"} <= shown


def test_list_plugins_shows_nothing_else(ragprof: Ragprof) -> None:
    outcome = ragprof("list", "plugins")
    shown = {line.split()[0] for line in outcome.output.splitlines() if line.strip()}
    assert {"sentence_transformers", "bm25s", "maxsim", "top_k"} <= shown
    assert not {"corpora", "rates", "free"} & shown


def test_corpora_info_names_packages_versions_and_licences(ragprof: Ragprof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    outcome = ragprof("corpora", "info", "python-docs")
    assert (outcome.code, outcome.message) == (0, "")
    rows = [line.split() for line in outcome.output.splitlines()]
    assert rows[0][0] == "python-docs:"
    assert ["package", "version", "licence"] in rows
    assert [row[-1] for row in rows if row[0] == "numpy"] == ["BSD-3-Clause"]


def test_the_installed_command_is_the_module() -> None:
    installed = Path(sys.executable).with_name("ragprof")
    if not installed.exists():
        pytest.skip("ragprof is not installed beside this interpreter")
    said = [subprocess.run([*way, "--version"], capture_output=True, check=True) for way in (COMMAND, [str(installed)])]
    assert said[0].stdout == said[1].stdout != b""


def test_help_imports_nothing_heavy() -> None:
    script = """
import sys
from ragprof.cli.app import main

sys.argv = ["ragprof", "--help"]
try:
    main()
except SystemExit:
    heavy = {"rich", "rich.console", "torch", "numpy", "pandas", "faiss", "altair", "pydantic"}
    print("HEAVY", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_interrupt_says_that_nothing_is_lost(handbook: Path, tmp_path: Path) -> None:
    handbook.write_text(handbook.read_text().replace("rounds = 3", "rounds = 100_000"))
    environment = {**os.environ, "RAGPROF_CACHE": str(tmp_path / "cache")}
    running = subprocess.Popen(
        [*COMMAND, "run", handbook.name, "--out", "out"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  (no thread here)
    )  # fmt: skip
    while not (tmp_path / "out" / "rankings" / "hybrid+overlap.parquet").exists() and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    try:
        output, message = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130
    assert output == ""
    expected = "ragprof: stopped; vectors and scores so far are kept, the next run continues from there"
    assert message.splitlines()[-1] == expected
