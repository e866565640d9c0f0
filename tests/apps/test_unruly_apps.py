"""Apps that raise, change what they are given, never end or answer with what no file takes: one question is lost."""

from __future__ import annotations

import decimal
import itertools
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from passages import DOCS, TEXTS
from speaking_server import Handler, SpeakingServer, speaking

import ragprof
from ragprof.core import Query
from ragprof.core.clock import now_ns
from ragprof.core.errors import BadInput
from ragprof.record.apps import AskedApp
from ragprof.record.pipeline import Pipeline
from ragprof.record.recording import redacted
from ragprof.record.targets import located

QUERY = Query("q1", "which tides come when sun and moon pull along one line?")


class Raising:
    """A document, an answer or an object with a knob, whose properties do not work."""

    @property
    def id(self) -> str:
        raise RuntimeError("no connection")

    @property
    def k(self) -> int:
        raise ValueError("not yet")


def asked(app: Any, **options: Any) -> AskedApp:
    found = Pipeline("prod", app=app, **options).parts().app
    assert found is not None
    found.add(DOCS, None)
    return found


def failure(app: Any, **options: Any) -> str:
    """How the one question of a hundred fails, and that no run ends of it."""
    found = asked(app, **options)
    found.ranked(QUERY, of=100)
    json.dumps(found.log.facts(), ensure_ascii=False).encode()
    return found.log.failed["q1"]


def raising(problem: BaseException) -> Callable[[str], None]:
    def app(question: str) -> None:
        raise problem

    return app


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (KeyboardInterrupt(), "RuntimeError: the app raised KeyboardInterrupt"),
        (Unsayable(), "Unsayable: (its message raises RuntimeError)"),
        (ValueError("\ud800\x1b[31mred\nline"), "ValueError: [31mred line"),
        (ValueError("no key sk-abcdefghijklmnop"), "ValueError: no key ***"),
        (ValueError("header Bearer abc.def"), "ValueError: header Bearer ***"),
    ],
)
def test_whatever_an_app_raises_is_one_question_that_failed(problem: BaseException, said: str) -> None:
    assert failure(raising(problem)) == f"question 'q1': {said}"


def test_a_secret_of_the_environment_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORS_API_KEY", "correct-horse")
    assert failure(raising(ValueError("correct-horse is refused"))) == "question 'q1': ValueError: *** is refused"
    app = asked(lambda question: [], index=raising(ValueError("correct-horse is refused")))
    with pytest.raises(BadInput, match=r"failed: ValueError: \*\*\* is refused$"):
        app.reindex([])


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("refused, user=rag password=hunter2 dbname=docs", "refused, user=rag password=*** dbname=docs"),
        ("no answer of postgresql://rag:hunter2@db:5432/docs", "no answer of postgresql://***@db:5432/docs"),
        ('sent {"api_key": "hunter2", "k": 5}', 'sent {"api_key": "***", "k": 5}'),
        ("wrong password: ask your team lead", "wrong password: ask your team lead"),
        ("http://db:5432/docs is gone, max_tokens=512", "http://db:5432/docs is gone, max_tokens=512"),
    ],
)
def test_a_password_that_a_driver_tells_is_in_no_message(raised: str, said: str) -> None:
    assert failure(raising(ValueError(raised))) == f"question 'q1': ValueError: {said}"


def test_an_app_that_closes_the_output_loses_nobody_elses_lines(capfd: pytest.CaptureFixture[str]) -> None:
    def closing(question: str) -> list[str]:
        sys.stdout.close()
        return ["d01"]

    before = sys.stdout
    try:
        sys.stdout = os.fdopen(os.dup(1), "w")  # as the process has it, and not as pytest does
        assert asked(closing).ranked(QUERY, of=1).rankings["search"]
        sys.stdout.write("still here\n")
        sys.stdout.flush()
    finally:
        sys.stdout = before
    assert capfd.readouterr().out == "still here\n"


