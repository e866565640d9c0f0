"""[screen]: how a source is screened before it is ingested."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ragprof.evals.tables import EvalTable


class ScreenSettings(EvalTable):
    """`source` is what would be added, `sample` how many of its documents are looked at, drawn with `seed`.

    `metric` is nDCG@N, P@N or R@N; without it the eval's first if it is one of these, else nDCG@10.
    """

    source: Annotated[str, Field(min_length=1)] | None = None
    sample: int = Field(1000, ge=2)
    seed: int = Field(0, ge=0)
    metric: str | None = Field(None, pattern=r"^(nDCG|P|R)@[1-9]\d*$")
