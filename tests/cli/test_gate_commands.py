"""`compare`, `gate`, `baseline` and `export` as their users have them: what is printed, written and returned."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from commandline import Ragprof, changed, complaint
from unsealed import unsealed

GATE = """
[gate]
pipelines = ["hybrid+overlap"]
[gate.quantities]
"nDCG@10" = { absolute = 0.02 }
"inject.prompt_tokens" = { relative = 0.02 }
"""
WRITTEN = ("junit.xml", "comment.md", "page.html", "all.json", "gitlab.json")


@pytest.fixture(autouse=True)
def _at_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gated(handbook: Path) -> str:
    """The handbook with a [gate], in the folder where the user stands."""
    handbook.write_text(handbook.read_text() + GATE)
    return handbook.name


@pytest.fixture
def base(recorded_handbook: Path, tmp_path: Path) -> str:
    return unsealed(Path(shutil.copytree(recorded_handbook, tmp_path / "base"))).name


def scored(base: str, name: str, added: list[float], *, spread: float = 1.0) -> str:
    """A copy of a recording whose reranked scores, drawn together around 0.5, are so much higher, query by query."""
    shutil.copytree(base, name)
    path = Path(name) / "scores.parquet"
    scores = pd.read_parquet(path)
    reranked = (
        (scores["pipeline"] == "hybrid+overlap") & (scores["stage"] == "rerank") & (scores["metric"] == "nDCG@10")
    )
    scores.loc[reranked, "value"] = 0.5 + spread * (scores.loc[reranked, "value"] - 0.5) + added
    scores.to_parquet(path, index=False)
    return name


def outputs() -> list[str]:
    """Options for every file that a comparison can be written into."""
    options = ("--junit", "--markdown", "--html", "--json", "--gitlab")
    pairs = [(option, f"written/{name}") for option, name in zip(options, WRITTEN, strict=True)]
    return [*(each for pair in pairs for each in pair), "--benchmark", "written/benchmark"]


def document(path: str = "written/all.json") -> dict[str, object]:
    return dict(json.loads(Path(path).read_text()))


def suite_of(path: str = "written/junit.xml") -> ET.Element:
    return ET.parse(path).getroot()[0]  # noqa: S314 (written by the command)


def within_80_columns(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_compare_shows_80_columns_and_writes_every_file(ragprof: Ragprof, base: str) -> None:
    worse = scored(base, "worse", [-0.25, -0.15] * 6)
    outcome = ragprof("compare", base, worse, *outputs())
    assert (outcome.code, outcome.message) == (0, "")
    assert within_80_columns(outcome.output)
    assert "hybrid+overlap" in outcome.output
    assert sorted(path.name for path in Path("written").iterdir()) == sorted([*WRITTEN, "benchmark"])
    assert sorted(path.name for path in Path("written/benchmark").iterdir()) == ["bigger.json", "smaller.json"]
    found = document()
    assert (found["gate"], found["queries"], found["title"]) == (None, 12, "Handbook: which pipeline finds the rule?")
    assert "\n## ragprof: Handbook: which pipeline finds the rule?\n" in Path("written/comment.md").read_text()
    assert "<html" in Path("written/page.html").read_text()
    assert isinstance(json.loads(Path("written/gitlab.json").read_text()), list)
    names = [entry["name"] for entry in json.loads(Path("written/benchmark/bigger.json").read_text())]
    assert any("nDCG@10" in name for name in names)


def test_compare_of_one_pipeline_shows_no_other(ragprof: Ragprof, base: str) -> None:
    outcome = ragprof("compare", base, base, "--pipeline", "bm25", "--json", "all.json")
    assert outcome.code == 0
    rows = json.loads(Path("all.json").read_text())["rows"]
    assert {row["pipeline"] for row in rows} == {"bm25"}
    assert "hybrid" not in outcome.output


def test_compare_takes_margins_by_kind(ragprof: Ragprof, base: str) -> None:
    ragprof("compare", base, base, "--pipeline", "bm25", "--margin", "quality=0.05", "--margin", "usage=0.5",
            "--json", "all.json")  # fmt: skip
    rows = {row["quantity"]: row for row in json.loads(Path("all.json").read_text())["rows"]}
    assert rows["nDCG@10"]["margin"] == 0.05
    assert rows["inject.prompt_tokens"]["margin"] == pytest.approx(0.5 * rows["inject.prompt_tokens"]["base"])


@pytest.mark.parametrize("text", ["quality", "quality=", "quality=two", "quality=-0.1", "quality=nan", "latency=inf",
                                  "money=0.1", "=0.1", "Quality=0.1", "quality=0.1=2"])  # fmt: skip
def test_a_margin_that_is_none_is_refused(ragprof: Ragprof, base: str, tmp_path: Path, text: str) -> None:
    assert complaint(ragprof, "compare", base, base, "--margin", text, folder=tmp_path) == (
        f"--margin '{text}' is not a margin; write KIND=SHARE, such as quality=0.02 or latency=0.1"
    )


def test_compare_refuses_what_cannot_be_compared_and_says_what_differs(ragprof: Ragprof, base: str) -> None:
    shutil.copytree(base, "other")
    changed(Path("other/manifest.json"), '"sha256": "', '"sha256": "0')
    outcome = ragprof("compare", base, "other", "--json", "all.json")
    assert (outcome.code, outcome.output) == (3, "")
    assert outcome.message.startswith(
        "ragprof: 'base' and 'other' cannot be compared: corpus: 'handbook' (24 passages of 24 documents) on both"
    )
    assert outcome.message.count("\n") == 1
    assert not Path("all.json").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("compare", "base", "nowhere"), "nowhere: no such folder; give that of a recording, such as reports/<eval>,"),
        (("compare", "base", "handbook"), "handbook/manifest.json: this file is missing; is this the folder of a"),
        (("compare", "base", "base", "--pipeline", "bm52"), "no pipeline named 'bm52'; did you mean 'bm25'?"),
        (("gate", "handbook.toml"), "handbook.toml: it has no [gate.quantities]; let 'ragprof gate EVAL.toml --init'"),
        (("gate", "none.toml"), "none.toml: no such eval file"),
        (("baseline", "save", "handbook"), "handbook/manifest.json: this file is missing"),
        (("baseline", "save", "base", "--into", "base"), "base: this is the folder of a recording; give the base"),
        (("baseline", "list"), "baselines: there is no such folder; name the one that holds the baselines"),
        (("baseline", "list", "handbook"), "handbook: no baseline in it; make one with 'ragprof baseline save"),
        (("baseline", "show", "base"), "base/baseline.json: this file of a baseline is missing"),
        (("export", "base", "--format", "csv"), "no export format named 'csv'"),
        (("export", "handbook"), "handbook/manifest.json: this file is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    ragprof: Ragprof, handbook: Path, base: str, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in complaint(ragprof, *arguments, folder=tmp_path)


def test_a_gate_that_holds_ends_with_0(ragprof: Ragprof, gated: str, base: str) -> None:
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", base, *outputs())
    assert (outcome.code, outcome.message) == (0, "")
    assert within_80_columns(outcome.output)
    assert suite_of().get("tests") == "2"
    assert suite_of().findall("testcase/*") == []
    cases = {(case.get("classname"), case.get("name")) for case in suite_of().findall("testcase")}
    assert cases == {("ragprof.handbook.hybrid+overlap", name) for name in ("nDCG@10", "inject.prompt_tokens")}
    assert json.loads(Path("written/gitlab.json").read_text()) == []
    assert not Path("reports").exists()


def test_a_regression_ends_with_1_and_is_in_every_file(ragprof: Ragprof, gated: str, base: str) -> None:
    worse = scored(base, "worse", [-0.25, -0.15] * 6)
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", worse, *outputs())
    assert (outcome.code, outcome.message) == (1, "")
    assert within_80_columns(outcome.output)
    (failure,) = suite_of().findall("testcase/failure")
    assert failure.get("type") == "regression"
    assert "worse by more than the margin of 0.02 (0.02)" in str(failure.get("message"))
    (finding,) = json.loads(Path("written/gitlab.json").read_text())
    assert finding["location"]["path"] == "handbook.toml"
    assert "nDCG@10" in Path("written/comment.md").read_text()


def test_undecided_ends_with_4_where_that_is_strict_and_with_0_else(ragprof: Ragprof, gated: str, base: str) -> None:
    middle = scored(base, "middle", [0.0] * 12, spread=0.4)
    mixed = scored(base, "mixed", [0.3, -0.3] * 6, spread=0.4)
    arguments = ("gate", gated, "--baseline", middle, "--recording", mixed, "--junit", "junit.xml")
    assert ragprof(*arguments).code == 0
    (skipped,) = suite_of("junit.xml").findall("testcase/skipped")
    assert str(skipped.get("message")).startswith("underpowered: needs about ")
    assert ragprof(*arguments, "--strict").code == 4
    assert len(suite_of("junit.xml").findall("testcase/failure")) == 1


def test_incomparable_ends_with_3_and_an_error_in_junit(ragprof: Ragprof, gated: str, base: str) -> None:
    shutil.copytree(base, "other")
    changed(Path("other/manifest.json"), '"sha256": "', '"sha256": "0')
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", "other", *outputs())
    assert (outcome.code, outcome.message) == (3, "")
    assert within_80_columns(outcome.output)
    assert {error.get("type") for error in suite_of().findall("testcase/error")} == {"incomparable"}
    assert sorted(path.name for path in Path("written").iterdir()) == sorted([*WRITTEN, "benchmark"])


def test_a_baseline_of_other_documents_ends_with_3_before_anything_is_run(
    ragprof: Ragprof, gated: str, base: str, cache: Path
) -> None:
    changed(Path("base/manifest.json"), '"sha256": "', '"sha256": "0')
    outcome = ragprof("gate", gated, "--baseline", base, "--junit", "junit.xml")
    assert outcome.code == 3
    assert "base: it was made with other data" in " ".join(outcome.output.split())
    assert '<error type="incomparable"' in Path("junit.xml").read_text()
    assert not Path("reports").exists()
    assert not cache.exists()


def test_github_gets_annotations_a_summary_and_outputs(
    ragprof: Ragprof, gated: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    worse = scored(base, "worse", [-0.25, -0.15] * 6)
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", worse, "--github")
    assert outcome.code == 1
    (annotation,) = [line for line in outcome.output.splitlines() if line.startswith("::error ")]
    assert "nDCG@10" in annotation
    assert "nDCG@10" in (tmp_path / "summary.md").read_text()
    assert "verdict=regression" in (tmp_path / "output").read_text().splitlines()


def test_without_a_clock_latency_is_left_out(ragprof: Ragprof, gated: str, base: str) -> None:
    Path(gated).write_text(Path(gated).read_text() + '"latency_p95" = { relative = 0.0001 }\n')
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", base, "--no-clock", "--json", "all.json")
    assert outcome.code == 0
    assert "latency_p95" in str(document("all.json")["notes"])
    assert len(json.loads(Path("all.json").read_text())["gate"]["gates"]) == 2


def test_a_gate_runs_what_is_not_recorded_and_says_what_it_does(ragprof: Ragprof, gated: str, base: str) -> None:
    changed(Path(gated), "seconds = 2\nrounds = 3", "seconds = 0.1\nrounds = 2")
    outcome = ragprof("gate", gated, "--baseline", base, "--out", "new")
    assert outcome.code == 0
    assert outcome.message.splitlines()[0] == "load models (7)"
    assert Path("new/manifest.json").is_file()


def test_init_writes_a_gate_says_what_it_can_detect_and_does_it_once(
    ragprof: Ragprof, handbook: Path, base: str, tmp_path: Path
) -> None:
    before = handbook.read_text()
    outcome = ragprof("gate", handbook.name, "--init", "--recording", base)
    assert (outcome.code, outcome.message) == (0, "")
    lines = outcome.output.splitlines()
    assert lines[0].startswith("nDCG@10: margin 0.01; smallest detectable effect")
    assert lines[-1] == "written: [gate] in handbook.toml"
    assert handbook.read_text().startswith(before)
    assert complaint(ragprof, "gate", handbook.name, "--init", "--recording", base, folder=tmp_path) == (
        "handbook.toml: it has [gate.quantities] already; edit them, or take them out first"
    )
    assert ragprof("gate", handbook.name, "--baseline", base, "--recording", base).code == 0


def test_a_baseline_is_saved_listed_shown_and_gated_with(ragprof: Ragprof, gated: str, base: str) -> None:
    saved = ragprof("baseline", "save", base)
    assert (saved.code, saved.message) == (0, "")
    assert saved.output.startswith("baselines/handbook (")
    size = sum(path.stat().st_size for path in Path("baselines/handbook").iterdir())
    assert saved.output == f"baselines/handbook ({size / 1e3:,.0f} kB)\n"
    listed = ragprof("baseline", "list")
    assert within_80_columns(listed.output)
    row = listed.output.splitlines()[1].split()
    assert row[:2] == ["handbook", "handbook"]
    assert row[3] == "12"
    shown = ragprof("baseline", "show", "baselines/handbook")
    assert within_80_columns(shown.output)
    assert "bm25, dense, hybrid, hybrid+overlap" in shown.output
    assert shown.output.splitlines()[-1].startswith("hybrid+overlap: nDCG@10 0.")
    changed(Path(gated), "[gate]\n", '[gate]\nbaseline = "baselines/handbook"\n')
    assert ragprof("gate", gated, "--recording", base).code == 0


def test_a_baseline_without_rankings_is_smaller(ragprof: Ragprof, base: str) -> None:
    assert ragprof("baseline", "save", base, "--into", "whole").code == 0
    assert ragprof("baseline", "save", base, "--into", "bare", "--no-rankings").code == 0
    assert {path.name for path in Path("whole").iterdir()} - {path.name for path in Path("bare").iterdir()} == {
        "rankings.parquet"
    }


def test_a_list_shows_why_a_baseline_is_refused_and_shows_the_others(ragprof: Ragprof, base: str) -> None:
    ragprof("baseline", "save", base)
    ragprof("baseline", "save", base, "--into", "baselines/edited")
    changed(Path("baselines/edited/baseline.json"), '"queries": 12', '"queries": 13')
    outcome = ragprof("baseline", "list")
    assert outcome.code == 0
    text = " ".join(outcome.output.split())
    assert "edited refused:" in text
    assert "handbook handbook 2" in text


def test_export_prints_the_paths_that_it_wrote(ragprof: Ragprof, handbook: Path, base: str) -> None:
    outcome = ragprof("export", base, "--format", "per-query, trec", "--into", "tables", "--eval", handbook.name)
    assert (outcome.code, outcome.message) == (0, "")
    paths = [Path(line) for line in outcome.output.splitlines() if not line.startswith("note: ")]
    assert all(path.is_file() for path in paths)
    assert {path.name for path in paths} >= {"per_query.parquet", "per_query.csv", "hybrid+overlap.rerank.run"}


def test_export_writes_into_the_recording_where_nothing_else_is_said(ragprof: Ragprof, base: str) -> None:
    assert ragprof("export", base).output.splitlines() == [
        "base/export/per_query.parquet",
        "base/export/per_query.csv",
    ]


def test_a_gate_that_ends_without_a_verdict_still_writes_what_was_asked(
    ragprof: Ragprof, gated: str, base: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """CI shows a missing report as a step that made none: why nothing could be judged stands in every file."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "told"))
    ragprof("baseline", "save", base, "--into", "broken")
    (Path("broken") / "figures.parquet").write_bytes(b"PAR1")
    outcome = ragprof("gate", gated, "--baseline", "broken", "--recording", base, *outputs(), "--github")
    assert outcome.code == 2
    assert outcome.message.startswith("ragprof: broken/figures.parquet: it was cut short: 4 of ")
    assert sorted(path.name for path in Path("written").iterdir()) == sorted([*WRITTEN, "benchmark"])
    assert {error.get("type") for error in suite_of().findall("testcase/error")} == {"incomparable"}
    assert all("it was cut short" in str(error.get("message")) for error in suite_of().findall("testcase/error"))
    assert dict(document()["gate"])["exit_code"] == 2  # type: ignore[call-overload]
    assert "it was cut short" in Path("written/comment.md").read_text()
    assert "exit_code=2\n" in (tmp_path / "told").read_text()


