"""[labels]: who judges what nobody has judged, how deep, and at what price."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ragprof.core.registry import PartSpec
from ragprof.evals.tables import EvalTable


class LabelSettings(EvalTable):
    """Judgements that are being made by `ragprof label`.

    `judge` is a generator that grades by the rubric; `price` the name of its rate, without which nothing is told of
    money and no budget can be kept. The first `depth` passages of every pipeline are judged for each question, and
    `below` others at random. `twice` is the share of pairs that the model is asked about again. `questions` is how many
    are made where there are none.
    """

    judge: PartSpec | None = None
    price: Annotated[str, Field(min_length=1)] | None = None
    depth: int = Field(10, ge=1)
    below: int = Field(1, ge=0)
    twice: float = Field(0.2, ge=0, le=1)
    questions: int = Field(100, ge=1)
