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
    "batch_ns together ran_ns waited_ns",
    nullable="sent_ns first_ns late_ns embed_ns search_ns rerank_ns inject_ns generate_ns other_ns batch_ns together "
    "ran_ns waited_ns",
    later="batch_ns together ran_ns waited_ns",
    may_be_empty=True,
    remedy=AGAIN,
)
"""A row a request, times in ns from the beginning of its step. `due_ns` is when it was to be sent, `late_ns` how late
the generator was; of a worker that was busy until then nothing is known. `batch_ns` is the wait for batches, which is
in no stage, `together` the size of the last one. A worker thread was on a core for `ran_ns`, and ready without one for
`waited_ns`."""


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
    kind: Literal["threads", "processes", "app", "http"]
    workers: int | None
    depth: int
    reranked: bool | None
    steps: list[str]
    ended: str
    batching: NotRequired[RecordedBatching]
    only: NotRequired[Literal["embed", "rerank", "generate"]]


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


class ApiBill(TypedDict):
    """What an API takes for what a part does for one question, mean with its interval over questions; or why not."""

    pipeline: str
    stage: Literal["embed", "rerank", "generate"]
    rate: str
    usd: float | None
    interval: list[float] | None
    n: int
    reason: str


class PrefixBill(TypedDict):
    """What the prompts of one order cost: USD a question without and with the discount on what repeats."""

    pipeline: str
    order: str
    rate: str | None
    usd: float | None
    usd_cached: float | None
    saved_interval: list[float] | None
    cached_tokens: float
    reason: str


class LoadBills(TypedDict):
    """costs.json, by target; what APIs would take, and what prompts cost where repeated prefixes are discounted."""

    bills: dict[str, LoadBill]
    api: NotRequired[list[ApiBill]]
    prefixes: NotRequired[list[PrefixBill]]


PREFIX_TABLE, FIXED = "prefixes.parquet", "by id"
"""Its file, and the order of chunks that is the same whatever was asked."""
PREFIXES = RecordedTable(
    text="pipeline order query_id", whole="tokens repeated repeated_any", may_be_empty=True, remedy=AGAIN
)
"""A row a prompt of a pipeline in an order of its chunks: its tokens, how many it begins with as the question before it
did, and as any one before it did."""


class RecordedBeside(TypedDict):
    """servers.json: the servers that other recordings met, a row each as summary.json has them."""

    providers: list[dict[str, Any]]


BESIDE_FILE = "servers.json"
BESIDE = RecordedJson(RecordedBeside, AGAIN)
MANIFEST, STEP, JUDGEMENT, BILLS = (
    RecordedJson(LoadManifest, AGAIN),
    RecordedJson(RecordedStep, AGAIN),
    RecordedJson(LoadJudgement, AGAIN),
    RecordedJson(LoadBills, AGAIN),
)
