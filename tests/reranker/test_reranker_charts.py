"""Which charts of the rerankers there are, and what each of them says and leaves out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from ragprof.report.palette import FLIP
from ragprof.report.theme import Chart, static_svgs
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker import charts
from ragprof.studies.reranker.section import PaysFrom, RerankerSection, RerankerVerdict

DENSE = "dense+overlap"
TITLES = {
    "break_even": {
        "Price of the LLM's prompt tokens (USD per million tokens, logarithmic)",
        "Reranker's price (\u00d7 today's, logarithmic)",
    },
    "depth": {"nDCG@10 and evidence@3", "\u00b5s per query", "Depth (candidates that the reranker reads)"},
    "headroom": {"nDCG@10 (1 is a perfect ranking)"},
    "changes": {"Single queries, the most helped first", "Change of nDCG@10, query by query"},
    "routing": {"Share of the queries that are reranked", "Share of the gain that is kept"},
    "growth": {"Corpus size (passages)", "Gain in nDCG@10"},
}


def draw(kind: str, one: RerankerVerdict) -> Chart | None:
    chart: Chart | None = getattr(charts, kind)(charts.Drawn(one, DENSE, 1, "#123456"))
    return chart


def drawn(kind: str, one: RerankerVerdict) -> Chart:
    chart = draw(kind, one)
    assert chart is not None
    return chart


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for found in spec["datasets"].values() for row in found]


def channels(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for layer in [spec, *spec.get("layer", [])]:
        for channel in ("x", "y"):
            found = layer.get("encoding", {}).get(channel)
            if isinstance(found, dict):
                yield found


def words(spec: dict[str, Any]) -> set[str]:
    return {row["word"] for row in rows(spec) if "word" in row}


@pytest.fixture(scope="module")
def dense(section: RerankerSection) -> RerankerVerdict:
    return section.verdicts[DENSE]


@pytest.mark.parametrize("kind", list(TITLES))
@pytest.mark.usefixtures("real_pictures")
def test_every_chart_has_titled_axes_says_what_it_rests_on_and_compiles(kind: str, dense: RerankerVerdict) -> None:
    chart = drawn(kind, dense)
    pictures = chart.pictures().values()
    assert {found["title"] for spec in pictures for found in channels(spec) if found.get("title")} == TITLES[kind]
    assert "12 queries" in chart.caption
    assert "95% interval" in chart.caption
    for spec in pictures:
        assert static_svgs([(spec, 600)])[0].startswith("<svg")
        assert "http" not in json.dumps(spec)


def test_charts_without_data_are_left_out(dense: RerankerVerdict) -> None:
    flips = dense.statement.break_even.model_copy(update={"grid": None})
    statement = dense.statement.model_copy(update={"break_even": flips})
    oracle = EstimateValue(mean=None, interval=None, n=0)
    clearest = dense.queries.clearest.model_copy(update={"helped": (), "hurt": ()})
    bare = {
        "statement": statement, "growth": None, "routing": (),
        "headroom": dense.headroom.model_copy(update={"oracle": oracle}),
        "queries": dense.queries.model_copy(update={"clearest": clearest}),
    }  # fmt: skip
    one = dense.model_copy(update=bare)
    assert [draw(kind, one) for kind in ("break_even", "headroom", "changes", "routing", "growth")] == [None] * 5


def test_who_wins_is_told_by_lightness_texture_and_a_word(dense: RerankerVerdict) -> None:
    chart = drawn("break_even", dense)
    assert {(key.label, key.texture) for key in chart.legend} <= {
        ("saves money", ""), ("undecided", "dotted"), ("costs money", "hatched"),
    }  # fmt: skip
    assert {key.label for key in chart.legend} <= words(chart.spec)
    greys = sorted(_grey(colour) for colour in FLIP.values())
    assert greys[1] - greys[0] > 60
    assert greys[2] - greys[1] > 40


def test_words_of_the_winners_come_in_the_order_of_the_grid(dense: RerankerVerdict) -> None:
    """In that of a set every process would draw another page of the same recording."""
    grid = dense.statement.break_even.grid
    assert grid is not None
    won = [row["told"] for row in rows(drawn("break_even", dense).spec) if {"word", "told"} <= row.keys()]
    assert won == list(dict.fromkeys(cell.told for cell in grid.cells))


def _grey(colour: str) -> float:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_a_cell_reaches_half_way_to_its_neighbours(dense: RerankerVerdict) -> None:
    found = [row for row in rows(drawn("break_even", dense).spec) if "x_end" in row]
    assert len(found) == 13 * 14
    first, following = found[:2]
    assert (first["x"], first["x_end"], following["x"]) == (0.014747, 0.027125, 0.027125)
    assert first["prices"] == "$0.0200 and 0.01\u00d7"


def test_todays_prices_and_known_llms_are_marked(dense: RerankerVerdict) -> None:
    chart = drawn("break_even", dense)
    today = next(row for row in rows(chart.spec) if row.get("word") == "today")
    assert (today["x"], today["y"]) == (0.15, 1.0)
    assert {"openai:gpt-4o-mini ($0.15)", "openai:gpt-4o ($2.5)"} <= words(chart.spec)
    assert "The ring is today: net +$1.99 (+$1.99 to +$2.00) at the prices of openai:gpt-4o-mini." in chart.caption


def test_a_price_that_lies_outside_or_is_unknown_is_said(dense: RerankerVerdict) -> None:
    first, second = dense.statement.scenarios
    scenarios = (
        first.model_copy(update={"usd_per_million_tokens": "900"}),
        second.model_copy(update={"usd_per_million_tokens": None}),
    )
    one = dense.model_copy(update={"statement": dense.statement.model_copy(update={"scenarios": scenarios})})
    assert drawn("break_even", one).notes == (
        "openai:gpt-4o-mini: its price lies outside", "openai:gpt-4o: UNPRICED",
    )  # fmt: skip


def test_a_free_llm_has_no_ring_on_a_logarithmic_axis(dense: RerankerVerdict) -> None:
    grid = dense.statement.break_even.grid
    assert grid is not None
    here = grid.here.model_copy(update={"llm_usd_per_million_tokens": None})
    flips = dense.statement.break_even.model_copy(update={"grid": grid.model_copy(update={"here": here})})
    one = dense.model_copy(update={"statement": dense.statement.model_copy(update={"break_even": flips})})
    assert "today" not in words(drawn("break_even", one).spec)


def test_depth_has_quality_above_latency_with_the_same_depths(dense: RerankerVerdict) -> None:
    chart = drawn("depth", dense)
    assert chart.stacked
    assert [panel.title for panel in chart.panels] == ["Quality at k = 3", "Latency of a query, end to end"]
    domains = {
        tuple(found["scale"]["domain"])
        for panel in chart.panels
        for found in channels(panel.spec)
        if found.get("field") == "x"
    }
    assert len(domains) == 1
    assert words(chart.panels[0].spec) == {"knee", "own"}


def test_timed_and_composed_latencies_are_told_apart(dense: RerankerVerdict) -> None:
    chart = drawn("depth", dense)
    found = rows(chart.panels[1].spec)
    live, composed = (
        {row["x"] for row in found if row.get("name") == name} for name in ("live p50", "composed estimate")
    )
    assert live == composed == {4, 7, 15, 20}
    keys = {key.label: key.hollow for key in chart.legend}
    assert keys["composed estimate (not timed)"]
    assert not keys["live p50"]
    assert {row["x"] for row in found if "name" not in row and "low" in row} == live


def test_one_depth_may_be_several_things_and_without_timings_quality_stands_alone(dense: RerankerVerdict) -> None:
    assert dense.knee is not None
    assert dense.depth_curve
    untimed = {"p50_ns": None, "p50_interval_ns": None, "composed_p50_ns": None, "timed_queries": 0}
    steps = tuple(step.model_copy(update=untimed) for step in dense.depth_curve)
    changes = {"knee": dense.knee.model_copy(update={"depth": 15}), "depth_curve": steps}
    chart = drawn("depth", dense.model_copy(update=changes))
    assert "own = knee" in words(chart.panels[0].spec)
    assert len(chart.panels) == 1
    assert "Latency n/a: nothing was timed." in chart.caption


def test_the_bar_of_headroom_is_whole_and_every_part_has_its_interval(dense: RerankerVerdict) -> None:
    chart = drawn("headroom", dense)
    parts = [row for row in rows(chart.spec) if "part" in row]
    assert parts[0]["low"] == 0
    assert parts[-1]["high"] == 1 or dense.headroom.oracle.mean == 1.0
    assert all(before["high"] == after["low"] for before, after in pairwise(parts))
    assert all(re_interval in key.label for key in chart.legend for re_interval in ("(", ")"))


def test_a_reranker_that_harms_takes_from_what_search_won(section: RerankerSection) -> None:
    chart = drawn("headroom", section.verdicts["hybrid+overlap"])
    assert [row["part"] for row in rows(chart.spec) if "part" in row][:2] == ["search", "harm"]
    assert chart.legend[1].texture == "hatched"


def test_a_score_axis_ends_at_1(dense: RerankerVerdict) -> None:
    top = EstimateValue(mean=0.999, interval=(0.99, 1.0), n=12)
    steps = tuple(step.model_copy(update={"scores": dict.fromkeys(step.scores, top)}) for step in dense.depth_curve)
    chart = drawn("depth", dense.model_copy(update={"depth_curve": steps}))
    ends = {found["scale"]["domain"][1] for found in channels(chart.panels[0].spec) if found.get("field") == "value"}
    assert ends == {1.0}


def test_routing_has_a_line_a_signal_and_the_choice(dense: RerankerVerdict) -> None:
    chart = drawn("routing", dense)
    assert [key.label for key in chart.legend] == ["margin", "top_score", "queries picked at random"]
    assert "rerank 100.0%, keep 100.0%" in words(chart.spec)


def test_an_open_interval_of_routing_reaches_the_edge_of_the_plot(dense: RerankerVerdict) -> None:
    step = dense.routing[3].model_copy(update={"interval": (0.4, None)})
    chart = drawn("routing", dense.model_copy(update={"routing": (*dense.routing[:3], step, *dense.routing[4:])}))
    row = next(row for row in rows(chart.spec) if row.get("words", "").endswith("or more)"))
    assert row["high"] == 1.84
    assert "Bands that leave the plot are cut" in chart.caption


def test_growth_marks_where_it_pays(dense: RerankerVerdict) -> None:
    assert dense.growth is not None
    pays = PaysFrom(size=16, interval=(15, 18), status="crosses")
    chart = drawn("growth", dense.model_copy(update={"growth": dense.growth.model_copy(update={"pays_from": pays})}))
    assert words(chart.spec) == {"pays from 16"}
    assert "Pays from 16 passages on (15\u201318)." in chart.caption
    assert "From which size it pays: from the smallest size." in drawn("growth", dense).caption


def test_single_queries_are_sorted_and_the_others_counted(dense: RerankerVerdict) -> None:
    found = [row for row in rows(drawn("changes", dense).spec) if "kind" in row]
    assert [row["change"] for row in found] == sorted((row["change"] for row in found), reverse=True)
    counts = {"helped": 71, "hurt": 28, "unchanged": 51}
    more = dense.model_copy(update={"queries": dense.queries.model_copy(update=counts)})
    others = next(row["words"] for row in rows(drawn("changes", more).spec) if "\n" in row.get("words", ""))
    helped, hurt = (len(getattr(dense.queries.clearest, kind)) for kind in ("helped", "hurt"))
    assert others == f"more helped: {71 - helped}\nunchanged: 51\nmore hurt: {28 - hurt}"
