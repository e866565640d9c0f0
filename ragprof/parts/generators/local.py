"""A causal language model in this process: the packaged Gemma 3 270M, a GGUF file, a local folder or a hub name.

Greedy, so the same prompt has the same answer. A model that was tuned to chat gets the prompt as a message. A base
model goes on with the text that it is given: three worked examples are put before the prompt, and the answer ends
with its line. The examples are part of what the model reads, so of its time to first token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

from pydantic import PositiveInt

from ragprof.core import Doc, Generated
from ragprof.core import prompt as prompts
from ragprof.core.clock import now_ns
from ragprof.core.reasoning import apart, reasoning_ends
from ragprof.core.stages import Generator
from ragprof.parts.models.causal import CausalModel, answers_of, library
from ragprof.parts.models.encoder import FloatPrecision
from ragprof.parts.models.places import PACKAGED_GEMMA

EXAMPLES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("str.upper Return a copy of the string converted to uppercase.", "str.title Titlecase every word."),
        "make all letters of a text capitals",
        "str.upper",
    ),
    (("The bridge was built from 1883 to 1887 by local masons.",), "When was the bridge finished?", "1887"),
    (("The museum opens at nine o'clock on weekdays.",), "Who painted the ceiling?", "not in the passages"),
)


class LocalGenerator:
    """`examples`: "auto" puts them before the prompts of base models only."""

    def __init__(
        self,
        model: str = PACKAGED_GEMMA,
        precision: FloatPrecision = "auto",
        max_new_tokens: PositiveInt = 16,
        examples: Literal["auto", "always", "never"] = "auto",
    ) -> None:
        self._model = CausalModel(model, precision=precision)
        self.max_new_tokens = max_new_tokens
        self._examples = examples

    @property
    def identity(self) -> str:
        return f"local {self._model.identity} max_new_tokens={self.max_new_tokens} examples={self._before!r}"

    @property
    def model_name(self) -> str:
        return f"{self._model.name} {self._model.precision}"

    @property
    def engine(self) -> str:
        return f"{library()} AutoModelForCausalLM.generate"

    @property
    def precision(self) -> str:
        return self._model.precision

    @property
    def context_tokens(self) -> int | None:
        return self._model.context_tokens

    def load(self) -> None:
        self._model.load()

    def count_tokens(self, prompt: str) -> int:
        return len(self._ids(prompt))

    def generate(self, prompt: str) -> Generated:
        start = now_ns()
        ids = self._ids(prompt)
        tokens, at_ns = self._model.generate(ids, most=self.max_new_tokens, ended=self._ended)
        return self._generated(ids, tokens, [reading - start for reading in at_ns])

    def generate_many(self, prompts: Sequence[str]) -> list[Generated]:
        every = [self._ids(prompt) for prompt in prompts]
        answers = answers_of(self._model, every, most=self.max_new_tokens, ended=self._ended)
        return [self._generated(ids, tokens, []) for ids, tokens in zip(every, answers, strict=True)]

    @cached_property
    def _before(self) -> str:
        if self._examples == "never" or (self._examples == "auto" and self._model.chats):
            return ""
        before = ""
        for passages, question, answer in EXAMPLES:
            docs = [Doc("", "", passage, "") for passage in passages]
            before += f"{prompts.build(prompts.TEMPLATE, question, docs)} {answer}\n\n\n"
        return before

    def _ids(self, prompt: str) -> list[int]:
        written = self._before + prompt
        return self._model.tokens_of_message(written) if self._model.chats else self._model.tokens_of(written)

    def _ended(self, tokens: list[int]) -> bool:
        """Whether a base model's answer has come to the end of its line."""
        if self._model.chats or "\n" not in self._model.text_of(tokens[-1:]):
            return False
        return "\n" in self._model.text_of(tokens).lstrip()

    def _generated(self, ids: Sequence[int], tokens: list[int], came_ns: Sequence[int]) -> Generated:
        """The answer of these tokens; `came_ns` is when each of them came, empty where nobody looked."""
        usage = {"input_tokens": len(ids), "output_tokens": len(tokens), "requests": 1, "retries": 0}
        cut = len(tokens) == self.max_new_tokens and not self._ended(tokens)
        text = self._model.text_of(tokens).strip()
        text = text if self._model.chats else text.split("\n", 1)[0].strip()
        found = apart(Generated(text, usage, came_ns[0] if came_ns else None, "length" if cut else "stop"))
        if not found.reasoning:
            return found
        # The answer begins with the first token after which something stands behind the reasoning.
        texts = (self._model.text_of(tokens[: place + 1]) for place in range(len(tokens)))
        begun = (place for place, said in enumerate(texts) if 0 < reasoning_ends(said) < len(said.rstrip()))
        thought = next(begun, len(tokens))
        counted = {**usage, "reasoning_tokens": thought}
        return replace(found, usage=counted, first_token_ns=came_ns[thought] if thought < len(came_ns) else None)


plugin: type[Generator] = LocalGenerator
