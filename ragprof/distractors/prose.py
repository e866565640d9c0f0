"""Where a passage speaks English: code, addresses, references and identifiers blanked out, sentences found.

Works by pattern on Markdown, reStructuredText, numpy and Google docstrings. Parses none of them, and other languages
than English only by chance.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

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
        ends = [*(_end(found) for found in breaks), len(self.text.rstrip())]
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


def _end(found: re.Match[str]) -> int:
    """Where the sentence before a break ends: behind its closing quotes."""
    return found.start() + len(found[0].rstrip())
