"""What every signal owes the routing study, and what the shipped ones say. A new file is tested by being there."""

from __future__ import annotations

import math

import pytest

from ragprof.core import Doc, Query, Ranking, ScoredDoc, registry
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Signal

QUERY = Query("q", "how do I open a file")


def ranking(*scores: float) -> Ranking:
    return tuple(ScoredDoc(Doc(f"d{place}", "", "text", f"d{place}"), score) for place, score in enumerate(scores))


def signal(name: str) -> Signal:
    made: Signal = registry.create("signals", PartSpec(name=name))
    return made


@pytest.mark.parametrize("name", registry.names("signals"))
@pytest.mark.parametrize("scores", [(), (0.4,), (0.4, 0.4), (0.9, 0.5, 0.1), (-3.0, -7.5)])
def test_every_signal_is_finite_and_says_the_same_twice(name: str, scores: tuple[float, ...]) -> None:
    first, second = (signal(name).value(QUERY, ranking(*scores)) for _ in range(2))
    assert math.isfinite(first)
    assert first == second


def test_the_margin_is_the_lead_as_a_share_of_the_spread() -> None:
    assert signal("margin").value(QUERY, ranking(1.0, 0.75, 0.0)) == 0.25


def test_a_level_ranking_has_no_margin_and_a_single_result_a_full_one() -> None:
    assert signal("margin").value(QUERY, ranking(0.5, 0.5, 0.5)) == 0.0
    assert signal("margin").value(QUERY, ranking(0.5)) == 1.0


def test_the_gap_is_in_the_units_of_the_store() -> None:
    assert signal("score_gap").value(QUERY, ranking(12.5, 10.0, 1.0)) == 2.5


def test_the_top_score_is_that_of_the_first() -> None:
    assert signal("top_score").value(QUERY, ranking(0.75, 0.5)) == 0.75
