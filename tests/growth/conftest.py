"""One growth recording of the seeded collection, made once and only read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from growing_collection import write_collection
from grown import Grown
from unsealed import unsealed
from variants import context_of

from ragprof.session.run import grow
from ragprof.studies.contract import Context
from ragprof.studies.growth.plan import plan_growth
from ragprof.studies.growth.section import GrowthSection
from ragprof.studies.preparation import prepare


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = tmp_path_factory.mktemp("growing")
    eval_file = write_collection(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        result = grow(eval_file, out=folder / "out")
    prepared = prepare(eval_file)
    return Grown(
        eval_file, folder / "cache", folder / "out", prepared, plan_growth(prepared, eval_file), result.summary
    )


@pytest.fixture
def copy(grown: Grown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recording that the test may change."""
    monkeypatch.setenv("RAGPROF_CACHE", str(grown.cache))
    return unsealed(Path(shutil.copytree(grown.folder, tmp_path / "copy")))


@pytest.fixture
def eval_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own copy of the collection, with a cache of its own."""
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    return write_collection(tmp_path)


@pytest.fixture(scope="session")
def section() -> GrowthSection:
    """What the product recorded of the collection at six sizes; tests/golden/make.py makes it anew."""
    path = Path(__file__).parents[1] / "golden" / "growth.json"
    return GrowthSection.model_validate_json(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def context(section: GrowthSection) -> Context:
    return context_of(section)
