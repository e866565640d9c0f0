"""What `ragprof load` says of buying and of owning, as summary.json has it under `load`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ragprof.studies.contract import EstimateValue, Section


class ElectricityOnTop(Section):
    """Of one machine that always runs, at its watts; an hourly price of a cloud includes it already."""

    region: str
    kwh_per_month: float
    usd_per_month: str
    kg_co2_per_month: str


class OwnOrApi(Section):
    """One part on one's own machines against an API, a question each."""

    stage: Literal["embed", "rerank", "generate"]
    pipeline: str
    api: str = Field(description="its rate")
    api_usd_per_1000: EstimateValue = Field(description="over questions; a mean of null is UNPRICED")
    own: str | None = Field(description="rate of the machine")
    usd_per_hour: str | None
    per_second: float | None = Field(description="capacity of one machine at the promise, for this part alone")
    per_second_interval: tuple[float, float] | None
    operations_usd_per_month: str
    own_usd_per_1000_full: float | None = Field(description="a machine that is always full")
    break_even_share: float | None = Field(
        description="mean use of a machine's capacity from which a question is cheaper there; above 1: never"
    )
    break_even_per_month: int | None = Field(description="questions from which one's own are cheaper; null: never")
    break_even_interval: tuple[int, int | None] | None = Field(
        description="by both intervals at once, so it is wider than 95 %; an end of null: never"
    )
    break_even_with_electricity: int | None = Field(description="with electricity on top")
    electricity: ElectricityOnTop | None
    own_usd_per_month: str | None = Field(description="at the eval's traffic and profile")
    api_usd_per_month: str | None
    missing: str = Field(description="what is not known, so that nothing can be said; empty: nothing")


class LoadProvider(Section):
    """One server that answers a stage, as the recording met it."""

    stage: Literal["embed", "rerank", "generate"]
    pipeline: str
    server: str = Field(description="host of its base_url, or the plugin that knows it")
    model: str | None
    recording: str = Field("", description="folder of another recording that met it; empty: this one")
    same_questions: bool = Field(True, description="whether that was asked the same questions")
    p50_ns: EstimateValue
    p95_ns: EstimateValue
    retries: EstimateValue = Field(description="of all attempts, the share that had to be repeated")
    failed: EstimateValue | None = Field(description="share of requests under load that failed; null: not loaded")
    tokens_per_question: float | None
    usd_per_1000: EstimateValue
    usd_per_million_tokens: float | None


class PromptPrefix(Section):
    """How much of a prompt repeats, by the order of its chunks, and what that is worth."""

    pipeline: str
    order: str
    is_own: bool = Field(description="whether the pipeline has this order")
    prompts: int
    tokens: float = Field(description="mean of a prompt")
    repeated: EstimateValue = Field(description="share that the question before it began with, over questions")
    repeated_any: EstimateValue = Field(description="share that any question before it began with")
    cached_tokens: float = Field(description="mean that is long enough to be discounted, of the question before")
    rate: str | None
    usd_per_1000: float | None = Field(description="prompts without a discount")
    usd_per_1000_cached: float | None
    saved_per_1000: tuple[float, float] | None = Field(description="95 % interval of what the discount saves")
    reason: str
