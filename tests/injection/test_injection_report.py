"""Answers in the report and on a terminal, from what the product recorded (tests/golden/injection.json)."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from ragprof.report.blocks import Folded, Pair
from ragprof.report.figures import duration, signed, usd
from ragprof.report.html import Front, page
from ragprof.report.palette import pipeline_colours, tint
from ragprof.report.tables import Cell, Table, open_span, points, points_span
from ragprof.report.theme import Chart
from ragprof.studies.contract import Context, EstimateValue
from ragprof.studies.injection import charts, tables
from ragprof.studies.injection.analysis import statements
from ragprof.studies.injection.section import InjectionSection, UtilityWinner
from ragprof.studies.injection.study import show

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "injection.json").read_text(encoding="utf-8"))
NAMES = ("bm25", "dense", "hybrid", "hybrid+overlap")
CONTEXT = Context(NAMES, "nDCG@10", {}, pipeline_colours(NAMES))
HOSTILE = "</script><img src=x onerror=alert(1)>|[red]a[/red] Überlänge für die Prüfung \u691c\u7d22"


@pytest.fixture
def section() -> InjectionSection:
    return InjectionSection.read(GOLDEN, "injection")


def changed(section: Any, path: str, **fields: Any) -> Any:
    """The section with other fields at a place such as `economics.dense` or `by_k.hybrid+overlap.0`."""
    head, _, rest = path.partition(".")
    if not head:
        return section.model_copy(update=fields)
    if isinstance(section, list):
        return [changed(each, rest, **fields) if str(place) == head else each for place, each in enumerate(section)]
    if isinstance(section, dict):
        return section | {head: changed(section[head], rest, **fields)}
    return section.model_copy(update={head: changed(getattr(section, head), rest, **fields)})


def unpriced(section: InjectionSection) -> InjectionSection:
    """As recorded where no rate for the generation is known."""
    document = json.loads(json.dumps(GOLDEN))
    study = document["injection"]
    for rows in (*study["by_k"].values(), *study["by_budget"].values()):
        for row in rows:
            row |= {"usd_per_1000_queries": None, "usd_interval": None, "usd_per_relevant_token": None}
    for one in study["marginal"].values():
        for step in one["steps"]:
            step |= {"added_usd_per_1000": None, "usd_per_extra_correct": None}
    for pipeline in document["pipelines"].values():
        money = ("usd_per_query", "usd_per_correct_answer", "usd_per_token_of_correctness", "usd_per_1000_queries")
        pipeline["economics"] |= {**dict.fromkeys(money), "usd_interval": None, "unpriced": ["output tokens: no rate"]}
    for spent in study["budget"]["pipelines"].values():
        spent |= {"usd_per_1000_queries": None, "within": None}
    return InjectionSection.read(document, "injection")


def renamed(name: str) -> InjectionSection:
    """The pipeline dense under another name, and sentences as hostile as the name."""
    text = json.dumps(GOLDEN).replace('"dense"', json.dumps(name))
    document = json.loads(text)
    document["injection"]["statements"] = document["injection"]["notes"] = [name]
    return InjectionSection.read(document, "injection")


def row(table: Table, first: str, place: int = 0) -> list[Cell]:
    return [list(each.cells) for each in table.rows if each.cells[0].text == first][place]


def texts(cells: list[Cell]) -> list[str]:
    return [cell.text for cell in cells]


def every_table(section: InjectionSection) -> list[Table]:
    (part,) = show(section, CONTEXT)
    pairs = ((block.left, block.right) if isinstance(block, Pair) else (block,) for block in part.blocks)
    blocks = [block.table if isinstance(block, Folded) else block for pair in pairs for block in pair]
    return [block for block in blocks if isinstance(block, Table)]


def every_chart(section: InjectionSection) -> dict[str, Chart]:
    (part,) = show(section, CONTEXT)
    return {block.key: block for block in part.blocks if isinstance(block, Chart)}


def data(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every row of literal data in a specification."""
    return [row for rows in spec["datasets"].values() for row in rows]


