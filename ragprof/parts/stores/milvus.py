"""Milvus by its client: a server (run against Milvus 2.3.5), or milvus-lite in this process, Python over FAISS.

What is learnt of latency from milvus-lite is learnt of milvus-lite: it says so, in the engine's name and in a warning.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Generator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import StoredRow, Vectors
from ragprof.core.errors import BadInput
from ragprof.core.stages import Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.existing import LOG, FieldNames, check_fields, check_metric, no_place, said_to_scan
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import TIMEOUT_S, Batch, DatabaseStore, Hits, Key, Seconds
from ragprof.parts.http.calls import CallFailed

METRICS: Mapping[Metric, str] = {"inner_product": "IP", "cosine": "COSINE", "l2": "L2"}
KINDS = {"none": "FLAT", "hnsw": "HNSW", "hnsw_sq8": "HNSW_SQ", "ivf_flat": "IVF_FLAT", "ivf_sq8": "IVF_SQ8"}
OURS = FieldNames("", "id", "content", "embedding")
LONGEST = 65_535
"""Bytes of a VARCHAR. A longer text is cut where it is kept; what is embedded is the whole."""
RETRIES = 2
"""Of what may take long and has no limit of time: a frozen server is seen within 15 s, and would be asked 75 times."""
BATCH = 1000


class MilvusStore(DatabaseStore):
    """`index` is what is built; `ef_search` candidates (at least the depth) or `probes` lists are looked at.

    `url_env` names the environment variable with the address of a server, `token_env` that of `user:password` or of a
    token; without an address milvus-lite keeps a file of its own. With `collection` one that exists is opened and only
    read: `id` (empty: its primary key), `text` and `vector` (empty: its only one) name its fields, and `where` is an
    expression of Milvus.
    """

    name = "milvus"
    search_knobs = ("ef_search", "probes")

    def __init__(
        self,
        url_env: str = "",
        token_env: str = "",
        index: Literal["none", "hnsw", "hnsw_sq8", "ivf_flat", "ivf_sq8"] = "hnsw",
        metric: Metric | None = None,
        timeout_s: Seconds = TIMEOUT_S,
        m: Annotated[int, Field(ge=2, le=2048)] = 16,
        ef_construction: PositiveInt = 100,
        lists: PositiveInt = 128,
        ef_search: PositiveInt = 64,
        probes: PositiveInt = 8,
        collection: str = "",
        id: str = "",
        text: str = "content",
        vector: str = "",
        where: str = "",
    ) -> None:
        super().__init__(locals())
        access.need("milvus", "pymilvus", *([] if url_env else ["milvus_lite"]))
        self._url_env, self._token_env, self._index = url_env, token_env, index
        self._m, self._ef_construction, self._lists = m, ef_construction, lists
        self._ef_search, self._probes = ef_search, probes
        self.is_existing = bool(collection)
        if self.is_existing and not url_env:
            raise BadInput("the store 'milvus': a collection that exists is on a server; name its address in url_env")
        if where and not collection:
            raise BadInput("the store 'milvus': where chooses rows of a collection that exists; name the collection")
        self._asked_metric, self.metric = metric, metric or "inner_product"
        self._names, self._where = FieldNames(collection, id, text, vector), where
        self._kind = KINDS[index]
        self._client: Any = None
        self._folder: Path | None = None
        self._collection, self._secrets, self._version = collection, list[str](), ""
        self._lends = True
        self._limit: dict[str, Any] = {"timeout": self._timeout_s} if url_env else {}
        self._patience: dict[str, Any] = {"retry_times": RETRIES} if url_env else {}

    @property
    def identity(self) -> str | None:
        if self.is_existing:
            return None
        if self._index == "none":
            return f"milvus exact {self.metric}"
        if self._index.startswith("hnsw"):
            built, asked = f"m={self._m} ef_construction={self._ef_construction}", f"ef_search={self._ef_search}"
        else:
            built, asked = f"lists={self._lists}", f"probes={self._probes}"
        return f"milvus {self._index} {built} {self.metric} {asked}"

    @property
    def remote(self) -> bool:
        """Whether its server is another machine's."""
        return bool(self._url_env) and access.is_elsewhere(self._url_env)

    @property
    def engine(self) -> str:
        client = f"pymilvus {version('pymilvus')} MilvusClient.search"
        if self._url_env:
            return f"{client} on Milvus {self._version}".rstrip()
        return f"{client} on milvus-lite {version('milvus-lite')}, Python over FAISS in this process, not a server"

    @property
    def precision(self) -> str:  # type: ignore[override]
        if self._kind in ("FLAT", "HNSW", "IVF_FLAT"):
            return "float32"
        return "int8" if self._kind in ("HNSW_SQ", "IVF_SQ8") else f"as {self._kind} keeps it"

    @property
    def index_bytes(self) -> int:
        """What its files take on disk; of a server, which does not tell, the vectors (an estimate)."""
        if not self._collection:
            return 0
        if self._folder is None:
            return 4 * self._width * len(self._docs)
        return sum(512 * path.stat().st_blocks for path in self._folder.rglob("*") if path.is_file())

    def load(self) -> None:
        if self._client is None:
            try:
                client = self._connect()
            except CallFailed as failure:
                who = f"set the right token in ${self._token_env}" if self._token_env else "name a token in token_env"
                told = access.unreachable("milvus", failure.reason, self._url_env)
                raise BadInput(f"{told}; pymilvus says the same of a token that is refused: {who}") from None
            if self.is_existing:
                self._open_collection()
            elif self._url_env:
                gone = [
                    name
                    for name in self._called(lambda: client.list_collections(**self._limit))
                    if claims.is_left_over(name)
                ]
                for name in gone:
                    self._called(lambda name=name: client.drop_collection(name, **self._limit))
                claims.told_of("the collections", gone)

    def _connect(self) -> Any:
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # else every refusal is printed with its stack
        from pymilvus import MilvusClient, MilvusException

        if not self._url_env:
            if self._folder is None:
                self._folder = claims.own_folder()
                LOG.warning("the store 'milvus' runs on milvus-lite, Python over FAISS: its latency is not a server's")
            self._client = MilvusClient(str(self._folder / "milvus.db"))
            return self._client
        url = access.address(self._url_env, store="milvus")
        token = access.address(self._token_env, store="milvus") if self._token_env else ""
        self._secrets = [url, *access.secrets_in(url), *([token] if token else [])]
        if not url.startswith(("http://", "https://", "tcp://")):
            raise BadInput(
                f"the store 'milvus': ${self._url_env} must hold an address such as http://localhost:19530; leave "
                "url_env out to have milvus-lite in a file of its own"
            )
        try:
            self._client = MilvusClient(uri=url, token=token, timeout=self._timeout_s)
            self._version = self._called(lambda: self._client.get_server_version(**self._limit))
            return self._client
        except MilvusException as failure:
            said = access.shown(failure.message, self._secrets)
            if "auth" in said.lower():
                mend = (
                    f"set the right token in ${self._token_env}" if self._token_env else "name its token in token_env"
                )
                raise BadInput(f"the store 'milvus': the server refused us; {mend}") from None
            raise CallFailed(said) from None

    def _give_back(self) -> None:
        import shutil

        client, self._client = self._client, None
        if client is None or not self._lends:
            return
        if self._url_env and self._collection and not self.is_existing:
            try:
                self._called(lambda: client.drop_collection(self._collection, **self._limit))
            except BadInput as failure:
                LOG.warning(
                    "the store 'milvus': its collection %s could not be taken away (%s); the next run does",
                    *(self._collection, failure),
                )
        client.close()
        self._collection = self._names.place
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _fill(self, batch: Batch) -> None:
        from pymilvus import DataType

        client = self._client
        if self._collection:
            self._called(lambda: client.drop_collection(self._collection, **self._limit))
        self._collection = name = claims.own_name()
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("content", DataType.VARCHAR, max_length=LONGEST)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=batch.vectors.shape[1])
        for field in batch.labels:
            schema.add_field(field, DataType.VARCHAR, max_length=LONGEST)
        self._called(lambda: client.create_collection(name, schema=schema, **self._limit))
        self._put_in(batch)
        index = client.prepare_index_params()
        built: dict[str, Any] = {}
        if self._index.startswith("hnsw"):
            built = {"M": self._m, "efConstruction": self._ef_construction}
            built |= {"sq_type": "SQ8"} if self._index == "hnsw_sq8" else {}
        elif self._index != "none":
            built = {"nlist": min(self._lists, max(1, len(batch.numbers) // 39))}  # FAISS trains on 39 vectors a list
        index.add_index("embedding", index_type=KINDS[self._index], metric_type=METRICS[self.metric], params=built)
        self._called(lambda: client.create_index(name, index, **self._patience))
        self._called(lambda: client.load_collection(name, **self._patience))

    def _put_in(self, batch: Batch) -> None:
        names = ("id", "content", "embedding", *batch.labels)
        rows = zip(batch.numbers, map(_shortened, batch.texts), batch.vectors, *batch.labels.values(), strict=True)
        named = [dict(zip(names, row, strict=True)) for row in rows]
        for start in range(0, len(named), BATCH):
            some = named[start : start + BATCH]
            self._called(lambda some=some: self._client.insert(self._collection, some, **self._patience))
        self._called(
            lambda: self._client.flush(self._collection, **self._patience)
        )  # what is not flushed is scanned row by row

    def _take_out(self, numbers: Sequence[int]) -> None:
        self._called(lambda: self._client.delete(self._collection, ids=list(numbers), **self._limit))

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        condition = self._where or " and ".join(
            f"{field} == {json.dumps(value, ensure_ascii=False)}" for field, value in where.items()
        )
        asked: dict[str, Any] = {}
        if self._kind.startswith("HNSW"):
            asked = {"ef": max(self._ef_search, depth)}
        elif self._kind.startswith("IVF"):
            asked = {"nprobe": self._probes}
        names = self._names if self.is_existing else OURS
        found = self._called(
            lambda: self._client.search(
                self._collection,
                [np.asarray(vector, np.float32)],
                limit=depth,
                filter=condition,
                anns_field=names.vector,
                output_fields=[names.id, names.text] if self.is_existing else [names.text],
                search_params={"metric_type": METRICS[self.metric], "params": asked},
                **self._limit,
            ),
            asked=True,
        )[0]
        if self.is_existing:
            hits: list[tuple[Key, float]] = [(str(hit["entity"][names.id]), hit["distance"]) for hit in found]
        else:
            hits = [(hit["id"], hit["distance"]) for hit in found]
        if self.metric == "l2":
            return [(key, -float(np.sqrt(max(distance, 0.0)))) for key, distance in hits]
        return hits

    @property
    def can_reopen(self) -> bool:
        return not self._url_env

    def shut(self) -> Path:
        if self._folder is None or self._client is None:
            return super().shut()
        from milvus_lite.server_manager import server_manager_instance

        self._client.close()
        server_manager_instance.release_server(str(self._folder / "milvus.db"))
        self._client = None
        return self._folder

    def open_again(self) -> None:
        if self._client is None and self._folder is not None:
            client = self._connect()
            self._called(lambda: client.load_collection(self._collection))

    def _reconnect(self) -> None:
        self._connect()

    def _share(self, other: DatabaseStore) -> None:
        super()._share(other)
        if isinstance(other, MilvusStore):
            self._client, self._collection, self._folder = other._client, other._collection, other._folder
            self._names, self._kind, self.metric = other._names, other._kind, other.metric
            self._version = other._version
            self._lends = False

    # A collection that exists

    def _open_collection(self) -> None:
        """Look at its fields and its index. Raises BadInput for what is not there; nothing on the server is changed."""
        from pymilvus import DataType

        client, name = self._client, self._names.place
        if not self._called(lambda: client.has_collection(name, **self._limit)):
            raise no_place("milvus", "collection", name, self._called(lambda: client.list_collections(**self._limit)))
        told = self._called(lambda: client.describe_collection(name, **self._limit))
        fields = {each["name"]: each for each in told["fields"]}
        vectors = [field for field, each in fields.items() if "VECTOR" in each["type"].name]
        key = next((field for field, each in fields.items() if each.get("is_primary")), "")
        if not self._names.vector and len(vectors) != 1:
            raise BadInput(
                f"the store 'milvus': '{name}' has {len(vectors)} fields of vectors ({', '.join(vectors)}); name one "
                "in vector"
            )
        self._names = FieldNames(name, self._names.id or key, self._names.text, self._names.vector or vectors[0])
        check_fields("milvus", self._names, fields, "vector")
        if not told.get("enable_dynamic_field"):
            check_fields("milvus", self._names, fields, "id", "text")
        kind = fields[self._names.vector]["type"]
        if kind != DataType.FLOAT_VECTOR:
            raise BadInput(
                f"the store 'milvus': the field '{self._names.vector}' of '{name}' is of the type {kind.name}; vector "
                "names one of the type FLOAT_VECTOR"
            )
        self._width = int(fields[self._names.vector]["params"]["dim"])
        indexes = [
            self._called(lambda each=each: client.describe_index(name, each, **self._limit))
            for each in self._called(lambda: client.list_indexes(name, **self._limit))
        ]
        index = next((each for each in indexes if each and each["field_name"] == self._names.vector), None)
        if index is None:
            raise BadInput(
                f"the store 'milvus': the field '{self._names.vector}' of '{name}' has no index, and Milvus searches "
                "none without; make one with create_index"
            )
        found = next((metric for metric, word in METRICS.items() if word == index["metric_type"]), None)
        if found is None:
            raise BadInput(f"the store 'milvus': '{name}' compares by {index['metric_type']}, not known here")
        check_metric("milvus", name, asked=self._asked_metric, found=found)
        self.metric, self._kind = found, str(index["index_type"])
        if self._kind == "FLAT":
            said_to_scan("milvus", self._names)
        if self._is_unloaded():
            raise BadInput(
                f"the store 'milvus': '{name}' is not loaded, and ragprof changes nothing on the server; load it with "
                f"MilvusClient.load_collection('{name}')"
            )

    def _is_unloaded(self) -> bool:
        """Whether it says so: a user who may only read may not ask, and finds out with the first search."""
        import grpc

        try:
            state = self._client.get_load_state(self._names.place, **self._limit)["state"]
        except grpc.RpcError:
            return False
        return str(state.name) != "Loaded"

    def _count(self) -> int:
        asked = {"filter": self._where, "output_fields": ["count(*)"]}
        return int(self._called(lambda: self._client.query(self._collection, **asked))[0]["count(*)"])

    def _all(self) -> Generator[StoredRow, None, None]:
        names = self._names
        asked = {"filter": self._where, "output_fields": [names.id, names.text, names.vector], "batch_size": BATCH}
        pages = self._called(lambda: self._client.query_iterator(self._collection, **asked))
        try:
            while page := self._called(pages.next):
                for row in page:
                    yield StoredRow(
                        str(row[names.id]), str(row.get(names.text) or ""), np.asarray(row[names.vector], np.float32)
                    )
        finally:
            pages.close()

    def _called(self, call: Any, *, asked: bool = False) -> Any:
        import grpc
        from pymilvus import MilvusException

        try:
            return call()
        except grpc.RpcError as failure:  # as which pymilvus hands on what the server's doorkeeper says
            code, said = failure.code(), access.shown(failure.details(), self._secrets)
            if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
                raise BadInput(
                    f"the store 'milvus': the server refused us ({said}); grant the user what it needs"
                ) from None
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                if asked:
                    raise self._timed_out() from None
                raise BadInput(
                    f"the store 'milvus': the server does not answer ({said} after {self._timeout_s:g} s); it hangs or "
                    f"is slow: see that it is well, mend ${self._url_env}, or raise timeout_s"
                ) from None
            if asked and code == grpc.StatusCode.UNAVAILABLE:
                raise CallFailed(f"the connection is lost ({said})") from None
            raise BadInput(f"the store 'milvus': {said}") from None
        except MilvusException as failure:
            said = access.shown(failure.message, self._secrets)
            if asked and re.search(r"deadline|timed? ?out", said, re.IGNORECASE):
                raise self._timed_out() from None
            if asked and ("UNAVAILABLE" in said or "connect" in said.lower()):
                raise CallFailed(f"the connection is lost ({said})") from None
            raise BadInput(f"the store 'milvus': {said}") from None


def _shortened(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= LONGEST else encoded[:LONGEST].decode("utf-8", "ignore")


plugin: type[Store] = MilvusStore
