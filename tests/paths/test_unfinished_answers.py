"""Reasoning, empty, cut and filtered answers of an endpoint: counted, priced, named, and no rate rests on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from paths import BUILT_IN, QUESTIONS, eval_text, write_collection
from reranker_server import address
from speaking_server import SpeakingServer, fails, speaking, stream

import ragprof
from ragprof.core.errors import BadInput
from ragprof.evals import read_eval
from ragprof.session.again import reprice

CHAT = next(each for each in BUILT_IN if each.label == "openai_compatible chat")
GOLD = {text: answers[0] for text, _, answers in QUESTIONS.values()}
FILTERED = json.dumps({"error": {"code": "content_filter", "message": "The response was filtered"}})


@pytest.fixture
def server(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpeakingServer]:
    """An endpoint that a small eval in the working directory asks."""
    monkeypatch.chdir(tmp_path)
    write_collection(tmp_path)
    with speaking() as running:
        text = eval_text(CHAT, url=address(running)).replace("questions = 3", "questions = 4")
        text = text.replace("[prices]", '[prices]\nmachine = "free"')
        Path("cell.toml").write_text(text)
        yield running


def asked(handler: Any) -> str:
    """The question of a prompt; "" in those that are timed by length."""
    prompt = handler.body["messages"][0]["content"]
    return next((text for text in GOLD if f"Question: {text}" in prompt), "")


def thinks(handler: Any, answer: Callable[[str], str] = lambda gold: gold, finish: str = "stop") -> None:
    """Four tokens of reasoning, then the answer that is made of the gold one."""
    text = answer(GOLD.get(asked(handler), "nothing"))
    said = [{"reasoning_content": "let me "}, {"reasoning_content": "think now"}, {"content": text}]
    chunks = [json.dumps({"choices": [{"delta": delta}]}) for delta in said]
    chunks.append(json.dumps({"choices": [{"delta": {}, "finish_reason": finish}]}))
    prompt = len(handler.body["messages"][0]["content"].split())
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": 4 + len(text.split()),
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    stream(handler, [*chunks, json.dumps({"choices": [], "usage": usage}), "[DONE]"])


def test_tokens_time_and_money_of_reasoning_stand_apart_from_the_answers(server: SpeakingServer) -> None:
    server.otherwise = thinks
    result = ragprof.inject("cell.toml", out="out")
    found = result.summary["injection"]["answers"]["one"]
    assert found["correct"]["mean"] == 1.0
    assert found["endings"] == {
        "asked": 4, "empty": 0, "cut": 0, "cut_wrong": 0, "filtered": 0, "filtered_queries": [], "withheld": None,
    }  # fmt: skip
    reasoning = found["reasoning"]
    assert reasoning["tokens"]["mean"] == 4.0
    assert reasoning["answer_tokens"]["mean"] == pytest.approx((2 + 1 + 3 + 2) / 4)
    assert reasoning["share"] == pytest.approx(16 / 24)
    assert reasoning["time_ns"]["mean"] > 0
    assert reasoning["first_token_ns"]["mean"] > 0
    costs = pd.read_parquet("out/injection/costs.parquet").query("setting == 'own'")
    usd = costs.groupby("item")["usd"].agg(lambda column: sum(column, Decimal(0)))
    assert usd["reasoning tokens"] == 16 * Decimal("0.60") / 1_000_000
    assert usd["reasoning tokens"] + usd["output tokens"] == 24 * Decimal("0.60") / 1_000_000
    assert Decimal(reasoning["usd_per_1000_queries"]) == usd["reasoning tokens"] / 4 * 1000
    live = pd.read_parquet("out/injection/live.parquet")
    assert (live["first_reasoning_ns"] < live["first_token_ns"]).all()
    prefill = pd.read_parquet("out/injection/prefill.parquet")
    assert len(prefill) > 0
    assert "Reasoning and answer" in result.report.read_text()


def test_reasoning_that_takes_all_tokens_is_no_wrong_answer(server: SpeakingServer) -> None:
    server.otherwise = partial(thinks, answer=lambda gold: "", finish="length")
    result = ragprof.inject("cell.toml", out="out")
    found = result.summary["injection"]["answers"]["one"]
    assert (found["correct"]["mean"], found["n"]) == (None, 0)
    assert found["attribution_counts"] == {"search": 0, "rerank": 0, "packing": 0, "model": 0}
    assert (found["endings"]["empty"], found["endings"]["cut"]) == (4, 0)
    why = "4 of 4 answers did not come to their end (4 empty); raise max_new_tokens of the generator"
    assert found["endings"]["withheld"] == why
    assert f"Shares of correct answers of one are withheld: {why}." in result.summary["injection"]["statements"]
    economics = result.summary["pipelines"]["one"]["economics"]
    assert economics["usd_per_query"]["mean"] > 0
    assert economics["usd_per_correct_answer"] is None
    assert economics["utility"]["1"] is None
    assert "How the answers ended" in result.report.read_text()


def test_answers_that_are_cut_are_counted_and_no_rate_is_told(server: SpeakingServer) -> None:
    server.otherwise = partial(thinks, answer=lambda gold: "well, to begin with", finish="length")
    injection = ragprof.inject("cell.toml", out="out").summary["injection"]
    endings = injection["answers"]["one"]["endings"]
    assert (endings["empty"], endings["cut"], endings["cut_wrong"]) == (0, 4, 4)
    assert "4 cut at max_new_tokens before they were right" in endings["withheld"]
    assert injection["comparisons"] == []
    assert injection["marginal"]["one"]["status"] == "undecided"
    assert injection["marginal"]["one"]["statement"].startswith(
        "one: what one more chunk brings is withheld: of those with"
    )


def test_a_cut_answer_that_is_right_already_counts(server: SpeakingServer) -> None:
    server.otherwise = partial(thinks, finish="length")
    found = ragprof.inject("cell.toml", out="out").summary["injection"]["answers"]["one"]
    assert (found["correct"]["mean"], found["endings"]["cut"], found["endings"]["withheld"]) == (1.0, 4, None)


def test_a_content_filter_names_the_question_and_the_others_are_answered(server: SpeakingServer) -> None:
    def filters(handler: Any) -> None:
        if "laptop is lost" in asked(handler):
            fails(handler, 400, FILTERED)
        else:
            thinks(handler)

    server.otherwise = filters
    injection = ragprof.inject("cell.toml", out="out").summary["injection"]
    found = injection["answers"]["one"]
    assert (found["correct"]["mean"], found["n"]) == (1.0, 3)
    assert (found["endings"]["filtered"], found["endings"]["filtered_queries"]) == (1, ["q2"])
    assert "A content filter held answers back, of the question q2." in injection["statements"]
    assert found["endings"]["withheld"] == (
        "1 of 4 answers did not come to their end (1 held back by a content filter)"
    )
    live = pd.read_parquet("out/injection/live.parquet")
    assert "q2" not in set(live["query_id"])


@pytest.mark.slow
def test_prices_of_another_day_keep_reasoning_apart(server: SpeakingServer) -> None:
    server.otherwise = thinks
    ragprof.inject("cell.toml", out="out")
    found = reprice(Path("out"), llm="openai:gpt-4o").summary["injection"]["answers"]["one"]["reasoning"]
    assert Decimal(found["usd_per_1000_queries"]) == 4 * Decimal(10) / 1_000_000 * 1000


def test_a_model_judge_that_reasons_is_understood(server: SpeakingServer) -> None:
    text = Path("cell.toml").read_text().replace("[injection]", '[injection]\njudge = "extractive"', 1)
    Path("cell.toml").write_text(text)
    assert read_eval(Path("cell.toml")).injection.judge is not None
    server.otherwise = thinks
    Path("cell.toml").write_text(
        text.replace('judge = "extractive"', f"judge = {CHAT.spec.replace('URL', address(server))}")
    )

    def both(handler: Any) -> None:
        graded = "You grade answers" in handler.body["messages"][0]["content"]
        thinks(handler, answer=(lambda gold: "CORRECT") if graded else (lambda gold: gold))

    server.otherwise = both
    judge = ragprof.inject("cell.toml", out="out").summary["injection"]["answers"]["one"]["judge"]
    assert (judge["model"], judge["agreement"], judge["unparsable"]) == ("tiny-1", 1.0, 0)


@pytest.mark.slow
def test_answers_stop_before_the_budget_is_exceeded_and_the_next_run_goes_on_from_there(server: SpeakingServer) -> None:
    """An answer may have so many tokens as it likes, and is expected to have all of them."""
    server.otherwise = thinks
    with pytest.raises(BadInput, match="what was answered is kept, so that a run with a larger --budget-usd goes on"):
        ragprof.inject("cell.toml", out="out", budget_usd="0.0002")
    paid = len(server.bodies)
    assert paid > 0
    ragprof.inject("cell.toml", out="out", budget_usd="5")
    work = json.loads(Path("out/injection/manifest.json").read_text())["work"]
    assert work["reused"] == paid < work["distinct"]
