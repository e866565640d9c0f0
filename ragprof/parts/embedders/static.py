"""Static token vectors, averaged: the packaged wordllama weights, 256 dimensions, thousands of documents a second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragprof.core import Embedded
from ragprof.core.errors import MissingPackage
from ragprof.core.files import sha256_of
from ragprof.core.stages import Embedder
from ragprof.parts.models.encoder import library, tokens_read

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class StaticEmbedder:
    """Mean of the tokens' vectors, normalised; no attention, so no maximum length."""

    precision = "float32"
    zeros_are_unknown = True

    def __init__(self) -> None:
        spec = find_spec("wordllama")
        if spec is None or spec.origin is None:
            raise MissingPackage("the embedder 'static' needs wordllama's weights: pip install wordllama")
        self._folder = Path(spec.origin).parent

    @cached_property
    def identity(self) -> str:
        return f"static wordllama {sha256_of(self._folder / WEIGHTS)[:16]}"

    @property
    def engine(self) -> str:
        return f"{library()} SentenceTransformer.encode"

    @cached_property
    def _model(self) -> SentenceTransformer:
        from safetensors.numpy import load_file
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from tokenizers import Tokenizer

        weights = next(iter(load_file(self._folder / WEIGHTS).values())).astype(np.float32)
        tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        tokenizer.no_padding()
        return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").eval()

    def load(self) -> None:
        _ = self._model

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        if not texts:
            return self.embed_documents(texts)
        with tokens_read(self._model) as read:
            vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return Embedded(np.asarray(vectors, np.float32), {"texts": len(texts), "input_tokens": sum(read)})

    def embed_queries_untimed(self, texts: Sequence[str]) -> Embedded:
        return self.embed_documents(texts)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """All texts in one step: there is nothing to pad."""
        import torch

        if not texts:
            return Embedded(np.empty((0, 256), np.float32), {"texts": 0, "input_tokens": 0})
        with torch.inference_mode():
            features = self._model.preprocess(list(texts))
            tokens = int(features["input_ids"].numel())
            pooled = self._model(features)["sentence_embedding"]
            vectors = torch.nn.functional.normalize(pooled.float(), dim=1).numpy()
        return Embedded(vectors, {"texts": len(texts), "input_tokens": tokens})


plugin: type[Embedder] = StaticEmbedder
