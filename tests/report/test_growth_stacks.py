"""Stacks, and labels that keep apart: plain figures in, plain figures out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragprof.report.lines import Stack, apart, bottom, gaps, mark, parts_of, pieces, top, whole
from ragprof.studies.growth import charts as growth_stack_charts

Variant = Callable[..., dict[str, Any]]


def _slabs(stacks: list[Stack]) -> list[tuple[str, int, float, float]]:
    return [(row["part"], row["side"], row["low"], row["high"]) for row in pieces(stacks, str)]


def test_parts_lie_on_top_of_each_other() -> None:
    assert _slabs([Stack(10, {"search": 2.0, "rerank": 5.0})]) == [("search", 1, 0.0, 2.0), ("rerank", 1, 2.0, 7.0)]


def test_what_is_won_lies_below_zero() -> None:
    stacks = [Stack(10, {"embedding": 0.3, "rerank": -0.1, "packing": 0.05})]
    assert _slabs(stacks) == [
        ("embedding", 1, 0.0, 0.3),
        ("rerank", 1, 0.3, 0.3),
        ("packing", 1, 0.3, 0.35),
        ("embedding", -1, 0.0, 0.0),
        ("rerank", -1, 0.0, -0.1),
        ("packing", -1, -0.1, -0.1),
    ]
    assert (top(stacks), bottom(stacks)) == (0.35, -0.1)


def test_a_size_with_a_missing_part_is_not_stacked() -> None:
    found = {10: {"search": 1.0, "rerank": None}, 20: {"search": 2.0, "rerank": 4.0}}
    assert whole(found) == [Stack(20, {"search": 2.0, "rerank": 4.0})]
    assert gaps(found) == [10]


def test_a_part_that_is_missing_everywhere_is_no_part() -> None:
    found = {10: {"embedding": 0.2, "index": None}, 20: {"embedding": 0.3, "index": None}}
    assert parts_of(found) == ["embedding"]
    assert [stack.size for stack in whole(found)] == [10, 20]
    assert gaps(found) == []


def test_nothing_measured_is_no_stack() -> None:
    assert whole({10: {"search": None}}) == []
    assert gaps({10: {"search": None}}) == []


def test_labels_keep_their_height_apart_and_inside() -> None:
    heights = {"a": 16, "b": 32, "c": 16}
    assert apart({"a": 50, "b": 52, "c": 60}, heights, room=(0, 200)) == {"a": 50, "b": 66, "c": 98}
    assert apart({"a": 90, "b": 92, "c": 95}, heights, room=(0, 100)) == {"a": 36, "b": 52, "c": 84}
    assert apart({}, {}, room=(0, 100)) == {}


def test_a_mark_without_a_value_has_no_interval() -> None:
    nothing = mark(10, None, (0.1, 0.2), str)
    assert (nothing.value, nothing.low, nothing.high, nothing.words) == (None, None, None, "n/a")


def _values(chart: Any, name: str, field: str = "part") -> list[dict[str, Any]]:
    spec = next(panel.spec for panel in chart.panels if panel.pipeline == name)
    return [row for found in spec["datasets"].values() for row in found if field in row]


def test_the_reranker_wins_below_zero(grown: dict[str, Any]) -> None:
    chart = growth_stack_charts.loss(grown)
    won = [row for row in _values(chart, "dense+maxsim") if row["part"] == "rerank" and row["side"] == -1]
    assert (won[-1]["x"], won[-1]["low"], won[-1]["high"]) == (19740, 0.0, -0.053269)
    assert {row["side"] for row in _values(chart, "dense")} == {1}


def test_an_index_loss_that_was_not_measured_is_in_no_stack(grown: dict[str, Any]) -> None:
    chart = growth_stack_charts.loss(grown)
    assert {row["part"] for row in _values(chart, "bm25")} == {"embedding", "packing"}
    assert {row["part"] for row in _values(chart, "dense")} == {"embedding", "index", "packing"}


def test_time_is_stacked_in_the_order_of_a_query(grown: dict[str, Any]) -> None:
    rows = [row for row in _values(growth_stack_charts.time(grown), "dense+maxsim") if row["x"] == 1234]
    assert [row["part"] for row in rows] == ["embed", "search", "rerank", "inject", "unaccounted"]
    assert rows[0]["words"] == "7.20 ms"
    assert rows[-1]["high"] == pytest.approx(157.51, abs=0.01)


def test_p95_end_to_end_has_its_interval(grown: dict[str, Any]) -> None:
    first, *_ = _values(growth_stack_charts.time(grown), "bm25", "value")
    assert (first["x"], first["value"], first["low"], first["high"]) == (1234, 1.6447, 1.546, 1.7927)


def test_a_stage_that_is_missing_at_one_size_is_said(grown: dict[str, Any]) -> None:
    grown["growth"]["pipelines"]["dense+maxsim"]["all_judged"][2]["stages"]["rerank"] = None
    chart = growth_stack_charts.time(grown)
    assert chart is not None
    assert chart.notes == ("dense+maxsim at 2,727 passages: incomplete",)
    assert 2727 not in {row["x"] for row in _values(chart, "dense+maxsim")}


def test_a_pipeline_without_timings_is_said(grown: dict[str, Any]) -> None:
    for point in grown["growth"]["pipelines"]["hybrid"]["all_judged"]:
        point |= {"stages": None, "end_to_end": None, "unaccounted": None}
    chart = growth_stack_charts.time(grown)
    assert chart is not None
    assert chart.notes == ("hybrid: n/a",)
    assert "hybrid" not in [panel.pipeline for panel in chart.panels]


def test_shares_of_the_context_are_those_of_the_summary(grown: dict[str, Any]) -> None:
    chart = growth_stack_charts.context(grown)
    rows = {row["part"]: row for row in _values(chart, "dense") if row["x"] == 1234}
    assert (rows["relevant"]["low"], rows["relevant"]["high"]) == (0.0, 0.30876)
    assert rows["relevant"]["words"] == "30.9%"
    assert rows["contradicting"]["high"] == pytest.approx(1.0)
    assert [key.label for key in chart.legend] == ["relevant", "unjudged", "irrelevant"]


def test_without_shares_the_context_is_not_drawn(grown: dict[str, Any]) -> None:
    for curves in grown["growth"]["pipelines"].values():
        for point in curves["all_judged"]:
            del point["context_share"]
    assert growth_stack_charts.context(grown) is None
