"""How far the first result is ahead of the second, as a share of the spread of all scores of that query."""

from __future__ import annotations

from ragprof.core import Query, Ranking
from ragprof.core.stages import Signal


class MarginSignal:
    """From 0 (the first two are level) to 1 (all others are level); 1 with fewer than two results, 0 where all tie."""

    def value(self, query: Query, ranking: Ranking) -> float:
        if len(ranking) < 2:
            return 1.0
        first, second, last = ranking[0].score, ranking[1].score, ranking[-1].score
        return (first - second) / (first - last) if first > last else 0.0


plugin: type[Signal] = MarginSignal
