"""`ragprof load` on the handbook: threads and a service, from eval file to report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import ClassVar

import jsonschema
import pandas as pd
import pytest
from known_server import running

import ragprof
from ragprof.core import EmbeddedQuery, Found
from ragprof.core.clock import SILENT
from ragprof.core.errors import BadInput
from ragprof.parts.stores.faiss_flat import FaissFlatStore
from ragprof.record.recording import Bench
from ragprof.record.trial import Trial
from ragprof.report.html import charts_of
from ragprof.report.markdown import as_part
from ragprof.session import summary as summary_module
from ragprof.studies.contract import Context, Request
from ragprof.studies.load.record import Display, record_load
from ragprof.studies.load.requests import StepLog
from ragprof.studies.load.section import LoadSection
from ragprof.studies.load.study import STUDY
from ragprof.studies.load.tables import show
from ragprof.studies.preparation import prepare

DATA = Path(__file__).parents[1] / "data"
HEAD = """
name = "loaded"
metrics = ["nDCG@10"]
[corpus]
path = "handbook"
[timing]
seconds = 0.2
rounds = 2
min_queries = 2
patience = 0
[prices]
machine = "aws/m7i.large"
llm = "free"
[traffic]
queries_per_month = 3_000_000
[economics]
usd_per_question = 0.01
"""
PARTS = """
[[pipelines]]
name = "bm25+overlap"
store = "bm25s"
depth = 10
reranker = "overlap"
injector = { name = "top_k", k = 3 }
"""
LOAD = """
[load]
slo = { p95_ms = 400, error_rate = 0.01 }
seconds = 3
rates = [20, 60]
repeats = 1
workers = 2
depths = [5]
concurrency = [2]
"""


def written(folder: Path, *tables: str) -> Path:
    if not (folder / "handbook").exists():
        shutil.copytree(DATA / "handbook", folder / "handbook")
    path = folder / "eval.toml"
    path.write_text(HEAD + "".join(tables))
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("load")
    with pytest.MonkeyPatch.context() as patched, running(mean_ms=20, servers=2, spans=True) as url:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        service = f'[[pipelines]]\nname = "service"\napp = "{url}"\n'
        yield ragprof.load(written(folder, LOAD, PARTS, service), out=folder / "out").folder


@pytest.fixture(scope="module")
def section(recorded: Path) -> LoadSection:
    document = json.loads((recorded / "summary.json").read_text())
    schema = json.loads(Path(summary_module.__file__).with_name("summary.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    return LoadSection.read(document, "load")


def test_a_reranked_pipeline_is_loaded_with_it_shallower_and_without(section: LoadSection) -> None:
    assert [each.name for each in section.targets] == [
        "bm25+overlap", "bm25+overlap depth 5", "bm25+overlap without reranker", "service",
    ]  # fmt: skip
    assert "rerank" in section.targets[0].steps[0].stages
    assert "rerank" not in section.targets[2].steps[0].stages
    assert [each.kind for each in section.targets] == ["threads", "threads", "threads", "http"]


def test_every_step_says_how_it_was_asked_and_accounts_for_every_request(recorded: Path, section: LoadSection) -> None:
    service = section.targets[3]
    assert {(each.purpose, each.mode) for each in service.steps} == {
        ("alone", "closed"), ("closed", "closed"), ("curve", "open"),
    }  # fmt: skip
    for number, target in enumerate(section.targets):
        for each in target.steps:
            assert sum(each.outcomes.values()) == each.requests
        table = pd.read_parquet(recorded / "load" / str(number) / "curve-0-0.parquet")
        assert (table["ended_ns"] >= table["due_ns"]).all()
    alone = next(each for each in service.steps if each.purpose == "alone")
    assert alone.stages["search"].mean_ns == 20_000_000  # as its spans have it
    assert alone.p50.ns is not None
    assert alone.p50.ns >= 20_000_000


def test_the_answer_is_a_sentence_with_capacity_and_money(section: LoadSection) -> None:
    first = section.statements[0]
    assert first.startswith("bm25+overlap: one machine (2 worker threads) answers ")
    assert "with p95 within 400 ms and at most 1% failed" in first
    assert (
        "3,000,000 questions a month, spread evenly over all hours, take 1 machine of aws/m7i.large: $0.0245" in first
    )
    (verdict,) = section.verdicts
    assert (verdict.verdict, verdict.gain) == ("UNDECIDED", None)
    assert "run 'ragprof reranker' into this folder" in verdict.sentence


def test_the_report_shows_latency_over_rate_and_the_stages(section: LoadSection) -> None:
    (part,) = show(section, Context(("bm25+overlap", "service"), "nDCG@10", {}, {}))
    assert [chart.key for chart in charts_of(part.blocks)] == ["load-latency", "load-stages-chart"]
    text = as_part(part)
    assert "closed loop" in text
    assert "latency counts from when each was due" in text


def test_a_killed_run_keeps_its_steps(recorded: Path, tmp_path: Path) -> None:
    folder, path = shutil.copytree(recorded, tmp_path / "out"), recorded.parent / "eval.toml"
    (folder / "load" / "manifest.json").unlink()
    lost = folder / "load" / "0" / "curve-1-0.parquet"
    lost.unlink()
    kept = {each: each.stat().st_mtime_ns for each in (folder / "load").glob("*/*.parquet")}
    record_load(STUDY.plan(prepare(path), Request(path)), Bench(folder, recorded.parent / "cache", SILENT))
    assert {each: each.stat().st_mtime_ns for each in kept} == kept
    assert lost.exists()


def test_check_says_what_it_would_take(recorded: Path) -> None:
    path = recorded.parent / "eval.toml"
    planned = STUDY.plan(prepare(path), Request(path))
    found = STUDY.estimate(planned, Trial(planned.subject, recorded, {}, {}))
    assert dict(found.rows)["promise"] == "p95 within 400 ms, at most 1% failed"
    assert found.seconds == pytest.approx(4 * 3 * 1.05)


@pytest.mark.parametrize(
    ("load", "told"),
    [
        ("rates = [0]", r"eval.toml:\d+: .*greater than 0"),
        ("rates = [1e9]", r"eval.toml:\d+: .*less than or equal to 100000"),
        (
            "slo = { p95_ms = 1, p99_ms = 2 }",
            "ttft_p50_ms, ttft_p95_ms, ttft_p99_ms; p95_ms and p99_ms are given",
        ),
        ('arrivals = "trace"', 'arrivals = "trace" needs trace, a file of times of arrival'),
        ('trace = "nowhere.txt"', "cannot read this trace"),
        ('pipelines = ["bm52"]', "no pipeline named 'bm52'"),
        ("max_in_flight = 60_000", "needs as many connections, and this process may open"),
    ],
)
def test_what_cannot_be_is_said_before_anybody_is_asked(
    tmp_path: Path, load: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    service = '[[pipelines]]\nname = "service"\napp = "http://127.0.0.1:9/"\n'
    path = written(tmp_path, f"[load]\n{load}\n", service)
    with pytest.raises(BadInput, match=told):
        STUDY.plan(prepare(path), Request(path))


def test_another_host_needs_a_ceiling_a_price_and_a_budget(tmp_path: Path) -> None:
    service = '[[pipelines]]\nname = "service"\napp = "https://rag.example.org/answer"\n'
    path = written(tmp_path, "[load]\nseconds = 5\n", service)
    told = r"load on rag\.example\.org, which is not this machine, needs max_rate .*--budget-usd.*usd_per_request in"
    with pytest.raises(BadInput, match=told):
        STUDY.plan(prepare(path), Request(path))
    path = written(tmp_path, "[load]\nmax_rate = 5\nusd_per_request = 0.002\n", service)
    assert STUDY.plan(prepare(path), Request(path, {"budget_usd": "0.05"})).most_requests == 25


def test_a_service_that_is_not_there_and_a_promise_that_nobody_keeps(tmp_path: Path) -> None:
    service = '[[pipelines]]\nname = "service"\napp = "{}"\n'
    path = written(tmp_path, "[load]\nseconds = 2\n", service.format("http://127.0.0.1:9/"))
    with pytest.raises(BadInput, match=r"'service' answered none of .*; mend that first"):
        record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT))
    with running(mean_ms=20) as url:
        path = written(tmp_path, "[load]\nseconds = 4\nslo = { p95_ms = 5 }\n", service.format(url))
        record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "slow", tmp_path / "cache", SILENT))
    (target,) = json.loads((tmp_path / "slow" / "load" / "manifest.json").read_text())["targets"]
    assert (target["steps"], target["ended"]) == (
        ["alone"], "one request at a time does not keep p95 within 5 ms",
    )  # fmt: skip


def test_a_budget_ends_the_requests(tmp_path: Path) -> None:
    with running(mean_ms=1, servers=4) as url:
        service = f'[[pipelines]]\nname = "service"\napp = "{url}"\n'
        path = written(tmp_path, "[load]\nseconds = 2\nusd_per_request = 0.01\nmax_rate = 50\n", service)
        planned = STUDY.plan(prepare(path), Request(path, {"budget_usd": "0.12"}))
        record_load(planned, Bench(tmp_path / "out", tmp_path / "cache", SILENT))
    folder = tmp_path / "out" / "load"
    assert json.loads((folder / "manifest.json").read_text())["targets"][0]["ended"] == "the budget was spent"
    assert sum(len(pd.read_parquet(each)) for each in folder.glob("0/*.parquet")) <= 12


def test_ctrl_c_ends_with_what_there_is_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[StepLog] = []

    def interrupted(_self: Display, log: StepLog) -> None:
        ended.append(log)
        if len(ended) == 2:
            raise KeyboardInterrupt

    with running(mean_ms=1, servers=4) as url:
        service = f'[[pipelines]]\nname = "service"\napp = "{url}"\n'
        path = written(tmp_path, "[load]\nseconds = 2\nrates = [20, 40]\nrepeats = 1\n", service)
        planned, bench = STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT)
        with monkeypatch.context() as patched:
            patched.setattr(Display, "over", interrupted)
            record_load(planned, bench)
        manifest = tmp_path / "out" / "load" / "manifest.json"
        first = json.loads(manifest.read_text())
        assert (first["interrupted"], first["targets"][0]["steps"]) == (True, ["alone"])
        kept = (manifest.parent / "0" / "alone.parquet").stat().st_mtime_ns
        record_load(planned, bench)
    second = json.loads(manifest.read_text())
    assert (second["interrupted"], len(second["targets"][0]["steps"])) == (False, 3)
    assert (manifest.parent / "0" / "alone.parquet").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_a_verdict_under_load_joins_the_gain_of_the_reranker_study(recorded: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(recorded, tmp_path / "out")
    service = "[[pipelines]]" + (recorded.parent / "eval.toml").read_text().rpartition("[[pipelines]]")[2]
    rerankers = "[reranker]\ndepths = [5, 10]\nks = [3]\n[reranker.timing]\nseconds = 0.3\n"
    path = written(tmp_path, LOAD, rerankers, PARTS, service)
    ragprof.reranker(path, out=folder)
    document = json.loads((folder / "summary.json").read_text())
    (verdict,) = document["load"]["verdicts"]
    assert verdict["metric"] == "nDCG@10"
    assert verdict["gain"]["n"] == 12
    assert "under load" in verdict["sentence"]
    assert "it gains" in verdict["sentence"]


class CountedStore(FaissFlatStore):
    """An index that is asked as a server's: `made` are its clients, `asked` which of them answered."""

    made: ClassVar[list[CountedStore]] = []
    asked: ClassVar[set[int]] = set()
    remote = False
    search_knobs = ()

    def tuned(self) -> CountedStore:
        client = copy(self)
        self.made.append(client)
        return client

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        self.asked.add(id(self))
        return super().search(query, depth)


