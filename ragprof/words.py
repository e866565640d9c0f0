"""Text to search terms for the lexical stores: lower case, English stop words dropped, Snowball stems."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
# fmt: off
STOP_WORDS = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
])  # Lucene's English list
# fmt: on


def words(text: str) -> list[str]:
    """Terms of a text in their order, repeats kept; empty where nothing but stop words is left."""
    found = [word for word in WORD.findall(text.lower()) if word not in STOP_WORDS]
    stems: list[str] = _stemmer().stemWords(found)
    return stems


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")
