"""Tables of growth, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragprof.report.figures import signed
from ragprof.report.tables import Cell, Table
from ragprof.studies.growth import tables as growth_forecast_tables
from ragprof.studies.growth import tables as growth_tables
from ragprof.studies.growth import tables as growth_work_tables
from ragprof.studies.growth.tables import quantity_name, writer

EVERY_TABLE = [growth_tables.glance, growth_tables.evidence, growth_tables.kinds, growth_tables.context]
EVERY_TABLE += [growth_tables.loss, growth_forecast_tables.crossovers, growth_forecast_tables.forecasts]
EVERY_TABLE += [growth_forecast_tables.other_forecasts, growth_work_tables.resources, growth_work_tables.curves]
EVERY_TABLE += [growth_work_tables.work]
Variant = Callable[..., dict[str, Any]]


def _rows(table: Table, first: str) -> list[list[Cell]]:
    return [list(row.cells) for row in table.rows if row.cells[0].text == first]


def _texts(cells: list[Cell]) -> list[str]:
    return [cell.text for cell in cells]


def test_a_glance_at_growth_has_the_smallest_the_middle_and_the_largest_corpus(whole_study: dict[str, Any]) -> None:
    first, middle, last = _rows(growth_tables.glance(whole_study), "dense")
    assert _texts(first) == ["dense", "1,234", "0.498", "94.0%", "\u2013", "0.192", "30.9%", "8.65 ms", "$0.238"]
    assert _texts(middle)[1:5] == ["6,025", "0.441", "94.0%", "\u22120.057"]
    assert _texts(last) == ["dense", "19,740", "0.398", "94.0%", "\u22120.100", "0.153", "24.7%", "14.8 ms", "$0.239"]
    assert [cell.note for cell in last] == [
        *("", "", "0.356\u20130.440", "", "\u22120.112 to \u22120.088", "0.111\u20130.195", "22.7%\u201326.7%"),
        *("13.9\u201316.1 ms", "$0.222\u2013$0.258"),
    ]


def test_the_change_is_the_paired_one_of_the_point(grown: dict[str, Any]) -> None:
    last = grown["growth"]["pipelines"]["dense"]["all_judged"][-1]
    last["change"] = {"mean": -0.2, "interval": [-0.35, -0.1], "n": 160}
    assert _rows(growth_tables.glance(grown), "dense")[-1][4] == Cell("\u22120.200", "\u22120.350 to \u22120.100")


def test_a_change_that_the_study_did_not_make_is_not_made_up(grown: dict[str, Any]) -> None:
    del grown["growth"]["pipelines"]["dense"]["all_judged"][-1]["change"]
    assert _rows(growth_tables.glance(grown), "dense")[-1][4].text == "n/a"


def test_the_table_at_a_glance_says_what_flatters(whole_study: dict[str, Any]) -> None:
    note = growth_tables.glance(whole_study).note
    assert "Every judged document is in every corpus, which flatters the small sizes." in note
    assert "n = 160 queries, 5 orders of the documents" in note


def test_an_unpriced_pipeline_is_unpriced_at_every_size(whole_study: dict[str, Any]) -> None:
    found = _rows(growth_tables.glance(whole_study), "hybrid+maxsim")
    assert [cells[-1].text for cells in found] == ["UNPRICED"] * 3


def test_precision_is_the_first_where_there_is_no_fifth(grown: dict[str, Any]) -> None:
    grown["growth"]["cutoffs"] = [20, 10]
    assert growth_tables.glance(grown).columns[5].title == "P@10"


def test_both_causes_stand_side_by_side(whole_study: dict[str, Any]) -> None:
    first, _, last = _rows(growth_tables.evidence(whole_study), "dense")
    assert _texts(first)[1:] == ["1,234", "6.3%", "0.498", "0.326", "+0.000", "+0.172"]
    assert _texts(last)[1:] == ["19,740", "100.0%", "0.398", "0.398", "+0.100", "+0.000"]


def test_without_the_second_curve_there_is_no_table_of_causes(grown: dict[str, Any]) -> None:
    for curves in grown["growth"]["pipelines"].values():
        del curves["proportional"]
    assert growth_tables.evidence(grown).rows == ()


def test_kinds_are_compared_at_the_largest_size_that_each_reaches(whole_study: dict[str, Any]) -> None:
    table = growth_tables.kinds(whole_study)
    assert [_texts(cells)[1:] for cells in _rows(table, "dense")] == [
        ["random", "19,740", "0.398", "94.0%", "\u22120.100", "24.7%", "\u2013"],
        ["similar", "19,740", "0.258", "94.0%", "\u22120.240", "16.0%", "\u2013"],
        ["duplicate", "6,025", "0.321", "94.0%", "\u22120.177", "19.9%", "14.3%"],
        ["contradicting", "8,956", "0.220", "94.0%", "\u22120.278", "13.6%", "17.8%"],
        ["foreign", "19,740", "0.453", "94.0%", "\u22120.045", "28.1%", "\u2013"],
    ]
    assert "it has no interval of its own" in table.note


def test_the_context_of_each_kind_is_told_by_what_it_is(whole_study: dict[str, Any]) -> None:
    table = growth_tables.context(whole_study)
    assert [column.title for column in table.columns[3:]] == [
        *("Relevant", "Duplicate", "Unjudged", "Irrelevant", "Contradicting")
    ]
    assert _texts(_rows(table, "bm25")[3])[1:] == ["contradicting", "8,956", "12.1%", "0.0%", "6.0%", "64.1%", "17.8%"]


def test_losses_are_those_of_the_smallest_and_the_largest_corpus(whole_study: dict[str, Any]) -> None:
    first, last = _rows(growth_tables.loss(whole_study), "dense+maxsim")
    assert _texts(first)[1:] == ["1,234", "+0.210", "+0.004", "\u22120.020", "+0.030", "+0.224"]
    assert _texts(last)[1:] == ["19,740", "+0.304", "+0.012", "\u22120.053", "+0.036", "+0.299"]
    assert last[-1].note == "+0.259 to +0.339"


def test_a_loss_that_was_not_measured_is_no_zero(whole_study: dict[str, Any]) -> None:
    assert _texts(_rows(growth_tables.loss(whole_study), "bm25")[0])[3:5] == ["n/a", "n/a"]


def test_crossovers_answer_even_where_nothing_crosses(whole_study: dict[str, Any]) -> None:
    rows = [list(row.cells) for row in growth_forecast_tables.crossovers(whole_study).rows]
    assert [(cells[0].text, cells[3].text, cells[3].note, cells[4].text) for cells in rows] == [
        ("hybrid beats dense", "\u2013", "", "from the smallest size"),
        ("dense beats bm25", "5,200", "3,100\u20138,900", "crosses"),
        ("static beats bm25", "\u2013", "", "not within the measured range"),
        ("dense+maxsim gains more than 0.02 over dense", "\u2013", "4,100 or more", "undecided"),
    ]
    assert [cells[2].text for cells in rows] == ["0", "0", "0", "0.020"]


def test_a_forecast_shows_how_it_did_at_the_held_out_size(whole_study: dict[str, Any]) -> None:
    table = growth_forecast_tables.forecasts(whole_study)
    assert [column.unit for column in table.columns] == [
        *("", "model", "at 19,740", "there", "", "at 100,000", "at 400,000", "")
    ]
    quality, distribution, latency, cost = _rows(table, "dense")
    assert _texts(quality)[1:] == ["nDCG@10", "0.406", "0.398", "+0.008", "0.340", "0.290", "holds"]
    assert (quality[1].note, quality[2].note, quality[6].note) == (
        *("log-linear", "0.378\u20130.435"),
        "0.255\u20130.325",
    )
    assert distribution[1].note == "score distribution"
    assert _texts(latency)[1:5] == ["end to end p50", "15.1 ms", "14.8 ms", "+296 µs"]
    assert _texts(cost)[1:5] == ["cost of 1,000 queries", "$0.244", "$0.239", "+$0.00478"]


def test_forecast_intervals_say_what_they_take_in(whole_study: dict[str, Any]) -> None:
    note = growth_forecast_tables.forecasts(whole_study).note
    assert "Error: predicted minus measured." in note
    assert "The intervals take in: log-linear, queries and orders; score distribution, queries and orders" in note


def test_a_target_that_was_left_out_has_its_reason_beside_the_others(grown: dict[str, Any]) -> None:
    forecast = grown["growth"]["forecast"][0]
    forecast |= {"at": forecast["at"][:1], "reason": "no value for 400,000: it would be below 0"}
    quality, *_ = _rows(growth_forecast_tables.forecasts(grown), "bm25")
    assert quality[6] == Cell("n/a", tone="absent")
    assert quality[-1] == Cell("holds", "no value for 400,000: it would be below 0")


def test_an_interval_of_sizes_may_be_open() -> None:
    reach = growth_forecast_tables.reach
    assert reach({"interval": [None, 1835]}) == "up to 1,835"
    assert reach({"interval": [None, None]}) == reach({"interval": None}) == reach({}) == "n/a"


def test_an_abstaining_model_forecasts_nothing_and_says_why(whole_study: dict[str, Any]) -> None:
    quality, *_ = _rows(growth_forecast_tables.forecasts(whole_study), "static")
    assert _texts(quality)[5:] == ["\u2013", "\u2013", "abstains"]
    assert quality[-1].note == "predicted 0.113 for 19,740, measured 0.101"


def test_the_lesser_forecasts_have_a_table_of_their_own(whole_study: dict[str, Any]) -> None:
    rows = _rows(growth_forecast_tables.other_forecasts(whole_study), "bm25")
    assert [cells[1].text for cells in rows] == [
        *("search p50", "end to end p95", "index size", "build time", "prompt tokens")
    ]
    assert _texts(rows[2])[2:4] == ["30.9 MB", "30.3 MB"]


@pytest.mark.parametrize(
    ("value", "quantity", "text"),
    [
        (-1_500_000, "search_p50_ns", "\u22121.50 ms"),
        ("-0.02", "cost_usd_per_1000_queries", "\u2212$0.0200"),
        (0.0125, "nDCG@10", "+0.013"),
        (0, "index_bytes", "0 kB"),
        (None, "nDCG@10", "n/a"),
    ],
)
def test_an_error_has_its_sign_and_its_unit(value: Any, quantity: str, text: str) -> None:
    assert signed(value, writer({"quantity": quantity})) == text


def test_quantities_are_named_in_words() -> None:
    names = ["rerank_p50_ns", "end_to_end_p95_ns", "build_ns", "nDCG@10", None]
    assert [quantity_name(name) for name in names] == [
        *("rerank p50", "end to end p95", "build time", "nDCG@10", "n/a")
    ]


def test_builds_and_memory_are_those_of_each_size(whole_study: dict[str, Any]) -> None:
    last = _rows(growth_work_tables.resources(whole_study), "bm25")[-1]
    assert _texts(last)[1:] == ["19,740", "2.91 ms", "3.72 ms", "2.96 s", "30.3 MB", "1.20 GB", "1,852.9"]


def test_without_timings_there_is_no_table_of_them(growth_variant: Variant) -> None:
    assert growth_work_tables.resources(growth_variant("without_timings")).rows == ()


def test_curves_say_what_grows_and_which_flatters(whole_study: dict[str, Any]) -> None:
    rows = growth_work_tables.curves(whole_study).rows
    assert _texts(list(rows[0].cells)) == [
        *("all judged", "Every passage of a judged-relevant document is kept; random others fill up.", "flattered")
    ]
    assert {row.cells[2].text for row in rows[1:]} == {"not flattered"}


def test_the_work_is_told(whole_study: dict[str, Any]) -> None:
    found = {row.cells[0].text: row.cells[1].text for row in growth_work_tables.work(whole_study).rows}
    assert found["Pairs reused"] == "61,390"
    assert found["Kept passages"] == "611"
    assert found["Cutoffs"] == "5, 10, 20"


@pytest.mark.parametrize("draw_table", EVERY_TABLE)
def test_without_growth_every_table_is_empty(summary: dict[str, Any], draw_table: Callable[..., Table]) -> None:
    assert draw_table(summary).rows == ()


@pytest.mark.parametrize("draw_table", EVERY_TABLE)
def test_nulls_are_never_zeros(growth_variant: Variant, draw_table: Callable[..., Table]) -> None:
    shown = [cell.text for row in draw_table(growth_variant("bare")).rows for cell in row.cells[2:]]
    assert not {text for text in shown if text.strip("$%+\u2212 ").startswith("0")}


def test_a_null_interval_is_named(growth_variant: Variant) -> None:
    last = _rows(growth_tables.glance(growth_variant("without_intervals")), "dense")[-1]
    assert {cell.note for cell in last if cell.text in ("0.398", "\u22120.100", "14.8 ms", "$0.239")} == {
        "interval n/a"
    }
