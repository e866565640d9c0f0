"""Tables of the main run, cell by cell, and the tiles above them."""

from __future__ import annotations

import itertools

from main_runs import changed, cut, disturbed, first_token, led_by, unpriced

from ragprof.report.tables import Cell, Table
from ragprof.studies.applied_rates import rates_table
from ragprof.studies.profile import tables
from ragprof.studies.profile.headline import tiles
from ragprof.studies.profile.section import Noise, ProfileSection


def _cells(table: Table, first: str) -> list[Cell]:
    return list(next(row.cells for row in table.rows if row.cells[0].text == first))


def test_an_unpriced_reranker_leaves_the_total_unpriced(main_run: ProfileSection) -> None:
    run = unpriced(main_run, "hybrid+overlap")
    bill = run.pipelines["hybrid+overlap"].cost_usd_per_1000_queries.model_copy(update={"priced_subtotal": "0.211"})
    run = changed(run, "hybrid+overlap", cost_usd_per_1000_queries=bill)
    cells = _cells(tables.cost(run), "hybrid+overlap")
    assert [cell.text for cell in cells[3:]] == ["UNPRICED", cells[4].text, "UNPRICED", "UNPRICED"]
    assert cells[5].note == "without it $0.211"


def test_a_stage_that_a_pipeline_lacks_costs_no_zero(main_run: ProfileSection) -> None:
    assert _cells(tables.cost(main_run), "bm25")[1] == Cell("n/a", tone="absent")


def test_a_free_stage_costs_zero(main_run: ProfileSection) -> None:
    bill = main_run.pipelines["bm25"].cost_usd_per_1000_queries
    free = type(bill).model_validate({**bill.as_json(), "search": "0"})
    assert _cells(tables.cost(changed(main_run, "bm25", cost_usd_per_1000_queries=free)), "bm25")[2].text == "$0"


def test_the_share_of_judged_results_stands_once_for_every_cutoff(main_run: ProfileSection) -> None:
    table = tables.quality(main_run)
    assert [column.title for column in table.columns[2:-1]] == [
        *("nDCG@10", "RR@10", "R@10", "P@5", "AP", "Success@5"),
        *("Judged@10", "Judged@5"),
    ]
    assert [cell.text for cell in _cells(table, "bm25")[-3:-1]] == ["30.0%", "32.8%"]


def test_money_by_the_hour_of_a_busy_machine_is_marked_in_the_bill_too(main_run: ProfileSection) -> None:
    table = tables.cost(disturbed(main_run, "bm25", share=0.5))
    search, inject, total = (_cells(table, "bm25")[place].text for place in (2, 4, 5))
    assert (search[-1], inject[-1] == "*", total[-1]) == ("*", False, "*")
    assert table.note.endswith("bm25: the machine was busy (50% of the time waiting for a core).")
    assert "*" not in "".join(cell.text for cell in _cells(table, "dense"))


def test_what_a_rate_is_for_is_in_the_plural(main_run: ProfileSection) -> None:
    per = {row.cells[0].text: row.cells[2].text for row in rates_table(main_run.rates).rows}
    assert per == {"aws/m7i.large": "1 hour", "openai:gpt-4o-mini": "1,000,000 input tokens"}


def test_quality_at_a_glance_is_that_of_the_final_stage(main_run: ProfileSection) -> None:
    glance = tables.glance(main_run)
    assert _cells(glance, "hybrid+overlap")[1] == Cell("0.850", "0.694\u20130.966")
    assert _cells(glance, "hybrid")[1] == Cell("0.855", "0.690\u20130.976")


def test_a_missing_interval_says_so(main_run: ProfileSection) -> None:
    whole = main_run.pipelines["bm25"].end_to_end.model_copy(update={"p50_ns": 3_430_000, "p50_interval_ns": None})
    assert _cells(tables.glance(changed(main_run, "bm25", end_to_end=whole)), "bm25")[3] == Cell(
        "3.43 ms", "interval n/a"
    )


def test_latency_rows_end_with_end_to_end(main_run: ProfileSection) -> None:
    rows = [row for row in tables.latency(main_run).rows if row.cells[0].text == "hybrid+overlap"]
    assert [row.cells[1].text for row in rows] == ["embed", "search", "rerank", "inject", "end to end"]
    assert [row.span for row in rows] == [5, 0, 0, 0, 0]


def test_the_first_token_of_an_answer_stands_below_the_answer(main_run: ProfileSection) -> None:
    table = tables.latency(first_token(main_run, "bm25", p50_ns=812_000_000))
    rows = [row.cells[1:3] for row in table.rows if row.cells[0].text == "bm25"]
    assert [stage.text for stage, _ in rows] == ["search", "inject", "generate", "first token of it", "end to end"]
    assert rows[3][1].text == "812 ms"


def test_an_undecided_comparison_says_how_many_queries_it_lacks(main_run: ProfileSection) -> None:
    verdict = tables.comparisons(main_run).rows[-1].cells[-1]
    assert verdict == Cell("◇ undecided", "about 782 more queries would be needed", "undecided")


def test_noisy_timings_are_named(main_run: ProfileSection) -> None:
    noisy = changed(main_run, "bm25", noise=Noise(spread=0.2, bound=0.1, noisy=True))
    quiet = changed(noisy, "dense", noise=Noise(spread=0.05, bound=0.1, noisy=False))
    assert _cells(tables.trust(quiet), "bm25")[-2:] == [Cell("20.0%", "bound 10.0%"), Cell("noisy", tone="worse")]
    assert _cells(tables.trust(quiet), "dense")[-1] == Cell("steady", tone="quiet")


