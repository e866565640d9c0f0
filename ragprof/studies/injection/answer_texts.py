"""Answers as texts: exact match and token F1 as SQuAD has them, whether a text holds a gold answer, and abstaining.

Gold answers are prose or code. SQuAD's rules delete punctuation, so that `shutil.rmtree` becomes one word; to look for
a gold answer inside a text, punctuation parts words instead. Whether an answer says that it has none ("The passages do
not say.", "Unknown") is read from English phrases alone: not what it means beyond them, nor whether it was right to
abstain. Reads no file, knows no model and no judgement.
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
    given, best = Counter(normalised(answer).split()), 0.0
    for gold in golds:
        wanted = Counter(normalised(gold).split())
        shared = 2 * (wanted & given).total() / (wanted.total() + given.total()) if wanted else _equal(gold, answer)
        best = max(best, float(shared))
    return best


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


SOURCE = r"(?:passages?|contexts?|texts?|documents?|documentation|information|excerpts?|sources?|chunks?|snippets?)"
THE_SOURCE = (
    r"(?:(?:the|these|those|this|your|any of the|any of these) )?(?:\w+ ){0,2}?"
    rf"{SOURCE}(?: (?:provided|given|above|here))?(?: (?:and )?\[?\d+\]?,?)*"
)
DO_NOT = r"(?:do|does|did)(?:n't| not)"
CANNOT = r"(?:cannot|can't|can not|couldn't|could not)"
IS_NOT = r"(?:is|are|was|were)(?:n't| not)"
HOLD = (
    r"(?:hold|contain|mention|say|state|specify|provide|give|include|answer|discuss|describe|explain|tell|address|"
    r"cover|offer|indicate|have|list)"
)
HELD = (
    r"(?:found|mentioned|given|stated|specified|provided|contained|included|answered|known|available|described|"
    r"explained|covered|addressed|discussed|listed|present)"
)
FIND = r"(?:know|answer|find|determine|tell|say)"
IT = r"(?:(?:it|this|that|(?:the )?answer|(?:the )?information|(?:the|this|your) question) (?:is |was )?)?"
MATTER = r"(?:information|mention|answer|evidence|details?)"

OPENING_QUOTES = "*_`\"'([> "
SENTENCE = re.compile(r"(?<=[.!?;])\s+")
LEAD_IN = re.compile(
    rf"(?:(?:i'm|i am) (?:so |very )?sorry(?:, but)?|sorry(?:, but)?|unfortunately|answer(?=:)|"
    rf"(?:based on|according to|from|in) {THE_SOURCE})[,:]? "
)
WHOLE = re.compile(rf"n/?a|{IT}(?:unknown|unanswerable|not (?:\w+ )?(?:answerable|{HELD}))|no answer|no information")
CONDITION = re.compile(r"(?:if|when|where|unless|because|since|as) ")
OPENINGS = re.compile(
    "|".join(
        (
            rf"{THE_SOURCE} {DO_NOT} (?:\w+ )?{HOLD}\b",
            rf"they {DO_NOT} (?:\w+ )?{HOLD}(?: \w+){{0,2}} {MATTER}\b",
            rf"(?:none of {THE_SOURCE}|no {SOURCE}) (?:\w+ )?{HOLD}s?\b",
            rf"(?:i|we) (?:{DO_NOT}|{CANNOT}) (?:\w+ )?{FIND}\b",
            rf"(?:i|we) (?:{DO_NOT} have(?: \w+){{0,2}}|have no) (?:information|idea|answer|knowledge|context)\b",
            rf"(?:i am |i'm |we are )?(?:unable|not able) to (?:\w+ )?{FIND}\b",
            rf"{IT}{CANNOT} be (?:\w+ )?(?:answered|determined|found|inferred|known)\b",
            rf"(?:[\w'-]+ ){{0,12}}?{IS_NOT} (?:\w+ )?(?:{HELD} )?(?:in|within|by|from) {THE_SOURCE}\b",
            rf"not (?:{HELD} )?(?:in|within|by|from) {THE_SOURCE}\b",
            rf"(?:there (?:is|are|was|were) )?(?:no|not any|not enough|insufficient) (?:\w+ )?{MATTER}"
            r"(?= (?:about|on|in|regarding|to|that|given|provided|available|found|for|of|as to|whether|how)\b|[.,!]|$)",
        )
    )
)


def abstained(answer: str) -> bool:
    """Whether one of the answer's sentences opens by saying that the passages, or the model, have no answer.

    What it says besides does not matter: it may abstain and then guess. A sentence that takes back a part ("However,
    the passages do not ...") is not abstaining. An empty answer says nothing: it is no answer, hence wrong, and has
    not abstained.
    """
    plain = " ".join(unicodedata.normalize("NFKC", answer).casefold().replace("\u2019", "'").split())
    for sentence in SENTENCE.split(plain):
        opening = sentence.lstrip(OPENING_QUOTES)
        while (lead_in := LEAD_IN.match(opening)) is not None:
            opening = opening[lead_in.end() :].lstrip(OPENING_QUOTES)
        if WHOLE.fullmatch(opening.rstrip(".!*_`\"') ")):
            return True
        if OPENINGS.match(opening) is not None and CONDITION.match(opening) is None:
            return True
    return False
