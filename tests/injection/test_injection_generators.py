"""Who answers: generators of a pipeline's own, several in one study, models with a narrow window, and a judge."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from answerers import CountingGenerator
from study import KEY, answers_by_place, read_manifest, record_study, table, write_handbook
from unsealed import unsealed

from ragprof.core.clock import Silent
from ragprof.core.errors import BadInput
from ragprof.record.pipeline import part
from ragprof.session.run import inject, run
from ragprof.studies.injection.judge import judge_answers
from ragprof.studies.injection.model_judge import judge_by
from ragprof.studies.injection.price import price_answers
from ragprof.studies.preparation import prepare

BM25 = 'store = "bm25s"\ndepth = 10\n'
DENSE = 'embedder = "hashing"\nstore = "faiss_flat"\n'
BRIEF = 'generator = { name = "extractive", max_new_tokens = 3 }\n'
FIRST_TOKENS = ["pipeline", "round", "query_id", "first_token_ns"]


def by_pipeline(found: pd.Series) -> dict[str, list[str]]:
    own = found.xs("own", level="setting")
    return {str(name): answers.tolist() for name, answers in own.groupby("pipeline")}


def judged(eval_file: Path, place: Path) -> None:
    prepared = prepare(eval_file)
    judge_answers(place.parent, prepared.evaluation, {doc.doc_id: doc.content for doc in prepared.subject.corpus.docs})


def opinion(eval_file: Path, place: Path, judge: str, cache: Path) -> dict[str, Any]:
    """What a judge thinks of the answers in a folder, by pipeline."""
    judged(eval_file, place)
    evaluation = prepare(eval_file).evaluation
    judge_by(part("generators", judge), place.parent, evaluation, cache=cache, seed=0, progress=Silent())
    return dict(json.loads((place / "judgement.json").read_text(encoding="utf-8"))["judges"])


def test_a_pipeline_with_a_generator_of_its_own_answers_in_every_run(tmp_path: Path, cache: Path) -> None:
    eval_file = write_handbook(tmp_path, (BM25, BM25 + 'generator = "extractive"\n'))
    result = run(eval_file, out=tmp_path / "out")
    stages = {name: list(each["stages"]) for name, each in result.summary["pipelines"].items()}
    assert stages == {
        "bm25": ["search", "inject", "generate"],
        "dense": ["embed", "search", "inject"],
        "hybrid": ["embed", "search", "inject"],
        "hybrid+overlap": ["embed", "search", "rerank", "inject"],
    }
    answering = result.summary["pipelines"]["bm25"]
    assert 0.8 < answering["closure"] <= 1.0
    generate = answering["stages"]["generate"]
    assert 0 < generate["first_token"]["p50_ns"] <= generate["p50_ns"] <= answering["end_to_end"]["p50_ns"]
    first = pd.read_parquet(tmp_path / "out" / "first_tokens.parquet")
    assert list(first.columns) == FIRST_TOKENS
    assert set(first["pipeline"]) == {"bm25"}
    assert sorted(set(first["round"])) == [0, 1]
    spans = pd.read_parquet(tmp_path / "out" / "spans.parquet").query("phase == 'timed' and stage == 'generate'")
    merged = first.merge(spans, on=["pipeline", "round", "query_id"], validate="1:1")
    assert len(merged) == len(first) == len(spans)
    assert (merged["first_token_ns"] <= merged["duration_ns"]).all()


def test_without_generators_there_is_an_empty_table_of_first_tokens(studied_folder: Path) -> None:
    first = pd.read_parquet(studied_folder / "first_tokens.parquet")
    assert (list(first.columns), len(first)) == (FIRST_TOKENS, 0)


@pytest.fixture
def studied_folder(studied: Any) -> Path:
    """The main recording under the study, whose pipelines have no generator."""
    return Path(studied.folder)


def test_two_generators_answer_each_for_its_pipelines(tmp_path: Path, cache: Path) -> None:
    eval_file = write_handbook(tmp_path, (BM25, BM25 + BRIEF))
    place = record_study(eval_file, tmp_path / "out")
    whole, short = (f"extractive max_new_tokens={most} context_tokens=None" for most in (32, 3))
    manifest = read_manifest(place)
    assert manifest["generators"] == {"bm25": short, "dense": whole, "hybrid": whole, "hybrid+overlap": whole}
    words = {
        name: [len(text.split()) for text in texts] for name, texts in by_pipeline(answers_by_place(place)).items()
    }
    assert set(words["bm25"]) == {3}
    assert min(words["dense"]) > 3
    cut = table(place, "prompts").merge(table(place, "answers"), on="digest").groupby("pipeline")["finish"].agg(set)
    assert (cut["bm25"], cut["dense"]) == ({"length"}, {"stop"})
    assert manifest["generator"]["max_new_tokens"] == 3


def test_an_equal_prompt_of_another_generator_is_another_answer(tmp_path: Path, cache: Path) -> None:
    """hybrid and bm25 often inject the same chunks."""
    plain = write_handbook(tmp_path)
    same = table(record_study(plain, tmp_path / "plain"), "prompts")
    (tmp_path / "other").mkdir()
    other = table(record_study(write_handbook(tmp_path / "other", (BM25, BM25 + BRIEF)), tmp_path / "out"), "prompts")
    assert shared_digests(same) > 0
    assert shared_digests(other) == 0


def shared_digests(prompts: pd.DataFrame) -> int:
    """Prompts that bm25 and any other pipeline have in common."""
    mine = prompts["pipeline"] == "bm25"
    return len(set(prompts[mine]["digest"]) & set(prompts[~mine]["digest"]))


def test_one_generator_declared_in_two_ways_answers_an_equal_prompt_once(tmp_path: Path, cache: Path) -> None:
    declared = 'generator = { name = "extractive", max_new_tokens = 32 }\n'
    eval_file = write_handbook(tmp_path, (BM25, BM25 + declared))
    place = record_study(eval_file, tmp_path / "out")
    assert shared_digests(table(place, "prompts")) > 0
    answers, work = table(place, "answers"), read_manifest(place)["work"]
    assert answers["digest"].is_unique
    assert work["distinct"] == work["generated"] == len(answers)
    assert set(table(place, "prompts")["digest"]) == set(answers["digest"])
    run(eval_file, out=tmp_path / "out")
    judged(eval_file, place)
    price_answers(place.parent, on=date(2026, 1, 1))


def test_one_declaration_in_two_pipelines_is_one_model(tmp_path: Path, answerers: type[CountingGenerator]) -> None:
    counting = 'generator = "counting"\n'
    eval_file = write_handbook(tmp_path, (BM25, BM25 + counting), (DENSE, DENSE + counting))
    place = record_study(eval_file, tmp_path / "out", pipelines=("bm25", "dense"), sweep=())
    assert len(answerers.answered) == len(set(answerers.answered)) == read_manifest(place)["work"]["distinct"]


def test_answers_that_may_not_be_used_again_are_not(tmp_path: Path, answerers: type[CountingGenerator]) -> None:
    eval_file = write_handbook(tmp_path, ('generator = "extractive"', 'generator = "forgetful"'))
    works = [read_manifest(record_study(eval_file, tmp_path / "out", sweep=()))["work"] for _ in range(2)]
    assert works[0] == works[1]
    assert (works[1]["generated"], works[1]["reused"]) == (works[1]["distinct"], 0)
    assert len(answerers.answered) == 2 * works[0]["distinct"]


def test_a_narrow_window_drops_the_lowest_ranked_chunks(tmp_path: Path, cache: Path) -> None:
    narrow = 'generator = { name = "extractive", max_new_tokens = 10, context_tokens = 90 }'
    eval_file = write_handbook(tmp_path, ('generator = "extractive"', narrow))
    place = record_study(eval_file, tmp_path / "out")
    prompts = table(place, "prompts").set_index(KEY)
    assert prompts["model_tokens"].max() <= 80
    most = prompts.xs("k=5", level="setting")
    assert (most["docs_dropped"] > 0).all()
    assert (most["docs_injected"] + most["docs_dropped"] == 5).all()
    assert (prompts.xs("k=1", level="setting")["docs_dropped"] == 0).all()
    chunks = table(place, "chunks").query("setting == 'k=5'").groupby("query_id")["rank"].agg(list)
    assert all(ranks == list(range(1, len(ranks) + 1)) for ranks in chunks)
    left_out = most["truncated_tokens"]
    assert (left_out > 0).all()
    assert table(place, "prefill")["prompt_tokens"].max() <= 80
    assert read_manifest(place)["generator"]["context_tokens"] == 90


def test_a_window_that_no_question_fits_is_said_before_a_model_is_asked(tmp_path: Path, cache: Path) -> None:
    narrow = 'generator = { name = "extractive", max_new_tokens = 10, context_tokens = 30 }'
    eval_file = write_handbook(tmp_path, ('generator = "extractive"', narrow))
    with pytest.raises(BadInput, match=r"the prompt of query 'q\d\d' takes \d+ tokens without any chunk, and the"):
        record_study(eval_file, tmp_path / "out")
    assert not (cache / "answers").exists()


def test_a_judge_agrees_with_gold_answers_or_does_not(tmp_path: Path, answerers: type[CountingGenerator]) -> None:
    eval_file = write_handbook(tmp_path)
    place = record_study(eval_file, tmp_path / "out", sweep=())
    cache = tmp_path / "cache"
    literal = opinion(eval_file, place, "literal_judge", cache)
    assert list(literal) == ["bm25", "dense", "hybrid", "hybrid+overlap"]
    for judge in literal.values():
        assert (judge["model"], judge["n"], judge["unparsable"]) == ("literal judge", 12, 0)
        assert judge["agreement"] == 1.0
        assert judge["kappa"] == 1.0
    silent = opinion(eval_file, place, "silent_judge", cache)
    assert [(judge["n"], judge["unparsable"], judge["kappa"]) for judge in silent.values()] == [(0, 12, None)] * 4


def test_a_judge_of_the_eval_file_is_in_the_summary(tmp_path: Path, answerers: type[CountingGenerator]) -> None:
    eval_file = write_handbook(tmp_path, ("[injection]\n", '[injection]\njudge = "literal_judge"\n'))
    found = inject(eval_file, out=tmp_path / "out", changes={"pipelines": ("bm25",), "sweep": ()}).summary
    assert list(found["injection"]["answers"]) == ["bm25"]
    assert "economics" not in found["pipelines"]["dense"]
    judge = found["injection"]["answers"]["bm25"]["judge"]
    assert (judge["model"], judge["n"], judge["kappa"]) == ("literal judge", 12, 1.0)


def test_an_empty_answer_is_wrong_by_the_rubric_and_no_judge_is_asked(
    tmp_path: Path, answerers: type[CountingGenerator]
) -> None:
    eval_file = write_handbook(tmp_path)
    place = record_study(eval_file, tmp_path / "out", sweep=())
    answers = table(unsealed(place), "answers")
    answers.assign(text=[" \n", ""] * (len(answers) // 2) + [""] * (len(answers) % 2)).to_parquet(
        place / "answers.parquet"
    )
    before = len(answerers.answered)
    found = opinion(eval_file, place, "counting", tmp_path / "cache")
    assert len(answerers.answered) == before
    assert [(judge["n"], judge["unparsable"], judge["agreement"]) for judge in found.values()] == [(12, 0, 1.0)] * 4


def test_the_judge_is_asked_about_an_answer_once(tmp_path: Path, answerers: type[CountingGenerator]) -> None:
    eval_file = write_handbook(tmp_path)
    place = record_study(eval_file, tmp_path / "out", sweep=())
    opinion(eval_file, place, "counting", tmp_path / "cache")
    asked = len(answerers.answered)
    assert asked == len(set(answerers.answered)) <= 48
    opinion(eval_file, place, "counting", tmp_path / "cache")
    assert len(answerers.answered) == asked
