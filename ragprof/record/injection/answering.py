"""Answers, for quality: each distinct prompt is answered once, over all runs. No clock runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from ragprof.answer_cache import AnswerCache
from ragprof.core import Generated
from ragprof.progress import Progress
from ragprof.record.identity import cache_identity
from ragprof.stages import Generator, ManyGenerator

ANSWER_COLUMNS = ("digest", "text", "output_tokens", "answer_tokens", "finish")
AT_ONCE = 96
"""Prompts between two writes to the cache: what a kill loses."""


def answer_prompts(
    generator: Generator, texts: Mapping[str, str], *, cache: Path, progress: Progress
) -> tuple[dict[str, Generated], int]:
    """The answer of each prompt by its digest, and how many had to be generated.

    `texts` are in the order of their questions: prompts that share their beginning stand near each other.
    """
    identity = cache_identity(generator, "answer")
    known = AnswerCache(cache / "answers", identity=identity) if identity is not None else None
    found = {key: known.get(prompt) for key, prompt in texts.items()} if known is not None else {}
    answers = {key: answer for key, answer in found.items() if answer is not None}
    todo = [key for key in texts if key not in answers]
    progress.start("answer prompts", len(todo))
    for keys in _batched(todo):
        prompts = [texts[key] for key in keys]
        given = _generated(generator, prompts)
        if known is not None:
            known.put(prompts, given)
        answers.update(zip(keys, given, strict=True))
        progress.advance(len(keys))
    progress.done()
    return answers, len(todo)


def answer_rows(answers: Mapping[str, Generated], count: Callable[[str], int]) -> pd.DataFrame:
    """A row a distinct prompt. `output_tokens` is null where the generator does not say."""
    rows = [
        (key, answer.text, answer.usage.get("output_tokens"), count(answer.text), answer.finish)
        for key, answer in answers.items()
    ]
    return pd.DataFrame(rows, columns=list(ANSWER_COLUMNS)).astype({"output_tokens": "Int64"})


def _generated(generator: Generator, prompts: Sequence[str]) -> list[Generated]:
    if isinstance(generator, ManyGenerator):
        return list(generator.generate_many(prompts))
    return [generator.generate(prompt) for prompt in prompts]


def _batched(keys: Sequence[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
