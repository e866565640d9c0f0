"""The files of an audit as the code needs them: columns and members with their types."""

from __future__ import annotations

from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedCorpus

AGAIN = recorded_by("ragprof audit")
CHECKS = RecordedTable(
    text="pipeline stage what variant query_id",
    flag="identical ranking_changed injection_changed",
    number="largest_difference",
    nullable="ranking_changed injection_changed",
    remedy=AGAIN,
)
TIES = RecordedTable(text="pipeline query_id", flag="at_depth at_k", remedy=AGAIN)
RANKINGS = RecordedTable(
    text="pipeline run query_id stage doc_id document_id", whole="rank", number="score", may_be_empty=True, remedy=AGAIN
)
SCORES = RecordedTable(text="pipeline run query_id metric", number="value", may_be_empty=True, remedy=AGAIN)
"""Empty without judgements."""


class RecordedThreads(TypedDict):
    """Numbers of threads that were tried."""

    present: int | None
    other: int | None


class AuditManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    config: Config
    corpus: RecordedCorpus
    questions: str
    identities: Identities
    times: int
    queries: list[str]
    pointwise: dict[str, bool]
    threads: RecordedThreads


class AuditJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    metric: str


MANIFEST, JUDGEMENT = RecordedJson(AuditManifest, AGAIN), RecordedJson(AuditJudgement, AGAIN)
