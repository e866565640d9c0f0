"""The files of a chunking recording as the code needs them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedCorpus

AGAIN = recorded_by("ragprof chunking")
PLACED = RecordedTable(text="doc_id document_id", whole="start end", remedy=AGAIN)
"""Where in its document each passage stands, in characters."""
SPANS = RecordedTable(text="variant pipeline query_id", number="recall precision iou", may_be_empty=True, remedy=AGAIN)
CUT = RecordedTable(text="variant query_id", flag="cut", may_be_empty=True, remedy=AGAIN)


class ChunkingManifest(TypedDict, total=False):
    """manifest.json. `cuts` are the variants in their order, null for documents that are taken whole."""

    recording: str
    config: Config
    corpus: RecordedCorpus
    questions: str
    identities: Identities
    queries: int
    budget: int
    cuts: dict[str, dict[str, Any] | None]


class ChunkingJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    metric: str
    answered: int
    marked: int
    left_out: dict[str, int]


MANIFEST, JUDGEMENT = RecordedJson(ChunkingManifest, AGAIN), RecordedJson(ChunkingJudgement, AGAIN)