def test_what_is_read_again_is_what_was_recorded(section: InjectionSection) -> None:
    document: dict[str, Any] = {"pipelines": {name: {} for name in NAMES}}
    section.place(document, "injection")
    assert document["injection"] == GOLDEN["injection"]
    economics = {name: one["economics"] for name, one in GOLDEN["pipelines"].items()}
    assert {name: one["economics"] for name, one in document["pipelines"].items()} == economics


def test_every_row_is_as_long_as_its_table_is_wide(section: InjectionSection) -> None:
    for table in every_table(section):
        assert bool(table.rows) != (table.key in ("injection-endings", "injection-reasoning")), table.key
        assert not table.rows or {len(each.cells) for each in table.rows} == {len(table.columns)}


def test_answers_at_a_glance_have_their_intervals(section: InjectionSection) -> None:
    table, economics = tables.glance(section), section.economics["dense"]
    assert row(table, "dense")[1:4] == [
        Cell("75.0%", "50.0%\u2013100.0%"), Cell("0.181", "0.111\u20130.247"), Cell("0.0%", "0.0%\u20130.0%"),
    ]  # fmt: skip
    assert texts(row(table, "dense"))[4:6] == ["83.3%", "75.0%"]
    assert row(table, "dense")[-2:] == [
        Cell("$0.0289", "$0.0273\u2013$0.0306"), Cell("$0.0000385", "$0.0000303\u2013$0.0000568"),
    ]  # fmt: skip
    assert row(table, "dense")[6].text == tables.seconds(economics.time_to_first_token_s.mean)
    assert "n = 12 questions. Correct: a gold answer stands in the answer." in table.note
    assert [(column.title, column.unit) for column in table.columns[6:8]] == [
        ("First token", "mean, end to end"),
        ("First token", "p50, generate"),
    ]
    assert row(table, "dense")[7].text == "n/a"
    assert row(table, "bm25")[7].text.endswith("\u00b5s")
    without = tables.glance(section.model_copy(update={"first_tokens": {}}))
    assert [column.unit for column in without.columns[6:8]] == ["mean, end to end", "per 1,000 queries"]


def test_what_is_unpriced_is_never_free(section: InjectionSection) -> None:
    found = unpriced(section)
    assert texts(row(tables.glance(found), "bm25"))[-2:] == ["UNPRICED", "UNPRICED"]
    assert texts(row(tables.economics(found), "bm25"))[1:4] == ["UNPRICED"] * 3
    reasons = ", ".join(f"{name} (output tokens: no rate)" for name in NAMES)
    assert tables.economics(found).note.endswith(f"UNPRICED: {reasons}.")
    assert texts(row(tables.budget(found), "bm25"))[2:] == ["UNPRICED", "n/a"]
    by_k, k_tokens, *_ = tables.swept(found)
    assert row(by_k, "hybrid+overlap")[-1].text == row(k_tokens, "hybrid+overlap")[-2].text == "UNPRICED"
    assert [row(tables.marginal(found), "hybrid+overlap")[place].text for place in (4, 6)] == ["UNPRICED"] * 2
    chart = charts.cost(found, CONTEXT)
    assert chart is None


def test_where_no_answer_was_correct_a_cost_is_absent_and_not_unpriced(section: InjectionSection) -> None:
    nothing = EstimateValue(mean=None, interval=None, n=12)
    found = changed(section, "economics.dense", usd_per_correct_answer=nothing)
    assert texts(row(tables.economics(found), "dense"))[1:3] == ["$0.0000289", "n/a"]
    found = changed(found, "answers.dense", correct=EstimateValue(mean=0.0, interval=(0.0, 0.0), n=12))
    chart = every_chart(found)["injection-cost"]
    assert chart.notes == ("dense: no answer was correct",)
    assert "dense" not in {each["pipeline"] for each in data(chart.spec)}


