"""One weighing of the handbook's reranker, made beside a recording and only read; rerankers of the tests' own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handbook_reranker import RERANKERS, RecordedRerankers, write_handbook
from unsealed import unsealed

from ragprof.core import registry
from ragprof.session.run import weigh
from ragprof.studies.reranker.section import RerankerSection


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedRerankers:
    """The whole study, as `ragprof reranker` makes it. Read it; write into `reranker_copy`."""
    folder = tmp_path_factory.mktemp("weighed")
    eval_file = write_handbook(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        result = weigh(eval_file, out=folder / "out")
    return RecordedRerankers(eval_file, folder / "cache", folder / "out", result.summary)


@pytest.fixture
def reranker_copy(recorded: RecordedRerankers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedRerankers:
    """A copy of the study that the test may change; it has the cache of the study."""
    monkeypatch.setenv("RAGPROF_CACHE", str(recorded.cache))
    folder = unsealed(Path(shutil.copytree(recorded.folder, tmp_path / "copy")))
    return RecordedRerankers(recorded.eval_file, recorded.cache, folder, recorded.summary)


@pytest.fixture(scope="session")
def section() -> RerankerSection:
    """What the product recorded; tests/golden/make.py says of what. Change a copy of it."""
    text = (Path(__file__).parents[1] / "golden" / "reranker.json").read_text(encoding="utf-8")
    return RerankerSection.model_validate_json(text)


@pytest.fixture
def eval_file(tmp_path: Path) -> Path:
    """This test's own eval file."""
    return write_handbook(tmp_path)


@pytest.fixture
def rerankers(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """RERANKERS are plugins. The cache is the test's own."""
    find: Callable[..., Any] = registry.find

    def found(kind: registry.Kind, name: str) -> Any:
        return RERANKERS[name] if kind == "rerankers" and name in RERANKERS else find(kind, name)

    monkeypatch.setattr(registry, "find", found)
