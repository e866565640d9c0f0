"""A recording of rerankers as it was written: its files, its arms, and their candidates at each depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from ragprof.core.errors import BadInput
from ragprof.core.ranking import best_first, closed_up, id_ranks, reordered
from ragprof.core.recorded import PRICED, RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedRate
from ragprof.studies.reranker.section import RerankerWork

SEARCH, RERANK, ORACLE, WINDOWED = "search", "rerank", "oracle", "windowed"
AGAIN = "run 'ragprof reranker' again"
Places = NDArray[np.int64]
Scores = NDArray[np.float64]


class ListwiseCheck(BaseModel):
    """Whether scores depend on the documents beside them, found out by asking twice.

    `largest_difference` is the largest move as a share of the scores' standard deviation; None: not asked.
    """

    model_config = ConfigDict(frozen=True)

    declared: bool = True
    checked_queries: int = 0
    largest_difference: float | None = None
    listwise: bool


class RecordedArm(BaseModel):
    """What manifest.json says of a pipeline's reranker, or of a student over its candidates."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    student: str | None
    reranker: dict[str, Any] = {}
    own_depth: int
    own_k: int = 0
    depths: tuple[int, ...]
    against: str = ""
    pointwise: ListwiseCheck
    remote: bool = False
    max_tokens: int | None = None
    prefix: bool
    """Whether the candidates of a smaller depth are the first of a greater one, in one set for all depths."""
    app: bool = False
    """Whether the pipeline is an app of the user's own."""
    without_live: bool = True
    """Whether it was asked live without its reranker; else the reranker's time was left out of what it took."""

    def set_of(self, depth: int, recorded: Sequence[int]) -> int | None:
        """The depth of the set that holds this depth's candidates: its own, or a deeper one that begins with them."""
        shared = self.prefix and not self.pointwise.listwise
        return next((each for each in sorted(recorded) if each == depth or (shared and each > depth)), None)


ANEW = recorded_by("ragprof reranker")
TABLES: Mapping[str, RecordedTable] = {
    "candidates": RecordedTable(
        text="arm query_id doc_id document_id", whole="depth rank tokens", number="search_score rerank_score",
        may_be_empty=True, remedy=ANEW,
    ),
    "judged": RecordedTable(text="arm ranking query_id", whole="depth", metrics=True, remedy=ANEW),
    "others": RecordedTable(text="pipeline query_id", metrics=True, remedy=ANEW),
    "moves": RecordedTable(
        text="arm query_id query_text doc_id doc_text doc_where", whole="from_rank to_rank",
        nullable="query_text doc_text doc_where from_rank to_rank", later="doc_where", may_be_empty=True, remedy=ANEW,
    ),
    "cuts": RecordedTable(
        text="arm query_id doc_id", flag="relevant", whole="tokens kept_tokens", nullable="relevant",
        may_be_empty=True, remedy=ANEW,
    ),
    "lengths": RecordedTable(
        text="arm query_id doc_id", whole="tokens kept_tokens", may_be_empty=True, remedy=ANEW
    ),
    "signals": RecordedTable(text="arm signal query_id", number="value", remedy=ANEW),
    "live": RecordedTable(
        text="arm query_id",
        whole="depth round end_to_end_ns embed_ns search_ns rerank_ns inject_ns candidates candidate_tokens cpu_ns "
        "waiting_ns",
        nullable="embed_ns search_ns rerank_ns inject_ns cpu_ns waiting_ns", later="cpu_ns waiting_ns", remedy=ANEW,
    ),
    "costs": RecordedTable(text="arm query_id", whole="depth", number="units", money="usd", remedy=PRICED),
    "prompts": RecordedTable(text="arm ranking query_id", whole="depth k context_tokens", remedy=PRICED),
}  # fmt: skip
"""What is analysed: name of the file -> its columns."""
WINDOWS = RecordedTable(text="arm query_id doc_id", whole="windows", number="score", may_be_empty=True, remedy=ANEW)


class RecordedCpu(TypedDict):
    """Of the machine."""

    cpu: str | None


class RerankerManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    config: Config
    corpus_sha256: str
    questions_sha256: str
    identities: Identities
    query_ids: list[str]
    arms: dict[str, RecordedArm]
    max_k: int
    template_tokens: float
    query_tokens: float
    work: RerankerWork
    environment: RecordedCpu


class RerankerJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str


class RecordedPrice(TypedDict):
    """A price of a rate's history."""

    since: str
    usd: str


class RecordedPromptPrice(TypedDict):
    """What a model takes for a prompt's tokens."""

    name: str
    usd_per_million_tokens: str | None
    unpriced: str | None
    primary: bool


