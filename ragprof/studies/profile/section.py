"""What the main run says in summary.json: its top level.

Durations are ns, sizes bytes, money decimal strings in USD, shares 0..1; None is not measured, not priced or not
applicable, never 0. Intervals are 95% and resample queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, JsonValue

from ragprof.core import in_order
from ragprof.corpus.account import ReadingAccount
from ragprof.record.unread import UnreadTexts
from ragprof.report.figures import corpus_size
from ragprof.studies.contract import (
    AppliedRate,
    BuildFigures,
    ComparedPair,
    CostFigures,
    EstimateValue,
    Latency,
    Section,
)
from ragprof.studies.labelled import LabelledQuality

FORMAT = 1
MOST_PAIRS = 45
"""Of pipelines, that a page shows one by one: those of ten pipelines."""


class WholeFacts(Section):
    """What a part of a corpus was taken from."""

    docs: int
    """Passages."""
    documents: int
    sha256: str


class ParsingCost(Section):
    """What parsing the files of the corpus cost, once."""

    pages: int
    """Of all files that were parsed; a file of a kind without pages is one."""
    rate: str | None
    usd: str | None
    """Null where it is unpriced."""
    reason: str
    """Why it is unpriced."""


class CorpusFacts(Section):
    """What was searched."""

    name: str
    docs: int
    """Passages: what is embedded, found and injected."""
    documents: int | None = None
    """What the passages were cut from, and what judgements name."""
    whole: WholeFacts | None = None
    """Where a part was searched: of which corpus. Quality is then flattered, since there are fewer distractors."""
    reading: ReadingAccount | None = None
    """What was read of the user's files, and what was left out and why."""
    parsing: ParsingCost | None = None
    """Where files were parsed; how many and how fast is in `reading`."""
    tokens: int
    """By the eval's tokenizer."""
    sha256: str
    versions: dict[str, str] | None = None
    """Of the packages that a recipe made the corpus of."""

    @property
    def size(self) -> str:
        """Both counts, named."""
        return corpus_size(self.docs, self.documents, None if self.whole is None else self.whole.docs)


class IndexingCost(Section):
    """What embedding the corpus costs by the token, once."""

    tokens: int
    counted_by: Literal["server", "tokenizer"]
    rate: str | None
    usd: str | None
    """Null where it is unpriced."""
    reason: str
    """Why it is unpriced."""


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


class StageCores(Section):
    """What the threads of one stage did, mean per query. Several at once may take longer than the clock shows."""

    cpu_ns: int
    waiting_ns: int | None
    """Ready to run, without a core; None where the system does not tell."""
    share: float | None
    """Of the stage's time that was waiting."""


class Waiting(Section):
    """How long the pipeline's threads waited for a core while it was timed; subtracted from nothing."""

    share: float | None
    """Of the time of all rounds, with what a hypervisor took away; None where the system does not tell."""
    bound: float
    busy: bool
    """Whether the share is above the bound, so that latency and what is billed by time are withheld."""
    reason: str
    """In words, where it is."""
    stages: dict[str, StageCores]
    """Those that take so long that reading around them adds at most 1 %."""
    switches_per_query: float | None
    """How often a thread was taken off its core."""
    stolen_share: float | None
    """Of the machine's busy time: taken by the hypervisor."""
    pressure_share: float | None
    """Of the time: some task of the machine waited."""


class AppFigures(Section):
    """What was noticed while a pipeline of the user's own was asked each question once."""

    kind: str
    """callable, http, langchain, llamaindex, haystack, or of another package"""
    description: str
    target: str
    """What the eval file names, or the object's name."""
    asked: int
    failed: int
    """Questions that it answered with an exception, or not in time; they count as 0 and have no timings."""
    timed_out: int
    first_failure: str
    without_documents: int
    """Answers without any document."""
    documents: int
    """In all answers, at all stages."""
    documents_by_text: int
    """Told by their text alone."""
    ids_twice: int
    """Ids that an answer gave more than once; the first place counts."""
    unknown_documents: int
    """Documents that are not in the corpus; they count as unjudged."""
    unknown_examples: list[str]
    sources: dict[str, str]
    """stage -> who told of most of its time"""
    overlapping: list[str]
    """Stages that ran side by side with others: what they were busy is `<stage>.busy_ns` of the usage."""
    prompt_tokens: str
    """Where the number of the prompt's tokens comes from."""


