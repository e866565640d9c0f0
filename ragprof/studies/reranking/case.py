"""What a verdict rests on, in arrays of 1 + resamples: row 0 is what was found. Reads no file and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ragprof.studies.query_draws import ENDS, Array

POINT = 0.01
THREE = 3.0
"""None in n may be up to 3 / n: Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 1983."""


@dataclass(frozen=True)
class MoreChunks:
    """The smallest k that holds as much evidence without the reranker, and the tokens that it takes more a query."""

    k: int
    extra_tokens: Array


@dataclass(frozen=True)
class AtDepth:
    """What the reranker does from so many candidates.

    `loss` is what is lost against the pipeline's own depth, `p` of the gain (sign-flip test), `cost` in USD per 1,000
    queries (None: UNPRICED), `added_p95_ms` with its interval (None: not timed).
    """

    depth: int
    gain: Array
    loss: Array
    cost: Array | None
    p: float = 0.0
    added_p95_ms: tuple[float, float, float] | None = None
    more_chunks: MoreChunks | None = None


@dataclass(frozen=True)
class Rival:
    """A pipeline without a reranker that is told to be as good and answers clearly faster. What it is cheaper by,
    beside the reranker's own cost, in USD per 1,000 queries at no price of the LLM, and in prompt tokens a query."""

    name: str
    cheaper_usd: float
    fewer_tokens: float


@dataclass(frozen=True)
class Case:
    """All that a verdict rests on. `k` chunks are sent; `bill_usd` is the pipeline's whole bill per 1,000 queries.

    `tokens_saved` a query, at equal quality; prices in USD per million tokens.
    """

    metric: str
    own: AtDepth
    smaller: Sequence[AtDepth]
    inert: bool
    queries: int
    more_queries: int | None
    margin: float
    k: int = 1
    bill_usd: float | None = None
    tokens_saved: Array | None = None
    llm_usd_per_million: float | None = None
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
        return np.asarray(self.own.cost - priced(self.tokens_saved, self.llm_usd_per_million))

    def value(self, at: AtDepth) -> Array | None:
        """What the gain at equal k is worth minus what it costs, USD per 1,000 queries.

        The tokens saved are not in it: they are the same profit, taken at equal quality.
        """
        if at.cost is None or self.worth_usd_per_point is None:
            return None
        return np.asarray(at.gain / POINT * self.worth_usd_per_point - at.cost)

    def gain_limits(self, at: AtDepth) -> tuple[float, float]:
        """The interval of a gain. Where no query changed at all, it may still be that up to 3 in n would."""
        if not at.gain.any():
            return -THREE / self.queries, THREE / self.queries
        return limits(at.gain)

    def alone(self, at: AtDepth) -> Case:
        """The same reranker declared at a smaller depth; its p is that of one picked among several."""
        picked = replace(at, p=min(1.0, at.p * max(1, len(self.smaller))))
        return replace(self, own=picked, smaller=())


def priced(tokens: Array, usd_per_million: float) -> Array:
    """USD per 1,000 queries of tokens a query. Tokens without a price cost nothing, however many."""
    return (
        np.asarray(tokens * (usd_per_million / 1_000))
        if usd_per_million
        else np.where(np.isposinf(tokens), np.inf, 0.0)
    )


def limits(figures: Array) -> tuple[float, float]:
    """Ends of the percentile interval, infinite ones with their sign; all there is where nothing is known."""
    drawn = figures[1:][~np.isnan(figures[1:])]
    if not drawn.size:
        return -np.inf, np.inf
    if np.isfinite(drawn).all():
        low, high = np.quantile(drawn, ENDS)
    else:
        low, high = np.quantile(drawn, ENDS[0], method="lower"), np.quantile(drawn, ENDS[1], method="higher")
    return float(low), float(high)
