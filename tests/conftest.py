"""The handbook: a small invented collection and its eval file, recorded once for all tests that only read."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pictures
import pytest
from unsealed import unsealed

if TYPE_CHECKING:
    from ragprof.studies.profile.section import ProfileSection

pytest_plugins = ["pytester"]
BRIEF = ("audit", "chunking", "curate", "growth", "injection", "judge", "load", "price", "record", "reranker", "screen",
         "stores_study")  # fmt: skip
DATA = Path(__file__).parent / "data"
# Nobody knows how busy the machine of a test is: what waiting does to a report is tested with readings made by hand.
# Processes that tests start inherit it.
os.environ["RAGPROF_CORE_TIMES"] = "off"


def pytest_collection_finish() -> None:
    """What stands once all is collected stays: the collector of garbage need not walk through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def blank_pictures() -> Iterator[None]:
    with pictures.blank():
        yield


@pytest.fixture
def real_pictures() -> Iterator[None]:
    """Still pictures are drawn."""
    with pictures.real():
        yield


@pytest.fixture(scope="module", autouse=True)
def brief_reports(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the rooms of studies, reports have their head alone; recordings of a whole session are drawn whole."""
    brief = request.path.parent.name in BRIEF
    with pictures.without_parts() if brief else nullcontext():
        yield


@pytest.fixture
def whole_reports() -> Iterator[None]:
    """Reports are drawn whole, with all tables and charts."""
    with pictures.whole():
        yield


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """This test's own copy of handbook.toml, with the collection in `handbook/` beside it."""
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    return Path(shutil.copy(DATA / "handbook.toml", tmp_path))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RAGPROF_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def recorded_handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of handbook.toml. Read it; write into `handbook_recording`."""
    from ragprof.session.run import run

    folder = tmp_path_factory.mktemp("handbook")
    with pytest.MonkeyPatch.context() as patched, pictures.whole():
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        return run(DATA / "handbook.toml", out=folder / "recording").folder


@pytest.fixture
def handbook_recording(recorded_handbook: Path, tmp_path: Path) -> Path:
    """A copy of the recording that the test may change."""
    return unsealed(Path(shutil.copytree(recorded_handbook, tmp_path / "recording")))


@pytest.fixture(scope="session")
def main_run() -> ProfileSection:
    """What the product recorded of the handbook: bm25, dense, hybrid, hybrid+overlap. tests/golden/make.py makes it."""
    from ragprof.studies.profile.section import ProfileSection

    text = (Path(__file__).parent / "golden" / "profile.json").read_text(encoding="utf-8")
    return ProfileSection.model_validate_json(text)
