"""Near-copies of passages: the same facts in almost the same words, as mirrors and older versions of pages have them.

At least KEPT of a passage's words stay, in their order; no figure and no negation of it is changed or lost.
docs/distractors.md shows each rule with an example.

What contradictions need as well is here: an `Edit` and which edits of a passage are taken; and `Prose`, where a passage
speaks English: code, addresses, references and identifiers blanked out, sentences found. It works by pattern on
Markdown, reStructuredText, numpy and Google docstrings, parses none of them, and other languages only by chance.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise, zip_longest
from random import Random
from typing import NamedTuple, TypeAlias

from ragprof.core import Doc


@dataclass(frozen=True, slots=True)
class Edit:
    """An edited passage: a document of its own, under the title of the passage that it was made from.

    `start` and `end` are characters of the source's text: what is before and behind them is the same in both. Where
    several places were changed, they reach from the first to the last; an insertion has `start == end`.
    """

    doc: Doc
    source: str
    rule: str
    start: int
    end: int


class Place(NamedTuple):
    """A stretch of a text and what it becomes."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """One edit that a rule offers: at least one place, in rising order, none overlapping another."""

    rule: str
    places: tuple[Place, ...]

    @property
    def start(self) -> int:
        """Where the first place begins."""
        return self.places[0].start

    @property
    def end(self) -> int:
        """Where the last place ends."""
        return self.places[-1].end


def applied(change: Change, text: str) -> str:
    """The text with every place changed."""
    kept_from = [0, *(place.end for place in change.places)]
    kept_to = [*(place.start for place in change.places), len(text)]
    kept = [text[start:end] for start, end in zip(kept_from, kept_to, strict=True)]
    return kept[0] + "".join(place.new + rest for place, rest in zip(change.places, kept[1:], strict=True))


def edited(doc: Doc, kind: str, changes: Iterable[Change], *, variants: int) -> list[Edit]:
    """The first `variants` changes that give a text of its own; fewer where there are not so many."""
    edits: list[Edit] = []
    seen = {doc.text}
    for change in changes:
        if len(edits) >= variants:
            break
        text = applied(change, doc.text)
        if text not in seen:
            seen.add(text)
            doc_id = f"{doc.doc_id}~{kind}{len(edits) + 1}"
            new = Doc(doc_id, doc.title, text, document_id=doc_id)
            edits.append(Edit(new, doc.doc_id, change.rule, change.start, change.end))
    return edits


def in_turn(rules: Sequence[Sequence[Change]]) -> Iterator[Change]:
    """The first change of every rule, then the second of every rule, and so on."""
    return (change for change in chain.from_iterable(zip_longest(*rules)) if change is not None)


def random_for(seed: int, doc_id: str, what: str) -> Random:
    """Random numbers that depend on these three alone, not on the passages around or on the rules tried before."""
    digest = hashlib.sha256(f"{seed}\0{what}\0{doc_id}".encode("utf-8", "surrogatepass")).digest()
    return Random(int.from_bytes(digest[:8], "big"))


BLANK = "\0"
WITHIN = 400
DEEPER = r"(?:[ \t]*\n|\1[ \t]+\S.*(?:\n|\Z))*"
BLOCKS = (
    r"^[ \t]*```[\s\S]*?(?:^[ \t]*```|\Z)",
    r"^(?:See Also|References|Examples?)[ \t]*\n-{3,}[ \t]*\n[\s\S]*?(?=^\w[\w ]*\n[-=]{3,}[ \t]*$|\Z)",
    r"^[ \t]*>>>.*(?:\n[ \t]*\S.*)*",
    r"^([ \t]*)\.\. (?:math|code|code-block|plot|seealso|autosummary|doctest|testcode|\[\w+\]).*\n?" + DEEPER,
    r"^([ \t]*)(?!\.\. )(?:\S.*)?::[ \t]*\n(?:[ \t]*\n)+" + DEEPER,
    r"^[ \t]*[\w.]+\([^\n]*\)(?:[ \t]*(?:->|-->|=).*)?:?[ \t]*$",
    r"^[ \t]*[-=~^+|]{3,}[ \t]*$",
)
ADDRESS = r"\b[a-z][a-z0-9+]*://[^\s)>\]]+|\bwww\.[^\s)>\]]+|[\w.+-]{1,64}@[\w-]+\.\w+"
LINK_TARGET = r"\]\([^)\n]{0,500}\)"
INSIDE = (
    ADDRESS,
    r"^[ \t]*(?:[-+*]|\d+\.)[ ]+\[[^\]\n]{0,200}\]\([^)\n]{0,500}\)[ \t\\.]*$",
    LINK_TARGET,
    r"<[^<>\n]{1,200}>",
    r":math:`[^`]*`",
    r"\[[0-9]+\]_?|\b\d+(?:\.\d+){3}(?:/\d+)?",
    r"\b(?:RFC|PEP|ISO|IEEE|IEC|ANSI|ITU|ECMA|CVE|PKCS|TIP|bpo|gh|[Ii]ssue)(?:[ \-:#\\/]|IEC)*\d[\d\-:.]*",
    r"\b\d{4}-\d\d(?:-\d\d)?(?:[T ]\d\d:\d\d(?::\d\d)?)?|\b\d{1,2}:\d\d\b",
    r"^[ \t]*\d+\\?[.)](?=\s)",
)
UNIT = r"(?:[KMGT]i?B|Kbps|Mbps|Gbps|[mun]s|s|x|D|th|st|nd|rd)\b"
NAMED = (
    r"``[^`]+``|`[^`\n]*`",
    r"\*\*[^*\n]+\*\*|(?<![\w*])\*[^*\s][^*\n]{0,60}\*",
    r"^[ \t]*\*{0,2}\w+(?:, ?\*{0,2}\w+)*(?= ?:(?:[ ]|$))",
    r"^[ \t]*\w+ ?\([^)\n]*\):|[:@]\w+(?: \w+)?:",
    r"(?<!\w)'[^'\s]{1,30}'(?!\w)|\"[^\"\s]{1,30}\"",
    r"\{[^{}\n]*\}",
    r"\b\w+\([^()\n]*\)?|\b\w+=\S+",
)
IDENTIFIERS = (
    r"(?<!\S)\S*/\S*",
    r"\b(?=[\w.]*[A-Za-z])(?!v\d)\w*(?:_|(?<=\w)\.(?=\w))[\w.]*\w",
    rf"\b(?!v\d)(?!\d+{UNIT})(?=\w*\d)(?=\w*[A-Za-z])\w+",
    r"(?<!\w)[%$@\\-]{1,2}[A-Za-z]\w*",
    r"\\(?=-)",
)
SENTENCE_BREAK = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!vs\.)(?<!cf\.)[\"'”\u2019)\]*`_]*\s+(?=[\"'“\u2018(\[*`:\0]*[A-Z0-9])"
    r"|[ \t]*\n[ \t]*\n\s*|\n(?=[ \t]*(?:(?:[-*+•]|\d+\\?[.)])[ \t]|\*{0,2}\w+ ?:[ ]|:\w+ ?\w*:|-{3,}))"
)
SPEAKS_OF_EXAMPLES = re.compile(
    r"\be\.g\.|\b(?:for example|for instance|such as|examples?|refer to|more (?:information|details))\b"
    r"|\bsee (?:also|the)\b|\bsee \W|\bconsole at\b|copyright|\(c\)|licen[sc]e",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Prose:
    """A text in two blanked forms of the same length, so that positions agree; newlines stay in both.

    `stated` lacks blocks of code, examples, references and addresses; `plain` lacks names and inline code as well.
    """

    text: str

    @cached_property
    def stated(self) -> str:
        """What the passage states, with names and inline code."""
        return _blanked(self.text, *BLOCKS, *INSIDE)

    @cached_property
    def unaddressed(self) -> str:
        """Everything but URLs, e-mail addresses and the targets of links."""
        return _blanked(self.text, ADDRESS, LINK_TARGET)

    @cached_property
    def _without_names(self) -> str:
        return _blanked(self.stated, *NAMED)

    @cached_property
    def plain(self) -> str:
        """Words and figures only: no names, no code, no identifiers."""
        return _blanked(self._without_names, *IDENTIFIERS)

    @cached_property
    def named(self) -> frozenset[str]:
        """Words that this passage also uses as a name (of a parameter, say), in lower case."""
        pairs = zip(self.stated, self._without_names, strict=True)
        taken = "".join(char if kept == BLANK else " " for char, kept in pairs)
        return frozenset(word.lower() for word in re.findall(r"\w+", taken))

    @cached_property
    def sentences(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each, without the white space between them; headings and list items count."""
        breaks = list(SENTENCE_BREAK.finditer(self.stated))
        starts = [0, *(found.end() for found in breaks)]
        # A sentence ends behind its closing quotes.
        ends = [*(found.start() + len(found[0].rstrip()) for found in breaks), len(self.text.rstrip())]
        return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start < end)

    def sentence_at(self, place: int) -> tuple[int, int]:
        """The sentence that holds a place of the text."""
        return self.sentences[max(0, bisect_right(self.sentences, (place, len(self.text))) - 1)]

    def around(self, place: int) -> tuple[int, int]:
        """As `sentence_at`, but never further from the place than 400 characters: some texts have no full stop."""
        start, end = self.sentence_at(place)
        return max(start, place - WITHIN), min(end, place + WITHIN)

    def states(self, place: int) -> bool:
        """Whether the sentence there states a fact: no heading, no label in a table, no example, no further reading."""
        start, end = self.around(place)
        if SPEAKS_OF_EXAMPLES.search(self.text, start, end):
            return False
        line = self.text[self.text.rfind("\n", 0, place) + 1 : place].lstrip()
        cell = re.split(r"[|\n]", self.text[place : place + WITHIN], maxsplit=1)[0]
        return not line.startswith("#") and not (line.startswith("|") and "." not in cell)


