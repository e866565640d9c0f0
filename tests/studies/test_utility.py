"""U = A R / L^k: the upper envelope of known lines, and how sure the winner is."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from ragprof.studies.injection.economics import (
    PRESETS,
    AnswerFacts,
    envelope,
    share,
    statement,
    utility_of,
    winners,
)


def facts(accuracy: float, relevance: float, seconds: float, *, spread: float = 0.0, seed: int = 0) -> AnswerFacts:
    """Resamples scatter by `spread` (relative) in accuracy alone."""
    around = 1 + spread * np.random.default_rng(seed).standard_normal(2000)
    nothing = np.full(2001, np.nan)
    return AnswerFacts(
        accuracy=np.array([accuracy, *accuracy * around]), relevance=np.full(2001, relevance),
        usd=nothing, tokens=nothing, correct_tokens=nothing, joules=nothing, seconds=np.full(2001, seconds),
        asked=10, decided=10, timed=10, metered=0,
    )  # fmt: skip


def test_the_better_one_wins_while_time_matters_little_and_the_faster_one_after() -> None:
    found = winners({"good": facts(0.8, 1.0, 1.0), "fast": facts(0.2, 1.0, 0.25)})
    assert [(line.pipeline, line.share) for line in found] == [("good", 1.0), ("fast", 1.0)]
    assert (found[0].from_k, found[1].to_k) == (0.01, 10.0)
    assert found[0].to_k == found[1].from_k == pytest.approx(1.0)


def test_the_envelope_of_three_lines_meets_where_they_cross() -> None:
    lines = {"a": (0.0, 3.0), "b": (1.0, 1.0), "c": (2.0, -4.0), "below": (0.5, -9.0)}
    assert envelope(lines) == [(0.01, 2.0, "a"), (2.0, 5.0, "b"), (5.0, 10.0, "c")]


def test_lines_through_one_point_leave_no_empty_range() -> None:
    lines = {"a": (0.0, 2.0), "b": (1.0, 0.0), "c": (2.0, -2.0)}
    assert envelope(lines) == [(0.01, 2.0, "a"), (2.0, 10.0, "c")]


def test_the_envelope_agrees_with_a_search_over_a_grid() -> None:
    rng = np.random.default_rng(4)
    lines = {str(number): (float(m), float(q)) for number, (m, q) in enumerate(rng.normal(size=(12, 2)))}
    ranges = envelope(lines)
    for k in np.linspace(0.011, 9.99, 400):
        best = max(lines, key=lambda name: lines[name][1] + k * lines[name][0])
        assert next(name for start, end, name in ranges if start <= k <= end) == best


def test_a_pipeline_without_correct_answers_never_wins() -> None:
    found = winners({"wrong": facts(0.0, 1.0, 0.001), "right": facts(0.1, 0.1, 9.0)})
    assert [line.pipeline for line in found] == ["right"]
    assert winners({"wrong": facts(0.0, 1.0, 0.001)}) == []


def test_equal_pipelines_share_the_resamples_and_cannot_be_told_apart() -> None:
    found = winners({"a": facts(0.5, 0.5, 1.0), "b": facts(0.5, 0.5, 1.0)})
    assert [line.share for line in found] == [0.5]
    assert "(in 50.0% of the resamples, so it cannot be told apart from the others)" in statement(found, 2)


def test_the_share_is_that_of_the_joint_resamples() -> None:
    known = {"a": facts(0.5, 1.0, 1.0, spread=0.1), "b": facts(0.5, 1.0, 1.0)}
    assert share(known, "a", 1.0) == pytest.approx(0.5, abs=0.03)
    assert share(known, "a", 1.0) + share(known, "b", 1.0) == pytest.approx(1.0)


def test_what_was_not_timed_takes_no_part() -> None:
    found = utility_of({"a": facts(0.5, 0.5, 2.0), "untimed": facts(0.9, 0.9, float("nan"))}, sensitivities=[])
    assert [line.pipeline for line in found.winners] == ["a"]
    assert list(found.curve[0].values) == ["a"]
    assert found.statement == "U = A * R / L^k has nothing to compare: a is the only pipeline with answers and timings."


def test_nobody_at_all() -> None:
    found = utility_of({}, sensitivities=[])
    assert (found.winners, found.curve[0].values) == ([], {})
    assert "cannot be compared" in found.statement


def test_values_of_the_curve_follow_the_formula() -> None:
    curve = utility_of({"a": facts(0.5, 0.5, 4.0)}, sensitivities=[]).curve
    assert [curve[0].k, curve[-1].k, len(curve)] == [pytest.approx(0.01), pytest.approx(10.0), 31]
    assert np.diff([log(point.k) for point in curve]) == pytest.approx(log(1000) / 30)
    assert curve[-1].values["a"] == pytest.approx(0.25 / 4**10)


def test_presets_have_reasons_and_the_evals_own_are_added_once() -> None:
    assert [(name, k) for name, k, _ in PRESETS] == [
        ("creative", 0.1), ("support", 0.5), ("incident response", 1.0), ("trading", 2.0),
    ]  # fmt: skip
    presets = utility_of({}, sensitivities=[2.0, 3.5]).presets
    assert [line.k for line in presets] == [0.1, 0.5, 1.0, 2.0, 3.5]
    assert all(line.reason for line in presets)
