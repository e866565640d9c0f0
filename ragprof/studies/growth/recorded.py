"""The files of a growth recording as the code needs them: columns and members with their types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NotRequired, TypeAlias

from pydantic import JsonValue
from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals import Curve
from ragprof.evals.recorded import BUILDS, SPANS, USAGE, Config, Counts, Identities
from ragprof.record.unread import UnreadTexts

ANEW = recorded_by("ragprof grow --fresh")
"""Without --fresh what is there is kept as it is."""
CELL = "order size query"
DOCS = RecordedTable(text="doc_id document_id kind", whole="place content tokens", nullable="tokens", remedy=ANEW)
QUERIES = RecordedTable(text="query_id", remedy=ANEW)
ENTRY = RecordedTable(text="curve", whole="order place position", remedy=ANEW)
CELLS = RecordedTable(whole=f"{CELL} rank place injected", number="score rerank_score", may_be_empty=True, remedy=ANEW)
"""Empty where the store found nothing for any query."""
PROMPTS = RecordedTable(whole=f"{CELL} prompt_tokens query_tokens context_tokens", remedy=ANEW)
TAILS = RecordedTable(whole=f"{CELL} place", number="score", remedy=ANEW)
DISTRIBUTION = RecordedTable(whole=CELL, number="grade score", remedy=ANEW)
SCORES = RecordedTable(text="curve stage", whole=f"{CELL} depth", metrics=True, remedy=ANEW)
CONTEXT = RecordedTable(
    text="curve", whole=CELL, number="relevant irrelevant unjudged duplicate contradicting", remedy=ANEW
)
COVERAGE = RecordedTable(whole=CELL, number="coverage", remedy=ANEW)
LIVE = {
    "spans": replace(SPANS, remedy=ANEW),
    "usage": replace(USAGE, remedy=ANEW, may_be_empty=True),  # no part has to tell what it uses
    "builds": replace(BUILDS, whole=f"{BUILDS.whole} round", remedy=ANEW),
}
"""Of one round at one size."""


class RecordedPlan(TypedDict):
    """Of what a growth recording rests on, what is read by name."""

    orders: int
    depth: int
    corpus: str
    questions: str
    pipelines: list[dict[str, Any]]
    identities: Identities
    tokenizer: str


class RecordedKept(TypedDict):
    """What is in every sub-corpus."""

    documents: int
    passages: int


class GrownApp(TypedDict):
    """Of a pipeline that is an app: its longest ranking, whether it reranks, and what happened when it was asked."""

    depth: int
    reranked: bool
    asked: int
    failed: int
    first_failure: str
    unknown: int


Sizes: TypeAlias = dict[Curve, list[int]]


class GrowthManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    plan: RecordedPlan
    corpus_docs: int
    config: Config
    kept: RecordedKept
    sizes: Sizes
    left_out: dict[str, str]
    listwise: list[str]
    exactness_unknown: list[str]
    unread: list[UnreadTexts]
    apps: NotRequired[dict[str, GrownApp]]
    apps_left_out: NotRequired[list[str]]
    work: Counts
    environment: dict[str, JsonValue]


class GrowthJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    judged: NotRequired[bool]


MANIFEST, JUDGEMENT = RecordedJson(GrowthManifest, ANEW), RecordedJson(GrowthJudgement, ANEW)
PLAN, WORK = RecordedJson(dict[str, JsonValue], ANEW), RecordedJson(Counts, ANEW)
