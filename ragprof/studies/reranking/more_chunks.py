"""The smallest number of chunks that holds so much evidence, and what more of them take instead of a reranker.

Each resample has its own smallest k. Looks no further than `max_k` chunks, knows no price and reads no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.case import MoreChunks
from ragprof.studies.reranking.data import RERANK, SEARCH, RerankerData
from ragprof.studies.reranking.figures import means

EQUAL = 1e-9
Ks = NDArray[np.integer[Any]]


def evidence(data: RerankerData, arm: str, ranking: str, depth: int) -> Array:
    """evidence@k of each query for k = 1, 2, ... max_k: (max_k, queries)."""
    ks = range(1, int(data.manifest["max_k"]) + 1)
    return np.stack([data.values(arm, ranking, depth, f"evidence@{k}") for k in ks])


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
    own_depth, own_k = data.arm(arm)["own_depth"], int(data.arm(arm)["own_k"])
    depth = depth or own_depth
    wanted = means(data, data.reranked(arm, f"evidence@{own_k}", depth))
    ks = np.maximum(smallest_k(means(data, evidence(data, arm, SEARCH, own_depth)), wanted), own_k)
    if ks[0] > int(data.manifest["max_k"]):
        return None
    tokens = means(data, data.context_tokens(arm, SEARCH, own_depth))
    reranked = means(data, data.context_tokens(arm, RERANK, depth)[own_k - 1])
    return MoreChunks(int(ks[0]), at_k(tokens, ks) - reranked)
