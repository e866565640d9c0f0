"""Search terms of a text, in any language: what the lexical stores index and look up.

A text is normalised (NFKC, case folded, optional vowel points of Arabic and Hebrew left out) and cut at all that is no
letter, digit or combining mark. Writing without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese; Korean too, whose
endings stick to the words) is cut into overlapping pairs of characters, a mark counting with its base, and single
ideographs. Words lose the endings of one language, by Snowball's stemmers, and English ones their stop words. Latin
words in a text of another script are taken as English.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from itertools import pairwise

import regex

from ragprof.core import files
from ragprof.core.caches import digest
from ragprof.core.errors import BadInput, UnknownName

AUTO = "auto"
NO_LANGUAGE = "none"
"""Neither stop words nor stems: for mixed corpora, and for languages that nobody wrote a stemmer for."""
ENGLISH = "english"
# fmt: off
CODES = {
    "arabic": "ar", "armenian": "hy", "basque": "eu", "burmese": "my", "catalan": "ca", "chinese": "zh", "czech": "cs",
    "danish": "da", "dutch": "nl", "english": "en", "esperanto": "eo", "estonian": "et", "finnish": "fi",
    "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi", "hungarian": "hu",
    "indonesian": "id", "irish": "ga", "italian": "it", "japanese": "ja", "khmer": "km", "korean": "ko", "lao": "lo",
    "lithuanian": "lt", "nepali": "ne", "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt",
    "romanian": "ro", "russian": "ru", "serbian": "sr", "spanish": "es", "swedish": "sv", "tamil": "ta", "thai": "th",
    "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi", "yiddish": "yi",
}
OTHER_SCRIPTS = frozenset([
    "arabic", "armenian", "burmese", "chinese", "greek", "hebrew", "hindi", "japanese", "khmer", "korean", "lao",
    "nepali", "persian", "russian", "tamil", "thai", "ukrainian", "yiddish",
])
STOP_WORDS = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
])
# fmt: on
"""Lucene's English list. Elsewhere the idf alone weighs: longer lists lose what is asked for (evals/languages)."""
LANGUAGES = (NO_LANGUAGE, *CODES)
"""Names that `language` may have besides `auto`; ISO 639-1 codes are understood too."""

WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{Mn}\p{Mc}]*(?:_[\p{L}\p{N}][\p{L}\p{N}\p{Mn}\p{Mc}]*)*")
_SOLID = r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
SOLID = regex.compile(f"[{_SOLID}]")
RUN = regex.compile(rf"(?:(?=[{_SOLID}])\p{{L}}\p{{M}}*)+|(?:(?![{_SOLID}])[\s\S])+")
CLUSTER = regex.compile(r"\p{L}\p{M}*")
IDEOGRAPH = regex.compile(r"\p{Han}")
DIGIT = regex.compile(r"(?![0-9])\p{Nd}")
QUOTED, MOSTLY = 4, 5
"""A quoted word has so many characters at most, and less than one letter in so many of its text is of such a script."""
RAISED = regex.compile(r"([\p{dt=super}\p{dt=sub}\p{dt=fraction}])")
UNSEEN = regex.compile(
    r"[\u00ad\u200c\u200d\u2060\ufe00-\ufe0f\ufeff\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06ed"
    r"\u0591-\u05bd\u05bf\u05c1-\u05c5\u05c7]"
)
"""Soft hyphens, joiners, variation selectors, the Arabic tatweel, and the points of Arabic and Hebrew."""


def words(text: str, language: str = ENGLISH, *, asked: bool = False) -> list[str]:
    """Terms of a text in their order, repeats kept; empty where nothing but stop words is left.

    A word of up to four ideographs that is quoted in a text of another script is one term; where it is `asked` for, its
    pairs are terms besides.
    """
    plain = text.isascii() and language != "turkish"
    folded = text.lower() if plain else _folded(text, language)
    found: list[str] = WORD.findall(folded)
    if not plain and SOLID.search(folded):
        found = list(_cut(found, quoting=len(SOLID.findall(folded)) * MOSTLY < sum(map(len, found)), asked=asked))
    if language == ENGLISH or language in OTHER_SCRIPTS:
        found = [word for word in found if word not in STOP_WORDS]
    if language not in OTHER_SCRIPTS:
        return _stemmer(language)(found)
    return [_stemmer(ENGLISH if word.isascii() else language)([word])[0] for word in found]


