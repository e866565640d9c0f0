"""A study that was recorded with another main recording than the one around it says so wherever it is shown."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from ragprof.record.belonging import is_stale, join
from ragprof.session.again import redraw
from ragprof.session.run import inject, run

BRIEF = (
    ("seconds = 2\nrounds = 3\nmin_queries = 12\n", "seconds = 0.02\nrounds = 2\nmin_queries = 2\n"),
    ("lengths = [64, 128, 256, 512]", "lengths = [64, 128, 256]"),
    ("ks = [1, 2, 3, 5]", "ks = [1, 2]"),
    ("budgets = [60, 120]\n", ""),
    ("order_k = 3", "order_k = 2"),
    ("seconds = 1\nrounds = 2\nmin_queries = 4\n", "seconds = 0.02\nrounds = 2\nmin_queries = 2\n"),
)
SAID = "The injection study in this folder was recorded with an earlier recording than the one around it"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An eval file, and the folder of its recording with a study beside it. Read only."""
    top, data = tmp_path_factory.mktemp("stale"), Path(__file__).parents[1] / "data"
    shutil.copytree(data / "handbook", top / "handbook")
    text = (data / "handbook.toml").read_text()
    for old, new in BRIEF:
        assert old in text
        text = text.replace(old, new)
    (top / "handbook.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(top / "cache"))
        inject(top / "handbook.toml", out=top / "out")
    return top / "handbook.toml", top / "out"


@pytest.mark.slow
def test_a_study_of_the_recording_around_it_is_told_of_without_a_word(study: tuple[Path, Path]) -> None:
    _, folder = study
    assert "earlier recording" not in (folder / "report.md").read_text()
    assert "earlier recording" not in (folder / "report.html").read_text()


def test_a_study_beside_a_newer_recording_is_marked_in_every_place(
    study: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eval_file, recorded = study
    monkeypatch.setenv("RAGPROF_CACHE", str(eval_file.parent / "cache"))
    folder = Path(shutil.copytree(recorded, tmp_path / "out"))
    before = (folder / "injection" / "answers.parquet").read_bytes()
    result = run(eval_file, out=folder)
    assert [warning[: len(SAID)] for warning in result.summary["warnings"] if "earlier" in warning] == [SAID]
    assert json.loads((folder / "summary.json").read_text())["injection"]
    assert (folder / "report.html").read_text().count(SAID) == 2  # among the warnings, and at the study's own head
    assert (folder / "report.md").read_text().count(SAID) == 1
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(redraw(folder).table("injection"))
    assert " ".join(console.export_text().split()).startswith(f"! {SAID}")
    assert (folder / "injection" / "answers.parquet").read_bytes() == before


@pytest.mark.slow
def test_a_study_that_is_recorded_anew_is_of_the_recording_around_it(
    study: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eval_file, recorded = study
    monkeypatch.setenv("RAGPROF_CACHE", str(eval_file.parent / "cache"))
    folder = Path(shutil.copytree(recorded, tmp_path / "out"))
    assert any(SAID in warning for warning in run(eval_file, out=folder).summary["warnings"])
    assert not any(SAID in warning for warning in inject(eval_file, out=folder).summary["warnings"])


def test_a_study_that_was_continued_stays_with_the_recording_that_it_was_begun_with(tmp_path: Path) -> None:
    """Growth keeps the times of a recording that is there; the other studies time all anew."""

    def recorded(place: str, name: str) -> None:
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "manifest.json").write_text(json.dumps({"recording": name}))

    recorded(".", "monday")
    for study in ("growth", "reranker"):
        recorded(study, "first")
        assert not is_stale(tmp_path, study)  # nothing is known yet
        join(tmp_path, study, continued=study == "growth")
        assert not is_stale(tmp_path, study)
    recorded(".", "tuesday")
    assert is_stale(tmp_path, "growth")
    assert is_stale(tmp_path, "reranker")
    for study in ("growth", "reranker"):
        recorded(study, "second")
        join(tmp_path, study, continued=study == "growth")
    assert is_stale(tmp_path, "growth")
    assert not is_stale(tmp_path, "reranker")
