"""Latency composed from other depths, and how far it is from what was timed live."""

from __future__ import annotations

import numpy as np
import pytest
from reranker_data import Arm, data_of

from ragprof.statistics.estimates import quantile
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.depths import composed_p50s, depth_curve, latency_check
from ragprof.studies.reranker.section import LatencyCheck

BASES = (1_000, 2_000, 4_000)
P50 = quantile(np.repeat([[1_000.0], [2_000.0], [4_000.0]], 2, axis=1), 0.5)
"""Of the queries without a reranker, in two rounds."""


def timed(*depths: int, slow: int | None = None) -> RerankerData:
    """Reranking takes 300 ns and 50 a candidate; twice as long at the depth `slow`."""
    times = {0: BASES}
    times |= {depth: [base + (300 + 50 * depth) * (2 if depth == slow else 1) for base in BASES] for depth in depths}
    return data_of(Arm([1, 1, 1], [1, 1, 1], depths=depths, timed=times))


def checked(data: RerankerData) -> LatencyCheck | None:
    return latency_check(data, "reranked", depth_curve(data, "reranked"))


def test_times_that_grow_by_candidate_are_composed_exactly() -> None:
    found = composed_p50s(timed(5, 10, 20), "reranked")
    assert found == pytest.approx({5: P50 + 550, 10: P50 + 800, 20: P50 + 1_300})


def test_nothing_that_was_timed_at_a_depth_is_used_for_it() -> None:
    assert composed_p50s(timed(5, 10, 20, slow=10), "reranked")[10] == pytest.approx(P50 + 800)


def test_the_check_names_the_depth_that_is_off_most() -> None:
    found = checked(timed(5, 10, 20, 40, slow=40))
    assert found is not None
    assert found.largest_error == pytest.approx(1 - (P50 + 2_300) / (P50 + 4_600))
    assert "by 33.9 % at most (depth 40, too low) from what was timed live." in found.sentence


def test_a_model_that_fits_has_no_error() -> None:
    found = checked(timed(5, 10, 20))
    assert found is not None
    assert found.largest_error < 1e-9
    assert found.mean_error <= found.largest_error


def test_with_one_other_depth_nothing_is_composed() -> None:
    assert composed_p50s(timed(5, 10), "reranked") == {}
    assert checked(timed(5, 10)) is None


def test_nothing_is_composed_for_an_arm_that_was_not_timed() -> None:
    assert checked(data_of(Arm([1], [1], depths=(5, 10, 20)))) is None
