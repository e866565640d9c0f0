"""The files of a curate recording as the code needs them."""

from __future__ import annotations

from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedCorpus

AGAIN = recorded_by("ragprof curate")
REVIEW = RecordedTable(
    text="kind document kept title reason",
    whole="passages tokens",
    number="similarity",
    nullable="title reason",
    may_be_empty=True,
    remedy=AGAIN,
)
LINES = RecordedTable(text="text", whole="documents words", may_be_empty=True, remedy=AGAIN)


class CurateManifest(TypedDict, total=False):
    """manifest.json. `variants` are in their order, `same_as` leads from a copy to its original."""

    recording: str
    config: Config
    corpus: RecordedCorpus
    questions: str
    identities: Identities
    queries: int
    without_text: int
    searched_vectors: str | None
    keep_text: bool
    variants: list[str]
    same_as: dict[str, str]


class CurateJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    metric: str
    judged: bool


MANIFEST, JUDGEMENT = RecordedJson(CurateManifest, AGAIN), RecordedJson(CurateJudgement, AGAIN)
