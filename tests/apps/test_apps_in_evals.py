"""A pipeline of the user's own in the eval file: beside declared ones, and what can be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ragprof
from ragprof.core.clock import Silent
from ragprof.core.errors import BadInput
from ragprof.evals import read_eval
from ragprof.session.run import run
from ragprof.session.tracing import trace
from ragprof.studies.gate.processes import Worker
from ragprof.studies.preparation import prepare

APP = """
import json
from pathlib import Path

import ragprof

LINES = (Path(__file__).parent / "handbook" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
PAGES = [json.loads(line) for line in LINES]


@ragprof.stage("search")
def search(question):
    words = set(question.lower().split())
    scored = [(page["_id"], len(words & set(page["text"].lower().split()))) for page in PAGES]
    return sorted(scored, key=lambda pair: -pair[1])[:8]


def answer(question, k=3):
    found = search(question)
    with ragprof.span("rerank") as marked:
        marked.documents = found = list(reversed(found))
    with ragprof.span("clean up"):
        chosen = [{"metadata": {"page": doc_id}, "text": doc_id} for doc_id, _ in found[:k]]
    return {"answer": "Ask your team lead.", "documents": chosen}


def make():
    return answer


not_an_app = 7
"""


def with_app(handbook: Path, line: str, code: str = APP) -> Path:
    """The handbook's eval, with an app in rag.py beside it as one more pipeline."""
    (handbook.parent / "rag.py").write_text(code, encoding="utf-8")
    text = handbook.read_text(encoding="utf-8") + f'\n[[pipelines]]\nname = "prod"\n{line}\n'
    handbook.write_text(text, encoding="utf-8")
    return handbook


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """summary.json of the handbook with an app as one more pipeline."""
    import shutil

    data, folder = Path(__file__).parents[1] / "data", tmp_path_factory.mktemp("app")
    shutil.copytree(data / "handbook", folder / "handbook")
    file = Path(shutil.copy(data / "handbook.toml", folder))
    with_app(file, 'app = "rag.py:answer"\ndoc_id = "metadata.page"\narguments = { k = 4 }')
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        made = run(file, out=folder / "recording")
    found: dict[str, Any] = json.loads((made.folder / "summary.json").read_text(encoding="utf-8"))
    found["report"] = (made.folder / "report.html").read_text(encoding="utf-8")
    found["folder"] = str(made.folder)
    return found


def test_an_app_stands_beside_declared_pipelines(summary: dict[str, Any]) -> None:
    prod = summary["pipelines"]["prod"]
    assert [*prod["stages"]] == ["search", "rerank", "other:clean up"]
    assert [*prod["scores"]] == ["search", "rerank", "inject"]
    assert summary["final_stage"]["prod"] == "rerank"
    assert prod["build"] is None
    assert 0 < prod["closure"] <= 1
    assert prod["overhead"] is not None
    assert len([pair for pair in summary["comparisons"] if "prod" in (pair["baseline"], pair["candidate"])]) == 4
    assert "other:clean up" in summary["report"]


def test_an_exported_app_is_read_back_with_the_same_time_on_the_critical_path(
    summary: dict[str, Any], tmp_path: Path
) -> None:
    """Its stages lie one after another in a trace, as long as they were waited for."""
    ragprof.export(summary["folder"], into=tmp_path, formats=["otlp"])
    (found,) = trace(tmp_path / "otlp" / "prod.jsonl", out=tmp_path / "again").summary["trace"]["pipelines"].values()
    recorded = summary["pipelines"]["prod"]
    means = {stage: ns for stage, ns in found["mean_path_ns"].items() if stage != "unaccounted"}
    assert means == {stage: recorded["stages"][stage]["mean_ns"] for stage in ("search", "rerank", "other:clean up")}
    assert found["overlapping"] == 0
    assert found["reranker"]["time_share"] == pytest.approx(means["rerank"] / found["end_to_end"]["mean_ns"], rel=1e-3)


def test_it_is_said_what_an_app_is_and_who_told_of_its_stages(summary: dict[str, Any]) -> None:
    app = summary["pipelines"]["prod"]["app"]
    assert (app["kind"], app["target"], app["asked"], app["failed"]) == ("callable", "rag.py:answer", 12, 0)
    assert app["sources"] == {"search": "ragprof.span", "rerank": "ragprof.span", "other:clean up": "ragprof.span"}
    assert app["unknown_documents"] == 0
    (told,) = [each for each in summary["headline"] if each.startswith("prod is rag.py:answer")]
    assert "search, rerank and other:clean up told by ragprof.span; nobody told of" in told


def test_what_an_apps_own_reranker_changes_is_in_the_headline(summary: dict[str, Any]) -> None:
    prod = summary["pipelines"]["prod"]
    metric = next(iter(prod["scores"]["search"]))
    after, before = (prod["scores"][stage][metric]["mean"] for stage in ("rerank", "search"))
    assert prod["reranked"]["mean"] == pytest.approx(after - before)
    assert prod["reranked"]["interval"][1] < 0  # it turns the order round
    (told,) = [each for each in summary["headline"] if each.startswith("The reranker of prod")]
    assert told.startswith(f"The reranker of prod changes {metric} by \u2212{before - after:.3f} (95% CI ")
    assert told.endswith("of its time; whether it is worth that, 'ragprof reranker' says.")
    assert "reranked" not in summary["pipelines"]["hybrid+overlap"]


def test_what_an_app_injects_and_answers_is_counted(summary: dict[str, Any]) -> None:
    prod = summary["pipelines"]["prod"]
    usage = prod["usage_per_query"]
    assert usage["inject.docs_injected"] == 4
    assert usage["rerank.docs_scored"] == 8
    assert usage["generate.output_tokens"] == 5
    assert prod["app"]["prompt_tokens"] == "counted in its passages and the question"
    bill = prod["cost_usd_per_1000_queries"]
    assert float(bill["other:clean up"]) > 0
    assert float(bill["other:unattributed"]) > 0
    assert float(bill["total"]) > 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'app = "rag.py:anser"',
            "handbook.toml:71: app = 'rag.py:anser': rag.py has no 'anser'; did you mean 'answer'?",
        ),
        ('app = "rug.py:answer"', "handbook.toml:71: app: there is no file rug.py"),
        (
            'app = "no_such_module_here:x"',
            "does not import: ModuleNotFoundError: No module named 'no_such_module_here'",
        ),
        ('app = "rag.py"', "handbook.toml:71: app = 'rag.py' is none; write module:attribute"),
        ('app = "rag.py:not_an_app"', "app = 'rag.py:not_an_app' is a int, which is no app"),
        ('app = "rag.py:answer"\nstore = "bm25s"', "an app brings its own store; leave store out"),
        ('app = "rag.py:answer"\nreranker = "maxsim"', "an app brings its own reranker; leave reranker out"),
        (
            'app = "rag.py:answer"\narguments = { j = 4 }',
            "app 'answer' takes (question, k=3); it is called with (quest",
        ),
        ('store = "bm25s"\ndoc_id = "metadata.page"', "doc_id is an app's; give app, or leave doc_id out"),
        ('app = "http://user:pw@127.0.0.1/answer"', "app of 127.0.0.1 holds a user name"),
    ],
)
def test_what_is_wrong_with_an_app_is_told_before_anything_runs(handbook: Path, line: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        prepare(with_app(handbook, line))
    assert message in str(raised.value)


def test_a_kind_that_there_is_not_is_told(handbook: Path) -> None:
    with pytest.raises(BadInput, match="no app named 'http2'; did you mean 'http'"):
        prepare(with_app(handbook, 'app = "rag.py:answer"\nkind = "http2"'))


def test_of_a_module_that_does_not_import_the_last_place_is_told_and_no_more(handbook: Path) -> None:
    file = with_app(handbook, 'app = "rag.py:answer"', "def broken():\n    raise KeyError('no index')\n\n\nbroken()\n")
    with pytest.raises(BadInput) as raised:
        prepare(file)
    assert str(raised.value).endswith("app: rag.py does not import: KeyError: 'no index' (rag.py:2)")
    (handbook.parent / "rag.py").write_text("def answer(:\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"does not import: SyntaxError: .* \(rag.py:1\)"):
        prepare(handbook)


def test_nothing_is_imported_by_reading_the_eval_file(handbook: Path) -> None:
    file = with_app(handbook, 'app = "rag.py:answer"', "raise SystemExit('ran')\n")
    assert read_eval(file).pipelines[-1].app == "rag.py:answer"
    with pytest.raises(BadInput, match="does not import: SystemExit: ran"):
        prepare(file)
    (handbook.parent / "rag.py").write_text("raise KeyboardInterrupt('mine')\n", encoding="utf-8")
    with pytest.raises(BadInput, match="does not import: KeyboardInterrupt: mine"):
        prepare(file)
    (handbook.parent / "rag.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):  # somebody interrupts the run
        prepare(file)


def test_the_import_of_an_app_is_a_task_of_its_own(handbook: Path) -> None:
    class Tasks(Silent):
        begun: ClassVar[list[str]] = []

        def start(self, task: str, total: int) -> None:
            self.begun.append(task)

    prepare(with_app(handbook, 'app = "rag.py:answer"\nknobs = { k = [3, 2] }'), progress=Tasks())
    assert Tasks.begun == ["read the corpus and the questions", "import rag.py:answer"]


def test_a_function_that_takes_nothing_makes_the_app(handbook: Path) -> None:
    parts = prepare(with_app(handbook, 'app = "rag.py:make"')).subject.pipelines[-1]
    assert parts.app is not None
    assert parts.app.kind == "callable"


def test_a_declared_pipeline_is_written_as_ever(handbook: Path) -> None:
    assert "app" not in read_eval(handbook).pipelines[0].model_dump()


@pytest.mark.parametrize("study", ["growth", "audit", "injection"])
def test_studies_that_take_pipelines_apart_leave_an_app_out(handbook: Path, study: str) -> None:
    from ragprof.session import studies
    from ragprof.studies.contract import Request

    file = with_app(handbook, 'app = "rag.py:answer"')
    planned = studies.study(study).plan(prepare(file), Request(file))
    assert "prod" not in [parts.name for parts in planned.subject.pipelines]  # type: ignore[attr-defined]


def test_a_question_that_fails_in_a_side_of_a_gate_is_counted_there(
    tmp_path: Path, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = APP.replace("answer(question, k=3):\n", "answer(question, k=3):\n    assert 'flight' not in question\n")
    file = with_app(handbook, 'app = "rag.py:answer"\ndoc_id = "metadata.page"', code)
    worker = Worker(lambda _: None)
    queries = worker.prepare(eval_file=str(file), corpus=None, books=[])["queries"]
    worker.load(folder=str(tmp_path / "side"))
    texts = {each.query_id: each.text for each in worker._subject.queries}
    failing = next(name for name in queries if "flight" in texts[name])
    with pytest.raises(BadInput, match="app 'prod' failed for 1 question of 12, more than 5%"):
        worker.ask(pipeline="prod", query=failing, phase="timed", number=0)
    monkeypatch.setattr("ragprof.record.apps.MOST_FAILED", 0.2)
    assert worker.ask(pipeline="prod", query=failing, phase="timed", number=1) == {}
    other = next(name for name in queries if name != failing and "flight" not in texts[name])
    assert worker.ask(pipeline="prod", query=other, phase="timed", number=0)["query"] > 0
