"""An index that exists, in every database but PostgreSQL (which has its own file): read by its names, never written."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Passages
from search_engine import Engine

import ragprof
from ragprof.core import EmbeddedQuery, registry
from ragprof.core.clock import SILENT
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.corpus.stored import read_stored, take_stored
from ragprof.evals import read_eval
from ragprof.parts.databases.metrics import exact
from ragprof.parts.databases.rows import DatabaseStore
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.parts.embedders.static import StaticEmbedder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
WRITES = ("insert", "upsert", "delete", "drop", "create", "load", "release", "flush")
ROWS = 300
"""LanceDB trains an index on 256 at least."""


@dataclass(frozen=True)
class Foreign:
    """A collection of somebody else's, for cosine: how a store opens it, what its condition is, what it has now."""

    name: str
    options: Mapping[str, Any]
    where: Mapping[str, Any]
    state: Callable[[], object]
    lacking: Mapping[str, str]
    """An option that names nothing there, and what is said."""
    add: Callable[[], object]
    """Puts one more row into it."""


def columns(passages: Passages) -> list[dict[str, Any]]:
    return [
        {"key": doc.doc_id, "body": doc.text, "tenant": "ab"[number % 2], "v": vector}
        for number, (doc, vector) in enumerate(zip(passages.docs[: ROWS + 1], passages.vectors, strict=False))
    ]


def of_elasticsearch(passages: Passages, request: pytest.FixtureRequest, name: str = "elasticsearch") -> Foreign:
    engine: Engine = request.getfixturevalue("engine")
    kinds = {
        "elasticsearch": {"type": "dense_vector", "dims": 256, "similarity": "cosine"},
        "opensearch": {"type": "knn_vector", "dimension": 256, "method": {"space_type": "cosinesimil"}},
    }
    texts = {"key": {"type": "keyword"}, "body": {"type": "text"}, "tenant": {"type": "keyword"}}
    rows = [{**row, "v": row["v"].tolist()} for row in columns(passages)]
    docs = {f"own{number}": row for number, row in enumerate(rows[:ROWS])}
    engine.indexes["chunks"] = {"properties": {**texts, "v": kinds[name]}, "docs": docs}
    engine.read_only = True
    return Foreign(
        name,
        {"url_env": "ENGINE_URL", "index_name": "chunks", "id": "key", "text": "body", "vector": "v"},
        {"where": {"tenant": "a"}},
        lambda: (repr(engine.indexes["chunks"]), engine.scrolls),
        {"index_name": "there is no index 'nothing'", "vector": "'chunks' has no field 'nothing', which vector names"},
        lambda: docs.update(more=rows[ROWS]),
    )


def of_opensearch(passages: Passages, request: pytest.FixtureRequest) -> Foreign:
    return of_elasticsearch(passages, request, "opensearch")


def of_lancedb(passages: Passages, request: pytest.FixtureRequest) -> Foreign:
    lancedb = pytest.importorskip("lancedb", reason="pip install 'ragprof[lancedb]'")
    import pyarrow as pa
    from lancedb import index as kinds

    folder: Path = request.getfixturevalue("tmp_path") / "lance"
    rows, width = columns(passages), passages.vectors.shape[1]
    kept = pa.schema([("key", pa.string()), ("body", pa.string()), ("tenant", pa.string()),
                      ("v", pa.list_(pa.float32(), width))])  # fmt: skip
    table = lancedb.connect(str(folder)).create_table("chunks", pa.Table.from_pylist(rows[:ROWS], kept))
    table.create_index("v", config=kinds.IvfFlat(distance_type="cosine", num_partitions=1))
    request.getfixturevalue("monkeypatch").setenv("LANCE_URL", str(folder))
    return Foreign(
        "lancedb",
        {"url_env": "LANCE_URL", "table": "chunks", "id": "key", "text": "body", "vector": "v"},
        {"where": "tenant = 'a'"},
        lambda: {path: sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()},
        {"table": "there is no table 'nothing'; there are: chunks",
         "vector": "'chunks' has no field 'nothing', which vector names; it has body, key, tenant, v"},
        lambda: table.add(pa.Table.from_pylist(rows[ROWS:], kept)),
    )  # fmt: skip


