"""The files of a main recording as the code needs them: columns and members with their types.

Members that only newer versions write are not asked for here: whoever needs one is told where it is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Required, TypeAlias

from pydantic import AfterValidator, ValidationError
from typing_extensions import TypedDict

from ragprof.core import RANKED_STAGES, Manifest, StageName, files, plain
from ragprof.core.errors import BadInput
from ragprof.core.recorded import PRICED, RecordedJson, RecordedTable, remedy_of
from ragprof.corpus.account import ReadingAccount
from ragprof.evals.config import EvalConfig

if TYPE_CHECKING:
    import pandas as pd

SPANS = RecordedTable(
    text="pipeline phase query_id stage",
    whole="round start_ns duration_ns cpu_ns waiting_ns switches machine_ns stolen_ns pressure_ns",
    nullable="cpu_ns waiting_ns switches machine_ns stolen_ns pressure_ns",
    later="start_ns cpu_ns waiting_ns switches machine_ns stolen_ns pressure_ns",
)
FIRST_TOKENS = RecordedTable(text="pipeline query_id", whole="round first_token_ns", may_be_empty=True)
USAGE = RecordedTable(text="pipeline query_id stage unit", whole="count")
TOKENS = RecordedTable(text="kind id", whole="tokens")
BUILDS = RecordedTable(
    text="pipeline", whole="duration_ns index_bytes peak_rss_bytes", nullable="index_bytes peak_rss_bytes",
    may_be_empty=True,
)  # fmt: skip
"""A row for each pipeline that has an index of ours; an app has its own, and tells of it what it can."""
RANKING = RecordedTable(text="query_id stage doc_id document_id", whole="rank", number="score", may_be_empty=True)
"""One pipeline's; empty where its store found nothing for any query."""
SCORES = RecordedTable(text="pipeline stage metric query_id", number="value", may_be_empty=True)
COSTS = RecordedTable(
    text="pipeline query_id stage item rate", money="usd", nullable="rate", may_be_empty=True, remedy=PRICED
)


KINDS = ("literal_error", "string_pattern_mismatch")
"""Errors of pydantic that are of a kind, beside those that end so: int_type, string_type, ..."""


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration itself. Raises ValueError where something that this version knows of it has another type.

    What it does not know, or what is not there, is let alone. A study keeps the pipelines that it is about, so that
    other tables may name pipelines that are not there: how the members fit together was checked as it was read.
    """
    try:
        EvalConfig.model_validate_json(json.dumps(config), strict=True)
    except ValidationError as failure:
        for problem in failure.errors(include_url=False):
            if problem["type"].endswith("_type") or problem["type"] in KINDS:
                raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {plain.refused(problem)}") from None
    return config


Config: TypeAlias = Annotated[dict[str, Any], AfterValidator(checked)]
"""The eval file, whole, as it was recorded."""
Dated: TypeAlias = Annotated[str, AfterValidator(lambda text: datetime.fromisoformat(text) and text)]
Identities: TypeAlias = dict[str, dict[str, str | None]]
Counts: TypeAlias = dict[str, int]


class RecordedCorpus(TypedDict, total=False):
    """What was searched."""

    name: str
    docs: int
    documents: int | None
    reading: ReadingAccount
    tokens: int
    sha256: str
    versions: dict[str, str] | None


class RecordedMachine(TypedDict, total=False):
    """Of `environment.describe`, what is compared or shown by name."""

    cpu: str | None
    cores: int | None
    memory_bytes: int | None
    packages: dict[str, str | None]


class RecordedApp(TypedDict):
    """What was noticed while a pipeline of the user's own was asked each question once."""

    kind: str
    description: str
    target: str
    asked: int
    failed: int
    timed_out: int
    first_failure: str
    without_documents: int
    documents: int
    documents_by_text: int
    ids_twice: int
    unknown_documents: int
    unknown_examples: list[str]
    sources: dict[str, str]
    overlapping: list[str]
    prompt_tokens: str


class MainManifest(TypedDict, total=False):
    """manifest.json."""

    config: Required[Config]
    recording: str
    job: str
    ragprof_version: str
    created: Dated
    revision: str
    corpus: RecordedCorpus
    queries: int
    questions: str
    identities: Identities
    apps: dict[str, RecordedApp]
    depths: Counts
    environment: RecordedMachine
    engines: dict[str, dict[str, dict[str, str]]]
    work: Counts
    peak_rss_bytes: Counts


class MainJudgement(TypedDict, total=False):
    """judgement.json."""

    qrels_sha256: str
    queries: int
    judged: bool
    notices: list[str]
    recording: str


