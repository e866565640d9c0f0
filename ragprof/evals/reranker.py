"""[reranker]: the depths and ks at which a reranker is studied, and the settings of its verdict."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, model_validator

from ragprof.core.registry import PartSpec
from ragprof.evals.tables import EvalTable, Misplaced, Timing

MOST_CHUNKS = 1_000
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Chunks: TypeAlias = Annotated[int, Field(ge=1, le=MOST_CHUNKS)]


class RerankerTiming(Timing):
    """Live rounds: `seconds` for every depth of every pipeline together, `min_queries` wished for of each."""

    seconds: float = Field(90.0, gt=0, allow_inf_nan=False)
    rounds: int = Field(2, ge=1)
    min_queries: int = Field(8, ge=1)
    warmup: int = Field(1, ge=1)


class RerankerSettings(EvalTable):
    """What is asked of the rerankers of `pipelines` (all reranked ones where it is left out).

    Each pair is scored once at the greatest of `depths`; a pipeline's own depth is always among them. `students` are
    other rerankers over the same candidates, compared with the pipeline's own. `margin` is the smallest gain of
    `metric` that counts; `worth_usd_per_point` is what 0.01 of it is worth in USD per 1,000 queries, where somebody
    knows. `llms` are further prices to see the statement at; `price_trend` is by how many percent a year LLM prices
    are taken to fall. `depth_knob` is the knob of an app that says how many candidates its reranker is given, where its
    name does not say so.
    """

    pipelines: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    depths: tuple[Positive, ...] = Field((5, 10, 20, 30, 50), min_length=1)
    ks: tuple[Chunks, ...] = Field((1, 3, 5, 8, 10), min_length=1)
    metric: str = "nDCG@10"
    margin: float = Field(0.01, ge=0, lt=1)
    worth_usd_per_point: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_added_p95_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_usd_per_1000_queries: float | None = Field(None, ge=0, allow_inf_nan=False)
    llms: tuple[str, ...] = ()
    signals: tuple[PartSpec, ...] = Field((PartSpec(name="margin"),), min_length=1)
    students: tuple[PartSpec, ...] = ()
    depth_knob: Annotated[str, Field(min_length=1)] | None = None
    folds: int = Field(5, ge=2)
    windows: bool = True
    price_trend: float | None = Field(None, gt=-100, lt=100, allow_inf_nan=False)
    seed: int = Field(0, ge=0)
    timing: RerankerTiming = RerankerTiming()

    @model_validator(mode="after")
    def steps_rise(self) -> RerankerSettings:
        for key in ("ks", "depths"):
            steps: tuple[int, ...] = getattr(self, key)
            if list(steps) != sorted(set(steps)):
                raise Misplaced(f"{key} must ascend, without repeats; write them like {sorted(set(steps))}", key)
        return self

    @model_validator(mode="after")
    def metric_is_computed(self) -> RerankerSettings:
        family, _, cutoff = self.metric.partition("@")
        known = family in ("nDCG", "P", "R", "Success") and cutoff.isdigit() and 0 < int(cutoff) <= MOST_CHUNKS
        if not known and self.metric != "RR@10":
            raise Misplaced(
                f"no reranker metric '{self.metric}'; write nDCG@10, RR@10, R@5, P@5 or Success@5", "metric"
            )
        return self
