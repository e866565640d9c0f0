"""One weighing of the handbook's reranker, made beside a recording and only read; rerankers of the tests' own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from weighing import RERANKERS, Weighed, write_handbook

from ragprof.core import registry
from ragprof.session.run import weigh


@pytest.fixture(scope="session")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Weighed:
    """The whole study, as `ragprof reranker` makes it. Read it; write into `weighed_copy`."""
    folder = tmp_path_factory.mktemp("weighed")
    eval_file = write_handbook(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        result = weigh(eval_file, out=folder / "out")
    return Weighed(eval_file, folder / "cache", folder / "out", result.summary)


@pytest.fixture
def weighed_copy(weighed: Weighed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weighed:
    """A copy of the study that the test may change; it has the cache of the study."""
    monkeypatch.setenv("RAGPROF_CACHE", str(weighed.cache))
    folder = Path(shutil.copytree(weighed.folder, tmp_path / "copy"))
    return Weighed(weighed.eval_file, weighed.cache, folder, weighed.summary)


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