class NamedRate(RecordedRate):
    """With its name."""

    name: str


class ArmRates(TypedDict):
    """What rates.json says of an arm."""

    rate: NamedRate | None
    unpriced: str | None
    utilisation: str | None
    history: list[RecordedPrice]
    hourly: bool
    llms: list[RecordedPromptPrice]


class RerankerRates(TypedDict):
    """rates.json."""

    queries_per_month: int | None
    arms: dict[str, ArmRates]


class CorrectedDifference(TypedDict):
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


class CorrectedDepth(TypedDict):
    """At one depth of one arm: what the reranker gains over its search, and what is lost against its own depth."""

    arm: str
    depth: int
    gain: CorrectedDifference
    loss: CorrectedDifference


class CorrectedGains(TypedDict):
    """corrected.json. Without enough judged queries `depths` is empty; `judges` are the models that graded."""

    judges: list[str]
    queries: int
    drawn: int
    depths: list[CorrectedDepth]


MANIFEST, JUDGEMENT = RecordedJson(RerankerManifest, ANEW), RecordedJson(RerankerJudgement, ANEW)
RATES = RecordedJson(RerankerRates, PRICED)
CORRECTED = RecordedJson(CorrectedGains, ANEW)
CORRECTED_FILE = "corrected.json"


def candidates_at(rows: pd.DataFrame, name: str, arm: RecordedArm, depth: int) -> pd.DataFrame:
    """The arm's rows of candidates.parquet at a depth, each query's in the search's order.

    `rows` are those of all arms. Raises BadInput where the depth was not recorded.
    """
    mine = rows[rows["arm"] == name]
    recorded = mine["depth"].unique().tolist()
    chosen = arm.set_of(depth, recorded)
    if recorded and chosen is None:
        raise BadInput(f"candidates.parquet lacks the candidates of '{name}' at depth {depth}; {AGAIN}")
    found = mine[(mine["depth"] == chosen) & (mine["rank"] <= depth)]
    return found.sort_values(["query_id", "rank"], ignore_index=True)


def check_candidates(rows: pd.DataFrame, query_ids: Sequence[str], file: Path) -> None:
    """Raise BadInput for a candidate without a finite score, or of a query that was not asked."""
    unasked = set(rows["query_id"]) - set(query_ids)
    if unasked:
        raise BadInput(f"it has '{min(unasked)}', which manifest.json does not ask; {AGAIN}", file=file)
    unscored = rows[~np.isfinite(rows["rerank_score"].to_numpy(float, na_value=np.nan))]
    if len(unscored):
        arm, query_id, doc_id = unscored[["arm", "query_id", "doc_id"]].iloc[0]
        raise BadInput(
            f"'{doc_id}' has no finite rerank_score for '{query_id}' in '{arm}', so no order is known; {AGAIN}",
            file=file,
        )


@dataclass(frozen=True)
class CandidateTable:
    """What a search gave its reranker, (..., queries, depth) in the search's order; scores are the reranker's.

    Passages are numbers; -1 is where nothing is.
    """

    places: Places
    scores: Scores

    @classmethod
    def of(cls, rows: pd.DataFrame, *, queries: int) -> CandidateTable:
        """From rows with `query`, `rank` from 1, `place` and `rerank_score`."""
        shape = (queries, int(rows["rank"].max()) if len(rows) else 0)
        at = (rows["query"].to_numpy(np.int64), rows["rank"].to_numpy(np.int64) - 1)
        places, scores = np.full(shape, -1, np.int64), np.full(shape, np.nan)
        places[at], scores[at] = rows["place"].to_numpy(np.int64), rows["rerank_score"].to_numpy(float)
        return cls(places, scores)

    @property
    def searched(self) -> Places:
        """The search's order, without gaps."""
        return closed_up(self.places)

    def reranked(self, ranks: Places) -> Places:
        """The reranker's order: by score, ties as every ranking settles them, by the `id_ranks` of the passages."""
        return reordered(self.places, self.scores, ranks)[0]


def order_after(rows: pd.DataFrame) -> Places:
    """Positions of `candidates_at` rows query by query, each by the reranker's score, ties by doc_id, both falling."""
    unique, codes = np.unique(rows["doc_id"].to_numpy(object), return_inverse=True)
    inside = best_first(rows["rerank_score"].to_numpy(float), id_ranks(list(unique))[codes])
    queries = rows["query_id"].to_numpy(object)[inside]
    return np.asarray(inside[np.argsort(queries, kind="stable")])