def test_lost_answers_are_counted_and_shared_out(section: InjectionSection) -> None:
    cells = row(tables.attribution(section), "bm25")
    assert texts(cells)[1:] == ["12", "75.0%", "2", "0", "0", "1"]
    assert [cell.note for cell in cells[2:]] == ["50.0%\u2013100.0%", "16.7%", "0.0%", "0.0%", "8.3%"]
    assert texts(row(tables.abstention(section), "bm25"))[1:] == ["0.0%", "4", "0.0%", "12"]
    found = changed(section, "answers.bm25.abstention", unanswerable=None)
    assert texts(row(tables.abstention(found), "bm25"))[1:3] == ["n/a", "n/a"]


def test_comparisons_are_in_percentage_points_and_f1_in_its_own(section: InjectionSection) -> None:
    fields = {"difference": 0.067, "interval": (-0.023, 0.157), "p": 0.021, "p_holm": 0.063, "more_queries": 47}
    found = changed(section, "comparisons.0", **fields)
    found = changed(found, "comparisons.6", difference=-0.12, interval=(-0.21, -0.03), verdict="worse")
    cells = [list(each.cells) for each in tables.comparisons(found).rows]
    assert cells[0][2:5] == [
        Cell("correct"), Cell("+6.7 pp", "\u22122.3 to +15.7 pp"), Cell("0.021", "Holm 0.063"),
    ]  # fmt: skip
    assert cells[0][-1] == Cell("\u25c7 undecided", "about 47 more queries would be needed", "undecided")
    assert (cells[6][2].text, cells[6][3]) == ("F1", Cell("\u22120.120", "\u22120.210 to \u22120.030"))
    assert cells[6][-1].tone == "worse"


def test_a_judge_has_its_kappa_and_those_without_one_have_no_row(section: InjectionSection) -> None:
    found = changed(section, "answers.dense.judge", agreement=0.883, kappa=-0.1, kappa_interval=(-0.3, 0.1))
    found = changed(found, "answers.bm25", judge=None)
    table = tables.agreement(found)
    assert [each.cells[0].text for each in table.rows] == ["dense", "hybrid", "hybrid+overlap"]
    assert texts(row(table, "dense"))[1:] == ["literal judge", "88.3%", "\u22120.100", "12"]
    assert texts(row(table, "hybrid"))[1:4] == ["literal judge", "100.0%", "1.000"]


def test_every_k_and_every_budget_has_its_answers_and_its_tokens(section: InjectionSection) -> None:
    by_k, k_tokens, by_budget, budget_tokens = tables.swept(section)
    assert texts(row(by_k, "hybrid+overlap"))[1:] == [
        *("1", "75.0%", "0.181", "0.0%", "83.3%", "75.0%", "0.733", "$0.0200")
    ]
    assert texts(row(k_tokens, "hybrid+overlap", 3))[1:-1] == [
        *("5", "156.3", "40.8", "10.8", "30.4", "0.0", "11.6", "96.9", "0.0", "$0.00000126")
    ]
    assert [each.cells[1].text for each in by_budget.rows] == ["60", "120"]
    assert (by_k.columns[1].unit, by_budget.columns[1].unit) == ("chunks", "tokens")
    # Within 60 tokens no relevant passage fits: the prompt has a price, a relevant token has none.
    assert texts(row(budget_tokens, "hybrid+overlap"))[-2:] == ["n/a", "n/a"]


def test_other_orders_are_compared_with_best_first(section: InjectionSection) -> None:
    found = changed(section, "orders.hybrid+overlap.1", p=0.04, p_holm=0.08)
    first, last, edges = (list(each.cells) for each in tables.orders(found).rows)
    assert texts(first)[1:] == ["best first", "3", "75.0%", "0.181", "\u2013", "\u2013", "\u2013", "0.045"]
    assert texts(last)[1:3] + texts(last)[5:] == ["best last", "3", "+0.0 pp", "0.040", "\u25c7 undecided", "0.955"]
    assert (last[6].note, edges[1].text) == ("Holm 0.080", "best at both ends")


