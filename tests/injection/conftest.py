"""One study of the handbook, made beside a recording and its growth and only read; generators of the tests' own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from answerers import ANSWERERS, CountingGenerator
from study import Study, contents, write_handbook
from unsealed import unsealed

from ragprof.core import registry
from ragprof.core.clock import Silent
from ragprof.judge.scores import judge
from ragprof.record.recording import record
from ragprof.session.run import bench_of, inject
from ragprof.studies.growth.judge import judge_growth
from ragprof.studies.growth.plan import claim, plan_growth
from ragprof.studies.growth.record import record_growth
from ragprof.studies.preparation import prepare


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The whole study, as `ragprof inject` makes it. Read it; write into `study_copy`."""
    folder = tmp_path_factory.mktemp("studied")
    eval_file = write_handbook(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        before = _recorded_before(eval_file, folder / "out")
        result = inject(eval_file, out=folder / "out")
    return Study(eval_file, folder / "cache", folder / "out", result.summary, before)


def _recorded_before(eval_file: Path, out: Path) -> dict[Path, bytes]:
    """A recording with its growth, without reports."""
    prepared = prepare(eval_file)
    growing, bench = plan_growth(prepared, eval_file), bench_of(prepared, out, Silent())
    record(prepared.subject, bench)
    judge(out, prepared.evaluation, metrics=prepared.subject.config.metrics)
    claim(out / "growth", growing)
    record_growth(growing, bench)
    judge_growth(out, prepared.evaluation)
    return contents(out)


def copied(studied: Study, folder: Path) -> Path:
    """The study's folder without growth, which would only be drawn again."""
    return unsealed(Path(shutil.copytree(studied.folder, folder, ignore=shutil.ignore_patterns("growth"))))


@pytest.fixture(scope="session")
def studied_again(studied: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The same study made a second time, in a copy of its folder and with its cache."""
    folder = copied(studied, tmp_path_factory.mktemp("again") / "out")
    before = contents(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(studied.cache))
        result = inject(studied.eval_file, out=folder)
    return Study(studied.eval_file, studied.cache, folder, result.summary, before)


@pytest.fixture(scope="session")
def wordless(studied: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study made again without keeping the answers' words. Read it; copy it to write."""
    folder = copied(studied, tmp_path_factory.mktemp("wordless") / "out")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(studied.cache))
        result = inject(studied.eval_file, out=folder, keep_text=False)
    return Study(studied.eval_file, studied.cache, folder, result.summary, {})


@pytest.fixture
def study_copy(studied: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of the study that the test may change; it has the cache of the study."""
    monkeypatch.setenv("RAGPROF_CACHE", str(studied.cache))
    folder = copied(studied, tmp_path / "copy")
    return Study(studied.eval_file, studied.cache, folder, studied.summary, contents(folder))


@pytest.fixture
def answerers(monkeypatch: pytest.MonkeyPatch, cache: Path) -> type[CountingGenerator]:
    """ANSWERERS are plugins, and what CountingGenerator counts begins at nothing. The cache is the test's own."""
    find = registry.find

    def found(kind: registry.Kind, name: str) -> Any:
        return ANSWERERS[name] if kind == "generators" and name in ANSWERERS else find(kind, name)

    monkeypatch.setattr(registry, "find", found)
    monkeypatch.setattr(CountingGenerator, "answered", [])
    monkeypatch.setattr(CountingGenerator, "stops_after", float("inf"))
    return CountingGenerator
