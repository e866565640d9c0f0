"""The files of a screening as the code needs them."""

from __future__ import annotations

from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedCorpus

AGAIN = recorded_by("ragprof screen")
SAMPLED = RecordedTable(
    text="document_id", whole="passages tokens", number="closeness", flag="similar copy", remedy=AGAIN
)
EFFECTS = RecordedTable(
    text="pipeline added",
    whole="resample",
    number="quality judged from_source context_tokens quality_of_half",
    remedy=AGAIN,
)
"""Resample 0 is the estimate itself; quality is missing without judgements."""


class ScreenManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    config: Config
    corpus: RecordedCorpus
    questions: str
    identities: Identities
    queries: int
    source: str
    source_documents: int
    has_vectors: bool
    seed: int


class ScreenJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    metric: str
    judged: bool
    resamples: int


MANIFEST, JUDGEMENT = RecordedJson(ScreenManifest, AGAIN), RecordedJson(ScreenJudgement, AGAIN)