def test_one_more_chunk_has_its_gain_and_its_price(section: InjectionSection) -> None:
    assert row(tables.marginal(section), "hybrid+overlap")[0].note == "undecided"
    assert row(tables.marginal(section), "hybrid+overlap")[-1].text == "n/a"
    gain = EstimateValue(mean=0.083, interval=(-0.022, 0.188), n=12)
    path = "marginal.hybrid+overlap"
    found = changed(section, f"{path}.steps.0", correct_gain=gain, usd_per_extra_correct="0.00074")
    found = changed(found, f"{path}.steps.0", usd_per_extra_correct_interval=("0.000446", None))
    found = changed(found, path, last_worthwhile_k=3, status="told")
    cells = row(tables.marginal(found), "hybrid+overlap")
    assert (cells[0].note, cells[1].text) == ("worth it up to k = 3", "1 \u2192 2")
    assert cells[2] == Cell("+8.3 pp", "\u22122.2 to +18.8 pp")
    assert (cells[4].text, cells[-1]) == ("+$0.00456", Cell("$0.000740", "$0.000446 or more"))
    assert tables.marginal_statements(section)[0].startswith("hybrid+overlap: whether more than k = 1 chunks")


def bent(section: InjectionSection) -> InjectionSection:
    """With a quadratic term that is significant from 200 tokens on."""
    path = "time_to_first_token.fit"
    found = changed(section, path, a_ns=41.2e6, b_ns_per_token=1.31e6, c_ns_per_token2=172.0, quadratic_from_tokens=200)
    return InjectionSection.model_validate(changed(found, f"{path}.intervals", c_ns_per_token2=(121.0, 229.0)))


def test_the_fit_is_shown_term_by_term(section: InjectionSection) -> None:
    rows = {each.cells[0].text: each.cells for each in tables.fit(bent(section)).rows}
    assert list(rows) == ["a", "b", "c", "residual", "bend", "decoding"]
    assert (rows["a"][1].text, rows["b"][1].text) == ("41.2 ms", "1.31 ms")
    assert (rows["c"][1], rows["bend"][1]) == (Cell("172 ns", "121\u2013229 ns"), Cell("200 tokens"))
    straight = {each.cells[0].text: each.cells for each in tables.fit(section).rows}
    assert straight["bend"][1] == Cell("not told", tone="undecided")
    first = tables.lengths(section).rows[0].cells
    residual = section.time_to_first_token.fit.residuals[0].residual_ns
    assert (first[0].text, first[3].text) == ("64", "2")
    assert first[2].text == signed(residual, duration)


def unfitted(section: InjectionSection) -> InjectionSection:
    """As recorded with two lengths: points, and a fit of nothing but the reason why there is none."""
    terms = dict.fromkeys(("a_ns", "b_ns_per_token", "c_ns_per_token2"))
    found = changed(section, "time_to_first_token.fit", **terms, curve=[], residuals=[], residual_ns=None)
    return InjectionSection.model_validate(found)


def test_without_a_fit_only_decoding_is_shown(section: InjectionSection) -> None:
    found = unfitted(section)
    assert [each.cells[0].text for each in tables.fit(found).rows] == ["decoding"]
    assert {each.cells[2].text for each in tables.lengths(found).rows} == {"n/a"}
    chart = every_chart(found)["injection-first-token"]
    assert [key.label for key in chart.legend] == ["measured p50"]
    assert "the fit." not in chart.caption


def test_unit_economics_come_with_their_formulas(section: InjectionSection) -> None:
    cells = row(tables.economics(section), "bm25")
    assert texts(cells)[1:] == ["$0.0000271", "$0.0000361", "$0.00000254", "6,977", "107.5"]
    formulas = {each.cells[0].text: each.cells[1].text for each in tables.formulas(section).rows}
    assert next(iter(formulas)) == "Cost per query"
    assert formulas["Cost per correct answer"] == "total USD / correct answers"
    assert formulas["Utility (U)"] == "U = A * R / L^k for each time sensitivity k"


