"""What is wrong with a study of rerankers ends in one message with its place, before anything is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handbook_reranker import RecordedRerankers, write_handbook

from ragprof.core.errors import BadInput, NonFiniteScore, RagprofError
from ragprof.session.again import reweigh
from ragprof.session.run import weigh


def problem(eval_file: Path, before: str = "", after: str = "", **changes: Any) -> str:
    text = eval_file.read_text()
    assert before in text
    eval_file.write_text(text.replace(before, after))
    out = eval_file.parent / "out"
    with pytest.raises(RagprofError) as raised:
        weigh(eval_file, out=out, changes=changes)
    assert not (out / "manifest.json").exists()
    return str(raised.value).removeprefix(f"{eval_file}:")


def test_an_eval_without_a_reranker(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, 'reranker = "overlap"\n', "")
    assert "no pipeline has a reranker" in found


def test_a_pipeline_without_a_reranker(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, "", "", pipelines=("dense",))
    assert "pipeline 'dense' has no reranker; those that have one: hybrid+overlap" in found


def test_a_pipeline_that_there_is_not(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, "", "", pipelines=("dens",))
    assert "no pipeline named 'dens'" in found


def test_an_unknown_key_of_the_table(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, "price_trend = 30", "price_trnd = 30")
    assert "did you mean 'price_trend'?" in found
    assert found.split(":")[0].isdigit()


def test_depths_that_fall(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, "depths = [1, 2, 4, 7]", "depths = [7, 4]")
    assert "depths must ascend, without repeats; write them like [4, 7]" in found


def test_an_unknown_signal(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, '"top_score"', '"topscore"')
    assert "no signal named 'topscore'; did you mean 'top_score'?" in found


def test_an_unknown_llm(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, '"openai:gpt-4o"', '"openai:gpt-4x"')
    assert "gpt-4x" in found
    assert found.split(":")[0].isdigit()


def test_a_metric_that_is_not_computed(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, "price_trend = 30", 'metric = "MAP"')
    assert "no reranker metric 'MAP'; write nDCG@10, RR@10, R@5, P@5 or Success@5" in found


def test_a_student_that_is_the_teacher(eval_file: Path, cache: Path) -> None:
    found = problem(eval_file, "price_trend = 30", 'students = ["overlap"]')
    assert "'overlap' is the pipelines' own reranker; there is nothing to compare it with" in found


def test_a_server_that_does_not_answer_is_known_before_anything_is_recorded(tmp_path: Path, rerankers: None) -> None:
    eval_file = write_handbook(tmp_path, changes={'reranker = "overlap"': 'reranker = "unreachable"'})
    assert "start the server" in problem(eval_file)


def test_scores_that_are_not_finite(tmp_path: Path, rerankers: None) -> None:
    eval_file = write_handbook(tmp_path, changes={'reranker = "overlap"': 'reranker = "broken"'})
    with pytest.raises(NonFiniteScore):
        weigh(eval_file, out=tmp_path / "out")


def test_a_folder_without_rerankers(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no rerankers were recorded in this folder; run 'ragprof reranker EVAL"):
        reweigh(tmp_path)


def test_a_folder_cannot_be_given_other_depths(reranker_copy: RecordedRerankers) -> None:
    with pytest.raises(BadInput, match="'depths' is part of the recording in this folder; give the eval file instead"):
        reweigh(reranker_copy.folder, changes={"depths": (3,)})


def test_a_folder_cannot_be_given_a_margin_of_two(reranker_copy: RecordedRerankers) -> None:
    with pytest.raises(BadInput, match="margin"):
        reweigh(reranker_copy.folder, changes={"margin": 2.0})
