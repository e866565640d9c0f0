"""The files of a stores recording as the code needs them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedCorpus

AGAIN = recorded_by("ragprof stores")
RANKED = RecordedTable(
    text="query_id stage doc_id document_id", whole="rank", number="score exact_score", may_be_empty=True, remedy=AGAIN
)
"""`exact_score` is that of exact search, so that a passage that ties with the last of its first k is known."""
FOUND = RecordedTable(text="setting query_id", whole="found server_ns", nullable="server_ns", remedy=AGAIN)
BUILDS = RecordedTable(
    text="setting", whole="build_ns ready_ns index_bytes memory_bytes peak_rss_bytes", nullable="memory_bytes",
    remedy=AGAIN,
)  # fmt: skip
LIVE = RecordedTable(
    text="pipeline phase query_id stage", whole="round start_ns duration_ns cpu_ns waiting_ns",
    nullable="cpu_ns waiting_ns", remedy=AGAIN,
)  # fmt: skip
"""A row a live search; `pipeline` is the setting's name."""
FILTERED = RecordedTable(text="setting field query_id", whole="hits wanted found matching", remedy=AGAIN)
"""Of the `wanted` nearest that the filter lets through, how many are among as many first."""
CHANGED = RecordedTable(
    text="setting phase query_id", whole="round start_ns duration_ns wanted hits ghosts stale found", remedy=AGAIN
)
"""A row a search before, during and after changes, and after a rebuild; `ghosts` and `stale` were gone before it."""
WRITES = RecordedTable(
    text="kind", whole="passages start_ns duration_ns visible_ns", nullable="visible_ns", remedy=AGAIN
)
SIZES = RecordedTable(whole="before_bytes after_bytes rebuilt_bytes rebuild_ns", remedy=AGAIN)
COLD = RecordedTable(text="index setting query_id", flag="warm", whole="restart place duration_ns", remedy=AGAIN)
"""A row a search after a restart, `place` its number from 0; warm: the same question asked again right after all."""
OPENED = RecordedTable(text="index setting", whole="restart open_ns", number="resident", remedy=AGAIN)
"""`resident` is the share of the files that stayed in the system's page cache; missing where nobody tells."""
SCORES = RecordedTable(text="setting stage metric query_id", number="value", may_be_empty=True, remedy=AGAIN)
"""Recall of exact search stands under the metric `recall@k`."""


class RecordedSetting(TypedDict):
    """One setting, in the order of the study."""

    name: str
    index: str
    built: str
    number: int
    knobs: dict[str, Any]
    spec: dict[str, Any]


class StoresManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    config: Config
    corpus: RecordedCorpus
    questions: str
    identities: Identities
    query_ids: list[str]
    pipeline: str
    reranker: str
    depth: int
    k: int
    filters: dict[str, float]
    values: dict[str, str]
    churn: dict[str, Any] | None
    churned: list[str]
    cold: dict[str, Any] | None
    reopened: list[str]
    settings: list[RecordedSetting]
    engines: dict[str, str]


class StoresJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    metric: str
    judged: bool
    margin: float


class StoreBill(TypedDict):
    """USD of a month, or why there are none."""

    usd: str | None
    reason: str


class StoresBills(TypedDict):
    """costs.json."""

    database: dict[str, Any] | None
    bills: dict[str, StoreBill]


MANIFEST, JUDGEMENT, BILLS = (
    RecordedJson(StoresManifest, AGAIN),
    RecordedJson(StoresJudgement, AGAIN),
    RecordedJson(StoresBills, AGAIN),
)
