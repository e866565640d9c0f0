"""Which charts of growth there are, and what each of them says and leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ragprof.report.palette import pipeline_colours
from ragprof.report.theme import Chart
from ragprof.session.pages import draw
from ragprof.studies.growth import charts as growth_line_charts
from ragprof.studies.growth import charts as growth_panel_charts
from ragprof.studies.growth import charts as growth_stack_charts

SIZES = [1234, 1835, 2727, 4053, 6025, 8956, 13313, 19740]
NAMES = ["bm25", "static", "dense", "hybrid", "dense+maxsim", "hybrid+maxsim"]
PANELLED = ["growth-causes", "growth-kinds", "growth-context", "growth-loss", "growth-depth", "growth-time"]
ALL = ["growth-quality", *PANELLED, "growth-cost"]
DRAWN = [growth_line_charts.quality, growth_panel_charts.causes, growth_panel_charts.kinds, growth_stack_charts.context]
DRAWN += [growth_stack_charts.loss, growth_panel_charts.depth, growth_stack_charts.time, growth_line_charts.cost]
Variant = Callable[..., dict[str, Any]]


def _growth_charts(summary: dict[str, Any]) -> dict[str, Chart]:
    drawn = (draw_one(summary) for draw_one in DRAWN)
    return {chart.key: chart for chart in drawn if chart is not None}


def _rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of all layers."""
    return [row for found in spec["datasets"].values() for row in found]


def _panel(chart: Chart, name: str) -> dict[str, Any]:
    return next(panel.spec for panel in chart.panels if panel.pipeline == name)


def _domain(spec: dict[str, Any], channel: str) -> list[float]:
    found = (layer["encoding"].get(channel, {}).get("scale", {}).get("domain") for layer in spec["layer"])
    return next(domain for domain in found if domain)


@pytest.fixture(scope="module")
def charts(whole_study: dict[str, Any]) -> dict[str, Chart]:
    return _growth_charts(whole_study)


def _quality(summary: dict[str, Any]) -> Chart:
    chart = growth_line_charts.quality(summary)
    assert chart is not None
    return chart


def test_every_chart_of_growth_says_what_it_rests_on(charts: dict[str, Chart]) -> None:
    assert list(charts) == ALL
    assert all("n = 160 queries, 5 orders" in charts[key].caption for key in ALL[:-2])
    assert all("n = 48 timings per pipeline and size" in charts[key].caption for key in ALL[-2:])
    assert all("95% interval" in chart.caption for chart in charts.values())


def test_they_are_among_the_charts_of_the_report(grown: dict[str, Any]) -> None:
    assert [key for key in draw(grown) if key.startswith("growth-")] == ALL


def test_without_growth_nothing_is_drawn_of_it(summary: dict[str, Any]) -> None:
    for absent in ({}, {"growth": None}, {"growth": {}}):
        assert [draw_one({**summary, **absent}) for draw_one in DRAWN] == [None] * 8


def test_a_study_of_nulls_draws_nothing(growth_variant: Variant) -> None:
    assert [draw_one(growth_variant("bare")) for draw_one in DRAWN] == [None] * 8


@pytest.mark.parametrize("key", ["growth-quality", "growth-causes", "growth-context"])
def test_that_keeping_judged_documents_flatters_stands_beside_the_curve(charts: dict[str, Chart], key: str) -> None:
    assert "flatters the small sizes" in charts[key].caption


def test_one_order_is_said_to_tell_nothing_of_the_order(growth_variant: Variant) -> None:
    caption = _quality(growth_variant("one_order")).caption
    assert "n = 160 queries, 1 order of the documents" in caption
    assert "one order says nothing of how much the order matters" in caption


def test_a_pipeline_has_its_colour_of_the_rest_of_the_report(charts: dict[str, Chart]) -> None:
    spec = charts["growth-quality"].spec
    scale = next(layer["encoding"]["color"]["scale"] for layer in spec["layer"] if "color" in layer.get("encoding", {}))
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == pipeline_colours(NAMES)


def test_quality_is_that_of_the_final_ranking_at_every_size(charts: dict[str, Chart]) -> None:
    found = [row for row in _rows(charts["growth-quality"].spec) if row.get("part") == "measured"]
    assert [row["x"] for row in found if row["name"] == "dense+maxsim"] == SIZES
    first = next(row for row in found if row["name"] == "dense+maxsim")
    assert (first["value"], first["low"], first["high"]) == (0.583, 0.541, 0.625)
    assert first["words"] == "0.583 (0.541\u20130.625)"


