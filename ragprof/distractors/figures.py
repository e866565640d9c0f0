"""Figures in English and what else they could have been. Changes the number, never its unit; reads no meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from ragprof.distractors.edits import Place
from ragprof.distractors.prose import Prose, article_for

POINT = r"\\?\."
NUMBER = rf"\d{{1,3}}(?:,\d{{3}}){{1,5}}|\d{{1,12}}(?:{POINT}\d{{1,9}}){{0,3}}"
UNIT = (
    r"(?:[KMGT]i?B|[mun]?s|x|D|%"
    r"|\\?-(?:D|d|bit|byte|digit|dimensional|day|hour|minute|second|year|tuple|level|way|element)\b)"
)
FIGURE = re.compile(
    rf"(?<![\w\0.,:=<>+*/^|\[{{\\$#-])(?<![=<>+*/^|\[{{-] )v?(?P<figure>{NUMBER})"
    rf"(?={UNIT}?(?![\w(\[\]={{}}^|/\0-]|,\d|\.\w| ?[*+/<>=|^]))"
)
ENUMERATED = re.compile(
    r"\b(?:sections?|chapters?|steps?|figures?|fig\.|tables?|equations?|eqs?\.?|pages?|pp?\.|vol\.|no\.|appendix|parts?"
    r"|algorithms?|lemma|theorem|bullet|rule|version history|copyright|isbn"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?) ?$",
    re.IGNORECASE,
)
WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
FIGURE_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b(?!-)", re.IGNORECASE)
DEFAULT = re.compile(
    r"\bdefault(?:s|ed)?(?:\s+values?)?(?:\s+(?:is|to|of)|\s?[:=])?\s*[`'\"*]{0,2}"
    rf"(\d{{1,12}}(?:{POINT}\d{{1,9}})?)(?={UNIT}?(?![\w-]|\.\d|,\d))",
    re.IGNORECASE,
)
YEARS = range(1900, 2100)


def figures_changed(prose: Prose, random: Random) -> Iterator[Place]:
    """One place for each figure that a sentence states, in the order of the text."""
    for found in sorted(_found(prose), key=lambda match: match.start()):
        start = found.start("figure") if "figure" in found.re.groupindex else found.start()
        if prose.states(start) and not _only_counts(prose.text, start, found.end()):
            new = other_figure(found[0][start - found.start() :], random, follows=prose.text[found.end() :][:9])
            yield with_article(prose.text, Place(start, found.end(), new))


def other_figure(figure: str, random: Random, *, follows: str = "") -> str:
    """Another figure of the same form: `30` -> `45`, `1,000` -> `2,000`, `3.8` -> `3.9`, `two` -> `three`.

    `follows` is what stands behind it: a percentage stays at 100 or below.
    """
    if figure.lower() in WORDS:
        return _other_word(figure, random)
    if re.search(POINT, figure):
        return _other_decimal(figure, random)
    value = int(figure.replace(",", ""))
    top = 100 if re.match(r" ?%| ?percent", follows) and value <= 100 else 10 * value + 3
    new = random.choice([other for other in _others(value) if 0 <= other <= top])
    return f"{new:,}" if "," in figure else str(new).zfill(len(figure)) if figure.startswith("0") else str(new)


def with_article(text: str, place: Place) -> Place:
    """The place, with the article before it where that has to change with the word: `an 8-bit` -> `a 16-bit`."""
    before = re.search(r"\b(an?)( +)$", text[max(0, place.start - 6) : place.start], re.IGNORECASE)
    if not before or article_for(text[place.start : place.start + 12]) != before[1].lower():
        return place
    article = article_for(place.new)
    if article == before[1].lower():
        return place
    cased = article.capitalize() if before[1][0].isupper() else article
    return Place(place.start - len(before[0]), place.end, cased + before[2] + place.new)


def _found(prose: Prose) -> Iterator[re.Match[str]]:
    yield from FIGURE.finditer(prose.plain)
    yield from FIGURE_WORD.finditer(prose.plain)


def _only_counts(text: str, start: int, end: int) -> bool:
    """A number that names a place (section 4, page 7) or a year, rather than a quantity."""
    if ENUMERATED.search(text, max(0, start - 20), start):
        return True
    return text[start:end].isdecimal() and int(text[start:end]) in YEARS and not re.match(r" ?[A-Za-z%]", text[end:])


def _others(value: int) -> list[int]:
    """Plausible neighbours: one or two away below 13, else other powers of two, else round multiples."""
    if value < 2:
        return [1 - value, value + 2]
    if value < 13:
        return [other for other in range(value - 2, value + 3) if other > 1 and other != value] + [value + 3]
    if value & (value - 1) == 0:
        return [value // 2, value * 2, value * 4]
    if value % 10 == 0:
        return [value // 2, value + value // 2, value * 2]
    return [value - max(1, value // 5), value + max(1, value // 4), value + max(2, value // 2)]


def _other_word(word: str, random: Random) -> str:
    at = WORDS.index(word.lower())
    new = random.choice([WORDS[near] for near in (at - 1, at + 1) if 0 <= near < len(WORDS)])
    return new.upper() if word.isupper() else new.capitalize() if word[0].isupper() else new


def _other_decimal(figure: str, random: Random) -> str:
    """The last part but never the first moves on: 3.8 -> 3.9, 0.05 -> 0.08, 1.2.0 -> 1.4.0."""
    parts = re.split(f"({POINT})", figure)
    last = parts[2]
    new = int(last) + random.choice([1, 2, 3])
    if len(str(new).zfill(len(last))) > len(last) and len(parts) == 3 and parts[0] == "0":
        new = max(1, int(last) - random.choice([1, 2, 3]))
    return "".join([*parts[:2], str(new).zfill(len(last)), *parts[3:]])


def default_figures(prose: Prose, random: Random) -> Iterator[Place]:
    """One place for each number that is stated as a default, inside inline code too."""
    for found in DEFAULT.finditer(prose.stated):
        yield Place(found.start(1), found.end(1), other_figure(found[1], random))
