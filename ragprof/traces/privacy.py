"""What OpenInference's environment variables hide of attributes that are written, in the words of its TraceConfig.

Of a hidden value either nothing is written or `__REDACTED__`, as OpenInference's own instrumentation does
(openinference-instrumentation 0.1, config.py). Hiding all outputs hides the texts of passages that were retrieved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ragprof.traces.attributes import REDACTED

PREFIX = "OPENINFERENCE_HIDE_"
WHOLE: Mapping[str, tuple[str, ...]] = {
    "INPUTS": ("input.value", "input.documents", "reranker.query", "reranker.input_documents", "embedding.embeddings",
               "gen_ai.retrieval.query.text", "llm.input_messages", "gen_ai.input.messages"),
    "OUTPUTS": ("output.value", "retrieval.documents", "reranker.output_documents", "llm.output_messages",
                "gen_ai.output.messages"),
    "INPUT_MESSAGES": ("llm.input_messages", "gen_ai.input.messages", "embedding.embeddings"),
    "OUTPUT_MESSAGES": ("llm.output_messages", "gen_ai.output.messages"),
    "INPUT_TEXT": ("llm.input_messages", "gen_ai.input.messages", "embedding.embeddings"),
    "OUTPUT_TEXT": ("llm.output_messages", "gen_ai.output.messages"),
    "EMBEDDINGS_TEXT": ("embedding.embeddings",),
    "RETRIEVAL_DOCUMENTS": ("retrieval.documents",),
}  # fmt: skip
"""Variable, without its beginning -> names, or beginnings of numbered names, whose texts it hides."""
TEXTS = ("value", "content", "text", "query", "messages", "metadata")
"""Last words of names that hold a text; ids and scores are none."""


def hidden(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the beginnings of the names whose texts are hidden by these environment variables."""
    return tuple(
        dict.fromkeys(
            name
            for variable, names in WHOLE.items()
            if environment.get(f"{PREFIX}{variable}", "").strip().lower() in ("1", "true", "yes", "on")
            for name in names
        )
    )


def shown(attributes: Iterable[tuple[str, Any]], beginnings: tuple[str, ...]) -> dict[str, Any]:
    """Return the attributes with `__REDACTED__` in place of the texts that are hidden."""
    return {
        name: REDACTED if beginnings and name.rpartition(".")[2] in TEXTS and name.startswith(beginnings) else value
        for name, value in attributes
    }
