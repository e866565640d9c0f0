"""What each prompt would hold if documents of a source were added: all that were sampled, or a random half of them.

How far an estimate from a sample moves with the sample is told by random halves of it, drawn without replacement (half
samples: Efron, The jackknife, the bootstrap and other resampling plans, 1982). Nothing is said here of more documents
than were sampled: `whole.py` does. Pure: reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragprof.judge.arrays import UNJUDGED

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """What one query found, in the search's order: arrays of one entry a passage.

    `documents` numbers them, passages of one document alike; `source` is the number of a sampled document, -1 of the
    corpus's own. `scores` are those of the last stage that ranks. `grades` are UNJUDGED where nobody judged.
    """

    documents: Counts
    source: Counts
    scores: Values
    grades: Values
    tokens: Values


@dataclass(frozen=True)
class Packing:
    """How many passages the prompt takes, and how many tokens they may have; None: any."""

    k: int
    room: float | None


@dataclass(frozen=True)
class Prompts:
    """Of each resample: grades of the documents in their final order (resamples, depth), and what the prompt holds.

    Grades are NaN behind the last document; `held` are passages.
    """

    grades: Values
    context_tokens: Values
    from_source: Values
    held: Values


def halves_of(sampled: int, resamples: int, seed: int) -> Counts:
    """1 where a sampled document is in the half, 0 where it is not, (resamples, sampled)."""
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(sampled) < sampled // 2, (resamples, 1)), axis=1).astype(np.int64)


def inflation(whole: Values, half: Values) -> Values:
    """By how much the spread of half samples falls short of the sample's own: 1 where twice as many documents do the
    same, 2 where they do twice as much."""
    ratio: Values = np.divide(np.abs(whole), np.abs(half), out=np.full(whole.shape, 2.0), where=half != 0)
    return np.asarray(np.clip(ratio, 1.0, 2.0))


def merged(with_sample: Sequence[tuple[str, float]], as_it_is: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The search's order with the sample, then what only the search without it reached, in its order."""
    known = {name for name, _ in with_sample}
    return [*with_sample, *((name, score) for name, score in as_it_is if name not in known)]


def simulate(found: Candidates, counts: Counts, *, depth: int, packing: Packing) -> Prompts:
    """Every resample of one query at once. `counts` say how often each sampled document is there, if at all."""
    resamples, size = len(counts), len(found.documents)
    if not size:
        nothing = np.zeros(resamples)
        return Prompts(np.full((resamples, depth), np.nan), nothing, nothing, nothing)
    own = found.source < 0
    copies = np.where(own, 1, counts[:, np.where(own, 0, found.source)] if counts.shape[1] else 1)
    before = np.cumsum(copies, axis=1) - copies
    kept = np.clip(depth - before, 0, copies)  # of those that would be found, as many as the depth lets through
    order = np.argsort(-found.scores, kind="stable")
    at = _expanded(kept[:, order], depth)
    filled = at >= 0
    items = order[np.maximum(at, 0)]
    tokens = np.where(filled, found.tokens[items], 0.0)
    used, held, new = np.zeros(resamples), np.zeros(resamples), np.zeros(resamples)
    for place in range(depth):
        fits = filled[:, place] & (held < packing.k)
        if packing.room is not None:
            fits &= used + tokens[:, place] <= packing.room
        used += np.where(fits, tokens[:, place], 0.0)
        held += fits
        new += fits & ~own[items[:, place]]
    # A document counts where its first passage stands; those behind it close up.
    same = found.documents[order][:, None] == found.documents[order][None, :]
    earlier = (kept[:, order] > 0).astype(np.int64) @ np.triu(same, 1)
    first = np.where(earlier > 0, 0, kept[:, order])
    ranked = _expanded(first, depth)
    grades = np.where(ranked >= 0, found.grades[order][np.maximum(ranked, 0)], np.nan)
    return Prompts(grades, used, np.divide(new, held, out=np.zeros(resamples), where=held > 0), held)


def _expanded(copies: Counts, depth: int) -> Counts:
    """Which item stands at each of the first `depth` places, (resamples, depth), as often as it is there; else -1."""
    ends = np.cumsum(copies, axis=1)
    at = (ends[:, None, :] <= np.arange(depth)[None, :, None]).sum(axis=2)
    return np.where(at < copies.shape[1], at, -1)


def graded(documents: Sequence[str], grades: Mapping[str, int]) -> Values:
    """Grades of documents, UNJUDGED where nobody judged."""
    return np.array([grades.get(name, UNJUDGED) for name in documents], np.float64)
