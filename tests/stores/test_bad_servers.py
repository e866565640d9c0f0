"""Servers that are gone, slow, full, or speak no TLS: one message with what to do, and never a password in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import psycopg
import pytest
from conftest import Passages
from search_engine import Engine

from ragprof.core import Doc, EmbeddedQuery, Query, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.parts.databases import claims, watched_postgres

SECRET = "sesame-open-7"  # noqa: S105 (of nobody)


def made(name: str, **options: Any) -> Any:
    return registry.create("stores", PartSpec(name=name, **{"url_env": "STORE_URL", **options}))


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port of this machine on which every connection is handed to `answer`, and held open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                held.append(connection)
                answer(connection)

        Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in held:
            connection.close()


def refuse_tls(connection: socket.socket) -> None:
    connection.recv(8)  # PostgreSQL's SSLRequest
    connection.sendall(b"N")


def say_nothing(connection: socket.socket) -> None:
    """The server hangs."""


def told(failure: BaseException) -> str:
    """All that a traceback would show."""
    return "".join(traceback.format_exception(failure))


def test_postgres_without_tls_is_refused_where_the_address_demands_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(refuse_tls) as port:
        address = f"postgresql://me:{SECRET}@127.0.0.1:{port}/x?sslmode=require"
        monkeypatch.setenv("STORE_URL", address)
        with pytest.raises(
            BadInput, match=r"server does not support SSL.*; mend sslmode and sslrootcert in"
        ) as failure:
            made("pgvector").load()
    assert SECRET not in told(failure.value)


def test_postgres_that_is_slow_is_given_up_and_asked_again_later(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE one (id int, content text, embedding vector(2))")
        connection.execute("INSERT INTO one VALUES (1, 'a', '[1,0]')")
    query = EmbeddedQuery(Query("q", "a"), np.array([1, 0], np.float32))
    store = made("pgvector", table="one", where="pg_sleep(0.2) IS NOT NULL", timeout_s=0.05)
    store.add([Doc("1", "", "a", "1")], np.array([[1, 0]], np.float32))  # counting may take what it takes
    with pytest.raises(BadInput, match=r"a search took longer than 0\.05 s and was given up; see what else"):
        store.search(query, 1)
    store.close()
    quick = made("pgvector", table="one")
    quick.add([Doc("1", "", "a", "1")], np.array([[1, 0]], np.float32))
    assert len(quick.search(query, 1).ranking) == 1
    quick.close()


@pytest.mark.slow
def test_a_disk_of_the_server_that_is_full_is_said_and_nothing_is_left(
    database: str, passages: Passages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tablespace on a file system of 4 MB."""
    import pwd

    mounted = Path("/tmp") / f"test_ragprof_small_{os.getpid()}"  # noqa: S108 (the server's user may look into it)
    mounted.mkdir()
    owner = next((each.pw_name for each in pwd.getpwall() if each.pw_name.startswith("pgserver")), "")
    options = f"size=4m,mode=777{f',uid={owner}' if owner else ''}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)], check=False).returncode:
        mounted.rmdir()
        pytest.skip("no file system can be mounted here")
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{mounted}'")
        monkeypatch.setenv("STORE_URL", f"{database}%20-cdefault_tablespace%3Dsmall")
        store = made("pgvector", index="none")
        with pytest.raises(BadInput, match=r"could not be filled: .*No space left on device"):
            store.add(passages.docs, np.tile(passages.vectors, (1, 4)))
        store.close()
        with psycopg.connect(database, autocommit=True) as connection:
            assert connection.execute("SELECT 1 FROM pg_class WHERE relname LIKE 'ragprof%'").fetchall() == []
            connection.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", str(mounted)], check=False)
        mounted.rmdir()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["qdrant", "milvus", "chroma", "elasticsearch", "opensearch"])
class TestOverHttp:
    @pytest.fixture(autouse=True)
    def _installed(self, name: str) -> None:
        pytest.importorskip({"qdrant": "qdrant_client", "milvus": "pymilvus", "chroma": "chromadb"}.get(name, "httpx2"))

    def test_nobody_listens(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORE_URL", f"http://me:{SECRET}@127.0.0.1:1")
        with pytest.raises(
            BadInput, match=r"the server does not answer \(.*; start it, or mend \$STORE_URL"
        ) as failure:
            made(name).load()
        assert SECRET not in told(failure.value)

    def test_https_of_a_server_without_it(self, name: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORE_URL", os.environ["ENGINE_URL"].replace("http:", "https:"))
        with pytest.raises(BadInput, match=r"the server does not answer .*write http:// where the server has no"):
            made(name).load()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qdrant", "elasticsearch", "opensearch", "chroma", "milvus"])
def test_a_server_that_hangs_is_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip({"qdrant": "qdrant_client", "milvus": "pymilvus", "chroma": "chromadb"}.get(name, "httpx2"))
    with listening(say_nothing) as port:
        monkeypatch.setenv("STORE_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(BadInput, match=r"timed out.*it is slow, or a firewall swallows what is sent"):
            made(name, timeout_s=1).load()


@pytest.mark.parametrize("name", ["pgvector", "qdrant", "elasticsearch", "opensearch", "chroma", "milvus"])
def test_every_server_has_the_same_key_for_its_limit_of_time(name: str) -> None:
    pytest.importorskip(
        {"pgvector": "psycopg", "qdrant": "qdrant_client", "milvus": "pymilvus", "chroma": "chromadb"}.get(
            name, "httpx2"
        )
    )
    assert made(name).identity == made(name, timeout_s=5).identity
    with pytest.raises(BadInput, match=r"timeout_s"):
        made(name, timeout_s=0)


@pytest.mark.slow
def test_a_postgres_that_is_frozen_is_given_up_by_a_search_and_by_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """All its processes are stopped: its sockets stay open, and its own time limits do not run."""
    monkeypatch.setattr(watched_postgres, "QUIET_S", 0.5)
    monkeypatch.setattr(watched_postgres, "CONNECT_TIMEOUT_S", 2)
    store, other = (made("pgvector", url_env="", timeout_s=0.5) for _ in range(2))
    other.load()
    docs = [Doc(str(number), "", "a", str(number)) for number in range(20)]
    vectors = np.eye(20, 4, dtype=np.float32)
    store.add(docs, vectors)
    processes = claims.processes_in(store._server._folder)  # type: ignore[attr-defined]
    assert processes
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        said = r"the store 'pgvector'.*(hangs|does not answer)"
        with pytest.raises(BadInput, match=said):
            store.search(EmbeddedQuery(Query("q", "a"), vectors[0]), 1)
        with pytest.raises(BadInput, match=said):
            other.add(docs, vectors)
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    for each in (store, other):
        each.close()