class RecordedRate(TypedDict):
    """A published price as it was applied."""

    shape: str
    unit: str
    usd: str
    output_usd: NotRequired[str | None]
    request_usd: NotRequired[str]
    per: int
    since: str | None
    source: str
    verified: str | Literal[False]
    note: str
    docs_per_unit: NotRequired[int | None]
    window_tokens: NotRequired[int | None]
    max_docs: NotRequired[int | None]
    max_tokens: NotRequired[int | None]
    on: NotRequired[str | None]
    hour: NotRequired[int | None]


class BillFacts(TypedDict):
    """What rates.json says of one pipeline."""

    stages: list[str]
    applied: list[dict[str, str | int]]
    unpriced: list[dict[str, str]]


class ParsingBill(TypedDict):
    """What parsing the files of the corpus cost; `usd` is null where it is unpriced."""

    pages: int
    rate: str | None
    usd: str | None
    reason: str


class IndexingBill(TypedDict):
    """What embedding the corpus of one pipeline cost by the token, once; `usd` is null where it is unpriced."""

    tokens: int
    counted_by: str
    rate: str | None
    usd: str | None
    reason: str


class MainRates(TypedDict):
    """rates.json."""

    parsing: NotRequired[ParsingBill]
    indexing: NotRequired[dict[str, IndexingBill]]

    on: Dated
    queries_per_month: int | None
    rates: dict[str, RecordedRate]
    pipelines: dict[str, BillFacts]


class AnyManifest(TypedDict, total=False):
    """manifest.json of the main recording or of a study's, as far as settings are asked for."""

    config: Required[Config]
    recording: str
    corpus: dict[str, Any]
    identities: Identities
    environment: dict[str, Any]
    embedded_tokens: Counts


ANY = RecordedJson(AnyManifest)
MANIFEST, JUDGEMENT, RATES = RecordedJson(MainManifest), RecordedJson(MainJudgement), RecordedJson(MainRates, PRICED)
RANKINGS = "rankings"


def ranking_stages(pipeline: Mapping[str, Any], rankings: pd.DataFrame) -> tuple[StageName, ...]:
    """The stages that rank in a pipeline; all of them are judged, whether they found anything or not.

    Those of an app are known by the rankings that it gave.
    """
    reranks = pipeline["reranker"]["name"] != "none"
    if pipeline.get("app") is not None:
        reranks = bool((rankings["stage"] == "rerank").any())
    return RANKED_STAGES if reranks else tuple(stage for stage in RANKED_STAGES if stage != "rerank")


def final_stage(pipeline: Mapping[str, Any], rankings: pd.DataFrame) -> Literal["rerank", "search"]:
    """The stage whose ranking is the pipeline's own."""
    return "rerank" if "rerank" in ranking_stages(pipeline, rankings) else "search"


COUNTS = ("Num",)
"""How the names of measures begin that count, and so have no upper bound."""
ROUNDING = 1e-6


def read_scores(folder: Path, *, pipelines: Iterable[str] = ()) -> pd.DataFrame:
    """scores.parquet of a recording, with rows of each of these pipelines.

    Raises BadInput for a share outside 0 to 1, and where a metric lacks queries that were judged.
    """
    path = folder / "scores.parquet"
    scores = SCORES.read(path, pipelines=pipelines)
    shares = scores[~scores["metric"].str.startswith(COUNTS)]
    beyond = shares[(shares["value"] < -ROUNDING) | (shares["value"] > 1 + ROUNDING)]
    for row in beyond.head(1).to_dict("records"):
        raise BadInput(
            f"{row['metric']} of query '{row['query_id']}' is {row['value']:g}, and it cannot lie outside 0 to 1; "
            f"{remedy_of(path)}",
            file=path,
        )
    expected = JUDGEMENT.read(folder / "judgement.json").get("queries")
    counts = scores.groupby(["pipeline", "stage", "metric"], sort=False)["query_id"].nunique()
    for (pipeline, stage, metric), count in counts[counts != expected].head(1).items() if expected is not None else ():
        raise BadInput(
            f"{metric} of '{pipeline}' after {stage} is there for {count} of {expected} judged queries; "
            f"{remedy_of(path)}",
            file=path,
        )
    return scores


def read_manifest(folder: Path, manifest: RecordedJson = MANIFEST) -> dict[str, Any]:
    """manifest.json of a recording. Raises BadInput where it is missing or belongs to something else."""
    files.check_folder(folder)
    path = folder / "manifest.json"
    remedy = manifest.remedy or remedy_of(path)
    config = files.read_json(path, remedy=remedy).get("config")
    if not isinstance(config, dict) or not config.get("pipelines"):
        raise BadInput(f"it has no 'config' with pipelines; {remedy}", file=path)
    return manifest.read(path)


def manifest_of(folder: Path, manifest: RecordedJson = MANIFEST) -> Manifest:
    """The same, by name. Raises as read_manifest does."""
    return Manifest.of(read_manifest(folder, manifest))
