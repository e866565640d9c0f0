"""No reranker: the candidates stay as the store ordered them, and the rerank stage is left out."""

from __future__ import annotations

from collections.abc import Sequence

from ragprof.core import Doc, Query, Scored
from ragprof.core.stages import Reranker


class NoReranker:
    """Never asked by a pipeline; asked directly, it scores by position, so that the order stays."""

    pointwise = False

    @property
    def identity(self) -> None:
        return None

    def load(self) -> None:
        """Nothing to load."""

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored(tuple(float(-place) for place in range(len(docs))), {})


plugin: type[Reranker] = NoReranker
