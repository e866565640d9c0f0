"""Which charts of the answers there are, and what each of them says and leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ragprof.report.palette import LOST, STAGES, pipeline_colours, tint
from ragprof.report.theme import Chart
from ragprof.session.pages import draw
from ragprof.studies.injection.charts import cost, lost, quality, time_to_first_token, tokens, utility

NAMES = ["bm25", "static", "dense", "hybrid", "dense+maxsim", "hybrid+maxsim"]
SWEPT = ["bm25", "dense", "dense+maxsim"]
DRAWN = [lost, quality, tokens, time_to_first_token, utility, cost]
ALL = ["lost", "quality", "tokens", "first-token", "utility", "cost"]
TITLES = {
    "injection-lost": {"Share of the questions"},
    "injection-quality": {"Chunks in the prompt (k)", "of the questions"},
    "injection-tokens": {"Chunks in the prompt (k)", "tokens per prompt (mean)"},
    "injection-first-token": {"Tokens of the prompt (n)", "Time to first token (ms)"},
    "injection-utility": {"Time-sensitivity k (logarithmic)", "Utility U (logarithmic)"},
    "injection-cost": {"USD per correct answer"},
}
Variant = Callable[..., dict[str, Any]]


def _drawn(summary: dict[str, Any]) -> list[str]:
    return [chart.key.removeprefix("injection-") for chart in (one(summary) for one in DRAWN) if chart is not None]


def _rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of all layers."""
    return [row for found in spec["datasets"].values() for row in found]


def _panel(chart: Chart, name: str) -> dict[str, Any]:
    return next(panel.spec for panel in chart.panels if panel.pipeline == name)


