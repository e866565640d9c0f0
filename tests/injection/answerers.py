"""Generators of the tests' own, by the names under which an eval file may ask for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from ragprof.core import Generated
from ragprof.parts.generators.extractive import ExtractiveGenerator


class CountingGenerator(ExtractiveGenerator):
    """Notes every prompt that it is given outside the clock. Raises KeyboardInterrupt at prompt `stops_after` + 1."""

    answered: ClassVar[list[str]] = []
    stops_after: ClassVar[float] = float("inf")

    def generate_many(self, prompts: Sequence[str]) -> list[Generated]:
        return [self._noted(prompt) for prompt in prompts]

    def _noted(self, prompt: str) -> Generated:
        if len(self.answered) >= self.stops_after:
            raise KeyboardInterrupt
        self.answered.append(prompt)
        return self.generate(prompt)


class ForgetfulGenerator(CountingGenerator):
    """Its answers may never be used again."""

    identity = None  # type: ignore[assignment]


class LiteralJudge(ExtractiveGenerator):
    """Says CORRECT where a gold answer stands in the answer, letter for letter. Changes its mind about nothing."""

    model_name = "literal judge"

    def generate(self, prompt: str) -> Generated:
        line = next(line for line in prompt.splitlines() if line.startswith("DATA: "))
        data = json.loads(line.removeprefix("DATA: "))
        right = any(gold in data["answer"] for gold in data["gold_answers"])
        return Generated("CORRECT" if right else "INCORRECT", {"requests": 1}, None, "stop")


class SilentJudge(ExtractiveGenerator):
    """Never says either word."""

    def generate(self, prompt: str) -> Generated:
        return Generated("It depends.", {"requests": 1}, None, "stop")


ANSWERERS = {
    "counting": CountingGenerator,
    "forgetful": ForgetfulGenerator,
    "literal_judge": LiteralJudge,
    "silent_judge": SilentJudge,
}
