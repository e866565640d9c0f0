"""A pipeline of haystack-ai over the passages, with components that need no weights. Loaded by tests that need it."""

from __future__ import annotations

from typing import Any

from haystack import Document, Pipeline, component
from haystack.components.builders import PromptBuilder
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from passages import DOCS, EMBEDDER

TEMPLATE = "{% for page in documents %}{{ page.content }}\n{% endfor %}{{ question }}"


@component
class HashingEmbedder:
    """An embedder that needs no weights."""

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        return {"embedding": EMBEDDER.embed_queries([text]).vectors[0].tolist()}


@component
class BackwardsRanker:
    """Turns the order round and keeps two."""

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        return {"documents": documents[::-1][:2]}


@component
class EchoGenerator:
    """Answers with the first words of its prompt."""

    @component.output_types(replies=list[str], meta=list[dict[str, Any]])
    def run(self, prompt: str) -> dict[str, Any]:
        words = prompt.split()
        usage = {"prompt_tokens": len(words), "completion_tokens": 3}
        return {"replies": [" ".join(words[:3])], "meta": [{"usage": usage}]}


@component
class StreamingGenerator:
    """Calls back with every piece."""

    def __init__(self, streaming_callback: Any) -> None:
        self.streaming_callback = streaming_callback

    @component.output_types(replies=list[str])
    def run(self, prompt: str) -> dict[str, Any]:
        for piece in ("twice", "a month"):
            self.streaming_callback(piece)
        return {"replies": ["twice a month"]}


def pipeline() -> Pipeline:
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    vectors = EMBEDDER.embed_documents([doc.content for doc in DOCS]).vectors.tolist()
    store.write_documents(
        [Document(content=doc.content, meta={"page": doc.doc_id}, embedding=row) for doc, row in zip(DOCS, vectors)]  # noqa: B905
    )
    made = Pipeline()
    made.add_component("embedder", HashingEmbedder())
    made.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=4))
    made.add_component("ranker", BackwardsRanker())
    made.add_component("builder", PromptBuilder(TEMPLATE, required_variables=["documents", "question"]))
    made.add_component("llm", EchoGenerator())
    made.connect("embedder.embedding", "retriever.query_embedding")
    made.connect("retriever.documents", "ranker.documents")
    made.connect("ranker.documents", "builder.documents")
    made.connect("builder.prompt", "llm.prompt")
    return made


def streaming(called_back: Any) -> Pipeline:
    """One generator alone, which calls back with every piece."""
    made = Pipeline()
    made.add_component("llm", StreamingGenerator(called_back))
    return made
