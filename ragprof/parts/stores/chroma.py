"""Chroma: an HTTP server (yours, or one that is started by `chroma run`), or its engine in this process; HNSW only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import StoredRow, Vectors
from ragprof.core.clock import now_ns, sleep
from ragprof.core.errors import BadInput
from ragprof.core.stages import Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.existing import FieldNames, check_metric, no_place
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import TIMEOUT_S, Batch, DatabaseStore, Hits, Seconds
from ragprof.parts.http.calls import CallFailed

SPACES: Mapping[Metric, str] = {"inner_product": "ip", "cosine": "cosine", "l2": "l2"}
BATCH = 1000
STARTS_WITHIN_S = 60.0


class ChromaStore(DatabaseStore):
    """`ef_search` is fixed when the index is made, so that it is no knob of the built one.

    `url_env` names the environment variable with a server's address and `token_env` that of its token; without an
    address a server is started, or with `runs = "in_process"` the engine runs here. With `collection` one that exists
    is opened and only read: `id` and `text` name the metadata with a document's id and text (empty: Chroma's own), and
    `where` the metadata that it must have.
    """

    name = "chroma"

    def __init__(
        self,
        url_env: str = "",
        token_env: str = "",
        runs: Literal["server", "in_process"] = "server",
        metric: Metric | None = None,
        timeout_s: Seconds = TIMEOUT_S,
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        ef_search: PositiveInt = 100,
        collection: str = "",
        id: str = "",
        text: str = "",
        where: dict[str, str | int | float | bool] | None = None,
    ) -> None:
        super().__init__(locals())
        access.need("chroma", "chromadb")
        if url_env and runs == "in_process":
            raise BadInput("the store 'chroma': url_env names a server, and runs = \"in_process\" has none; choose one")
        self._url_env, self._token_env, self._runs = url_env, token_env, runs
        self._m, self._ef_construction, self._ef_search = m, ef_construction, ef_search
        if collection and not url_env:
            raise BadInput("the store 'chroma': a collection that exists is on a server; name its address in url_env")
        if where and not collection:
            raise BadInput("the store 'chroma': where chooses rows of a collection that exists; name the collection")
        self.is_existing = bool(collection)
        self._asked_metric, self.metric = metric, metric or "inner_product"
        self._names, self._where = FieldNames(collection, id, text, ""), where or {}
        self._client: Any = None
        self._collection: Any = None
        self._folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._secrets: list[str] = []

    @property
    def identity(self) -> str | None:
        if self.is_existing:
            return None
        built = f"m={self._m} ef_construction={self._ef_construction}"
        return f"chroma hnsw {built} {self.metric} ef_search={self._ef_search}"

    @property
    def remote(self) -> bool:
        """Whether its server is another machine's."""
        return bool(self._url_env) and access.is_elsewhere(self._url_env)

    @property
    def engine(self) -> str:
        where = "in this process" if self._runs == "in_process" else "over HTTP"
        return f"chromadb {version('chromadb')} Collection.query, {where}"

    @property
    def index_bytes(self) -> int:
        """What its files take on disk, texts included; of a server elsewhere, the vectors (an estimate)."""
        if self._collection is None:
            return 0
        if self._folder is None:
            return 4 * self._width * len(self._docs)
        return sum(512 * path.stat().st_blocks for path in self._folder.rglob("*") if path.is_file())

    def load(self) -> None:
        if self._client is not None:
            return
        try:
            client = self._connect()
        except CallFailed as failure:
            self._give_back()
            if self._url_env:
                raise access.unreachable("chroma", failure.reason, self._url_env) from None
            raise BadInput(
                f"the store 'chroma': the server does not answer ({failure.reason}); see that 'chroma run' works here"
            ) from None
        if self.is_existing:
            self._open_collection()
        elif self._url_env:
            gone = [each.name for each in client.list_collections() if claims.is_left_over(each.name)]
            for name in gone:
                client.delete_collection(name)
            claims.told_of("the collections", gone)

    def _connect(self) -> Any:
        import chromadb
        import httpx

        settings = chromadb.Settings(anonymized_telemetry=False)
        if not self._url_env and self._folder is None:
            self._folder = claims.own_folder()
        if self._runs == "in_process":
            self._client = chromadb.PersistentClient(str(self._folder), settings=settings)
            return self._client
        if self._url_env:
            url = access.address(self._url_env, store="chroma")
            token = access.address(self._token_env, store="chroma") if self._token_env else ""
            self._secrets = [url, *access.secrets_in(url), *([token] if token else [])]
            place = urlsplit(url)
            if place.scheme not in ("http", "https") or not place.hostname:
                raise BadInput(
                    f"the store 'chroma': ${self._url_env} must hold an address such as http://localhost:8000"
                )
            given: dict[str, Any] = {"host": place.hostname, "port": place.port or 8000, "ssl": place.scheme == "https"}
            headers = {"x-chroma-token": token} if token else None
        else:
            self._start()
            given, headers = {"host": "127.0.0.1", "port": self._port}, None
        scheme = "https" if given.get("ssl") else "http"
        # The client asks as soon as it is made, without any limit of time.
        heartbeat = f"{scheme}://{given['host']}:{given['port']}/api/v2/heartbeat"
        self._called(lambda: httpx.get(heartbeat, headers=headers, timeout=self._timeout_s), asked=True)
        self._client = self._called(
            lambda: chromadb.HttpClient(**given, headers=headers, settings=settings), asked=True
        )
        for session in _sessions_of(self._client):
            session.timeout = self._timeout_s  # else it waits for ever
        return self._client

    def _start(self) -> None:
        """A server of our own in our folder, on a free port of this machine; waited for until it answers."""
        import socket

        if self._server is not None and self._server.poll() is None:
            return
        if not self._port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self._port = free.getsockname()[1]
        command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(self._folder)]
        with (self._folder / "log").open("ab") as log:  # type: ignore[operator]
            self._server = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self._port)],
                stdout=log, stderr=log, env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
            )  # fmt: skip
        start = now_ns()
        while now_ns() - start < STARTS_WITHIN_S * 1e9 and self._server.poll() is None:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            sleep(0.1)
        raise CallFailed("it did not start within a minute", again=False)

    def _give_back(self) -> None:
        import shutil

        client, self._client = self._client, None
        made = self._collection is not None and not self.is_existing
        if client is not None and made and self._folder is None:
            client.delete_collection(self._collection.name)
        self._collection = None
        if client is not None:
            for session in _sessions_of(client):
                session.close()  # closing the client leaves them open
            client.close()
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
            self._server, self._port = None, 0
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _fill(self, batch: Batch) -> None:
        if self._collection is not None:
            self._called(lambda: self._client.delete_collection(self._collection.name))
        hnsw = {
            "space": SPACES[self.metric],
            "max_neighbors": self._m,
            "ef_construction": self._ef_construction,
            "ef_search": self._ef_search,
        }
        self._collection = self._called(
            lambda: self._client.create_collection(
                claims.own_name(), embedding_function=None, configuration={"hnsw": hnsw}
            )
        )
        self._put_in(batch)

    def _put_in(self, batch: Batch) -> None:
        size = min(BATCH, self._called(self._client.get_max_batch_size))
        for start in range(0, len(batch.numbers), size):
            some = slice(start, start + size)
            labels: list[dict[str, str]] = [
                {field: values[row] for field, values in batch.labels.items()}
                for row in range(len(batch.numbers))[some]
                if batch.labels
            ]
            rows = {
                "ids": [str(number) for number in batch.numbers[some]],
                "embeddings": np.asarray(batch.vectors[some], np.float32),
                "documents": [text.replace("\0", "\ufffd") for text in batch.texts[some]],
                "metadatas": labels or None,
            }
            self._called(lambda rows=rows: self._collection.add(**rows))

    def _take_out(self, numbers: Sequence[int]) -> None:
        self._called(lambda: self._collection.delete(ids=[str(number) for number in numbers]))

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        fields = ["documents", "distances", *(["metadatas"] if self._names.id else [])]
        found = self._called(
            lambda: self._collection.query(
                query_embeddings=[np.asarray(vector, np.float32)],
                n_results=depth,
                where=_condition(self._where or where),
                include=fields,
            ),
            asked=True,
        )
        distances = np.asarray(found["distances"][0], np.float64)
        scores = -np.sqrt(np.maximum(distances, 0)) if self.metric == "l2" else 1.0 - distances
        if self.is_existing:
            metadata = found["metadatas"][0] if self._names.id else [None] * len(scores)
            ids = [_named(self._names.id, own, each) for own, each in zip(found["ids"][0], metadata, strict=True)]
            return list(zip(ids, scores.tolist(), strict=True))
        return [(int(key), score) for key, score in zip(found["ids"][0], scores.tolist(), strict=True)]

    @property
    def can_reopen(self) -> bool:
        return not self._url_env and self._runs == "server"

    def shut(self) -> Path:
        if self._folder is None or self._server is None:
            return super().shut()
        for session in _sessions_of(self._client):
            session.close()
        self._server.terminate()
        self._server.wait()
        self._server = None
        return self._folder

    def open_again(self) -> None:
        if self._folder is not None and self._server is None:
            self._reconnect()

    def _reconnect(self) -> None:
        name = self._collection.name
        self._connect()
        self._collection = self._called(lambda: self._client.get_collection(name, embedding_function=None), asked=True)

    # A collection that exists

    def _open_collection(self) -> None:
        """Raises BadInput for one that there is not."""
        from chromadb.errors import NotFoundError

        client, name = self._client, self._names.place
        try:
            self._collection = client.get_collection(name, embedding_function=None)
        except NotFoundError:
            there = [each.name for each in self._called(client.list_collections)]
            raise no_place("chroma", "collection", name, there) from None
        built = self._collection.configuration
        space = (built.get("hnsw") or built.get("spann") or {}).get("space")
        found = next((metric for metric, word in SPACES.items() if word == space), None)
        if found is None:
            raise BadInput(f"the store 'chroma': '{name}' compares by {space}, not known here")
        check_metric("chroma", name, asked=self._asked_metric, found=found)
        self.metric = found

    def _count(self) -> int:
        if not self._where:
            return int(self._called(self._collection.count))
        return len(self._called(lambda: self._collection.get(where=_condition(self._where), include=[]))["ids"])

    def _all(self) -> Generator[StoredRow, None, None]:
        """Page by page: Chroma has no way to read as of one moment."""
        start, page = 0, {"where": _condition(self._where), "include": ["documents", "embeddings", "metadatas"]}
        while True:
            found = self._called(lambda start=start: self._collection.get(limit=BATCH, offset=start, **page))
            rows = zip(found["ids"], found["documents"], found["embeddings"], found["metadatas"], strict=True)
            for key, text, vector, metadata in rows:
                content = text if not self._names.text else (metadata or {}).get(self._names.text)
                doc_id = _named(self._names.id, key, metadata)
                yield StoredRow(doc_id, str(content or ""), np.asarray(vector, np.float32))
            if len(found["ids"]) < BATCH:
                return
            start += BATCH

    def _called(self, call: Any, *, asked: bool = False) -> Any:
        import httpx
        from chromadb.errors import ChromaError

        try:
            return call()
        except (httpx.ReadTimeout, httpx.ConnectTimeout) as failure:
            reason = f"timed out: nothing came ({access.shown(failure, self._secrets)})"
            raise CallFailed(reason, again=False) if asked else BadInput(f"the store 'chroma': {reason}") from None
        except (httpx.TransportError, ConnectionError) as failure:
            raise self._lost(failure, asked) from None
        except ChromaError as failure:
            raise BadInput(f"the store 'chroma': {access.shown(failure, self._secrets)}") from None
        except ValueError as failure:  # so the client says that nobody answers
            if "Could not connect" in str(failure):
                raise self._lost(failure, asked) from None
            raise BadInput(f"the store 'chroma': {access.shown(failure, self._secrets)}") from None

    def _lost(self, failure: Exception, asked: bool) -> Exception:
        said = access.shown(failure, self._secrets)
        return CallFailed(said) if asked else BadInput(f"the store 'chroma': the server does not answer ({said})")


def _condition(where: Mapping[str, Any]) -> Any:
    conditions = [{field: value} for field, value in where.items()]
    return {"$and": conditions} if len(conditions) > 1 else dict(where) or None


def _named(field: str, own: str, metadata: Mapping[str, Any] | None) -> str:
    """The id that the metadata gives, where a field is named and it has one."""
    return str((metadata or {}).get(field, own)) if field else own


def _sessions_of(client: Any) -> list[Any]:
    """Connections that the client holds, of which it closes none."""
    clients = (client, getattr(client, "_admin_client", None))
    sessions = [getattr(getattr(each, "_server", None), "_session", None) for each in clients]
    return [session for session in sessions if session is not None]


plugin: type[Store] = ChromaStore
