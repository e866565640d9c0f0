"""PostgreSQL as people have it: kinds of index, a table that exists, and all that can be wrong with either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from conftest import Passages
from pgvector import HalfVector, Vector

from ragprof.core import Doc, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.parts.databases.metrics import exact
from ragprof.parts.databases.rows import DatabaseStore
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.parts.embedders.static import StaticEmbedder


def made(**options: Any) -> DatabaseStore:
    store: DatabaseStore = registry.create("stores", PartSpec(name="pgvector", **{"url_env": "STORE_URL", **options}))
    return store


def run(url: str, *statements: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        done = connection.execute(statements[-1])
        return done.fetchall() if done.description else []


@pytest.fixture
def chunks(database: str, passages: Passages) -> str:
    """A table of somebody else's: two tenants, ids of their own, an index for cosine; a user who may only read."""
    from pgvector.psycopg import register_vector

    width = passages.vectors.shape[1]
    with psycopg.connect(database, autocommit=True) as connection:
        register_vector(connection)
        connection.execute(f"CREATE TABLE chunks (key text PRIMARY KEY, tenant text, body text, v vector({width}))")
        with connection.cursor().copy("COPY chunks FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "text", "vector"])
            for number, (doc, vector) in enumerate(zip(passages.docs[:300], passages.vectors, strict=False)):
                copy.write_row((doc.doc_id, "ab"[number % 2], doc.text, Vector(vector)))
        connection.execute("CREATE INDEX chunks_v ON chunks USING hnsw (v vector_cosine_ops)")
        connection.execute("DROP OWNED BY reader; DROP ROLE reader") if has_reader(connection) else None
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'sesame-open-7'; GRANT SELECT ON chunks TO reader")
        connection.execute("GRANT USAGE ON SCHEMA scratch TO reader")
    return database


def has_reader(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'").fetchone() is not None


CHUNKS = {"table": "chunks", "id": "key", "text": "body", "vector": "v"}


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"index": "hnsw"}, 0.95),
        ({"index": "hnsw", "quantisation": "halfvec", "metric": "cosine"}, 0.95),
        pytest.param({"index": "hnsw", "quantisation": "binary", "rescore": 20}, 0.9, marks=pytest.mark.slow),
        pytest.param({"index": "ivfflat", "lists": 10, "probes": 10, "metric": "l2"}, 1.0, marks=pytest.mark.slow),
    ],
)
def test_an_index_finds_nearly_all_with_the_scores_of_whole_vectors_and_the_planner_takes_it(
    database: str, passages: Passages, options: dict[str, Any], least: float
) -> None:
    store = made(**options)
    try:
        store.add(passages.docs[:500], passages.vectors[:500])
        best = exact(store.metric)
        best.add(passages.docs[:500], passages.vectors[:500])
        hits = []
        for query in passages.queries[:40]:
            wanted = {item.doc.doc_id: item.score for item in best.search(query, 10).ranking}
            found = {item.doc.doc_id: item.score for item in store.search(query, 10).ranking}
            assert len(found) == 10
            hits += [doc_id in found for doc_id in wanted]
            assert all(found[each] == pytest.approx(wanted[each], abs=2e-6) for each in found.keys() & wanted.keys())
        assert np.mean(hits) >= least
        assert run(database, "SELECT sum(idx_scan) > 0 FROM pg_stat_user_indexes WHERE indexrelname LIKE '%idx%'")
        assert store.search_with_server_time(passages.queries[0], 10).usage["server_ns"] > 0  # type: ignore[attr-defined]
    finally:
        store.close()


def test_nothing_of_ours_is_left_and_nothing_else_is_touched(chunks: str, passages: Passages) -> None:
    run(chunks, "CREATE TABLE ragprof_notes (n int); INSERT INTO ragprof_notes VALUES (1)")
    run(chunks, "CREATE TABLE ragprof_0a1b2c3d_1_1_1 (n int)")  # one of our names, but nobody said that it is ours
    before = run(chunks, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'i') ORDER BY 1")
    store = made()
    store.add(passages.docs[:20], passages.vectors[:20])
    assert len(run(chunks, "SELECT 1 FROM pg_class WHERE relname LIKE 'ragprof%'")) > 2
    store.close()
    assert run(chunks, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'i') ORDER BY 1") == before


