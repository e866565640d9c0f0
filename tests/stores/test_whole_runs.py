"""Runs over a real PostgreSQL, from the eval file to the report: an index of ours, and one that exists."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from conftest import ROOT
from pgvector import Vector
from pgvector.psycopg import register_vector

from ragprof.core.errors import BadInput
from ragprof.corpus import read_corpus
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.session import run
from ragprof.session.forecast import forecast_eval

HANDBOOK = ROOT / "tests" / "data" / "handbook"
EVAL = """
name = "stores"
[corpus]
{corpus}
[evaluation]
queries = "{handbook}/queries.jsonl"
qrels = "{handbook}/qrels/test.tsv"
[timing]
seconds = 1
rounds = 2
min_queries = 2
warmup = 1
patience = 0
"""
PIPELINE = """
[[pipelines]]
name = "{name}"
embedder = "hashing"
depth = 10
store = {store}
reranker = "{reranker}"
"""
OURS = '{ name = "pgvector", url_env = "STORE_URL" }'
CHUNKS = '{ name = "pgvector", url_env = "STORE_URL", table = "scratch.chunks" }'


def written(folder: Path, corpus: str, stores: dict[str, str]) -> Path:
    text = EVAL.format(corpus=corpus, handbook=HANDBOOK)
    for name, store in stores.items():
        text += PIPELINE.format(name=name, store=store, reranker="overlap" if name == "reranked" else "none")
    (folder / "eval.toml").write_text(text)
    return folder / "eval.toml"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def chunks(database: str) -> str:
    """The handbook in a table of somebody else's, embedded by `hashing`."""
    docs = read_corpus(HANDBOOK).docs
    vectors = HashingEmbedder().embed_documents([doc.content for doc in docs]).vectors
    with psycopg.connect(database, autocommit=True) as connection:
        register_vector(connection)
        connection.execute("CREATE TABLE chunks (id text PRIMARY KEY, content text, embedding vector(256))")
        for doc, vector in zip(docs, vectors, strict=True):
            connection.execute("INSERT INTO chunks VALUES (%s, %s, %s)", (doc.doc_id, doc.content, Vector(vector)))
        connection.execute("CREATE INDEX ON chunks USING hnsw (embedding vector_ip_ops)")
    return database


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(ragprof|chunks)'")
        return [row[0] for row in found.fetchall()]


@pytest.mark.slow
def test_run_grow_and_reranker_work_in_a_database_of_ours_and_leave_nothing(database: str, tmp_path: Path) -> None:
    eval_file = written(
        tmp_path, f'path = "{HANDBOOK}"', {"memory": '"faiss_flat"', "database": OURS, "reranked": OURS}
    )
    summary = run.run(eval_file, out=tmp_path / "out").folder / "summary.json"
    found = json.loads(summary.read_text())["pipelines"]
    assert found["memory"]["scores"]["inject"] == found["database"]["scores"]["inject"]
    run.reranker(eval_file, out=tmp_path / "out")
    run.grow(eval_file, out=tmp_path / "out", changes={"orders": 1, "sizes": [15, 24], "depths": [10]})
    assert {"growth", "reranker"} <= json.loads(summary.read_text()).keys()
    assert tables(database) == []


def test_a_table_that_exists_is_profiled_beside_an_exact_search_of_its_own_vectors(chunks: str, tmp_path: Path) -> None:
    eval_file = written(tmp_path, 'from = "store"', {"production": CHUNKS, "exact": '"faiss_flat"'})
    result = run.run(eval_file, out=tmp_path / "out")
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert (manifest["corpus"]["docs"], manifest["work"]["docs_embedded"]) == (24, 0)
    assert "PostgreSQL" in manifest["engines"]["production"]["search"]["engine"]
    assert tables(chunks) == ["chunks"]
    address = chunks.partition("host=")[2]
    assert not [path for path in result.folder.rglob("*") if path.is_file() and address.encode() in path.read_bytes()]


@pytest.mark.slow
def test_check_tries_both_kinds_of_index_and_leaves_nothing(chunks: str, tmp_path: Path) -> None:
    eval_file = written(tmp_path, 'from = "store"', {"production": CHUNKS, "database": OURS})
    assert forecast_eval(eval_file).seconds["profile"] > 0
    assert tables(chunks) == ["chunks"]


@pytest.mark.slow
def test_a_copy_is_taken_anew_when_the_table_has_other_rows(
    chunks: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eval_file = written(tmp_path, 'from = "store"', {"production": CHUNKS})
    run.run(eval_file, out=tmp_path / "out")
    copies = list((tmp_path / "cache" / "stored").glob("*/taken.json"))
    assert [json.loads(path.read_text())["rows"] for path in copies] == [24]
    with psycopg.connect(chunks, autocommit=True) as connection:
        connection.execute("INSERT INTO chunks SELECT 'more', 'more of it', embedding FROM chunks LIMIT 1")
    run.run(eval_file, out=tmp_path / "out")
    assert json.loads(copies[0].read_text())["rows"] == 25
    assert "the index has 25 documents and the copy of" in caplog.text


def test_without_an_index_that_exists_there_is_no_corpus_in_a_store(tmp_path: Path) -> None:
    eval_file = written(tmp_path, 'from = "store"', {"memory": '"faiss_flat"'})
    with pytest.raises(BadInput, match='from = "store" takes the corpus from an index that exists, and no pipeline'):
        run.run(eval_file, out=tmp_path / "out")


def test_growth_leaves_out_an_index_that_cannot_be_given_a_part(chunks: str, tmp_path: Path) -> None:
    eval_file = written(tmp_path, 'from = "store"', {"production": CHUNKS})
    with pytest.raises(BadInput, match="searches an index that exists, which cannot be given a sub-corpus"):
        run.grow(eval_file, out=tmp_path / "out")
