"""Contradictions of passages: one stated fact changed by rule, everything else left as it is.

Rules work on words, not on meaning: docs/distractors.md shows each, and says what they cannot do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ragprof.core import Doc
from ragprof.distractors.antonyms import antonyms, types
from ragprof.distractors.edits import Change, Edit, Place, edited, in_turn, random_for
from ragprof.distractors.figures import default_figures, figures_changed
from ragprof.distractors.names import Names, names_changed
from ragprof.distractors.negations import negations
from ragprof.distractors.prose import Prose

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
