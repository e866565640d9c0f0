"""Statements turned into their negation and back: auxiliaries, never and always, conditions, True, False and None."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragprof.distractors.edits import Change, Place
from ragprof.distractors.prose import Prose, like

RULE = "negation"
VERBS = ("is", "are", "was", "were", "does", "do", "did", "must", "should", "will", "could", "would")
NEGATED = {
    **{f"{verb} not": verb for verb in VERBS},
    **{f"{verb}n't": verb for verb in VERBS},
    "cannot": "can", "can not": "can", "can't": "can", "won't": "will", "need not": "must", "needn't": "must",
    "has no effect": "takes effect", "have no effect": "take effect", "no longer": "still", "is no": "is some",
    "is no longer": "is still", "without": "with", "never": "always", "always": "never", "unless": "if",
    "only if": "unless", "if and only if": "unless", "only when": "except when", "returns nothing": "returns a value",
}  # fmt: skip
"""What turns a statement round, whatever the sentence around it."""
STATED = {
    "is": "is not", "are": "are not", "was": "was not", "were": "were not", "must": "must not", "should": "should not",
    "can": "cannot", "will": "will not", "may": "can never", "has been": "has not been", "have been": "have not been",
}  # fmt: skip
"""The verb of a main clause that has no negation."""
HALF_NEGATED = ("necessarily", "only", "just", "yet", "guaranteed to", "already", "otherwise", "specified", "noted")
BEHIND_VERB = re.compile(
    r"\s+(?:not|no|never|always|neither|none|nothing|only|either|also|even|need|want|wish|or|as\s+follows|to\s+be|because|why|how|what|that|when|where|an?\s+example"
    r"|the\s+following|(?:be\s+)?(?:described|listed|shown|documented|given\s+(?:by|in)|defined|found|discussed|illustrated"
    r"|presented|noted|explained|seen)|resemble|look\s+(?:like|similar))\b|n't|\s*[?:]"
)
BEFORE_VERB = re.compile(
    r"\b(?:where|because|that|which|who|what|how|why|whose|whatever|if|when|whether|unless|so|let|as"
    r"|than|since|while|until)\b[^,;]*$",
    re.IGNORECASE,
)
IF = re.compile(r"\bif(?=\s)", re.IGNORECASE)
BEFORE_IF = frozenset(
    [
        "as",
        "even",
        "only",
        "what",
        "see",
        "check",
        "checks",
        "test",
        "tests",
        "determine",
        "determines",
        "and",
        "or",
        "but",
        "know",
        "tell",
        "verify",
        "unless",
        "ask",
        "indicates",
        "specifies",
        "specify",
        "decide",
        "find",
        "out",
    ]
)
BEHIND_IF = re.compile(
    r"\s+(?:not|any|so|needed|necessary|possible|desired|applicable|available|else|you|your|we|and)\b|[^.]{0,200}\bnot\b"
)
TRUTH = re.compile(r"(?<![\w=.'\"])(?:true|false)\b(?!['\"(.]\w)", re.IGNORECASE)
BEFORE_TRUTH = re.compile(
    r"\b(?:returns?|if|when|is|are|to|be|yields?|gives?|with|or|and)(?:\s+(?:a|the value))?\s+[`*]{0,2}$", re.IGNORECASE
)
BEHIND_TRUTH = re.compile(r"[`*]{0,2},?\s+(?:if|when|iff|otherwise|for|on)\b", re.IGNORECASE)
BEFORE_DEFAULT = re.compile(
    r"\bdefault(?:s|ed)?(?:\s+values?)?(?:\s+(?:is|to|of)|\s?[:=])?\s*[`'\"*]{0,2}$", re.IGNORECASE
)
CELL = re.compile(r"(?<=\|)\s*(Yes|No)\s*(?=\|)")
NONE = re.compile(
    r"\b(?:returns?|defaults?\s+to|default(?:\s+value)?\s+is|default\s*[:=])\s*[`*]{0,2}(None)\b(?!\s+or\b)",
    re.IGNORECASE,
)
OTHER_TRUTH = {"true": "false", "false": "true", "True": "False", "False": "True", "TRUE": "FALSE", "FALSE": "TRUE"}
NEGATED_WORDS = re.compile(
    "|".join(rf"\b{words.replace(' ', chr(92) + 's+')}\b" for words in sorted(NEGATED, key=len, reverse=True)),
    re.IGNORECASE,
)
STATED_WORDS = re.compile(
    rf"\b(?:{'|'.join(words.replace(' ', chr(92) + 's+') for words in sorted(STATED, key=len, reverse=True))})\b"
)


def negations(prose: Prose) -> list[Change]:
    """Every statement that can be turned round, in the order of the text; one place each, but for True and False."""
    single = [*_negated(prose), *_stated(prose), *_conditions(prose), *_nones(prose)]
    changes = [Change(RULE, (place,)) for place in single] + list(_truths(prose))
    stated = [change for change in changes if prose.states(change.start)]
    cells = [Change(RULE, (place,)) for place in _cells(prose)]
    return sorted([*stated, *cells], key=lambda change: change.start)


def _negated(prose: Prose) -> Iterator[Place]:
    for found in NEGATED_WORDS.finditer(prose.plain):
        behind = prose.plain[found.end() : found.end() + 20]
        if not behind.lstrip().startswith(HALF_NEGATED) and not (found[0].endswith("not") and behind[:1] in ".,;"):
            new = NEGATED[" ".join(found[0].lower().split())]
            yield Place(found.start(), found.end(), like(found[0], new))


def _stated(prose: Prose) -> Iterator[Place]:
    for found in STATED_WORDS.finditer(prose.plain):
        start, _ = prose.around(found.start())
        before = prose.plain[start : found.start()]
        if before.strip() and not BEFORE_VERB.search(before) and not BEHIND_VERB.match(prose.plain, found.end()):
            yield Place(found.start(), found.end(), STATED[" ".join(found[0].split())])


def _conditions(prose: Prose) -> Iterator[Place]:
    """`if` to `unless`, where a fact rests on it and nothing is negated."""
    for found in IF.finditer(prose.plain):
        start, _ = prose.around(found.start())
        words = prose.plain[start : found.start()].split()
        if (not words or words[-1].lower() not in BEFORE_IF) and not BEHIND_IF.match(prose.plain, found.end()):
            yield Place(found.start(), found.end(), like(found[0], "unless"))


def _truths(prose: Prose) -> Iterator[Change]:
    """A default alone; else all that a sentence says of True and False, so that the sentence stays whole."""
    by_sentence: dict[tuple[int, int], list[Place]] = {}
    stating = set()
    for found in TRUTH.finditer(prose.stated):
        place = Place(found.start(), found.end(), OTHER_TRUTH.get(found[0], found[0]))
        before = prose.stated[max(0, found.start() - 40) : found.start()]
        if BEFORE_DEFAULT.search(before):
            yield Change(RULE, (place,))
            continue
        sentence = prose.sentence_at(found.start())
        by_sentence.setdefault(sentence, []).append(place)
        if BEFORE_TRUTH.search(before) or BEHIND_TRUTH.match(prose.stated, found.end()):
            stating.add(sentence)
    yield from (Change(RULE, tuple(places)) for sentence, places in by_sentence.items() if sentence in stating)


def _nones(prose: Prose) -> Iterator[Place]:
    for found in NONE.finditer(prose.stated):
        yield Place(found.start(1), found.end(1), "False")


def _cells(prose: Prose) -> Iterator[Place]:
    for found in CELL.finditer(prose.plain):
        yield Place(found.start(1), found.end(1), "No" if found[1] == "Yes" else "Yes")
