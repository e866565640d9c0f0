"""A second, better embedder as reranker: cosine of query and candidate, each encoded live."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import PositiveInt

from ragprof.core import Doc, PairLength, Query, Scored, Vectors
from ragprof.parts.models.encoder import Precision, Transformer, lengths_apart, library, windows_apart
from ragprof.parts.models.places import PACKAGED_MINILM


class BiEncoderReranker:
    """Useful behind a cheap retriever (BM25, static vectors); the same model behind itself changes nothing."""

    pointwise = True

    def __init__(
        self, model: str = PACKAGED_MINILM, *, precision: Precision = "auto", max_tokens: PositiveInt | None = None
    ) -> None:
        self._transformer = Transformer(model, precision=precision, max_tokens=max_tokens)

    @property
    def identity(self) -> str:
        return f"bi_encoder {self._transformer.identity}"

    def load(self) -> None:
        self._transformer.load()

    @property
    def engine(self) -> str:
        return f"{library()} SentenceTransformer.encode"

    @property
    def precision(self) -> str:
        return self._transformer.precision

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

    @property
    def max_tokens(self) -> int:
        return self._transformer.max_tokens

    def lengths(self, pairs: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
        return lengths_apart(self._transformer, pairs)

    def windows(self, query: Query, doc: Doc) -> list[Doc]:
        return windows_apart(self._transformer, doc)


plugin = BiEncoderReranker
