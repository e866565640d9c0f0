"""For tests: no model; the sentence of the prompt's passages that shares most words with the question."""

from __future__ import annotations

import re

from pydantic import PositiveInt

from ragprof.core import Generated
from ragprof.core.clock import now_ns
from ragprof.core.stages import Generator
from ragprof.parts.words import words

SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
QUESTION = re.compile(r"^Question: (.*)$", re.MULTILINE)


class ExtractiveGenerator:
    """Deterministic and instant. A token is a word here. The first of several equal sentences is taken."""

    model_name = "extractive"

    def __init__(self, max_new_tokens: PositiveInt = 32, context_tokens: PositiveInt | None = None) -> None:
        self.max_new_tokens = max_new_tokens
        self.context_tokens = context_tokens

    @property
    def identity(self) -> str:
        return f"extractive max_new_tokens={self.max_new_tokens} context_tokens={self.context_tokens}"

    def load(self) -> None:
        """Nothing to load."""

    def count_tokens(self, prompt: str) -> int:
        return len(prompt.split())

    def generate(self, prompt: str) -> Generated:
        start = now_ns()
        asked = QUESTION.findall(prompt)
        wanted = set(words(asked[-1])) if asked else set()
        passages = prompt.rpartition("Question:")[0]
        sentences = [part.strip() for part in SENTENCE.split(passages) if part.strip()]
        best = max(sentences, key=lambda sentence: len(wanted & set(words(sentence))), default="")
        whole = best.split()
        kept = whole[: self.max_new_tokens]
        usage = {"input_tokens": self.count_tokens(prompt), "output_tokens": len(kept), "requests": 1, "retries": 0}
        return Generated(" ".join(kept), usage, now_ns() - start, "length" if len(kept) < len(whole) else "stop")


plugin: type[Generator] = ExtractiveGenerator