def test_an_alarm_of_an_app_rings_for_its_own_question_alone() -> None:
    def late(question: str, seconds: float) -> list[str]:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        threading.Event().wait(0.1 if seconds < 1 else 0)
        return ["d01"]

    before = signal.getsignal(signal.SIGALRM)
    said = failure(late, arguments={"seconds": 0.02})
    assert said == "question 'q1': RuntimeError: an alarm rang that the app set (signal.alarm)"
    assert asked(late, arguments={"seconds": 60.0}).ranked(QUERY, of=1).rankings["search"]
    assert (signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM)) == ((0.0, 0.0), before)


def test_documents_that_cannot_be_read_fail_their_question_and_no_more() -> None:
    def marked(question: str) -> list[str]:
        with ragprof.span("search") as search:
            search.documents = [Raising()]
        return ["d01"]

    assert failure(marked) == failure(lambda question: [Raising()]) == "question 'q1': RuntimeError: no connection"


def test_what_no_file_takes_is_written_as_question_marks() -> None:
    def rag(question: str) -> dict[str, Any]:
        with ragprof.span("\ud800"):
            pass
        return {"answer": "tides\udc80", "documents": [{"id": "x\ud800y\0", "text": "y\ud800"}], "prompt": "p\ud800"}

    app = asked(rag)
    answer = app.ranked(QUERY, of=1)
    assert [item.doc.doc_id for item in answer.rankings["search"]] == ["x?y?"]
    assert answer.prompt == "p?"
    assert app.log.sources == {"other:(no name)": "ragprof.span"}


def test_counts_that_are_none_are_left_out() -> None:
    def rag(question: str, tokens: Any) -> dict[str, Any]:
        with ragprof.span("generate") as model:
            model.usage = {"input_tokens": tokens}
        with ragprof.span("rerank") as rerank:
            rerank.documents, rerank.candidates = ["d01"], tokens
        return {"answer": "x", "documents": ["d01"], "usage": {"output_tokens": tokens}}

    for tokens in ("many", 10**30, -1, 3.7, None, True):
        usage = asked(rag, arguments={"tokens": tokens}).answer(QUERY).usage
        assert usage["generate"] == {"requests": 1, "output_tokens": 1}
    assert asked(rag, arguments={"tokens": np.int64(7)}).answer(QUERY).usage["generate"]["input_tokens"] == 7


def test_scores_that_are_not_finite_are_none() -> None:
    for score in (float("inf"), float("-inf"), float("nan")):
        ranking = asked(lambda question, score=score: [("d01", score), ("d02", score)]).answer(QUERY).rankings["search"]
        assert [item.score for item in ranking] == [0.0, -1.0]


def test_a_passage_without_text_costs_no_other() -> None:
    app = asked(lambda question: [{"id": "d09"}, {"page_content": "", "metadata": {}}])
    assert [item.doc.doc_id for item in app.answer(QUERY).rankings["search"]] == ["d09", "text e3b0c44298fc"]


def test_a_table_of_pandas_is_read_by_its_rows() -> None:
    import pandas as pd

    app = asked(lambda question: {"documents": pd.DataFrame({"id": ["d09"], "text": [TEXTS[9][1]]})})
    assert [item.doc.doc_id for item in app.answer(QUERY).rankings["search"]] == ["d09"]


def test_iterators_of_the_app_are_let_alone_and_streams_without_an_end_are_not_read_to_it() -> None:
    def rag(question: str) -> list[str]:
        with ragprof.span("search") as search:
            search.documents = itertools.count()
        return ["d01"]

    assert [item.doc.doc_id for item in asked(rag).answer(QUERY).rankings["search"]] == ["d01"]
    assert failure(lambda question: itertools.count()).endswith("the stream has more than 1,000,000 pieces")


def test_an_app_may_change_its_arguments() -> None:
    def rag(question: str, filters: dict[str, list[str]]) -> list[str]:
        return [filters["names"].pop()]

    app = asked(rag, arguments={"filters": {"names": ["d01"]}})
    assert [app.answer(QUERY).rankings["search"][0].doc.doc_id for _ in range(2)] == ["d01", "d01"]


