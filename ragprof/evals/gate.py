"""[gate]: which quantities may not get worse, by how much, and how long a latency gate may look."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ragprof.core.errors import UnknownName
from ragprof.core.quantities import quantity
from ragprof.evals.tables import EvalTable, Misplaced


class GateMargin(EvalTable):
    """How much worse a quantity may get: the larger of `absolute` (in its own unit: ms, tokens, USD per 1,000 queries,
    points of a metric between 0 and 1, requests a second) and `relative` (a share of the baseline's figure). Both 0:
    nothing at all.

    `better` says which direction is good where the usual one is wrong; `pipelines` go before the gate's.
    """

    absolute: float = Field(0.0, ge=0, allow_inf_nan=False)
    relative: float = Field(0.0, ge=0, allow_inf_nan=False)
    better: Literal["lower", "higher"] | None = None
    pipelines: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


class GateSettings(EvalTable):
    """The whole table. A quantity regresses where its interval lies beyond the margin and its p, corrected over all
    gates, is below `alpha`.

    `baseline` is taken where the command names none, relative to the eval file. `budget_seconds` is what a comparison
    of two revisions may spend on live queries, in at most `looks` looks after the machine's own noise was learned.
    `flop_queries` is for how many queries a recording counts the models' floating point operations. `across_jobs`
    gates latency against a baseline too, which another job has timed: for a machine that does nothing else.
    """

    alpha: float = Field(0.05, gt=0, lt=0.5)
    baseline: Annotated[str, Field(min_length=1)] | None = None
    pipelines: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    quantities: dict[str, GateMargin] = Field({})
    budget_seconds: float = Field(300.0, gt=0, allow_inf_nan=False)
    looks: int = Field(4, ge=1, le=20)
    flop_queries: int = Field(0, ge=0)
    across_jobs: bool = False

    @model_validator(mode="after")
    def quantities_are_named(self) -> GateSettings:
        for label in self.quantities:
            try:
                quantity(label)
            except UnknownName as problem:
                raise Misplaced(problem.message, "quantities", label) from None
        return self
