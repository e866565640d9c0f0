"""What a finished study leaves on disk: whole tables whose figures fit each other."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from study import KEY, Study

from ragprof.core.prompt import arranged
from ragprof.core.tokens import counter

SCHEMA = Path(__file__).parents[2] / "ragprof" / "session" / "summary.schema.json"
PIPELINES = ["bm25", "dense", "hybrid", "hybrid+overlap"]
SWEPT = ["own", "k=1", "k=2", "k=3", "k=5", "tokens=60", "tokens=120", "best_first", "best_last", "edges"]
COLUMNS = {
    "prompts": [
        *KEY, "digest", "prompt_tokens", "template_tokens", "context_tokens", "query_tokens", "model_tokens",
        "docs_injected", "docs_dropped", "truncated_tokens",
    ],
    "chunks": [*KEY, "position", "rank", "doc_id", "document_id", "tokens", "content"],
    "candidates": ["pipeline", "stage", "query_id", "rank", "doc_id", "document_id"],
    "answers": ["digest", "text", "output_tokens", "answer_tokens", "finish", "reasoning_tokens"],
    "live": [
        "pipeline", "setting", "round", "query_id", "end_to_end_ns", "embed_ns", "search_ns", "rerank_ns", "inject_ns",
        "generate_ns", "first_token_ns", "first_reasoning_ns", "decode_ns", "input_tokens", "output_tokens",
        "cached_tokens", "reasoning_tokens", "retries", "excluded_ns", "cpu_ns", "waiting_ns", "joules",
    ],
    "prefill": ["round", "prompt_tokens", "first_token_ns", "end_to_end_ns", "cpu_ns", "waiting_ns"],
    "judged": [
        *KEY, "answerable", "exact_match", "f1", "in_context", "in_answer", "correct", "abstained", "lost_at", "ndcg",
        "relevant_tokens", "irrelevant_tokens", "unjudged_tokens", "duplicate_tokens", "evidence_position",
    ],
    "costs": [*KEY, "item", "usd", "rate"],
}  # fmt: skip
WRITTEN = ("beside", "judgement", "manifest", "rates")
MAY_BE_UNKNOWN = {
    "live": {
        *("embed_ns", "rerank_ns", "first_reasoning_ns", "cached_tokens", "reasoning_tokens", "joules"),
        *("cpu_ns", "waiting_ns"),
    },
    "prefill": {"cpu_ns", "waiting_ns"},
    "judged": {"exact_match", "f1", "in_context", "in_answer", "correct", "ndcg", "evidence_position"},
}


def of_every_prompt(sums: pd.Series, prompts: pd.DataFrame) -> list[int]:
    """Sums over chunks in the order of the prompts; 0 where a prompt has no chunk."""
    return [int(value) for value in sums.reindex(pd.MultiIndex.from_frame(prompts[KEY]), fill_value=0)]


def test_all_that_belongs_to_a_study_is_there_and_nothing_else(studied: Study) -> None:
    names = sorted(path.name for path in studied.place.iterdir())
    assert names == sorted([*(f"{name}.parquet" for name in COLUMNS), *(f"{name}.json" for name in WRITTEN)])
    assert not list(studied.folder.rglob("*.partial"))


@pytest.mark.parametrize("name", list(COLUMNS))
def test_tables_have_their_columns_and_no_gaps(studied: Study, name: str) -> None:
    table = studied.table(name)
    assert list(table.columns) == COLUMNS[name]
    assert len(table) > 0
    assert set(table.columns[table.isna().any()]) <= MAY_BE_UNKNOWN.get(name, set())


def test_the_manifest_says_what_was_asked_of_whom(studied: Study) -> None:
    manifest = studied.manifest
    assert sorted(manifest["questions"]) == [f"q{number:02}" for number in range(1, 13)]
    assert sorted(manifest["unanswerable"]) == ["u01", "u02", "u03", "u04"]
    assert manifest["own_k"] == dict.fromkeys(PIPELINES, 3)
    assert manifest["generators"] == dict.fromkeys(PIPELINES, "extractive max_new_tokens=32 context_tokens=None")
    assert manifest["generator"] == {
        "name": "extractive", "model": "extractive", "context_tokens": None, "max_new_tokens": 32,
    }  # fmt: skip
    assert manifest["config"]["name"] == "handbook"
    assert manifest["environment"]["cpu"]
    assert manifest["energy"] is None


def test_only_the_swept_pipeline_has_other_settings_than_its_own(studied: Study) -> None:
    settings = {name: ["own"] for name in PIPELINES[:3]} | {"hybrid+overlap": SWEPT}
    assert studied.manifest["settings"] == settings
    asked = studied.table("prompts").groupby("pipeline")["setting"].agg(lambda column: list(dict.fromkeys(column)))
    assert asked.to_dict() == settings


def test_every_question_is_asked_once_in_every_setting_and_unanswerable_ones_in_the_own_alone(studied: Study) -> None:
    prompts = studied.table("prompts")
    assert not prompts.duplicated(KEY).any()
    answerable = [f"q{number:02}" for number in range(1, 13)]
    for setting in SWEPT:
        expected = [*answerable, "u01", "u02", "u03", "u04"] if setting == "own" else answerable
        for _, asked in prompts[prompts["setting"] == setting].groupby("pipeline")["query_id"]:
            assert sorted(asked) == expected
    assert len(prompts) == 4 * 16 + 9 * 12 == studied.manifest["work"]["prompts"]


def test_every_distinct_prompt_has_one_answer(studied: Study) -> None:
    digests = studied.table("prompts")["digest"]
    answers = studied.table("answers")
    assert answers["digest"].is_unique
    assert set(answers["digest"]) == set(digests)
    work = studied.manifest["work"]
    assert work["distinct"] == work["generated"] == len(answers) < len(digests)
    assert work["reused"] == 0


def test_parts_of_a_prompt_add_up(studied: Study) -> None:
    prompts = studied.table("prompts")
    parts = prompts[["template_tokens", "context_tokens", "query_tokens"]]
    assert (parts.sum(axis=1) == prompts["prompt_tokens"]).all()
    assert (parts[["template_tokens", "query_tokens"]] > 0).all(axis=None)
    chunks = studied.table("chunks").groupby(KEY)["tokens"].sum()
    assert of_every_prompt(chunks, prompts) == prompts["context_tokens"].tolist()


def test_a_setting_has_as_many_chunks_as_it_asks_for(studied: Study) -> None:
    prompts = studied.table("prompts")
    for setting, k in {"k=1": 1, "k=2": 2, "k=3": 3, "k=5": 5, "best_first": 3, "best_last": 3, "edges": 3}.items():
        assert set(prompts[prompts["setting"] == setting]["docs_injected"]) == {k}
    assert (prompts["docs_dropped"] == 0).all()
    counted = studied.table("chunks").groupby(KEY).size()
    assert of_every_prompt(counted, prompts) == prompts["docs_injected"].tolist()


def test_a_budget_holds_for_the_whole_prompt(studied: Study) -> None:
    longest = studied.table("prompts").groupby(["pipeline", "setting"])["prompt_tokens"].max()
    assert longest[("hybrid+overlap", "tokens=60")] <= 60
    assert 60 < longest[("hybrid+overlap", "tokens=120")] <= 120
    assert longest[("hybrid", "own")] <= 200


def test_truncated_tokens_are_those_of_wanted_chunks_that_did_not_get_in(studied: Study) -> None:
    prompts = studied.table("prompts").set_index(KEY)
    tokens = pd.read_parquet(studied.folder / "tokens.parquet").query("kind == 'doc'").set_index("id")["tokens"]
    candidates = studied.table("candidates").query("pipeline == 'hybrid+overlap' and stage == 'rerank'")
    inside = studied.table("chunks").groupby(KEY)["doc_id"].agg(set)
    for query_id, ranked in candidates.sort_values("rank").groupby("query_id")["doc_id"].agg(list).items():
        for setting, wanted in {"tokens=60": 3, "tokens=120": 3, "own": 3, "k=5": 5}.items():
            key = ("hybrid+overlap", setting, str(query_id))
            if key in prompts.index:
                left_out = [doc for doc in ranked[:wanted] if doc not in inside.get(key, set())]
                assert prompts.loc[key, "truncated_tokens"] == sum(tokens[doc] for doc in left_out)
    by_setting = prompts.groupby("setting")["truncated_tokens"].sum()
    assert by_setting["tokens=60"] > by_setting["tokens=120"] > 0
    assert by_setting[["own", "k=5", "edges"]].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("setting", "order"), [("own", "best_first"), ("best_last", "best_last"), ("edges", "edges")])
def test_chunks_stand_in_the_order_of_their_setting(studied: Study, setting: str, order: str) -> None:
    chunks = studied.table("chunks")
    for _, rows in chunks[chunks["setting"] == setting].groupby(["pipeline", "query_id"]):
        ranks = rows.sort_values("position")["rank"].tolist()
        assert rows["position"].tolist() == list(range(1, len(rows) + 1))
        assert ranks == list(arranged(sorted(ranks), order))  # type: ignore[arg-type]


def test_a_chunk_is_the_candidate_of_its_rank(studied: Study) -> None:
    last = {name: "rerank" if name == "hybrid+overlap" else "search" for name in PIPELINES}
    candidates = studied.table("candidates")
    final = candidates[candidates["stage"] == candidates["pipeline"].map(last)]
    chunks = studied.table("chunks")
    merged = chunks.merge(final, on=["pipeline", "query_id", "rank"], suffixes=("", "_ranked"), validate="m:1")
    assert len(merged) == len(chunks)
    assert (merged["doc_id"] == merged["doc_id_ranked"]).all()


def test_candidates_are_the_rankings_of_the_recording(studied: Study) -> None:
    candidates = studied.table("candidates")
    for name in PIPELINES:
        recorded = pd.read_parquet(studied.folder / "rankings" / f"{name}.parquet").query("stage != 'inject'")
        mine = candidates[(candidates["pipeline"] == name) & candidates["query_id"].str.startswith("q")]
        columns = ["query_id", "stage", "rank", "doc_id"]
        expected = recorded[columns].sort_values(columns).to_numpy().tolist()
        assert mine[columns].sort_values(columns).to_numpy().tolist() == expected
    assert {"u01", "u02", "u03", "u04"} <= set(candidates["query_id"])


def test_answers_are_counted_by_the_evals_tokenizer(studied: Study) -> None:
    answers, count = studied.table("answers"), counter("o200k_base")
    assert answers["answer_tokens"].tolist() == [count(text) for text in answers["text"]]
    assert answers["output_tokens"].tolist() == [len(text.split()) for text in answers["text"]]
    assert set(answers["finish"]) <= {"stop", "length"}


def test_live_queries_are_whole_in_every_round(studied: Study) -> None:
    live = studied.table("live")
    for name in PIPELINES:
        timed = ["own", "k=1", "k=2", "k=3", "k=5"] if name == "hybrid+overlap" else ["own"]
        assert list(live[live["pipeline"] == name]["setting"].unique()) == timed
    for _, rows in live.groupby(["pipeline", "setting"]):
        first, second = (sorted(rows[rows["round"] == number]["query_id"]) for number in (0, 1))
        assert first == second
        assert len(first) >= 2
    assert live["query_id"].str.startswith("q").all()


def test_stages_of_a_live_query_are_within_it_and_the_first_token_within_its_stage(studied: Study) -> None:
    live = studied.table("live")
    stages = live[["embed_ns", "search_ns", "rerank_ns", "inject_ns", "generate_ns"]]
    assert (stages.sum(axis=1) <= live["end_to_end_ns"]).all()
    assert (live["first_token_ns"] + live["decode_ns"] == live["generate_ns"]).all()
    # What FAISS's search does besides the library's own call and turning rows into documents.
    assert (live["excluded_ns"].ge(0) & live["excluded_ns"].eq(0).eq(live["pipeline"] == "bm25")).all()
    for name, absent in {"bm25": [True, True], "dense": [False, True], "hybrid+overlap": [False, False]}.items():
        stages = live[live["pipeline"] == name][["embed_ns", "rerank_ns"]]
        assert stages.isna().all().tolist() == stages.isna().any().tolist() == absent


def test_prompts_of_chosen_lengths_are_about_as_long(studied: Study) -> None:
    prefill = studied.table("prefill")
    found = prefill.groupby("round")["prompt_tokens"].agg(list)
    assert found.index.tolist() == [0, 1]
    for lengths in found:
        assert [abs(length - asked) <= 10 for length, asked in zip(lengths, (64, 128, 256, 512), strict=True)] == [
            True, True, True, True,
        ]  # fmt: skip


def test_the_summary_keeps_its_contract_and_holds_answers_and_economics(studied: Study) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(studied.summary)
    json.dumps(studied.summary, allow_nan=False)
    assert studied.summary == json.loads((studied.folder / "summary.json").read_text(encoding="utf-8"))
    injection = studied.summary["injection"]
    assert (injection["questions"], injection["unanswerable"], injection["correct"]) == (12, 4, "contains")
    assert list(injection["answers"]) == PIPELINES
    assert [row["k"] for row in injection["by_k"]["hybrid+overlap"]] == [1, 2, 3, 5]
    assert [row["budget_tokens"] for row in injection["by_budget"]["hybrid+overlap"]] == [60, 120]
    assert [row["order"] for row in injection["orders"]["hybrid+overlap"]] == ["best_first", "best_last", "edges"]
    assert injection["work"] == studied.manifest["work"]
    for name in PIPELINES:
        economics = studied.summary["pipelines"][name]["economics"]
        assert (economics["setting"], economics["accuracy"]["n"]) == ("own", 12)
        assert economics["usd_per_query"]["mean"] > 0


def test_a_correct_answer_has_its_gold_answer_in_it(studied: Study) -> None:
    lines = (studied.eval_file.parent / "handbook" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    gold = {each["_id"]: each["metadata"]["answers"] for each in map(json.loads, lines)}
    whole = studied.table("judged").merge(studied.table("prompts")[[*KEY, "digest"]], on=KEY)
    whole = whole.merge(studied.table("answers"), on="digest").dropna(subset=["correct"])
    assert 0.3 < whole["correct"].mean() < 1.0
    for row in whole.itertuples():
        if row.correct:
            assert any(answer.casefold() in str(row.text).casefold() for answer in gold[row.query_id])


def test_the_report_shows_the_study(studied: Study) -> None:
    for name in ("report.html", "report.md"):
        text = (studied.folder / name).read_text(encoding="utf-8")
        assert studied.summary["injection"]["statements"][0][:30] in text
