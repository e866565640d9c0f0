"""What traces of production say, in summary.json under `trace`.

Durations are ns, money decimal strings in USD, shares 0..1; None is not told by the spans, not priced or not
applicable, never 0. Intervals are 95% over traces, of which those of one question or one session count as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from ragprof.studies.contract import AppliedRate, CostFigures, EstimateValue, Latency, Section


class SourceFacts(Section):
    """One file that was read, and what was passed over."""

    name: str
    bytes: int
    spans: dict[str, int]
    """Format -> spans."""
    unread: int
    """Lines that are no JSON, or not what they look like."""
    first_unread: int | None
    """Number of the first of them."""
    foreign: int
    """JSON that is no span."""
    too_long: int
    cut_off: bool
    """Whether the file ends in the middle of a line."""
    without_trace: int = 0
    """Spans that name no trace; they are left out."""
    lost_attributes: int = 0
    """Attributes that cannot be read; their spans are there without them."""


class SamplingSigns(Section):
    """What samplers left behind in the traces."""

    attributes: dict[str, int]
    """Name -> traces that have it."""
    kept_share: float | None
    """Of all traces, by OpenTelemetry's trace state; the smallest that was seen."""


class TracedTokens(Section):
    """Tokens of one kind."""

    total: int
    per_trace: EstimateValue


class TracedMoney(Section):
    """USD of the model calls, and how they came to be priced."""

    total_usd: str
    """Of what has a price."""
    stages_usd: dict[str, str]
    """`inject` is what LLMs take for prompts, `generate` for answers."""
    calls: int
    priced: int
    """By a rate."""
    reported: int
    """By what their own spans tell."""
    unpriced: int
    priced_share: float | None
    """Priced or reported, of all calls."""
    reasons: tuple[str, ...]
    """Why calls are UNPRICED, with their number, most first."""
    per_1000_traces: CostFigures
    """Over the traces whose calls are all priced."""


class TracedModel(Section):
    """Calls of one model."""

    stage: str
    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    docs: int
    """Passages that a reranker was given."""


class RerankerActivity(Section):
    """The inert-reranker test: how often its work made a difference, whatever that is worth."""

    traces: int
    """That a reranker's input and output are known of."""
    set_changed: EstimateValue | None
    """Share of traces in which other passages went on. None where it let all through and no prompt tells."""
    order_changed: EstimateValue
    first_changed: EstimateValue
    verdict: Literal["inert", "active", "undecided"]
    """Inert: the changed share's interval lies below `bound`, active: above."""
    bound: float
    time_share: float | None
    """Of the time of these traces."""
    sentence: str


class ShallowerDepth(Section):
    """What would have happened with fewer candidates."""

    depth: int
    same_prompt: EstimateValue
    """Share of traces whose prompt would hold the same passages, if candidates are scored one by one."""
    saved_share: float
    """Of the candidates."""


class ShrinkCandidates(Section):
    """Passages that never reach a prompt."""

    traces: int
    """Whose candidates and prompt are known."""
    candidates: float
    """Mean a trace."""
    injected: float
    never_injected_share: float
    """Of the candidates."""
    by_depth: tuple[ShallowerDepth, ...]
    depth: int | None
    """The smallest of these depths that at least `keeps` of the traces would not have noticed, by the lower end."""
    keeps: float
    sentence: str


class SlowTrace(Section):
    """One of the slowest traces."""

    trace_id: str
    name: str
    start: str
    duration_ns: int
    stage: str
    """That took most of it on the critical path."""
    stage_ns: int
    errors: int
    retries: int


class TracedDay(Section):
    """One day in UTC."""

    day: str
    traces: int
    p50_ns: int | None
    p50_interval_ns: tuple[int, int] | None
    p95_ns: int | None
    p95_interval_ns: tuple[int, int] | None
    failed: EstimateValue
    tokens: float | None
    """Input and output tokens a trace."""


class TracedPipeline(Section):
    """One service."""

    traces: int
    independent: int | None = None
    """Questions and sessions that intervals go by: traces of the same one are no independent witnesses. `queries` of a
    latency counts those of its traces."""
    end_to_end: Latency | None
    stages: dict[str, Latency]
    """Own time of each stage's spans in a trace, added up; over the traces that have the stage."""
    path: dict[str, Latency]
    """The same on the critical path; of pipelines in which branches overlap."""
    in_traces: dict[str, float]
    """Stage -> share of the traces that have it."""
    mean_path_ns: dict[str, int]
    """Stage -> mean over all timed traces on the critical path; they add up to the mean end to end."""
    overlapping: int
    """Traces in which branches run side by side."""
    first_token: Latency | None
    failed: EstimateValue
    """Share of traces whose root failed."""
    errors: dict[str, int]
    retries: dict[str, int]
    tokens: dict[str, TracedTokens]
    """`stage.unit`"""
    usage_per_trace: dict[str, float]
    """`stage.unit` -> mean over all traces."""
    money: TracedMoney
    models: tuple[TracedModel, ...]
    reranker: RerankerActivity | None
    shrink: ShrinkCandidates | None
    slowest: tuple[SlowTrace, ...]
    days: tuple[TracedDay, ...]
    drift: tuple[str, ...]
    """What the second half of the days differs in from the first, in sentences."""
    judged: int
    """Traces whose question has relevance judgements."""
    foreign_ids: int = 0
    """Traces of judged questions that are not scored, since no passage of the pipeline has an id of the judgements."""
    scores: dict[str, dict[str, EstimateValue]]
    """stage -> metric -> mean over these."""


class TraceSection(Section):
    """What `ragprof trace` found."""

    sources: tuple[SourceFacts, ...]
    first: str
    """Time stamp in UTC of the first trace's beginning."""
    last: str
    spans: int
    traces: int
    without_stage: int
    """Traces without a span of a RAG stage, which are left out."""
    rootless: int
    """Traces whose beginning is not in the files."""
    unfinished: int
    """Spans without an end, or that end before they begin: their time is not counted."""
    repeated: int
    """Spans that were there twice."""
    skewed: int
    """Spans that reach beyond the span that they lie in: clocks of two machines."""
    asked_again: int = 0
    """Traces of a recording's further live rounds: the same query of the same pipeline, timed again."""
    renamed: Mapping[str, str] = {}
    """Pipeline -> the service that it stands for, where the name of that cannot be one of ours."""
    sampling: SamplingSigns
    pipelines: Mapping[str, TracedPipeline] = Field(min_length=1)
    questions: int | None
    """Judged questions that were looked for; None without judgements."""
    rates: tuple[AppliedRate, ...]
    headline: tuple[str, ...]
    warnings: tuple[str, ...]
    method: tuple[str, ...]
    limits: tuple[str, ...]


class TraceSummary(Section):
    """The top level of summary.json as `ragprof trace` writes it."""

    format: Literal[1]
    ragprof_version: str
    eval: str
    """The profile's name."""
    title: str
    created: str
    """Time stamp in UTC, ISO 8601."""
    trace: TraceSection