def test_marks_may_be_left_twice_or_in_another_thread_and_after_the_answer() -> None:
    ended = threading.Event()

    def rag(question: str) -> list[str]:
        twice, elsewhere, late = (ragprof.span(name) for name in ("search", "rerank", "clean up"))
        with twice:
            pass
        twice.__exit__(None, None, None)
        for mark in (elsewhere, late):
            mark.__enter__()
        threading.Thread(target=elsewhere.__exit__, args=(None, None, None)).start()

        def leave_late() -> None:
            ended.wait(5)
            late.__exit__(None, None, None)

        behind.append(threading.Thread(target=leave_late))
        behind[0].start()
        return ["d01"]

    behind: list[threading.Thread] = []
    heard = asked(rag).hear(QUERY, watched=True)
    (late,) = [span for span in heard.spans if span.name == "clean up"]
    end_ns = late.end_ns
    ended.set()
    behind[0].join()
    assert late.end_ns == end_ns


def test_names_with_ids_in_them_are_one_stage_and_too_many_names_share_one() -> None:
    def rag(question: str) -> list[str]:
        with ragprof.span("job 5e2f1c0a-1b2c-4d5e-8f90-abcdefabcdef"):
            for number in range(100):
                with ragprof.span(f"step {number}"):
                    pass
        return ["d01"]

    app = asked(rag)
    app.ranked(QUERY, of=1)
    assert "other:job #" in app.log.sources
    assert len(app.log.sources) == 61
    assert "other:(more names)" in app.log.sources


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"r.k": [1, 2]}, "knob 'r.k' cannot be read: ValueError: not yet"),
        ({"array": [1, 2]}, "put array([1, 2]) first"),
        ({"long": ["a", "b"]}, r"the app has 'SECRET"),
    ],
)
def test_a_knob_that_cannot_be_read_or_shown_is_told(knobs: dict[str, Any], said: str) -> None:
    class App:
        r, array, long = Raising(), np.array([1, 2]), "SECRET" * 10_000

        def __call__(self, question: str) -> list[str]:
            return ["d01"]

    path = f"app.{next(iter(knobs))}"
    app = App()
    app.app = app  # type: ignore[attr-defined]
    with pytest.raises(BadInput) as raised:
        Pipeline("prod", app=app, knobs={path: next(iter(knobs.values()))}).parts()
    assert said.replace("'r.k'", "'app.r.k'") in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_knob_that_cannot_be_put_back_ends_the_run() -> None:
    class Jammed:
        def __init__(self) -> None:
            self.sets, self._k = 0, 1

        @property
        def k(self) -> int:
            return self._k

        @k.setter
        def k(self, value: int) -> None:
            self.sets += 1
            if self.sets > 3:
                raise ValueError("jammed")
            self._k = value

        def __call__(self, question: str) -> list[str]:
            return ["d01"]

    app = Jammed()
    app.app = app  # type: ignore[attr-defined]
    found = Pipeline("prod", app=app, knobs={"app.k": 2}).parts().app
    assert found is not None
    found.add(DOCS, None)
    with pytest.raises(BadInput, match=r"knob .app\.k. cannot be set to 1: ValueError: jammed"):
        found.ranked(QUERY, of=100)


@pytest.fixture
def server() -> Iterator[SpeakingServer]:
    with speaking() as found:
        yield found


def page(handler: Handler) -> None:
    handler.send(200, "<html>log in</html>", "text/html; charset=utf-8")


def json_by_another_name(handler: Handler) -> None:
    handler.send(200, '{"answer": "x", "documents": ["d09"]}', "text/html")


def dripping(handler: Handler) -> None:
    handler.begin()
    for _ in range(40):
        handler.write(" ")
        threading.Event().wait(0.05)
    handler.end()


def test_a_page_is_no_answer_and_json_is_one_whatever_it_is_called(server: SpeakingServer) -> None:
    server.plan.extend([page, json_by_another_name])
    app = asked(server.url)
    app.ranked(QUERY, of=100)
    assert "what came is a page of HTML, no answer" in app.log.failed["q1"]
    assert [item.doc.doc_id for item in app.answer(QUERY).rankings["search"]] == ["d09"]


def test_a_service_that_drips_is_given_up_and_the_next_question_is_asked(server: SpeakingServer) -> None:
    server.plan.extend([dripping, json_by_another_name])
    app = asked(server.url, timeout_seconds=1.5)
    app.ranked(QUERY, of=100)
    assert "within 1.5 s" in app.log.failed["q1"]
    assert [item.doc.doc_id for item in app.answer(QUERY).rankings["search"]] == ["d09"]