@pytest.mark.parametrize("name", ["scores", "usage", "costs", "spans"])
def test_a_recording_with_a_table_missing_is_one_message_and_no_verdict(
    ragprof: Ragprof, gated: str, base: str, name: str
) -> None:
    shutil.copytree(base, "lacking")
    (Path("lacking") / f"{name}.parquet").unlink()
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", "lacking", "--junit", "junit.xml")
    assert outcome.code == 2
    assert outcome.message.startswith(f"ragprof: lacking/{name}.parquet: this file is missing")
    assert outcome.message.count("\n") == 1
    assert f"lacking/{name}.parquet" in Path("junit.xml").read_text()


def test_one_file_that_cannot_be_written_keeps_back_no_other(ragprof: Ragprof, gated: str, base: str) -> None:
    Path("written").mkdir()
    (Path("written") / "junit.xml").mkdir()
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", base, *outputs())
    assert outcome.code == 2
    assert outcome.message.startswith("ragprof: written/junit.xml: cannot write it: Is a directory")
    assert "HOLDS: all 2 gates hold" in outcome.output
    assert sorted(path.name for path in Path("written").iterdir()) == sorted([*WRITTEN, "benchmark"])
    assert "<html" in Path("written/page.html").read_text()


def test_a_gate_that_crashes_exits_with_70_and_leaves_its_files(
    ragprof: Ragprof, gated: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 would tell the build that the change made something worse."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ragprof.session.gating.judged", broken)
    outcome = ragprof("gate", gated, "--baseline", base, "--recording", base, *outputs())
    assert outcome.code == 70
    assert dict(document()["gate"])["exit_code"] == 70  # type: ignore[call-overload]
    assert "ragprof crashed (ZeroDivisionError)" in Path("written/comment.md").read_text()


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latin-1", "cp1252"))]
)
def test_equal_recordings_hold_on_a_terminal_that_knows_few_characters(
    gated: str, base: str, cache: Path, encoding: str
) -> None:
    """Arrows and marks of a table once ended such a gate with 1, which means a regression."""
    command = [sys.executable, "-m", "ragprof", "gate", gated, "--baseline", base, "--recording", base, "--github"]
    surroundings = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    ended = subprocess.run(command, check=False, capture_output=True, env=surroundings)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"HOLDS: all 2 gates hold" in ended.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("rates.json", '"pipelines"', '"pipeline"', "odd/rates.json: it has no 'pipelines'; price it again"),
        ("manifest.json", '"created"', '"made"', "a file in it is not as ragprof writes it (KeyError: 'created')"),
        ("manifest.json", '"environment"', '"surroundings"', "is not as ragprof writes it"),
        ("manifest.json", '"packages"', '"wheels"', "its 'environment.packages' is not what it has to be"),
    ],
)
def test_a_recording_whose_files_were_changed_is_one_message(
    ragprof: Ragprof, gated: str, base: str, name: str, old: str, new: str, said: str
) -> None:
    shutil.copytree(base, "odd")
    changed(Path("odd") / name, old, new)
    for arguments in (("compare", base, "odd"), ("gate", gated, "--baseline", base, "--recording", "odd")):
        outcome = ragprof(*arguments)
        assert (outcome.code, outcome.message.count("\n")) == (2, 1)
        assert outcome.message.startswith(("ragprof: odd: ", "ragprof: odd/"))
        assert said in outcome.message
