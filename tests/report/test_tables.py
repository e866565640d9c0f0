from __future__ import annotations

from typing import Any

from ragprof.report.tables import Cell, Table
from ragprof.studies.profile import tables as context_tables
from ragprof.studies.profile import tables as pipeline_tables
from ragprof.studies.profile.headline import tiles


def _cells(table: Table, first: str) -> list[Cell]:
    return list(next(row.cells for row in table.rows if row.cells[0].text == first))


def test_an_unpriced_reranker_leaves_the_total_unpriced(summary: dict[str, Any]) -> None:
    cells = _cells(pipeline_tables.cost(summary), "hybrid+maxsim")
    assert [cell.text for cell in cells] == [
        "hybrid+maxsim",
        "$0.00459",
        "$0.00402",
        "UNPRICED",
        "$0.202",
        "UNPRICED",
        "UNPRICED",
    ]
    assert cells[5].note == "without it $0.211"


def test_a_stage_that_a_pipeline_lacks_costs_no_zero(summary: dict[str, Any]) -> None:
    assert _cells(pipeline_tables.cost(summary), "bm25")[1] == Cell("n/a", tone="absent")


def test_a_free_stage_costs_zero(summary: dict[str, Any]) -> None:
    summary["pipelines"]["bm25"]["cost_usd_per_1000_queries"]["search"] = "0"
    assert _cells(pipeline_tables.cost(summary), "bm25")[2].text == "$0"


def test_judged_stands_beside_every_quality_column(summary: dict[str, Any]) -> None:
    titles = [column.title for column in pipeline_tables.quality(summary).columns[2:-1]]
    assert titles[::2] == ["nDCG@10", "RR@10", "R@20", "P@5", "AP", "Success@5"]
    assert titles[1::2] == ["Judged@10", "Judged@10", "Judged@20", "Judged@5", "Judged", "Judged@5"]


def test_quality_at_a_glance_is_that_of_the_final_stage(summary: dict[str, Any]) -> None:
    glance = pipeline_tables.glance(summary)
    assert _cells(glance, "dense+maxsim")[1] == Cell("0.563", "0.517\u20130.608")
    assert _cells(glance, "dense")[1] == Cell("0.512", "0.466\u20130.557")


def test_without_a_final_stage_there_is_no_final_quality(summary: dict[str, Any]) -> None:
    del summary["final_stage"]["dense"]
    assert _cells(pipeline_tables.glance(summary), "dense")[1] == Cell("n/a", tone="absent")


def test_a_missing_interval_says_so(summary: dict[str, Any]) -> None:
    summary["pipelines"]["bm25"]["end_to_end"]["p50_interval_ns"] = None
    assert _cells(pipeline_tables.glance(summary), "bm25")[3] == Cell("3.43 ms", "interval n/a")


def test_latency_rows_end_with_end_to_end(summary: dict[str, Any]) -> None:
    rows = [row for row in pipeline_tables.latency(summary).rows if row.cells[0].text == "dense+maxsim"]
    assert [row.cells[1].text for row in rows] == ["embed", "search", "rerank", "inject", "end to end"]
    assert [row.span for row in rows] == [5, 0, 0, 0, 0]


def test_an_undecided_comparison_says_how_many_queries_it_lacks(summary: dict[str, Any]) -> None:
    verdict = context_tables.comparisons(summary).rows[-1].cells[-1]
    assert verdict == Cell("◇ undecided", "about 85 more queries would be needed", "undecided")


def test_noisy_timings_are_named(summary: dict[str, Any]) -> None:
    trust = pipeline_tables.trust(summary)
    assert _cells(trust, "static")[-1] == Cell("noisy", tone="worse")
    assert _cells(trust, "dense")[-1] == Cell("steady", tone="quiet")


def test_only_web_addresses_become_links(summary: dict[str, Any]) -> None:
    summary["rates"][0]["source"] = "javascript:alert(1)"
    sources = [row.cells[-1] for row in context_tables.rates(summary).rows]
    assert [source.href for source in sources] == ["", "https://openai.com/api/pricing/", ""]


def test_places_on_disk_are_not_shown(summary: dict[str, Any]) -> None:
    summary["environment"] |= {"cache": "/home/somebody/.cache", "governor": "performance"}
    machine = [cell.text for row in context_tables.machine(summary).rows for cell in row.cells]
    assert "performance" in machine
    assert "/home/somebody/.cache" not in machine


def test_tiles_pick_extremes_with_their_intervals(summary: dict[str, Any]) -> None:
    quality, latency, cost, *_ = tiles(summary)
    assert (quality.label, quality.value, quality.pipeline) == ("Highest nDCG@10", "0.581", "hybrid+maxsim")
    assert (latency.value, latency.unit, latency.pipeline) == ("3.43", "ms", "bm25")
    assert (cost.value, cost.note) == ("$0.185", "95% interval $0.182\u2013$0.189")


def test_one_candidate_is_never_the_best(summary: dict[str, Any]) -> None:
    summary["pipelines"] = {"dense": summary["pipelines"]["dense"]}
    assert [tile.label for tile in tiles(summary)[:3]] == ["nDCG@10", "Latency p50", "Cost of 1,000 queries"]


def test_every_table_survives_a_summary_of_nulls(bare: dict[str, Any]) -> None:
    assert [cell.text for cell in pipeline_tables.glance(bare).rows[0].cells[1:7]] == ["n/a"] * 6
    assert {cell.text for cell in pipeline_tables.trust(bare).rows[0].cells[1:]} == {"n/a"}
    assert [tile.value for tile in tiles(bare)] == ["n/a"] * 5
