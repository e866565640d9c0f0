"""What a test of the endpoint asks: a question, five documents, and the scores that they deserve."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ragprof.core import Doc, Query
from ragprof.parts.rerankers.rerank_api import RerankApiReranker

Asked: TypeAlias = Callable[..., RerankApiReranker]
DIALECTS = ("cohere", "jina", "voyage", "tei", "vllm")
QUERY = Query("q", "red fox in snow")
TEXTS = ("red barn", "a fox sleeps", "red fox in deep snow", "blue whale", "snow and a red fox")
DOCS = tuple(Doc(f"d{number}", "", text, f"d{number}") for number, text in enumerate(TEXTS))
SCORES = (0.25, 0.25, 1.0, 0.0, 0.75)
TOKENS = 37  # 4 words of the query for each of 5 documents, and 17 words of theirs
