"""[curate]: from where on something counts as redundant."""

from __future__ import annotations

from pydantic import Field

from ragprof.evals.tables import EvalTable


class CurateSettings(EvalTable):
    """Limits of what is listed. `metric` is what removals are judged by; without it the eval's first.

    `near` and `related` are shares of common three-word sequences, `reworded` is a cosine. A line is boilerplate from
    `boilerplate_documents` documents on, a passage where such lines have `boilerplate_share` of its words.
    """

    near: float = Field(0.9, gt=0, le=1)
    related: float = Field(0.6, gt=0, le=1)
    reworded: float = Field(0.97, gt=0, le=1)
    boilerplate_documents: int = Field(20, ge=2)
    boilerplate_share: float = Field(0.8, gt=0, le=1)
    least_words: int = Field(3, ge=1)
    metric: str | None = Field(None, min_length=1)
