"""Recordings of the small eval that is gated, made once; and the place of a test that gates it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gated_eval import DATA, EVAL, Recorded
from outside_parts import installed

from ragprof.session.run import run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    top = tmp_path_factory.mktemp("recorded")
    shutil.copytree(DATA / "handbook", top / "handbook")
    (top / "small.toml").write_text(EVAL)
    (top / "worse.toml").write_text(EVAL.replace('"overlap"', '"backwards"'))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(top / "cache"))
        patched.syspath_prepend(str(installed(top / "outside")))
        made = {"base": "small", "same": "small", "worse": "worse"}
        return Recorded(**{name: run(top / f"{file}.toml", out=top / name).folder for name, file in made.items()})


@pytest.fixture
def small(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The eval file in a place of this test's own, where the user stands; it gates nothing yet."""
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(EVAL)
    return Path("small.toml")
