"""`ragprof inject`: what it prints and leaves, and what it says where the user can mend something."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import Ragprof, changed, complaint

InjectComplaint = Callable[..., str]
BRIEF = ("seconds = 2\nrounds = 3\nmin_queries = 12", "seconds = 0.02\nrounds = 2\nmin_queries = 2")
BRIEF_ANSWERS = ("seconds = 1\nrounds = 2\nmin_queries = 4", "seconds = 0.02\nrounds = 1\nmin_queries = 1")
GENERATOR = 'generator = "extractive"'
ADD_GOLD = (
    "no question has a gold answer, so no answer could be judged; add them to the questions: "
    '{"_id": "q1", "text": "...", "metadata": {"answers": ["thirty days"]}}'
)


@pytest.fixture
def brief(handbook: Path) -> Path:
    """This test's handbook, timed as briefly as can be."""
    changed(handbook, *BRIEF)
    changed(handbook, *BRIEF_ANSWERS)
    return handbook


@pytest.fixture
def inject_complaint(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> InjectComplaint:
    """The message of `ragprof inject` on this test's handbook, once the test has spoilt it."""

    def said(*options: object) -> str:
        return complaint(ragprof, "inject", handbook, "--out", tmp_path / "out", *options, folder=tmp_path)

    return said


def without_answers(folder: Path) -> None:
    """Questions of the handbook as they are in collections that know no gold answers."""
    path = folder / "handbook" / "queries.jsonl"
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    path.write_text("".join(json.dumps({"_id": each["_id"], "text": each["text"]}) + "\n" for each in lines))


def test_it_prints_80_columns_and_leaves_a_study_beside_the_recording(
    ragprof: Ragprof, brief: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    outcome = ragprof("inject", brief.name, "--ks", "1, 2", "--questions", 4, "--sensitivity", 0.7)
    assert outcome.code == 0
    assert max(map(len, outcome.output.splitlines())) <= 80
    assert outcome.output.endswith("\nreport: reports/handbook/report.html\n")
    assert "Traceback" not in outcome.message
    summary = json.loads((tmp_path / "reports" / "handbook" / "summary.json").read_text(encoding="utf-8"))
    assert [row["k"] for row in summary["injection"]["by_k"]["hybrid+overlap"]] == [1, 2]
    assert summary["injection"]["questions"] == 4
    assert set(summary["pipelines"]["bm25"]["economics"]["utility"]) == {"0.1", "0.5", "0.7", "1", "2"}
    assert (tmp_path / "reports" / "handbook" / "injection" / "manifest.json").is_file()
    steps = [line.rsplit(" (", 1)[0] for line in outcome.message.splitlines() if ": " not in line]
    assert steps[-4:] == ["answer prompts", "warm up", "time live answers", "time prompts by length"]


def test_only_one_pipeline_and_no_words(ragprof: Ragprof, brief: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = ragprof("inject", brief, "--out", out, "--pipeline", "dense", "--sweep", "dense", "--no-text")
    assert outcome.code == 0
    injection = json.loads((out / "summary.json").read_text(encoding="utf-8"))["injection"]
    assert (list(injection["answers"]), list(injection["by_k"])) == (["dense"], ["dense"])
    assert outcome.output.endswith(f"report: {out}/report.html\n")


@pytest.mark.parametrize("key", ["pipelines", "sweep"])
def test_unknown_pipeline_of_the_file(inject_complaint: InjectComplaint, handbook: Path, key: str) -> None:
    changed(handbook, 'sweep = ["hybrid+overlap"]', f'{key} = ["hybird"]')
    assert inject_complaint() == (
        "handbook.toml:21: no pipeline named 'hybird'; there are: bm25, dense, hybrid, hybrid+overlap"
    )


@pytest.mark.parametrize("option", ["--pipeline", "--sweep"])
def test_unknown_pipeline_of_the_command_line(inject_complaint: InjectComplaint, option: str) -> None:
    assert inject_complaint(option, "hybird") == (
        "[injection] no pipeline named 'hybird'; there are: bm25, dense, hybrid, hybrid+overlap"
    )


def test_more_chunks_than_candidates(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "ks = [1, 2, 3, 5]", "ks = [1, 12]")
    assert inject_complaint() == (
        "handbook.toml:17: pipeline 'hybrid+overlap': 12 chunks cannot be injected from depth = 10 candidates; "
        "lower ks and order_k, raise its depth, or leave it out of sweep"
    )


def test_an_order_of_more_chunks_than_candidates(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "order_k = 3", "order_k = 11")
    assert inject_complaint() == (
        "handbook.toml:17: pipeline 'hybrid+overlap': 11 chunks cannot be injected from depth = 10 candidates; "
        "lower ks and order_k, raise its depth, or leave it out of sweep"
    )


@pytest.mark.parametrize(("ks", "sorted_ks"), [("[3, 1]", "[1, 3]"), ("[1, 1, 2]", "[1, 2]")])
def test_numbers_of_chunks_that_do_not_rise(
    inject_complaint: InjectComplaint, handbook: Path, ks: str, sorted_ks: str
) -> None:
    changed(handbook, "ks = [1, 2, 3, 5]", f"ks = {ks}")
    assert inject_complaint() == (
        f"handbook.toml:17: injection: ks must ascend, without repeats; write them like {sorted_ks}"
    )


def test_numbers_of_chunks_on_the_command_line_that_do_not_rise(inject_complaint: InjectComplaint) -> None:
    assert inject_complaint("--ks", "3,1") == "[injection] ks must ascend, without repeats; write them like [1, 3]"


def test_numbers_of_chunks_that_are_none(inject_complaint: InjectComplaint) -> None:
    assert inject_complaint("--ks", "a,b") == "--ks 'a,b' is not a list of numbers; write it like 1000,2000,4000"


def test_no_chunk_at_all(inject_complaint: InjectComplaint) -> None:
    assert inject_complaint("--ks", "0,1") == "[injection] ks.0: Input should be greater than or equal to 1"


def test_questions_without_gold_answers(inject_complaint: InjectComplaint, tmp_path: Path) -> None:
    without_answers(tmp_path)
    assert inject_complaint() == f"handbook/queries.jsonl: {ADD_GOLD}"


@pytest.mark.parametrize("answers", ['"28 days"', "[28]", '["28 days", ""]', '{"a": 1}'])
def test_gold_answers_that_are_no_texts(inject_complaint: InjectComplaint, tmp_path: Path, answers: str) -> None:
    changed(tmp_path / "handbook" / "queries.jsonl", '["28 days", "28"]', answers)
    assert inject_complaint() == (
        "handbook/queries.jsonl: query 'q01': 'answers' must be a list of texts, each accepted as an answer"
    )


def test_unknown_generator(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, GENERATOR, 'generator = "extractiv"')
    assert inject_complaint() == (
        "handbook.toml:16: no generator named 'extractiv'; did you mean 'extractive'? "
        "There are: extractive, local, openai_compatible"
    )


def test_unknown_option_of_the_generator(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, GENERATOR, 'generator = { name = "extractive", max_tokens = 3 }')
    assert inject_complaint() == (
        "handbook.toml:16: no option of the generator 'extractive' named 'max_tokens'; did you mean 'max_new_tokens'? "
        "There are: context_tokens, max_new_tokens"
    )


def test_unknown_judge(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, GENERATOR, f'{GENERATOR}\njudge = "extractiv"')
    assert inject_complaint() == (
        "handbook.toml:17: no generator named 'extractiv'; did you mean 'extractive'? "
        "There are: extractive, local, openai_compatible"
    )


def test_unknown_region(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "[traffic]", '[energy]\nregion = "Germny"\n\n[traffic]')
    said = inject_complaint()
    assert said.startswith(
        "handbook.toml:34: no region with a price of electricity named 'Germny'. There are: AU, BE, "
    )
    assert ", DE, " in said


def test_unanswerable_question_with_the_id_of_a_judged_one(inject_complaint: InjectComplaint, tmp_path: Path) -> None:
    changed(tmp_path / "handbook" / "queries_unanswerable.jsonl", '"u02"', '"q02"')
    assert inject_complaint() == (
        "handbook/queries_unanswerable.jsonl: 'q02' is a question with judgements too; give it another id"
    )


def test_missing_file_of_unanswerable_questions(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "[timing]", '[evaluation]\nunanswerable = "none.jsonl"\n\n[timing]')
    assert inject_complaint() == "none.jsonl: there is no such file; check the path"


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ("-1", "greater than 0"),
        ("0", "greater than 0"),
        ("101", "less than or equal to 100"),
        ("nan", "less than or equal to 100"),
        ("inf", "less than or equal to 100"),
    ],
)
def test_sensitivity_out_of_bounds(inject_complaint: InjectComplaint, given: str, bound: str) -> None:
    assert inject_complaint("--sensitivity", given) == f"[injection] sensitivities.0: Input should be {bound}"


def test_negative_number_of_questions(inject_complaint: InjectComplaint) -> None:
    assert inject_complaint("--questions", "-1") == "[injection] questions: Input should be greater than or equal to 0"


def test_unknown_key_of_the_table(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "order_k = 3", "orderk = 3")
    assert inject_complaint() == (
        "handbook.toml:19: no key named 'orderk'; did you mean 'order_k'? There are: budgets, correct, generator, "
        "judge, ks, lengths, order_k, orders, pipelines, questions, seed, sensitivities, side_questions, sweep, "
        "timing, unanswerable"
    )


def test_unknown_order(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "order_k = 3", 'orders = ["best_first", "worst_first"]')
    assert inject_complaint() == (
        "handbook.toml:19: injection.orders.1: Input should be 'best_first', 'best_last' or 'edges'"
    )


def test_orders_without_the_one_they_are_compared_with(inject_complaint: InjectComplaint, handbook: Path) -> None:
    changed(handbook, "order_k = 3", 'orders = ["best_last", "edges"]')
    assert inject_complaint() == (
        "handbook.toml:19: injection: 'best_first' is missing; the other orders are compared with it"
    )


@pytest.mark.parametrize(("lengths", "timed"), [("[64, 128]", [64, 128]), ("[]", [])])
@pytest.mark.slow
def test_fewer_lengths_than_a_fit_needs_are_timed_and_the_fit_says_so(
    ragprof: Ragprof, brief: Path, tmp_path: Path, lengths: str, timed: list[int]
) -> None:
    changed(brief, "lengths = [64, 128, 256, 512]", f"lengths = {lengths}")
    assert ragprof("inject", brief, "--out", tmp_path / "out", "--questions", 2).code == 0
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["injection"]["time_to_first_token"]
    measured = [point["prompt_tokens"] for point in found["points"]]
    assert len(measured) == len(timed)
    assert all(length - 8 <= tokens <= length for tokens, length in zip(measured, timed, strict=True))
    assert found["fit"]["a_ns"] is None
    assert "lengths" in found["fit"]["statement"]


def test_a_window_that_no_question_fits(ragprof: Ragprof, brief: Path, tmp_path: Path) -> None:
    changed(brief, GENERATOR, 'generator = { name = "extractive", max_new_tokens = 10, context_tokens = 30 }')
    outcome = ragprof("inject", brief, "--out", tmp_path / "out")
    assert (outcome.code, outcome.output) == (2, "")
    assert outcome.message.splitlines()[-1] == (
        "ragprof: the prompt of query 'q02' takes 32 tokens without any chunk, and the model's window of 30 leaves 20 "
        "beside an answer of 10; shorten the question or the template, or use another model"
    )