def test_an_answer_without_an_end_is_given_up_by_its_size(server: SpeakingServer, monkeypatch: Any) -> None:
    monkeypatch.setattr("ragprof.apps.http.MOST_BYTES", 20)
    server.plan.append(json_by_another_name)
    app = asked(server.url)
    app.ranked(QUERY, of=100)
    assert app.log.failed["q1"].endswith("its answer is larger than 20 bytes")


def redirecting(handler: Handler) -> None:
    handler.send(302, "", location="http://127.0.0.1:1/")


def telling_its_key(handler: Handler) -> None:
    spans = [{"name": "search", "start_ms": 0, "duration_ms": duration} for duration in (1e300, float("inf"), 5)]
    told = {"answer": "x", "documents": ["d09", {"id": handler.headers["Authorization"]}], "spans": spans}
    handler.send(200, json.dumps(told))


def test_a_service_that_moved_is_told_by_its_status(server: SpeakingServer) -> None:
    server.plan.append(redirecting)
    app = asked(server.url)
    app.ranked(QUERY, of=100)
    assert app.log.failed["q1"].endswith("status 302: it redirects; give the address that it leads to")


def test_a_key_that_a_service_sends_back_is_not_kept(server: SpeakingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_API_KEY", "correct-horse")
    server.plan.append(telling_its_key)
    app = asked(server.url)
    answer = app.ranked(QUERY, of=1)
    assert [item.doc.doc_id for item in answer.rankings["search"]] == ["d09", "Bearer ***"]
    assert answer.usage["search"]["searches"] == 1


def test_an_app_stays_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "index"
    elsewhere.mkdir()
    with pytest.raises(BadInput, match=r"^app 'prod' changes the working folder to .*index, where the run would be"):
        asked(lambda question: os.chdir(elsewhere)).ranked(QUERY, of=100)
    assert Path.cwd() == tmp_path
    (tmp_path / "rag.py").write_text(f"import os\nos.chdir({str(elsewhere)!r})\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"^rag.py changes the working folder"):
        located("rag.py:answer", beside=tmp_path)
    assert Path.cwd() == tmp_path


def test_what_a_module_sets_for_its_own_arithmetic_is_not_for_ours(tmp_path: Path) -> None:
    (tmp_path / "rag.py").write_text(
        "import decimal\nimport warnings\n\nimport numpy as np\n\nnp.seterr(all='raise')\n"
        "warnings.simplefilter('error')\ndecimal.getcontext().prec = 2\nanswer = len\n",
        encoding="utf-8",
    )
    before = (np.geterr(), warnings.filters[:], decimal.getcontext().prec)
    assert located("rag.py:answer", beside=tmp_path) is len
    assert (np.geterr(), warnings.filters, decimal.getcontext().prec) == before


def test_a_secret_is_no_knob_and_is_in_no_configuration() -> None:
    with pytest.raises(BadInput, match="knob 'api_key' may be a secret, and values of knobs are written as names"):
        asked(len, knobs={"api_key": ["a", "b"]})
    secret = {"headers": {"Authorization": "x", "X-Api-Key": "x", "note": "Bearer abc"}, "max_tokens": "5"}
    assert redacted(secret) == {
        "headers": {"Authorization": "***", "X-Api-Key": "***", "note": "Bearer ***"},
        "max_tokens": "5",
    }


def test_thousands_of_marks_take_no_time_to_read() -> None:
    def rag(question: str) -> list[str]:
        for _ in range(5_000):
            with ragprof.span("search"):
                pass
        return ["d01"]

    app = asked(rag)
    heard = app.hear(QUERY, watched=True)
    begun = now_ns()
    app.told(QUERY, heard)
    assert now_ns() - begun < 5 * 10**9


def test_marks_a_thousand_deep_are_one_question() -> None:
    def rag(question: str) -> list[str]:
        with ExitStack() as stack:
            for _ in range(1_000):
                stack.enter_context(ragprof.span("search"))
        return ["d01"]

    _, trace = asked(rag).traced(QUERY, now_ns, read_cores=False)
    assert [span.stage for span in trace.spans] == ["search"]
