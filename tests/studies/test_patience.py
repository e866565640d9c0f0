"""Live rounds of every study that times any are timed again in a quieter moment, and nothing else changes by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ragprof.core import cores
from ragprof.core.clock import Silent
from ragprof.core.cores import CoreTimes
from ragprof.record import timings
from ragprof.session.run import grow, inject, reranker

DATA = Path(__file__).parents[1] / "data"
SIZES = "time live queries at every size"
LIVE = "seconds = 0.01\nrounds = 2\nmin_queries = 2\nwarmup = 1\npatience = "
REPLACED = {
    "seconds = 2\nrounds = 3\nmin_queries = 12\nwarmup = 1\n": f"{LIVE}0\n",
    "seconds = 1\nrounds = 2\nmin_queries = 4\n": f"{LIVE}60\n",
    "[budget]": f"""\
[growth]
sizes = [22, 24]
orders = 1
curves = ["all_judged"]
[growth.timing]
{LIVE}60
[reranker]
depths = [2, 7]
[reranker.timing]
{LIVE}60
[budget]""",
}


class Gust(Silent):
    """Progress and meter: from the beginning of a study's live rounds on other work takes the cores until we wait."""

    def __init__(self) -> None:
        self.task, self.blowing, self.pauses, self.waited = "", False, list[float](), 0

    def start(self, task: str, total: int) -> None:
        self.task = task
        self.blowing |= task in ("time every depth", "time live answers")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.blowing = False

    def of_process(self) -> CoreTimes:
        self.waited += 10**12 * self.blowing
        return CoreTimes(0, self.waited, 0, 0, 0, 0)

    def of_machine(self) -> CoreTimes:
        # a size's warm-up is over when its queries begin
        self.blowing |= self.task == SIZES and not self.pauses
        return self.of_process()

    def shortest_ns(self) -> int:
        return 10**18


@pytest.fixture
def gust(monkeypatch: pytest.MonkeyPatch) -> Gust:
    made = Gust()
    monkeypatch.setattr(cores, "meter", lambda: made)
    monkeypatch.setattr(timings, "sleep", made.sleep)
    return made


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    text = (DATA / "handbook.toml").read_text(encoding="utf-8")
    for old, new in REPLACED.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "handbook.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("study", "file", "rounds"),
    [
        (reranker, "reranker/live.parquet", 2),
        pytest.param(inject, "injection/live.parquet", 2, marks=pytest.mark.slow),
        pytest.param(grow, "growth/live", 4, marks=pytest.mark.slow),
    ],
)
def test_a_busy_round_of_a_study_is_timed_again(
    study: Callable[..., object], file: str, rounds: int, handbook: Path, gust: Gust, tmp_path: Path, cache: Path
) -> None:
    study(handbook, out=tmp_path / "out", progress=gust)
    tables = [tmp_path / "out" / file]
    if tables[0].is_dir():
        tables = sorted(tables[0].glob("*/spans.parquet"))
        assert len(tables) == rounds
    live = pd.concat([pd.read_parquet(path) for path in tables])
    assert gust.pauses
    assert live["waiting_ns"].sum() == 0
    assert live["round"].value_counts().nunique() == 1
    assert set(live["round"]) == {0, 1}
