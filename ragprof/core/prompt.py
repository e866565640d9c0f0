"""The prompt around the chunks, and how its tokens are told apart. Template, chunks, question: no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

from ragprof.core import Doc
from ragprof.core.errors import BadInput

TEMPLATE = (
    "Answer the question with the help of the passages below. "
    "If they do not hold the answer, say so.\n\n{passages}\n\nQuestion: {question}\nAnswer:"
)
SEPARATOR = "\n\n"
Order: TypeAlias = Literal["best_first", "best_last", "edges"]
T = TypeVar("T")


def arranged(ranked: Sequence[T], order: Order) -> tuple[T, ...]:
    """What is given best first, as it stands in the prompt.

    `edges` puts the best at both ends and the worst in the middle (1 3 5 4 2), where models read least carefully:
    Liu et al., Lost in the Middle, TACL 12, 2024, 157-173.
    """
    if order == "best_last":
        return tuple(reversed(ranked))
    if order == "edges":
        return (*ranked[::2], *reversed(ranked[1::2]))
    return tuple(ranked)


def check_template(template: str) -> str:
    """The template itself. Raises BadInput where a place is missing."""
    missing = [place for place in ("{passages}", "{question}") if place not in template]
    if missing:
        raise BadInput(f"the prompt template lacks {' and '.join(missing)}; it needs {{passages}} and {{question}}")
    return template


def build(template: str, question: str, docs: Sequence[Doc]) -> str:
    """Plain replacement, not str.format: braces in documents stay as they are."""
    before, after = template.split("{passages}", 1)
    passages = SEPARATOR.join(passage(number, doc) for number, doc in enumerate(docs, start=1))
    return before.replace("{question}", question) + passages + after.replace("{question}", question)


def passage(number: int, doc: Doc) -> str:
    """One chunk as it stands in the prompt."""
    return f"[{number}] {doc.content}"
