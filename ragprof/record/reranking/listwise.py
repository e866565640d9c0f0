"""Whether a reranker's score of a document depends on the documents beside it, found out by asking it twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragprof.core import Query, Ranking
from ragprof.errors import NonFiniteScore
from ragprof.record.query import one_each
from ragprof.stages import Reranker

CHECKED = 3
MOVED = 0.1
"""A score that moves by more than this share of the scores' standard deviation depends on its company.

Batches of other shapes move a bfloat16 score by about a fiftieth of it.
"""


@dataclass(frozen=True, slots=True)
class Company:
    """What was found: `largest` is the largest move as a share of the scores' standard deviation; None: not asked."""

    declared: bool
    checked: int
    largest: float | None

    @property
    def listwise(self) -> bool:
        return not self.declared or (self.largest is not None and self.largest > MOVED)

    def as_json(self) -> dict[str, Any]:
        return {
            "declared": self.declared,
            "checked_queries": self.checked,
            "largest_difference": self.largest,
            "listwise": self.listwise,
        }


def company_of(reranker: Reranker, found: Iterable[tuple[Query, Ranking]]) -> Company:
    """Score all candidates of a few queries together, then each half alone in reverse.

    One that declares itself listwise is believed. `found` are queries with their candidates; those with fewer than four
    are passed over.
    """
    if not reranker.pointwise:
        return Company(False, 0, None)
    asked = [each for each in found if len(each[1]) >= 4][:CHECKED]
    moves = [_moved(reranker, query, ranking) for query, ranking in asked]
    return Company(True, len(asked), max(moves) if moves else None)


def _moved(reranker: Reranker, query: Query, ranking: Ranking) -> float:
    docs = [item.doc for item in ranking]
    together = _scores(reranker, query, docs)
    half = len(docs) // 2
    apart = np.concatenate([_scores(reranker, query, part[::-1])[::-1] for part in (docs[:half], docs[half:])])
    spread = float(together.std())
    move = float(np.abs(together - apart).max())
    return move / spread if spread > 0 else float(move > 0)


def _scores(reranker: Reranker, query: Query, docs: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    scores = np.array(one_each(reranker.score(query, docs).scores, docs), np.float64)
    if not np.isfinite(scores).all():
        raise NonFiniteScore("the reranker gave NaN or infinity; no ranking could be trusted")
    return scores
