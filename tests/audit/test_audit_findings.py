"""What an audit finds in parts that are known to differ, each for one reason, and in parts that never do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from restless import (
    BatchBoundEmbedder,
    BatchBoundReranker,
    BatchTurningEmbedder,
    CountingGenerator,
    ManyAnswersGenerator,
    PlaceBoundReranker,
    ThreadBoundReranker,
    TurningReranker,
    audited,
    row,
)

from ragprof.parts.generators.extractive import ExtractiveGenerator
from ragprof.parts.rerankers.overlap import OverlapReranker


def test_the_shipped_parts_for_tests_never_differ(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache)
    (pipeline,) = section.pipelines.values()
    assert len(pipeline.stages) == 14
    assert all(each.identical and each.differing == 0 for each in pipeline.stages)
    assert {each.largest_difference for each in pipeline.stages} == {0.0, None}
    assert (section.times, section.queries) == (3, 12)
    assert pipeline.quality.mean == pytest.approx(0.849848, abs=1e-6)
    assert (pipeline.quality.metric, pipeline.quality.spread) == ("nDCG@10", 0.0)


def test_a_reranker_that_changes_its_mind_is_named_and_the_stages_before_it_are_not(
    handbook: Path, cache: Path
) -> None:
    section = audited(handbook, cache, times=2, queries=3, reranker=TurningReranker())
    assert row(section, "embed", "vectors").identical
    assert row(section, "search", "ranking").identical
    assert row(section, "search", "scores").identical
    assert row(section, "rerank", "ranking").differing == 3
    assert row(section, "rerank", "scores").identical is False
    assert row(section, "rerank", "ranking").note == "2 times"
    assert row(section, "inject", "prompt").note == "2 times; rerank differed for the same queries"
    assert "it differs when only asked again, too" in row(section, "rerank", "batch size", "one by one").note


def test_quality_moves_with_a_reranker_that_changes_its_mind(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, times=2, queries=3, reranker=TurningReranker())
    quality = section.pipelines["hybrid+overlap"].quality
    scores = pd.read_parquet(handbook.parent / "out" / "audit" / "scores.parquet")
    means = scores.groupby("run")["value"].mean()
    assert quality.spread == pytest.approx(abs(means["1"] - means["2"]))
    assert quality.spread > 0
    assert quality.share == pytest.approx(quality.spread / quality.interval_width)


def test_scores_that_move_with_the_batch_need_not_change_a_ranking(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, reranker=BatchBoundReranker())
    found = row(section, "rerank", "batch size", "one by one")
    assert (found.checked, found.differing, found.largest_difference) == (12, 12, 0.25 * 9)
    assert (found.rankings_changed, found.prompts_changed, found.quality_shift) == (0, 0, 0.0)
    assert found.note == "one candidate a call or all in one call; changed no ranking"
    assert row(section, "rerank", "batch size", "reversed").identical
    assert row(section, "rerank", "scores").identical


def test_the_order_of_the_candidates_in_the_call_may_decide(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, reranker=PlaceBoundReranker())
    found = row(section, "rerank", "batch size", "reversed")
    assert (found.differing, found.rankings_changed, found.prompts_changed) == (12, 12, 12)
    assert found.quality_shift < 0
    assert found.share > 0
    assert found.note == ("candidates in their order or in reverse; changed 12 of 12 rankings and 12 of 12 prompts")
    alone = row(section, "rerank", "batch size", "one by one")
    assert alone.note.endswith("listwise: scores depend on the other candidates")


def test_scores_that_depend_on_threads_are_found(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, reranker=ThreadBoundReranker())
    found = row(section, "rerank", "threads", "other threads")
    assert (found.checked, found.differing) == (12, 11)  # one query shares no word with any passage
    assert found.rankings_changed > 0
    assert row(section, "embed", "threads", "other threads").identical
    assert row(section, "search", "threads", "other threads").identical


def test_vectors_that_depend_on_the_batch_are_found_where_no_ranking_does(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, embedder=BatchBoundEmbedder(256), reranker=OverlapReranker())
    found = row(section, "embed", "batch size", "in a batch")
    assert (found.differing, found.rankings_changed, found.prompts_changed) == (12, 0, 0)
    assert found.largest_difference > 0
    assert row(section, "embed", "vectors").identical
    assert row(section, "embed", "batch size", "documents in a batch").identical


def test_document_vectors_that_depend_on_the_batch_turn_the_order_of_what_was_found(
    handbook: Path, cache: Path
) -> None:
    section = audited(handbook, cache, embedder=BatchTurningEmbedder(256))
    found = row(section, "embed", "batch size", "documents in a batch")
    assert (found.differing, found.rankings_changed) == (12, 11)  # one query shares no word with any passage
    assert (found.prompts_changed, found.prompts_checked, found.quality_shift) == (None, 0, None)
    assert row(section, "embed", "batch size", "in a batch").identical


def test_answers_are_asked_for_a_few_queries(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, generator=ExtractiveGenerator())
    found = row(section, "generate", "answer")
    assert (found.checked, found.identical) == (5, True)
    assert row(section, "inject", "prompt").checked == 12


def test_answers_that_differ_are_found(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, generator=CountingGenerator(), queries=2)
    found = row(section, "generate", "answer")
    assert (found.checked, found.differing, found.largest_difference) == (2, 2, None)
    assert "Generate gave the same answer 3 times for 0 of 2 queries in hybrid+overlap." in section.statements


def test_an_answer_that_depends_on_the_other_prompts_is_found(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, generator=ManyAnswersGenerator(), queries=3)
    assert row(section, "generate", "answer").identical
    found = row(section, "generate", "batch size", "in a batch")
    assert (found.checked, found.differing) == (3, 1)
