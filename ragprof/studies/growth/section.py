"""What `ragprof grow` found, as summary.json has it under `growth`. Durations in ns, sizes in bytes, money in USD."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from ragprof.record.unread import UnreadTexts
from ragprof.studies.contract import CostFigures, EstimateValue, Latency, Section

Money = str
"""A decimal string."""
Status = Literal["from the smallest size", "crosses", "not within the measured range", "undecided"]
Scores = dict[str, dict[str, EstimateValue]]


class KeptPassages(Section):
    """What is in every sub-corpus of all curves but `proportional`: whatever is relevant to some query."""

    documents: int
    passages: int


class CurveMeaning(Section):
    """What a curve adds to the corpus as it grows."""

    what: str = Field(description="what is added, in a sentence")
    flatters: bool = Field(description="whether small sizes look better than they are")


class UnaccountedTime(Section):
    """Mean end-to-end time that no stage accounts for."""

    mean_ns: float
    share: float = Field(description="share of the mean end-to-end time")


class SizeBuild(Section):
    """What building the index of this size took: medians over the rounds' builds. Of an app null where unknown."""

    duration_ns: int
    index_bytes: int | None
    peak_rss_bytes: int | None
    duration_range_ns: tuple[int, int] = Field(description="fastest and slowest build")
    n: int = Field(description="builds")


class DepthQuality(Section):
    """The final ranking's quality when the reranker sees so many candidates."""

    depth: int
    scores: dict[str, EstimateValue]


class GrowthPoint(Section):
    """One size of one curve. What is live or priced is there for `all_judged` alone."""

    size: int = Field(description="passages in the corpus")
    scores: Scores = Field(description="stage -> metric -> estimate over queries and orders")
    change: EstimateValue = Field(description="the growth metric here minus at the curve's smallest size")
    context_tokens: dict[str, float | None] = Field(description="mean injected tokens by kind")
    context_share: dict[str, EstimateValue] = Field(description="share of the injected tokens by kind")
    prompt_tokens: EstimateValue
    stages: dict[str, Latency] = Field(default_factory=dict)
    end_to_end: Latency | None = None
    unaccounted: UnaccountedTime | None = None
    build: SizeBuild | None = None
    cost_usd_per_1000_queries: CostFigures | None = None
    latency_withheld: str = Field("", description="why no sentence rests on the live times; empty where one may")
    cost_withheld: str = Field("", description="the same of the money, where it is billed by time")
    by_depth: list[DepthQuality] = Field(default_factory=list, description="of a pointwise reranker")
    coverage: EstimateValue | None = Field(
        None, description="of `proportional`: share of each query's relevant documents that are in the corpus"
    )
    present: dict[str, EstimateValue] | None = Field(
        None, description="of `proportional`: quality of the final ranking by what is in the corpus alone"
    )


class EvidenceSplit(Section):
    """What distractors and what missing evidence take from the metric at a size."""

    size: int
    distractors: EstimateValue = Field(description="`all_judged` at its smallest size minus here")
    missing_evidence: EstimateValue = Field(description="`all_judged` minus `proportional` at this size")


class LossParts(Section):
    """Where a perfect score is lost at a size; below 0 is won, null was not measured. The parts sum to the total."""

    size: int
    metric: str
    embedding: float | None = Field(description="what exact search by the pipeline's scores does not rank as labelled")
    embedding_interval: tuple[float, float] | None
    index: float | None = Field(description="what an approximate index misses of that")
    index_interval: tuple[float, float] | None
    rerank: float | None
    rerank_interval: tuple[float, float] | None
    packing: float | None = Field(description="what is not injected")
    packing_interval: tuple[float, float] | None
    total: float | None
    total_interval: tuple[float, float] | None


class Crossover(Section):
    """From which size one ranking beats another by more than a bound."""

    what: str
    metric: str
    candidate: str
    baseline: str
    bound: float
    size: int | None = Field(description="null unless it crosses within the measured range")
    interval: tuple[int | None, int | None] | None = Field(description="an end outside the measured range is null")
    status: Status


class HeldOut(Section):
    """How a model did at the largest measured size when shown only the smaller ones. Null: it could not be fitted."""

    size: int | None
    predicted: float | Money | None
    interval: tuple[float | Money, float | Money] | None
    measured: float | Money | None
    error: float | Money | None = Field(description="predicted minus measured")
    error_interval: tuple[float | Money, float | Money] | None = None


class ForecastValue(Section):
    """What a model says of one size beyond the largest that was measured."""

    size: int
    value: float | Money
    interval: tuple[float | Money, float | Money]


class Forecast(Section):
    """One quantity of one pipeline beyond the largest size, by one model; `at` is empty where the model abstains."""

    pipeline: str
    quantity: str
    unit: str
    model: str
    held_out: HeldOut
    held_out_before: HeldOut | None = Field(
        None, description="the same at the second largest size; null where too few sizes are below it"
    )
    abstained: bool
    reason: str = Field(description="why it abstains, or says nothing of some size")
    at: list[ForecastValue]
    interval_kind: str | None = Field(description="what the intervals take in")
    preferred: bool = Field(description="the model to quote of this quantity")


class GrowthSection(Section):
    """Quality, context, time and money as the corpus grows."""

    seed: int
    orders: int = Field(description="shuffles of the documents")
    sizes: list[int]
    metric: str = Field(description="the growth metric, such as nDCG@10")
    judged: bool = Field(
        True, description="whether there are relevance judgements; without, nothing is said of quality"
    )
    cutoffs: list[int]
    depths: list[int] = Field(description="candidates of the depth curve")
    kept: KeptPassages
    curves: dict[str, CurveMeaning]
    pipelines: dict[str, dict[str, list[GrowthPoint]]] = Field(description="name -> curve -> points in rising size")
    evidence: dict[str, list[EvidenceSplit]]
    loss: dict[str, list[LossParts]]
    crossovers: list[Crossover]
    forecast: list[Forecast]
    unread: tuple[UnreadTexts, ...] = ()
    """What embedders left unread of all texts, and rerankers of their candidates in the largest corpus."""
    work: dict[str, int] = Field(description="what was computed and reused, over all runs of this recording")
    environment: dict[str, JsonValue] = Field(description="the machine of the timings")
    notes: list[str] = Field(default_factory=list, description="what flatters, and what was left out")
