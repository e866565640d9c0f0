"""What Elasticsearch and OpenSearch share: documents over HTTP as both speak it, and scores turned back into ours.

Their scores are never negative: an inner product d comes as d + 1, or 1 / (1 - d) below zero; a cosine c as
(1 + c) / 2; a distance r as 1 / (1 + r r). (Elastic: dense vector field type; OpenSearch: k-NN spaces.) Scores of
BM25 and of a hybrid search are the server's own.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import quote

import httpx2
import numpy as np

from ragprof.core import Doc, EmbeddedQuery, Found, StoredRow, Vectors
from ragprof.core.clock import OwnTime
from ragprof.core.errors import BadInput
from ragprof.core.stages import Labels, Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.existing import FieldNames, check_fields, check_metric, said_to_scan
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import FIELD, Batch, DatabaseStore, Hits
from ragprof.parts.http.calls import CallFailed, is_loopback

BATCH = 500
OURS = FieldNames("", "", "content", "embedding")
SHORTEST_QUERY: dict[str, Any] = {"match_all": {}}


Fusion: TypeAlias = Literal["rrf", "linear"]
Way: TypeAlias = Literal["knn", "bm25", "hybrid"]
Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Searching:
    """How an index is asked: by vectors, by words, or by both, which the server fuses.

    Each half of a hybrid search finds `window` documents. `rrf` adds 1 / (rank_constant + rank); `linear` adds both
    scores, scaled to 0..1, the vectors' by `vector_weight` and the words' by the rest.
    """

    way: Way = "knn"
    fusion: Fusion = "rrf"
    window: int = 100
    rank_constant: int = 60
    vector_weight: float = 0.5


class SearchEngineStore(DatabaseStore):
    """kNN over HNSW, or every vector compared with `index = "none"`; BM25; or both, fused by the server."""

    vector_type: ClassVar[str]
    """Of the field that holds vectors, as a mapping calls it."""

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        url_env: str,
        api_key_env: str,
        index: Literal["none", "hnsw"],
        metric: Metric | None,
        m: int,
        ef_construction: int,
        ef_search: int,
        searching: Searching,
        analyzer: str,
        names: FieldNames,
        where: Mapping[str, str | int | bool] | None,
    ) -> None:
        super().__init__(given)
        self._url_env, self._key_env, self._index = url_env, api_key_env, index
        self._m, self._ef_construction, self._ef_search = m, ef_construction, ef_search
        self._asked_metric, self.metric = metric, metric or "inner_product"
        self._searching, self._analyzer = searching, analyzer
        self.is_existing = bool(names.place)
        if where and not self.is_existing:
            raise BadInput(f"the store '{self.name}': where chooses documents of an index that exists; name it")
        self._names, self._where = names if self.is_existing else OURS, where or {}
        self._client: httpx2.Client | None = None
        self._name, self._version, self._took_ms = names.place, "", 0
        self._secrets: list[str] = []
        self._lends = True

    @property
    def needs_vectors(self) -> bool:  # type: ignore[override]
        return self._searching.way != "bm25"

    @property
    def search_knobs(self) -> tuple[str, ...]:  # type: ignore[override]
        graph = ("ef_search",) if self.needs_vectors else ()
        fusion = {"rrf": ("window", "rank_constant"), "linear": ("window", "vector_weight")}[self._searching.fusion]
        return (*graph, *fusion) if self._searching.way == "hybrid" else graph

    @abstractmethod
    def _mapping(self, width: int) -> Body:
        """Settings and the field of vectors of an index."""

    @abstractmethod
    def _nearest(self, vector: list[float], depth: int, chosen: list[Body]) -> Body:
        """The body of a search through the index."""

    @abstractmethod
    def _scanned(self, vector: list[float], chosen: list[Body]) -> Body:
        """The query that compares every vector, with the scores of the index."""

    @abstractmethod
    def _fused(self, words: Body, vector: list[float], depth: int, chosen: list[Body]) -> Body:
        """The body of a hybrid search."""

    @abstractmethod
    def _described(self, field: Mapping[str, Any]) -> tuple[Metric | None, int, bool]:
        """Metric, dimensions and whether there is a graph, of a field of vectors; no metric for one unknown here."""

    @property
    def identity(self) -> str | None:
        if self.is_existing:
            return None
        how = self._searching
        words = f" analyzer={self._analyzer}"
        if how.way == "bm25":
            return f"{self.name} bm25{words}"
        built = "exact" if self._index == "none" else f"hnsw m={self._m} ef_construction={self._ef_construction}"
        asked = "" if self._index == "none" else f" ef_search={self._ef_search}"
        by_vectors = f"{self.name} {built} {self.metric}{asked}"
        if how.way == "knn":
            return by_vectors
        knob = f"rank_constant={how.rank_constant}" if how.fusion == "rrf" else f"vector_weight={how.vector_weight}"
        return f"{by_vectors} hybrid {how.fusion} window={how.window} {knob}{words}"

    @property
    def remote(self) -> bool:
        """Whether its server is another machine's."""
        return bool(self._url_env) and access.is_elsewhere(self._url_env)

    @property
    def engine(self) -> str:
        return f"{self.name} {self._version} _search over HTTP".replace("  ", " ")

    @property
    def index_bytes(self) -> int:
        """Of all its segments, as the server tells them."""
        if self._client is None or not self._name or not (self._docs or self.is_existing):
            return 0
        told = self._called("GET", f"/{self._name}/_stats/store")
        return int(told["_all"]["total"]["store"]["size_in_bytes"])

    def load(self) -> None:
        if self._client is not None:
            return
        try:
            self._connect()
            self._version = self._told_version()
        except (BadInput, CallFailed) as failure:
            if self._client is not None:
                self._client.close()
            self._client = None
            if isinstance(failure, BadInput):
                raise
            raise access.unreachable(self.name, failure.reason, self._url_env) from None
        if self.is_existing:
            self._open_index()
            return
        listed = self._called("GET", "/_cat/indices?format=json&h=index")
        gone = [each["index"] for each in listed if claims.is_left_over(each["index"])]
        for name in gone:
            self._called("DELETE", f"/{name}")
        claims.told_of("the indexes", gone)

    def _connect(self) -> None:
        url = access.address(self._url_env, store=self.name)
        key = access.address(self._key_env, store=self.name) if self._key_env else ""
        self._secrets = [url, *access.secrets_in(url), *([key] if key else [])]
        if not url.startswith(("http://", "https://")):
            raise BadInput(
                f"the store '{self.name}': ${self._url_env} must hold an address such as http://localhost:9200"
            )
        headers = {"User-Agent": "ragprof", **({"Authorization": f"ApiKey {key}"} if key else {})}
        self._client = httpx2.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=self._timeout_s, trust_env=not is_loopback(url)
        )

    def _give_back(self) -> None:
        client = self._client
        if client is None:
            return
        if self._lends:
            if self._name and not self.is_existing:
                self._called("DELETE", f"/{self._name}")
            client.close()
        self._client, self._name = None, self._names.place

    def _fill(self, batch: Batch) -> None:
        if self._name:
            self._called("DELETE", f"/{self._name}")
        self._name = claims.own_name()
        body = self._mapping(batch.vectors.shape[1]) if self.needs_vectors else {"mappings": {"properties": {}}}
        fields = {
            "content": {"type": "text", "analyzer": self._analyzer},
            **{field: {"type": "keyword"} for field in batch.labels},
        }
        body["mappings"]["properties"] |= fields
        self._called("PUT", f"/{self._name}", body)
        self._put_in(batch)
        if self._index != "none" and self.needs_vectors:
            self._called("POST", f"/{self._name}/_forcemerge?max_num_segments=1")

    def _put_in(self, batch: Batch) -> None:
        for start in range(0, len(batch.numbers), BATCH):
            lines = []
            for row in range(start, min(start + BATCH, len(batch.numbers))):
                labels = {field: values[row] for field, values in batch.labels.items()}
                document = {"content": batch.texts[row], **labels}
                if self.needs_vectors:
                    document["embedding"] = batch.vectors[row].tolist()
                lines += [json.dumps({"index": {"_id": str(batch.numbers[row])}}), json.dumps(document)]
            told = self._called("POST", f"/{self._name}/_bulk", "\n".join([*lines, ""]).encode())
            if told.get("errors"):
                failed = next(each["index"]["error"] for each in told["items"] if "error" in each["index"])
                raise BadInput(f"the store '{self.name}' could not be filled: {access.shown(failed, self._secrets)}")
        self._called("POST", f"/{self._name}/_refresh")  # nothing is found before

    def _take_out(self, numbers: Sequence[int]) -> None:
        lines = [json.dumps({"delete": {"_id": str(number)}}) for number in numbers]
        self._called("POST", f"/{self._name}/_bulk", "\n".join([*lines, ""]).encode())
        self._called("POST", f"/{self._name}/_refresh")

    def add_labelled(self, docs: Sequence[Doc], vectors: Vectors | None, labels: Labels) -> None:
        super().add_labelled(docs, vectors if self.needs_vectors else np.ones((len(docs), 1), np.float32), labels)

    def insert(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        super().insert(docs, vectors if self.needs_vectors else np.ones((len(docs), 1), np.float32))

    def exact(self) -> Store:
        """Of BM25 and of a fusion the store itself: what a fusion loses to its graph is not told apart."""
        return super().exact() if self._searching.way == "knn" else self

    def search_where(self, query: EmbeddedQuery, depth: int, where: Mapping[str, str]) -> Found:
        if self._searching.way == "knn":
            return super().search_where(query, depth, where)
        own = OwnTime()
        if self.needs_vectors and query.vector is None:
            raise BadInput(f"the store '{self.name}' got a query without a vector; give this pipeline an embedder")
        if not self._docs:
            return Found((), {"searches": 1})
        chosen = self._chosen({f"{FIELD}{field}": value for field, value in where.items()})
        words: Body = {"match": {self._names.text: query.query.text}}
        if query.vector is None or not self.needs_vectors or not query.vector.any():
            body: Body = {"query": {"bool": {"must": words, "filter": chosen}} if chosen else words}
        else:
            body = self._fused(words, np.asarray(query.vector, np.float32).tolist(), depth, chosen)
        return self._answered(lambda: self._found(body, depth), depth, own)

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        asked, chosen = np.asarray(vector, np.float32).tolist(), self._chosen(where)
        body = {"query": self._scanned(asked, chosen)} if self._index == "none" else self._nearest(asked, depth, chosen)
        return [(key, self._score(score)) for key, score in self._found(body, depth)]

    def _chosen(self, where: Mapping[str, str]) -> list[Body]:
        return [{"term": {field: value}} for field, value in (self._where or where).items()]

    def _found(self, body: Body, depth: int) -> Hits:
        names = self._names
        kept = [names.text, *([names.id] if names.id else [])]
        told = self._sent("POST", f"/{self._name}/_search", {"size": depth, "_source": kept, **body})
        self._took_ms = int(told["took"])
        hits = told["hits"]["hits"]
        if self.is_existing:
            return [(self._id_of(hit), float(hit["_score"])) for hit in hits]
        return [(int(hit["_id"]), float(hit["_score"])) for hit in hits]

    def _id_of(self, hit: Body) -> str:
        return str(hit["_source"].get(self._names.id, hit["_id"]) if self._names.id else hit["_id"])

    def _score(self, told: float) -> float:
        if self.metric == "inner_product":
            return told - 1 if told >= 1 else 1 - 1 / told
        if self.metric == "cosine":
            return 2 * told - 1
        return -sqrt(max(1 / told - 1, 0.0))

    def search_with_server_time(self, query: EmbeddedQuery, depth: int) -> Found:
        """As `search`, with `took`, which counts whole milliseconds."""
        found = self.search(query, depth)
        return Found(found.ranking, {**found.usage, "server_ns": self._took_ms * 1_000_000})

    def _reconnect(self) -> None:
        if self._client is not None:
            self._client.close()
        self._connect()
        self._sent("GET", "/")

    def _share(self, other: DatabaseStore) -> None:
        super()._share(other)
        if isinstance(other, SearchEngineStore):
            self._client, self._name, self._version = other._client, other._name, other._version
            self._index, self.metric = other._index, other.metric
            self._lends = False

    # An index that exists

    def _told_version(self) -> str:
        """Of an index that exists whoever may read it need not be allowed to ask."""
        try:
            return str(self._sent("GET", "/")["version"]["number"])
        except BadInput:
            if self.is_existing:
                return ""
            raise

    def _open_index(self) -> None:
        """Look at its fields. Raises BadInput for what is not there, or is of another type."""
        try:
            told = self._sent("GET", f"/{self._name}/_mapping")
        except (BadInput, CallFailed) as failure:
            if "index_not_found" in str(failure) or "no such index" in str(failure):
                raise BadInput(
                    f"the store '{self.name}': there is no index '{self._name}'; GET /_cat/indices lists them"
                ) from None
            raise BadInput(str(failure)) from None
        names = self._names
        fields = {key: kind for each in told.values() for key, kind in each["mappings"].get("properties", {}).items()}
        check_fields(self.name, names, fields, "text", *(["id"] if names.id else []))
        if names.vector not in fields and not self.needs_vectors:
            return
        check_fields(self.name, names, fields, "vector")
        kind = fields[names.vector]
        if kind.get("type") != self.vector_type:
            raise BadInput(
                f"the store '{self.name}': the field '{names.vector}' of '{self._name}' is of the type "
                f"{kind.get('type', 'object')}; vector names one of the type {self.vector_type}"
            )
        metric, self._width, has_graph = self._described(kind)
        if not has_graph:
            self._index = "none"
            self.metric = self._asked_metric or "cosine"
            if self.needs_vectors:
                said_to_scan(self.name, names)
            return
        if metric is None:
            raise BadInput(f"the store '{self.name}': '{self._name}' compares in a way that is not known here: {kind}")
        check_metric(self.name, self._name, asked=self._asked_metric, found=metric)
        self.metric = metric

    def _count(self) -> int:
        query = {"bool": {"filter": [*self._chosen({}), {"exists": {"field": self._names.vector}}]}}
        if not self.needs_vectors:
            query = {"bool": {"filter": self._chosen({})}} if self._where else dict(SHORTEST_QUERY)
        return int(self._called("POST", f"/{self._name}/_count", {"query": query})["count"])

    def _all(self) -> Generator[StoredRow, None, None]:
        """By a scroll, as of one moment; the right to read is enough for it."""
        names = self._names
        kept = [names.text, names.vector, *([names.id] if names.id else [])]
        source: Any = {"includes": kept, "exclude_vectors": False} if self._hides_vectors else kept
        query = {"bool": {"filter": self._chosen({})}} if self._where else SHORTEST_QUERY
        body = {"size": BATCH, "sort": ["_doc"], "_source": source, "query": query}
        told = self._called("POST", f"/{self._name}/_search?scroll=2m", body)
        try:
            while told["hits"]["hits"]:
                for hit in told["hits"]["hits"]:
                    vector = hit["_source"].get(names.vector)
                    if vector is not None or not self.needs_vectors:
                        text = str(hit["_source"].get(names.text) or "")
                        yield StoredRow(self._id_of(hit), text, np.asarray(vector or [0.0], np.float32))
                told = self._called("POST", "/_search/scroll", {"scroll": "2m", "scroll_id": told["_scroll_id"]})
        finally:
            self._called("DELETE", "/_search/scroll", {"scroll_id": told["_scroll_id"]})

    @property
    def _hides_vectors(self) -> bool:
        """Whether vectors are left out of what a search gives back: Elasticsearch from 9.2 on."""
        return False

    def _called(self, method: str, path: str, body: object = None) -> Any:
        """What the server answers, outside any search. Raises BadInput."""
        try:
            return self._sent(method, path, body)
        except CallFailed as failure:
            raise BadInput(f"the store '{self.name}': {failure.reason}; see that it runs, then run again") from None

    def _sent(self, method: str, path: str, body: object = None) -> Any:
        """Raises CallFailed where another attempt may succeed, BadInput where it cannot."""
        if self._client is None:
            raise BadInput(f"the store '{self.name}' is closed; fill it again")
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        try:
            told = self._client.request(method, quote(path, safe="/?&=_"), content=raw, headers={"Content-Type": kind})
        except httpx2.ReadTimeout:
            raise CallFailed(f"timed out: nothing came within {self._timeout_s:g} s", again=False) from None
        except httpx2.RequestError as failure:
            raise CallFailed(access.shown(f"{type(failure).__name__}: {failure}", self._secrets)) from None
        said = access.shown(told.text, self._secrets) if not told.is_success else ""
        if told.status_code in (401, 403):
            mend = f"the key in ${self._key_env}" if self._key_env else f"user and password in ${self._url_env}"
            raise BadInput(f"the store '{self.name}': the server refused us ({told.status_code}); mend {mend}")
        if told.status_code == 429 or told.status_code >= 500:
            raise CallFailed(f"the server failed ({told.status_code} {said})", status=told.status_code)
        if not told.is_success:
            raise BadInput(f"the store '{self.name}': {told.status_code} {said}")
        return told.json()
