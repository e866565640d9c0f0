"""All charts of a report, in the order in which a reader meets them. Imports Altair: import this module late."""

from __future__ import annotations

from ragprof.report import bar_charts, interval_charts, scatter_charts
from ragprof.report.lookup import Summary
from ragprof.report.theme import Chart

_DRAWN = (
    bar_charts.stage_times,
    scatter_charts.quality_against_latency,
    scatter_charts.quality_against_cost,
    interval_charts.differences,
    interval_charts.quality_by_stage,
    bar_charts.tokens,
)


def draw(summary: Summary) -> dict[str, Chart]:
    """key -> chart. A chart without data is left out rather than drawn empty."""
    drawn = (chart(summary) for chart in _DRAWN)
    return {chart.key: chart for chart in drawn if chart is not None}