class PipelineFigures(Section):
    """What was measured of one pipeline."""

    description: str
    """In one line."""
    config: dict[str, JsonValue]
    """As declared in the eval file."""
    empty_rankings: int | None = None
    """Judged queries for which it found nothing; they count as 0."""
    stages: dict[str, Latency]
    end_to_end: Latency
    unaccounted: Unaccounted
    closure: float
    """Mean share of a query's time that its stages account for."""
    overhead: float | None
    """(instrumented - bare) / bare: what measuring itself took; near zero noise may make it negative."""
    overhead_interval: tuple[float, float] | None
    noise: Noise
    waiting: Waiting | None = None
    """None in recordings of versions that did not measure it."""
    billed_by_time: tuple[str, ...] = ()
    """Stages whose price is measured machine time."""
    cold_start_ns: dict[str, int]
    """First call of each part."""
    build: BuildFigures | None
    """None of an app, which has an index of its own."""
    peak_rss_bytes: int | None
    """Of the process while the pipeline was timed."""
    usage_per_query: dict[str, float]
    """`stage.unit` -> mean count."""
    usage_estimates: dict[str, EstimateValue]
    cost_usd_per_1000_queries: CostFigures
    indexing: IndexingCost | None = None
    """Of an embedder that is paid by the token."""
    scores: dict[str, dict[str, EstimateValue]]
    """stage -> metric -> mean; metrics stand in the eval's order."""
    app: AppFigures | None = None
    """Of a pipeline of the user's own."""
    reranked: EstimateValue | None = None
    """Of an app that reranks: the leading metric after the stage rerank less that after search, paired by query."""

    @property
    def latency_withheld(self) -> str:
        """Why no sentence and no ranking may rest on the latency; empty where they may."""
        return self.waiting.reason if self.waiting is not None and self.waiting.busy else ""

    @property
    def cost_withheld(self) -> str:
        """The same of the money."""
        return self.latency_withheld if self.billed_by_time else ""


class Traffic(Section):
    """What a month holds."""

    queries_per_month: int | None


class Pareto(Section):
    """Pipelines that no other beats in quality without taking more time, or more money."""

    latency: tuple[str, ...]
    cost: tuple[str, ...]


class Overlap(Section):
    """How alike the results of two pipelines are, by the documents of their final rankings."""

    one: str
    other: str
    depth: int
    """How many of the first documents are compared."""
    shared: EstimateValue
    """Share of them that both have; of the longer list where one is shorter."""
    same_first: EstimateValue
    """Share of the queries with the same first document."""


class ProfileSection(Section):
    """The top level of summary.json as `ragprof run` writes it."""

    format: Literal[1] = Field(description="of this file; keys may be added within a format, never renamed")
    ragprof_version: str
    eval: str
    title: str
    created: str
    """Time stamp in UTC, ISO 8601."""
    revision: str | None = None
    """Commit that was checked out around the eval file; null where that lies in no git repository."""
    corpus: CorpusFacts
    queries: int = Field(ge=1, description="queries that were asked: the judged ones, where there are judgements")
    judged: bool = True
    """Whether there are relevance judgements. Without them nothing is said of quality and no pipeline is ranked."""
    qrels_sha256: str
    seed: int
    environment: dict[str, JsonValue]
    """Processor with its number formats, cores, threads, memory, system, Python, versions of packages."""
    work: dict[str, int]
    """What this run computed, and what it reused from the cache."""
    pipelines: Mapping[str, PipelineFigures] = Field(min_length=1)
    comparisons: tuple[ComparedPair, ...]
    """Every pair of pipelines on the leading metric."""
    overlaps: tuple[Overlap, ...] = ()
    """Every pair of pipelines by the results that both have."""
    final_stage: dict[str, Literal["rerank", "search"]]
    """The stage whose ranking is the pipeline's own."""
    traffic: Traffic
    rates: tuple[AppliedRate, ...]
    method: tuple[str, ...]
    limits: tuple[str, ...]
    pareto: Pareto
    headline: tuple[str, ...]
    """The answer in sentences, the main one first."""
    labelled: LabelledQuality | None = None
    """Figures of judgements that `ragprof label` made: by the model, and corrected by people."""
    unread: tuple[UnreadTexts, ...] = ()
    """What embedders, rerankers and injectors left unread of the texts that they were given."""
    warnings: tuple[str, ...]
    """What a reader must know before believing a figure."""

    @classmethod
    def read(cls, document: dict[str, Any], _name: str = "") -> Self:
        """The top level of summary.json without what other studies put there."""
        pipelines = {
            name: {key: value for key, value in one.items() if key in PipelineFigures.model_fields}
            for name, one in document["pipelines"].items()
        }
        own = {key: value for key, value in document.items() if key in cls.model_fields}
        return cls.model_validate({**own, "pipelines": pipelines})

    def shown_comparisons(self) -> tuple[ComparedPair, ...]:
        """All of them, or of many only those with the pipeline that ranks highest: nobody reads a thousand."""
        if len(self.comparisons) <= MOST_PAIRS:
            return self.comparisons
        means = {name: found.mean or 0.0 for name in self.pipelines if (found := self.quality(name))}
        best = max(means, key=means.__getitem__, default="")
        return tuple(pair for pair in self.comparisons if best in (pair.candidate, pair.baseline))

    @property
    def metric(self) -> str:
        """The eval's first metric, which leads; empty without judgements."""
        every = (metric for one in self.pipelines.values() for scores in one.scores.values() for metric in scores)
        return next(every, "")

    @property
    def stages(self) -> list[str]:
        """The stages that any pipeline has, in the order in which a query meets them."""
        return in_order(stage for one in self.pipelines.values() for stage in one.stages)

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
