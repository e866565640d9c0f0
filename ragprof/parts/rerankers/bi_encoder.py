"""A second, better embedder as reranker: cosine of query and candidate, each encoded live."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragprof.core import Doc, Query, Scored, Vectors
from ragprof.core.stages import Reranker
from ragprof.parts.models.encoder import EncoderReranker


class BiEncoderReranker(EncoderReranker):
    """Useful behind a cheap retriever (BM25, static vectors); the same model behind itself changes nothing."""

    name = "bi_encoder"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return self._scored(query, docs, self._transformer.called)

    def score_untimed(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return self._scored(query, docs, self._transformer.vectors)

    def _scored(
        self, query: Query, docs: Sequence[Doc], encode: Callable[[Sequence[str]], tuple[Vectors, int]]
    ) -> Scored:
        asked, query_tokens = encode([self._transformer.prompt("query") + query.text])
        prompt = self._transformer.prompt("document")
        found, doc_tokens = encode([prompt + doc.content for doc in docs])
        usage = {"requests": 1, "docs_scored": len(docs), "input_tokens": query_tokens + doc_tokens}
        return Scored(tuple((found @ asked[0]).tolist()), usage)


plugin: type[Reranker] = BiEncoderReranker