def test_forecasts_are_log_linear_and_set_out_from_the_last_measured_value(charts: dict[str, Chart]) -> None:
    ahead = [row for row in _rows(charts["growth-quality"].spec) if row.get("part") == "forecast"]
    dense = [row for row in ahead if row["name"] == "dense"]
    assert [(row["x"], row["value"]) for row in dense] == [(19740, 0.39819), (100_000, 0.33978), (400_000, 0.28988)]
    assert "forecast (log-linear)" in charts["growth-quality"].caption


def test_the_other_model_is_drawn_where_the_first_abstains(grown: dict[str, Any]) -> None:
    first, second, *_ = [one for one in grown["growth"]["forecast"] if one["pipeline"] == "dense"]
    first |= {"abstained": True, "reason": "missed", "at": []}
    ahead = [row for row in _rows(_quality(grown).spec) if row.get("part") == "forecast"]
    assert [row["value"] for row in ahead if row["name"] == "dense"][1:] == [one["value"] for one in second["at"]]


def test_an_abstaining_model_draws_no_forecast_and_says_so(charts: dict[str, Chart]) -> None:
    ahead = {row["name"] for row in _rows(charts["growth-quality"].spec) if row.get("part") == "forecast"}
    assert ahead == set(NAMES) - {"static"}
    assert "No forecast is drawn for static: the models abstain." in charts["growth-quality"].caption


def test_without_any_forecast_nothing_is_marked_as_one(growth_variant: Variant) -> None:
    chart = _quality(growth_variant("abstaining"))
    assert "strokeDash" in json.dumps(chart.spec)
    assert not [row for row in _rows(chart.spec) if row.get("part") == "forecast" or row.get("word")]
    assert "Dashed" not in chart.caption


def test_a_forecast_band_never_leaves_the_plot(grown: dict[str, Any]) -> None:
    forecast = next(one for one in grown["growth"]["forecast"] if one["pipeline"] == "dense")
    forecast["at"][1]["interval"] = [-4.0, 7.0]
    chart = _quality(grown)
    low, high = _domain(chart.spec, "y")
    farthest = next(row for row in _rows(chart.spec) if row.get("name") == "dense" and row["x"] == 400_000)
    assert (farthest["low"], farthest["high"]) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))
    assert farthest["words"] == "0.290 (-4.000\u20137.000)"
    assert "A forecast's band may leave the plot" in chart.caption


def test_where_measuring_ends_is_marked(charts: dict[str, Chart]) -> None:
    words = [row for row in _rows(charts["growth-quality"].spec) if "word" in row]
    assert words == [{"x": 19740, "word": "measured"}, {"x": 19740, "word": "forecast"}]


def test_an_absent_interval_is_no_band_of_no_width(growth_variant: Variant) -> None:
    found = _rows(_quality(growth_variant("without_intervals")).spec)
    measured = [row for row in found if row.get("part") == "measured"]
    assert {(row["low"], row["high"]) for row in measured} == {(None, None)}
    assert measured[0]["words"] == "0.512 (n/a)"


def test_an_absent_value_breaks_the_line_and_is_not_zero(grown: dict[str, Any]) -> None:
    grown["growth"]["pipelines"]["dense"]["all_judged"][3]["scores"] = None
    found = [row for row in _rows(_quality(grown).spec) if row.get("part") == "measured"]
    gap = next(row for row in found if row["name"] == "dense" and row["x"] == 4053)
    assert (gap["value"], gap["low"], gap["high"], gap["words"]) == (None, None, None, "n/a")


def test_a_pipeline_without_any_value_is_named_and_not_drawn(grown: dict[str, Any]) -> None:
    for point in grown["growth"]["pipelines"]["dense"]["all_judged"]:
        point["scores"] = {}
    chart = _quality(grown)
    assert chart.notes == ("dense: nDCG@10 n/a",)
    assert "dense" not in {row.get("name") for row in _rows(chart.spec)}


def test_an_unpriced_pipeline_is_listed_and_not_plotted(charts: dict[str, Chart]) -> None:
    chart = charts["growth-cost"]
    assert chart.notes == ("hybrid+maxsim: UNPRICED (rerank: no rate named 'rerank-hosted' in the book)",)
    assert "hybrid+maxsim" not in json.dumps(chart.spec)


def test_without_prices_and_timings_their_charts_are_left_out(growth_variant: Variant) -> None:
    assert growth_line_charts.cost(growth_variant("unpriced")) is None
    assert growth_line_charts.cost(growth_variant("without_timings")) is None
    assert growth_stack_charts.time(growth_variant("without_timings")) is None


