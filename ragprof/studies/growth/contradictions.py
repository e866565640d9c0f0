"""Contradictions of passages: one stated fact changed by rule, everything else left as it is.

Rules work on words, not on meaning: docs/distractors.md shows each, and says what they cannot do. There are five:
figures (the number, never its unit), negations (turned into statements and back), antonyms, types of values, and names
of the same shape from other passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from ragprof.core import Doc
from ragprof.studies.growth.near_copies import (
    Change,
    Edit,
    Place,
    Prose,
    article_for,
    edited,
    in_turn,
    like,
    random_for,
)

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
    """One place for each figure that a sentence states, in the order of the text.

    No number that names a place (section 4, page 7) and no year, rather than a quantity.
    """
    matches = [*FIGURE.finditer(prose.plain), *FIGURE_WORD.finditer(prose.plain)]
    for found in sorted(matches, key=lambda match: match.start()):
        start = found.start("figure") if "figure" in found.re.groupindex else found.start()
        end, figure = found.end(), prose.text[start : found.end()]
        named = ENUMERATED.search(prose.text, max(0, start - 20), start)
        is_year = figure.isdecimal() and int(figure) in YEARS and not re.match(r" ?[A-Za-z%]", prose.text[end:])
        if prose.states(start) and not named and not is_year:
            new = other_figure(found[0][start - found.start() :], random, follows=prose.text[end:][:9])
            yield with_article(prose.text, Place(start, end, new))


def default_figures(prose: Prose, random: Random) -> Iterator[Place]:
    """One place for each number that is stated as a default, inside inline code too."""
    for found in DEFAULT.finditer(prose.stated):
        yield Place(found.start(1), found.end(1), other_figure(found[1], random))


def other_figure(figure: str, random: Random, *, follows: str = "") -> str:
    """Another figure of the same form: `30` -> `45`, `1,000` -> `2,000`, `3.8` -> `3.9`, `two` -> `three`.

    `follows` is what stands behind it: a percentage stays at 100 or below.
    """
    if figure.lower() in WORDS:
        at = WORDS.index(figure.lower())
        word = random.choice([WORDS[near] for near in (at - 1, at + 1) if 0 <= near < len(WORDS)])
        return word.upper() if figure.isupper() else word.capitalize() if figure[0].isupper() else word
    if re.search(POINT, figure):
        # The last part but never the first moves on: 3.8 -> 3.9, 0.05 -> 0.08, 1.2.0 -> 1.4.0.
        parts = re.split(f"({POINT})", figure)
        last = parts[2]
        new = int(last) + random.choice([1, 2, 3])
        if len(str(new).zfill(len(last))) > len(last) and len(parts) == 3 and parts[0] == "0":
            new = max(1, int(last) - random.choice([1, 2, 3]))
        return "".join([*parts[:2], str(new).zfill(len(last)), *parts[3:]])
    value = int(figure.replace(",", ""))
    top = 100 if re.match(r" ?%| ?percent", follows) and value <= 100 else 10 * value + 3
    new = random.choice([other for other in _others(value) if 0 <= other <= top])
    return f"{new:,}" if "," in figure else str(new).zfill(len(figure)) if figure.startswith("0") else str(new)


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


# fmt: off
OPPOSITES_WORDS = """
maximum minimum; maximal minimal; maximize minimize; before after; first last; ascending descending;
lowercase uppercase; lowercased uppercased; synchronous asynchronous; synchronously asynchronously; older newer;
oldest newest; inclusive exclusive; inclusively exclusively; public private; publicly privately; required optional;
read-only writable; mutable immutable; ordered unordered; sorted unsorted; signed unsigned; sparse dense;
valid invalid; positive negative; non-negative negative; nonnegative negative; horizontal vertical;
horizontally vertically; row column; rows columns; width height; widths heights; local remote; internal external;
internally externally; implicit explicit; implicitly explicitly; static dynamic; statically dynamically;
success failure; successful unsuccessful; successfully unsuccessfully; available unavailable; automatic manual;
automatically manually; temporary permanent; temporarily permanently; recommended discouraged; deprecated recommended;
supported unsupported; shortest longest; smallest largest; lowest highest; earliest latest; nearest farthest;
shallow deep; incoming outgoing; larger smaller; longer shorter; faster slower; weaker stronger; wider narrower;
thread-safe thread-unsafe; case-sensitive case-insensitive; big-endian little-endian; leading trailing;
forward backward; forwards backwards; numerator denominator; encrypted unencrypted; compressed uncompressed;
enabled disabled; unique repeated; safe unsafe; directed undirected; weighted unweighted; bounded unbounded;
connected disconnected; finite infinite; real imaginary; linear nonlinear; discrete continuous; relative absolute;
primary secondary; empty non-empty; exactly roughly; inbound outbound; active inactive; present absent;
rightmost leftmost; topmost bottommost; upward downward; clockwise counterclockwise; ingress egress;
stateful stateless; symmetric asymmetric; predecessor successor; predecessors successors; mandatory optional;
often rarely; inner outer; textual binary; entire partial; simplest hardest; slowest fastest; newest oldest;
together separately
"""
"""Pairs, `a b`, both ways. A word that is in several pairs becomes what its first pair says."""

OPPOSITES_VERBS = """
increase / decrease; enable / disable; include / exclude; allow / deny;
permit permits permitted permitting / forbid forbids forbade forbidding; accept / reject; add / remove;
append / prepend; delete / keep keeps kept keeping; insert / delete; encode / decode; serialize / deserialize;
compress / decompress; encrypt / decrypt; lock / unlock; acquire / release; attach / detach;
connect connects connected - / disconnect disconnects disconnected -; register / unregister; load / save;
import / export; start / stop stops stopped stopping; - - created - / - - deleted -; raise / suppress;
ignore / respect - respected respecting; keep keeps kept keeping / discard; preserve / discard;
read reads - reading / write writes - writing; receive / send sends sent sending; succeed / fail;
expand / shrink shrinks shrunk shrinking; require requires - requiring / forbid forbids - forbidding;
wrap wraps wrapped wrapping / unwrap unwraps unwrapped unwrapping; pack / unpack; multiply / divide;
push / pop pops popped popping; prevent / cause; block blocks - blocking / unblock unblocks - unblocking; move / copy;
copy / move; open - opened - / close - closed -
"""
"""Verbs, both ways. One that is not regular has its base, -s, past participle and -ing form; `-` where a form is too
often another word."""

PHRASES = {
    r"at least": "at most", r"at most": "at least",
    r"(?:greater|more) than or equal to": "less than or equal to",
    r"(?:less|smaller) than or equal to": "greater than or equal to",
    r"more than": "fewer than", r"(?:less|fewer) than": "more than",
    r"higher than": "lower than", r"lower than": "higher than",
    r"the most (?!of\b)(?=[a-z]+)": "the least ", r"the least (?=[a-z]+)": "the most ",
    r"(?<!at )the same as": "different from", r"(?<!at )the same (?!time\b|as\b|way\b)(?=\w)": "a different ",
    r"equal to": "different from", r"different from": "the same as", r"identical to": "different from",
    r"the (?:beginning|start) of": "the end of", r"the end of": "the beginning of",
    r"at the (?:beginning|start)": "at the end", r"at the end(?! of\b)": "at the beginning",
    r"from the left": "from the right", r"from the right": "from the left",
    r"to the left": "to the right", r"to the right": "to the left",
    r"left(?= (?:side|edge|operand|corner|end|margin|child|boundary|border|part)\b)": "right",
    r"right(?= (?:side|edge|operand|corner|end|margin|child|boundary|border|part)\b)": "left",
    r"left-hand": "right-hand", r"right-hand": "left-hand",
    r"upper-case": "lower-case", r"lower-case": "upper-case", r"upper case": "lower case", r"lower case": "upper case",
    r"top(?= (?:left|right|edge|of|side|level)\b)": "bottom", r"bottom(?= (?:left|right|edge|of|side)\b)": "top",
    r"a (?:new )?copy(?= of\b|[.,;]|$)": "a view", r"a view(?= of\b|[.,;]|$)": "a copy",
    r"(?<=[Rr]eturn )a new": "the existing", r"(?<=[Rr]eturns )a new": "the existing",
    r"all(?= of (?:the|its|these|those|their)\b)": "none", r"none(?= of (?:the|its|these|those|their)\b)": "all",
    r"all(?= (?:the|its|these|those|their) \w+s\b)": "none of",
    r"(?<=[a-z] )all(?= [a-z-]+s\b(?! (?:of|in)\b))": "no", r"one or more": "exactly one",
    r"in[- ]place(?=[.,;)]|$)": "on a copy",
    r"in parallel": "one after the other", r"in reverse order": "in the original order",
    r"even(?= (?:number|integer|length|function|order|index)s?\b)": "odd",
    r"odd(?= (?:number|integer|length|function|order|index)s?\b)": "even",
    r"upper(?= (?:bound|limit|triang|half|end|left|right|tail))": "lower",
    r"lower(?= (?:bound|limit|triang|half|end|left|right|tail))": "upper",
    r"the parent(?= \w)": "the child", r"a single": "more than one",
    r"one-dimensional": "two-dimensional", r"two-dimensional": "three-dimensional",
}
"""Patterns and what they become."""

TYPES = {
    "a list": "a tuple", "a tuple": "a list", "a string": "an integer", "an integer": "a string",
    "a dictionary": "a list", "a dict": "a list", "a boolean": "a string", "a bool": "a string", "a float": "a string",
    "an iterator": "a list", "a generator": "a list", "an int": "a string", "an array": "a scalar",
    "a scalar": "an array", "a bytes object": "a string", "a namedtuple": "a dictionary",
    "a named tuple": "a dictionary", "an iterable": "a dictionary", "a callable": "a string",
    "a sequence": "a single value", "a matrix": "a vector", "a vector": "a matrix", "a class": "an instance",
    "a function": "a class", "a context manager": "an iterator", "a directory": "a file", "a file": "a directory",
}
"""What a value or parameter is, with its article."""

BEFORE = {
    "after": ("look", "named", "soon", "shortly", "right"), "before": ("as",), "first": ("at",), "last": ("at",),
    "real": ("in",), "hard": ("to",), "negative": ("false",), "positive": ("false",),
    "column": ("per",), "required": ("as", "where", "when", "if"), "static": ("a",), "present": ("at",),
}
"""Word -> words right before it that keep it as it is."""

AFTER = {
    "first": ("kind", "order", "class", "come", "step", "derivative", "of", "principles", "time", "choose"),
    "last": ("but", "resort", "updated"), "static": ("analysis", "method"),
    "local": ("time", "variable", "variables"), "real": ("time", "world"), "sorted": ("by",),
    "valid": ("for", "values"), "present": ("a", "the"), "after": ("all", "you"), "linear": ("algebra", "model"),
    "deep": ("learning",), "read": ("more",),
    "backward": ("compatibility", "compatible"), "active": ("directory",), "public": ("domain", "key"),
    "private": ("key",), "row": ("of",), "divide": ("into", "up"), "divides": ("into",), "divided": ("into",),
    "before": ("you", "running")
}
"""Word -> words right behind it that keep it as it is."""


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
        word = found[0].lower()
        new, needed = OPPOSITES.get(word), NEEDED_BEFORE.get(word)
        if not new:
            continue
        start, end = prose.around(found.start())
        before, behind = prose.plain[start : found.start()], prose.plain[found.end() : end]
        last, first = re.search(r"(\w+) +$", before.lower()), re.match(r"[ -](\w+)", behind.lower())
        nearby = set(re.findall(r"[\w-]+", prose.text[start:end].lower()))
        kept = (
            (needed and not needed.search(before))
            or NEGATED.search(before)
            or {word, new} & prose.named
            or new in nearby
            or not prose.states(found.start())
            or (last and last[1] in BEFORE.get(word, ()))
            or (first and first[1] in AFTER.get(word, ()))
        )
        if not kept:
            yield with_article(prose.text, Place(*found.span(), like(found[0], new)))
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
            yield Place(*found.span(), like(found[0], opposite))


def _forms(verb: str) -> list[str]:
    """Base, -s, past participle and -ing form of a verb of the list."""
    given = verb.split()
    if len(given) > 1:
        return given
    base, stem = verb.strip(), verb.strip().removesuffix("e")
    if base.endswith("y"):
        return [base, f"{base[:-1]}ies", f"{base[:-1]}ied", f"{base}ing"]
    return [base, base + ("es" if base.endswith(("s", "sh", "ch", "x")) else "s"), f"{stem}ed", f"{stem}ing"]


def _opposites() -> dict[str, str]:
    """Every word of both lists -> its opposite; the first pair that has it counts."""
    pairs = [tuple(pair.split()) for pair in OPPOSITES_WORDS.split(";")]
    for left, right in VERBS_AND_OPPOSITES:
        pairs += [forms for forms in zip(left, right, strict=True) if "-" not in forms]
    found: dict[str, str] = {}
    for one, other in [*pairs, *((other, one) for one, other in pairs)]:
        found.setdefault(one, other)
    return {one: other for one, other in found.items() if one != other}


def _alternatives(patterns: Sequence[str]) -> re.Pattern[str]:
    """One pattern of all, each under the name of its number; the earlier one wins."""
    wrapped = (re.sub(r"(?<=[\w)]) (?=[\w(\\])|(?<=\(\?[=!]) ", r"\\s+", pattern) for pattern in patterns)
    named = "|".join(rf"(?P<_{number}>{pattern})" for number, pattern in enumerate(wrapped))
    return re.compile(rf"(?<![\w\0'-])(?:{named})(?![\w\0'-])", re.IGNORECASE)


VERBS_AND_OPPOSITES = [[_forms(side) for side in row.split("/")] for row in OPPOSITES_VERBS.split(";")]
FORMS = [forms for both in VERBS_AND_OPPOSITES for forms in both]
NEEDED_BEFORE = {forms[2]: BEFORE_PARTICIPLE for forms in FORMS} | {forms[0]: BEFORE_BASE for forms in FORMS}
"""Verb forms that are other words elsewhere -> what has to stand before them."""
OPPOSITES = _opposites()
PHRASE = _alternatives(list(PHRASES))
TYPE = _alternatives(
    [rf"{words}(?=[.,;:)]|$|\s+(?:of|that|if|which|with|or|containing|where|from|object|in)\b)" for words in TYPES]
)


RULE = "name"
HUMPS = re.compile(r"(?<![\w.\0@$-])(?:[A-Z][a-z0-9]+){2,}(?![\w(-]|\.\w)")
DOTTED = re.compile(r"(?<![\w.\0/@$-])[a-z_]\w*(?:\.[A-Za-z_]\w+)+(?![\w-]|[./]\w)")
CAPITALISED = re.compile(
    r"(?<=[a-z,] )(?:[A-Z][A-Za-z0-9]+)(?: [A-Z][A-Za-z0-9]+){1,3}(?![\w-]|\\-| \\?\(| (?:(?:and|of|for|&) )?[A-Z])"
)
ALONE = re.compile(r"(?<= on )(?:[A-Z][a-z]{2,})(?=[.,;)]| (?:and|or|is|are|in|on|to|for)\b)")
NO_NAMES = frozenset({
    "True", "False", "None", "Note", "Notes", "Warning", "Returns", "Raises", "Parameters", "Attributes", "Example",
    "Examples", "See", "The", "This", "If",
})  # fmt: skip
FILE = re.compile(
    r"\.(?:py|txt|json|html?|csv|xml|toml|cfg|ini|exe|zip|gz|npy|npz|md|com|org|io|net|rst|so|dll|pyc|whl)$"
)


@dataclass(frozen=True)
class PassageNames:
    """Shape -> the names of that shape in a list of passages, sorted."""

    by_shape: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, docs: Sequence[Doc]) -> PassageNames:
        """All names that the passages state outside of code and addresses."""
        found: dict[str, set[str]] = {}
        for doc in docs:
            for shape, match in names_in(Prose(doc.text)):
                found.setdefault(shape, set()).add(match[0])
        return cls({shape: tuple(sorted(names)) for shape, names in found.items()})

    def instead_of(self, name: str, shape: str, doc: Doc, random: Random) -> str | None:
        """Another name of the shape that the passage does not have; None where there is none."""
        own = f"{doc.title} {doc.text}".lower()
        others = [other for other in self.by_shape.get(shape, ()) if other != name and other.lower() not in own]
        return random.choice(others) if others else None


def names_in(prose: Prose) -> Iterator[tuple[str, re.Match[str]]]:
    """Shape and match of every name that is stated; one name may come several times."""
    for pattern, shape_of in SHAPES:
        for found in pattern.finditer(prose.stated):
            if found[0].split()[0] not in NO_NAMES and not FILE.search(found[0]):
                yield shape_of(found), found


def names_changed(doc: Doc, prose: Prose, *, names: PassageNames, random: Random) -> list[Change]:
    """One change for each name, wherever it stands in the passage, in the order in which names come.

    In code too, but not in addresses. Names of which the title or the id of the passage has the whole, the last part
    or a longer word are left alone: the passage would be about something else.
    """
    own = f"{doc.title} {doc.doc_id}".lower()
    first: dict[str, str] = {}
    for shape, found in sorted(names_in(prose), key=lambda item: item[1].start()):
        name = found[0]
        parts = {name, name.rpartition(".")[2], *(word for word in name.split()[1:] if len(word) > 3)}
        if prose.states(found.start()) and not any(part.lower() in own for part in parts):
            first.setdefault(name, shape)
    changes = []
    for name, shape in first.items():
        new = names.instead_of(name, shape, doc, random)
        if new:
            word = re.compile(rf"(?<![\w.\\/-]){re.escape(name)}(?![\w\\/-]|\.\w)")
            places = (Place(*found.span(), new) for found in word.finditer(prose.unaddressed))
            changes.append(Change(RULE, tuple(with_article(prose.text, place) for place in places)))
    return [change for change in changes if change.places]


def _camel_shape(found: re.Match[str]) -> str:
    """CamelCase by its last word, which says what it is, and the number of words: ValueError can become TypeError."""
    words = re.findall("[A-Z][a-z0-9]+", found[0])
    return f"camel {words[-1]} {len(words)}"


def _dotted_shape(found: re.Match[str]) -> str:
    """By all but the last part and its case: os.path.join can become os.path.split, but not os.path.PathLike."""
    parent, _, last = found[0].rpartition(".")
    return f"dotted {parent} {last[0].isupper()}"


def _words_shape(found: re.Match[str]) -> str:
    """By the first word, the number of words and the plural: Amazon S3 can become Amazon EC2."""
    words = found[0].split()
    return f"words {words[0]} {len(words)} {words[-1].endswith('s')}"


def _single_shape(found: re.Match[str]) -> str:
    """By the word before: `on Windows` can become `on Linux`."""
    return f"after {found.string[: found.start()].split()[-1].lower()}"


SHAPES = ((HUMPS, _camel_shape), (DOTTED, _dotted_shape), (CAPITALISED, _words_shape), (ALONE, _single_shape))


NEGATION_RULE = "negation"
VERBS = ("is", "are", "was", "were", "does", "do", "did", "must", "should", "will", "could", "would")
WITH_NEGATION = {
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
BEFORE_IF = frozenset({
    "as", "even", "only", "what", "see", "check", "checks", "test", "tests", "determine", "determines", "and", "or",
    "but", "know", "tell", "verify", "unless", "ask", "indicates", "specifies", "specify", "decide", "find", "out",
})  # fmt: skip
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
    "|".join(rf"\b{words.replace(' ', chr(92) + 's+')}\b" for words in sorted(WITH_NEGATION, key=len, reverse=True)),
    re.IGNORECASE,
)
STATED_WORDS = re.compile(
    rf"\b(?:{'|'.join(words.replace(' ', chr(92) + 's+') for words in sorted(STATED, key=len, reverse=True))})\b"
)


def negations(prose: Prose) -> list[Change]:
    """Every statement that can be turned round, in the order of the text; one place each, but for True and False."""
    plain = prose.plain
    single: list[Place] = []
    for found in NEGATED_WORDS.finditer(plain):
        behind = plain[found.end() : found.end() + 20]
        if not behind.lstrip().startswith(HALF_NEGATED) and not (found[0].endswith("not") and behind[:1] in ".,;"):
            single.append(Place(*found.span(), like(found[0], WITH_NEGATION[" ".join(found[0].lower().split())])))
    for found in STATED_WORDS.finditer(plain):
        before = plain[prose.around(found.start())[0] : found.start()]
        if before.strip() and not BEFORE_VERB.search(before) and not BEHIND_VERB.match(plain, found.end()):
            single.append(Place(*found.span(), STATED[" ".join(found[0].split())]))
    for found in IF.finditer(plain):
        # `if` becomes `unless` where a fact rests on it and nothing is negated.
        words = plain[prose.around(found.start())[0] : found.start()].split()
        if (not words or words[-1].lower() not in BEFORE_IF) and not BEHIND_IF.match(plain, found.end()):
            single.append(Place(*found.span(), like(found[0], "unless")))
    single += [Place(*found.span(1), "False") for found in NONE.finditer(prose.stated)]
    changes = [Change(NEGATION_RULE, (place,)) for place in single] + list(_truths(prose))
    cells = [Place(*found.span(1), "No" if found[1] == "Yes" else "Yes") for found in CELL.finditer(plain)]
    stated = [change for change in changes if prose.states(change.start)]
    stated += [Change(NEGATION_RULE, (place,)) for place in cells]
    return sorted(stated, key=lambda change: change.start)


def _truths(prose: Prose) -> Iterator[Change]:
    """A default alone; else all that a sentence says of True and False, so that the sentence stays whole."""
    by_sentence: dict[tuple[int, int], list[Place]] = {}
    stating = set()
    for found in TRUTH.finditer(prose.stated):
        place = Place(*found.span(), OTHER_TRUTH.get(found[0], found[0]))
        before = prose.stated[max(0, found.start() - 40) : found.start()]
        if BEFORE_DEFAULT.search(before):
            yield Change(NEGATION_RULE, (place,))
            continue
        sentence = prose.sentence_at(found.start())
        by_sentence.setdefault(sentence, []).append(place)
        if BEFORE_TRUTH.search(before) or BEHIND_TRUTH.match(prose.stated, found.end()):
            stating.add(sentence)
    yield from (Change(NEGATION_RULE, tuple(places)) for sentence, places in by_sentence.items() if sentence in stating)


KIND = "contradicting"
EARLY = (300, 1000)
"""Characters: rules with a fact in the first 300 come before those with one in the first 1,000, these before others."""


def contradictions(docs: Sequence[Doc], *, variants: int, seed: int) -> list[Edit]:
    """Up to `variants` contradictions of each passage, by different rules first; in the order of the passages.

    A passage where no rule applies gives none. The same seed gives the same edits; only the names that stand in for
    others come from the rest of `docs`. Facts at the beginning are changed before those at the end.
    """
    names = PassageNames.of(docs)
    found = ((doc, contradicting_changes(doc, names=names, seed=seed)) for doc in docs)
    return [edit for doc, changes in found for edit in edited(doc, KIND, changes, variants=variants)]


def contradicting_changes(doc: Doc, *, names: PassageNames, seed: int) -> Iterator[Change]:
    """All that the rules offer, the rules in turn: those that reach the passage's beginning first, else shuffled."""
    prose = Prose(doc.text)
    figures, values = random_for(seed, doc.doc_id, "figure"), random_for(seed, doc.doc_id, "name")
    offers = {
        "figure": _singly("figure", [*default_figures(prose, figures), *figures_changed(prose, figures)]),
        "negation": negations(prose),
        "antonym": _singly("antonym", antonyms(prose)),
        "type": _singly("type", types(prose)),
        "name": names_changed(doc, prose, names=names, random=values),
    }
    random = random_for(seed, doc.doc_id, KIND)
    late = {
        rule: sum(changes[0].start >= reach for reach in EARLY) if changes else len(EARLY)
        for rule, changes in offers.items()
    }
    ranks = {rule: (late[rule], random.random()) for rule in offers}
    return in_turn([offers[rule] for rule in sorted(offers, key=lambda rule: ranks[rule])])


def _singly(rule: str, places: Iterable[Place]) -> list[Change]:
    """One change for each place, in the order of the text; of two that overlap, the longer one."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        if not kept or place.start >= kept[-1].end:
            kept.append(place)
    return [Change(rule, (place,)) for place in kept]
