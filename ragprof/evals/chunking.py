"""[chunking]: ways to cut documents that are compared."""

from __future__ import annotations

from pydantic import Field, field_validator

from ragprof.corpus import Chunking
from ragprof.evals.tables import EvalTable


class ChunkingSettings(EvalTable):
    """`variants` are compared with the eval's own chunking, each within prompts of `budget` tokens.

    `spans` is a file of what answers each question: stretches of documents.
    """

    variants: tuple[Chunking, ...] = ()
    spans: str | None = Field(None, min_length=1)
    budget: int = Field(2000, ge=50)
    metric: str | None = Field(None, min_length=1)

    @field_validator("variants")
    @classmethod
    def each_once(cls, variants: tuple[Chunking, ...]) -> tuple[Chunking, ...]:
        if len(set(variants)) < len(variants):
            raise ValueError("a way to cut stands twice in it; name each once")
        return variants
