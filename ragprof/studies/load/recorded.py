"""The files of a load recording as the code needs them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from ragprof.core.recorded import RecordedJson, RecordedTable, recorded_by
from ragprof.evals.recorded import Config, Identities, RecordedCorpus

AGAIN = recorded_by("ragprof load")
Purpose: TypeAlias = Literal["alone", "calibrate", "capacity", "curve", "beyond", "burst", "closed"]
REQUESTS = RecordedTable(
    text="query_id outcome",
    whole="due_ns sent_ns ended_ns first_ns late_ns embed_ns search_ns rerank_ns inject_ns generate_ns other_ns "
    "batch_ns together",
    nullable="sent_ns first_ns late_ns embed_ns search_ns rerank_ns inject_ns generate_ns other_ns batch_ns together",
    later="batch_ns together",
    may_be_empty=True,
    remedy=AGAIN,
)
"""A row a request, times in ns from the beginning of its step. `due_ns` is when it was to be sent, `late_ns` how late
the generator was; of a worker that was busy until then nothing is known. `batch_ns` is the wait for batches, which is
in no stage, `together` the size of the last one."""


class RecordedStep(TypedDict):
    """<target>/<key>.json, written before the table of the same name."""

    key: str
    purpose: Purpose
    mode: Literal["open", "closed"]
    rate: float | None
    concurrency: int | None
    seconds: float
    warm_s: float
    cut_ns: int
    stopped: str
    retry_after: int
    said: dict[str, int]
    used: NotRequired[dict[str, int]]
    cpu_ns: int | None
    machine_ns: int | None
    waiting_ns: int | None
    wall_ns: int


class RecordedBatching(TypedDict):
    """How questions gathered before its models."""

    max_batch: int
    max_wait_ms: float


class RecordedTarget(TypedDict):
    """One thing that load was put on, with its steps in the order in which they ran."""

    name: str
    pipeline: str
    kind: Literal["threads", "app", "http"]
    workers: int | None
    depth: int
    reranked: bool | None
    steps: list[str]
    ended: str
    batching: NotRequired[RecordedBatching]


class LoadManifest(TypedDict, total=False):
    """manifest.json."""

    recording: str
    config: Config
    corpus: RecordedCorpus
    questions: str
    identities: Identities
    query_ids: list[str]
    settings: dict[str, Any]
    trace_peak: float | None
    cores: int
    interrupted: bool
    targets: list[RecordedTarget]


class LoadJudgement(TypedDict):
    """judgement.json: what it belongs to is told by the judgements of the eval."""

    recording: str
    qrels_sha256: str


class LoadBill(TypedDict):
    """What a target's machine costs an hour, and what a question costs besides; or why that is not known."""

    usd_per_hour: str | None
    rate: str | None
    since: str | None
    source: str | None
    verified: str | Literal[False] | None
    reason: str
    other_usd_per_question: str | None


class LoadBills(TypedDict):
    """costs.json, by target."""

    bills: dict[str, LoadBill]


MANIFEST, STEP, JUDGEMENT, BILLS = (
    RecordedJson(LoadManifest, AGAIN),
    RecordedJson(RecordedStep, AGAIN),
    RecordedJson(LoadJudgement, AGAIN),
    RecordedJson(LoadBills, AGAIN),
)
