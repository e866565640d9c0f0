"""What a verdict rests on, in arrays of 1 + resamples: row 0 is what was found. Reads no file and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragprof.studies.query_draws import Array, ends

POINT = 0.01


@dataclass(frozen=True)
class AtDepth:
    """What the reranker does from a smaller number of candidates; `cost` in USD per 1,000 queries, None: UNPRICED."""

    depth: int
    gain: Array
    loss: Array
    cost: Array | None
    added_p95_ms: float | None


@dataclass(frozen=True)
class MoreChunks:
    """The smallest k that holds as much evidence without the reranker, and the tokens that it takes more a query."""

    k: int
    extra_tokens: Array


@dataclass(frozen=True)
class Rival:
    """Another pipeline that is told to be as good and answers faster. What it is cheaper by, beside the reranker's own
    cost, in USD per 1,000 queries at no price of the LLM, and in prompt tokens a query."""

    name: str
    cheaper_usd: float
    fewer_tokens: float


@dataclass(frozen=True)
class Case:
    """All that a verdict rests on. `tokens_saved` a query, at equal quality; prices in USD per million tokens."""

    metric: str
    own: AtDepth
    smaller: Sequence[AtDepth]
    inert: bool
    queries: int
    more_queries: int | None
    margin: float
    tokens_saved: Array | None = None
    llm_usd_per_million: float | None = None
    more_chunks: MoreChunks | None = None
    rivals: Sequence[Rival] = ()
    worth_usd_per_point: float | None = None
    max_added_p95_ms: float | None = None
    max_usd_per_1000: float | None = None
    hourly: bool = False

    @property
    def free(self) -> bool:
        return self.own.cost is not None and not np.nan_to_num(self.own.cost).any()

    @property
    def net(self) -> Array | None:
        """Cost at the own depth minus the LLM money saved at equal quality, USD per 1,000 queries."""
        if self.own.cost is None or self.tokens_saved is None or self.llm_usd_per_million is None:
            return None
        if self.llm_usd_per_million == 0:
            return self.own.cost
        return np.asarray(self.own.cost - self.tokens_saved * self.llm_usd_per_million / 1_000)

    def value(self, at: AtDepth) -> Array | None:
        """What the gain at equal k is worth minus what it costs, USD per 1,000 queries.

        The tokens saved are not in it: they are the same profit, taken at equal quality.
        """
        if at.cost is None or self.worth_usd_per_point is None:
            return None
        return np.asarray(at.gain / POINT * self.worth_usd_per_point - at.cost)


def limits(figures: Array) -> tuple[float, float]:
    """The interval's ends; the figure itself where nothing varies; minus and plus infinity where nothing is known."""
    found = ends(figures)
    low, high = found if found else (None, None)
    return (-np.inf if low is None else low), (np.inf if high is None else high)
