"""The injection section of a whole recording: follows the schema, says what its tables say, null where they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import answered
import jsonschema
import pandas as pd
import pytest

from ragprof.session import summary as summary_module
from ragprof.session.summary import WITH_ANSWERS
from ragprof.session.summary import analyse as analyse_recording
from ragprof.studies.injection.analysis import analyse
from ragprof.studies.injection.data import belongs, is_recorded
from ragprof.studies.profile.analysis import RETRIEVAL_ONLY

SCHEMA = json.loads(Path(summary_module.__file__).with_name("summary.schema.json").read_text())
MAIN = {"corpus": {"sha256": "c1"}, "questions": "s1", "config": answered.config()}
JUDGEMENT = {"qrels_sha256": "j1"}


def injection_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The section and the pipelines' economics as summary.json has them."""
    document: dict[str, Any] = {"pipelines": {name: {} for name in answered.SETTINGS}}
    analyse(folder).place(document, "injection")
    return document["injection"], {name: one["economics"] for name, one in document["pipelines"].items()}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    return injection_of(answered.write(tmp_path_factory.mktemp("answered")))


def valid(value: Any, definition: str) -> None:
    jsonschema.Draft202012Validator({**SCHEMA["$defs"][definition], "$defs": SCHEMA["$defs"]}).validate(value)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every dict inside."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def follow_schema(section: dict[str, Any], economics: dict[str, Any]) -> None:
    valid(section, "InjectionSection")
    for node in nodes([section, economics]):
        if "mean" in node:
            valid(node, "EstimateValue")
        for key in ("usd_per_1000_queries", "added_usd_per_1000", "usd_per_extra_correct", "usd_per_relevant_token"):
            if key in node and "pipelines" not in node:
                assert node[key] is None or Decimal(node[key]).is_finite()
    json.dumps([section, economics], allow_nan=False)


