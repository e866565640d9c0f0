"""The files of a recording of answers as the code needs them: columns and members with their types."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from ragprof.core.recorded import PRICED, RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Counts
from ragprof.studies.injection.section import EnergyBasis, JudgeAgreement

AGAIN = recorded_by("ragprof inject")
KEY = "pipeline setting query_id"
PROMPTS = RecordedTable(
    text=f"{KEY} digest",
    whole="prompt_tokens template_tokens context_tokens query_tokens docs_injected docs_dropped truncated_tokens",
    number="model_tokens",
    remedy=AGAIN,
)
CHUNKS = RecordedTable(
    text=f"{KEY} doc_id document_id", whole="position rank tokens content", may_be_empty=True, remedy=AGAIN
)
CANDIDATES = RecordedTable(
    text="pipeline stage query_id doc_id document_id", whole="rank", may_be_empty=True, remedy=AGAIN
)
ANSWERS = RecordedTable(
    text="digest text finish",
    whole="answer_tokens",
    number="output_tokens reasoning_tokens",
    nullable="text finish",
    later="finish reasoning_tokens",
    remedy=AGAIN,
)
JUDGED = RecordedTable(
    text=f"{KEY} lost_at",
    flag="answerable abstained",
    number="exact_match f1 in_context in_answer correct ndcg relevant_tokens irrelevant_tokens unjudged_tokens "
    "duplicate_tokens evidence_position",
    remedy=AGAIN,
)
LIVE = RecordedTable(
    text=KEY,
    whole="round end_to_end_ns embed_ns search_ns rerank_ns inject_ns generate_ns first_token_ns first_reasoning_ns "
    "decode_ns output_tokens reasoning_tokens cpu_ns waiting_ns",
    number="joules",
    nullable="embed_ns search_ns rerank_ns inject_ns generate_ns first_token_ns first_reasoning_ns decode_ns "
    "output_tokens reasoning_tokens cpu_ns waiting_ns",
    later="first_reasoning_ns reasoning_tokens cpu_ns waiting_ns joules",
    may_be_empty=True,
    remedy=AGAIN,
)
PREFILL = RecordedTable(
    whole="round prompt_tokens first_token_ns end_to_end_ns cpu_ns waiting_ns",
    nullable="cpu_ns waiting_ns",
    later="end_to_end_ns cpu_ns waiting_ns",
    may_be_empty=True,
    remedy=AGAIN,
)
COSTS = RecordedTable(text=f"{KEY} item rate", money="usd", nullable="rate", remedy=PRICED)


class RecordedModel(TypedDict, total=False):
    """The generator whose times by length were measured."""

    name: str
    model: str | None
    precision: str | None
    device: str | None


class AnswersManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    config: Config
    corpus_sha256: str
    questions_sha256: str
    generators: dict[str, str | None]
    generator: RecordedModel
    questions: list[str]
    unanswerable: list[str]
    own_k: Counts
    settings: dict[str, list[str]]
    energy: EnergyBasis | None
    work: Counts


class AnswersJudgement(TypedDict):
    """judgement.json."""

    recording: str
    qrels_sha256: str
    judges: NotRequired[dict[str, JudgeAgreement]]


class AnswersBill(TypedDict):
    """What rates.json says of one pipeline."""

    applied: NotRequired[list[dict[str, Any]]]
    unpriced: list[dict[str, str]]


class AnswersRates(TypedDict):
    """rates.json."""

    priced_as: dict[str, str | None]
    pipelines: dict[str, AnswersBill]


MANIFEST, JUDGEMENT = RecordedJson(AnswersManifest, AGAIN), RecordedJson(AnswersJudgement, AGAIN)
RATES = RecordedJson(AnswersRates, PRICED)
