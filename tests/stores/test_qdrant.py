"""Qdrant: codes in its own engine; and a server's calls, made to the client's imitation, as no server installs here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest
from conftest import Passages

from ragprof.core import registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.parts.databases import claims
from ragprof.parts.databases.metrics import exact
from ragprof.parts.databases.rows import DatabaseStore
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.parts.embedders.static import StaticEmbedder

pytest.importorskip("qdrant_edge", reason="pip install 'ragprof[qdrant]'")
qdrant_client = pytest.importorskip("qdrant_client", reason="pip install 'ragprof[qdrant]'")
pytestmark = pytest.mark.slow


def made(**options: Any) -> DatabaseStore:
    store: DatabaseStore = registry.create("stores", PartSpec(name="qdrant", **options))
    return store


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({}, 0.97),
        ({"quantisation": "int8", "rescore": 2}, 0.97),
        ({"quantisation": "binary", "rescore": 10}, 0.75),
    ],
)
def test_an_index_finds_nearly_all(passages: Passages, options: dict[str, Any], least: float) -> None:
    store, best = made(**options), exact("inner_product")
    store.add(passages.docs, passages.vectors)
    best.add(passages.docs, passages.vectors)
    hits = []
    for query in passages.queries:
        wanted = {item.doc.doc_id for item in best.search(query, 10).ranking}
        hits.append(len(wanted & {item.doc.doc_id for item in store.search(query, 10).ranking}) / 10)
    assert np.mean(hits) >= least
    coarse = store.tuned(ef_search=10, rescore=0)
    assert "ef_search=10" in str(coarse.identity)
    assert len(coarse.search(passages.queries[0], 10).ranking) == 10
    store.close()


KILLED = """
import os, signal
import numpy as np
from ragprof.core import Doc, registry
from ragprof.core.registry import PartSpec
store = registry.create("stores", PartSpec(name="qdrant"))
store.add([Doc("a", "", "a", "a")], np.ones((1, 3), np.float32))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_of_a_killed_run_is_taken_away_by_the_next(
    passages: Passages, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert [path for path in claims.places() if claims.is_left_over(path.name)]
    store = made()
    store.add(passages.docs[:3], passages.vectors[:3])
    assert not [path for path in claims.places() if claims.is_left_over(path.name)]
    assert "took away what a run that was killed had left: the folders ragprof_" in caplog.text
    store.close()


class TestAServer:
    @pytest.fixture
    def client(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The imitation, which takes the same calls; never timed."""
        client = qdrant_client.QdrantClient(":memory:")
        monkeypatch.setattr(client, "close", lambda: None)
        monkeypatch.setattr(client, "info", lambda: qdrant_client.models.VersionInfo(title="q", version="1.20.0"))
        monkeypatch.setattr(qdrant_client, "QdrantClient", lambda **_: client)
        monkeypatch.setenv("QDRANT_URL", "http://localhost:6333")
        return client

    @pytest.mark.filterwarnings("ignore")
    def test_what_is_made_is_asked_and_taken_away_and_nothing_else(self, client: Any, passages: Passages) -> None:
        vectors = qdrant_client.models.VectorParams(size=3, distance=qdrant_client.models.Distance.DOT)
        client.create_collection("ragprof_notes", vectors)
        left = claims.own_name().replace(f"_{claims.own_name().split('_')[2]}_", "_999999999_")
        client.create_collection(left, vectors)
        store, best = made(url_env="QDRANT_URL", metric="l2", quantisation="int8"), exact("l2")
        store.add_labelled(passages.docs[:60], passages.vectors[:60], {"tenant": ["a", "b"] * 30})
        store.await_index()  # type: ignore[attr-defined]
        best.add(passages.docs[:60:2], passages.vectors[:60:2])
        found = store.search_where(passages.queries[0], 10, {"tenant": "a"}).ranking
        wanted = best.search(passages.queries[0], 10).ranking
        assert [item.doc.doc_id for item in found] == [item.doc.doc_id for item in wanted]
        assert [item.score for item in found] == pytest.approx([item.score for item in wanted], abs=1e-5)
        store.delete([passages.docs[0].doc_id])
        assert store.index_bytes == 59 * 256 * 5
        assert len(client.get_collections().collections) == 2
        store.close()
        assert [each.name for each in client.get_collections().collections] == ["ragprof_notes"]

    @pytest.mark.filterwarnings("ignore")
    def test_a_collection_that_exists_is_read(self, client: Any, passages: Passages) -> None:
        models = qdrant_client.models
        client.create_collection("c", {"dense": models.VectorParams(size=256, distance=models.Distance.COSINE)})
        points = [
            models.PointStruct(
                id=number,
                vector={"dense": passages.vectors[number].tolist()},
                payload={"key": doc.doc_id, "body": doc.text, "tenant": "ab"[number % 2]},
            )
            for number, doc in enumerate(passages.docs[:100])
        ]
        client.upsert("c", points)
        table = {"collection": "c", "id": "key", "text": "body", "vector": "dense", "where": {"tenant": "a"}}
        store, best = made(url_env="QDRANT_URL", **table), exact("cosine")
        assert [row.doc_id for row in store.stored_rows()] == [doc.doc_id for doc in passages.docs[:100:2]]
        store.add(passages.docs[:100:2], passages.vectors[:100:2])
        best.add(passages.docs[:100:2], passages.vectors[:100:2])
        for query in passages.queries[:5]:
            found, wanted = store.search(query, 5).ranking, best.search(query, 5).ranking
            assert [item.doc.doc_id for item in found] == [item.doc.doc_id for item in wanted]
        embedder = StaticEmbedder()
        embedder.load()
        store.check_embedder(embedder)
        with pytest.raises(BadInput, match="stored vectors are not this embedder's"):
            store.check_embedder(HashingEmbedder(256))
        store.close()
        assert client.count("c").count == 100
        for change, said in (
            ({"collection": "d"}, "there is no collection 'd'; there are: c"),
            ({"vector": ""}, "has no vector named ''; it has 'dense'"),
            ({"metric": "l2"}, "is for cosine, not l2"),
        ):
            with pytest.raises(BadInput, match=said):
                made(url_env="QDRANT_URL", **{**table, **change}).load()

    @pytest.mark.parametrize("written", [":memory:", "/some/path", "qdrant.db"])
    def test_the_imitation_is_refused(self, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_URL", written)
        with pytest.raises(BadInput, match="imitation in Python, which is never timed: leave url_env out"):
            made(url_env="QDRANT_URL").load()

    def test_a_server_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_URL", "http://user:sesame-open-7@127.0.0.1:1")
        with pytest.raises(BadInput, match=r"the server does not answer .*start it, or mend \$QDRANT_URL") as said:
            made(url_env="QDRANT_URL").load()
        assert "sesame" not in str(said.value)

    def test_a_key_that_is_refused_is_not_printed(self, refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_URL", refusing)
        monkeypatch.setenv("QDRANT_ACCESS", "sesame-open-7")
        with pytest.raises(
            BadInput, match=r"the server refused us \(401\); set the right key in \$QDRANT_ACCESS"
        ) as said:
            made(url_env="QDRANT_URL", api_key_env="QDRANT_ACCESS").load()
        assert "sesame" not in str(said.value)


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that says 401, and repeats the key."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()
            self.wfile.write(f"wrong key {self.headers.get('api-key')}".encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
