"""[stores]: which indexes and settings are compared, and what loss against exact search is too much."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ragprof.core.registry import PartSpec
from ragprof.evals.tables import EvalTable, Misplaced, Timing

Named = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]*$")]

Share = Annotated[float, Field(gt=0, lt=1)]


class StoresTiming(Timing):
    """Live rounds: `seconds` for all settings together, `min_queries` wished for of each."""

    seconds: float = Field(60.0, gt=0, allow_inf_nan=False)


class StoresChurn(EvalTable):
    """Shares of the passages that are taken out, replaced and put in while questions are asked.

    The writes, of at most `batch` passages each, are spread over `seconds`; a store that is slower takes longer.
    """

    deleted: float = Field(0.0, ge=0, lt=1)
    replaced: float = Field(0.0, ge=0, lt=1)
    inserted: float = Field(0.0, ge=0, lt=1)
    batch: int = Field(100, ge=1)
    seconds: float = Field(20.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _changes_some_and_keeps_some(self) -> StoresChurn:
        whole = self.deleted + self.replaced + self.inserted
        if whole == 0:
            raise Misplaced("give at least one of deleted, replaced and inserted, such as deleted = 0.1")
        if whole >= 1:
            raise Misplaced(f"deleted, replaced and inserted are {whole:g} together; keep the sum below 1")
        return self


class StoresCold(EvalTable):
    """How often each index that is ours is closed and opened again, and how many questions it is asked then."""

    restarts: int = Field(5, ge=2)
    queries: int = Field(20, ge=1)


class StoresSettings(EvalTable):
    """`indexes` are stores by a label; an option that is a list stands for each of its values.

    `margin` is how much of `metric` may be lost against exact search. Embedder and depth are those of `pipeline`, the
    first with vectors where it is left out, and so is the reranker that all of it is shown with, unless `reranker`
    names one. `k` is that of recall@k. `database` is a rate of a managed database for the bill of a month.
    `filters` are fields: with a share one is made up, and lets that much of the passages through; with a word it is the
    field of that name that the corpus's documents have, and lets those through that have this value.
    `churn` changes every index that can be changed while it is asked; `cold` closes and opens those that are ours.
    """

    indexes: dict[Label, PartSpec] = Field(default_factory=dict)
    margin: float | None = Field(None, gt=0, le=1)
    pipeline: Named | None = None
    reranker: PartSpec | None = None
    k: int = Field(10, ge=1)
    metric: Named | None = None
    database: Named | None = None
    filters: dict[Label, Share | Named] = Field(default_factory=dict)
    churn: StoresChurn | None = None
    cold: StoresCold | None = None
    timing: StoresTiming = StoresTiming()
