"""[injection], [budget] and [energy]: what is asked of the model, what it may cost, what it draws."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from ragprof.core.prompt import Order
from ragprof.core.registry import PartSpec
from ragprof.evals.tables import EvalTable, Misplaced, Timing

Positive: TypeAlias = Annotated[int, Field(ge=1)]
Correct: TypeAlias = Literal["contains", "exact", "f1"]


class InjectionTiming(Timing):
    """Live rounds: `seconds` for all pipelines and settings together, `min_queries` wished for of each in a round.

    `repeats` is how often each of the study's prompt lengths is timed.
    """

    seconds: float = Field(60.0, gt=0, allow_inf_nan=False)
    rounds: int = Field(2, ge=1)
    min_queries: int = Field(4, ge=1)
    warmup: int = Field(1, ge=1)
    repeats: int = Field(4, ge=2)


class InjectionSettings(EvalTable):
    """How chunks are put into prompts, who answers them, and when an answer is correct.

    Every pipeline answers with its own injector; the pipelines of `sweep` (all of them where it is left out) also with
    the `ks` best chunks and, for `side_questions` of the questions, within each of the `budgets` (tokens) and with
    `order_k` chunks in other `orders`: those share no beginnings with the rest, so each costs a prompt read in full.
    """

    generator: PartSpec = PartSpec(name="local")
    questions: int = Field(60, ge=0)
    unanswerable: int = Field(30, ge=0)
    pipelines: tuple[str, ...] | None = None
    sweep: tuple[str, ...] | None = None
    ks: tuple[Positive, ...] = Field((1, 2, 3, 4, 5), min_length=1)
    budgets: tuple[Positive, ...] = (1000, 2000)
    orders: tuple[Order, ...] = ("best_first", "best_last", "edges")
    order_k: int = Field(3, ge=2)
    side_questions: int = Field(20, ge=0)
    lengths: tuple[Positive, ...] = (128, 256, 512, 1024, 2048)
    seed: int = Field(0, ge=0)
    correct: Correct = "contains"
    sensitivities: tuple[Annotated[float, Field(gt=0, le=100)], ...] = ()
    judge: PartSpec | None = None
    timing: InjectionTiming = InjectionTiming()

    @model_validator(mode="after")
    def steps_rise(self) -> InjectionSettings:
        for key in ("ks", "budgets", "lengths"):
            steps: tuple[int, ...] = getattr(self, key)
            if list(steps) != sorted(set(steps)):
                raise Misplaced(f"{key} must ascend, without repeats; write them like {sorted(set(steps))}", key)
        if self.orders and "best_first" not in self.orders:
            raise Misplaced("'best_first' is missing; the other orders are compared with it", "orders")
        return self


class BudgetSettings(EvalTable):
    """Limits of a query, which a run reports but does not enforce, and the worth of a correct answer in USD."""

    tokens_per_query: int | None = Field(None, ge=1)
    usd_per_1000_queries: float | None = Field(None, gt=0, allow_inf_nan=False)
    usd_per_correct_answer: float | None = Field(None, gt=0, allow_inf_nan=False)


class EnergySettings(EvalTable):
    """Where the machine is, and its power under load, used if there is no energy counter.

    `watts` is used only where neither a GPU nor the processor reports its energy; `book` is a table of your own.
    """

    region: str = Field("world", min_length=1)
    watts: float | None = Field(None, gt=0, allow_inf_nan=False)
    book: Annotated[str, Field(min_length=1)] | None = None
