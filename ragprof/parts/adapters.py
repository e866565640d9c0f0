"""Any callable as a stage: what comes out of it is counted and checked, never cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ragprof.core import (
    DEFAULT_K,
    Doc,
    Embedded,
    EmbeddedQuery,
    Found,
    Generated,
    Injected,
    Query,
    Ranking,
    Scored,
    Vectors,
)
from ragprof.core.errors import BadInput
from ragprof.core.ranking import ranked
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter


class FunctionPart:
    """What all adapted callables share: no identity, so nothing they return is ever reused; nothing to load."""

    identity = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def _name(self) -> str:
        return getattr(self._function, "__name__", type(self._function).__name__)

    def load(self) -> None:
        """Nothing to load."""


class FunctionEmbedder(FunctionPart):
    """`function(texts) -> array of shape (texts, dimensions)`, for documents and queries alike."""

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        vectors = np.asarray(self._function(list(texts)), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise BadInput(
                f"embedder '{self._name}' gave shape {vectors.shape} for {len(texts)} texts; it owes one row a text"
            )
        return Embedded(vectors, {"texts": len(texts)})

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self.embed_documents(texts)


class FunctionStore(FunctionPart):
    """`function(question, depth) -> [(doc_id, score), ...]`: a retriever that has its own index."""

    needs_vectors = False
    index_bytes = 0

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._docs: dict[str, Doc] = {}

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        self._docs = {doc.doc_id: doc for doc in docs}

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        pairs: list[tuple[str, float]] = list(self._function(query.query.text, depth))
        returned = [doc_id for doc_id, _ in pairs]
        if len(set(returned)) < len(returned):
            twice = next(doc_id for doc_id in returned if returned.count(doc_id) > 1)
            raise BadInput(f"retriever '{self._name}' returned the document '{twice}' twice; give each one once")
        strange = next((doc_id for doc_id in returned if doc_id not in self._docs), None)
        if strange is not None:
            raise BadInput(f"retriever '{self._name}' returned the document '{strange}', which is not in the corpus")
        return Found(ranked((self._docs[doc_id], score) for doc_id, score in pairs)[:depth], {"searches": 1})


class FunctionReranker(FunctionPart):
    """`function(question, texts) -> one score a text`, higher is better."""

    pointwise = False

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        scores = tuple(float(score) for score in self._function(query.text, [doc.content for doc in docs]))
        if len(scores) != len(docs):
            raise BadInput(f"reranker '{self._name}' gave {len(scores)} scores for {len(docs)} documents")
        return Scored(scores, {"requests": 1, "docs_scored": len(docs)})


class FunctionGenerator(FunctionPart):
    """`function(prompt) -> answer`. Its tokens, its window and its time to first token are unknown."""

    context_tokens: int | None = None
    max_new_tokens = 0

    @property
    def model_name(self) -> str:
        return self._name

    def count_tokens(self, prompt: str) -> int:
        return counter(DEFAULT_TOKENIZER)(prompt)

    def generate(self, prompt: str) -> Generated:
        return Generated(str(self._function(prompt)), {"requests": 1, "retries": 0}, None, "stop")


class FunctionInjector(FunctionPart):
    """`function(question, texts) -> prompt`; all `k` best chunks are given to it."""

    def __init__(self, function: Callable[..., Any], k: int = DEFAULT_K) -> None:
        super().__init__(function)
        self.k = k

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        chosen = ranking[: self.k]
        prompt = str(self._function(query.text, [item.doc.content for item in chosen]))
        return Injected(prompt, chosen, {"docs_injected": len(chosen)})
