"""Nested sub-corpora of declared kinds, as orders of one pool of passages. Pure: reads no file and embeds nothing.

Every order is a seeded shuffle of documents; the passages of a document stay together. Positions are those of a pool:
the corpus first, then the foreign passages, then the edited ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Layout

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
