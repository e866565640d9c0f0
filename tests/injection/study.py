"""The handbook's study of answers, timed as briefly as can be, and how the tests make and read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.core.clock import Silent
from ragprof.session.run import bench_of
from ragprof.studies.injection.plan import plan_injection
from ragprof.studies.injection.record import record_injection
from ragprof.studies.preparation import prepare

DATA = Path(__file__).parents[1] / "data"
KEY = ["pipeline", "setting", "query_id"]
BRIEF = {
    "seconds = 2\nrounds = 3\nmin_queries = 12\n": "seconds = 0.02\nrounds = 2\nmin_queries = 2\n",
    "seconds = 1\nrounds = 2\nmin_queries = 4\n": "seconds = 0.02\nrounds = 2\nmin_queries = 2\n",
}
GROWTH = """
[growth]
sizes = [22, 24]
orders = 1
curves = ["all_judged"]
[growth.timing]
seconds = 0.01
rounds = 2
min_queries = 1
warmup = 1
"""


@dataclass(frozen=True)
class Study:
    """A finished study, and what lay in its folder before: files of the main recording and of its growth."""

    eval_file: Path
    cache: Path
    folder: Path
    summary: Mapping[str, Any] = field(repr=False)
    before: Mapping[Path, bytes] = field(repr=False)

    @property
    def place(self) -> Path:
        return self.folder / "injection"

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.place)

    def table(self, name: str) -> pd.DataFrame:
        return table(self.place, name)


def write_handbook(folder: Path, *changes: tuple[str, str]) -> Path:
    """The handbook's collection and its eval file in a folder, with pieces of the file replaced, each once."""
    shutil.copytree(DATA / "handbook", folder / "handbook")
    text = (DATA / "handbook.toml").read_text(encoding="utf-8")
    for old, new in [*BRIEF.items(), *changes]:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "handbook.toml"
    path.write_text(text + GROWTH, encoding="utf-8")
    return path


def record_study(eval_file: Path, out: Path, **changes: Any) -> Path:
    """The record pass alone; nothing is judged, priced or drawn. The folder of the answers."""
    prepared = prepare(eval_file)
    record_injection(plan_injection(prepared, eval_file, changes=changes), bench_of(prepared, out, Silent()))
    return out / "injection"


def table(place: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(place / f"{name}.parquet")


def read_manifest(place: Path) -> dict[str, Any]:
    return dict(json.loads((place / "manifest.json").read_text(encoding="utf-8")))


def answers_by_place(place: Path) -> pd.Series:
    """The answer's text of each pipeline, setting and question."""
    whole = table(place, "prompts")[[*KEY, "digest"]].merge(table(place, "answers"), on="digest", validate="m:1")
    return whole.set_index(KEY)["text"].sort_index()


def contents(folder: Path) -> dict[Path, bytes]:
    """Bytes of every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
