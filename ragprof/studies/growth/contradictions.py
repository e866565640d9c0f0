"""Contradictions of passages: one stated fact changed by rule, everything else left as it is.

Rules work on words, not on meaning: docs/distractors.md shows each, and says what they cannot do.

Words, verbs, phrases and types replaced by their opposites, case kept. The lists are in `opposites`.

Figures in English and what else they could have been. Changes the number, never its unit; reads no meaning.

Names in passages, and names of the same shape from other passages to put in their place. Knows no meanings.

Statements turned into their negation and back: auxiliaries, never and always, conditions, True, False and None.

Word lists for contradictions: opposites with their inflections, what blocks them, phrases, types. Data only.
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
shallow deep; incoming outgoing; larger smaller; longer shorter; faster slower;
weaker stronger; wider narrower; thread-safe thread-unsafe; case-sensitive case-insensitive; big-endian little-endian;
leading trailing; forward backward; forwards backwards; numerator denominator;
encrypted unencrypted; compressed uncompressed; enabled disabled; unique repeated; safe unsafe;
directed undirected; weighted unweighted; bounded unbounded; connected disconnected; finite infinite; real imaginary;
linear nonlinear; discrete continuous; relative absolute; primary secondary; empty non-empty; exactly roughly;
inbound outbound; active inactive; present absent; rightmost leftmost; topmost bottommost; upward downward;
clockwise counterclockwise; ingress egress; stateful stateless; symmetric asymmetric; predecessor successor;
predecessors successors; mandatory optional; often rarely; inner outer; textual binary; entire partial;
simplest hardest; slowest fastest; newest oldest; together separately
"""
"""Pairs, `a b`, both ways. A word that is in several pairs becomes what its first pair says."""

OPPOSITES_VERBS = """
increase increases increased increasing / decrease decreases decreased decreasing
enable enables enabled enabling / disable disables disabled disabling
include includes included including / exclude excludes excluded excluding
allow allows allowed allowing / deny denies denied denying
permit permits permitted permitting / forbid forbids forbade forbidding
accept accepts accepted accepting / reject rejects rejected rejecting
add adds added adding / remove removes removed removing
append appends appended appending / prepend prepends prepended prepending
delete deletes deleted deleting / keep keeps kept keeping
insert inserts inserted inserting / delete deletes deleted deleting
encode encodes encoded encoding / decode decodes decoded decoding
serialize serializes serialized serializing / deserialize deserializes deserialized deserializing
compress compresses compressed compressing / decompress decompresses decompressed decompressing
encrypt encrypts encrypted encrypting / decrypt decrypts decrypted decrypting
lock locks locked locking / unlock unlocks unlocked unlocking
acquire acquires acquired acquiring / release releases released releasing
attach attaches attached attaching / detach detaches detached detaching
connect connects connected - / disconnect disconnects disconnected -
register registers registered registering / unregister unregisters unregistered unregistering
load loads loaded loading / save saves saved saving
import imports imported importing / export exports exported exporting
start starts started starting / stop stops stopped stopping
- - created - / - - deleted -
raise raises raised raising / suppress suppresses suppressed suppressing
ignore ignores ignored ignoring / respect - respected respecting
keep keeps kept keeping / discard discards discarded discarding
preserve preserves preserved preserving / discard discards discarded discarding
read reads - reading / write writes - writing
receive receives received receiving / send sends sent sending
succeed succeeds succeeded succeeding / fail fails failed failing
expand expands expanded expanding / shrink shrinks shrunk shrinking
require requires - requiring / forbid forbids - forbidding
wrap wraps wrapped wrapping / unwrap unwraps unwrapped unwrapping
pack packs packed packing / unpack unpacks unpacked unpacking
multiply multiplies multiplied multiplying / divide divides divided dividing
push pushes pushed pushing / pop pops popped popping
prevent prevents prevented preventing / cause causes caused causing
block blocks - blocking / unblock unblocks - unblocking
move moves moved moving / copy copies copied copying
copy copies copied copying / move moves moved moving
open - opened - / close - closed -
"""
"""Base, -s, past participle and -ing form, both ways; `-` where a form is too often another word."""

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
        new = OPPOSITES.get(found[0].lower())
        if new and _fits(prose, found, new):
            yield with_article(prose.text, Place(found.start(), found.end(), like(found[0], new)))
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
            yield Place(found.start(), found.end(), like(found[0], opposite))


