"""Tables of the answers, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragprof.report.figures import usd
from ragprof.report.tables import Cell, Table, open_span, points, points_span
from ragprof.studies.injection import (
    tables as answer_tables,
)
from ragprof.studies.injection import (
    tables as contents,
)
from ragprof.studies.injection import (
    tables as setup_tables,
)
from ragprof.studies.injection import (
    tables as sweep_tables,
)
from ragprof.studies.injection import (
    tables as time_tables,
)
from ragprof.studies.injection import tables as worth

Variant = Callable[..., dict[str, Any]]


def _rows(table: Table, first: str) -> list[list[Cell]]:
    return [list(row.cells) for row in table.rows if row.cells[0].text == first]


def _row(table: Table, first: str) -> list[Cell]:
    return _rows(table, first)[0]


def _texts(cells: list[Cell]) -> list[str]:
    return [cell.text for cell in cells]


def _notes(cells: list[Cell]) -> list[str]:
    return [cell.note for cell in cells]


def test_answers_at_a_glance_have_their_intervals(whole_answers: dict[str, Any]) -> None:
    table = answer_tables.glance(whole_answers)
    row = _row(table, "dense")
    assert _texts(row)[1:] == ["38.3%", "0.353", "16.7%", "65.0%", "41.7%", "2.57 s", "$0.316", "$0.000824"]
    assert _notes(row)[1:6] == [
        *("26.0%\u201350.6%", "0.263\u20130.443", "7.2%\u201326.1%", "52.9%\u201377.1%", "29.2%\u201354.1%")
    ]
    assert _notes(row)[6:] == ["2.47\u20132.67 s", "$0.297\u2013$0.335", "$0.000602\u2013$0.00105"]
    assert "n = 60 questions. Correct: a gold answer stands in the answer." in table.note


def test_an_unpriced_pipeline_is_unpriced_and_never_free(whole_answers: dict[str, Any]) -> None:
    assert _texts(_row(answer_tables.glance(whole_answers), "hybrid+maxsim"))[-2:] == ["UNPRICED", "UNPRICED"]
    table = worth.economics(whole_answers)
    assert _texts(_row(table, "hybrid+maxsim"))[1:4] == ["UNPRICED"] * 3
    assert table.note.endswith("UNPRICED: hybrid+maxsim (rerank: no rate named 'rerank-hosted' in the book).")


def test_a_first_token_of_the_run_itself_has_a_column(answered: dict[str, Any]) -> None:
    stages = answered["pipelines"]["dense"]["stages"]
    stages["generate"] = {"first_token": {"p50_ns": 812_000_000, "p50_interval_ns": [790_000_000, 840_000_000]}}
    table = answer_tables.glance(answered)
    assert [(column.title, column.unit) for column in table.columns[6:8]] == [
        ("First token", "mean, end to end"),
        ("First token", "p50, generate"),
    ]
    assert _row(table, "dense")[7] == Cell("812 ms", "790\u2013840 ms")
    assert _row(table, "bm25")[7].text == "n/a"


def test_where_no_answer_was_correct_a_cost_is_absent_and_not_unpriced(answered: dict[str, Any]) -> None:
    economics = answered["pipelines"]["dense"]["economics"]
    economics["usd_per_correct_answer"] = {"mean": None, "interval": None, "n": 60}
    assert _texts(_row(worth.economics(answered), "dense"))[1:3] == ["$0.000316", "n/a"]


def test_lost_answers_are_counted_and_shared_out(whole_answers: dict[str, Any]) -> None:
    row = _row(answer_tables.attribution(whole_answers), "dense+maxsim")
    assert _texts(row)[1:] == ["60", "45.0%", "17", "5", "2", "9"]
    assert _notes(row)[2:] == ["32.4%\u201357.6%", "28.3%", "8.3%", "3.3%", "15.0%"]


def test_abstention_is_told_right_and_wrong(whole_answers: dict[str, Any]) -> None:
    row = _row(answer_tables.abstention(whole_answers), "bm25")
    assert _texts(row)[1:] == ["30.0%", "30", "8.3%", "60"]


def test_comparisons_are_in_percentage_points_and_f1_in_its_own(whole_answers: dict[str, Any]) -> None:
    rows = [list(row.cells) for row in answer_tables.comparisons(whole_answers).rows]
    assert [(cells[2].text, cells[3].text, cells[3].note) for cells in rows[1:4:2]] == [
        ("correct", "+6.7 pp", "\u22122.3 to +15.7 pp"),
        ("F1", "\u22120.120", "\u22120.210 to \u22120.030"),
    ]
    assert rows[1][4] == Cell("0.021", "Holm 0.063")
    assert rows[1][-1] == Cell("\u25c7 undecided", "about 47 more queries would be needed", "undecided")


def test_a_judge_has_its_kappa_and_those_without_one_have_no_row(whole_answers: dict[str, Any]) -> None:
    table = answer_tables.agreement(whole_answers)
    assert [row.cells[0].text for row in table.rows] == ["bm25", "dense", "dense+maxsim"]
    assert _texts(_row(table, "dense"))[1:] == ["gpt-4o-mini", "88.3%", "0.741", "60"]
    assert _row(table, "dense")[3].note == "0.560\u20130.890"


def test_every_k_has_its_answers_and_its_tokens(whole_answers: dict[str, Any]) -> None:
    first, *_, last = _rows(sweep_tables.by_k(whole_answers), "dense")
    assert _texts(first)[1:] == ["1", "23.3%", "0.219", "10.0%", "31.7%", "26.7%", "0.387", "$0.0964"]
    assert last[-1].note == "$0.323\u2013$0.350"
    tokens = _rows(sweep_tables.k_tokens(whole_answers), "bm25")[-1]
    assert _texts(tokens)[1:] == [
        *("5", "2,105.6", "71.0", "15.4", "434.9", "45.6", "1,286.5", "133.0", "160.0", "$0.000000774", "3.56 s")
    ]


def test_budgets_are_a_table_of_their_own(whole_answers: dict[str, Any]) -> None:
    rows = _rows(sweep_tables.by_budget(whole_answers), "dense")
    assert [cells[1].text for cells in rows] == ["500", "1,000", "2,000"]
    assert sweep_tables.by_budget(whole_answers).columns[1].unit == "tokens"


def test_a_relevant_token_without_price_is_unpriced_and_one_that_is_not_there_is_absent(
    answers_variant: Variant, answered: dict[str, Any]
) -> None:
    rows = _rows(sweep_tables.k_tokens(answers_variant("unpriced")), "dense")
    assert {cells[-2].text for cells in rows} == {"UNPRICED"}
    answered["injection"]["by_k"]["dense"][0]["usd_per_relevant_token"] = None
    assert _rows(sweep_tables.k_tokens(answered), "dense")[0][-2].text == "n/a"


def test_other_orders_are_compared_with_best_first(whole_answers: dict[str, Any]) -> None:
    first, last, edges = _rows(sweep_tables.orders(whole_answers), "dense")
    assert _texts(first)[1:] == ["best first", "5", "38.3%", "0.353", "\u2013", "\u2013", "\u2013", "0.240"]
    assert _texts(last)[1:3] + _texts(last)[5:] == ["best last", "5", "+3.3 pp", "0.310", "\u25c7 undecided", "0.760"]
    assert edges[1].text == "best at both ends"


def test_one_more_chunk_has_its_gain_and_its_price(whole_answers: dict[str, Any]) -> None:
    first, second, third, _ = _rows(sweep_tables.marginal(whole_answers), "dense")
    assert _texts(first)[1:] == ["1 \u2192 2", "+8.3 pp", "+0.071", "+$0.0617", "+639 ms", "$0.000740"]
    assert (first[0].note, first[-1].note) == ("worth it up to k = 3", "$0.000446 or more")
    assert second[2].note == "\u22122.2 to +8.8 pp"
    assert third[-1].text == "n/a"
    assert _row(sweep_tables.marginal(whole_answers), "bm25")[0].note == "undecided"


def test_an_unpriced_step_is_unpriced_all_along(answers_variant: Variant) -> None:
    rows = _rows(sweep_tables.marginal(answers_variant("unpriced")), "dense")
    assert {(cells[4].text, cells[6].text) for cells in rows} == {("UNPRICED", "UNPRICED")}


def test_statements_of_one_more_chunk_name_their_pipeline_once(answered: dict[str, Any]) -> None:
    answered["injection"]["marginal"]["bm25"]["statement"] = "nothing can be said."
    found = sweep_tables.marginal_statements(answered)
    assert found[0] == "bm25: nothing can be said."
    assert found[1] == "dense: from k = 3 on one more chunk costs more than it brings."


def test_the_fit_is_told_term_by_term(whole_answers: dict[str, Any]) -> None:
    rows = [list(row.cells) for row in time_tables.fit(whole_answers).rows]
    assert [(cells[0].text, cells[1].text, cells[1].note) for cells in rows] == [
        ("a", "41.2 ms", "12.0\u201370.1 ms"),
        ("b", "1.31 ms", "1.21\u20131.40 ms"),
        ("c", "172 ns", "121\u2013229 ns"),
        ("residual", "9.10 ms", "1.3%"),
        ("bend", "869 tokens", ""),
        ("decoding", "38.4 ms", "37.2\u201339.6 ms"),
    ]


def test_a_bend_that_is_not_there_is_not_told(answers_variant: Variant) -> None:
    rows = {row.cells[0].text: row.cells for row in time_tables.fit(answers_variant("straight")).rows}
    assert rows["c"][1] == Cell("\u22123.10 ns", "\u221221.0 ns to 14.0 ns")
    assert rows["bend"][1] == Cell("not told", tone="undecided")


@pytest.mark.parametrize("variant", ["without_fit", "too_few_lengths"])
def test_without_a_fit_only_decoding_is_told(answers_variant: Variant, variant: str) -> None:
    summary = answers_variant(variant)
    assert [row.cells[0].text for row in time_tables.fit(summary).rows] == ["decoding"]
    assert {row.cells[2].text for row in time_tables.lengths(summary).rows} == {"n/a"}


def test_every_length_has_its_residual(whole_answers: dict[str, Any]) -> None:
    rows = [_texts(list(row.cells)) for row in time_tables.lengths(whole_answers).rows]
    assert rows[0] == ["128", "216 ms", "+4.45 ms", "4"]
    assert rows[3] == ["1,024", "1.55 s", "\u221217.2 ms", "4"]


def test_unit_economics_come_with_their_formulas(whole_answers: dict[str, Any]) -> None:
    row = _row(worth.economics(whole_answers), "bm25")
    assert _texts(row)[1:] == ["$0.000285", "$0.000856", "$0.0000408", "191", "1,742.0"]
    assert row[4].note == "140\u2013243"
    formulas = {row.cells[0].text: row.cells[1].text for row in worth.formulas(whole_answers).rows}
    assert formulas["Cost per correct answer"] == "USD of all answered questions / correct answers"
    assert formulas["Utility (U)"] == "A * R / L^k"
    assert next(iter(formulas)) == "Cost per query"


def test_estimated_energy_is_marked_as_an_estimate(answered: dict[str, Any]) -> None:
    table = worth.worth_tables_energy(answered)
    assert table.title == "Energy and CO\u2082 of an answer (estimate)"
    assert table.note.startswith("From a stated wattage, not metered.")
    assert _texts(_row(table, "bm25"))[1:] == ["103", "308", "$0.00485", "0.0135"]
    answered["injection"]["energy"]["source"] = "nvml+rapl"
    assert worth.worth_tables_energy(answered).title == "Energy and CO\u2082 of an answer"
    source = setup_tables.energy(answered).rows[0].cells[1].text
    assert source == "the GPU's own counter (NVML) and the processor's own counter (RAPL)"


def test_where_energy_comes_from_is_told(whole_answers: dict[str, Any]) -> None:
    table = setup_tables.energy(whole_answers)
    assert {row.cells[0].text: row.cells[1].text for row in table.rows} == {
        "Source": "estimate, from a stated wattage",
        "Power": "28.0 W",
        "Region": "world",
        "Price": "$0.17 per kWh",
        "Carbon": "0.473 kg CO\u2082 per kWh",
        "As of": "2025-12-31",
    }
    assert table.note == "Estimated from a stated wattage while busy; nothing was metered."


def test_utility_stands_beside_what_it_is_made_of(whole_answers: dict[str, Any]) -> None:
    table = worth.utility(whole_answers)
    assert [(column.title, column.unit) for column in table.columns[4:]] == [
        ("U, creative", "k = 0.1"),
        ("U, support", "k = 0.5"),
        ("U, incident response", "k = 1"),
        ("U, trading", "k = 2"),
    ]
    assert _texts(_row(table, "dense"))[1:] == ["0.383", "0.470", "2.57 s", "0.164", "0.112", "0.0701", "0.0273"]
    assert "U = A * R / L^k" in table.note
    assert "trading (a late answer is wrong)" in table.note


def test_a_field_of_the_eval_is_not_named_twice(answered: dict[str, Any]) -> None:
    answered["injection"]["utility"]["presets"].append({"name": "k = 4", "k": 4.0, "reason": "from the eval file"})
    answered["pipelines"]["bm25"]["economics"]["utility"]["4"] = {"mean": 0.002, "interval": [0.001, 0.004], "n": 60}
    table = worth.utility(answered)
    assert (table.columns[-1].title, table.columns[-1].unit) == ("U", "k = 4")
    assert (_row(table, "bm25")[-1].text, _row(table, "dense")[-1].text) == ("0.00200", "n/a")


def test_who_wins_where_and_where_nobody_does(answers_variant: Variant) -> None:
    rows = [_texts(list(row.cells)) for row in worth.winners(answers_variant("quick")).rows]
    assert rows == [
        ["0.01 to 0.3", "hybrid+maxsim", "71.0%"],
        ["0.3 to 1", "undecided", "40.0%"],
        ["1 to 10", "bm25", "93.0%"],
    ]


def test_a_budget_is_kept_or_not_or_cannot_be_told(whole_answers: dict[str, Any]) -> None:
    table = setup_tables.budget(whole_answers)
    assert [column.unit for column in table.columns[1:3]] == ["limit 1,700", "limit $0.500"]
    assert _texts(_row(table, "bm25"))[1:] == ["1,742.0", "$0.285", "over"]
    assert _texts(_row(table, "dense"))[1:] == ["1,627.0", "$0.316", "within"]
    assert _texts(_row(table, "hybrid+maxsim"))[1:] == ["1,627.0", "UNPRICED", "n/a"]


def test_without_a_budget_there_is_no_table_of_it(answered: dict[str, Any]) -> None:
    answered["injection"]["budget"] = None
    assert setup_tables.budget(answered).rows == ()


def test_an_interval_may_be_open_at_one_end() -> None:
    assert open_span([0.25, None], usd) == "$0.250 or more"
    assert open_span([None, 0.25], usd) == "up to $0.250"
    assert open_span([None, None], usd) == open_span(None, usd) == "n/a"
    assert open_span([0.25, 0.5], usd) == "$0.250\u2013$0.500"


def test_points_are_percentage_points() -> None:
    assert (points(0.067), points(-0.021), points(None)) == ("+6.7 pp", "\u22122.1 pp", "n/a")
    assert points_span([-0.021, 0.083]) == "\u22122.1 to +8.3 pp"
    assert points_span(None) == "n/a"


@pytest.mark.parametrize("draw_table", contents.EVERY)
def test_without_answers_every_table_is_empty(summary: dict[str, Any], draw_table: Callable[..., Table]) -> None:
    assert draw_table(summary).rows == ()


@pytest.mark.parametrize("draw_table", contents.EVERY)
def test_nulls_are_never_zeros(answers_variant: Variant, draw_table: Callable[..., Table]) -> None:
    shown = [cell.text for row in draw_table(answers_variant("bare")).rows for cell in row.cells[1:]]
    assert not {text for text in shown if text.strip("$%+\u2212 ").startswith("0")}


@pytest.mark.parametrize("draw_table", [answer_tables.glance, sweep_tables.by_k, worth.economics, worth.utility])
def test_a_null_interval_is_named(answers_variant: Variant, draw_table: Callable[..., Table]) -> None:
    rows = _rows(draw_table(answers_variant("without_intervals")), "dense")
    assert "interval n/a" in _notes(rows[0])


@pytest.mark.parametrize("draw_table", contents.EVERY)
def test_every_row_is_as_long_as_its_table_is_wide(whole_answers: dict[str, Any], draw_table: Any) -> None:
    table = draw_table(whole_answers)
    assert table.rows
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}
