"""Elasticsearch by its HTTP interface: kNN over HNSW, BM25 and both fused (not run against a real server)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from ragprof.core.stages import Store
from ragprof.parts.databases.existing import FieldNames
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import TIMEOUT_S, Seconds
from ragprof.parts.databases.search_engines import SHORTEST_QUERY, Body, Fusion, SearchEngineStore, Searching, Way

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

    `search` is by vectors (`knn`), by words (`bm25`), or `hybrid`: both, fused by the server, by ranks (`fusion` =
    "rrf") or by scores scaled to 0..1 ("linear"). With `index_name` an index that exists is opened and only read: `id`
    (empty: its own), `text` and `vector` name its fields, `where` the values that documents must have.
    """

    name = "elasticsearch"
    vector_type = "dense_vector"

    def __init__(
        self,
        url_env: str = "ELASTICSEARCH_URL",
        api_key_env: str = "",
        index: Literal["none", "hnsw"] = "hnsw",
        quantisation: Literal["none", "int8", "binary"] = "none",
        metric: Metric | None = None,
        timeout_s: Seconds = TIMEOUT_S,
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        ef_search: Annotated[int, Field(ge=1, le=10_000)] = 100,
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
        self._quantisation = quantisation

    @property
    def identity(self) -> str | None:
        of_search = super().identity
        return of_search if of_search is None or not self.needs_vectors else f"{of_search} {self._quantisation}"

    def _mapping(self, width: int) -> Body:
        field: Body = {"type": "dense_vector", "dims": width, "index": self._index != "none"}
        if self._index != "none":
            field["similarity"] = SIMILARITIES[self.metric]
            kind = KINDS[self._quantisation]
            field["index_options"] = {"type": kind, "m": self._m, "ef_construction": self._ef_construction}
        return {"mappings": {"properties": {"embedding": field}}}

    def _nearest(self, vector: list[float], depth: int, chosen: list[Body]) -> Body:
        kept = max(self._ef_search, depth)
        return {
            "knn": {
                "field": self._names.vector,
                "query_vector": vector,
                "k": depth,
                "num_candidates": kept,
                "filter": chosen,
            }
        }

    def _scanned(self, vector: list[float], chosen: list[Body]) -> Body:
        among = {"bool": {"filter": chosen}} if chosen else SHORTEST_QUERY
        source = SCRIPTS[self.metric].replace("embedding", self._names.vector)
        return {"script_score": {"query": among, "script": {"source": source, "params": {"q": vector}}}}

    def _fused(self, words: Body, vector: list[float], depth: int, chosen: list[Body]) -> Body:
        """By a retriever: rrf from 8.14 on, linear from 8.18 on."""
        how, window = self._searching, max(self._searching.window, depth)
        lexical = {"standard": {"query": {"bool": {"must": words, "filter": chosen}} if chosen else words}}
        if self._index == "none":
            semantic: Body = {"standard": {"query": self._scanned(vector, chosen)}}
        else:
            semantic = self._nearest(vector, window, chosen)
        if how.fusion == "rrf":
            return {
                "retriever": {
                    "rrf": {
                        "retrievers": [lexical, semantic],
                        "rank_window_size": window,
                        "rank_constant": how.rank_constant,
                    }
                }
            }
        weighed = [
            {"retriever": each, "weight": weight, "normalizer": "minmax"}
            for each, weight in ((lexical, 1 - how.vector_weight), (semantic, how.vector_weight))
        ]
        return {"retriever": {"linear": {"retrievers": weighed, "rank_window_size": window}}}

    def _described(self, field: Mapping[str, Any]) -> tuple[Metric | None, int, bool]:
        """Elasticsearch compares by cosine where nothing is said."""
        told = field.get("similarity", "cosine")
        metric = next((metric for metric, word in SIMILARITIES.items() if word == told), None)
        if told == "dot_product":  # of unit vectors, whose cosine it is
            metric = "cosine"
        return metric, int(field.get("dims", 0)), bool(field.get("index", True))

    @property
    def _hides_vectors(self) -> bool:
        numbers = [int(part) for part in self._version.split(".")[:2] if part.isdigit()]
        return numbers >= [9, 2]


plugin: type[Store] = ElasticsearchStore