def of_chroma(passages: Passages, request: pytest.FixtureRequest) -> Foreign:
    pytest.importorskip("chromadb", reason="pip install 'ragprof[chroma]'")
    own = registry.create("stores", PartSpec(name="chroma"))
    own.load()
    request.addfinalizer(own.close)
    request.getfixturevalue("monkeypatch").setenv("CHROMA_URL", f"http://127.0.0.1:{own._port}")
    made = own._client.create_collection("chunks", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
    rows = columns(passages)

    def put(some: list[dict[str, Any]]) -> None:
        made.add(
            ids=[f"own{row['key']}" for row in some],
            embeddings=np.stack([row["v"] for row in some]),
            documents=[row["body"] for row in some],
            metadatas=[{"key": row["key"], "tenant": row["tenant"]} for row in some],
        )

    put(rows[:ROWS])
    return Foreign(
        "chroma",
        {"url_env": "CHROMA_URL", "collection": "chunks", "id": "key"},
        {"where": {"tenant": "a"}},
        lambda: [(each.name, each.count()) for each in own._client.list_collections()],
        {"collection": "there is no collection 'nothing'; there are: chunks"},
        lambda: put(rows[ROWS:]),
    )


def of_milvus(passages: Passages, request: pytest.FixtureRequest) -> Foreign:
    """A real server where there is one (`pip install milvus==2.3.5`, and $MILVUS_TEST_URL), else milvus-lite."""
    pymilvus = pytest.importorskip("pymilvus", reason="pip install 'ragprof[milvus]'")
    import grpc

    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    url, name = os.environ.get("MILVUS_TEST_URL", ""), "chunks"
    if not url:
        pytest.importorskip("milvus_lite", reason="pip install 'ragprof[milvus]'")
    client = pymilvus.MilvusClient(url or str(request.getfixturevalue("tmp_path") / "milvus.db"))
    schema = client.create_schema(auto_id=False)
    for field in ("key", "body", "tenant"):
        schema.add_field(field, pymilvus.DataType.VARCHAR, is_primary=field == "key", max_length=65_535)
    schema.add_field("v", pymilvus.DataType.FLOAT_VECTOR, dim=passages.vectors.shape[1])
    if client.has_collection(name):
        client.drop_collection(name)
    client.create_collection(name, schema=schema)
    rows = columns(passages)
    client.insert(name, rows[:ROWS])
    client.flush(name)
    index = client.prepare_index_params()
    index.add_index("v", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 100})
    client.create_index(name, index)
    client.load_collection(name)
    request.addfinalizer(lambda: client.drop_collection(name))

    class Denied(grpc.RpcError):
        """As the client hands on what the server refuses."""

    class Reading:
        """A handle that cannot write, as a user with the rights to read alone has."""

        def __getattr__(self, method: str) -> Any:
            if method.split("_", maxsplit=1)[0] in (
                "insert",
                "upsert",
                "delete",
                "drop",
                "create",
                "load",
                "release",
                "flush",
            ):
                raise AssertionError(f"{method} writes")
            return getattr(client, method)

        def get_load_state(self, *_: str) -> Any:
            raise Denied  # so says Milvus 2.3.5 to a user who may query and search

        def close(self) -> None:
            """The test's own client stays open."""

        def get_server_version(self) -> str:
            return client.get_server_version() if url else "lite"

    patch.setattr(pymilvus, "MilvusClient", lambda **_: Reading())
    patch.setenv("MILVUS_URL", url or "http://localhost:19530")
    return Foreign(
        "milvus",
        {"url_env": "MILVUS_URL", "collection": name, "text": "body"},
        {"where": "tenant == 'a'"},
        lambda: (client.list_collections(), client.describe_collection(name)),
        {"collection": "there is no collection 'nothing'; there are: chunks",
         "vector": "'chunks' has no field 'nothing', which vector names; it has body, key, tenant, v"},
        lambda: (client.insert(name, rows[ROWS:]), client.flush(name)),
    )  # fmt: skip


MAKERS = {"elasticsearch": of_elasticsearch, "opensearch": of_opensearch, "lancedb": of_lancedb, "chroma": of_chroma,
          "milvus": of_milvus}  # fmt: skip


@pytest.fixture(params=list(MAKERS))
def foreign(request: pytest.FixtureRequest, passages: Passages) -> Iterator[Foreign]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield MAKERS[request.param](passages, request)


def made(foreign: Foreign, **changed: Any) -> DatabaseStore:
    spec = PartSpec(name=foreign.name, **{**foreign.options, **changed})
    store: DatabaseStore = registry.create("stores", spec)
    return store