KILLED = """
import os, signal, sys
import numpy as np
from ragprof.core import Doc, registry
from ragprof.core.registry import PartSpec
store = registry.create("stores", PartSpec(name="pgvector", **({"url_env": sys.argv[1]} if sys.argv[1:] else {})))
store.add([Doc("a", "", "a", "a")], np.ones((1, 3), np.float32))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_taken_away_by_the_next_and_said_and_a_living_one_keeps_its_own(
    database: str, passages: Passages, caplog: pytest.LogCaptureFixture
) -> None:
    living = made()
    living.add(passages.docs[:5], passages.vectors[:5])
    subprocess.run([sys.executable, "-c", KILLED, "STORE_URL"], check=False)
    tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'ragprof%' AND relkind = 'r'"
    assert run(database, tables) == [(2,)]
    deadline = time.monotonic() + 20
    while run(database, tables) != [(1,)] and time.monotonic() < deadline:  # until the server has missed the client
        following = made()
        following.load()
        following.close()
    assert run(database, tables) == [(1,)]
    assert "took away what a run that was killed had left: the tables ragprof_" in caplog.text
    assert len(living.search(passages.queries[0], 5).ranking) == 5
    living.close()


@pytest.mark.slow
def test_the_server_of_a_killed_run_is_ended_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    from ragprof.parts.databases import claims

    subprocess.run([sys.executable, "-c", KILLED], check=False)
    left = [path for path in claims.places() if claims.is_left_over(path.name)]
    assert len(left) == 1
    assert claims.processes_in(left[0])
    store = made(url_env="")
    store.load()
    assert not left[0].exists()
    assert "the folders ragprof_" in caplog.text
    store.close()
    assert not [path for path in claims.places() if f"_{os.getpid()}_" in path.name]


def test_a_restart_of_the_server_is_waited_for_and_counted(database: str, passages: Passages) -> None:
    store = made()
    store.add(passages.docs[:50], passages.vectors[:50])
    before = store.search(passages.queries[0], 10)
    run(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    after = store.search(passages.queries[0], 10)
    assert after.ranking == before.ranking
    assert (before.usage, after.usage) == ({"searches": 1}, {"searches": 1, "reconnects": 1})
    other = made()
    other.load()  # would drop what nobody holds
    other.close()
    assert store.search(passages.queries[0], 10).ranking == before.ranking
    store.close()


class TestATableThatExists:
    @pytest.fixture
    def store(self, chunks: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseStore]:
        monkeypatch.setenv("STORE_URL", chunks.replace("postgres:@", "reader:sesame-open-7@"))
        store = made(**CHUNKS)
        yield store
        store.close()

    def test_it_is_read_by_a_user_who_may_not_write(self, store: DatabaseStore, passages: Passages) -> None:
        docs = passages.docs[:300]
        store.add(docs, passages.vectors[:300])
        best = exact("cosine")
        best.add(docs, passages.vectors[:300])
        assert store.metric == "cosine"
        found = [len({i.doc for i in store.search(q, 10).ranking} & {i.doc for i in best.search(q, 10).ranking})
                 for q in passages.queries[:20]]  # fmt: skip
        assert np.mean(found) > 9.5
        assert not store.can_change

    def test_its_rows_are_those_of_the_condition(self, store: DatabaseStore, passages: Passages) -> None:
        chosen = made(**CHUNKS, where="tenant = 'a' AND body LIKE '%'")
        assert {row.doc_id for row in chosen.stored_rows()} == {doc.doc_id for doc in passages.docs[:300:2]}
        chosen.add(passages.docs[:300:2], passages.vectors[:300:2])
        assert {item.doc.doc_id for item in chosen.search(passages.queries[0], 20).ranking} <= {
            doc.doc_id for doc in passages.docs[:300:2]
        }
        chosen.close()

    def test_nothing_can_be_written_through_it_even_by_its_owner(self, chunks: str, passages: Passages) -> None:
        sly = made(**CHUNKS, where="pg_advisory_unlock_all() IS NULL OR (SELECT 1 FROM nextval('s')) = 1")
        run(chunks, "CREATE SEQUENCE s")
        with pytest.raises(BadInput, match="read-only transaction"):
            sly.stored_count()
        sly.close()

    def test_its_embedder_is_recognised(self, store: DatabaseStore) -> None:
        embedder = StaticEmbedder()
        embedder.load()
        store.check_embedder(embedder)
        with pytest.raises(BadInput, match="vectors of 256 dimensions and the embedder gives 128"):
            store.check_embedder(HashingEmbedder(128))
        with pytest.raises(BadInput, match=r"the stored vectors are not this embedder's: of 64 documents .* cosine is"):
            store.check_embedder(HashingEmbedder(256))

    def test_another_corpus_is_refused(self, store: DatabaseStore, passages: Passages) -> None:
        with pytest.raises(BadInput, match=r"index that exists has 300 documents, and a part of it \(299\) cannot"):
            store.add(passages.docs[1:300], passages.vectors[1:300])
        with pytest.raises(BadInput, match="the index has 300 documents and the corpus 300, and lacks '"):
            store.add(passages.docs[100:400], passages.vectors[100:400])

    def test_without_an_index_it_is_said_that_every_search_is_a_scan(
        self, chunks: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = made(**CHUNKS, metric="l2")
        other.load()
        assert "has no index that serves l2 on 'v'; its indexes: chunks_v (vector_cosine_ops)" in caplog.text
        run(chunks, "DROP INDEX chunks_v")
        other.close()
        bare = made(**CHUNKS)
        bare.load()
        assert "has no index that serves cosine on 'v': every search is an exact scan" in caplog.text
        bare.close()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"table": "chunk"}, "there is no table 'chunk'; tables with vectors: chunks"),
            ({"vector": "body"}, "the column 'body' of 'chunks' is of the type text; vector names one of the type"),
            ({"text": "content"}, "has no column 'content', which text names; it has body, key, tenant, v"),
            ({"where": "tenant ="}, "syntax error"),
            ({"where": "x = 1"}, 'column "x" does not exist'),
        ],
    )
    def test_what_it_lacks_is_said(self, chunks: str, change: dict[str, str], said: str) -> None:
        store = made(**{**CHUNKS, **change})
        with pytest.raises(BadInput, match=said):
            store.stored_count()
        store.close()

    def test_halves_are_vectors_too(self, database: str, passages: Passages) -> None:
        from pgvector.psycopg import register_vector

        with psycopg.connect(database, autocommit=True) as connection:
            register_vector(connection)
            connection.execute("CREATE TABLE halves (id int PRIMARY KEY, content text, embedding halfvec(256))")
            for number in range(50):
                row = (number, passages.docs[number].text, HalfVector(passages.vectors[number]))
                connection.execute("INSERT INTO halves VALUES (%s, %s, %s)", row)
            connection.execute("CREATE INDEX ON halves USING hnsw (embedding halfvec_ip_ops)")
        store = made(table="halves")
        docs = [Doc(str(number), "", passages.docs[number].text, str(number)) for number in range(50)]
        store.add(docs, passages.vectors[:50])
        assert store.metric == "inner_product"
        best = exact("inner_product")
        best.add(docs, passages.vectors[:50])
        query = passages.queries[0]
        found, wanted = store.search(query, 50).ranking, best.search(query, 50).ranking
        assert [item.score for item in found] == pytest.approx([item.score for item in wanted], abs=2e-3)
        store.close()


class TestBadInput:
    def test_a_server_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORE_URL", "postgresql://me:sesame-open-7@127.0.0.1:1/x")
        with pytest.raises(BadInput, match=r"does not answer .*; start it, or mend \$STORE_URL") as told:
            made().load()
        assert "sesame" not in str(told.value)

    @pytest.mark.parametrize(
        "written", ["postgresql://me:sesame-open-7@[::1/x", "sesame-open-7", "host=x password=sesame-open-7 oops"]
    )
    def test_what_is_no_address(self, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORE_URL", written)
        with pytest.raises(BadInput, match=r"what \$STORE_URL holds is no address") as told:
            made().load()
        assert "sesame" not in str(told.value)

    def test_a_variable_that_is_not_set_or_is_the_address_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("STORE_URL", raising=False)
        with pytest.raises(BadInput, match=r"reads its address from \$STORE_URL, which is not set"):
            made().load()
        with pytest.raises(BadInput, match="url_env must be the name of an environment variable") as told:
            made(url_env="postgresql://me:sesame-open-7@host/x").load()
        assert "sesame" not in str(told.value)

    def test_a_database_or_a_user_that_there_is_not(self, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for change, said in (
            (("/contract?", "/nowhere?"), "mend the database in"),
            (("postgres:@", "nobody:sesame-open-7@"), "mend the user in"),
        ):
            monkeypatch.setenv("STORE_URL", database.replace(*change))
            with pytest.raises(BadInput, match=said) as told:
                made().load()
            assert "sesame" not in str(told.value)

    def test_a_database_without_the_extension(self, database: str) -> None:
        run(database, "DROP EXTENSION vector")
        with pytest.raises(BadInput, match="run this SQL in it as a user who may: CREATE EXTENSION vector;"):
            made().load()

    def test_more_dimensions_than_an_index_takes(self, database: str) -> None:
        store, wide = made(), np.ones((1, 2001), np.float32)
        with pytest.raises(BadInput, match="take at most 2,000 dimensions and the embedder gives 2,001"):
            store.add([Doc("a", "", "a", "a")], wide)
        store.close()

    def test_a_question_of_another_width(self, database: str, passages: Passages) -> None:
        store = made()
        store.add(passages.docs[:5], passages.vectors[:5, :100])
        with pytest.raises(BadInput, match="the embedder gives 256 dimensions, the column has 100"):
            store.search(passages.queries[0], 3)
        store.close()

    def test_a_database_that_may_not_be_written(self, chunks: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORE_URL", chunks.replace("postgres:@", "reader:sesame-open-7@"))
        store = made()
        with pytest.raises(BadInput, match="permission denied for schema scratch"):
            store.add([Doc("a", "", "a", "a")], np.ones((1, 3), np.float32))
        store.close()

    def test_a_table_that_exists_needs_an_address(self) -> None:
        with pytest.raises(BadInput, match="name its address in url_env"):
            made(url_env="", table="chunks")


@pytest.mark.slow
def test_a_wrong_password_is_never_printed(passages: Passages, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server of its own that asks for passwords."""
    server = made(url_env="")
    server.load()
    url = server._server.url  # type: ignore[attr-defined]
    data = server._server._folder / "data"  # type: ignore[attr-defined]
    run(url, "CREATE ROLE locked LOGIN PASSWORD 'right'")
    (data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    run(url, "SELECT pg_reload_conf()")
    monkeypatch.setenv("STORE_URL", url.replace("postgres:@", "locked:sesame-open-7@"))
    with pytest.raises(BadInput, match=r"refused the connection .*; set the right password in \$STORE_URL") as told:
        made().load()
    assert "sesame" not in str(told.value)
    server.close()


@pytest.mark.slow
def test_a_server_that_is_stopped_and_started_while_it_is_asked(passages: Passages) -> None:
    store = made(url_env="")
    store.add(passages.docs[:50], passages.vectors[:50])
    before = store.search(passages.queries[0], 10).ranking
    handle = store._server._handle  # type: ignore[attr-defined]
    os.kill(handle.get_pid(), signal.SIGINT)
    time.sleep(1)
    handle.ensure_postgres_running()
    found = store.search(passages.queries[0], 10)
    assert (found.ranking, found.usage["reconnects"] >= 1) == (before, True)
    store.close()
