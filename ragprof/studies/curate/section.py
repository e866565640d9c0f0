"""What `ragprof curate` found, as summary.json has it under `curate`."""

from __future__ import annotations

from pydantic import Field

from ragprof.corpus.redundancy import Redundant
from ragprof.studies.contract import Section
from ragprof.studies.variants import PricedVariant


class KindFound(Section):
    """One kind of what could go."""

    kind: Redundant = Field(description="exact, empty, stale, contradicting, near, reworded, boilerplate or lines")
    documents: int = Field(description="documents of which passages, or lines of them, could go")
    passages: int = Field(description="passages that could go, or lose lines")
    tokens: int = Field(description="their tokens, or those of the lines, by the eval's tokenizer")


class ReviewLine(Section):
    """A document to look at, and the one that stays in its stead."""

    kind: Redundant
    document: str
    title: str | None = Field(description="null where no text is kept")
    kept: str = Field(description="the document that stays; empty where none does")
    similarity: float | None = Field(description="share of common three-word sequences; of reworded ones the cosine")
    passages: int
    reason: str | None = Field(description="what was found; null where no text is kept")


class LineFound(Section):
    """A line that many documents repeat."""

    text: str
    documents: int
    words: int = Field(description="of all its copies")


class CurateSection(Section):
    """What a corpus holds twice or for nothing, and what each removal would change."""

    metric: str
    queries: int
    judged: bool = Field(description="whether there were relevance judgements")
    passages: int
    documents: int
    tokens: int
    without_text: int = Field(description="documents that were left out as they were read, having no text")
    searched_vectors: str | None = Field(description="pipeline whose vectors were compared; null where none has any")
    kinds: list[KindFound]
    pipelines: dict[str, list[PricedVariant]] = Field(
        description="name -> the corpus as it is, without each kind, and without all of them"
    )
    review: list[ReviewLine] = Field(description="the first lines of the list to review, of each kind in turn")
    review_lines: int = Field(description="lines of the whole list, which is in review.csv")
    lines: list[LineFound] = Field(
        description="repeated lines, those with most words first; none where no text is kept"
    )
    statements: list[str] = Field(description="sentences, as the report shows them")
