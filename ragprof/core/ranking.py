"""The one place where documents are ordered: by score, ties by doc_id, both descending, as trec_eval does."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Ranking, ScoredDoc
from ragprof.core.errors import NonFiniteScore


def ranked(pairs: Iterable[tuple[Doc, float]]) -> Ranking:
    """Order documents. Raises NonFiniteScore on NaN or infinity."""
    scored = [ScoredDoc(doc, float(score)) for doc, score in pairs]
    scores = [item.score for item in scored]
    falls = all(map(operator.gt, scores, scores[1:]))  # then there is no NaN, and infinity stands at an end
    if not all(map(math.isfinite, (scores[0], scores[-1]) if falls and scores else scores)):
        item = next(item for item in scored if not math.isfinite(item.score))
        raise NonFiniteScore(f"document '{item.doc.doc_id}' got the score {item.score}; scores must be finite")
    if falls:
        return tuple(scored)  # as most stores give them: no id is looked at, and each would be a miss of the cache
    return tuple(sorted(scored, key=lambda item: (item.score, item.doc.doc_id), reverse=True))


def top(scores: NDArray[np.floating], docs: Sequence[Doc], depth: int) -> Ranking:
    """The `depth` best of all documents; every tie at the cut is settled by doc_id, not by position."""
    if depth >= len(docs):
        return ranked(zip(docs, scores.tolist(), strict=True))
    threshold = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    at_least = np.flatnonzero(~(scores < threshold))
    return ranked((docs[position], scores[position]) for position in at_least.tolist())[:depth]


def without(ranking: Ranking, document_id: str | None) -> Ranking:
    """The ranking without the passages of one document; BEIR's rule for queries that are documents themselves."""
    if document_id is None:
        return ranking
    return tuple(item for item in ranking if item.doc.document_id != document_id)


def id_ranks(doc_ids: Sequence[str]) -> NDArray[np.int64]:
    """Where each id stands among all, the first in alphabetical order at 0: a number that settles ties like the id."""
    ranks = np.empty(len(doc_ids), np.int64)
    ranks[np.argsort(np.array(doc_ids, object), kind="stable")] = np.arange(len(doc_ids))
    return ranks


def best_first(scores: NDArray[np.floating], ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of `ranked` along the last axis; `ranks` are the `id_ranks` of what the scores belong to."""
    return np.lexsort((-ranks, -scores))


def best(scores: NDArray[np.floating], ranks: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
    """What `top` finds, as positions in one row of scores."""
    if depth >= len(scores):
        return best_first(scores, ranks)
    threshold = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    at_least = np.flatnonzero(scores >= threshold)
    return at_least[best_first(scores[at_least], ranks[at_least])[:depth]]


def closed_up(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of documents in their order, with what is -1 behind the last."""
    return np.take_along_axis(places, np.argsort(places < 0, axis=-1, kind="stable"), axis=-1)


def reordered(
    places: NDArray[np.int64], scores: NDArray[np.float64], ranks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of documents by score, ties by doc_id, both descending; what is -1 comes last with a score of -infinity.

    `places` and `scores` have one shape, the last axis is sorted; `ranks` are `id_ranks` of what `places` point into.
    """
    known = np.where(places < 0, -np.inf, scores)
    order = np.lexsort((-ranks[places], -known), axis=-1)
    return np.take_along_axis(places, order, axis=-1), np.take_along_axis(known, order, axis=-1)
