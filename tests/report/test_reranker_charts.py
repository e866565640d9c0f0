"""Which charts of the rerankers there are, and what each of them says and leaves out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ragprof.report.palette import FLIP
from ragprof.report.theme import Chart, static_svg
from ragprof.session.pages import draw
from ragprof.studies.reranker.charts import break_even, changes, depth, growth, headroom, routing

FULL, SPARSE = "dense+maxsim", "hybrid+maxsim"
TITLES = {
    "break-even": {
        "Price of the LLM's prompt tokens (USD per million tokens, logarithmic)",
        "Reranker's price (\u00d7 today's, logarithmic)",
    },
    "depth": {"nDCG@10 and evidence@5", "ms per query", "Depth (candidates that the reranker reads)"},
    "headroom": {"nDCG@10 (1 is a perfect ranking)"},
    "queries": {"Single queries, the most helped first", "Change of nDCG@10, query by query"},
    "routing": {"Share of the queries that are reranked", "Share of the gain that is kept"},
    "growth": {"Corpus size (passages)", "Gain in nDCG@10"},
}
Summary = dict[str, Any]


def _chart(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def _rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for found in spec["datasets"].values() for row in found]


def _channels(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for layer in [spec, *spec.get("layer", [])]:
        for channel in ("x", "y"):
            found = layer.get("encoding", {}).get(channel)
            if isinstance(found, dict):
                yield found


def _words(spec: dict[str, Any]) -> set[str]:
    return {row["word"] for row in _rows(spec) if "word" in row}


@pytest.fixture(scope="module")
def charts(whole_rerankers: Summary) -> dict[str, Chart]:
    return {key: chart for key, chart in draw(whole_rerankers).items() if key.startswith("reranker-")}


def test_a_pipeline_has_a_set_of_its_own_and_charts_without_data_are_left_out(charts: dict[str, Chart]) -> None:
    assert list(charts) == [*(f"reranker-1-{kind}" for kind in TITLES), "reranker-2-depth", "reranker-2-queries"]


def test_every_axis_has_a_title_with_its_unit(charts: dict[str, Chart]) -> None:
    for kind, titles in TITLES.items():
        specs = charts[f"reranker-1-{kind}"].pictures().values()
        assert {found["title"] for spec in specs for found in _channels(spec) if found.get("title")} == titles


def test_every_chart_says_what_it_rests_on(charts: dict[str, Chart]) -> None:
    for chart in charts.values():
        assert "160 queries" in chart.caption
        assert "95% interval" in chart.caption or "Intervals n/a" in chart.caption


def test_every_chart_compiles_and_names_no_address(charts: dict[str, Chart]) -> None:
    for chart in charts.values():
        for spec in chart.pictures().values():
            assert static_svg(spec).startswith("<svg")
            assert "http" not in json.dumps(spec)


def test_nothing_is_drawn_without_verdicts(summary: Summary) -> None:
    for absent in ({}, {"reranker": None}, {"reranker": {}}, {"reranker": {FULL: None}}):
        assert not [key for key in draw({**summary, **absent}) if key.startswith("reranker-")]


def test_who_wins_is_told_by_lightness_texture_and_a_word(charts: dict[str, Chart]) -> None:
    chart = charts["reranker-1-break-even"]
    assert [(key.label, key.texture) for key in chart.legend] == [
        *(("saves money", ""), ("undecided", "dotted"), ("costs money", "hatched"))
    ]
    greys = sorted(_grey(colour) for colour in FLIP.values())
    assert greys[1] - greys[0] > 60
    assert greys[2] - greys[1] > 40
    assert {"saves money", "costs money", "undecided"} <= _words(chart.spec)


def _grey(colour: str) -> float:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_a_cell_reaches_half_way_to_its_neighbours(charts: dict[str, Chart]) -> None:
    cells = [row for row in _rows(charts["reranker-1-break-even"].spec) if "x_end" in row]
    assert len(cells) == 169
    first, following = cells[:2]
    assert (first["x"], first["x_end"], following["x"]) == (0.014747, 0.027125, 0.027125)
    assert (first["told"], first["prices"], first["net"]) == ("saves", "$0.0200 and 0.01\u00d7", "\u2212$0.00783")


def test_todays_prices_and_known_llms_are_marked(charts: dict[str, Chart]) -> None:
    spec = charts["reranker-1-break-even"].spec
    today = next(row for row in _rows(spec) if row.get("word") == "today")
    assert (today["x"], today["y"]) == (2.5, 1.0)
    assert {"gemini-2.0-flash-lite ($0.075)", "gpt-4o-mini ($0.15)", "gpt-4o ($2.5)"} <= _words(spec)
    assert (
        "net \u2212$0.984 (\u2212$1.20 to \u2212$0.763) at the prices of gpt-4o"
        in charts["reranker-1-break-even"].caption
    )


def test_a_price_that_lies_outside_or_is_unknown_is_said(reranked: Summary) -> None:
    scenarios = reranked["reranker"][FULL]["statement"]["scenarios"]
    scenarios[0] |= {"usd_per_million_tokens": "900"}
    scenarios[1] |= {"usd_per_million_tokens": None}
    assert _chart(break_even(reranked, FULL, 1)).notes == (
        *("gemini-2.0-flash-lite: its price lies outside", "gpt-4o-mini: UNPRICED"),
    )


def test_a_free_llm_has_no_ring_on_a_logarithmic_axis(reranked: Summary) -> None:
    reranked["reranker"][FULL]["statement"]["break_even"]["grid"]["here"]["llm_usd_per_million_tokens"] = None
    assert "today" not in _words(_chart(break_even(reranked, FULL, 1)).spec)


def test_depth_has_quality_above_latency_with_the_same_depths(charts: dict[str, Chart]) -> None:
    chart = charts["reranker-1-depth"]
    assert chart.stacked
    assert [panel.title for panel in chart.panels] == ["Quality at k = 5", "Latency of a query, end to end"]
    domains = {
        tuple(found["scale"]["domain"])
        for panel in chart.panels
        for found in _channels(panel.spec)
        if found.get("field") == "x"
    }
    assert len(domains) == 1
    assert _words(chart.panels[0].spec) == {"knee", "own", "falls from here"}


def test_timed_and_composed_latencies_are_told_apart(charts: dict[str, Chart]) -> None:
    rows = _rows(charts["reranker-1-depth"].panels[1].spec)
    live, composed = (
        {row["x"] for row in rows if row.get("name") == name} for name in ("live p50", "composed estimate")
    )
    assert (live, composed) == ({5, 20, 50}, {5, 10, 20, 30, 50})
    keys = {key.label: key.hollow for key in charts["reranker-1-depth"].legend}
    assert keys["composed estimate (not timed)"]
    assert not keys["live p50"]
    whisker = next(row for row in rows if row["x"] == 20 and "name" not in row and "low" in row)
    assert (whisker["low"], whisker["high"]) == (74.976, 82.005)


def test_one_depth_may_be_several_things(reranked: Summary) -> None:
    reranked["reranker"][FULL]["knee"]["depth"] = 20
    assert "own = knee" in _words(_chart(depth(reranked, FULL, 1)).panels[0].spec)


def test_without_timings_quality_stands_alone(charts: dict[str, Chart]) -> None:
    chart = charts["reranker-2-depth"]
    assert len(chart.panels) == 1
    assert "Latency n/a: nothing was timed." in chart.caption


def test_the_bar_of_headroom_is_whole_and_every_part_has_its_interval(charts: dict[str, Chart]) -> None:
    chart = charts["reranker-1-headroom"]
    parts = [(row["part"], row["low"], row["high"]) for row in _rows(chart.spec) if "part" in row]
    assert parts == [("search", 0, 0.512), ("reranker", 0.512, 0.563), ("left", 0.563, 0.744), ("missed", 0.744, 1)]
    assert [key.label for key in chart.legend] == [
        "won by search 0.512 (0.461\u20130.563)",
        "won by the reranker +0.051 (+0.032 to +0.070)",
        "left by ordering 0.181 (0.151\u20130.211)",
        "missed by search 0.256 (0.208\u20130.304)",
    ]


def test_a_reranker_that_harms_takes_from_what_search_won(reranked: Summary) -> None:
    reranked["reranker"][FULL]["headroom"]["reranked"] = {"mean": 0.45, "interval": [0.4, 0.5], "n": 160}
    chart = _chart(headroom(reranked, FULL, 1))
    parts = [(row["part"], row["low"], row["high"]) for row in _rows(chart.spec) if "part" in row]
    assert parts[:3] == [("search", 0, 0.45), ("harm", 0.45, 0.512), ("left", 0.512, 0.744)]
    assert chart.legend[1].texture == "hatched"


def test_routing_has_a_line_a_signal_and_the_choice(charts: dict[str, Chart]) -> None:
    chart = charts["reranker-1-routing"]
    assert [key.label for key in chart.legend] == ["margin", "entropy", "queries picked at random"]
    assert "rerank 30.0%, keep 63.3%" in _words(chart.spec)


def test_an_open_interval_of_routing_reaches_the_edge_of_the_plot(reranked: Summary) -> None:
    reranked["reranker"][FULL]["routing"][3]["interval"] = [0.4, None]
    chart = _chart(routing(reranked, FULL, 1))
    row = next(row for row in _rows(chart.spec) if row.get("words", "").endswith("or more)"))
    assert row["high"] == 1.84
    assert "Bands that leave the plot are cut" in chart.caption


def test_growth_marks_where_it_pays(charts: dict[str, Chart], reranked: Summary) -> None:
    assert _words(charts["reranker-1-growth"].spec) == {"pays from 10,000"}
    assert "Pays from 10,000 passages on (3,000\u201330,000)." in charts["reranker-1-growth"].caption
    reranked["reranker"][FULL]["growth"]["pays_from"] = {"size": None, "interval": None, "status": "never"}
    chart = _chart(growth(reranked, FULL, 1))
    assert _words(chart.spec) == set()
    assert "From which size it pays: never." in chart.caption


def test_single_queries_are_sorted_and_the_others_counted(charts: dict[str, Chart], reranked: Summary) -> None:
    rows = [row for row in _rows(charts["reranker-1-queries"].spec) if "kind" in row]
    assert [row["change"] for row in rows] == sorted((row["change"] for row in rows), reverse=True)
    others = next(row["words"] for row in _rows(charts["reranker-1-queries"].spec) if "\n" in row.get("words", ""))
    assert others == "more helped: 61\nunchanged: 51\nmore hurt: 28"
    reranked["reranker"][FULL]["queries"]["clearest"] = {"helped": [], "hurt": [], "unchanged": []}
    assert changes(reranked, FULL, 1) is None
