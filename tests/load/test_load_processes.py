"""Workers that are processes of their own: what they answer, and what is said of those that end or cannot begin."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from test_load_study import PARTS, written

from ragprof.core.clock import SILENT
from ragprof.core.errors import BadInput
from ragprof.record.recording import Bench
from ragprof.studies.contract import Request
from ragprof.studies.load.processes import ProcessClients, WorkerOrder
from ragprof.studies.load.record import record_load
from ragprof.studies.load.study import STUDY
from ragprof.studies.load.worker import serve
from ragprof.studies.preparation import Prepared, prepare

PROCESSES = 'pool = "processes"\nworkers = 2\n'


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))


def order_of(folder: Path, prepared: Prepared, *, corpus: str = "") -> WorkerOrder:
    return WorkerOrder(
        folder / "eval.toml", folder / "out", folder / "cache", {"pool": "processes"}, "bm25+overlap",
        corpus or prepared.subject.corpus.sha256,
    )  # fmt: skip


def replies(*requests: object) -> list[dict[str, object]]:
    """What a worker says to these lines."""
    said = StringIO()
    serve(StringIO("".join(f"{json.dumps(each)}\n" for each in requests)), said)
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_a_worker_tells_the_time_of_each_stage_and_of_its_own_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGPROF_CORE_TIMES", "on")
    prepared = prepare(written(tmp_path, f"[load]\n{PROCESSES}", PARTS))
    query_id = prepared.subject.queries[0].query_id
    ready, *answers = replies(order_of(tmp_path, prepared).as_json(), {"query": query_id}, {"query": query_id})
    assert ready == {"done": True}
    for answer in answers:
        stages = answer["done"]
        assert isinstance(stages, dict)
        assert {"search", "rerank", "inject"} <= set(stages)
        if Path("/proc/thread-self/schedstat").exists():
            assert {"ran", "waited"} <= set(stages)  # a scheduler may count by its ticks, so 0 ns is an answer
    assert replies() == []  # nobody ordered anything


def test_a_worker_that_has_another_corpus_says_so_and_answers_nothing(tmp_path: Path) -> None:
    prepared = prepare(written(tmp_path, f"[load]\n{PROCESSES}", PARTS))
    (said,) = replies(order_of(tmp_path, prepared, corpus="another").as_json(), {"query": "q1"})
    assert "leave --corpus out, or use threads" in str(said["error"])


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[ProcessClients]:
    prepared = prepare(written(tmp_path, f"[load]\n{PROCESSES}", PARTS))
    made = ProcessClients(order_of(tmp_path, prepared))
    yield made
    made.close()


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_questions_and_leaves_none_behind(
    tmp_path: Path, clients: ProcessClients
) -> None:
    query = prepare(tmp_path / "eval.toml").subject.queries[0]
    with clients.asker() as ask:
        assert ask(query)["search"] > 0
        (worker,) = clients.processes()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(BadInput, match=r"a worker process ended \(-9\)"):
            ask(query)
    with clients.asker() as again:
        assert again(query)["search"] > 0  # another one took its place
    others = set(clients.processes()) - {worker}
    clients.close()
    for each in (worker, *others):
        with pytest.raises(ProcessLookupError):
            os.kill(each, 0)


def test_a_pool_of_processes_answers_and_says_what_it_was(tmp_path: Path) -> None:
    settings = f"[load]\nseconds = 1\nrates = [20]\nrepeats = 1\n{PROCESSES}without_reranker = false\n"
    path = written(tmp_path, settings, PARTS)
    record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT))
    (target,) = json.loads((tmp_path / "out" / "load" / "manifest.json").read_text())["targets"]
    assert (target["kind"], target["workers"]) == ("processes", 2)
    table = pd.read_parquet(tmp_path / "out" / "load" / "0" / "curve-0-0.parquet")
    assert set(table["outcome"]) == {"ok"}
    assert (table["rerank_ns"] > 0).all()


def test_questions_of_several_processes_make_no_batch(tmp_path: Path) -> None:
    batching = "batching = [{ max_batch = 4 }]\n"
    path = written(tmp_path, f"[load]\n{PROCESSES}{batching}", PARTS)
    with pytest.raises(BadInput, match=r'eval.toml:\d+: .*pool = "processes" has one in each'):
        STUDY.plan(prepare(path), Request(path))