def like(word: str, new: str) -> str:
    """The new word in the case of the old one: Enable -> Disable, ENABLE -> DISABLE."""
    if len(word) > 1 and word.isupper():
        return new.upper()
    return new[:1].upper() + new[1:] if word[:1].isupper() else new


def article_for(word: str) -> str:
    """`a` or `an`, by the letters or digits that the word begins with."""
    if re.match(r"(?:8|11\b|18\b|hour|honest|heir)", word, re.IGNORECASE):
        return "an"
    if re.match(r"[A-Z]{2,}\b", word):
        return "an" if word[0] in "AEFHILMNORSX" else "a"
    return "an" if re.match(r"(?!uni[qtvfo]|use|usu|utf|euro|one\b|once)[aeiou]", word, re.IGNORECASE) else "a"


def _blanked(text: str, *patterns: str) -> str:
    """Each pattern works on what the ones before it have left."""
    for pattern in patterns:
        text = re.sub(pattern, lambda found: re.sub(r"[^\n]", BLANK, found[0]), text, flags=re.MULTILINE)
    return text


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
    found: list[Edit] = []
    for doc in docs:
        if doc.text.strip():
            prose, random = Prose(doc.text), random_for(seed, doc.doc_id, KIND)
            boilerplate, sentences = list(_boilerplate(doc.text, random)), list(_whole_sentences(prose))
            moved = (list(rule(doc.text, sentences)) for rule in (_dropped, _swapped))
            rules = [boilerplate, *moved, list(_typography(prose))]
            for offers in rules:
                random.shuffle(offers)
            random.shuffle(rules)
            found += edited(doc, KIND, in_turn(rules), variants=variants)
    return found


_FILLED = {"year": (2012, 2025), "month": (1, 12), "day": (1, 28), "major": (1, 5), "minor": (0, 14), "patch": (0, 9)}
"""The least and the most that stands in a line of boilerplate, drawn in this order."""


def _boilerplate(text: str, random: Random) -> Iterator[Change]:
    """Each line once, in front or behind, with a date and a release of its own."""
    for line in BOILERPLATE:
        filled = line.format(**{part: random.randint(*ends) for part, ends in _FILLED.items()})
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