def test_every_panel_is_a_pipeline_in_the_order_of_the_summary(charts: dict[str, Chart]) -> None:
    for key in PANELLED:
        named = NAMES[-2:] if key == "growth-depth" else NAMES
        assert [panel.pipeline for panel in charts[key].panels] == named
        assert list(charts[key].pictures()) == [f"{key}-{place}" for place in range(1, len(named) + 1)]


@pytest.mark.parametrize("key", ["growth-causes", "growth-kinds", "growth-context", "growth-loss", "growth-depth"])
def test_panels_that_are_compared_share_their_axis(charts: dict[str, Chart], key: str) -> None:
    assert len({tuple(_domain(panel.spec, "y")) for panel in charts[key].panels}) == 1


def test_panels_of_time_have_their_own_axes(charts: dict[str, Chart]) -> None:
    tops = {panel.pipeline: _domain(panel.spec, "y") for panel in charts["growth-time"].panels}
    assert tops["bm25"] == [0.0, pytest.approx(4.255, abs=0.001)]
    assert tops["dense+maxsim"] == [0.0, pytest.approx(241.187, abs=0.001)]
    assert "its own vertical scale" in charts["growth-time"].caption


def test_causes_are_told_apart_without_colour(charts: dict[str, Chart]) -> None:
    rows = _rows(_panel(charts["growth-causes"], "dense"))
    at_smallest = {row["name"]: row["value"] for row in rows if row["x"] == 1234}
    assert at_smallest == {"all_judged": 0.498, "proportional": 0.32611}
    solid, dashed = charts["growth-causes"].legend
    assert (solid.dash, dashed.dash, solid.shape, dashed.shape) == ((), (6, 4), "circle", "square")


def test_without_the_second_curve_there_are_no_causes_to_compare(grown: dict[str, Any]) -> None:
    for curves in grown["growth"]["pipelines"].values():
        del curves["proportional"]
    assert growth_panel_charts.causes(grown) is None


def test_a_kind_ends_where_there_is_no_more_of_it(charts: dict[str, Chart]) -> None:
    rows = _rows(_panel(charts["growth-kinds"], "bm25"))
    assert {name: max(row["x"] for row in rows if row["name"] == name) for name in ("random", "duplicate")} == {
        "random": 19740,
        "duplicate": 6025,
    }
    legend = [key.label for key in charts["growth-kinds"].legend]
    assert legend == ["random", "similar", "duplicate", "contradicting", "foreign"]
    assert len({key.dash for key in charts["growth-kinds"].legend}) == 5


def test_depths_are_drawn_for_the_smallest_the_middle_and_the_largest_corpus(charts: dict[str, Chart]) -> None:
    chart = charts["growth-depth"]
    assert [key.label for key in chart.legend] == ["1,234 passages", "6,025 passages", "19,740 passages"]
    rows = _rows(_panel(chart, "dense+maxsim"))
    assert [row["x"] for row in rows if row["name"] == "19,740 passages"] == [5, 10, 15, 20]


def test_a_depth_curve_of_one_size_alone_is_drawn(grown: dict[str, Any]) -> None:
    for curves in grown["growth"]["pipelines"].values():
        for point in curves["all_judged"][:-1]:
            del point["by_depth"]
    chart = growth_panel_charts.depth(grown)
    assert chart is not None
    assert [key.label for key in chart.legend] == ["19,740 passages"]


def test_a_study_of_one_pipeline_or_one_size_is_drawn_too(growth_variant: Variant) -> None:
    assert [key for key in ALL if key != "growth-depth"] == list(_growth_charts(growth_variant("one_pipeline")))
    single = _growth_charts(growth_variant("one_size"))
    assert list(single) == ALL
    assert "area" not in {layer["mark"]["type"] for layer in _panel(single["growth-loss"], "dense")["layer"]}


def test_names_that_do_not_fit_at_the_lines_go_into_a_legend(grown: dict[str, Any]) -> None:
    assert _quality(grown).legend == ()
    study = grown["growth"]
    for place in range(24):
        study["pipelines"][f"{place} is a pipeline with a long descriptive name"] = study["pipelines"]["bm25"]
    legend = _quality(grown).legend
    assert len(legend) == 30
    assert legend[-1].label == "23 is a pipeline with a long descriptive name"


def test_charts_of_growth_name_no_address_and_clip_nothing(charts: dict[str, Chart]) -> None:
    text = json.dumps([spec for chart in charts.values() for spec in chart.pictures().values()])
    assert "http" not in text
    assert '"clip"' not in text
