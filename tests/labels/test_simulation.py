"""Judges of known error on SciFact: evals/labels/simulation.py in small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SCIFACT = PROJECT.parent / "shared" / "data" / "beir" / "scifact"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.skipif(not SCIFACT.is_dir(), reason=f"SciFact is not beside the project ({SCIFACT.name})"),
]


def test_corrected_intervals_hold_the_truth_and_naive_ones_do_not() -> None:
    spec = importlib.util.spec_from_file_location("labels_simulation", PROJECT / "evals" / "labels" / "simulation.py")
    assert spec is not None
    assert spec.loader is not None
    simulation = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = simulation
    spec.loader.exec_module(simulation)
    found = simulation.coverage(SCIFACT, 100)
    assert len(found) == 8
    # 100 runs of 95 %: fewer than 89 happen once in 500 times.
    assert min(each.corrected for each in found.values()) >= 0.89
    assert max(each.naive for each in found.values()) <= 0.85
    assert found["bm25", "good", "evenly"].narrower >= 0.20
    assert found["hybrid - static", "biased", "evenly"].naive == 0.0
    assert simulation.pool_misses(SCIFACT, 40) >= 0.9
