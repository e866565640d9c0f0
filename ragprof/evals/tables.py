"""The base of every table of an eval file."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class Misplaced(ValueError):
    """An error that concerns a table as a whole, with the location of the key that causes it."""

    def __init__(self, message: str, *inside: str | int) -> None:
        super().__init__(message)
        self.inside = inside


class EvalTable(BaseModel):
    """A table of the file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Timing(EvalTable):
    """Live rounds: how long they may take with their warm-up, how many, and what spread between them counts as noise.

    `min_queries` is how many queries a pipeline should answer in a round: where `seconds` allow fewer, fewer are asked,
    and it is said what that many would take.
    `waiting_bound` is the share of the time spent waiting for a core above which the machine counts as busy; `patience`
    how many seconds may be spent on waiting for a quieter moment and on timing busy rounds again.
    """

    seconds: float = Field(45.0, gt=0, allow_inf_nan=False)
    rounds: int = Field(3, ge=2)
    min_queries: int = Field(20, ge=1)
    warmup: int = Field(3, ge=1)
    noise_bound: float = Field(0.10, gt=0, allow_inf_nan=False)
    waiting_bound: float = Field(0.10, gt=0, le=1)
    patience: float = Field(60.0, ge=0, allow_inf_nan=False)

    def among(self, parts: int) -> Self:
        """The same for one of so many equal parts of the work."""
        return self.model_copy(update={"seconds": self.seconds / parts})