def test_the_section_follows_the_schema(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    follow_schema(*study)


def test_settings_are_swept_in_rising_steps(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    section, _ = study
    assert list(section["by_k"]) == list(section["by_budget"]) == ["good"]
    assert [(row["k"], row["correct"]["mean"]) for row in section["by_k"]["good"]] == [(1, 0.25), (2, 0.75), (3, 0.75)]
    assert [row["budget_tokens"] for row in section["by_budget"]["good"]] == [500]
    assert section["by_k"]["good"][0]["tokens"] == {
        "template": 50.0, "question": 20.0, "relevant": 300.0, "irrelevant": 200.0, "unjudged": 180.0,
        "duplicate": 100.0, "truncated": 40.0,
    }  # fmt: skip
    money = [section["by_k"]["good"][0][key] for key in ("usd_per_1000_queries", "usd_per_relevant_token")]
    assert money == ["2", "0.00000666667"]
    assert section["marginal"]["good"]["last_worthwhile_k"] == 2


def test_facts_of_the_recording(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    section, _ = study
    assert (section["questions"], section["unanswerable"], section["priced_as"]) == (12, 2, "openai:gpt-4o-mini")
    assert section["generator"] == {"name": "local", "model": "tiny", "precision": "float32", "device": "cpu"}
    assert section["time_to_first_token"]["model"] == "tiny float32"
    assert section["time_to_first_token"]["decode_ns_per_token"]["mean"] == 10_000_000.0
    assert section["answers"]["poor"]["attribution_counts"] == {"search": 0, "rerank": 0, "packing": 0, "model": 9}
    assert section["answers"]["good"]["abstention"]["unanswerable"]["mean"] == 0.5
    assert section["budget"] is None


def test_unanswerable_questions_are_in_no_other_figure(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    section, economics = study
    assert section["answers"]["good"]["n"] == 12
    assert economics["good"]["usd_per_query"] == {"mean": 0.002, "interval": [0.002, 0.002], "n": 12}


def test_economics_of_both_pipelines(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    _, economics = study
    assert economics["good"]["usd_per_correct_answer"]["mean"] == 0.00266667
    assert economics["poor"]["usd_per_correct_answer"]["mean"] == 0.008
    assert economics["good"]["time_to_first_token_s"]["mean"] == 0.5
    assert economics["good"]["joules_per_query"]["mean"] == 72.0
    assert list(economics["good"]["utility"]) == ["0.1", "0.5", "1", "2"]


def test_the_faster_pipeline_wins_where_time_matters_most(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    section, _ = study
    good, poor = section["utility"]["winners"]
    assert (good["pipeline"], good["to_k"], poor["pipeline"]) == ("good", 1.58496, "poor")


def test_statements_say_what_matters_to_whoever_pays(study: tuple[dict[str, Any], dict[str, Any]]) -> None:
    section, _ = study
    chunks, losses, price, first, utility = section["statements"]
    assert chunks.startswith("good: more chunks are worth it up to k = 2 ")
    assert losses == (
        "good answers 75.0% (95% CI 50.0%\u2013100.0%) of 12 questions correctly; where the 3 wrong answers were lost: "
        "3 in the model, which had the evidence."
    )
    assert price == (
        "A correct answer of good costs $0.00267 (95% CI $0.00200\u2013$0.00400), n = 12; a question costs $0.00200."
    )
    assert "from 1,530 tokens on" in first
    assert utility.startswith("By U = A * R / L^k, good is ahead for k below 1.6 ")
    assert "23.1% of the injected tokens are unjudged" in " ".join(section["notes"])


def test_a_budget_is_reported_against(tmp_path: Path) -> None:
    limits = {"tokens_per_query": 1000, "usd_per_1000_queries": 1.5}
    section, _ = injection_of(answered.write(tmp_path, manifest=answered.manifest(budget=limits)))
    assert section["budget"]["pipelines"]["good"] == {
        "tokens_per_query": 1000.0, "usd_per_1000_queries": "2", "within": False,
    }  # fmt: skip
    assert section["statements"][-1] == "Over the budget: good, poor."


def test_a_budget_of_money_cannot_be_kept_by_what_is_unpriced(tmp_path: Path) -> None:
    limits = {"tokens_per_query": 1000, "usd_per_1000_queries": 1.5}
    folder = answered.write(tmp_path, manifest=answered.manifest(budget=limits), costs=None)
    assert injection_of(folder)[0]["budget"]["pipelines"]["good"]["within"] is None


def test_sensitivities_of_the_eval_are_added(tmp_path: Path) -> None:
    manifest = answered.manifest(injection={"sensitivities": [3.5]})
    section, economics = injection_of(answered.write(tmp_path, manifest=manifest))
    assert section["utility"]["presets"][-1] == {"name": "k = 3.5", "k": 3.5, "reason": "from the eval file"}
    assert economics["good"]["utility"]["3.5"]["mean"] == pytest.approx(0.6 / 0.5**3.5, rel=1e-5)


def test_unpriced_is_null_and_says_why(tmp_path: Path) -> None:
    reason = "no rate for the generation"
    lines = [
        {"setting": "own", "item": "prompt tokens", "reason": reason}, {"setting": "k=1", "item": "x", "reason": "y"},
    ]  # fmt: skip
    rates = {"priced_as": {"good": None}, "pipelines": {"good": {"unpriced": lines}}}
    blank = answered.costs().assign(usd=None, rate=None)
    section, economics = injection_of(answered.write(tmp_path, costs=blank, rates=rates))
    follow_schema(section, economics)
    assert (section["priced_as"], section["by_k"]["good"][0]["usd_per_1000_queries"]) == (None, None)
    assert economics["good"]["usd_per_correct_answer"] is None
    assert economics["good"]["unpriced"] == [f"prompt tokens: {reason}"]
    assert "What a correct answer of good costs is UNPRICED." in section["statements"]


def test_all_that_is_optional_may_be_missing(tmp_path: Path) -> None:
    manifest = {**answered.manifest(), "energy": None}
    folder = answered.write(tmp_path, manifest=manifest, live=None, prefill=None, costs=None, rates=None)
    section, economics = injection_of(folder)
    follow_schema(section, economics)
    assert economics["good"]["utility"] == {"0.1": None, "0.5": None, "1": None, "2": None}
    assert section["utility"]["winners"] == []
    assert section["time_to_first_token"]["fit"]["a_ns"] is None
    assert section["by_k"]["good"][0]["time_to_first_token_ns"] == {"mean": None, "interval": None, "n": 0}


def test_columns_may_be_null_all_through(tmp_path: Path) -> None:
    columns = ["first_token_ns", "decode_ns", "joules", "search_ns", "output_tokens"]
    live = answered.live().assign(**dict.fromkeys(columns))
    integers = live.astype({"first_token_ns": "Int64", "decode_ns": pd.ArrowDtype(answered.pa.int64())})
    section, economics = injection_of(answered.write(tmp_path, live=integers))
    follow_schema(section, economics)
    assert economics["good"]["time_to_first_token_s"]["mean"] is None
    assert economics["good"]["joules_per_query"]["mean"] == 72.0
    assert section["time_to_first_token"]["decode_ns_per_token"]["n"] == 0


def test_questions_without_gold_answers_leave_null(tmp_path: Path) -> None:
    nothing = dict.fromkeys(["exact_match", "f1", "in_context", "in_answer", "correct"], float("nan"))
    judged = answered.judged().assign(**nothing, lost_at="")
    section, economics = injection_of(answered.write(tmp_path, judged=judged))
    follow_schema(section, economics)
    assert section["statements"][1] == "No question has a gold answer, so no answer could be judged."
    assert economics["good"]["usd_per_query"]["mean"] == 0.002
    assert economics["good"]["usd_per_correct_answer"] is None


def test_answers_belong_to_the_recording_of_the_same_eval(tmp_path: Path) -> None:
    folder = answered.write(tmp_path)
    assert is_recorded(folder)
    assert belongs(folder, MAIN, JUDGEMENT)
    repriced = [{**pipeline, "prices": {}} for pipeline in MAIN["config"]["pipelines"]]
    assert belongs(folder, {**MAIN, "config": {"pipelines": repriced}}, JUDGEMENT)


@pytest.mark.parametrize(
    ("main", "judgement"),
    [
        ({"corpus": {"sha256": "other"}}, {}),
        ({"questions": "other"}, {}),
        ({"config": {"pipelines": answered.config()["pipelines"][:1]}}, {}),
        ({}, {"qrels_sha256": "other"}),
    ],
)
def test_answers_of_another_eval_do_not_belong(tmp_path: Path, main: dict[str, Any], judgement: dict[str, Any]) -> None:
    assert not belongs(answered.write(tmp_path), {**MAIN, **main}, {**JUDGEMENT, **judgement})


def test_a_judgement_of_an_earlier_recording_does_not_belong(tmp_path: Path) -> None:
    folder = answered.write(tmp_path, judgement={"recording": "r0", "qrels_sha256": "j1"})
    assert not belongs(folder, MAIN, JUDGEMENT)


def test_answers_that_were_not_judged_are_not_there_yet(tmp_path: Path) -> None:
    assert not is_recorded(answered.write(tmp_path, judged=None))


def beside(recording: Path, **changed: Any) -> Path:
    """Answers of the handbook's first two pipelines, in the recording's folder."""
    manifest, judgement = (json.loads((recording / f"{name}.json").read_text()) for name in ("manifest", "judgement"))
    names = dict(zip(answered.SETTINGS, ["bm25", "dense"], strict=True))
    tables = {
        name: getattr(answered, name)().replace({"pipeline": names}) for name in ("prompts", "judged", "live", "costs")
    }
    document = {
        **answered.manifest(), "config": manifest["config"], "corpus_sha256": manifest["corpus"]["sha256"],
        "questions_sha256": manifest["questions"], **changed,
    }  # fmt: skip
    judged = {"recording": "r1", "qrels_sha256": judgement["qrels_sha256"]}
    return answered.write(recording, **tables, manifest=document, judgement=judged)


def summary_of(recording: Path) -> dict[str, Any]:
    """As summary.json has it."""
    return analyse_recording(recording).as_json()


def test_the_summary_takes_the_section_and_the_economics_in(handbook_recording: Path) -> None:
    summary = summary_of(beside(handbook_recording))
    jsonschema.Draft202012Validator(SCHEMA).validate(summary)
    assert list(summary["injection"]["answers"]) == ["bm25", "dense"]
    assert summary["pipelines"]["bm25"]["economics"]["usd_per_query"]["mean"] == 0.002
    assert "economics" not in summary["pipelines"]["hybrid"]
    assert WITH_ANSWERS in summary["limits"]
    assert RETRIEVAL_ONLY not in summary["limits"]


def test_answers_of_another_corpus_are_left_out_and_said_to_be(handbook_recording: Path) -> None:
    summary = summary_of(beside(handbook_recording, corpus_sha256="other"))
    assert "injection" not in summary
    assert RETRIEVAL_ONLY in summary["limits"]
    assert summary["warnings"][-1].startswith("The answers in this folder are of another corpus")


def test_without_answers_the_summary_says_that_none_was_generated(recorded_handbook: Path) -> None:
    summary = summary_of(recorded_handbook)
    assert "injection" not in summary
    assert RETRIEVAL_ONLY in summary["limits"]
