"""Qdrant: its engine in this process (qdrant-edge), or a server by qdrant-client (not run against a real server).

A path or ":memory:" is refused: the client's own mode without a server is an imitation in Python, ten times slower.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import StoredRow, Vectors
from ragprof.core.clock import now_ns, sleep
from ragprof.core.errors import BadInput
from ragprof.core.stages import Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.existing import check_metric, no_place
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import TIMEOUT_S, Batch, DatabaseStore, Hits, Seconds
from ragprof.parts.http.calls import CallFailed

Codes: TypeAlias = Literal["none", "int8", "binary"]
TEXT = "content"
FULL_SCAN_KB, INDEXED_KB = 10, 100
"""Smaller sets would get no index, and would be scanned though there is one."""
BATCH = 1000
INDEXED_WITHIN_S = 3600.0
DISTANCES: Mapping[Metric, str] = {"inner_product": "Dot", "cosine": "Cosine", "l2": "Euclid"}


class QdrantStore(DatabaseStore):
    """HNSW, or an exact scan with `index = "none"`; `quantisation` keeps codes beside the vectors.

    `ef_search` candidates are kept while searching, at least as many as the depth. With codes, `rescore` times the
    depth are compared again by their whole vectors; 0 leaves it at the codes. `url_env` names the environment variable
    with a server's address, `api_key_env` that of its key. With `collection` one that exists is opened and only
    read: `id` is the payload that holds the document's id (empty: the point's own), `text` that of its text, `vector`
    the name of the vector, `where` the payloads that a point must have.
    """

    name = "qdrant"
    search_knobs = ("ef_search", "rescore")

    def __init__(
        self,
        url_env: str = "",
        api_key_env: str = "",
        index: Literal["none", "hnsw"] = "hnsw",
        quantisation: Codes = "none",
        metric: Metric | None = None,
        timeout_s: Seconds = TIMEOUT_S,
        m: Annotated[int, Field(ge=4)] = 16,
        ef_construction: Annotated[int, Field(ge=4)] = 100,
        ef_search: PositiveInt = 64,
        rescore: Annotated[int, Field(ge=0)] = 4,
        collection: str = "",
        id: str = "",
        text: str = TEXT,
        vector: str = "",
        where: dict[str, str | int | bool] | None = None,
    ) -> None:
        super().__init__(locals())
        access.need("qdrant", "qdrant_client" if url_env else "qdrant_edge")
        if collection and not url_env:
            raise BadInput("the store 'qdrant': a collection that exists is on a server; name its address in url_env")
        self._url_env, self._key_env = url_env, api_key_env
        self._index, self._quantisation, self._m, self._ef_construction = index, quantisation, m, ef_construction
        self._ef_search, self._rescore = ef_search, rescore
        self.is_existing = bool(collection)
        self.metric = metric or "inner_product"
        self._asked_metric = metric
        self._columns, self._where = (id, text, vector), where or {}
        self._collection = collection
        self._engine: _Engine | None = None
        self._lends = True

    @property
    def identity(self) -> str | None:
        if self.is_existing:
            return None
        built = "exact" if self._index == "none" else f"hnsw m={self._m} ef_construction={self._ef_construction}"
        codes = "" if self._quantisation == "none" else f" {self._quantisation} rescore={self._rescore}"
        asked = "" if self._index == "none" else f" ef_search={self._ef_search}"
        return f"qdrant {built}{codes} {self.metric}{asked}"

    @property
    def remote(self) -> bool:
        """Whether its server is another machine's."""
        return bool(self._url_env) and access.is_elsewhere(self._url_env)

    @property
    def engine(self) -> str:
        if self._url_env:
            told = "" if self._engine is None else f" on {self._engine.version}"
            return f"qdrant-client {version('qdrant-client')} query_points{told}"
        return f"qdrant-edge-py {version('qdrant-edge-py')} EdgeShard.query, in this process"

    @property
    def precision(self) -> str:  # type: ignore[override]
        if self._quantisation == "none":
            return "float32"
        again = f", re-ranked in float32 from {self._rescore} times the depth" if self._rescore else ""
        return f"{'int8' if self._quantisation == 'int8' else 'bits'}{again}"

    @property
    def index_bytes(self) -> int:
        """What its files take on disk; of a server, which does not tell, the vectors and their codes (an estimate)."""
        return 0 if self._engine is None or not self._docs else self._engine.size(self._width, self._quantisation)

    def load(self) -> None:
        if self._engine is not None:
            return
        if not self._url_env:
            self._engine = _Edge()
            return
        server = _Server(self._url_env, self._key_env, self._timeout_s)
        if self.is_existing:
            metric, self._width = server.open(self._collection, self._columns[2], self._where)
            check_metric("qdrant", self._collection, asked=self._asked_metric, found=metric)
            self.metric = metric
        else:
            server.sweep()
        self._engine = server

    def _give_back(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None and self._lends:
            engine.drop(keep=self.is_existing)

    def _fill(self, batch: Batch) -> None:
        engine = self._loaded
        engine.create(batch.vectors.shape[1], self)
        engine.put(batch)
        for field in batch.labels:
            engine.index_field(field)
        engine.build()

    def await_index(self) -> None:
        if not self.is_existing and self._index != "none":
            self._loaded.await_index()

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        exact = self._index == "none" and not self.is_existing
        found = self._loaded.nearest(
            np.asarray(vector, np.float32).tolist(),
            depth,
            where,
            ef=None if exact else max(self._ef_search, depth),
            oversampling=float(self._rescore) if self._quantisation != "none" else None,
        )
        sign = -1.0 if self.metric == "l2" else 1.0
        if self.is_existing:
            return [(_id_of(point, self._columns[0]), sign * point.score) for point in found]
        return [(point.id, sign * point.score) for point in found]

    def _reconnect(self) -> None:
        self._loaded.reconnect()

    @property
    def can_reopen(self) -> bool:
        return not self._url_env

    def shut(self) -> Path:
        return self._engine.shut() if isinstance(self._engine, _Edge) else super().shut()

    def open_again(self) -> None:
        if isinstance(self._engine, _Edge):
            self._engine.open_again()

    def _take_out(self, numbers: Sequence[int]) -> None:
        self._loaded.take_out(numbers)

    def _put_in(self, batch: Batch) -> None:
        self._loaded.put(batch)

    def _share(self, other: DatabaseStore) -> None:
        super()._share(other)
        if isinstance(other, QdrantStore):
            self._engine, self.metric, self._lends = other._engine, other.metric, False

    def _count(self) -> int:
        return self._loaded.count()

    def _all(self) -> Generator[StoredRow, None, None]:
        key, text, name = self._columns
        for point in self._loaded.scroll():
            found = point.vector.get(name) if isinstance(point.vector, Mapping) else point.vector
            if found is not None:
                content = str((point.payload or {}).get(text, ""))
                yield StoredRow(_id_of(point, key), content, np.asarray(found, np.float32))

    @property
    def _loaded(self) -> _Engine:
        if self._engine is None:
            raise BadInput("the store 'qdrant' is closed; fill it again")
        return self._engine

    @property
    def built_with(self) -> tuple[str, Codes, int, int]:
        """Distance, codes, neighbours (0: no graph) and candidates while building."""
        return (
            DISTANCES[self.metric],
            self._quantisation,
            0 if self._index == "none" else self._m,
            self._ef_construction,
        )


def _id_of(point: Any, field: str) -> str:
    return str(point.id if not field else (point.payload or {}).get(field, point.id))


class _Engine(Protocol):
    """Where the points are."""

    version: str

    def create(self, width: int, store: QdrantStore) -> None: ...

    def put(self, batch: Batch) -> None: ...

    def index_field(self, field: str) -> None: ...

    def build(self) -> None: ...

    def await_index(self) -> None: ...

    def nearest(
        self, vector: list[float], depth: int, where: Mapping[str, str], *, ef: int | None, oversampling: float | None
    ) -> Sequence[Any]: ...

    def take_out(self, numbers: Sequence[int]) -> None: ...

    def reconnect(self) -> None: ...

    def count(self) -> int: ...

    def scroll(self) -> Iterator[Any]: ...

    def size(self, width: int, codes: Codes) -> int: ...

    def drop(self, *, keep: bool) -> None: ...


class _Edge:
    """A shard in a folder of ours."""

    version = "qdrant-edge"

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._shard: Any = None

    def create(self, width: int, store: QdrantStore) -> None:
        import qdrant_edge as edge

        self.drop(keep=False)
        distance, codes, m, ef_construction = store.built_with
        self._folder = claims.own_folder()
        quantised: Any = None
        if codes == "int8":
            quantised = edge.ScalarQuantizationConfig(type=edge.ScalarType.Int8, always_ram=True)
        elif codes == "binary":
            quantised = edge.BinaryQuantizationConfig(always_ram=True)
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=width, distance=getattr(edge.Distance, distance)),
            hnsw_config=edge.HnswIndexConfig(m=m, ef_construct=ef_construction, full_scan_threshold=FULL_SCAN_KB),
            quantization_config=quantised,
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=INDEXED_KB, default_segment_number=1),
        )
        place = self._folder / "shard"
        place.mkdir()
        self._shard = edge.EdgeShard.create(str(place), config)

    def put(self, batch: Batch) -> None:
        import qdrant_edge as edge

        for start in range(0, len(batch.numbers), BATCH):
            some = slice(start, start + BATCH)
            payloads = _payloads(batch, some)
            points = [
                edge.Point(number, vector, payload)
                for number, vector, payload in zip(
                    batch.numbers[some], batch.vectors[some].tolist(), payloads, strict=True
                )
            ]
            self._shard.update(edge.UpdateOperation.upsert_points(points))

    def index_field(self, field: str) -> None:
        import qdrant_edge as edge

        self._shard.update(edge.UpdateOperation.create_field_index(field, edge.PayloadSchemaType.Keyword))

    def build(self) -> None:
        """The graph is built here and nowhere else."""
        self._shard.optimize()
        self._shard.flush()

    def await_index(self) -> None:
        """It is there already."""

    def nearest(
        self, vector: list[float], depth: int, where: Mapping[str, str], *, ef: int | None, oversampling: float | None
    ) -> Sequence[Any]:
        import qdrant_edge as edge

        must: list[Any] = [
            edge.FieldCondition(key=field, match=edge.MatchValue(value)) for field, value in where.items()
        ]
        codes = (
            None
            if oversampling is None
            else edge.QuantizationSearchParams(rescore=oversampling > 0, oversampling=oversampling or None)
        )
        request = edge.QueryRequest(
            limit=depth,
            query=edge.Query.Nearest(vector),
            filter=edge.Filter(must=must) if must else None,
            with_payload=True,
            params=edge.SearchParams(hnsw_ef=ef, exact=ef is None, quantization=codes),
        )
        found: Sequence[Any] = self._shard.query(request)
        return found

    def take_out(self, numbers: Sequence[int]) -> None:
        import qdrant_edge as edge

        self._shard.update(edge.UpdateOperation.delete_points(list(numbers)))

    def reconnect(self) -> None:
        """There is no connection that could be lost."""

    def shut(self) -> Path:
        if self._folder is None or self._shard is None:
            raise BadInput("the store 'qdrant' is closed; fill it again")
        self._shard.flush()
        self._shard.close()
        self._shard = None
        return self._folder

    def open_again(self) -> None:
        import qdrant_edge as edge

        if self._shard is None and self._folder is not None:
            self._shard = edge.EdgeShard.load(str(self._folder / "shard"))

    def count(self) -> int:
        return int(self._shard.info().points_count)

    def scroll(self) -> Iterator[Any]:
        return iter(())

    def size(self, width: int, codes: Codes) -> int:
        if self._folder is None:
            return 0
        self._shard.flush()
        return sum(512 * path.stat().st_blocks for path in self._folder.rglob("*") if path.is_file())

    def drop(self, *, keep: bool) -> None:
        import shutil

        if self._shard is not None:
            self._shard.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._shard = self._folder = None


