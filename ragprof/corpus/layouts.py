"""Nested sub-corpora of declared kinds, as orders of one pool of passages. Pure: reads no file and embeds nothing.

Every order is a seeded shuffle of documents; the passages of a document stay together. Positions are those of a pool:
the corpus first, then the foreign passages, then the edited ones. A part of a corpus, for a first report, is such a
sub-corpus too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Layout
from ragprof.core.errors import BadInput
from ragprof.corpus.collection import Corpus, EvaluationSet, Qrels, WholeCorpus, fingerprint_of_docs

Places = NDArray[np.int64]
WORTH_A_POINT = 1.1
"""A curve that runs out of distractors gets its end as a last size where that is so much above the one before."""


@dataclass(frozen=True)
class Ground:
    """What all layouts of a recording share: the corpus, the passages kept in it, the sizes, the seed."""

    docs: Sequence[Doc]
    kept: Places
    sizes: tuple[int, ...]
    seed: int

    @cached_property
    def codes(self) -> Places:
        return document_codes(self.docs)

    def shuffled(self, order: int) -> Places:
        """All places of the corpus, whole documents in a seeded order."""
        codes = self.codes
        ranks = np.random.default_rng([self.seed, order]).permutation(int(codes.max()) + 1)
        return np.argsort(ranks[codes], kind="stable").astype(np.int64)

    def others(self, order: int) -> Places:
        """The shuffled corpus without what is kept."""
        shuffled = self.shuffled(order)
        return shuffled[~np.isin(shuffled, self.kept)]


def document_codes(docs: Sequence[Doc]) -> Places:
    """One number a document, the same for all of its passages, in the order in which documents come."""
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(doc.document_id, len(codes)) for doc in docs], np.int64)


def log_sizes(smallest: int, largest: int, points: int) -> tuple[int, ...]:
    """`points` sizes from smallest to largest, evenly spaced on a logarithmic scale; fewer where they coincide."""
    spaced = np.geomspace(smallest, largest, points).round().astype(int)
    return tuple(sorted({smallest, largest, *spaced.tolist()}))


def all_judged(ground: Ground, order: int) -> Layout:
    """What is kept first, so that it is in every sub-corpus; then the others at random."""
    return Layout(np.concatenate([ground.kept, ground.others(order)]), ground.sizes)


def proportional(ground: Ground, order: int) -> Layout:
    """A plain random order: kept passages come as they come."""
    return Layout(ground.shuffled(order), ground.sizes)


def nearest_first(ground: Ground, order: int, closeness: NDArray[np.floating]) -> Layout:
    """The smallest sub-corpus of `all_judged`, then the rest of the corpus, closest to what is kept first.

    `closeness` has one number for each place of the corpus; ties stay in the corpus's order.
    """
    start = all_judged(ground, order).members[: ground.sizes[0]]
    by_closeness = np.argsort(-closeness, kind="stable").astype(np.int64)
    return Layout(np.concatenate([start, by_closeness[~np.isin(by_closeness, start)]]), ground.sizes)


def added(ground: Ground, order: int, distractors: Places) -> Layout:
    """The smallest sub-corpus of `all_judged`, then distractors from outside of the corpus in a seeded order."""
    start = all_judged(ground, order).members[: ground.sizes[0]]
    shuffled = np.random.default_rng([ground.seed, order, 1]).permutation(distractors)
    return Layout(np.concatenate([start, shuffled]), reached(ground.sizes, len(start) + len(distractors)))


def reached(sizes: tuple[int, ...], end: int) -> tuple[int, ...]:
    """The sizes up to `end`, and `end` itself where it stops short of the largest and adds something."""
    within = tuple(size for size in sizes if size <= end)
    return (*within, end) if len(within) < len(sizes) and end >= WORTH_A_POINT * within[-1] else within


def relevant_places(docs: Sequence[Doc], qrels: Qrels) -> Places:
    """Return the places of all passages of documents that are relevant to some query, rising."""
    relevant = {document for judged in qrels.values() for document, grade in judged.items() if grade > 0}
    return np.array([place for place, doc in enumerate(docs) if doc.document_id in relevant], np.int64)


def part_of(corpus: Corpus, evaluation: EvaluationSet, passages: int, *, seed: int) -> Corpus:
    """Return at most so many passages of a corpus, in its order: whole documents, all relevant ones among them.

    The other judged documents come next, since they are what was found in the whole corpus and so mislead most; then
    the rest. Both are in the seeded order in which `all_judged` grows, so a larger part holds every smaller one.
    Raises BadInput where there is no room for what is relevant.
    """
    if passages < 1:
        raise BadInput(f"passages = {passages:,}: a corpus of none cannot be searched; give 1 or more")
    if passages >= len(corpus.docs):
        return corpus
    kept = relevant_places(corpus.docs, evaluation.qrels)
    if passages < len(kept):
        raise BadInput(
            f"passages = {passages:,}: the documents that are judged relevant have {len(kept):,} passages, and all of "
            f"them have to be searched; give {len(kept):,} or more"
        )
    ground = Ground(corpus.docs, kept, (passages,), seed)
    others = ground.others(0)
    judged = np.array(
        [corpus.docs[place].document_id in evaluation.judged_documents for place in others.tolist()], bool
    )
    members = np.concatenate([kept, others[np.argsort(~judged, kind="stable")]])
    end, codes = passages, ground.codes[members]
    while end > len(kept) and codes[end - 1] == codes[end]:  # no room for all of this document
        end -= 1
    docs = tuple(corpus.docs[place] for place in np.sort(members[:end]).tolist())
    if not docs:
        raise BadInput(f"passages = {passages:,}: no document has so few; give more")
    whole = WholeCorpus(len(corpus.docs), corpus.documents, corpus.sha256)
    return replace(corpus, docs=docs, sha256=fingerprint_of_docs(docs), whole=whole)
