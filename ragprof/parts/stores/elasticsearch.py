"""Elasticsearch by its HTTP interface: kNN over HNSW, whole, as int8 or as bits (not run against a real server)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from ragprof.core.stages import Store
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.search_engines import SHORTEST_QUERY, SearchEngineStore

SIMILARITIES: Mapping[Metric, str] = {"inner_product": "max_inner_product", "cosine": "cosine", "l2": "l2_norm"}
SCRIPTS: Mapping[Metric, str] = {
    "inner_product": "double d = dotProduct(params.q, 'embedding'); return d < 0 ? 1 / (1 - d) : d + 1;",
    "cosine": "(1.0 + cosineSimilarity(params.q, 'embedding')) / 2",
    "l2": "double r = l2norm(params.q, 'embedding'); return 1 / (1 + r * r);",
}
KINDS = {"none": "hnsw", "int8": "int8_hnsw", "binary": "bbq_hnsw"}


class ElasticsearchStore(SearchEngineStore):
    """`ef_search` candidates a shard (`num_candidates`), at least the depth; `quantisation` is that of the index.

    `url_env` names the environment variable with the address, `api_key_env` that of an API key.
    """

    name = "elasticsearch"

    def __init__(
        self,
        url_env: str = "ELASTICSEARCH_URL",
        api_key_env: str = "",
        index: Literal["none", "hnsw"] = "hnsw",
        quantisation: Literal["none", "int8", "binary"] = "none",
        metric: Metric = "inner_product",
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        ef_search: Annotated[int, Field(ge=1, le=10_000)] = 100,
    ) -> None:
        super().__init__(
            locals(), url_env=url_env, api_key_env=api_key_env, index=index, metric=metric, m=m,
            ef_construction=ef_construction, ef_search=ef_search,
        )  # fmt: skip
        self._quantisation = quantisation

    @property
    def identity(self) -> str:
        return f"{super().identity} {self._quantisation}"

    def _mapping(self, width: int) -> dict[str, Any]:
        field: dict[str, Any] = {"type": "dense_vector", "dims": width, "index": self._index != "none"}
        if self._index != "none":
            field["similarity"] = SIMILARITIES[self.metric]
            kind = KINDS[self._quantisation]
            field["index_options"] = {"type": kind, "m": self._m, "ef_construction": self._ef_construction}
        return {"mappings": {"properties": {"embedding": field}}}

    def _nearest(self, vector: list[float], depth: int, chosen: list[dict[str, Any]]) -> dict[str, Any]:
        kept = max(self._ef_search, depth)
        return {
            "knn": {"field": "embedding", "query_vector": vector, "k": depth, "num_candidates": kept, "filter": chosen}
        }

    def _scanned(self, vector: list[float], chosen: list[dict[str, Any]]) -> dict[str, Any]:
        among = {"bool": {"filter": chosen}} if chosen else SHORTEST_QUERY
        return {"script_score": {"query": among, "script": {"source": SCRIPTS[self.metric], "params": {"q": vector}}}}


plugin: type[Store] = ElasticsearchStore
