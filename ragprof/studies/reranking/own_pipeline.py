"""A reranked pipeline as it is declared: what its prompt, its whole bill and its time become when something changes.

Bills are USD per 1,000 queries; what is not priced or not timed is None. Reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ragprof.price.pricing import QUERIES
from ragprof.studies.reranking.data import RERANK, RerankerData
from ragprof.studies.reranking.effects import end_to_end
from ragprof.studies.reranking.statement import TOKENS, llm_of, usd_of
from ragprof.studies.reranking.whole_bills import Whole


@dataclass(frozen=True)
class Own:
    """One reranked pipeline at its own depth and k, that alternatives are held against."""

    data: RerankerData
    arm: str
    whole: Whole

    @property
    def pipeline(self) -> str:
        return str(self.data.arm(self.arm)["pipeline"])

    @property
    def depth(self) -> int:
        return int(self.data.arm(self.arm)["own_depth"])

    @property
    def k(self) -> int:
        return int(self.data.arm(self.arm)["own_k"])

    def prompt(self, ranking: str, depth: int, k: int, arm: str | None = None) -> float:
        """Mean tokens of a prompt with the first k passages.

        Where the pipeline's own prompts were recorded, with whatever budget cuts them short, it is theirs, and what
        whole passages more or less take beside them.
        """
        context = float(self.data.context_tokens(arm or self.arm, ranking, depth)[k - 1].mean())
        recorded = self.whole.prompt_tokens.get(self.pipeline)
        if recorded is not None:
            return recorded + context - float(self.data.context_tokens(self.arm, RERANK, self.depth)[self.k - 1].mean())
        return context + float(self.data.manifest["template_tokens"]) + float(self.data.manifest["query_tokens"])

    def bill(self, prompt_tokens: float, reranker_usd: float | None) -> float | None:
        """The whole bill with this much more for the reranker (USD per 1,000 queries) and a prompt of this length."""
        total, price = self.whole.usd.get(self.pipeline), usd_of(llm_of(self.data, self.arm))
        if total is None or price is None or reranker_usd is None:
            return None
        return (
            total + reranker_usd + (prompt_tokens - self.prompt(RERANK, self.depth, self.k)) * price * QUERIES / TOKENS
        )

    def usd(self, depth: int, arm: str | None = None) -> float | None:
        """The reranker's, per 1,000 queries."""
        usd = self.data.usd(arm or self.arm, depth)
        return None if usd is None else float(np.nanmean(usd)) * QUERIES

    def less_than_own(self, depth: int, arm: str | None = None) -> float | None:
        """The reranker's bill at a depth, or of a student, minus its bill at the own depth.

        In the money of the main recording's bill, whose machine was timed apart: scaled by how the two compare here.
        """
        own, other = self.usd(self.depth), self.usd(depth, arm)
        if own is None or other is None:
            return None
        billed = self.whole.rerank_usd.get(self.pipeline)
        scale = billed / own if billed is not None and own > 0 else 1.0
        return (other - own) * scale

    def p50(self, depth: int, arm: str | None = None) -> int | None:
        """ns end to end at a depth, or of a student: as live where the main recording timed nothing."""
        whole, live = self.whole.p50_ns.get(self.pipeline), live_p50(self.data, arm or self.arm, depth)
        if whole is None:
            return live
        if (arm or self.arm, depth) == (self.arm, self.depth):
            return whole
        own = live_p50(self.data, self.arm, self.depth)
        return None if live is None or not own else round(whole * live / own)


def live_p50(data: RerankerData, arm: str, depth: int) -> int | None:
    """Median over the timed queries of a query's mean time at a depth (0: without the reranker)."""
    times = end_to_end(data, arm, depth)
    return None if np.isnan(times).all() else round(float(np.nanmedian(times)))
