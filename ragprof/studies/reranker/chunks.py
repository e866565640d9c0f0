"""How many chunks a reranker saves: the smallest k at which it holds what the search alone holds with its own k.

Quality is evidence@k, the share of a query's relevant documents with a passage among the first k: what k injected
chunks hold. Tokens are counted from the smallest k that the search itself needs for it, so that chunks which hold
nothing either way are no saving of the reranker's. Each resample has its own smallest ks and its own tokens. A
reranker that needs more chunks than the search saves less than nothing. Where no k up to `max_k` is enough, it needs
more than were looked at: its saving is minus infinity there, written as null. Knows no price and reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.statistics.draws import Array, observed_interval, resampled
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import estimate, known, means
from ragprof.studies.reranker.recorded import RERANK, SEARCH
from ragprof.studies.reranker.section import IsoQuality
from ragprof.studies.reranker.verdict import MoreChunks, most_below

EQUAL = 1e-9
Ks = NDArray[np.integer[Any]]
NOTE = (
    "The gain at equal k and the tokens saved at equal quality are two ways to take the same profit: better prompts of "
    "the same length, or shorter prompts as good as before. They are never added up."
)


def evidence(data: RerankerData, arm: str, ranking: str, depth: int) -> Array:
    """evidence@k of each query for k = 1, 2, ... max_k: (max_k, queries)."""
    return np.stack([data.values(arm, ranking, depth, f"evidence@{k}") for k in range(1, data.max_k + 1)])


def smallest_k(by_k: Array, wanted: Array) -> Ks:
    """(rows, max_k) against (rows,): each row's first k that is enough, max_k + 1 where none is."""
    enough = by_k >= wanted[:, None] - EQUAL
    return np.asarray(np.where(enough.any(1), enough.argmax(1) + 1, by_k.shape[1] + 1))


def at_k(by_k: Array, ks: Ks) -> Array:
    """(rows, max_k) at each row's k; infinite beyond max_k."""
    beyond = np.column_stack([by_k, np.full(len(by_k), np.inf)])
    return np.asarray(beyond[np.arange(len(by_k)), ks - 1])


def more_chunks(data: RerankerData, arm: str, depth: int | None = None) -> MoreChunks | None:
    """Without the reranker, the smallest k with as much evidence as the reranked pipeline has with its own k.

    Its own k where that already is enough; None where none is. `extra_tokens` are those a query beyond the reranked
    pipeline's, infinite in a resample where no k is enough.
    """
    own_depth, own_k = data.arm(arm).own_depth, data.arm(arm).own_k
    depth = depth or own_depth
    reranked_evidence, plain = data.reranked(arm, f"evidence@{own_k}", depth), evidence(data, arm, SEARCH, own_depth)
    ks = np.maximum(smallest_k(means(data, plain), means(data, reranked_evidence)), own_k)
    if ks[0] > data.max_k:
        return None
    tokens = means(data, data.context_tokens(arm, SEARCH, own_depth))
    reranked = means(data, data.context_tokens(arm, RERANK, depth)[own_k - 1])
    less = most_below(means(data, plain[ks[0] - 1] - reranked_evidence), queries=len(data.query_ids))
    return MoreChunks(int(ks[0]), at_k(tokens, ks) - reranked, less)


@dataclass(frozen=True)
class ChunksSaved:
    """`figure` is the statement's `iso_quality_k`; `tokens_saved` a query, found (row 0) and in every resample.

    Minus infinity where no k was enough.
    """

    figure: IsoQuality
    tokens_saved: Array


def iso_quality(data: RerankerData, arm: str, depth: int | None = None) -> ChunksSaved:
    """Of an arm at a depth, its own unless another is given."""
    own, own_k, max_k = data.arm(arm).own_depth, data.arm(arm).own_k, data.max_k
    plain, reranked = evidence(data, arm, SEARCH, own), evidence(data, arm, RERANK, depth or own)
    tokens = [data.context_tokens(arm, SEARCH, own), data.context_tokens(arm, RERANK, depth or own)]
    held, holds, before, after = np.hsplit(means(data, np.concatenate([plain, reranked, *tokens])), 4)
    without, smallest = smallest_k(held, held[:, own_k - 1]), smallest_k(holds, held[:, own_k - 1])
    saved = at_k(before, without) - at_k(after, smallest)
    n, k_with = known(plain[own_k - 1]), int(smallest[0]) if smallest[0] <= max_k else None
    span = observed_interval(smallest[1:].astype(float)) if n > 1 else None
    low, high = (None if end > max_k else int(end) for end in span or (np.inf, np.inf))
    figure = IsoQuality(
        metric="evidence@k",
        own_k=own_k,
        k_without=int(without[0]),
        k_with=k_with,
        max_k=max_k,
        interval=None if span is None else (low, high),
        quality_without=estimate(data, plain[own_k - 1]),
        quality_with=None if k_with is None else estimate(data, reranked[k_with - 1]),
        tokens_saved_per_query=EstimateValue(**resampled(saved, n)),
        note=NOTE,
    )
    return ChunksSaved(figure, saved)
