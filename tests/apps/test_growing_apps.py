"""An app that offers index(documents) grows as declared pipelines do; one that does not says why."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest

from ragprof.core import Doc, Query
from ragprof.core.errors import BadInput
from ragprof.record.indexing import documents_of, index_bytes
from ragprof.record.pipeline import Pipeline
from ragprof.session.run import grow

WORDS = ["lamp", "signal", "harbour", "keeper", "storm", "rope", "engine", "valve", "fuel", "gauge", "night", "watch"]
EVAL = """
name = "growing"
metrics = ["nDCG@10"]

[corpus]
path = "collection"

[timing]
seconds = 0.2
rounds = 2
min_queries = 2
warmup = 1

[growth]
sizes = [12, 24]
cutoffs = [3, 10]

[growth.timing]
seconds = 0.2
rounds = 2
min_queries = 2
warmup = 1

[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 5
injector = { name = "top_k", k = 3 }
"""
APP = """
import ragprof
from ragprof.core import Doc, EmbeddedQuery, Query
from ragprof.parts.stores.bm25s import plugin

store = plugin()
calls = []


def reindex(documents):
    calls.append([each["id"] for each in documents])
    store.add([Doc(each["id"], each["title"], each["text"], each["id"]) for each in documents], None)
    return {"index_bytes": 1000 + len(documents)}


def answer(question, k=3):
    with ragprof.span("search") as marked:
        found = store.search(EmbeddedQuery(Query("q", question), None), 5).ranking
        marked.documents = [(each.doc.doc_id, each.score) for each in found]
    with ragprof.span("rerank") as marked:
        marked.documents = kept = [each.doc.doc_id for each in reversed(found)][:k]
    return kept
"""


def collection(folder: Path, pipeline: str, code: str = APP) -> Path:
    """24 passages, 4 judged questions, bm25 and an app in rag.py."""
    place = folder / "collection"
    (place / "qrels").mkdir(parents=True)
    texts = [f"the {WORDS[n % 12]} and the {WORDS[(n * 5 + n // 12) % 12]} number {n}" for n in range(24)]
    docs = [{"_id": f"p{number:02d}", "title": "", "text": text} for number, text in enumerate(texts)]
    (place / "corpus.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    queries = [{"_id": f"q{n}", "text": f"which {texts[n * 5]}"} for n in range(4)]
    (place / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    rows = [f"q{n}\tp{n * 5:02d}\t1" for n in range(4)]
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")
    (folder / "rag.py").write_text(code)
    file = folder / "growing.toml"
    file.write_text(EVAL + pipeline)
    return file


@pytest.fixture(scope="module")
def growth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """summary.json of bm25 beside an app that searches with the same store, and one that cannot grow."""
    folder = tmp_path_factory.mktemp("grown")
    file = collection(
        folder,
        '[[pipelines]]\nname = "prod"\napp = "rag.py:answer"\nindex = "rag.py:reindex"\nknobs = { k = [3, 2] }\n'
        '[[pipelines]]\nname = "fixed"\napp = "rag.py:answer"\n',
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        found: dict[str, Any] = grow(file, out=folder / "out").summary["growth"]
    return found


def test_an_app_is_asked_in_every_sub_corpus_as_a_declared_pipeline_is_searched(growth: dict[str, Any]) -> None:
    assert [*growth["pipelines"]] == ["bm25", "prod", "prod k=2"]
    assert [*growth["curves"]] == ["all_judged", "proportional"]
    for curve in growth["curves"]:
        ours, theirs = (growth["pipelines"][name][curve] for name in ("bm25", "prod"))
        assert [point["scores"]["search"] for point in ours] == [point["scores"]["search"] for point in theirs]
    points = growth["pipelines"]["prod"]["all_judged"]
    assert [[*point["scores"]] for point in points] == [["search", "rerank", "inject"]] * 2
    assert [[*point["stages"]] for point in points] == [["search", "rerank"]] * 2
    assert [point["build"]["index_bytes"] for point in points] == [1012, 1024]
    assert all(point["build"]["peak_rss_bytes"] > 0 for point in points)


def test_variants_of_an_app_differ_by_their_knob(growth: dict[str, Any]) -> None:
    tokens = [growth["pipelines"][name]["all_judged"][-1]["prompt_tokens"]["mean"] for name in ("prod", "prod k=2")]
    assert tokens[0] > tokens[1]


def test_the_notes_say_how_an_app_grew(growth: dict[str, Any]) -> None:
    told = next(note for note in growth["notes"] if note.startswith("prod is an app"))
    assert told == (
        "prod is an app: index(documents) was called for every sub-corpus, and each question was asked in it. 12 "
        "questions asked for quality, 0 failed."
    )
    assert (
        "Left out: pipeline 'fixed' is an app without index(documents): it cannot be given a sub-corpus."
        in growth["notes"]
    )


def test_a_run_that_was_killed_once_the_apps_were_asked_continues(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    file = collection(tmp_path, '[[pipelines]]\nname = "prod"\napp = "rag.py:answer"\nindex = "rag.py:reindex"\n')
    first = grow(file, out=tmp_path / "out").summary["growth"]
    (tmp_path / "out" / "growth" / "manifest.json").unlink()
    again = grow(file, out=tmp_path / "out").summary["growth"]
    points = [each["pipelines"]["prod"]["all_judged"] for each in (first, again)]
    assert [point["scores"] for point in points[0]] == [point["scores"] for point in points[1]]
    told = next(note for note in again["notes"] if note.startswith("prod is an app"))
    assert told.endswith("All were asked for quality before this run was continued; how many failed then is not known.")


def test_an_app_without_index_is_left_out(tmp_path: Path) -> None:
    file = collection(tmp_path, "")
    file.write_text(EVAL.replace('store = "bm25s"\ndepth = 5\n', 'app = "rag.py:answer"\n').split("injector")[0])
    with pytest.raises(BadInput) as problem:
        grow(file, out=tmp_path / "out")
    assert problem.value.message == (
        "pipeline 'bm25' is an app without index(documents): it cannot be given a sub-corpus; name one with index = "
        "'module:function', or a pipeline of parts beside it"
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            APP.replace("calls.append", "raise OSError('disk full') #"),
            "index(documents) with 12 documents failed: OSError",
        ),
        (
            APP.replace("store.add([", "store.add([Doc('p23', '', 'lamp signal', 'p23')] + ["),
            "app 'prod' found 'p23', which is none of the documents",
        ),
        (
            APP.replace("return kept", "return []").replace("marked.documents = ", ""),
            "app 'prod' found nothing in any sub-corpus; does index(documents) fill the index",
        ),
    ],
)
def test_an_index_that_fails_or_keeps_what_was_there_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    line = '[[pipelines]]\nname = "prod"\napp = "rag.py:answer"\nindex = "rag.py:reindex"\n'
    with pytest.raises(BadInput, match="app 'prod'") as problem:
        grow(collection(tmp_path, line, code), out=tmp_path / "out", changes={"curves": ("all_judged",)})
    assert told in problem.value.message


def test_a_service_is_posted_the_documents() -> None:
    posted: list[Any] = []

    class Index(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"index_bytes": 7}')

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Index) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/index"
        app = Pipeline("prod", app=lambda question: ["a"], index=address).parts().app
        assert app is not None
        returned = app.reindex(documents_of([Doc("a#1", "Leave", "Thirty days.", "a")]))
        server.shutdown()
    assert index_bytes(returned) == 7
    document = {"id": "a#1", "title": "Leave", "text": "Thirty days.", "metadata": {"document_id": "a"}}
    assert posted == [{"documents": [document]}]


def test_a_vector_store_of_langchain_is_filled_if_it_was_empty() -> None:
    vectorstores = pytest.importorskip("langchain_core.vectorstores")
    embeddings = pytest.importorskip("langchain_core.embeddings")
    store = vectorstores.InMemoryVectorStore(embeddings.DeterministicFakeEmbedding(size=8))
    app = Pipeline("prod", app=store.as_retriever(search_kwargs={"k": 9}), index=store).parts().app
    assert app is not None
    docs = [Doc(name, "", f"page {name}", name) for name in ("a", "b", "c")]
    app.reindex(documents_of(docs))
    app.reindex(documents_of(docs[:2]))
    assert sorted(store.store) == ["a", "b"]
    app.add(docs[:2], None)
    assert {item.doc.doc_id for item in app.answer(Query("q", "page")).rankings["search"]} == {"a", "b"}

    full = Pipeline("prod", app=store.as_retriever(), index=store).parts().app
    assert full is not None
    with pytest.raises(BadInput, match="holds documents already") as problem:
        full.reindex(documents_of(docs))
    assert problem.value.message.endswith("name an empty store, or a function that fills one")


def test_an_index_that_takes_too_long_is_given_up() -> None:
    pipeline = Pipeline("prod", app=lambda question: ["a"], index=lambda _: sleep(5), index_timeout_seconds=0.05)
    app = pipeline.parts().app
    assert app is not None
    with pytest.raises(BadInput, match=r"took longer than 0\.05 s; raise index_timeout_seconds"):
        app.reindex([])
