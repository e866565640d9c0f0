"""The handbook's rerankers, timed as briefly as can be; how the tests read what was recorded; rerankers to find out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.core import Doc, Query, Scored
from ragprof.parts.rerankers.overlap import OverlapReranker

DATA = Path(__file__).parents[1] / "data"
BRIEF = {"seconds = 2\nrounds = 3\nmin_queries = 12\n": "seconds = 0.02\nrounds = 2\nmin_queries = 2\n"}
RERANKER = """
[reranker]
depths = [1, 2, 4, 7]
ks = [1, 2, 3, 5]
llms = ["openai:gpt-4o"]
signals = ["margin", "top_score"]
price_trend = 30
[reranker.timing]
seconds = 0.05
rounds = 2
min_queries = 3
"""


@dataclass(frozen=True)
class RecordedRerankers:
    """A finished study."""

    eval_file: Path
    cache: Path
    folder: Path
    summary: Mapping[str, Any] = field(repr=False)

    @property
    def place(self) -> Path:
        return self.folder / "reranker"

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.place / "manifest.json").read_text()))

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.place / f"{name}.parquet")


def write_handbook(folder: Path, *, more: str = RERANKER, changes: Mapping[str, str] | None = None) -> Path:
    """The handbook's eval file with a [reranker] table, and its collection beside it."""
    shutil.copytree(DATA / "handbook", folder / "handbook")
    text = (DATA / "handbook.toml").read_text()
    for before, after in {**BRIEF, **(changes or {})}.items():
        assert before in text
        text = text.replace(before, after)
    file = folder / "handbook.toml"
    file.write_text(text.replace("\n[budget]", f"{more}\n[budget]"))
    return file


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class CompanyReranker(OverlapReranker):
    """Says that it is pointwise, but how many documents stand beside one changes its score, and the order."""

    @property
    def identity(self) -> str:
        return "company"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        scored = super().score(query, docs)
        moved = tuple(
            score + (len(doc.content) * len(docs)) % 7 for doc, score in zip(docs, scored.scores, strict=True)
        )
        return Scored(moved, scored.usage)


class ListwiseReranker(CompanyReranker):
    """The same, and it says so."""

    pointwise = False


class BrokenReranker(OverlapReranker):
    """Gives NaN."""

    @property
    def identity(self) -> str:
        return "broken"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored((float("nan"),) * len(docs), {})


class UnreachableReranker(OverlapReranker):
    """Cannot be loaded."""

    def load(self) -> None:
        from ragprof.core.errors import BadInput

        raise BadInput("no answer from http://127.0.0.1:9; start the server")


RERANKERS = {
    "company": CompanyReranker,
    "listwise": ListwiseReranker,
    "broken": BrokenReranker,
    "unreachable": UnreachableReranker,
}
