"""Reranking only where the retriever is unsure: what is kept of the gain and saved of the cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from reranker_data import Arm, data_of

from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.routing import routing, routing_choice

TOP = "Success@1"
SURE = [float(query) for query in range(100)]


def improvable(number: int, signals: dict[str, Sequence[float]], *, usd: Any = 0.001) -> RerankerData:
    """Of 100 queries the first `number` gain 1 each, the others have their document on top anyway."""
    search = [2] * number + [1] * (100 - number)
    return data_of(Arm(search, [1] * 100, signals=signals, usd=usd), metric=TOP)


def noise(seed: int) -> list[float]:
    return list(np.random.default_rng(seed).random(100))


def test_there_is_a_row_for_every_signal_and_tenth() -> None:
    rows = routing(improvable(30, {"margin": SURE, "gap": noise(0)}), "reranked")
    assert [row.signal for row in rows] == ["margin"] * 10 + ["gap"] * 10
    assert [row.threshold for row in rows[:10]] == pytest.approx(
        [9.9, 19.8, 29.7, 39.6, 49.5, 59.4, 69.3, 79.2, 89.1, None]
    )
    assert [row.share_reranked for row in rows[:10]] == pytest.approx([share / 10 for share in range(1, 11)], abs=0.05)


def test_a_perfect_signal_keeps_everything_from_the_share_that_gains() -> None:
    rows = routing(improvable(30, {"margin": SURE}), "reranked")
    assert all(row.share_of_gain_kept == 1.0 for row in rows[3:])
    # Of 100 questions none lost anything: up to 3.62 % of others may, each of 0.3 that is gained by a question.
    assert all(row.interval == pytest.approx((0.879278, 1.120722), abs=1e-6) for row in rows[3:-1])
    assert rows[-1].interval == (1.0, 1.0)  # every question is reranked
    assert 0.2 <= rows[0].share_of_gain_kept <= 0.45
    assert rows[0].interval[1] < 0.6


def test_a_perfect_signal_is_chosen_at_the_share_that_gains() -> None:
    found = routing_choice(improvable(30, {"noise": noise(1), "margin": SURE}), "reranked")
    assert found is not None
    assert found.signal == "margin"
    assert found.threshold == pytest.approx(29.7)
    assert found.share_reranked == pytest.approx(0.3, abs=0.1)
    assert found.share_of_gain_kept >= 0.9
    assert found.share_of_cost_saved == pytest.approx(1 - found.share_reranked)
    assert found.sentence.startswith("Rerank 3")
    assert found.sentence.endswith("% of the cost.")


@pytest.mark.parametrize("seed", range(5))
def test_noise_keeps_what_chance_keeps(seed: int) -> None:
    rows = routing(improvable(30, {"noise": noise(seed)}), "reranked")
    covered = [row.interval[0] <= row.random <= row.interval[1] for row in rows]
    assert sum(covered) >= 9


def test_noise_is_not_recommended() -> None:
    found = routing_choice(improvable(30, {"noise": noise(3)}), "reranked")
    assert found is not None
    assert "not significantly better than chance" in found.sentence or found.sentence.startswith("Rerank every query")


def test_where_every_query_gains_alike_every_query_is_reranked() -> None:
    found = routing_choice(improvable(100, {"margin": SURE}), "reranked")
    assert found is not None
    assert (found.signal, found.threshold) == (None, None)
    assert (found.share_reranked, found.share_of_gain_kept, found.share_of_cost_saved) == (1.0, 1.0, 0.0)
    assert found.sentence == "Rerank every query: by no signal does a smaller share of them keep 95 % of the gain."


def test_where_there_is_no_gain_there_is_none_to_keep() -> None:
    data = data_of(Arm([1] * 10, [2] * 10, signals={"margin": SURE[:10]}), metric=TOP)
    assert {row.share_of_gain_kept for row in routing(data, "reranked")} == {None}
    found = routing_choice(data, "reranked")
    assert found is not None
    assert found.share_reranked is None
    assert found.sentence == (
        "There is no significant gain that could be kept: reranking every query changes Success@1 by \u22121.000 "
        "(95% CI \u22121.000 to \u22120.383)."
    )


def test_leaving_out_what_is_hurt_keeps_more_than_everything() -> None:
    search, reranked = [2] * 50 + [1] * 50, [1] * 70 + [2] * 30
    rows = routing(data_of(Arm(search, reranked, signals={"margin": SURE}), metric=TOP), "reranked")
    assert rows[5].share_of_gain_kept == pytest.approx(2.5, abs=0.1)


def test_the_cost_saved_is_that_of_the_queries_left_out() -> None:
    """The sure half costs three times as much."""
    rows = routing(improvable(30, {"margin": SURE}, usd=[0.001] * 50 + [0.003] * 50), "reranked")
    assert rows[4].share_reranked == pytest.approx(0.5, abs=0.02)
    assert rows[4].share_of_cost_saved == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("usd", [None, 0.0, [0.001] * 50 + [None] * 50])
def test_without_every_querys_cost_queries_are_counted(usd: Any) -> None:
    for row in routing(improvable(30, {"margin": SURE}, usd=usd), "reranked"):
        assert row.share_of_cost_saved == pytest.approx(1 - row.share_reranked)


def test_a_query_without_a_signal_is_the_least_sure() -> None:
    data = improvable(8, {"margin": [*[float("nan")] * 8, *SURE[8:]]})
    assert routing(data, "reranked")[0].share_of_gain_kept == 1.0


def test_without_signals_there_is_no_routing() -> None:
    data = improvable(30, {})
    assert routing(data, "reranked") == ()
    assert routing_choice(data, "reranked") is None


def test_of_a_gain_that_is_not_told_there_is_no_share() -> None:
    search, reranked = [2] * 6 + [1] * 14, [1] * 10 + [2] * 5 + [1] * 5
    data = data_of(Arm(search, reranked, signals={"margin": noise(2)[:20]}), metric=TOP)
    assert {row.share_of_gain_kept for row in routing(data, "reranked")} == {None}
    found = routing_choice(data, "reranked")
    assert found is not None
    assert found.sentence.startswith("There is no significant gain that could be kept")
