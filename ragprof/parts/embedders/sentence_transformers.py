"""Any sentence-transformers model: packaged (all-MiniLM-L6-v2), a local folder, or a hub name."""

from __future__ import annotations

from collections.abc import Sequence

from ragprof.core import Embedded
from ragprof.core.stages import Embedder
from ragprof.parts.models.encoder import EncoderPart


class SentenceTransformersEmbedder(EncoderPart):
    """Vectors of a transformer encoder; `precision` auto is the format in which the model's weights are stored."""

    name = "sentence_transformers"

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        prompt = self._transformer.prompt("query")
        vectors, tokens = self._transformer.called([prompt + text for text in texts])
        return Embedded(vectors, {"texts": len(texts), "input_tokens": tokens})

    def embed_queries_untimed(self, texts: Sequence[str]) -> Embedded:
        return self._untimed(texts, self._transformer.prompt("query"))

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        return self._untimed(texts, self._transformer.prompt("document"))

    def _untimed(self, texts: Sequence[str], prompt: str) -> Embedded:
        vectors, tokens = self._transformer.vectors([prompt + text for text in texts])
        return Embedded(vectors, {"texts": len(texts), "input_tokens": tokens})


plugin: type[Embedder] = SentenceTransformersEmbedder
