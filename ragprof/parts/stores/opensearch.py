"""OpenSearch by its HTTP interface: kNN over HNSW of FAISS or Lucene (not run against a real server)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from ragprof.core.stages import Store
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.search_engines import SHORTEST_QUERY, SearchEngineStore

SPACES: Mapping[Metric, str] = {"inner_product": "innerproduct", "cosine": "cosinesimil", "l2": "l2"}


class OpensearchStore(SearchEngineStore):
    """`ef_search` candidates are kept while searching, at least the depth; `library` builds the graph.

    `url_env` names the environment variable with the address, in which user and password may stand.
    """

    name = "opensearch"

    def __init__(
        self,
        url_env: str = "OPENSEARCH_URL",
        api_key_env: str = "",
        index: Literal["none", "hnsw"] = "hnsw",
        library: Literal["faiss", "lucene"] = "faiss",
        metric: Metric = "inner_product",
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        ef_search: PositiveInt = 100,
    ) -> None:
        super().__init__(
            locals(), url_env=url_env, api_key_env=api_key_env, index=index, metric=metric, m=m,
            ef_construction=ef_construction, ef_search=ef_search,
        )  # fmt: skip
        self._library = library

    @property
    def identity(self) -> str:
        return f"{super().identity} {self._library}"

    def _mapping(self, width: int) -> dict[str, Any]:
        field: dict[str, Any] = {"type": "knn_vector", "dimension": width}
        if self._index != "none":
            field["method"] = {
                "name": "hnsw",
                "engine": self._library,
                "space_type": SPACES[self.metric],
                "parameters": {"m": self._m, "ef_construction": self._ef_construction},
            }
        return {
            "settings": {"index": {"knn": self._index != "none"}},
            "mappings": {"properties": {"embedding": field}},
        }

    def _nearest(self, vector: list[float], depth: int, chosen: list[dict[str, Any]]) -> dict[str, Any]:
        asked: dict[str, Any] = {"vector": vector, "k": depth}
        asked["method_parameters"] = {"ef_search": max(self._ef_search, depth)}
        if chosen:
            asked["filter"] = {"bool": {"filter": chosen}}
        return {"query": {"knn": {"embedding": asked}}}

    def _scanned(self, vector: list[float], chosen: list[dict[str, Any]]) -> dict[str, Any]:
        """By the plugin's own script, which tells a cosine c as 1 + c."""
        script = {
            "lang": "knn",
            "source": "knn_score",
            "params": {"field": "embedding", "query_value": vector, "space_type": SPACES[self.metric]},
        }
        among = {"bool": {"filter": chosen}} if chosen else SHORTEST_QUERY
        return {"script_score": {"query": among, "script": script}}

    def _score(self, told: float) -> float:
        scanned_cosine = self.metric == "cosine" and self._index == "none"
        return told - 1 if scanned_cosine else super()._score(told)


plugin: type[Store] = OpensearchStore