def test_figures_of_a_busy_machine_stand_in_the_tables_with_a_mark(main_run: ProfileSection) -> None:
    busy = disturbed(main_run, "bm25", share=0.74)
    plain, marked = (_cells(tables.glance(run), "bm25") for run in (main_run, busy))
    assert [cell.text for cell in marked[3:6]] == [f"{cell.text} *" for cell in plain[3:6]]
    assert _cells(tables.glance(busy), "dense") == _cells(tables.glance(main_run), "dense")
    note = (
        " * measured, but in no headline or verdict: bm25: the machine was busy (74% of the time waiting for a core)."
    )
    assert tables.glance(busy).note.endswith(note)
    assert tables.latency(busy).note.endswith(note)
    rows = [row.cells for row in tables.latency(busy).rows if row.cells[0].text == "bm25"]
    assert all(cell.text.endswith(" *") for row in rows for cell in row[2:5])
    assert _cells(tables.trust(busy), "bm25")[-1].text == "busy"


def test_each_stage_shows_what_its_threads_did(main_run: ProfileSection) -> None:
    assert tables.cores(main_run) is None
    table = tables.cores(disturbed(main_run, "bm25", share=0.74))
    assert table is not None
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["bm25", "search", "2.00 ms", "6.00 ms", "74.0%", "", "", ""],
        ["bm25", "whole queries", "", "", "74.0%", "3.0", "0.0%", "90.0%"],
    ]


def test_tiles_withhold_what_rests_on_the_time_of_a_busy_machine(main_run: ProfileSection) -> None:
    _, latency, cost, *_ = tiles(disturbed(main_run, "dense", share=0.74))
    reason = "the machine was busy (74% of the time waiting for a core)"
    assert [(tile.label, tile.value, tile.note, tile.pipeline) for tile in (latency, cost)] == [
        ("Latency p50", "withheld", reason, ""),
        ("Cost of 1,000 queries", "withheld", reason, ""),
    ]


def test_only_web_addresses_become_links(main_run: ProfileSection) -> None:
    first, *others = main_run.rates
    rates = (first.model_copy(update={"source": "javascript:alert(1)"}), *others)
    table = rates_table(rates)
    assert [row.cells[-1].href for row in table.rows] == ["", "https://developers.openai.com/api/docs/pricing"]


def test_places_on_disk_are_not_shown(main_run: ProfileSection) -> None:
    environment = {**main_run.environment, "cache": "/home/somebody/.cache", "governor": "performance"}
    table = tables.machine(main_run.model_copy(update={"environment": environment}))
    machine = [cell.text for row in table.rows for cell in row.cells]
    assert "performance" in machine
    assert "/home/somebody/.cache" not in machine


def test_tiles_pick_extremes_with_their_intervals(main_run: ProfileSection) -> None:
    quality, latency, cost, *_ = tiles(main_run)
    assert (quality.label, quality.value, quality.pipeline) == ("Highest nDCG@10", "0.855", "hybrid")
    assert (quality.note, cost.label) == ("95% CI 0.690\u20130.976", "Lowest cost, 1,000 queries")
    assert (latency.unit, latency.pipeline, cost.pipeline) == ("µs", "bm25", "bm25")


def test_one_candidate_is_never_the_best(main_run: ProfileSection) -> None:
    alone = tiles(cut(main_run, "dense"))
    assert [tile.label for tile in alone[:3]] == ["nDCG@10", "Latency p50", "Cost of 1,000 queries"]


def test_without_a_priced_pipeline_the_tile_says_so(main_run: ProfileSection) -> None:
    cost = tiles(cut(unpriced(main_run, "bm25", "search"), "bm25"))[2]
    assert (cost.value, cost.note, cost.pipeline) == ("UNPRICED", "no pipeline is fully priced", "")


def test_the_evals_first_metric_leads(main_run: ProfileSection) -> None:
    by_precision = led_by(main_run, "P@5")
    glance = tables.glance(by_precision)
    assert [column.title for column in glance.columns[1:3]] == ["P@5", "Judged@5"]
    assert "Judged@5 is the share of the first 5 results" in glance.note
    assert "a higher P@5 and a lower latency" in glance.note
    assert tiles(by_precision)[0].label == "Highest P@5"


def test_of_a_thousand_pairs_only_those_with_the_best_pipeline_are_shown_and_the_rest_counted(
    main_run: ProfileSection,
) -> None:
    names = [*main_run.pipelines, *(f"variant {number}" for number in range(46))]
    whole = main_run.model_copy(
        update={
            "pipelines": {name: main_run.pipelines.get(name, main_run.pipelines["bm25"]) for name in names},
            "final_stage": {name: main_run.final_stage.get(name, "search") for name in names},
            "comparisons": tuple(
                main_run.comparisons[0].model_copy(update={"candidate": one, "baseline": other})
                for one, other in itertools.combinations(names, 2)
            ),
        }
    )
    table = tables.comparisons(whole)
    assert {"hybrid" in (row.cells[0].text, row.cells[1].text) for row in table.rows} == {True}
    assert (len(table.rows), table.title) == (49, "Comparisons with the highest-ranking pipeline")
    assert table.note.endswith("1,176 more pairs stand in summary.json.")
    assert len(tables.comparisons(main_run).rows) == len(main_run.comparisons) == 6
