"""Edited passages: what was changed where, and which edits of a passage are taken. Knows no rule; reads no file.

The rules are in `near_copies` and `contradictions`; docs/distractors.md shows each with an example.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random
from typing import NamedTuple

from ragprof.core import Doc


@dataclass(frozen=True, slots=True)
class Edit:
    """An edited passage: a document of its own, under the title of the passage that it was made from.

    `start` and `end` are characters of the source's text: what is before and behind them is the same in both. Where
    several places were changed, they reach from the first to the last; an insertion has `start == end`.
    """

    doc: Doc
    source: str
    rule: str
    start: int
    end: int


class Place(NamedTuple):
    """A stretch of a text and what it becomes."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """One edit that a rule offers: at least one place, in rising order, none overlapping another."""

    rule: str
    places: tuple[Place, ...]

    @property
    def start(self) -> int:
        """Where the first place begins."""
        return self.places[0].start

    @property
    def end(self) -> int:
        """Where the last place ends."""
        return self.places[-1].end


def applied(change: Change, text: str) -> str:
    """The text with every place changed."""
    kept_from = [0, *(place.end for place in change.places)]
    kept_to = [*(place.start for place in change.places), len(text)]
    kept = [text[start:end] for start, end in zip(kept_from, kept_to, strict=True)]
    return kept[0] + "".join(place.new + rest for place, rest in zip(change.places, kept[1:], strict=True))


def edited(doc: Doc, kind: str, changes: Iterable[Change], *, variants: int) -> list[Edit]:
    """The first `variants` changes that give a text of its own; fewer where there are not so many."""
    edits: list[Edit] = []
    seen = {doc.text}
    for change in changes:
        if len(edits) >= variants:
            break
        text = applied(change, doc.text)
        if text not in seen:
            seen.add(text)
            doc_id = f"{doc.doc_id}~{kind}{len(edits) + 1}"
            new = Doc(doc_id, doc.title, text, document_id=doc_id)
            edits.append(Edit(new, doc.doc_id, change.rule, change.start, change.end))
    return edits


def in_turn(rules: Sequence[Sequence[Change]]) -> Iterator[Change]:
    """The first change of every rule, then the second of every rule, and so on."""
    return (change for change in chain.from_iterable(zip_longest(*rules)) if change is not None)


def random_for(seed: int, doc_id: str, what: str) -> Random:
    """Random numbers that depend on these three alone, not on the passages around or on the rules tried before."""
    digest = hashlib.sha256(f"{seed}\0{what}\0{doc_id}".encode("utf-8", "surrogatepass")).digest()
    return Random(int.from_bytes(digest[:8], "big"))
