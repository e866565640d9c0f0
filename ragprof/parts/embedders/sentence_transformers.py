"""Any sentence-transformers model: packaged (all-MiniLM-L6-v2), a local folder, or a hub name."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveInt

from ragprof.core import Embedded
from ragprof.parts.models.encoder import Precision, Transformer
from ragprof.parts.models.places import PACKAGED_MINILM


class SentenceTransformersEmbedder:
    """Vectors of a transformer encoder; `precision` auto is bfloat16 where the processor has it."""

    def __init__(
        self, model: str = PACKAGED_MINILM, *, precision: Precision = "auto", max_tokens: PositiveInt | None = None
    ) -> None:
        self._transformer = Transformer(model, precision=precision, max_tokens=max_tokens)

    @property
    def identity(self) -> str:
        return f"sentence_transformers {self._transformer.identity}"

    def load(self) -> None:
        self._transformer.load()

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        return self._embed(texts, self._transformer.prompt("document"))

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._embed(texts, self._transformer.prompt("query"))

    def _embed(self, texts: Sequence[str], prompt: str) -> Embedded:
        vectors, tokens = self._transformer.vectors([prompt + text for text in texts])
        return Embedded(vectors, {"texts": len(texts), "input_tokens": tokens})


plugin = SentenceTransformersEmbedder