def _fits(prose: Prose, found: re.Match[str], new: str) -> bool:
    word = found[0].lower()
    start, end = prose.around(found.start())
    before = prose.plain[start : found.start()]
    needed = NEEDED_BEFORE.get(word)
    if (needed and not needed.search(before)) or NEGATED.search(before):
        return False
    nearby = set(re.findall(r"[\w-]+", prose.text[start:end].lower()))
    if {word, new} & prose.named or new in nearby or not prose.states(found.start()):
        return False
    return not (_last(before) in BEFORE.get(word, ()) or _first(prose.plain[found.end() : end]) in AFTER.get(word, ()))


def _last(text: str) -> str:
    return next(iter(re.findall(r"(\w+) +$", text.lower())), "")


def _first(text: str) -> str:
    return next(iter(re.findall(r"^[ -](\w+)", text.lower())), "")


def _opposites() -> dict[str, str]:
    """Every word of both lists -> its opposite; the first pair that has it counts."""
    pairs = [tuple(pair.split()) for pair in OPPOSITES_WORDS.split(";")]
    for row in OPPOSITES_VERBS.strip().splitlines():
        left, right = (side.split() for side in row.split(" / "))
        pairs += [forms for forms in zip(left, right, strict=True) if "-" not in forms]
    found: dict[str, str] = {}
    for one, other in pairs:
        found.setdefault(one, other)
    for one, other in pairs:
        found.setdefault(other, one)
    return {one: other for one, other in found.items() if one != other}


def _alternatives(patterns: Sequence[str]) -> re.Pattern[str]:
    """One pattern of all, each under the name of its number; the earlier one wins."""
    wrapped = (re.sub(r"(?<=[\w)]) (?=[\w(\\])|(?<=\(\?[=!]) ", r"\\s+", pattern) for pattern in patterns)
    named = "|".join(rf"(?P<_{number}>{pattern})" for number, pattern in enumerate(wrapped))
    return re.compile(rf"(?<![\w\0'-])(?:{named})(?![\w\0'-])", re.IGNORECASE)


FORMS = [side.split() for row in OPPOSITES_VERBS.strip().splitlines() for side in row.split(" / ")]
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
NO_NAMES = frozenset(
    [
        "True",
        "False",
        "None",
        "Note",
        "Notes",
        "Warning",
        "Returns",
        "Raises",
        "Parameters",
        "Attributes",
        "Example",
        "Examples",
        "See",
        "The",
        "This",
        "If",
    ]
)
FILE = re.compile(
    r"\.(?:py|txt|json|html?|csv|xml|toml|cfg|ini|exe|zip|gz|npy|npz|md|com|org|io|net|rst|so|dll|pyc|whl)$"
)


@dataclass(frozen=True)
class Names:
    """Shape -> the names of that shape in a list of passages, sorted."""

    by_shape: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, docs: Sequence[Doc]) -> Names:
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


def names_changed(doc: Doc, prose: Prose, *, names: Names, random: Random) -> list[Change]:
    """One change for each name, wherever it stands in the passage, in the order in which names come.

    Names in the passage's title or id are left alone: the passage would be about something else.
    """
    own = f"{doc.title} {doc.doc_id}".lower()
    first: dict[str, str] = {}
    for shape, found in sorted(names_in(prose), key=lambda item: item[1].start()):
        if prose.states(found.start()) and not _is_own(found[0], own):
            first.setdefault(found[0], shape)
    replaced = ((name, names.instead_of(name, shape, doc, random)) for name, shape in first.items())
    changes = [Change(RULE, _everywhere(name, new, prose)) for name, new in replaced if new]
    return [change for change in changes if change.places]


def _is_own(name: str, own: str) -> bool:
    """Whether title or id have the name, its last part, or one of its longer words."""
    parts = {name, name.rpartition(".")[2], *(word for word in name.split()[1:] if len(word) > 3)}
    return any(part.lower() in own for part in parts)