class _Server:
    """A server by its client, over HTTP."""

    def __init__(self, url_env: str, key_env: str, timeout_s: float) -> None:
        self._url_env, self._key_env, self._timeout_s = url_env, key_env, timeout_s
        self._collection, self._vector, self._filter = "", "", None
        self._secrets: list[str] = []
        self._client = self._connected()
        info = self._called(self._client.info, first=True)
        self.version = f"Qdrant {info.version}"

    def open(self, collection: str, vector: str, where: Mapping[str, str | int | bool]) -> tuple[Metric, int]:
        """Look at a collection that exists: its metric and dimensions. Raises BadInput for what is not there."""
        names = [each.name for each in self._called(self._client.get_collections, first=True).collections]
        if collection not in names:
            raise no_place("qdrant", "collection", collection, names)
        self._collection, self._vector = collection, vector
        self._filter = self._condition(where)
        kept = self._called(lambda: self._client.get_collection(collection), first=True).config.params.vectors
        named: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {"": kept}
        if vector not in named:
            raise BadInput(
                f"the store 'qdrant': the collection '{collection}' has no vector named '{vector}'; it has "
                f"{', '.join(repr(each) for each in sorted(named))}"
            )
        found = next(
            (metric for metric, word in DISTANCES.items() if word.lower() == named[vector].distance.value.lower()), None
        )
        if found is None:
            raise BadInput(
                f"the store 'qdrant': '{collection}' compares by {named[vector].distance.value}, not known here"
            )
        return found, int(named[vector].size)

    def create(self, width: int, store: QdrantStore) -> None:
        from qdrant_client import models

        self.drop(keep=False)
        self._client = self._connected()
        distance, codes, m, ef_construction = store.built_with
        quantised: Any = None
        if codes == "int8":
            int8 = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            quantised = models.ScalarQuantization(scalar=int8)
        elif codes == "binary":
            quantised = models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
        name = claims.own_name()
        self._called(
            lambda: self._client.create_collection(
                name,
                vectors_config=models.VectorParams(size=width, distance=models.Distance(distance)),
                hnsw_config=models.HnswConfigDiff(m=m, ef_construct=ef_construction, full_scan_threshold=FULL_SCAN_KB),
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=INDEXED_KB),
                quantization_config=quantised,
            )
        )
        self._collection, self._vector = name, ""

    def put(self, batch: Batch) -> None:
        from qdrant_client import models

        for start in range(0, len(batch.numbers), BATCH):
            some = slice(start, start + BATCH)
            points = models.Batch(
                ids=list(batch.numbers[some]), vectors=batch.vectors[some].tolist(), payloads=_payloads(batch, some)
            )
            self._called(lambda points=points: self._client.upsert(self._collection, points, wait=True))

    def index_field(self, field: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._called(lambda: self._client.create_payload_index(self._collection, field, "keyword", wait=True))

    def build(self) -> None:
        """The server builds while it is asked."""

    def await_index(self) -> None:
        """Wait until the collection is green."""
        start = now_ns()
        while self._called(lambda: self._client.get_collection(self._collection)).status != "green":
            if now_ns() - start > INDEXED_WITHIN_S * 1e9:
                raise BadInput(
                    f"the store 'qdrant': after {INDEXED_WITHIN_S / 60:.0f} minutes the server is still indexing; "
                    "look at its optimiser"
                )
            sleep(0.05)

    def nearest(
        self, vector: list[float], depth: int, where: Mapping[str, str], *, ef: int | None, oversampling: float | None
    ) -> Sequence[Any]:
        from qdrant_client import models

        codes = (
            None
            if oversampling is None
            else models.QuantizationSearchParams(rescore=oversampling > 0, oversampling=oversampling or None)
        )
        found: Sequence[Any] = self._called(
            lambda: self._client.query_points(
                self._collection,
                query=vector,
                using=self._vector or None,
                limit=depth,
                query_filter=self._filter or self._condition(where),
                with_payload=True,
                search_params=models.SearchParams(hnsw_ef=ef, exact=ef is None, quantization=codes),
            ),
            asked=True,
        ).points
        return found

    def take_out(self, numbers: Sequence[int]) -> None:
        from qdrant_client import models

        chosen = models.PointIdsList(points=list(numbers))
        self._called(lambda: self._client.delete(self._collection, chosen, wait=True))

    def reconnect(self) -> None:
        self._client = self._connected()

    def count(self) -> int:
        found = self._called(lambda: self._client.count(self._collection, count_filter=self._filter, exact=True))
        return int(found.count)

    def scroll(self) -> Iterator[Any]:
        offset: Any = None
        while True:
            points, offset = self._called(
                lambda offset=offset: self._client.scroll(
                    self._collection,
                    scroll_filter=self._filter,
                    limit=BATCH,
                    offset=offset,
                    with_payload=True,
                    with_vectors=[self._vector] if self._vector else True,
                )
            )
            yield from points
            if offset is None:
                return

    def size(self, width: int, codes: Codes) -> int:
        each = 4 * width + {"none": 0, "int8": width, "binary": width // 8}[codes]
        return self.count() * each

    def sweep(self) -> None:
        """Delete collections of ours whose process is gone."""
        names = [each.name for each in self._called(self._client.get_collections, first=True).collections]
        gone = [name for name in names if claims.is_left_over(name)]
        for name in gone:
            self._called(lambda name=name: self._client.delete_collection(name))
        claims.told_of("the collections", gone)

    def drop(self, *, keep: bool) -> None:
        if self._collection and not keep:
            self._called(lambda: self._client.delete_collection(self._collection))
        self._collection = ""
        self._client.close()

    def _condition(self, where: Mapping[str, str | int | bool]) -> Any:
        from qdrant_client import models

        must = [
            models.FieldCondition(key=field, match=models.MatchValue(value=value)) for field, value in where.items()
        ]
        return models.Filter(must=must) if must else None

    def _connected(self) -> Any:
        from qdrant_client import QdrantClient

        url = access.address(self._url_env, store="qdrant")
        key = access.address(self._key_env, store="qdrant") if self._key_env else None
        self._secrets = [url, *access.secrets_in(url), *([key] if key else [])]
        if not url.startswith(("http://", "https://")):
            raise BadInput(
                f"the store 'qdrant': ${self._url_env} must hold an address such as http://localhost:6333; a path or "
                "':memory:' is the client's imitation in Python, which is never timed: leave url_env out to have "
                "Qdrant's own engine in this process"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a key over plain HTTP, and a server of another version
            return QdrantClient(url=url, api_key=key, timeout=ceil(self._timeout_s), check_compatibility=False)

    def _called(self, call: Any, *, first: bool = False, asked: bool = False) -> Any:
        """What the client gives. A lost connection is CallFailed where it is asked a query, else BadInput."""
        from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

        try:
            return call()
        except UnexpectedResponse as failure:
            said = access.shown(failure.reason_phrase or failure, self._secrets)
            if failure.status_code in (401, 403):
                remedy = f"set the right key in ${self._key_env}" if self._key_env else "name its key in api_key_env"
                raise BadInput(f"the store 'qdrant': the server refused us ({failure.status_code}); {remedy}") from None
            if asked and failure.status_code >= 500:
                raise CallFailed(f"the server failed ({failure.status_code} {said})") from None
            detail = access.shown(
                failure.content.decode("utf-8", "replace") if failure.content else said, self._secrets
            )
            raise BadInput(f"the store 'qdrant': {failure.status_code} {detail}") from None
        except (ResponseHandlingException, ApiException, OSError) as failure:
            said = access.shown(failure, self._secrets)
            if asked and "timed out" in said:
                raise CallFailed(f"timed out: nothing came within {self._timeout_s:g} s", again=False) from None
            if asked:
                raise CallFailed(f"the connection is lost ({said})") from None
            if first:
                raise access.unreachable("qdrant", said, self._url_env) from None
            raise BadInput(
                f"the store 'qdrant': the server does not answer ({said}); see that it runs, then run again"
            ) from None


def _payloads(batch: Batch, some: slice) -> list[dict[str, str]]:
    payloads = [{TEXT: text} for text in batch.texts[some]]
    for field, values in batch.labels.items():
        for payload, value in zip(payloads, values[some], strict=True):
            payload[field] = value
    return payloads


plugin: type[Store] = QdrantStore
