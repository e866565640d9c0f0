"""What `ragprof chunking` found, as summary.json has it under `chunking`."""

from __future__ import annotations

from pydantic import Field

from ragprof.studies.contract import EstimateValue, Section
from ragprof.studies.variants import PairedFigure, PricedVariant


class CutCorpus(Section):
    """The corpus cut in one way."""

    variant: str
    splitter: str | None = Field(description="null where documents are taken whole")
    max_characters: int | None
    overlap: int | None
    passages: int
    tokens: int = Field(description="of all passages")
    tokens_per_passage: float
    cut_answers: EstimateValue | None = Field(
        description="share of the questions with an answer none of whose answers stands whole in a passage; null where "
        "no question has an answer that stands in a relevant document"
    )


class ChunkedPipeline(Section):
    """One pipeline over the corpus cut in one way. Spans are those of the answers, else whole relevant documents."""

    priced: PricedVariant
    recall: PairedFigure | None = Field(description="share of the spans' tokens that the prompt holds")
    precision: PairedFigure | None = Field(description="share of the prompt's passage tokens that are in the spans")
    iou: PairedFigure | None = Field(description="tokens of both over tokens of either")


class ChunkingSection(Section):
    """Ways to cut the documents, compared at an equal budget of prompt tokens."""

    budget: int = Field(description="tokens of each prompt, at most")
    metric: str
    queries: int
    marked: int = Field(description="questions whose spans a file gives")
    answered: int = Field(description="questions whose spans are answers; those of the others are whole documents")
    left_out: dict[str, int] = Field(description="spans of the file that could not be used, by reason")
    cuts: list[CutCorpus]
    pipelines: dict[str, list[ChunkedPipeline]]
    statements: list[str]
