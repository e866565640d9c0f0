"""What `ragprof load` found, as summary.json has it under `load`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from ragprof.studies.contract import EstimateValue, Section, VerdictWord
from ragprof.studies.load.money_section import LoadProvider, OwnOrApi, PromptPrefix

Keeps: TypeAlias = Literal["kept", "broken", "undecided"]
Fitted: TypeAlias = Literal["queue", "scalability"]
Usd: TypeAlias = str | None


class LoadPromise(Section):
    """What is to be kept."""

    level: Literal["p50", "p95", "p99"]
    ms: float
    of_first_token: bool = Field(description="of the time to first token; else of the whole answer")
    error_rate: float = Field(description="the share of requests that may fail")


class LoadQuantile(Section):
    """A quantile of latency from the intended start."""

    ns: int | None = Field(description="null where nothing was answered")
    interval_ns: tuple[int, int] | None = Field(description="95 %, by blocks of time; null with too few requests")


class LoadStage(Section):
    """One stage in one step, means over its requests."""

    mean_ns: int
    alone_ns: int | None = Field(description="its service time: the same where one question is asked at a time")
    waiting_ns: int | None = Field(description="what load adds to it: waiting for cores, locks, batches, a server")
    share: float | None = Field(description="of all workers' time; null behind HTTP")


class LoadWaits(Section):
    """Means over requests, in ns, where it can be known; null where it cannot."""

    on_core_ns: int | None = Field(None, description="the worker's thread ran")
    for_core_ns: int | None = Field(None, description="it was ready to run and all cores were taken (schedstat)")
    for_others_ns: int | None = Field(
        None, description="it slept: locks, the interpreter's too, a database's answer, threads of a model; no batch"
    )
    in_service_ns: int | None = Field(
        None, description="behind HTTP, in none of the stages that the service tells: its own queue, and the network"
    )


class LoadStep(Section):
    """One rate, or one number of requests under way, with all its repetitions."""

    purpose: Literal["alone", "calibrate", "capacity", "curve", "beyond", "burst", "closed"]
    mode: Literal["open", "closed"] = Field(
        description="closed: each request waits for an answer, so stalls are hidden"
    )
    rate: float | None = Field(description="intended requests per second; null in a closed step")
    concurrency: int | None = Field(description="requests under way; null in an open step")
    seconds: float = Field(description="warm-up apart")
    requests: int
    offered: float = Field(description="requests per second that were due")
    answered: float = Field(description="answers per second")
    goodput: float = Field(description="answers within the promise, per second")
    p50: LoadQuantile
    p95: LoadQuantile
    p99: LoadQuantile
    first_p50: LoadQuantile | None = Field(description="of the time to first token; null where none was told")
    first_p95: LoadQuantile | None
    first_p99: LoadQuantile | None
    used: dict[str, int] = Field(description="what the service counted for all answers, such as tokens")
    failed: EstimateValue = Field(description="share of requests; its interval is exact")
    outcomes: dict[str, int] = Field(description="ok, busy (429 or 503), error, timeout, unreached, unfinished")
    retry_after: int = Field(description="refusals that named a time to wait")
    said: dict[str, int] = Field({}, description="what failures said, the first few kinds; warm-up included")
    late_p50_ns: int | None = Field(description="how late the generator was; null where it is not known of any")
    generator_bound: bool = Field(description="the generator was the bottleneck: its latency says little")
    unsteady: str = Field(description="why it was not in a steady state; empty: it was")
    stages: dict[str, LoadStage]
    queue_ns: int | None = Field(description="mean wait for a worker; behind HTTP for a connection")
    batch_ns: int | None = Field(None, description="mean wait for a batch, in no stage; null: nothing was batched")
    batch_size: float | None = Field(None, description="mean number of questions in a batch")
    waits: LoadWaits = Field(description="what a request that was taken waited for, apart from its own work")
    held_ns: int | None = Field(description="mean time that a request held its worker or connection")
    pool_share: float | None = Field(description="busy share of the workers' time; null behind HTTP")
    cores_share: float | None = Field(description="busy share of the machine's cores, whoever with; null: not known")
    others_share: float | None = Field(description="of the cores, taken by other processes, services included")
    keeps: Keeps = Field(description="the promise, by the interval of its quantile")


class LoadCapacity(Section):
    """The highest rate at which the promise holds."""

    status: Literal["found", "at least", "at most", "never", "unknown"]
    per_second: float | None
    interval: tuple[float, float] | None = Field(description="95 %, by blocks of time")
    tried: int = Field(description="steps of the search")


class LoadSaturation(Section):
    """What is full first."""

    what: Literal["workers", "cores", "service"]
    stage: str | None = Field(description="that takes most of it")
    stage_share: float | None = Field(description="of the time that requests hold it")
    from_rate: float | None = Field(description="the lowest rate at which it was full; null: at none that was tried")
    full_at: float | None = Field(description="rate at which the workers have no time left, by the highest kept step")


class LoadFit(Section):
    """A model beside the data, on the step that it was not given."""

    model: Fitted
    held_out: float = Field(description="rate, or requests under way, of that step")
    predicted: float | None = Field(description="ns of the promised quantile, or answers per second; null: without end")
    measured: float
    holds: bool = Field(description="false: nothing is concluded from it")
    servers: int | None
    contention: float | None
    coherence: float | None
    peak: float | None = Field(description="requests under way at which answers per second are most")


class LoadBeyond(Section):
    """More than the target can keep up with."""

    rate: float
    answered: float
    goodput: float
    behaviour: Literal["plateau", "sags", "collapse"] = Field(
        description="answers per second: at least 90 % of the capacity, at least 60 %, less"
    )


class LoadRecovery(Section):
    """After a burst of twice the capacity, at half of it."""

    burst_rate: float
    burst_seconds: float
    after_seconds: float | None = Field(description="until the promise was kept again; null: not within the step")


class LoadMoney(Section):
    """USD at the promise. Decimal strings; null is UNPRICED."""

    usd_per_hour: Usd = Field(description="of one machine")
    rate: str | None
    usd_per_1000_full: Usd = Field(description="a machine kept at its capacity, all hours: the least that is possible")
    usd_per_1000: Usd = Field(description="whole machines for the busiest hour, at the eval's traffic and profile")
    interval: tuple[str, str] | None = Field(description="by the interval of the capacity")
    machines: int | None
    usd_per_month: Usd
    other_usd_per_1000: Usd = Field(description="what each question costs besides: tokens, searches, requests")
    margin_per_question: Usd = Field(description="what is earned minus all of it; null where nothing is earned")
    break_even_per_month: int | None = Field(description="questions a month from which it earns; null: at no volume")
    reason: str = Field(description="why there is no price")


class LoadBatching(Section):
    """How questions gather before the models of a target."""

    max_batch: int
    max_wait_ms: float
    ratio: float | None = Field(None, description="capacity over that without batching; null where one is not known")
    ratio_interval: tuple[float, float] | None = Field(None, description="95 %, of both capacities' intervals")
    added_p50_ns: int | None = Field(None, description="what one question at a time waits longer, at p50")


class LoadTarget(Section):
    """One thing that load was put on."""

    name: str
    pipeline: str
    kind: Literal["threads", "processes", "app", "http"]
    workers: int | None
    depth: int
    reranked: bool | None
    batching: LoadBatching | None = Field(None, description="null: each question goes through the models alone")
    only: Literal["embed", "rerank", "generate"] | None = Field(None, description="one part alone; null: all of it")
    ended: str = Field(description="why its steps ended early; empty: they did not")
    capacity: LoadCapacity
    goodput: float | None = Field(description="the most answers within the promise per second of any open step")
    steps: list[LoadStep]
    saturation: LoadSaturation | None
    fits: list[LoadFit]
    beyond: LoadBeyond | None
    recovery: LoadRecovery | None
    money: LoadMoney


class LoadVerdict(Section):
    """Whether a reranker is worth it at this load."""

    pipeline: str
    verdict: VerdictWord
    depth: int | None = Field(description="to keep or to shrink to; null where it is dropped or undecided")
    gain: EstimateValue | None = Field(description="of quality, by `ragprof reranker`; null where that was not run")
    metric: str
    added_usd_per_1000: Usd
    sentence: str


class LoadSection(Section):
    """Capacity, tails and money under load."""

    promise: LoadPromise
    arrivals: Literal["poisson", "constant", "trace"]
    workers: int
    cores: int
    queries: int = Field(description="different questions, asked in turn")
    passages: int
    interrupted: bool
    profile: Literal["flat", "office", "trace"]
    peak: float = Field(description="the busiest hour over the mean hour")
    queries_per_month: int
    usd_per_question: Usd
    targets: list[LoadTarget]
    verdicts: list[LoadVerdict]
    own_or_api: list[OwnOrApi] = Field(default=[], description="parts that [economics.api] names an API against")
    providers: list[LoadProvider] = Field(default=[], description="servers that answer one stage, side by side")
    prefixes: list[PromptPrefix] = Field(default=[], description="what repeats between prompts, by order of chunks")
    statements: list[str]
