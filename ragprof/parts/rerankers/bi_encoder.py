"""A second, better embedder as reranker: cosine of query and candidate, each encoded live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ragprof.core import Doc, Query, Scored, Vectors
from ragprof.core.stages import Reranker
from ragprof.parts.models.encoder import EncoderReranker, shared_out


class BiEncoderReranker(EncoderReranker):
    """Useful behind a cheap retriever (BM25, static vectors); the same model behind itself changes nothing."""

    name = "bi_encoder"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        asked, query_tokens = self._transformer.called([self._transformer.prompt("query") + query.text])
        prompt = self._transformer.prompt("document")
        found, doc_tokens = self._transformer.called([prompt + doc.content for doc in docs])
        usage = {"requests": 1, "docs_scored": len(docs), "input_tokens": query_tokens + doc_tokens}
        return Scored(tuple((found @ asked[0]).tolist()), usage)

    def score_together(self, asked: Sequence[tuple[Query, Sequence[Doc]]]) -> list[Scored]:
        """All queries in one call and all documents in another."""
        prompts = self._transformer.prompt("query"), self._transformer.prompt("document")
        queries, _ = self._transformer.called([prompts[0] + query.text for query, _ in asked])
        found, _ = self._transformer.called([prompts[1] + doc.content for _, docs in asked for doc in docs])
        scores: list[float] = []
        for vector, (_, docs) in zip(queries, asked, strict=True):
            scores += (found[len(scores) : len(scores) + len(docs)] @ vector).tolist()
        return shared_out(scores, [docs for _, docs in asked])

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
        """The scores of `score` within rounding; each distinct text is encoded once for all its pairs."""
        asked = self._once("query", [query.text for query, _ in pairs])
        found = self._once("document", [doc.content for _, doc in pairs])
        return [float(found[doc.content] @ asked[query.text]) for query, doc in pairs]

    def _once(self, purpose: Literal["query", "document"], texts: Sequence[str]) -> dict[str, Vectors]:
        distinct, prompt = list(dict.fromkeys(texts)), self._transformer.prompt(purpose)
        vectors, _ = self._transformer.vectors([prompt + text for text in distinct])
        return dict(zip(distinct, vectors, strict=True))


plugin: type[Reranker] = BiEncoderReranker
