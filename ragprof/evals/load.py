"""[load] and [economics]: which promise is to be kept under which arrivals, in how much time; what a question earns."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ragprof.evals.tables import EvalTable, Misplaced

Named = Annotated[str, Field(min_length=1)]
MOST_RATE = 100_000.0
"""Requests a second; more is a slip of the pen."""
Rate = Annotated[float, Field(gt=0, le=MOST_RATE)]
Dollars = Annotated[Decimal, BeforeValidator(str), Field(gt=0)]
LEVELS = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}
FIRST = "ttft_"
"""Begins the promises of the time to first token."""
PROMISES = {**LEVELS, **{f"{FIRST}{name}": level for name, level in LEVELS.items()}}


class Promise(EvalTable):
    """What is promised to whoever asks: one quantile in ms, of the latency or of the time to first token (`ttft_`), and
    how many questions may fail."""

    p50_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    p95_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    p99_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    ttft_p50_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    ttft_p95_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    ttft_p99_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    error_rate: float = Field(0.001, ge=0, lt=1)

    @model_validator(mode="after")
    def one_quantile(self) -> Self:
        """Several would have several capacities."""
        given = [name for name in PROMISES if getattr(self, name) is not None]
        if len(given) != 1:
            raise Misplaced(
                f"a promise has one of {', '.join(PROMISES)}; {'none' if not given else ' and '.join(given)} "
                f"{'is' if len(given) < 2 else 'are'} given"
            )
        return self

    @property
    def level(self) -> str:
        """Which quantile is promised: p50, p95 or p99."""
        return next(level for name, level in PROMISES.items() if getattr(self, name) is not None)

    @property
    def of_first_token(self) -> bool:
        """Whether it is of the time to first token."""
        return any(getattr(self, name) is not None for name in PROMISES if name.startswith(FIRST))

    @property
    def words(self) -> str:
        """p95 within 500 ms; p95 of the first token within 300 ms."""
        return f"{self.level}{' of the first token' if self.of_first_token else ''} within {self.ms:g} ms"

    @property
    def ms(self) -> float:
        """Its bound."""
        return float(next(value for name in PROMISES if (value := getattr(self, name)) is not None))


class LoadEndpoint(EvalTable):
    """A model behind HTTP that load is put on by itself: chat completions as OpenAI has them, or a rerank endpoint.

    `prompt` is what a chat endpoint is asked; a rerank endpoint scores so many `documents`, passages of the corpus.
    `api_key_env` names an environment variable.
    """

    kind: Literal["chat", "rerank"]
    base_url: Named
    model: Named
    api_key_env: Named | None = None
    max_tokens: int = Field(64, ge=1, le=100_000)
    prompt: Named = "{question}"
    documents: int = Field(20, ge=1, le=1000)
    dialect: Literal["cohere", "jina", "voyage", "tei", "vllm"] = "cohere"


class Batching(EvalTable):
    """Questions that are asked at once go through a model together: so many at most, and none waits longer for it."""

    max_batch: int = Field(8, ge=2, le=1024)
    max_wait_ms: float = Field(5.0, ge=0, le=10_000, allow_inf_nan=False)


class LoadSettings(EvalTable):
    """How load is made, and what it is held to.

    `seconds` are spent on each target, search of the capacity and steps together. `rates` are requests a second; where
    they are left out, steps lie at shares of the capacity that was found; with `search` it is looked for beside them,
    too. `trace` is a file of times of arrival, whose pattern is repeated at each rate. Each `batching` is tried beside
    none. `endpoints` are models behind HTTP that are targets of their own, by name. `workers` threads answer in this
    process; a service behind HTTP has its own. `max_rate` and `usd_per_request` are what a host elsewhere needs beside
    a budget.
    """

    slo: Promise = Promise(p95_ms=500)
    seconds: float = Field(120.0, gt=0, le=86_400)
    arrivals: Literal["poisson", "constant", "trace"] = "poisson"
    trace: Named | None = None
    rates: tuple[Rate, ...] = ()
    search: bool = False
    repeats: int = Field(2, ge=1, le=20)
    concurrency: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = ()
    workers: int | None = Field(None, ge=1, le=1024)
    pool: Literal["threads", "processes"] = "threads"
    pipelines: tuple[Named, ...] = ()
    depths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    without_reranker: bool = True
    batching: tuple[Batching, ...] = ()
    endpoints: dict[Named, LoadEndpoint] = Field({})
    timeout_seconds: float = Field(30.0, gt=0, le=3600)
    max_in_flight: int = Field(1000, ge=1, le=60_000)
    max_rate: Rate | None = None
    usd_per_request: Dollars | None = None
    budget_usd: Dollars | None = None
    profile: Literal["flat", "office", "trace"] = "flat"
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def trace_where_it_is_asked_for(self) -> Self:
        """A pattern of arrivals, and a day's profile, come from a file."""
        wanted = [key for key in ("arrivals", "profile") if getattr(self, key) == "trace"]
        if wanted and self.trace is None:
            raise Misplaced(f'{wanted[0]} = "trace" needs trace, a file of times of arrival', wanted[0])
        if self.max_rate is not None:
            above = [rate for rate in self.rates if rate > self.max_rate]
            if above:
                raise Misplaced(f"rate {above[0]:g} is above max_rate = {self.max_rate:g}", "rates")
        return self


class ApiSettings(EvalTable):
    """Rates of hosted parts that one's own embedder, reranker and LLM are held against."""

    embed: Named | None = None
    rerank: Named | None = None
    llm: Named | None = None


class EconomicsSettings(EvalTable):
    """What a question earns, in USD; which APIs one's own machines are held against.

    `operations_usd_per_month` is what running machines costs beside them. A provider takes repeated prefixes of a
    prompt at its price of cached tokens from `cached_from_tokens` on, in steps of `cached_step_tokens`. `recordings`
    are folders of others, whose servers stand beside those of this one.
    """

    usd_per_question: Dollars | None = None
    operations_usd_per_month: Annotated[Decimal, BeforeValidator(str), Field(ge=0)] = Decimal(0)
    cached_from_tokens: int = Field(1024, ge=1)
    cached_step_tokens: int = Field(128, ge=1)
    api: ApiSettings = ApiSettings()
    recordings: tuple[Named, ...] = ()
