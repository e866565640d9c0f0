"""What ragprof did not write is neither replaced nor deleted nor read from outside of what was named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ragprof
from ragprof.core.errors import BadInput
from ragprof.core.files import sweep
from ragprof.core.recorded import check_ours, remove_study
from ragprof.corpus.account import Tally
from ragprof.corpus.folder import pages


@pytest.mark.parametrize("name", ["manifest.json", "summary.json", "report.html", "report.md"])
def test_a_run_replaces_no_file_of_another_program(handbook: Path, tmp_path: Path, cache: Path, name: str) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / name).write_text('{"name": "my app"}')
    with pytest.raises(BadInput, match=rf"site/{name}: this file would be replaced, and nothing beside it shows"):
        ragprof.run(handbook, out=out)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == '{"name": "my app"}'


def test_a_recording_of_ours_is_replaced_also_where_its_manifest_was_cut(handbook_recording: Path) -> None:
    check_ours(handbook_recording)
    (handbook_recording / "manifest.json").write_text("{")
    check_ours(handbook_recording)


def test_a_study_is_deleted_where_it_is_ours(tmp_path: Path) -> None:
    foreign, ours = tmp_path / "growth", tmp_path / "ours"
    for folder in (foreign, ours):
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    (ours / "plan.json").write_text("{}")
    with pytest.raises(BadInput, match=r"growth: it would be deleted, and nothing in it shows that ragprof made it"):
        remove_study(foreign)
    remove_study(ours)
    assert (foreign / "notes.txt").exists()
    assert not ours.exists()


def test_what_a_killed_writer_left_is_deleted_and_what_another_writes_is_not(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, living = tmp_path / f".spans.parquet.{gone.pid}.partial", tmp_path / f".spans.parquet.{os.getpid()}.partial"
    foreign = tmp_path / ".download.partial"
    for path in (left, living, foreign):
        path.touch()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living, foreign])


def test_a_page_that_links_out_of_the_folder_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("# Salaries")
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "a.md").write_text("# Ponds")
    (folder / "b.md").symlink_to("a.md")
    (folder / "c.md").symlink_to("../secret.md")
    tally = Tally()
    assert [file.path.name for file in pages(folder, tally)] == ["a.md", "b.md"]
    (left,) = tally.account().left_out
    assert (left.reason, left.examples) == ("a link that leads out of the folder", ("c.md",))
