"""For tests: a bag of hashed words, normalised. Needs no weights, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from pydantic import PositiveInt

from ragprof.core import Embedded
from ragprof.core.stages import Embedder
from ragprof.parts.words import words


class HashingEmbedder:
    """Counts of words, each hashed into one of `dimensions` places."""

    zeros_are_unknown = True

    def __init__(self, dimensions: PositiveInt = 256) -> None:
        self._dimensions = dimensions

    @property
    def identity(self) -> str:
        return f"hashing {self._dimensions}"

    def load(self) -> None:
        """Nothing to load."""

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        return self._embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Embedded:
        vectors = np.zeros((len(texts), self._dimensions), np.float32)
        tokens = 0
        for row, text in enumerate(texts):
            found = words(text)
            tokens += len(found)
            for word in found:
                vectors[row, crc32(word.encode()) % self._dimensions] += 1.0
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embedded(vectors / np.maximum(norms, 1e-12), {"texts": len(texts), "input_tokens": tokens})


plugin: type[Embedder] = HashingEmbedder
