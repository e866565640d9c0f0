"""Whether an answer says that it has none: "The passages do not say.", "I don't know", "Unknown". English only.

Phrases, not understanding: what an answer means beyond them is not read, nor whether it was right to abstain.
"""

from __future__ import annotations

import re
import unicodedata

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
    return any(_says_so(sentence) for sentence in SENTENCE.split(plain))


def _says_so(sentence: str) -> bool:
    opening = sentence.lstrip(OPENING_QUOTES)
    while (lead_in := LEAD_IN.match(opening)) is not None:
        opening = opening[lead_in.end() :].lstrip(OPENING_QUOTES)
    if WHOLE.fullmatch(opening.rstrip(".!*_`\"') ")):
        return True
    return OPENINGS.match(opening) is not None and CONDITION.match(opening) is None
