"""All charts of a report, in the order in which a reader meets them. Imports Altair: import this module late."""

from __future__ import annotations

from ragprof.report import bar_charts, interval_charts, scatter_charts
from ragprof.report.growth import line_charts as growth_line_charts
from ragprof.report.growth import panel_charts as growth_panel_charts
from ragprof.report.growth import stack_charts as growth_stack_charts
from ragprof.report.injection import first_token_chart, k_charts, pipeline_charts, utility_chart
from ragprof.report.lookup import Summary
from ragprof.report.reranker import charts as reranker_charts
from ragprof.report.theme import Chart

_DRAWN = (
    bar_charts.stage_times,
    scatter_charts.quality_against_latency,
    scatter_charts.quality_against_cost,
    interval_charts.differences,
    interval_charts.quality_by_stage,
    growth_line_charts.quality,
    growth_panel_charts.causes,
    growth_panel_charts.kinds,
    growth_stack_charts.context,
    growth_stack_charts.loss,
    growth_panel_charts.depth,
    growth_stack_charts.time,
    growth_line_charts.cost,
    pipeline_charts.lost,
    k_charts.quality,
    k_charts.tokens,
    first_token_chart.time_to_first_token,
    utility_chart.utility,
    pipeline_charts.cost,
    bar_charts.tokens,
)


def draw(summary: Summary) -> dict[str, Chart]:
    """key -> chart. A chart without data is left out rather than drawn empty."""
    drawn = (*(chart(summary) for chart in _DRAWN), *reranker_charts.draw(summary))
    return {chart.key: chart for chart in drawn if chart is not None}
