"""[growth]: how the corpus is made to grow."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from ragprof.evals.tables import EvalTable, Misplaced, Timing

Curve: TypeAlias = Literal["all_judged", "proportional", "similar", "duplicate", "contradicting", "foreign"]
CURVES: tuple[Curve, ...] = ("all_judged", "proportional", "similar", "duplicate", "contradicting", "foreign")


class GrowthTiming(Timing):
    """Live rounds at every corpus size; `seconds` is for all sizes together."""

    seconds: float = Field(60.0, gt=0, allow_inf_nan=False)
    min_queries: int = Field(8, ge=1)
    warmup: int = Field(2, ge=1)


class GrowthSettings(EvalTable):
    """How the corpus is made to grow. Without `sizes`, `points` sizes are spread evenly on a logarithmic scale."""

    sizes: tuple[int, ...] = ()
    points: int = Field(8, ge=2)
    orders: int = Field(5, ge=1)
    seed: int = Field(0, ge=0)
    depths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = Field((5, 10, 20), min_length=1)
    metric: str = "nDCG@10"
    curves: tuple[Curve, ...] = CURVES[:-1]
    foreign: Annotated[str, Field(min_length=1)] | None = None
    variants: int = Field(3, ge=1)
    forecast: tuple[Annotated[int, Field(ge=1)], ...] = ()
    gain_bound: float = Field(0.02, ge=0, lt=1)
    timing: GrowthTiming = GrowthTiming()

    @model_validator(mode="after")
    def sizes_rise(self) -> GrowthSettings:
        for place, (before, size) in enumerate(pairwise(self.sizes), start=1):
            if size <= before:
                word = "repeated" if size == before else f"smaller than the {before:,} before it"
                raise Misplaced(f"size {size:,} is {word}; give rising sizes, each once", "sizes", place)
        if self.forecast and 0 < len(self.sizes) < 3:
            raise Misplaced(
                f"a forecast needs at least three sizes, here are {len(self.sizes)}; add some or leave forecast out",
                "sizes",
            )
        return self

    @model_validator(mode="after")
    def metric_is_computed(self) -> GrowthSettings:
        known = [f"{family}@{cutoff}" for family in ("nDCG", "P", "R") for cutoff in self.cutoffs]
        if self.metric not in known:
            raise Misplaced(
                f"no growth metric '{self.metric}'; with these cutoffs there are: {', '.join(known)}", "metric"
            )
        return self

    @model_validator(mode="after")
    def curves_can_be_drawn(self) -> GrowthSettings:
        if len(set(self.curves)) < len(self.curves):
            raise Misplaced("a curve is named twice; name each once", "curves")
        if "all_judged" not in self.curves:
            raise Misplaced("'all_judged' is missing; the other curves are compared with it", "curves")
        if "foreign" in self.curves and self.foreign is None:
            raise Misplaced("the curve 'foreign' needs passages; set foreign = \"passages.jsonl\"", "curves")
        return self
