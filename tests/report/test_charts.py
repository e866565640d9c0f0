from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from main_runs import changed, cut, led_by, scored, twelve, unpriced

from ragprof.report.html import charts_of
from ragprof.report.palette import pipeline_colours
from ragprof.report.theme import Chart, Point, Scale, arrange, linear, logarithmic, wrap
from ragprof.studies.contract import Context
from ragprof.studies.profile.section import ProfileSection
from ragprof.studies.profile.study import show

ALL = ["time", "latency-quality", "cost-quality", "differences", "stage-quality", "tokens"]


def _values(chart: Any) -> str:
    return json.dumps(chart.spec, ensure_ascii=False)


def _charts(run: ProfileSection) -> dict[str, Chart]:
    parts = show(run, Context(tuple(run.pipelines), run.metric, run.final_stage, pipeline_colours(run.pipelines)))
    return {chart.key: chart for part in parts for chart in charts_of(part.blocks)}


def test_every_chart_has_a_title_and_says_what_it_rests_on(main_run: ProfileSection) -> None:
    charts = _charts(main_run)
    assert list(charts) == ALL
    assert all(chart.title and "n = " in chart.caption for chart in charts.values())


def test_an_unpriced_pipeline_is_listed_and_not_plotted(main_run: ProfileSection) -> None:
    chart = _charts(unpriced(main_run, "hybrid+overlap"))["cost-quality"]
    assert "hybrid+overlap" not in _values(chart)
    assert chart.notes == ("hybrid+overlap: UNPRICED (rerank: no rate named 'hosted')",)


def test_a_chart_without_data_is_left_out(main_run: ProfileSection) -> None:
    nothing_priced = unpriced(cut(main_run, "bm25"), "bm25", "search")
    assert list(_charts(nothing_priced)) == ["time", "latency-quality", "stage-quality", "tokens"]
    nothing_scored = scored(cut(main_run, "bm25"), "bm25", None)
    uncounted = changed(nothing_scored, "bm25", usage_per_query={})
    assert list(_charts(uncounted)) == ["time", "stage-quality"]


def test_charts_name_no_address(main_run: ProfileSection) -> None:
    assert all("http" not in _values(chart) for chart in _charts(main_run).values())


def test_the_evals_first_metric_is_on_the_axes(main_run: ProfileSection) -> None:
    charts = _charts(led_by(main_run, "P@5"))
    assert list(charts) == ALL
    assert all("P@5" in chart.caption for key, chart in charts.items() if key.endswith("quality"))
    assert not any("nDCG" in _values(chart) + chart.caption for chart in charts.values())


def test_many_pipelines_get_the_whole_width(main_run: ProfileSection) -> None:
    assert not _charts(main_run)["latency-quality"].wide
    assert _charts(twelve(main_run))["latency-quality"].wide


def test_a_pipeline_keeps_its_colour() -> None:
    six, twelve = pipeline_colours("abcdef"), pipeline_colours("abcdefghijkl")
    assert all(twelve[name] == colour for name, colour in six.items())
    assert len(set(twelve.values())) == 12


@pytest.mark.parametrize("how_many", [2, 6, 12])
def test_names_cover_neither_points_nor_each_other(how_many: int) -> None:
    points = [Point(f"pipeline {place}", 200 + 12 * (place % 4), 100 + 9 * place) for place in range(how_many)]
    boxes = _boxes(points)
    assert all(not one.overlap(other) for one in boxes for other in boxes if one is not other)
    assert all(not box.overlap(point.mark) for box in boxes for point in points)


def _boxes(points: list[Point]) -> list[Any]:
    from ragprof.report.theme import box_of

    places = arrange(points, [], size=(430, 330))
    return [box_of(point, places[point.name]) for point in points]


def test_a_long_name_is_wrapped_and_never_cut() -> None:
    name = "a pipeline with quite a long name that says what it does"
    assert wrap(name, 20).replace("\n", " ") == name
    assert wrap("x" * 50, 20).replace("\n", "") == "x" * 50


def test_a_logarithmic_scale_has_at_least_three_ticks() -> None:
    assert Scale(2, 150, logarithmic=True).ticks() == [2, 5, 10, 20, 50, 100]
    assert Scale(0.02, 8_000, logarithmic=True).ticks() == [0.1, 1, 10, 100, 1000]
    assert len(logarithmic([3.4, 3.5]).ticks()) >= 3


def test_reports_without_charts_load_no_chart_library() -> None:
    code = "import sys, ragprof.studies.profile.tables, ragprof.report.markdown; print('altair' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("high", [1.0, 1.0 + 1e-12])
def test_an_axis_of_scores_ends_at_1_where_a_mean_lost_its_last_digit(high: float) -> None:
    assert linear([0.2, high], margin=0.1, most=1.0).high == 1.0
    assert linear([0.2, 3.0], margin=0.1, most=1.0).high > 3.0


def test_differences_of_scores_reach_no_further_than_1(main_run: ProfileSection) -> None:
    pair = main_run.comparisons[0].model_copy(update={"difference": -0.98, "interval": (-1.0, -0.9)})
    run = main_run.model_copy(update={"comparisons": (pair,)})
    assert '"domain": [-1.0, 1.0]' in _values(_charts(run)["differences"])