def test_it_is_searched_and_read_under_its_own_names_and_left_as_it_was(
    foreign: Foreign, passages: Passages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = foreign.state()
    store, best = made(foreign, **foreign.where), exact("cosine")
    docs, vectors = passages.docs[:ROWS:2], passages.vectors[:ROWS:2]
    assert (store.is_existing, store.identity, store.can_change) == (True, None, False)
    rows = {row.doc_id: row for row in store.stored_rows()}
    assert {key: row.text for key, row in rows.items()} == {doc.doc_id: doc.text for doc in docs}
    assert np.allclose([rows[doc.doc_id].vector for doc in docs], vectors, atol=1e-6)
    assert store.stored_count() == len(docs)
    store.add(docs, vectors)
    best.add(docs, vectors)
    assert store.metric == "cosine"
    hits = []
    for query in passages.queries[:20]:
        longer = EmbeddedQuery(query.query, 3 * query.vector)  # type: ignore[operator]
        wanted = {item.doc.doc_id: item.score for item in best.search(longer, 10).ranking}
        found = {item.doc.doc_id: item.score for item in store.search(longer, 10).ranking}
        hits += [doc_id in found for doc_id in wanted]
        assert all(found[each] == pytest.approx(wanted[each], abs=1e-4) for each in found.keys() & wanted.keys())
    assert np.mean(hits) > 0.95
    if "ef_search" in store.search_knobs and foreign.name != "lancedb":
        assert len(store.tuned(ef_search=200).search(passages.queries[0], 10).ranking) == 10
    embedder = StaticEmbedder()
    embedder.load()
    store.check_embedder(embedder)
    with pytest.raises(BadInput, match="vectors of 256 dimensions and the embedder gives 128"):
        store.check_embedder(HashingEmbedder(128))
    with pytest.raises(BadInput, match="the stored vectors are not this embedder's"):
        store.check_embedder(HashingEmbedder(256))
    spec = PartSpec(name=foreign.name, **foreign.options, **foreign.where)
    copy = read_stored(take_stored(store, spec, cache=tmp_path, progress=SILENT))
    assert {doc.doc_id for doc in copy.docs} == {doc.doc_id for doc in docs}
    store.close()
    assert foreign.state() == before


def test_init_writes_an_eval_of_it(foreign: Foreign, cache: Path, tmp_path: Path) -> None:
    options = ", ".join(
        f"{key} = {json.dumps(value)}" for key, value in {"name": foreign.name, **foreign.options}.items()
    )
    found = ragprof.init(store=f"{{ {options} }}", out=tmp_path / "e.toml", llm="none", machine="none", reranker=False)
    config = read_eval(found.eval_file)
    assert (config.corpus.source, config.corpus.path) == ("store", None)
    assert [(each.name, each.store.name) for each in config.pipelines] == [
        ("production", foreign.name), ("exact", "faiss_flat"), ("bm25", "bm25s"),
    ]  # fmt: skip
    assert dict(found.rows)["corpus"] == f"{ROWS} documents, {ROWS} passages"
    with pytest.raises(BadInput, match="no store; write it as in an eval file"):
        ragprof.init(store="pgvector")


def test_what_it_lacks_is_said(foreign: Foreign) -> None:
    for option, said in foreign.lacking.items():
        with pytest.raises(BadInput, match=said):
            made(foreign, **{option: "nothing"}).load()
    with pytest.raises(BadInput, match="is for cosine, not l2; leave metric out"):
        made(foreign, metric="l2").load()
    with pytest.raises(BadInput, match="url_env"):
        made(foreign, url_env="").load()


def test_rows_that_come_while_it_is_read_are_said_and_never_named_wrongly(foreign: Foreign, passages: Passages) -> None:
    store = made(foreign)
    docs, vectors = passages.docs[:ROWS], passages.vectors[:ROWS]
    store.add(docs, vectors)
    foreign.add()
    newest = EmbeddedQuery(passages.queries[0].query, passages.vectors[ROWS])
    if foreign.name == "lancedb":  # opened as it was, and stays so
        assert passages.docs[ROWS].doc_id not in {item.doc.doc_id for item in store.search(newest, 5).ranking}
    else:
        with pytest.raises(BadInput, match="which the corpus does not have: the index changed while it was read"):
            store.search(newest, 5)
    store.close()
    with pytest.raises(BadInput, match="index that exists has 301 documents, and a part of it"):
        made(foreign).add(docs, vectors)


def test_a_field_of_another_type_and_a_field_without_an_index_are_said(
    engine: Engine, caplog: pytest.LogCaptureFixture, passages: Passages, request: pytest.FixtureRequest
) -> None:
    for maker, said in ((of_elasticsearch, "dense_vector"), (of_opensearch, "knn_vector")):
        foreign = maker(passages, request)
        with pytest.raises(BadInput, match=f"the field 'body' .* is of the type text; vector names one of .* {said}"):
            made(foreign, vector="body").load()
        field = engine.indexes["chunks"]["properties"]["v"]
        engine.indexes["chunks"]["properties"]["v"] = {"type": field["type"], "index": False, "dims": 256}
        made(foreign).load()
        assert "'chunks' has no index on 'v': every search is an exact scan" in caplog.text
        caplog.clear()