def _everywhere(name: str, new: str, prose: Prose) -> tuple[Place, ...]:
    """Every occurrence as a word of its own, in code too, but not in addresses."""
    whole = re.compile(rf"(?<![\w.\\/-]){re.escape(name)}(?![\w\\/-]|\.\w)")
    return tuple(
        with_article(prose.text, Place(found.start(), found.end(), new)) for found in whole.finditer(prose.unaddressed)
    )


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
    "|".join(rf"\b{words.replace(' ', chr(92) + 's+')}\b" for words in sorted(WITH_NEGATION, key=len, reverse=True)),
    re.IGNORECASE,
)
STATED_WORDS = re.compile(
    rf"\b(?:{'|'.join(words.replace(' ', chr(92) + 's+') for words in sorted(STATED, key=len, reverse=True))})\b"
)


def negations(prose: Prose) -> list[Change]:
    """Every statement that can be turned round, in the order of the text; one place each, but for True and False."""
    single = [*_negated(prose), *_stated(prose), *_conditions(prose), *_nones(prose)]
    changes = [Change(NEGATION_RULE, (place,)) for place in single] + list(_truths(prose))
    stated = [change for change in changes if prose.states(change.start)]
    cells = [Change(NEGATION_RULE, (place,)) for place in _cells(prose)]
    return sorted([*stated, *cells], key=lambda change: change.start)


def _negated(prose: Prose) -> Iterator[Place]:
    for found in NEGATED_WORDS.finditer(prose.plain):
        behind = prose.plain[found.end() : found.end() + 20]
        if not behind.lstrip().startswith(HALF_NEGATED) and not (found[0].endswith("not") and behind[:1] in ".,;"):
            new = WITH_NEGATION[" ".join(found[0].lower().split())]
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
            yield Change(NEGATION_RULE, (place,))
            continue
        sentence = prose.sentence_at(found.start())
        by_sentence.setdefault(sentence, []).append(place)
        if BEFORE_TRUTH.search(before) or BEHIND_TRUTH.match(prose.stated, found.end()):
            stating.add(sentence)
    yield from (Change(NEGATION_RULE, tuple(places)) for sentence, places in by_sentence.items() if sentence in stating)


def _nones(prose: Prose) -> Iterator[Place]:
    for found in NONE.finditer(prose.stated):
        yield Place(found.start(1), found.end(1), "False")


def _cells(prose: Prose) -> Iterator[Place]:
    for found in CELL.finditer(prose.plain):
        yield Place(found.start(1), found.end(1), "No" if found[1] == "Yes" else "Yes")


KIND = "contradicting"
EARLY = (300, 1000)
"""Characters: rules with a fact in the first 300 come before those with one in the first 1,000, these before others."""


def contradictions(docs: Sequence[Doc], *, variants: int, seed: int) -> list[Edit]:
    """Up to `variants` contradictions of each passage, by different rules first; in the order of the passages.

    A passage where no rule applies gives none. The same seed gives the same edits; only the names that stand in for
    others come from the rest of `docs`. Facts at the beginning are changed before those at the end.
    """
    names = Names.of(docs)
    found = ((doc, contradicting_changes(doc, names=names, seed=seed)) for doc in docs)
    return [edit for doc, changes in found for edit in edited(doc, KIND, changes, variants=variants)]


def contradicting_changes(doc: Doc, *, names: Names, seed: int) -> Iterator[Change]:
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
    ranks = {rule: (_lateness(changes), random.random()) for rule, changes in offers.items()}
    return in_turn([offers[rule] for rule in sorted(offers, key=lambda rule: ranks[rule])])


def _lateness(changes: Sequence[Change]) -> int:
    return sum(changes[0].start >= reach for reach in EARLY) if changes else len(EARLY)


def _singly(rule: str, places: Iterable[Place]) -> list[Change]:
    """One change for each place, in the order of the text; of two that overlap, the longer one."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        if not kept or place.start >= kept[-1].end:
            kept.append(place)
    return [Change(rule, (place,)) for place in kept]
