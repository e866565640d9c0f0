"""Search in nested sub-corpora: in one pass where the store knows how, else with one index for each. Reads no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Layout, Nearest, Ranking, Vectors
from ragprof.core.errors import NonFiniteScore
from ragprof.core.stages import NestedStore, Store


def search_nested(
    store: Store,
    docs: Sequence[Doc],
    vectors: Vectors | None,
    *,
    queries: Sequence[EmbeddedQuery],
    layouts: Sequence[Layout],
    depth: int,
) -> list[list[Nearest]]:
    """One list a layout, in it one Nearest a size. `docs` have distinct ids; a store without vectors ignores them.

    A store that is no NestedStore is filled anew for each sub-corpus; what it held before is gone.
    """
    if isinstance(store, NestedStore):
        return store.search_nested(docs, vectors, queries=queries, layouts=layouts, depth=depth)
    places = {doc.doc_id: place for place, doc in enumerate(docs)}
    cells: list[list[Nearest]] = [[] for _ in layouts]
    for row, layout in zip(cells, layouts, strict=True):
        for size in layout.sizes:
            members = layout.members[:size]
            store.add([docs[place] for place in members.tolist()], None if vectors is None else vectors[members])
            row.append(nearest([store.search(query, depth).ranking for query in queries], places, depth))
    return cells


def nearest(rankings: Sequence[Ranking], places: dict[str, int], depth: int) -> Nearest:
    """Rankings as arrays; `places` is where each doc_id stands in the pool."""
    found = nothing(len(rankings), depth)
    for row, ranking in enumerate(rankings):
        found.places[row, : len(ranking)] = [places[item.doc.doc_id] for item in ranking]
        found.scores[row, : len(ranking)] = [item.score for item in ranking]
    return found


def nothing(queries: int, depth: int) -> Nearest:
    """No document for any query, to be written into."""
    return Nearest(np.full((queries, depth), -1, np.int64), np.zeros((queries, depth)))


def standings(layout: Layout, pool: int) -> NDArray[np.int64]:
    """Where each place of a pool stands in a layout, shape (pool + 1,); behind every size where it is not in it.

    The last number stands for the place -1.
    """
    stands = np.full(pool + 1, np.iinfo(np.int64).max, np.int64)
    stands[layout.members] = np.arange(len(layout.members))
    return stands


@dataclass(frozen=True, slots=True)
class PoolCandidates:
    """The best of a whole pool for some queries, best first: `rows` are the queries' numbers.

    `places` and `scores` have the shape (rows, width). A place of -1 holds nothing, wherever it stands.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    scores: NDArray[np.floating]


def take_first(
    found: PoolCandidates, cells: Sequence[Nearest], sizes: Sequence[int], stands: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Write the first candidates that are in each sub-corpus into its cell, one for each of the sizes.

    `stands` are the layout's `standings`. What comes back is True for each row that had too few candidates somewhere.
    Raises NonFiniteScore.
    """
    height, width = found.places.shape
    depth = cells[0].places.shape[1] if cells else 0
    standing = stands[found.places].ravel()
    short = np.zeros(height, np.bool_)
    for size, cell in zip(sizes, cells, strict=True):
        inside = np.flatnonzero(standing < size)
        starts = np.searchsorted(inside, np.arange(height + 1) * width)
        counts = np.diff(starts)
        filled = np.arange(depth) < counts[:, None]
        chosen = inside[(starts[:-1, None] + np.arange(depth))[filled]]  # counted through all rows
        places, scores = np.full(filled.shape, -1, np.int64), np.zeros(filled.shape)
        places[filled], scores[filled] = found.places.ravel()[chosen], found.scores.ravel()[chosen]
        if not np.isfinite(scores).all():
            raise NonFiniteScore("the store found a score that is NaN or infinite; no ranking could be trusted")
        cell.places[found.rows], cell.scores[found.rows] = places, scores
        short |= counts < min(depth, size)
    return short
