"""What `ragprof screen` found, as summary.json has it under `screen`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from ragprof.studies.contract import EstimateValue, Section

Added: TypeAlias = Literal["source", "all", "similar", "unrelated"]
"""What of the source would be added: the whole of it, as estimated, all that was sampled, or a part of that."""
ADDED: tuple[Added, ...] = ("all", "similar", "unrelated")


class AddedEffect(Section):
    """What adding the source or a part of its sample would change; intervals hold the sampling of documents and of
    queries."""

    added: Added
    documents: int = Field(description="how many those are")
    quality: EstimateValue | None = Field(description="change of the metric; null without relevance judgements")
    quality_of_half: float | None = Field(
        description="the same where only half of these are added, its mean; null for the source"
    )
    judged: EstimateValue | None = Field(description="change of the share of judged results beside it")
    from_source: EstimateValue = Field(description="share of the prompt's passages that would come from the source")
    context_tokens: EstimateValue = Field(description="change of the passages' tokens in the prompt")
    usd_per_1000: EstimateValue | None = Field(description="what that changes in 1,000 prompts; null where UNPRICED")


class ScreenedPipeline(Section):
    """One pipeline today, and with the source added."""

    quality: float | None
    judged: float | None
    context_tokens: float
    index_bytes: int | None
    added_index_bytes: int | None = Field(description="of the whole source, estimated from the sample")
    added_embed_usd: str | None = Field(description="embedding the whole source once; null where that is UNPRICED")
    effects: list[AddedEffect]


class ScreenSection(Section):
    """What a source would do to the questions of today."""

    source: str
    metric: str
    queries: int
    resamples: int
    seed: int
    source_documents: int
    sampled_documents: int
    sampled_passages: int
    source_tokens: int = Field(description="of the whole source, estimated from the sample")
    similar: EstimateValue | None = Field(
        description="share of its documents that are as close to what the questions find as half of the corpus is; "
        "null where no pipeline has vectors"
    )
    copies: EstimateValue = Field(description="share of its documents whose text is in the corpus already")
    pipelines: dict[str, ScreenedPipeline]
    statements: list[str]
