"""Words, verbs, phrases and types replaced by their opposites, case kept. The lists are in `opposites`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ragprof.distractors.edits import Place
from ragprof.distractors.figures import with_article
from ragprof.distractors.opposites import AFTER, BEFORE, PHRASES, TYPES, VERBS, WORDS
from ragprof.distractors.prose import Prose, like

WORD = re.compile(r"(?<![\w\0'-])[a-z]+(?:-[a-z]+)*(?![\w\0'-])(?!\.\w)", re.IGNORECASE)
ALTERNATIVE = re.compile(r"\b(?:(?:may|can|could|might)\s+(?:also\s+)?be|or|either)\s+$")
"""What may be a list may be a tuple as well."""
NEGATED = re.compile(r"(?:\b(?:not|cannot|never)|n't)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
"""Not raising is no contradiction of not suppressing: there the negation itself is what can be changed."""
BEFORE_PARTICIPLE = re.compile(
    r"\b(?:is|are|be|been|being|was|were|get|gets|automatically|silently|always)\s+$", re.IGNORECASE
)
BEFORE_BASE = re.compile(r"(?:\b(?:to|will|can|must|should|may|cannot|would|also)\s+|(?:^|[.:;]\s+|\n\s*))$")


def antonyms(prose: Prose) -> Iterator[Place]:
    """One place for each word or phrase that has an opposite, where the sentence does not have that already."""
    for found in WORD.finditer(prose.plain):
        new = OPPOSITES.get(found[0].lower())
        if new and _fits(prose, found, new):
            yield with_article(prose.text, Place(found.start(), found.end(), like(found[0], new)))
    yield from _replaced(prose, PHRASE, list(PHRASES.values()))


def types(prose: Prose) -> Iterator[Place]:
    """One place for each `a list`, `an integer`, ... that a value is said to be."""
    for place in _replaced(prose, TYPE, list(TYPES.values())):
        if not ALTERNATIVE.search(prose.plain[max(0, place.start - 20) : place.start]):
            yield place


def _replaced(prose: Prose, pattern: re.Pattern[str], new: Sequence[str]) -> Iterator[Place]:
    """Each match becomes what stands at the number of its alternative."""
    for found in pattern.finditer(prose.plain):
        opposite = new[int((found.lastgroup or "_0")[1:])]
        if prose.states(found.start()):
            yield Place(found.start(), found.end(), like(found[0], opposite))


def _fits(prose: Prose, found: re.Match[str], new: str) -> bool:
    word = found[0].lower()
    start, end = prose.around(found.start())
    before = prose.plain[start : found.start()]
    needed = NEEDED_BEFORE.get(word)
    if (needed and not needed.search(before)) or NEGATED.search(before):
        return False
    nearby = set(re.findall(r"[\w-]+", prose.text[start:end].lower()))
    if {word, new} & prose.named or new in nearby or not prose.states(found.start()):
        return False
    return not (_last(before) in BEFORE.get(word, ()) or _first(prose.plain[found.end() : end]) in AFTER.get(word, ()))


def _last(text: str) -> str:
    return next(iter(re.findall(r"(\w+) +$", text.lower())), "")


def _first(text: str) -> str:
    return next(iter(re.findall(r"^[ -](\w+)", text.lower())), "")


def _opposites() -> dict[str, str]:
    """Every word of both lists -> its opposite; the first pair that has it counts."""
    pairs = [tuple(pair.split()) for pair in WORDS.split(";")]
    for row in VERBS.strip().splitlines():
        left, right = (side.split() for side in row.split(" / "))
        pairs += [forms for forms in zip(left, right, strict=True) if "-" not in forms]
    found: dict[str, str] = {}
    for one, other in pairs:
        found.setdefault(one, other)
    for one, other in pairs:
        found.setdefault(other, one)
    return {one: other for one, other in found.items() if one != other}


def _alternatives(patterns: Sequence[str]) -> re.Pattern[str]:
    """One pattern of all, each under the name of its number; the earlier one wins."""
    wrapped = (re.sub(r"(?<=[\w)]) (?=[\w(\\])|(?<=\(\?[=!]) ", r"\\s+", pattern) for pattern in patterns)
    named = "|".join(rf"(?P<_{number}>{pattern})" for number, pattern in enumerate(wrapped))
    return re.compile(rf"(?<![\w\0'-])(?:{named})(?![\w\0'-])", re.IGNORECASE)


FORMS = [side.split() for row in VERBS.strip().splitlines() for side in row.split(" / ")]
NEEDED_BEFORE = {forms[2]: BEFORE_PARTICIPLE for forms in FORMS} | {forms[0]: BEFORE_BASE for forms in FORMS}
"""Verb forms that are other words elsewhere -> what has to stand before them."""
OPPOSITES = _opposites()
PHRASE = _alternatives(list(PHRASES))
TYPE = _alternatives(
    [rf"{words}(?=[.,;:)]|$|\s+(?:of|that|if|which|with|or|containing|where|from|object|in)\b)" for words in TYPES]
)
