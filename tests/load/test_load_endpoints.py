"""Models behind HTTP as targets of load: first tokens, tokens that the server counted, refusals; and other machines."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reranker_server import MODEL, address, reranking
from speaking_server import Handler, Words, fails, speaking, speaks
from test_load_study import PARTS, written

import ragprof
from ragprof.core.clock import SILENT
from ragprof.core.errors import BadInput
from ragprof.record.recording import Bench
from ragprof.studies.contract import Request
from ragprof.studies.load.record import record_load
from ragprof.studies.load.study import STUDY
from ragprof.studies.preparation import prepare


def endpoints(*tables: str, names: str, slo: str) -> str:
    head = f"[load]\nslo = {slo}\nseconds = 2.5\nrates = [40]\nrepeats = 1\npipelines = [{names}]\n"
    return head + "".join(f"[load.endpoints.{table}\n" for table in tables)


def dripping(handler: Handler) -> None:
    """The first token after 30 ms, the last one 30 ms later."""
    chunks = list(Words(["two", " words"], usage={"prompt_tokens": 7, "completion_tokens": 2}).chunks(chat=True))
    handler.begin()
    handler.write(f"data: {chunks[0]}\n\n")  # it says who speaks, and nothing else
    time.sleep(0.03)
    handler.write(f"data: {chunks[1]}\n\n")
    time.sleep(0.03)
    handler.write("".join(f"data: {chunk}\n\n" for chunk in chunks[2:]))
    handler.end()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("endpoints")
    with pytest.MonkeyPatch.context() as patched, speaking() as server:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        server.otherwise = dripping
        busy = partial(fails, status=429, content="{}", Retry_After="1")
        server.plan.extend([dripping] * 6 + [busy] * 2)
        table = f'llm]\nkind = "chat"\nbase_url = "{server.url}"\nmodel = "tiny-1"\nprompt = "Answer: {{question}}"'
        path = written(folder, endpoints(table, names='"llm"', slo="{ ttft_p95_ms = 55, error_rate = 0.5 }"), PARTS)
        done = ragprof.load(path, out=folder / "out").folder
        found: dict[str, Any] = json.loads((done / "summary.json").read_text())["load"]
        found["asked"] = server.bodies
        return found


def test_a_chat_endpoint_tells_its_first_token_and_its_whole_answer_apart(loaded: dict[str, Any]) -> None:
    (target,) = loaded["targets"]
    curve = next(step for step in target["steps"] if step["purpose"] == "curve")
    assert 30e6 <= curve["first_p50"]["ns"] < 55e6
    assert curve["p50"]["ns"] >= 60e6
    assert curve["p50"]["ns"] - curve["first_p50"]["ns"] > 15e6
    asked = loaded["asked"][0]
    assert (asked["model"], asked["stream"], asked["max_tokens"]) == ("tiny-1", True, 64)
    assert asked["messages"][0]["content"].startswith("Answer: ")


def test_a_promise_of_the_first_token_is_kept_though_no_whole_answer_keeps_it(loaded: dict[str, Any]) -> None:
    """All whole answers take 60 ms, and 55 ms are promised."""
    assert loaded["promise"] == {"level": "p95", "ms": 55, "of_first_token": True, "error_rate": 0.5}
    (target,) = loaded["targets"]
    curve = next(step for step in target["steps"] if step["purpose"] == "curve")
    assert curve["goodput"] > 0.5 * curve["offered"]
    assert "p95 of the first token within 55 ms" in loaded["statements"][0]


def test_tokens_are_the_servers_and_refusals_are_counted(loaded: dict[str, Any]) -> None:
    (target,) = loaded["targets"]
    curve = next(step for step in target["steps"] if step["purpose"] == "curve")
    assert curve["used"]["output_tokens"] == 2 * curve["used"]["input_tokens"] / 7
    refused = [(step["outcomes"].get("busy", 0), step["retry_after"]) for step in target["steps"]]
    assert max(refused) > (0, 0)
    assert all(busy <= named for busy, named in refused)


@pytest.mark.parametrize(
    ("status", "error", "gone", "instead"),
    [
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}, "stream_options", None),
        (400, {"error": {"message": "'max_tokens' is not supported; use 'max_completion_tokens'"}}, "max_tokens",
         "max_completion_tokens"),
    ],
)  # fmt: skip
def test_a_setting_that_a_chat_endpoint_does_not_know_costs_one_request(
    tmp_path: Path, status: int, error: dict[str, Any], gone: str, instead: str | None
) -> None:
    with speaking() as server:
        server.plan.append(partial(fails, status=status, content=json.dumps(error)))
        table = f'llm]\nkind = "chat"\nbase_url = "{server.url}"\nmodel = "tiny-1"'
        path = written(tmp_path, endpoints(table, names='"llm"', slo="{ p95_ms = 400 }"), PARTS)
        record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT))
    assert [gone in body for body in server.bodies] == [True] + [False] * (len(server.bodies) - 1)
    assert instead is None or server.bodies[1][instead] == 64
    tables = [pd.read_parquet(each) for each in (tmp_path / "out" / "load" / "0").glob("*.parquet")]
    outcomes = [each for table in tables for each in table["outcome"]]
    assert (len(outcomes), outcomes.count("error")) == (len(server.bodies), 1)


def test_what_a_refusal_says_is_in_the_report_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-shown")
    with speaking() as server:
        refused = json.dumps({"error": {"message": "no quota is left for sk-never-to-be-shown"}})
        server.plan.extend([speaks, speaks, partial(fails, status=403, content=refused)] * 200)
        table = f'llm]\nkind = "chat"\nbase_url = "{server.url}"\nmodel = "tiny-1"'
        path = written(tmp_path, endpoints(table, names='"llm"', slo="{ p95_ms = 400 }"), PARTS)
        done = ragprof.load(path, out=tmp_path / "out").folder
    text = (done / "summary.json").read_text()
    assert "what they said: 'status 403: no quota is left for ***'" in text
    assert "sk-never" not in text + "".join(each.read_text() for each in (done / "load" / "0").glob("*.json"))


def test_a_rerank_endpoint_scores_passages_of_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    with reranking("jina") as server:
        table = f'rerank]\nkind = "rerank"\ndocuments = 5\nbase_url = "{address(server)}"'
        table += f'\nmodel = "{MODEL}"\ndialect = "jina"'
        path = written(tmp_path, endpoints(table, names='"rerank"', slo="{ p95_ms = 400 }"), PARTS)
        done = ragprof.load(path, out=tmp_path / "out").folder
        asked = server.bodies[0]
    (target,) = json.loads((done / "summary.json").read_text())["load"]["targets"]
    curve = next(step for step in target["steps"] if step["purpose"] == "curve")
    assert (len(asked["documents"]), set(curve["outcomes"])) == (5, {"ok"})
    assert curve["used"]["input_tokens"] > 0


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (endpoints('llm]\nkind = "chat"\nbase_url = "https://llm.example.org/v1"\nmodel = "m"', names='"llm"',
                   slo="{ p95_ms = 400 }"), r"load on llm\.example\.org, which is not this machine, needs max_rate"),
        (endpoints('bm25+overlap]\nkind = "chat"\nbase_url = "http://localhost:1"\nmodel = "m"',
                   names='"bm25+overlap"', slo="{ p95_ms = 400 }"), "is the name of a pipeline"),
        ('[load]\nslo = { ttft_p95_ms = 300 }\n', r"promises a time to first token, and 'bm25\+overlap' tells of none"),
        ('[load]\nslo = { ttft_p95_ms = 300, p95_ms = 1 }\n', "p95_ms and ttft_p95_ms are given"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_anybody_is_asked(tmp_path: Path, tables: str, told: str) -> None:
    path = written(tmp_path, tables.replace("endpoints.bm25+overlap]", 'endpoints."bm25+overlap"]'), PARTS)
    with pytest.raises(BadInput, match=told):
        STUDY.plan(prepare(path), Request(path))


@pytest.mark.parametrize(
    ("held", "is_elsewhere"),
    [
        ("postgresql://user:secret@db.example.org:5432/vectors", True),
        ("host=10.0.0.7 dbname=vectors password=secret", True),
        ("postgresql://user:secret@127.0.0.1/vectors", False),
        ("postgresql:///vectors?host=/var/run/postgresql", False),
    ],
)
def test_a_database_on_another_machine_needs_a_ceiling_and_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str, *, is_elsewhere: bool
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("LOAD_DB", held)
    store = '[[pipelines]]\nname = "db"\nstore = { name = "pgvector", url_env = "LOAD_DB" }\nembedder = "hashing"\n'
    path = written(tmp_path, "[load]\nseconds = 1\n", store)
    if not is_elsewhere:
        assert STUDY.plan(prepare(path), Request(path)).most_requests is None
        return
    told = "load on the database of 'db', which is not this machine, needs max_rate .*--budget-usd"
    with pytest.raises(BadInput, match=told) as refused:
        STUDY.plan(prepare(path), Request(path))
    assert "secret" not in str(refused.value)
