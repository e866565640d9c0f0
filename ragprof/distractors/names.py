"""Names in passages, and names of the same shape from other passages to put in their place. Knows no meanings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from ragprof.core import Doc
from ragprof.distractors.edits import Change, Place
from ragprof.distractors.figures import with_article
from ragprof.distractors.prose import Prose

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
