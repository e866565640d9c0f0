"""Judges of known error on SciFact: evals/labels/simulation.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[2]
SCIFACT = PROJECT.parent / "shared" / "data" / "beir" / "scifact"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.skipif(not SCIFACT.is_dir(), reason=f"SciFact is not beside the project ({SCIFACT.name})"),
]


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("labels_simulation", PROJECT / "evals" / "labels" / "simulation.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def test_corrected_intervals_hold_the_truth_and_naive_ones_do_not(simulation: ModuleType) -> None:
    """500 label runs for each of three judges, drawn evenly and by what tells most; a person judges 20 of 300."""
    found = simulation.coverage(SCIFACT, 500)
    assert len(found) == 8
    assert min(each.corrected for each in found.values()) >= 0.93
    assert max(each.naive for each in found.values()) <= 0.85
    assert found["hybrid - static", "biased", "evenly"].naive == 0.0
    # A judge that errs more tells less.
    assert found["bm25", "good", "evenly"].narrower >= 0.20
    assert found["bm25", "poor", "evenly"].narrower >= 0.05


def test_how_much_narrower_an_interval_is_depends_on_how_well_the_judge_agrees(simulation: ModuleType) -> None:
    """A fifth narrower from kappa 0.7 on, for a difference; for the figure of one pipeline from 0.65 on."""
    found = simulation.qualities(SCIFACT, 100)
    assert min(each["hybrid - static, evenly"] for kappa, each in found.items() if kappa > 0.7) >= 0.18
    assert min(each["bm25, evenly"] for kappa, each in found.items() if kappa > 0.64) >= 0.20
    assert max(each["hybrid - static, evenly"] for kappa, each in found.items() if kappa < 0.6) < 0.15


def test_where_there_is_no_gain_none_is_found_in_more_than_one_run_of_twenty(simulation: ModuleType) -> None:
    assert max(simulation.false_keeps(SCIFACT, 500).values()) <= 0.05


def test_drawing_by_what_tells_most_saves_labels(simulation: ModuleType) -> None:
    """After 145, 217, 290, 435 and 650 passages; the first are drawn before anything is known of the judge."""
    ratios = simulation.curve(SCIFACT, 100)
    assert max(ratios["good", "actively, asked twice"][1:]) <= 0.7
    assert max(ratios["good", "actively, asked once"][1:]) <= 0.9
    assert max(ratios["poor", "actively, asked twice"][1:]) <= 0.9
    assert max(ratios["poor", "actively, asked once"][1:]) <= 0.9


def test_what_nobody_found_is_within_its_interval(simulation: ModuleType) -> None:
    assert simulation.pool_misses(SCIFACT, 100) >= 0.93
