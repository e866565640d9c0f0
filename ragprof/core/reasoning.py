"""Reasoning and answer told apart, in what a model says before and after `</think>`. Reads no clock."""

from __future__ import annotations

import re
from dataclasses import replace

from ragprof.core import Generated

OPENING = re.compile(r"\s*<think(?:ing)?>")
CLOSING = re.compile(r"</think(?:ing)?>\s*")


def reasoning_ends(text: str) -> int:
    """Where the answer begins in a text: 0 where there is no reasoning, its length where the reasoning never ends.

    Templates of some models put the opening mark into the prompt, so that a closing one alone counts too.
    """
    closed = CLOSING.search(text)
    if closed is not None:
        return closed.end()
    return len(text) if OPENING.match(text) else 0


def apart(generated: Generated) -> Generated:
    """The same with the reasoning taken out of its text; a first token that was timed is that of the reasoning.

    What a generator told apart itself stays as it is.
    """
    end = reasoning_ends(generated.text)
    if generated.reasoning or not end:
        return generated
    return replace(
        generated,
        text=generated.text[end:],
        reasoning=inner(generated.text[:end]),
        first_token_ns=None,
        first_reasoning_ns=generated.first_token_ns,
    )


def untimed(generated: Generated) -> Generated:
    """The same without times."""
    return replace(generated, first_token_ns=None, first_reasoning_ns=None)


def inner(text: str) -> str:
    """Reasoning without the marks around it."""
    return CLOSING.sub("", OPENING.sub("", text, count=1)).strip()