def test_each_worker_asks_a_database_over_a_connection_of_its_own_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.parts.stores.faiss_flat.plugin", CountedStore)
    store = '[[pipelines]]\nname = "db"\nstore = "faiss_flat"\nembedder = "hashing"\n'
    path = written(
        tmp_path, "[load]\nseconds = 1\nrates = [40]\nrepeats = 2\nworkers = 2\nconcurrency = [1, 4]\n", store
    )
    record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT))
    assert len(CountedStore.made) == 4  # as many as ever asked at once, whatever the number of steps
    assert {id(each) for each in CountedStore.made} >= CountedStore.asked


def test_each_worker_asks_every_database_of_a_hybrid_over_a_connection_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.parts.stores.faiss_flat.plugin", CountedStore)
    monkeypatch.setattr(CountedStore, "made", [])
    monkeypatch.setattr(CountedStore, "asked", set())
    store = '{ name = "rrf", stores = ["bm25s", "faiss_flat"] }'
    path = written(
        tmp_path, "[load]\nseconds = 1\nrates = [40]\nworkers = 2\nconcurrency = [3]\n",
        f'[[pipelines]]\nname = "db"\nstore = {store}\nembedder = "hashing"\n',
    )  # fmt: skip
    record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT))
    assert len(CountedStore.made) == 3
    assert {id(each) for each in CountedStore.made} >= CountedStore.asked


def test_a_database_that_takes_no_more_connections_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(CountedStore):
        def tuned(self) -> CountedStore:
            raise BadInput("the store 'db': too many clients already")

    monkeypatch.setattr("ragprof.parts.stores.faiss_flat.plugin", Full)
    store = '[[pipelines]]\nname = "db"\nstore = "faiss_flat"\nembedder = "hashing"\n'
    path = written(tmp_path, "[load]\nseconds = 1\nrates = [40]\nworkers = 2\n", store)
    with pytest.raises(BadInput, match="too many clients already"):
        record_load(STUDY.plan(prepare(path), Request(path)), Bench(tmp_path / "out", tmp_path / "cache", SILENT))
