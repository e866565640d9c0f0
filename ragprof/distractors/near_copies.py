"""Near-copies of passages: the same facts in almost the same words, as mirrors and older versions of pages have them.

At least KEPT of a passage's words stay, in their order; no figure and no negation of it is changed or lost.
docs/distractors.md shows each rule with an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import TypeAlias

from ragprof.core import Doc
from ragprof.distractors.edits import Change, Edit, Place, edited, in_turn, random_for
from ragprof.distractors.prose import BLANK, Prose

KIND = "duplicate"
KEPT = 0.8
"""Share of the source's words that a near-copy has in the source's order."""
Span: TypeAlias = tuple[int, int]
WHOLE = re.compile(r"[A-Z][\s\S]*[a-z)\]`'\"\\][.!?][)\"']?$")
WORD = re.compile(r"\w+")
BOILERPLATE = (
    "Last updated: {year}-{month:02}-{day:02}.",
    "Documentation version {major}.{minor}.{patch}.",
    "Copyright {year} the authors. All rights reserved.",
    "Applies to version {major}.{minor} and later.",
    "This page was generated on {year}-{month:02}-{day:02} from the sources of release {major}.{minor}.",
    "Mirror of the online manual, retrieved in {year}.",
    "Table of contents | Previous | Next | Report a problem with this page",
    "You are reading the documentation of release {major}.{minor}.{patch}.",
)
FACT = re.compile(
    r"\d|\b(?:no|not|never|none|nothing|nor|neither|without|cannot|unless|one|two|three|four|five|six|seven|eight|nine|ten"
    r")\b|n['\u2019]t\b",
    re.IGNORECASE,
)
"""What a sentence that is left out must not have."""
LEANS = re.compile(
    r"\s*(?:otherwise|however|but|instead|else|then|this|that|these|those|it|they|if not|therefore"
    r"|in (?:this|that|which|either) case|thus|hence|conversely|also|similarly"
    r"|the (?:former|latter|second|other|same|following))\b",
    re.IGNORECASE,
)
"""How a sentence begins that leans on the one before it: the two stay together."""
TYPOGRAPHY = (
    (re.compile(r"(?<![\w\0])\"([^\"\n\0]+)\"(?![\w\0])"), r"“\1”"),
    (re.compile(r"(?<=[a-z])'(?=[a-z])"), "\u2019"),
    (re.compile(r"(?<=\w) --? (?=[A-Za-z])"), " — "),
    (re.compile(r"(?<=[.!?])  (?=[A-Z])"), " "),
    (re.compile(r"(?<=[.!?]) (?=[A-Z])"), "  "),
    (re.compile(r"(?<=[a-z,])\n(?=[a-z])"), " "),
    (re.compile(r"(?<=\w)\n\n(?=[A-Z])|(?<=\.)\n\n(?=[A-Z])"), "\n\n\n"),
)
"""Pattern and what it becomes, code and names left out; every place of a passage at once."""
BULLET = re.compile(r"^[ \t]*[-*+•][ \t]+([A-Za-z])(?=[a-z]+[ ,])", re.MULTILINE)


def near_copies(docs: Sequence[Doc], *, variants: int, seed: int) -> list[Edit]:
    """Up to `variants` near-copies of each passage, by different rules first; in the order of the passages.

    A passage without any text gives none. The same seed gives the same edits, whatever other passages are given.
    """
    return [
        edit
        for doc in docs
        if doc.text.strip()
        for edit in edited(doc, KIND, _changes(doc, seed=seed), variants=variants)
    ]


def _changes(doc: Doc, *, seed: int) -> Iterator[Change]:
    """All that the rules offer, in turn; rules and offers shuffled."""
    prose, random = Prose(doc.text), random_for(seed, doc.doc_id, KIND)
    sentences = list(_whole_sentences(prose))
    rules = [
        list(_boilerplate(doc.text, random)),
        list(_dropped(doc.text, sentences)),
        list(_swapped(doc.text, sentences)),
        list(_typography(prose)),
    ]
    for offers in rules:
        random.shuffle(offers)
    random.shuffle(rules)
    return in_turn(rules)


def _boilerplate(text: str, random: Random) -> Iterator[Change]:
    """Each line once, in front or behind, with a date and a release of its own."""
    for line in BOILERPLATE:
        filled = line.format(
            year=random.randint(2012, 2025),
            month=random.randint(1, 12),
            day=random.randint(1, 28),
            major=random.randint(1, 5),
            minor=random.randint(0, 14),
            patch=random.randint(0, 9),
        )
        front = random.random() < 0.5
        place = Place(0, 0, f"{filled}\n\n") if front else Place(len(text), len(text), f"\n\n{filled}")
        yield Change("boilerplate", (place,))


def _dropped(text: str, sentences: Sequence[Span]) -> Iterator[Change]:
    """Each short sentence but the first that states no figure and no negation, where there are at least three."""
    if len(sentences) < 3:
        return
    limit = (1 - KEPT) * _count(text)
    for (_, before), (start, end) in pairwise(sentences):
        short = _same_paragraph(text, before, start) and _count(text[start:end]) <= limit
        if short and not FACT.search(text, start, end) and not LEANS.match(text, end):
            yield Change("sentence dropped", (Place(before, end, ""),))


def _swapped(text: str, sentences: Sequence[Span]) -> Iterator[Change]:
    """Each two neighbours in a paragraph of which one is short enough to count as moved."""
    limit = (1 - KEPT) * _count(text)
    for (start, before), (after, end) in pairwise(sentences):
        first, gap, second = text[start:before], text[before:after], text[after:end]
        short = _same_paragraph(text, before, after) and min(_count(first), _count(second)) <= limit
        if short and not LEANS.match(text, before) and not LEANS.match(text, end):
            yield Change("sentences swapped", (Place(start, end, second + gap + first),))


def _typography(prose: Prose) -> Iterator[Change]:
    """One change for each habit of setting text that the passage shows: quotes, dashes, spaces, lines, list items."""
    for pattern, becomes in TYPOGRAPHY:
        places = tuple(Place(*found.span(), found.expand(becomes)) for found in pattern.finditer(prose.plain))
        if places:
            yield Change("typography", places)
    first_letters = [(found.span(1), found[1].swapcase()) for found in BULLET.finditer(prose.plain)]
    if first_letters:
        yield Change("typography", tuple(Place(start, end, letter) for (start, end), letter in first_letters))


def _whole_sentences(prose: Prose) -> Iterator[Span]:
    """Sentences of four words and more that end as such and hold no block of code and no address."""
    for start, end in prose.sentences:
        sentence = prose.stated[start:end]
        if BLANK not in sentence and WHOLE.match(sentence) and _count(sentence) >= 4:
            yield start, end


def _same_paragraph(text: str, end: int, start: int) -> bool:
    """Whether only white space lies between the end of a sentence and the start of the next, and no empty line."""
    between = text[end:start]
    return bool(between) and not between.strip() and between.count("\n") < 2


def _count(text: str) -> int:
    return len(WORD.findall(text))