def _channels(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for layer in [spec, *spec.get("layer", [])]:
        for channel in ("x", "y"):
            found = layer.get("encoding", {}).get(channel)
            if isinstance(found, dict):
                yield found


def _domain(spec: dict[str, Any], title: str) -> dict[str, Any]:
    return next(found["scale"] for found in _channels(spec) if found.get("title") == title)


def _chart(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


@pytest.fixture(scope="module")
def charts(whole_answers: dict[str, Any]) -> dict[str, Chart]:
    return {key: chart for key, chart in draw(whole_answers).items() if key.startswith("injection-")}


def test_they_are_among_the_charts_of_the_report(charts: dict[str, Chart]) -> None:
    assert list(charts) == [f"injection-{key}" for key in ALL]


def test_every_axis_has_a_title_with_its_unit(charts: dict[str, Chart]) -> None:
    for key, chart in charts.items():
        for spec in chart.pictures().values():
            titles = {found["title"] for found in _channels(spec) if found.get("title")}
            titles |= {found["axis"]["title"] for found in _channels(spec) if (found.get("axis") or {}).get("title")}
            assert titles == TITLES[key]


def test_every_chart_says_what_it_rests_on(charts: dict[str, Chart]) -> None:
    assert all("n = 60 questions" in chart.caption for key, chart in charts.items() if key != "injection-first-token")
    assert "n = 4 timings per length" in charts["injection-first-token"].caption
    assert all("95% interval" in chart.caption for key, chart in charts.items() if key != "injection-tokens")


def test_without_answers_nothing_is_drawn_of_them(summary: dict[str, Any]) -> None:
    for absent in ({}, {"injection": None}, {"injection": {}}):
        assert _drawn({**summary, **absent}) == []


def test_a_study_of_nulls_draws_nothing(answers_variant: Variant) -> None:
    assert _drawn(answers_variant("bare")) == []


@pytest.mark.parametrize(
    ("variant", "missing"),
    [
        ("one_pipeline", set()),
        ("without_sweep", {"quality", "tokens"}),
        ("without_timings", {"first-token", "utility"}),
        ("unpriced", {"cost"}),
        ("without_fit", set()),
        ("too_few_lengths", set()),
        ("without_intervals", set()),
    ],
)
def test_a_chart_without_data_is_left_out(answers_variant: Variant, variant: str, missing: set[str]) -> None:
    assert _drawn(answers_variant(variant)) == [key for key in ALL if key not in missing]


def test_a_pipeline_has_its_colour_of_the_rest_of_the_report(charts: dict[str, Chart]) -> None:
    colours = pipeline_colours(NAMES)
    text = json.dumps(_panel(charts["injection-quality"], "dense"))
    assert colours["dense"] in text
    assert tint(colours["dense"], 0.45) in text
    assert all(colours[name] in json.dumps(charts["injection-utility"].spec) for name in NAMES)


def test_lost_answers_have_the_colours_of_the_stages_that_lost_them() -> None:
    assert [LOST[part] for part in ("search", "rerank", "packing", "model")] == [
        STAGES[stage] for stage in ("search", "rerank", "inject", "generate")
    ]


def test_every_question_is_in_the_bar(charts: dict[str, Chart]) -> None:
    rows = [row for row in _rows(charts["injection-lost"].spec) if row["pipeline"] == "dense+maxsim" and "low" in row]
    parts = {row["part"]: (row["low"], row["high"]) for row in rows}
    assert list(parts) == ["correct", "model", "packing", "rerank", "search"]
    assert parts["correct"] == (0.0, 0.45)
    assert parts["search"][1] == pytest.approx(1.0, abs=1e-4)


def test_correct_answers_have_their_interval_under_the_bar(charts: dict[str, Chart]) -> None:
    row = next(row for row in _rows(charts["injection-lost"].spec) if row["pipeline"] == "dense" and "from" in row)
    assert (row["from"], row["to"], row["words"]) == (0.26031, 0.50636, "38.3% (26.0%\u201350.6%)")


def test_an_unattributed_pipeline_is_named_and_not_drawn(answered: dict[str, Any]) -> None:
    answered["injection"]["answers"]["dense"]["attribution"] = None
    chart = _chart(lost(answered))
    assert chart.notes == ("dense: n/a",)
    assert "dense" not in {row["pipeline"] for row in _rows(chart.spec)}


def test_what_retrieval_brought_is_paler_and_dashed(charts: dict[str, Chart]) -> None:
    solid, pale = charts["injection-quality"].legend
    assert (solid.label, solid.dash, solid.shape) == ("correct", (), "circle")
    assert (pale.dash, pale.shape) == ((6, 4), "square")
    rows = _rows(_panel(charts["injection-quality"], "dense"))
    at_three = {row["name"]: (row["value"], row["words"]) for row in rows if row["x"] == 3}
    assert at_three == {
        "correct": (0.35, "35.0% (22.9%\u201347.1%)"),
        "answer in context": (0.53333, "53.3% (40.7%\u201366.0%)"),
    }


def test_panels_share_their_axes(charts: dict[str, Chart]) -> None:
    for key, title in (("injection-quality", "of the questions"), ("injection-tokens", "tokens per prompt (mean)")):
        assert [panel.pipeline for panel in charts[key].panels] == SWEPT
        assert len({tuple(_domain(panel.spec, title)["domain"]) for panel in charts[key].panels}) == 1


def test_tokens_are_stacked_with_what_was_cut_off_on_top(charts: dict[str, Chart]) -> None:
    rows = [row for row in _rows(_panel(charts["injection-tokens"], "bm25")) if row["x"] == 5]
    assert [row["part"] for row in rows] == [
        *("template", "question", "relevant", "duplicate", "irrelevant", "unjudged", "truncated")
    ]
    assert rows[-1]["words"] == "160.0"
    assert [row["order"] for row in rows] == list(range(7))
    assert charts["injection-tokens"].legend[-1].dash


def test_a_part_that_is_missing_leaves_its_k_out_rather_than_a_short_bar(answered: dict[str, Any]) -> None:
    answered["injection"]["by_k"]["dense"][1]["tokens"]["relevant"] = None
    rows = _rows(_panel(_chart(tokens(answered)), "dense"))
    assert {row["x"] for row in rows} == {1, 3, 4, 5}


def test_the_first_token_has_points_curve_band_and_straight_part(charts: dict[str, Chart]) -> None:
    chart = charts["injection-first-token"]
    assert [key.label for key in chart.legend] == [
        *("measured p50", "fitted a + b n + c n\u00b2", "its straight part, a + b n")
    ]
    rows = _rows(chart.spec)
    measured = next(row for row in rows if row["x"] == 1024 and row.get("words", "").startswith("1.55"))
    assert (measured["value"], measured["low"], measured["high"]) == (1545.8, 1499.4, 1623.1)
    assert "c n\u00b2 is a tenth from 869 tokens" in {row.get("word") for row in rows}
    assert "The quadratic term is there" in chart.caption


def test_a_straight_fit_is_not_drawn_twice(answers_variant: Variant) -> None:
    chart = _chart(time_to_first_token(answers_variant("straight")))
    assert [key.label for key in chart.legend] == ["measured p50", "fitted a + b n + c n\u00b2"]
    assert "c is not told apart from 0." in chart.caption


@pytest.mark.parametrize("variant", ["without_fit", "too_few_lengths"])
def test_without_a_fit_the_points_stand_alone(answers_variant: Variant, variant: str) -> None:
    chart = _chart(time_to_first_token(answers_variant(variant)))
    assert [key.label for key in chart.legend] == ["measured p50"]
    assert "the fit." not in chart.caption


def test_utility_is_drawn_as_far_as_time_matters_to_anybody(charts: dict[str, Chart]) -> None:
    spec = charts["injection-utility"].spec
    assert _domain(spec, "Time-sensitivity k (logarithmic)")["domain"] == [0.01, 3.981]
    assert "Drawn up to k = 4" in charts["injection-utility"].caption
    words = [row["word"] for row in _rows(spec) if "word" in row]
    assert words == ["creative (0.1)", "support (0.5)", "incident response (1)", "trading (2)"]


def test_utility_has_intervals_at_the_named_fields_side_by_side(charts: dict[str, Chart]) -> None:
    rows = [row for row in _rows(charts["injection-utility"].spec) if "shift" in row and row["x"] == 1.0]
    assert [row["name"] for row in rows] == NAMES
    assert [row["shift"] for row in rows] == [-12.5, -7.5, -2.5, 2.5, 7.5, 12.5]
    assert (rows[0]["value"], rows[0]["low"], rows[0]["high"]) == (0.048388, 0.033872, 0.062904)


def test_who_is_ahead_is_a_strip_that_is_blank_where_nobody_is(answers_variant: Variant) -> None:
    rows = _rows(_chart(utility(answers_variant("quick"))).spec)
    strip = [(row["name"], row["x"], row["end"]) for row in rows if "end" in row]
    assert strip == [("hybrid+maxsim", 0.01, 0.3), ("bm25", 1.0, 3.981)]


def test_a_utility_of_nothing_has_no_place_on_a_logarithmic_axis(answered: dict[str, Any]) -> None:
    for row in answered["injection"]["utility"]["curve"]:
        row["values"]["static"] = 0.0
    chart = _chart(utility(answered))
    assert chart.notes == ("static: U n/a or 0",)
    assert min(row["value"] for row in _rows(chart.spec) if "value" in row) > 0


def test_a_field_of_the_eval_is_named_by_its_k_alone(answered: dict[str, Any]) -> None:
    answered["injection"]["utility"]["presets"].append({"name": "k = 4", "k": 4.0, "reason": "from the eval file"})
    words = [row["word"] for row in _rows(_chart(utility(answered)).spec) if "word" in row]
    assert words[-1] == "k = 4"


def test_an_unpriced_pipeline_is_listed_and_not_plotted(charts: dict[str, Chart]) -> None:
    chart = charts["injection-cost"]
    assert chart.notes == ("hybrid+maxsim: UNPRICED (rerank: no rate named 'rerank-hosted' in the book)",)
    assert "hybrid+maxsim" not in json.dumps(chart.spec)


def test_costs_that_lie_far_apart_are_drawn_logarithmically(answers_variant: Variant, charts: dict[str, Chart]) -> None:
    assert "type" not in _domain(charts["injection-cost"].spec, "USD per correct answer")
    chart = _chart(cost(answers_variant("quick")))
    assert _domain(chart.spec, "USD per correct answer (logarithmic)")["type"] == "log"


def test_a_cost_without_an_upper_end_goes_on_to_the_edge(answers_variant: Variant) -> None:
    chart = _chart(cost(answers_variant("quick")))
    row = next(row for row in _rows(chart.spec) if row["pipeline"] == "static")
    assert row["words"] == "$0.0310 ($0.0190 or more)"
    assert row["high"] == _domain(chart.spec, "USD per correct answer (logarithmic)")["domain"][1]
    assert "has no upper end" in chart.caption


def test_where_no_answer_was_correct_that_is_why_there_is_no_cost(answered: dict[str, Any]) -> None:
    answered["injection"]["answers"]["static"]["correct"] = {"mean": 0.0, "interval": [0.0, 0.0], "n": 60}
    economics = answered["pipelines"]["static"]["economics"]
    economics["usd_per_correct_answer"] = {"mean": None, "interval": None, "n": 60}
    assert _chart(cost(answered)).notes[0] == "static: no answer was correct"


def test_an_absent_interval_is_no_band_of_no_width(answers_variant: Variant) -> None:
    rows = _rows(_panel(_chart(quality(answers_variant("without_intervals"))), "dense"))
    assert {(row["low"], row["high"]) for row in rows} == {(None, None)}


def test_charts_of_answers_name_no_address_and_clip_nothing(charts: dict[str, Chart]) -> None:
    text = json.dumps([spec for chart in charts.values() for spec in chart.pictures().values()])
    assert "http" not in text
    assert '"clip"' not in text
