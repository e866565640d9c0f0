"""An index of llama-index-core over the passages, with parts that need no weights. Loaded by tests that need it."""

from __future__ import annotations

from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from passages import DOCS, EMBEDDER


class Hashing(BaseEmbedding):
    """Embeddings that need no weights."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return EMBEDDER.embed_queries([text]).vectors[0].tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class Backwards(BaseNodePostprocessor):
    """A reranker that turns the order round and keeps two."""

    def _postprocess_nodes(self, nodes: list[Any], query_bundle: Any = None) -> list[Any]:
        return nodes[::-1][:2]


def index() -> VectorStoreIndex:
    documents = [Document(text=doc.content, doc_id=doc.doc_id) for doc in DOCS]
    return VectorStoreIndex.from_documents(documents, embed_model=Hashing())


def engine(documents: VectorStoreIndex) -> RetrieverQueryEngine:
    """Four passages, two of them kept, an answer of a model that says its prompt again."""
    return RetrieverQueryEngine.from_args(
        documents.as_retriever(similarity_top_k=4), llm=MockLLM(max_tokens=8), node_postprocessors=[Backwards()]
    )


def streaming(documents: VectorStoreIndex) -> Any:
    return documents.as_query_engine(llm=MockLLM(max_tokens=8), streaming=True, similarity_top_k=2)
