"""What Elasticsearch and OpenSearch share: documents over HTTP as both speak it, and scores turned back into ours.

Their scores are never negative: an inner product d comes as d + 1, or 1 / (1 - d) below zero; a cosine c as
(1 + c) / 2; a distance r as 1 / (1 + r r). (Elastic: dense vector field type; OpenSearch: k-NN spaces.)
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, Literal
from urllib.parse import quote

import httpx2
import numpy as np

from ragprof.core import EmbeddedQuery, Found, Vectors
from ragprof.core.errors import BadInput
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import Batch, DatabaseStore, Hits
from ragprof.parts.http.calls import CallFailed, is_loopback

TIMEOUT_S = 60.0
BATCH = 500
SHORTEST_QUERY: dict[str, Any] = {"match_all": {}}


class SearchEngineStore(DatabaseStore):
    """kNN over HNSW, or every vector compared with `index = "none"`."""

    search_knobs = ("ef_search",)

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        url_env: str,
        api_key_env: str,
        index: Literal["none", "hnsw"],
        metric: Metric,
        m: int,
        ef_construction: int,
        ef_search: int,
    ) -> None:
        super().__init__(given)
        self._url_env, self._key_env, self._index = url_env, api_key_env, index
        self._m, self._ef_construction, self._ef_search = m, ef_construction, ef_search
        self.metric = metric
        self._client: httpx2.Client | None = None
        self._name, self._version, self._took_ms = "", "", 0
        self._secrets: list[str] = []
        self._lends = True

    @abstractmethod
    def _mapping(self, width: int) -> dict[str, Any]:
        """Settings and the field `embedding` of an index."""

    @abstractmethod
    def _nearest(self, vector: list[float], depth: int, chosen: list[dict[str, Any]]) -> dict[str, Any]:
        """The body of a search through the index."""

    @abstractmethod
    def _scanned(self, vector: list[float], chosen: list[dict[str, Any]]) -> dict[str, Any]:
        """The query that compares every vector, with the scores of the index."""

    @property
    def identity(self) -> str:
        built = "exact" if self._index == "none" else f"hnsw m={self._m} ef_construction={self._ef_construction}"
        asked = "" if self._index == "none" else f" ef_search={self._ef_search}"
        return f"{self.name} {built} {self.metric}{asked}"

    @property
    def engine(self) -> str:
        return f"{self.name} {self._version} _search over HTTP".replace("  ", " ")

    @property
    def index_bytes(self) -> int:
        """Of all its segments, as the server tells them."""
        if self._client is None or not self._name or not self._docs:
            return 0
        told = self._called("GET", f"/{self._name}/_stats/store")
        return int(told["_all"]["total"]["store"]["size_in_bytes"])

    def load(self) -> None:
        if self._client is not None:
            return
        try:
            self._connect()
            self._version = str(self._sent("GET", "/")["version"]["number"])
        except (BadInput, CallFailed) as failure:
            if self._client is not None:
                self._client.close()
            self._client = None
            if isinstance(failure, BadInput):
                raise
            raise BadInput(
                f"the store '{self.name}': the server does not answer ({failure.reason}); start it, or mend "
                f"${self._url_env}"
            ) from None
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
            base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(url)
        )

    def _give_back(self) -> None:
        client = self._client
        if client is None:
            return
        if self._lends:
            if self._name:
                self._called("DELETE", f"/{self._name}")
            client.close()
        self._client, self._name = None, ""

    def _fill(self, batch: Batch) -> None:
        if self._name:
            self._called("DELETE", f"/{self._name}")
        self._name = claims.own_name()
        body = self._mapping(batch.vectors.shape[1])
        fields = {"content": {"type": "text"}, **{field: {"type": "keyword"} for field in batch.labels}}
        body["mappings"]["properties"] |= fields
        self._called("PUT", f"/{self._name}", body)
        self._put_in(batch)
        if self._index != "none":
            self._called("POST", f"/{self._name}/_forcemerge?max_num_segments=1")

    def _put_in(self, batch: Batch) -> None:
        for start in range(0, len(batch.numbers), BATCH):
            lines = []
            for row in range(start, min(start + BATCH, len(batch.numbers))):
                labels = {field: values[row] for field, values in batch.labels.items()}
                document = {"content": batch.texts[row], "embedding": batch.vectors[row].tolist(), **labels}
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

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        asked = np.asarray(vector, np.float32).tolist()
        chosen: list[dict[str, Any]] = [{"term": {field: value}} for field, value in where.items()]
        body = {"query": self._scanned(asked, chosen)} if self._index == "none" else self._nearest(asked, depth, chosen)
        told = self._sent("POST", f"/{self._name}/_search", {"size": depth, "_source": ["content"], **body})
        self._took_ms = int(told["took"])
        return [(int(hit["_id"]), self._score(float(hit["_score"]))) for hit in told["hits"]["hits"]]

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
            self._lends = False

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
