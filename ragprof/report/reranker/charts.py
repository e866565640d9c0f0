"""All charts of the reranker's section, a set a pipeline. Imports Altair: import this module late."""

from __future__ import annotations

from ragprof.report.lookup import Summary
from ragprof.report.reranker import study
from ragprof.report.reranker.break_even_chart import break_even
from ragprof.report.reranker.depth_chart import depth
from ragprof.report.reranker.growth_chart import growth
from ragprof.report.reranker.headroom_chart import headroom
from ragprof.report.reranker.query_chart import changes
from ragprof.report.reranker.routing_chart import routing
from ragprof.report.theme import Chart

_DRAWN = (break_even, depth, headroom, changes, routing, growth)


def draw(summary: Summary) -> list[Chart]:
    """Charts without data are left out. A chart's key has its pipeline's place, counted from 1."""
    places = enumerate(study.names(summary), start=1)
    found = (chart(summary, name, place) for place, name in places for chart in _DRAWN)
    return [chart for chart in found if chart is not None]
