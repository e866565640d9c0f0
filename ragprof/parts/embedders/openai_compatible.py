"""Any server with OpenAI's `/v1/embeddings`: OpenAI, Azure, vLLM, Text Embeddings Inference, Ollama."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt

from ragprof.core.stages import Embedder
from ragprof.parts.http.embedding import HostedEmbedder, Seconds, Similarity
from ragprof.parts.http.vectors import OPENAI_FORMATS, EmbedDialect, Encoding


class OpenAICompatibleEmbedder(HostedEmbedder):
    """`dialect` says who answers, which sets limits, key and address; what is sent is in `ragprof.parts.http.vectors`.

    The format has no field that tells queries from documents: models that want to know are told by prefixes.
    """

    def __init__(
        self,
        model: str,
        *,
        dialect: EmbedDialect = "openai",
        base_url: str | None = None,
        api_key_env: str | None = None,
        dimensions: PositiveInt | None = None,
        query_prefix: str = "",
        document_prefix: str = "",
        similarity: Similarity = "cosine",
        truncate: bool = True,
        max_tokens: PositiveInt | None = None,
        max_texts: PositiveInt | None = None,
        max_request_tokens: PositiveInt | None = None,
        encoding: Encoding | None = None,
        timeout_seconds: Seconds = 60.0,
        retries: NonNegativeInt = 4,
        concurrency: PositiveInt = 4,
    ) -> None:
        self.form = OPENAI_FORMATS[dialect]  # type: ignore[misc]  # this plugin alone speaks several formats
        super().__init__(
            model, base_url=base_url, api_key_env=api_key_env, dimensions=dimensions, query_prefix=query_prefix,
            document_prefix=document_prefix, similarity=similarity, truncate=truncate, max_tokens=max_tokens,
            max_texts=max_texts, max_request_tokens=max_request_tokens, encoding=encoding,
            timeout_seconds=timeout_seconds, retries=retries, concurrency=concurrency,
        )  # fmt: skip


plugin: type[Embedder] = OpenAICompatibleEmbedder
