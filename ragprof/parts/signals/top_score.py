"""The score of the first result, as it is: comparable between queries where scores are, as cosines are."""

from __future__ import annotations

from ragprof.core import Query, Ranking
from ragprof.core.stages import Signal


class TopScore:
    """Minus 1 without any result, which no cosine goes below."""

    def value(self, query: Query, ranking: Ranking) -> float:
        return ranking[0].score if ranking else -1.0


plugin: type[Signal] = TopScore
