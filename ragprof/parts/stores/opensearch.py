"""OpenSearch by its HTTP interface: kNN over HNSW, BM25 and both fused (not run against a real server)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from ragprof.core.stages import Store
from ragprof.parts.databases.existing import FieldNames
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import TIMEOUT_S, Seconds
from ragprof.parts.databases.search_engines import SHORTEST_QUERY, Body, Fusion, SearchEngineStore, Searching, Way

SPACES: Mapping[Metric, str] = {"inner_product": "innerproduct", "cosine": "cosinesimil", "l2": "l2"}


class OpensearchStore(SearchEngineStore):
    """`ef_search` candidates are kept while searching, at least the depth; `library` builds the graph.

    `url_env` names the environment variable with the address, in which user and password may stand.

    `search` is by vectors (`knn`), by words (`bm25`), or `hybrid`: both, fused by the server, by ranks (`fusion` =
    "rrf") or by scores scaled to 0..1 ("linear"). With `index_name` an index that exists is opened and only read: `id`
    (empty: its own), `text` and `vector` name its fields, `where` the values that documents must have.
    """

    name = "opensearch"
    vector_type = "knn_vector"

    def __init__(
        self,
        url_env: str = "OPENSEARCH_URL",
        api_key_env: str = "",
        index: Literal["none", "hnsw"] = "hnsw",
        library: Literal["faiss", "lucene"] = "faiss",
        metric: Metric | None = None,
        timeout_s: Seconds = TIMEOUT_S,
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        ef_search: PositiveInt = 100,
        search: Way = "knn",
        fusion: Fusion = "rrf",
        window: PositiveInt = 100,
        rank_constant: PositiveInt = 60,
        vector_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
        analyzer: str = "standard",
        index_name: str = "",
        id: str = "",
        text: str = "content",
        vector: str = "embedding",
        where: dict[str, str | int | bool] | None = None,
    ) -> None:
        super().__init__(
            locals(), url_env=url_env, api_key_env=api_key_env, index=index, metric=metric, m=m,
            ef_construction=ef_construction, ef_search=ef_search, analyzer=analyzer,
            searching=Searching(search, fusion, window, rank_constant, vector_weight),
            names=FieldNames(index_name, id, text, vector), where=where,
        )  # fmt: skip
        self._library = library

    @property
    def identity(self) -> str | None:
        of_search = super().identity
        return of_search if of_search is None or not self.needs_vectors else f"{of_search} {self._library}"

    def _mapping(self, width: int) -> Body:
        field: Body = {"type": "knn_vector", "dimension": width}
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

    def _nearest(self, vector: list[float], depth: int, chosen: list[Body]) -> Body:
        asked: Body = {"vector": vector, "k": depth}
        asked["method_parameters"] = {"ef_search": max(self._ef_search, depth)}
        if chosen:
            asked["filter"] = {"bool": {"filter": chosen}}
        return {"query": {"knn": {self._names.vector: asked}}}

    def _scanned(self, vector: list[float], chosen: list[Body]) -> Body:
        """By the plugin's own script, which tells a cosine c as 1 + c."""
        script = {
            "lang": "knn",
            "source": "knn_score",
            "params": {"field": self._names.vector, "query_value": vector, "space_type": SPACES[self.metric]},
        }
        among = {"bool": {"filter": chosen}} if chosen else SHORTEST_QUERY
        return {"script_score": {"query": among, "script": script}}

    def _fused(self, words: Body, vector: list[float], depth: int, chosen: list[Body]) -> Body:
        """By a pipeline that goes with the search: scores from 2.11 on, ranks from 2.19 on; nothing is stored."""
        how, window = self._searching, max(self._searching.window, depth)
        lexical = {"bool": {"must": words, "filter": chosen}} if chosen else words
        if self._index == "none":
            semantic = self._scanned(vector, chosen)
        else:
            semantic = self._nearest(vector, window, chosen)["query"]
        processor: Body = {
            "normalization-processor": {
                "normalization": {"technique": "min_max"},
                "combination": {
                    "technique": "arithmetic_mean",
                    "parameters": {"weights": [1 - how.vector_weight, how.vector_weight]},
                },
            }
        }
        if how.fusion == "rrf":
            combination = {"technique": "rrf", "rank_constant": how.rank_constant}
            processor = {"score-ranker-processor": {"combination": combination}}
        return {
            "query": {"hybrid": {"queries": [lexical, semantic], "pagination_depth": window}},
            "search_pipeline": {"phase_results_processors": [processor]},
        }

    def _described(self, field: Mapping[str, Any]) -> tuple[Metric | None, int, bool]:
        """OpenSearch compares by Euclidean distance where nothing is said; without a method there may be no graph."""
        method = field.get("method", {})
        told = str(method.get("space_type") or field.get("space_type") or "l2").lower()
        metric = next((metric for metric, word in SPACES.items() if word == told), None)
        return metric, int(field.get("dimension", 0)), bool(method or field.get("space_type") or field.get("mode"))

    def _score(self, told: float) -> float:
        scanned_cosine = self.metric == "cosine" and self._index == "none"
        return told - 1 if scanned_cosine else super()._score(told)


plugin: type[Store] = OpensearchStore
