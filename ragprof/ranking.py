"""The one place where documents are ordered: by score, ties by doc_id, both descending, as trec_eval does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Ranking, ScoredDoc
from ragprof.errors import NonFiniteScore


def ranked(pairs: Iterable[tuple[Doc, float]]) -> Ranking:
    """Order documents. Raises NonFiniteScore on NaN or infinity."""
    scored = [ScoredDoc(doc, float(score)) for doc, score in pairs]
    for item in scored:
        if not math.isfinite(item.score):
            raise NonFiniteScore(f"document '{item.doc.doc_id}' got the score {item.score}; scores must be finite")
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