def test_estimated_energy_is_marked_as_an_estimate(section: InjectionSection) -> None:
    table = tables.energy_used(section)
    assert table.title == "Energy and CO\u2082 of an answer (estimate)"
    assert table.note.startswith("From a stated wattage, not metered.")
    basis = {each.cells[0].text: each.cells[1].text for each in tables.energy(section).rows}
    assert basis == {
        "Source": "estimate, from a stated wattage",
        "Power": "28.0 W",
        "Region": "world",
        "Price": "$0.161 per kWh",
        "Carbon": "0.47305 kg CO\u2082 per kWh",
        "As of": "2025-06-30",
    }
    metered = changed(section, "energy", source="nvml+rapl")
    assert tables.energy_used(metered).title == "Energy and CO\u2082 of an answer"
    source = tables.energy(metered).rows[0].cells[1].text
    assert source == "the GPU's own counter (NVML) and the processor's own counter (RAPL)"
    assert tables.energy(section.model_copy(update={"energy": None})).rows == ()


def test_utility_stands_beside_what_it_is_made_of(section: InjectionSection) -> None:
    table = tables.utility(section)
    assert [(column.title, column.unit) for column in table.columns[4:]] == [
        ("U, creative", "k = 0.1"), ("U, support", "k = 0.5"), ("U", "k = 0.7"),
        ("U, incident response", "k = 1"), ("U, trading", "k = 2"),
    ]  # fmt: skip
    assert texts(row(table, "dense"))[1:3] == ["0.750", "0.730"]
    assert "U = A * R / L^k" in table.note
    assert "support (a customer waits, but not for long" in table.note
    winners = [UtilityWinner(from_k=0.3, to_k=10.0, pipeline="dense", share=0.934)]
    (found,) = tables.winners(changed(section, "utility", winners=winners)).rows
    assert texts(list(found.cells)) == ["0.3 to 10", "dense", "93.4%"]


def test_a_budget_is_kept_or_not(section: InjectionSection) -> None:
    found = changed(section, "budget.pipelines.bm25", tokens_per_query=217.4, within=False)
    table = tables.budget(found)
    assert [column.unit for column in table.columns[1:3]] == ["limit 200", "limit $0.0500"]
    assert texts(row(table, "bm25"))[1:] == ["217.4", "$0.0271", "over"]
    assert texts(row(table, "dense"))[1:] == ["116.6", "$0.0289", "within"]
    assert tables.budget(section.model_copy(update={"budget": None})).rows == ()


def test_a_null_interval_is_named(section: InjectionSection) -> None:
    found = changed(section, "answers.dense", correct=EstimateValue(mean=0.75, interval=None, n=1))
    assert row(tables.glance(found), "dense")[1] == Cell("75.0%", "interval n/a")