def language_named(name: str) -> str:
    """A language by its name or its ISO 639-1 code, or `auto`. Raises UnknownName."""
    found = {code: language for language, code in CODES.items()}.get(name.lower(), name.lower())
    if found not in (AUTO, *LANGUAGES):
        raise UnknownName("language", name, (AUTO, *LANGUAGES))
    return found


def told(language: str) -> str:
    """What identities and reports say of a language; nothing of English, which was all that there was once."""
    return "" if language in ("", AUTO, ENGLISH) else f" language={language}"


SAMPLE, BEGINNING = 200, 1000
"""Passages that vote on the language, and how many of their characters are looked at."""
LETTERS = 20
"""Too short a text has no vote."""


WORDLESS = "zxx"
"""What py3langid says of a text in no language."""


def detected(texts: Sequence[str]) -> str:
    """The language that most of a sample's passages are written in, by py3langid; English where there is no majority.

    `none` where that language is not among LANGUAGES. The same texts in the same order give the same answer, which is
    kept in the cache where there are many: looking at them takes longer than reading a corpus of thousands.
    """
    kept = None
    if len(texts) >= SAMPLE:
        with suppress(BadInput, OSError):  # no home, or a cache that cannot be read, costs time and no run
            kept = files.cache_folder() / "languages" / digest("2", version("py3langid"), *_sample(texts)).hex()
            if (known := kept.read_text(encoding="utf-8")) in LANGUAGES:
                return known
    votes = spoken(texts)
    del votes[WORDLESS]  # tables of figures say nothing of the language of the prose beside them
    code, count = votes.most_common(1)[0] if votes else ("en", 0)
    is_most = 2 * count > votes.total()
    found = {code: language for language, code in CODES.items()}.get(code, NO_LANGUAGE) if is_most else ENGLISH
    if kept is not None:
        with suppress(BadInput, OSError):
            files.write_text(kept, found)
    return found


def _sample(texts: Sequence[str]) -> list[str]:
    return [text[:BEGINNING] for text in texts[:: max(1, len(texts) // SAMPLE)]]


def spoken(texts: Sequence[str]) -> Counter[str]:
    """ISO 639-1 codes of the languages that a sample of the texts is written in, with how many texts; short ones have
    no vote."""
    return Counter(_code_of(text) for text in _sample(texts) if sum(map(str.isalpha, text)) >= LETTERS)


@cache  # every store of an eval looks at the same passages
def _code_of(text: str) -> str:
    from py3langid import classify

    code = str(classify(text)[0])
    return {"nb": "no", "nn": "no", "pcm": "en"}.get(code, code)


def _folded(text: str, language: str) -> str:
    """Normalised and case folded: what is written in two ways and read as one comes out as one.

    Raised and lowered characters and fractions stay as they are: NFKC would glue 6\u00bd to 61/2 and a TM to its word.
    """
    parts = RAISED.split(text)
    text = "".join(part if RAISED.match(part) else unicodedata.normalize("NFKC", part) for part in parts)
    if language == "turkish":
        text = text.replace("I", "\u0131").replace("\u0130", "i")
    folded = unicodedata.normalize("NFC", text.casefold()).replace("i\u0307", "i")
    return str(UNSEEN.sub("", DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), folded)))


def _cut(found: Sequence[str], *, quoting: bool, asked: bool) -> Iterator[str]:
    """Words with writing without spaces in them as ideographs and pairs of neighbours, all others as they are."""
    for word in found:
        if SOLID.search(word) is None:
            yield word
            continue
        whole = quoting and len(CLUSTER.findall(word)) <= QUOTED
        if whole:
            yield word
        for run in RUN.findall(word) if asked or not whole else ():
            clusters = CLUSTER.findall(run) if SOLID.match(run) else [run]
            if len(clusters) == 1 and not whole:
                yield run
            elif len(clusters) > 1:
                yield from (cluster for cluster in clusters if IDEOGRAPH.match(cluster))
                yield from map("".join, pairwise(clusters))


@cache
def _stemmer(language: str) -> Callable[[list[str]], list[str]]:
    import Stemmer

    if language not in Stemmer.algorithms():
        return list
    stem: Callable[[list[str]], list[str]] = Stemmer.Stemmer(language).stemWords
    return stem
