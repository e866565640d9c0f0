"""The first score minus the second, in the store's own units."""

from __future__ import annotations

from ragprof.core import Query, Ranking
from ragprof.core.stages import Signal


class ScoreGap:
    """0 with fewer than two results."""

    def value(self, query: Query, ranking: Ranking) -> float:
        return ranking[0].score - ranking[1].score if len(ranking) > 1 else 0.0


plugin: type[Signal] = ScoreGap