def lines(section: InjectionSection, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(tables.injection_table(section, CONTEXT))
    return captured.get().splitlines()


def test_the_terminal_has_a_line_per_pipeline_then_the_findings(section: InjectionSection) -> None:
    found = lines(section)
    assert max(map(len, found)) <= 80
    dense = next(line for line in found if line.strip().startswith("dense")).split()
    assert dense[:5] == ["dense", "75%", "50%\u2013100%", "0.181", "83%"]
    assert dense[-1] == "$0.0000385"
    words = " ".join(" ".join(found).split())
    assert "\u2022 A correct answer of bm25 costs $0.0000361" in words
    assert "Answered by extractive (extractive); n = 12 questions and 4 unanswerable ones; tokens priced as" in words
    unpriced_lines = lines(unpriced(section))
    assert next(line for line in unpriced_lines if line.strip().startswith("dense")).split()[-1] == "UNPRICED"


@pytest.mark.parametrize("width", [80, 200])
def test_hostile_names_are_text_and_nothing_is_cut(width: int) -> None:
    found = lines(renamed(HOSTILE), width)
    assert "\u2026" not in "\n".join(found)
    assert "[red]a" in "\n".join(found)
    assert max(map(cell_len, found)) <= width


@pytest.mark.usefixtures("real_pictures")
def test_on_a_page_hostile_texts_are_shown_and_never_run() -> None:
    names = ("bm25", HOSTILE, "hybrid", "hybrid+overlap")
    context = Context(names, "nDCG@10", {}, pipeline_colours(names))
    drawn = page(Front("t", "", (), (), (), "", ""), show(renamed(HOSTILE), context), context.colours)
    assert drawn.count("<script") == 4
    assert "<img" not in drawn.partition('<script type="application/json"')[0]
    assert drawn.count("&lt;img src=x onerror=alert(1)&gt;|") > 20


@pytest.mark.usefixtures("real_pictures")
def test_on_a_page_statements_stand_first_and_notes_last(section: InjectionSection) -> None:
    drawn = page(Front("t", "", (), (), (), "", ""), show(section, CONTEXT), CONTEXT.colours)
    part = drawn.partition('<section id="injection"')[2].partition("</section>")[0]
    places = [part.index(words) for words in (section.statements[1], "Answers at a glance", "Unit economics")]
    assert places == sorted(places)
    assert part.index(section.notes[1]) > places[-1]
    assert part.count('class="marks"') == part.count('class="still"') == 6
    assert "clip-path" not in part


ALL = ("lost", "quality", "tokens", "first-token", "utility", "cost")


def test_every_chart_says_what_it_rests_on_and_names_no_address(section: InjectionSection) -> None:
    found = every_chart(section)
    assert list(found) == [f"injection-{key}" for key in ALL]
    assert all("n = 12 questions" in chart.caption for key, chart in found.items() if key != "injection-first-token")
    assert "n = 2 timings per length" in found["injection-first-token"].caption
    assert all("95% interval" in chart.caption for key, chart in found.items() if key != "injection-tokens")
    specs = json.dumps([spec for chart in found.values() for spec in chart.pictures().values()])
    assert "http" not in specs
    assert '"clip"' not in specs


def test_a_chart_without_data_is_left_out(section: InjectionSection) -> None:
    without = {"by_k": {}, "by_budget": {}, "marginal": {}, "orders": {}}
    assert list(every_chart(section.model_copy(update=without))) == [
        "injection-lost", "injection-first-token", "injection-utility", "injection-cost",
    ]  # fmt: skip
    untimed = changed(section, "time_to_first_token", points=[])
    assert charts.time_to_first_token(untimed, CONTEXT) is None
    assert charts.utility(changed(section, "utility", curve=[]), CONTEXT) is None


def test_every_question_is_in_the_bar_with_the_interval_of_the_correct_ones_under_it(section: InjectionSection) -> None:
    chart = every_chart(section)["injection-lost"]
    parts = {each["part"]: each["share"] for each in data(chart.spec) if each.get("pipeline") == "bm25"}
    assert parts == {"correct": 0.75, "model": 0.16667, "search": 0.083333}
    ends = [each for each in data(chart.spec) if "low" in each]
    assert (ends[0]["name"], ends[0]["low"], ends[0]["high"]) == ("bm25", 0.5, 1.0)
    found = changed(section, "answers.dense", correct=EstimateValue(mean=None, interval=None, n=0))
    chart = every_chart(found)["injection-lost"]
    assert chart.notes == ("dense: n/a",)
    assert "dense" not in {each.get("pipeline") for each in data(chart.spec)}


def test_what_retrieval_brought_is_paler_and_dashed(section: InjectionSection) -> None:
    chart = every_chart(section)["injection-quality"]
    solid, pale = chart.legend
    assert (solid.label, solid.dash, solid.shape) == ("correct", (), "circle")
    assert (pale.dash, pale.shape) == ((6, 4), "square")
    assert tint(CONTEXT.colours["hybrid+overlap"], 0.45) in json.dumps(chart.panels[0].spec)


def test_tokens_are_stacked_with_what_was_cut_off_on_top(section: InjectionSection) -> None:
    tokens = section.by_k["hybrid+overlap"][0].tokens
    found = changed(section, "by_k.hybrid+overlap.0", tokens=tokens.model_copy(update={"truncated": 7.0}))
    chart = every_chart(found)["injection-tokens"]
    rows = [each for each in data(chart.panels[0].spec) if each["k"] == 1]
    assert [each["part"] for each in rows] == [
        "template", "question", "relevant", "irrelevant", "unjudged", "truncated",
    ]  # fmt: skip
    assert chart.legend[-1].dash
    without = tokens.model_copy(update={"relevant": None})
    chart = every_chart(changed(section, "by_k.hybrid+overlap.0", tokens=without))["injection-tokens"]
    assert {each["k"] for each in data(chart.panels[0].spec)} == {2, 3, 5}  # rather than a bar that is too short


def test_the_first_token_has_points_curve_band_and_straight_part(section: InjectionSection) -> None:
    assert [key.label for key in every_chart(section)["injection-first-token"].legend] == [
        "measured p50", "fitted a + b n + c n\u00b2",
    ]  # fmt: skip
    chart = every_chart(bent(section))["injection-first-token"]
    assert [key.label for key in chart.legend][-1] == "its straight part, a + b n"
    assert "c n\u00b2 is a tenth from 200 tokens" in {each.get("word") for each in data(chart.spec)}
    assert chart.caption.endswith(section.time_to_first_token.fit.statement)


def test_utility_is_drawn_as_far_as_time_matters_to_anybody(section: InjectionSection) -> None:
    chart = every_chart(section)["injection-utility"]
    rows = data(chart.spec)
    assert max(each["x"] for each in rows if "value" in each) <= 4
    assert "Drawn up to k = 4" in chart.caption
    assert [each["word"] for each in rows if "word" in each] == [
        "creative (0.1)", "support (0.5)", "k = 0.7", "incident response (1)", "trading (2)",
    ]  # fmt: skip
    shifts = [each["shift"] for each in rows if each.get("shift") is not None and each["x"] == 1.0]
    assert shifts == [-7.5, -2.5, 2.5, 7.5]
    assert [key.label for key in chart.legend] == list(NAMES)


def test_a_utility_of_nothing_has_no_place_on_a_logarithmic_axis(section: InjectionSection) -> None:
    curve = [one.model_copy(update={"values": one.values | {"dense": 0.0}}) for one in section.utility.curve]
    chart = every_chart(changed(section, "utility", curve=curve))["injection-utility"]
    assert chart.notes == ("dense: U n/a or 0",)
    assert min(each["value"] for each in data(chart.spec) if each.get("value") is not None) > 0


def test_a_cost_without_an_upper_end_goes_on_to_the_edge(section: InjectionSection) -> None:
    open_ended = EstimateValue(mean=0.031, interval=(0.019, None), n=12)
    chart = every_chart(changed(section, "economics.dense", usd_per_correct_answer=open_ended))["injection-cost"]
    (found,) = [each for each in data(chart.spec)[:4] if each["pipeline"] == "dense"]
    assert found["words"] == "$0.0310 ($0.0190 or more)"
    assert found["high"] == max(each["high"] for each in data(chart.spec))
    assert "has no upper end" in chart.caption
    assert '"type": "log"' in json.dumps(chart.spec)  # costs lie far apart
    assert '"type": "log"' not in json.dumps(every_chart(section)["injection-cost"].spec)


def test_an_interval_may_be_open_at_one_end_and_points_are_percentage_points() -> None:
    assert open_span(["0.25", None], usd) == "$0.250 or more"
    assert open_span([None, "0.25"], usd) == "up to $0.250"
    assert open_span([None, None], usd) == open_span(None, usd) == "n/a"
    assert open_span(["0.25", "0.5"], usd) == "$0.250\u2013$0.500"
    assert (points(0.067), points(-0.021), points(None)) == ("+6.7 pp", "\u22122.1 pp", "n/a")
    assert points_span([-0.021, 0.083]) == "\u22122.1 to +8.3 pp"
    assert points_span(None) == "n/a"


def test_one_wrong_answer_is_said_as_one(section: InjectionSection) -> None:
    counts = {"search": 1, "rerank": 0, "packing": 0, "model": 0}
    answers = {name: one.model_copy(update={"attribution_counts": counts}) for name, one in section.answers.items()}
    said = statements(section.model_copy(update={"answers": answers}))
    assert [each for each in said if each.endswith("; where the wrong answer was lost: 1 in search.")]
