"""Tables of growth and growth on a terminal, from what the product recorded (tests/golden/growth.json)."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from variants import abstaining, changed, context_of, each_point, one_size, renamed, without_curves, without_intervals

from ragprof.report.figures import signed
from ragprof.report.lookup import reach
from ragprof.report.tables import Cell, Table
from ragprof.studies.growth import charts, tables
from ragprof.studies.growth.section import GrowthPoint, GrowthSection


def rows(table: Table, first: str) -> list[list[Cell]]:
    return [list(row.cells) for row in table.rows if row.cells[0].text == first]


def texts(cells: list[Cell]) -> list[str]:
    return [cell.text for cell in cells]


def lines(section: GrowthSection, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(tables.growth_table(section, context_of(section)))
    return captured.get().splitlines()


def words(section: GrowthSection) -> str:
    return " ".join(" ".join(lines(section)).split())


def row(section: GrowthSection, name: str) -> str:
    return " ".join(next(line for line in lines(section) if line.strip().startswith(f"{name} ")).split())


def test_what_is_read_again_is_what_was_recorded(section: GrowthSection) -> None:
    path = Path(__file__).parents[1] / "golden" / "growth.json"
    assert json.loads(json.dumps(section.as_json())) == json.loads(path.read_text(encoding="utf-8"))


def test_a_glance_has_the_smallest_the_middle_and_the_largest_corpus(section: GrowthSection) -> None:
    table = tables.glance(section)
    first, middle, last = rows(table, "dense")
    assert texts(first)[:7] == ["dense", "40", "0.715", "12.2%", "\u2013", "0.217", "45.8%"]
    assert texts(middle)[1:5] == ["130", "0.577", "10.6%", "\u22120.138"]
    assert texts(last)[1:] == ["240", "0.492", "9.3%", "\u22120.223", "0.183", "25.0%", "178 µs", "$0.0155"]
    assert [cell.note for cell in last[2:]] == [
        *("0.343\u20130.630", "", "\u22120.348 to \u22120.106", "0.150\u20130.200", "12.5%\u201337.5%"),
        *("166\u2013192 µs", "$0.0155\u2013$0.0156"),
    ]
    assert "Every judged document is in every corpus, which flatters the small sizes." in table.note
    assert "n = 12 queries, 3 orders of the documents" in table.note


def test_an_unpriced_pipeline_is_unpriced_at_every_size(section: GrowthSection) -> None:
    assert [cells[-1].text for cells in rows(tables.glance(section), "dense+overlap")] == ["UNPRICED"] * 3


def test_precision_is_the_first_where_there_is_no_fifth(section: GrowthSection) -> None:
    table = tables.glance(section.model_copy(update={"cutoffs": [20, 10]}))
    assert table.columns[5].title == "P@10"


def test_both_causes_stand_side_by_side(section: GrowthSection) -> None:
    first, _, last = rows(tables.evidence(section), "dense")
    assert texts(first)[1:] == ["40", "8.3%", "0.715", "0.084", "+0.000", "+0.630"]
    assert texts(last)[1:] == ["240", "100.0%", "0.492", "0.492", "+0.223", "+0.000"]


def test_without_the_second_curve_there_is_no_table_of_causes(section: GrowthSection) -> None:
    assert tables.evidence(without_curves(section, "all_judged")).rows == ()


def test_kinds_are_compared_at_the_largest_size_that_each_reaches(section: GrowthSection) -> None:
    table = tables.kinds(section)
    assert [texts(cells)[1:] for cells in rows(table, "dense")] == [
        ["random", "240", "0.492", "9.3%", "\u22120.223", "25.0%", "\u2013"],
        ["similar", "240", "0.492", "9.3%", "\u22120.223", "25.0%", "\u2013"],
        ["duplicate", "112", "0.417", "10.8%", "\u22120.298", "0.0%", "94.5%"],
        ["contradicting", "112", "0.329", "10.0%", "\u22120.386", "0.0%", "94.4%"],
        ["foreign", "110", "0.592", "10.8%", "\u22120.123", "38.8%", "\u2013"],
    ]
    assert "it has no interval of its own" in table.note


def test_the_context_of_each_kind_is_told_by_what_it_is(section: GrowthSection) -> None:
    table = tables.context_worth(section)
    assert [column.title for column in table.columns[3:]] == [
        *("Relevant", "Duplicate", "Unjudged", "Irrelevant", "Contradicting")
    ]
    assert texts(rows(table, "bm25")[3])[1:] == ["contradicting", "112", "11.0%", "0.0%", "1.8%", "0.0%", "87.2%"]


def test_what_a_search_by_words_loses_is_not_called_embedding(section: GrowthSection) -> None:
    titles = [column.title for column in tables.loss(section).columns]
    assert titles[2:] == ["Scoring", "Index", "Rerank", "Packing", "Total"]


def test_losses_are_those_of_the_smallest_and_the_largest_corpus(section: GrowthSection) -> None:
    first, last = rows(tables.loss(section), "dense+overlap")
    assert texts(first)[1:] == ["40", "+0.288", "+0.000", "\u22120.029", "+0.003", "+0.263"]
    assert texts(last)[1:] == ["240", "+0.508", "+0.000", "\u22120.103", "+0.000", "+0.405"]
    assert last[-1].note == "+0.287 to +0.538"


def test_a_loss_that_was_not_measured_is_no_zero(section: GrowthSection) -> None:
    unknown = {"index": None, "index_interval": None}
    loss = {name: [one.model_copy(update=unknown) for one in found] for name, found in section.loss.items()}
    assert rows(tables.loss(section.model_copy(update={"loss": loss})), "bm25")[0][3] == Cell("n/a", tone="absent")


def test_crossovers_answer_even_where_nothing_crosses(section: GrowthSection) -> None:
    (first, second) = section.crossovers
    crosses = {"status": "crosses", "size": 5200, "interval": (3100, 8900)}
    found = [first, second, first.model_copy(update=crosses), first.model_copy(update={"interval": (4100, None)})]
    cells = [line.cells for line in tables.crossovers(section.model_copy(update={"crossovers": found})).rows]
    assert [(one[0].text, one[2].text, one[3].text, one[3].note, one[4].text) for one in cells] == [
        ("bm25 beats dense", "0", "\u2013", "up to 65", "undecided"),
        ("dense+overlap gains more than 0.02 over dense", "0.020", "\u2013", "", "undecided"),
        ("bm25 beats dense", "0", "5,200", "3,100\u20138,900", "crosses"),
        ("bm25 beats dense", "0", "\u2013", "4,100 or more", "undecided"),
    ]
    assert reach({"interval": [None, None]}) == reach({"interval": None}) == "n/a"


def test_a_forecast_shows_how_it_did_at_the_held_out_size(section: GrowthSection) -> None:
    table = tables.forecasts(section)
    assert [column.unit for column in table.columns] == [
        *("", "model", "at 240", "there", "", "at 480", "at 1,200", "at 2,400", "at 4,800", "")
    ]
    quality, distribution, latency, cost = rows(table, "dense")
    assert texts(quality)[1:] == [*("nDCG@10", "0.506", "0.492", "+0.014", "0.411", "0.294", "0.206", "0.117", "holds")]
    assert (quality[1].note, quality[2].note, quality[5].note) == ("log-linear", "0.369\u20130.636", "0.194\u20130.621")
    assert distribution[1].note == "score distribution"
    assert texts(latency)[1:5] == ["end to end p50", "187 µs", "178 µs", "+9.54 µs"]
    assert texts(cost)[1:4] == ["cost of 1,000 queries", "$0.0155", "$0.0155"]
    assert "Error: predicted minus measured." in table.note
    assert "The intervals take in: log-linear, queries and orders; power law, queries and orders, fits" in table.note


def test_a_target_that_was_left_out_has_its_reason_beside_the_others(section: GrowthSection) -> None:
    first, *others = section.forecast
    cut = first.model_copy(update={"at": first.at[:1], "reason": "no value for 4,800: it would be below 0"})
    quality, *_ = rows(tables.forecasts(section.model_copy(update={"forecast": [cut, *others]})), "bm25")
    assert quality[6] == Cell("n/a", tone="absent")
    assert quality[-1] == Cell("holds", "no value for 4,800: it would be below 0")


def test_an_abstaining_model_forecasts_nothing_and_says_why(section: GrowthSection) -> None:
    _, latency, _ = rows(tables.forecasts(section), "bm25")
    assert texts(latency)[5:] == ["\u2013", "\u2013", "\u2013", "\u2013", "abstains"]
    assert latency[-1].note == "predicted 47,689 [38,446, 60,132] for 240, measured 79,398"


def test_the_lesser_forecasts_have_a_table_of_their_own(section: GrowthSection) -> None:
    found = rows(tables.other_forecasts(section), "bm25")
    assert [cells[1].text for cells in found] == [
        *("prompt tokens", "search p50", "inject p50", "end to end p95", "index size", "build time")
    ]
    assert texts(found[4])[2:4] == ["36.3 kB", "36.4 kB"]


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
    assert signed(value, tables.writer(quantity)) == text


def test_builds_and_memory_are_those_of_each_size(section: GrowthSection) -> None:
    last = rows(tables.resources(section), "bm25")[-1]
    assert texts(last)[1:] == ["240", "79.4 µs", "6.63 ms", "18.7 ms", "36.4 kB", "464 MB", "138.6"]
    assert "n = 4 to 24 timings per pipeline and size" in tables.resources(section).note


def test_curves_say_what_grows_and_which_flatters(section: GrowthSection) -> None:
    found = [texts(list(line.cells)) for line in tables.curves(section).rows]
    assert found[0][0] == "all judged"
    assert found[0][1].startswith("Every passage of a relevant document is in every sub-corpus")
    assert [line[2] for line in found] == ["flattered", "not flattered", *["flattered"] * 4]


def test_the_work_is_told(section: GrowthSection) -> None:
    found = {line.cells[0].text: line.cells[1].text for line in tables.work(section).rows}
    assert (found["Pairs scored"], found["Kept passages"], found["Cutoffs"]) == ("1,043", "24", "5, 10")


def test_a_null_interval_is_named(section: GrowthSection) -> None:
    last = rows(tables.glance(without_intervals(section)), "dense")[-1]
    noted = {cell.note for cell in last if cell.text in ("0.492", "\u22120.223", "178 µs", "$0.0155")}
    assert noted == {"interval n/a"}


def test_pipelines_fit_into_eighty_columns_a_line_each(section: GrowthSection) -> None:
    assert max(map(len, lines(section))) <= 80
    assert row(section, "dense") == ("dense 0.715 \u2192 0.492 \u22120.223 45.8% \u2192 25.0% 258 µs \u2192 178 µs")


def test_crossovers_and_forecasts_are_sentences(section: GrowthSection) -> None:
    said = words(section)
    assert "Where pipelines change places: \u2192 bm25 beats dense: undecided, interval up to 65" in said
    assert "Forecast at 4,800 passages, 95% intervals; cost is of 1,000 queries:" in said
    assert "bm25: nDCG@10 0.461 (0.178\u20130.720), p50 abstains, cost $0.0208 ($0.0203\u2013$0.0213)" in said
    assert "dense+overlap: nDCG@10 0.373 (0.000\u20131.000), p50 181 µs (0 ns\u20131.65 ms) !" in said
    silent = words(abstaining(section))
    assert "Forecast, 95% intervals; cost is of 1,000 queries: \u2192 bm25: nDCG@10 abstains, p50 abstains" in silent


def test_what_it_rests_on_and_what_flatters_is_said(section: GrowthSection) -> None:
    assert "! The 24 passages of 24 relevant documents are in every sub-corpus" in words(section)
    assert "40 \u2192 240 passages; n = 12 queries, 3 orders of the documents; every judged" in words(section)


def test_absent_values_are_named(section: GrowthSection) -> None:
    cut = {"scores": {}, "context_share": {}, "end_to_end": None}
    bare = each_point(section, lambda _, curve, point: point.model_copy(update=cut))
    assert row(bare, "bm25") == "bm25 n/a \u22120.108 n/a n/a"
    assert not [cell for line in tables.glance(bare).rows for cell in line.cells[2:] if cell.text.startswith("0")]


def test_one_size_has_no_arrow(section: GrowthSection) -> None:
    assert row(one_size(section), "bm25") == "bm25 0.758 n/a 33.4% 46.0 µs"


@pytest.mark.parametrize("width", [80, 200])
def test_hostile_names_are_text_and_nothing_is_cut(section: GrowthSection, width: int) -> None:
    found = lines(
        renamed(section, "dense", "[red]a pipeline[/red] [/nothing] with quite a long and hostile name"), width
    )
    assert "…" not in "\n".join(found)
    assert "[red]a" in "\n".join(found)
    assert max(map(len, found)) <= width


def test_a_state_that_is_no_state_is_refused(section: GrowthSection) -> None:
    with pytest.raises(ValueError, match="status"):
        changed(section, lambda document: document["crossovers"][0].update(status="perhaps"))


BUSY = "the machine was busy (74% of the time waiting for a core)"


def busy_at(section: GrowthSection, pipeline: str, size: int) -> GrowthSection:
    """As recorded on a machine that did other work while one pipeline was timed at one size."""

    def at(name: str, curve: str, point: GrowthPoint) -> GrowthPoint:
        if (name, curve, point.size) != (pipeline, "all_judged", size):
            return point
        return point.model_copy(update={"latency_withheld": BUSY, "cost_withheld": BUSY})

    return each_point(section, at)


def test_times_and_money_of_a_busy_machine_are_marked_where_they_stand(section: GrowthSection) -> None:
    busy = busy_at(section, "dense", 240)
    for table, places in ((tables.glance, (7, 8)), (tables.resources, (2, 3))):
        quiet, marked = (rows(table(each), "dense") for each in (section, busy))
        for before, after in zip(quiet[-1], marked[-1], strict=True):
            told = f"{before.text} *" if quiet[-1].index(before) in places else before.text
            assert after.text == told
        assert [texts(line) for line in quiet[:-1]] == [texts(line) for line in marked[:-1]]
        assert table(busy).note.endswith(f" * measured, but in no headline or verdict: dense at 240: {BUSY}.")
        assert "*" not in table(section).note
    assert row(busy, "dense").endswith(f"{row(section, 'dense')[-6:]} *")
    time, cost = charts.time(busy, context_of(busy)), charts.cost(busy, context_of(busy))
    for chart in (time, cost):
        assert chart is not None
        assert " Of a busy machine, and not to be relied on: dense at 240." in chart.caption
