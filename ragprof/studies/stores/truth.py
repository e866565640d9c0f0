"""Which passages are right: those of exact search, and whatever scores as well as the last of them.

Scores are inner products in double precision, scaled so that the largest that a question could have is 1; of vectors of
unit length these are cosines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Vectors

TIE = 2e-6
"""What scores this little below the last passage of exact search ties with it: databases round by as much."""


class ExactScores:
    """The scores of any passages for any question."""

    def __init__(self, docs: Sequence[Doc], vectors: Vectors) -> None:
        self._vectors = vectors
        self._places = {doc.doc_id: place for place, doc in enumerate(docs)}
        self._longest = max((float(np.linalg.norm(row)) for row in vectors), default=0.0) or 1.0

    def of(self, query: EmbeddedQuery, doc_ids: Iterable[str]) -> NDArray[np.float64]:
        """One score a passage, in their order."""
        rows = np.asarray(self._vectors[[self._places[doc_id] for doc_id in doc_ids]], np.float64)
        if query.vector is None or not len(rows):
            return np.zeros(len(rows))
        asked = np.asarray(query.vector, np.float64)
        return np.asarray(rows @ (asked / ((np.linalg.norm(asked) or 1.0) * self._longest)))


def found_right(scores: NDArray[np.float64], best: NDArray[np.float64]) -> int:
    """How many of these passages belong among the best, given what both score; ties with the last of the best do."""
    if not len(best):
        return 0
    return min(int((scores >= best.min() - TIE).sum()), len(best))
