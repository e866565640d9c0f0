"""How many chunks a reranker saves: the smallest k at which it holds what the search alone holds with its own k.

Quality is evidence@k, the share of a query's relevant documents with a passage among the first k: what k injected
chunks hold. Tokens are counted from the smallest k that the search itself needs for it, so that chunks which hold
nothing either way are no saving of the reranker's. Each resample has its own smallest ks and its own tokens. A
reranker that needs more chunks than the search saves less than nothing. Where no k up to `max_k` is enough, it needs
more than were looked at: its saving is minus infinity there, written as null. Knows no price and reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragprof.studies.query_draws import ENDS, Array, resampled
from ragprof.studies.reranking.data import RERANK, SEARCH, RerankerData
from ragprof.studies.reranking.figures import estimate, known, means
from ragprof.studies.reranking.more_chunks import Ks, at_k, evidence, smallest_k

NOTE = (
    "The gain at equal k and the tokens saved at equal quality are two ways to take the same profit: better prompts of "
    "the same length, or shorter prompts as good as before. They are never added up."
)


@dataclass(frozen=True)
class IsoQuality:
    """`figure` is the statement's `iso_quality_k`; `tokens_saved` a query, found (row 0) and in every resample."""

    figure: Mapping[str, Any]
    tokens_saved: Array

    @property
    def found(self) -> float:
        """Tokens saved per query; minus infinity where no k was enough."""
        return float(self.tokens_saved[0])


def iso_quality(data: RerankerData, arm: str, depth: int | None = None) -> IsoQuality:
    """Of an arm at a depth, its own unless another is given."""
    own, own_k, max_k = data.arm(arm)["own_depth"], int(data.arm(arm)["own_k"]), int(data.manifest["max_k"])
    plain, reranked = evidence(data, arm, SEARCH, own), evidence(data, arm, RERANK, depth or own)
    tokens = [data.context_tokens(arm, SEARCH, own), data.context_tokens(arm, RERANK, depth or own)]
    held, holds, before, after = np.hsplit(means(data, np.concatenate([plain, reranked, *tokens])), 4)
    without, smallest = smallest_k(held, held[:, own_k - 1]), smallest_k(holds, held[:, own_k - 1])
    saved = at_k(before, without) - at_k(after, smallest)
    n, k_with = known(plain[own_k - 1]), int(smallest[0]) if smallest[0] <= max_k else None
    figure = {
        "metric": "evidence@k",
        "own_k": own_k,
        "k_without": int(without[0]),
        "k_with": k_with,
        "max_k": max_k,
        "interval": _interval(smallest, max_k) if n > 1 else None,
        "quality_without": estimate(data, plain[own_k - 1]),
        "quality_with": None if k_with is None else estimate(data, reranked[k_with - 1]),
        "tokens_saved_per_query": resampled(saved, n),
        "note": NOTE,
    }
    return IsoQuality(figure, saved)


def _interval(smallest: Ks, max_k: int) -> list[int | None]:
    """Of the resamples' k; an end beyond max_k is None."""
    low = int(np.quantile(smallest[1:], ENDS[0], method="lower"))
    high = int(np.quantile(smallest[1:], ENDS[1], method="higher"))
    return [k if k <= max_k else None for k in (low, high)]
