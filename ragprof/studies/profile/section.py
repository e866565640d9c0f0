"""What the main run says in summary.json: its top level.

Durations are ns, sizes bytes, money decimal strings in USD, shares 0..1; None is not measured, not priced or not
applicable, never 0. Intervals are 95% and resample queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from ragprof.core import STAGES
from ragprof.corpus.account import ReadingAccount
from ragprof.report.figures import corpus_size
from ragprof.studies.contract import BuildFigures, ComparedPair, CostFigures, EstimateValue, Latency, Section

FORMAT = 1


class CorpusFacts(Section):
    """What was searched."""

    name: str
    docs: int
    """Passages: what is embedded, found and injected."""
    documents: int | None = None
    """What the passages were cut from, and what judgements name."""
    reading: ReadingAccount | None = None
    """What was read of the user's files, and what was left out and why."""
    tokens: int
    """By the eval's tokenizer."""
    sha256: str
    versions: dict[str, str] | None = None
    """Of the packages that a recipe made the corpus of."""

    @property
    def size(self) -> str:
        """Both counts, named."""
        return corpus_size(self.docs, self.documents)


class Unaccounted(Section):
    """End-to-end time that no stage accounts for."""

    mean_ns: int
    share: float


class Noise(Section):
    """How far the rounds' median latencies lie apart, as a share of the median of all."""

    spread: float
    bound: float
    noisy: bool
    """Whether the spread is above the bound."""


class PipelineFigures(Section):
    """What was measured of one pipeline."""

    description: str
    """In one line."""
    config: dict[str, JsonValue]
    """As declared in the eval file."""
    stages: dict[str, Latency]
    end_to_end: Latency
    unaccounted: Unaccounted
    closure: float
    """Mean share of a query's time that its stages account for."""
    overhead: float | None
    """(instrumented - bare) / bare: what measuring itself took; near zero noise may make it negative."""
    overhead_interval: tuple[float, float] | None
    noise: Noise
    cold_start_ns: dict[str, int]
    """First call of each part."""
    build: BuildFigures
    peak_rss_bytes: int | None
    """Of the process while the pipeline was timed."""
    usage_per_query: dict[str, float]
    """`stage.unit` -> mean count."""
    usage_estimates: dict[str, EstimateValue]
    cost_usd_per_1000_queries: CostFigures
    scores: dict[str, dict[str, EstimateValue]]
    """stage -> metric -> mean; metrics stand in the eval's order."""


class Traffic(Section):
    """What a month holds."""

    queries_per_month: int | None


class AppliedRate(Section):
    """A published price that was applied."""

    name: str
    shape: str
    """per_hour, per_month, per_search, per_request, per_input_token or free"""
    unit: str
    usd: str
    """Of `per` units."""
    output_usd: str | None = None
    """Of `per` output tokens."""
    per: int
    since: str | None
    """Date from which the price holds."""
    source: str
    verified: str | Literal[False]
    """Date on which somebody read the price at its source."""
    note: str
    docs_per_unit: int | None = None
    window_tokens: int | None = None
    max_docs: int | None = None
    max_tokens: int | None = None
    on: str | None = None
    """Of a model's price: the day for which it was looked up."""


class Pareto(Section):
    """Pipelines that no other beats in quality without taking more time, or more money."""

    latency: tuple[str, ...]
    cost: tuple[str, ...]


class ProfileSection(Section):
    """The top level of summary.json as `ragprof run` writes it."""

    format: Literal[1] = Field(description="of this file; keys may be added within a format, never renamed")
    ragprof_version: str
    eval: str
    title: str
    created: str
    """Time stamp in UTC, ISO 8601."""
    corpus: CorpusFacts
    queries: int = Field(ge=1, description="judged queries")
    qrels_sha256: str
    seed: int
    environment: dict[str, JsonValue]
    """Processor with its number formats, cores, threads, memory, system, Python, versions of packages."""
    work: dict[str, int]
    """What this run computed, and what it reused from the cache."""
    pipelines: Mapping[str, PipelineFigures] = Field(min_length=1)
    comparisons: tuple[ComparedPair, ...]
    """Every pair of pipelines on the leading metric."""
    final_stage: dict[str, Literal["rerank", "search"]]
    """The stage whose ranking is the pipeline's own."""
    traffic: Traffic
    rates: tuple[AppliedRate, ...]
    method: tuple[str, ...]
    limits: tuple[str, ...]
    pareto: Pareto
    headline: tuple[str, ...]
    """The answer in sentences, the main one first."""
    warnings: tuple[str, ...]
    """What a reader must know before believing a figure."""

    @property
    def metric(self) -> str:
        """The eval's first metric, which leads."""
        return next(metric for one in self.pipelines.values() for scores in one.scores.values() for metric in scores)

    @property
    def stages(self) -> list[str]:
        """The stages that any pipeline has, in the order in which a query meets them."""
        return [stage for stage in STAGES if any(stage in one.stages for one in self.pipelines.values())]

    @property
    def packages(self) -> dict[str, str]:
        """Installed package -> version."""
        found = self.environment.get("packages")
        return {name: str(version) for name, version in found.items()} if isinstance(found, dict) else {}

    def final_scores(self, name: str) -> Mapping[str, EstimateValue]:
        """metric -> mean of the pipeline's own ranking."""
        return self.pipelines[name].scores.get(self.final_stage[name], {})

    def quality(self, name: str) -> EstimateValue | None:
        """The leading metric of the pipeline's own ranking; None where it has no mean."""
        found = self.final_scores(name).get(self.metric)
        return None if found is None or found.mean is None else found
