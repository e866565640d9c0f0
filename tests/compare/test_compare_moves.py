"""Queries that got worst, with their rankings, and parts of a pipeline that are others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from compare_data import figures, ndcg, ranking, row, side

from ragprof.studies.gate.comparison import compare
from ragprof.studies.gate.evidence import of_recording


def test_the_worst_queries_come_first_with_both_rankings() -> None:
    base = side(ndcg([1.0, 0.9, 0.5]), rankings=[ranking("q00", ["d1", "d2"]), ranking("q01", ["d3"])])
    candidate = side(ndcg([0.6, 0.3, 0.6]), rankings=[ranking("q00", ["d2", "d1"]), ranking("q01", [])])
    assert compare(base, candidate).document["worst"] == {
        "a": {
            "metric": "nDCG@10",
            "queries": [
                {"query_id": "q01", "base": 0.9, "candidate": 0.3, "before": ["d3"], "after": []},
                {"query_id": "q00", "base": 1.0, "candidate": 0.6, "before": ["d1", "d2"], "after": ["d2", "d1"]},
            ],
        }
    }


def test_at_most_five_are_told_and_equal_losses_go_by_query() -> None:
    worst = compare(side(ndcg([0.5] * 8)), side(ndcg([0.4] * 8))).worst["a"].queries
    assert [each.query_id for each in worst] == ["q00", "q01", "q02", "q03", "q04"]


def test_nothing_that_got_worse_is_nothing_told() -> None:
    assert compare(side(ndcg([0.5, 0.5])), side(ndcg([0.5, 0.9]))).worst == {}


def test_the_metric_is_the_first_that_both_sides_have() -> None:
    recall = figures("a", "quality", "search", "R@50", [1.0, 1.0])
    document = compare(side(ndcg([0.5, 0.5]), recall), side(figures("a", "quality", "search", "R@50", [1.0, 0.0])))
    assert document.worst["a"].metric == "R@50"
    assert row(document, "R@50").difference == -0.5


def test_parts_and_depth_that_differ_are_told() -> None:
    parts = {"a": {"store": "bm25s", "reranker": "maxsim"}}
    candidate = replace(side(ndcg([0.5])), facts={**side(ndcg([0.5])).facts, "pipelines": parts, "depths": {"a": 20}})
    assert compare(side(ndcg([0.5])), candidate).document["changed"] == {
        "a": [
            {"part": "reranker", "base": None, "candidate": "maxsim"},
            {"part": "depth", "base": "50", "candidate": "20"},
        ]
    }


def test_equal_parts_are_not_told() -> None:
    assert compare(side(ndcg([0.5])), side(ndcg([0.5]))).changed == {}


@pytest.fixture
def two_recordings(handbook_recording: Path, tmp_path: Path) -> tuple[Path, Path]:
    return handbook_recording, Path(shutil.copytree(handbook_recording, tmp_path / "candidate"))


def test_a_recording_and_its_copy_do_not_differ(two_recordings: tuple[Path, Path]) -> None:
    document = compare(*(of_recording(folder) for folder in two_recordings))
    assert document.quantities
    assert {each.verdict for each in document.quantities} <= {"equivalent", "unpriced"}
    assert {each.difference for each in document.quantities if each.verdict == "equivalent"} == {0.0}


def test_worse_scores_of_one_pipeline_are_found_and_only_they(two_recordings: tuple[Path, Path]) -> None:
    base, candidate = (of_recording(folder) for folder in two_recordings)
    name = candidate.pipelines[0]
    spoilt = candidate.figures.pipeline.eq(name) & candidate.figures.name.eq("nDCG@10")
    figures_after = candidate.figures.assign(value=candidate.figures["value"].where(~spoilt, 0.0))
    document = compare(base, replace(candidate, figures=figures_after))
    assert {each.pipeline for each in document.quantities if each.difference} == {name}
    assert row(document, "nDCG@10", name).candidate == 0.0
    assert list(document.worst) == [name]
