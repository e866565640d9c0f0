"""For tests: the share of the query's distinct words that a document has."""

from __future__ import annotations

from collections.abc import Sequence

from ragprof.core import Doc, Query, Scored
from ragprof.core.stages import Reranker
from ragprof.parts.words import words


class OverlapReranker:
    """Scores from 0 to 1; many ties."""

    pointwise = True

    @property
    def identity(self) -> str:
        return "overlap"

    def load(self) -> None:
        """Nothing to load."""

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        asked = set(words(query.text))
        found = [set(words(doc.content)) for doc in docs]
        tokens = sum(len(asked) + len(terms) for terms in found)
        scores = tuple(len(asked & terms) / max(1, len(asked)) for terms in found)
        return Scored(scores, {"requests": 1, "docs_scored": len(docs), "input_tokens": tokens})


plugin: type[Reranker] = OverlapReranker
