"""Answers against gold answers, as texts: exact match and token F1 as SQuAD has them, and whether a text holds one.

Gold answers are prose or code. SQuAD's rules delete punctuation, so that `shutil.rmtree` becomes one word; to look for
a gold answer inside a text, punctuation parts words instead. Reads no file, knows no model and no judgement.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

ARTICLE = re.compile(r"\b(?:a|an|the)\b")
PROSE_ARTICLE = re.compile(r"(?<!\S)(?:a|an|the)\s+(?=\w)")
PUNCTUATION = str.maketrans("", "", string.punctuation)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
WITHOUT_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{WITHOUT_BLANKS}]|[^\W{WITHOUT_BLANKS}]+(?:(?<=\d)\.(?=\d)\w+)*(?:\+\+|#)?")


def normalised(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single blanks: `normalize_answer` of SQuAD's evaluate-v1.1.

    Rajpurkar, Zhang, Lopyrev and Liang: SQuAD: 100,000+ Questions for Machine Comprehension of Text, EMNLP 2016.
    """
    return " ".join(ARTICLE.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(golds: Iterable[str], answer: str) -> bool:
    """Whether the answer is one of the gold answers once both are normalised.

    A gold answer of nothing but punctuation and articles (`//`, `a`) must be met as it is written, but for case and
    blanks around it. No gold answer is ever met by an empty answer.
    """
    return any(_equal(gold, answer) for gold in golds)


def token_f1(golds: Iterable[str], answer: str) -> float:
    """F1 of the normalised words, repeats counted, with the gold answer that fits best; 0 without a gold answer.

    The source is that of `normalised`.
    """
    return max((_f1(gold, answer) for gold in golds), default=0.0)


def contains(golds: Iterable[str], text: str) -> bool:
    """Whether one of the gold answers stands in the text as a run of whole words, as `Words` has them."""
    words = Words.of(text)
    return any(words.hold(Words.of(gold)) for gold in golds)


@dataclass(frozen=True)
class Words:
    """A text as a run of words: letters, digits and underscores, compared without regard to case (NFKC, casefold).

    So `lru_cache` stands in `@functools.lru_cache(maxsize=None)`, `check=True` in `check = True`, but `he` not in
    `the` and `cache` not in `lru_cache`. A number is one word with its decimals (`3` is not in `3.5`) and reads the
    same with and without commas at the thousands; its sign is not read. `C++` and `C#` are not `C`. Articles before
    a word do not count, as in SQuAD; the `a` of `mode="a"` does. In scripts that put no blanks between words (Chinese,
    Japanese, Thai, Lao, Khmer, Burmese) every character is a word.
    """

    plain: str

    @classmethod
    def of(cls, text: str) -> Words:
        return cls(THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold()))

    @cached_property
    def every(self) -> str:
        """All words, each between blanks."""
        return _between_blanks(WORD.findall(self.plain))

    @cached_property
    def telling(self) -> str:
        """The words without articles."""
        return _between_blanks(WORD.findall(PROSE_ARTICLE.sub("", self.plain)))

    def hold(self, gold: Words) -> bool:
        """Whether the gold answer's words stand here one after the other; never for one without words."""
        if not gold.every or any(word not in self.plain for word in gold.telling.split()):
            return False  # most texts lack a word, and need not be cut into words to tell
        if gold.every in self.every or gold.telling in self.every:
            return True
        return gold.telling.count(" ") > 2 and gold.telling in self.telling


def _between_blanks(words: Sequence[str]) -> str:
    return f" {' '.join(words)} " if words else ""


def _equal(gold: str, answer: str) -> bool:
    wanted = normalised(gold)
    if wanted:
        return wanted == normalised(answer)
    return gold.strip() != "" and gold.strip().lower() == answer.strip().lower()


def _f1(gold: str, answer: str) -> float:
    wanted, given = Counter(normalised(gold).split()), Counter(normalised(answer).split())
    if not wanted:
        return float(_equal(gold, answer))
    return 2 * (wanted & given).total() / (wanted.total() + given.total())
