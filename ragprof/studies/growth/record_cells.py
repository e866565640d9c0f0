"""Rankings in every sub-corpus as arrays: search once for all, score each pair once, sort for every depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Layout, Query, Vectors
from ragprof.core.clock import Progress
from ragprof.core.errors import NonFiniteScore
from ragprof.core.ranking import reordered
from ragprof.core.stages import Store
from ragprof.parts.nested import search_nested
from ragprof.record.pipeline import Parts
from ragprof.record.query import one_each
from ragprof.record.rankings import CountedReranker, PairScores

Places = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """All sub-corpora of one curve for one pipeline: arrays of shape (orders, sizes, queries, depth).

    `places` are positions in the pool in the store's order, -1 where there is none; `rerank_scores` is None without a
    reranker and NaN where nothing was scored.
    """

    sizes: tuple[int, ...]
    places: Places
    scores: Scores
    rerank_scores: Scores | None = None


def searched(
    store: Store,
    docs: Sequence[Doc],
    vectors: Vectors | None,
    *,
    queries: Sequence[EmbeddedQuery],
    curves: Mapping[str, list[Layout]],
    depth: int,
) -> dict[str, Cells]:
    """What a store finds in every sub-corpus of every curve."""
    flat = [layout for layouts in curves.values() for layout in layouts]
    found = iter(search_nested(store, docs, vectors, queries=queries, layouts=flat, depth=depth))
    own, stacked = own_places(docs, queries), {}
    for curve, layouts in curves.items():
        orders = [next(found) for _ in layouts]
        places = np.stack([np.stack([cell.places for cell in cells]) for cells in orders])
        scores = np.stack([np.stack([cell.scores for cell in cells]) for cells in orders])
        cells = Cells(layouts[0].sizes, places, scores)
        stacked[curve] = without_own(cells, own) if own else cells
    return stacked


def own_places(docs: Sequence[Doc], queries: Sequence[EmbeddedQuery]) -> dict[int, list[int]]:
    """Query number -> places of the passages that it was taken from itself."""
    owners = {each.query.own_document: number for number, each in enumerate(queries) if each.query.own_document}
    own: dict[int, list[int]] = {}
    for place, doc in enumerate(docs if owners else ()):
        if doc.document_id in owners:
            own.setdefault(owners[doc.document_id], []).append(place)
    return own


def without_own(cells: Cells, own: Mapping[int, list[int]]) -> Cells:
    """The same rankings with -1 in place of a query's own passages: what was asked for to a depth stays that deep."""
    places = cells.places.copy()
    for number, mine in own.items():
        places[:, :, number][np.isin(places[:, :, number], mine)] = -1
    return Cells(cells.sizes, places, cells.scores)


@dataclass(frozen=True)
class CandidatePairs:
    """Distinct (query, passage) pairs of many cells, as one sorted number each: query number * passages + place."""

    keys: Places
    passages: int

    def pairs(self, queries: Sequence[Query], docs: Sequence[Doc]) -> list[tuple[Query, Doc]]:
        return [(queries[key // self.passages], docs[key % self.passages]) for key in self.keys.tolist()]

    def spread(self, values: Scores, places: Places) -> Scores:
        """The pairs' values where they stand in cells of shape (..., queries, depth); NaN where there is none."""
        if not len(values):
            return np.full(places.shape, np.nan)
        numbers = np.arange(places.shape[-2])[:, None]
        found = np.searchsorted(self.keys, numbers * self.passages + places)
        return np.where(places < 0, np.nan, values[np.minimum(found, len(values) - 1)])


def union(cells: Iterable[Cells], *, passages: int) -> CandidatePairs:
    """Every pair that some cell needs a score for, once."""
    keys = [
        (np.arange(each.places.shape[-2])[:, None] * passages + each.places)[each.places >= 0].ravel() for each in cells
    ]
    return CandidatePairs(np.unique(np.concatenate(keys)), passages)


def pair_values(
    reranker: PairScores, candidates: CandidatePairs, queries: Sequence[Query], docs: Sequence[Doc], progress: Progress
) -> Scores:
    """One score a pair, in the order of the keys; those that no run has scored yet are scored now."""
    pairs = candidates.pairs(queries, docs)
    reranker.prepare(pairs, progress)
    return reranker.scores_of(pairs)


def scored_cell_by_cell(
    reranker: CountedReranker, cells: Cells, queries: Sequence[Query], docs: Sequence[Doc], depth: int
) -> Scores:
    """Scores of a reranker whose scores may not be reused: it is asked for the first `depth` of every cell.

    NaN behind them. Raises NonFiniteScore.
    """
    values = np.full(cells.places.shape, np.nan)
    for index in np.ndindex(cells.places.shape[:-1]):
        filled = np.flatnonzero(cells.places[index][:depth] >= 0)
        mine = [docs[place] for place in cells.places[index][filled].tolist()]
        scores = np.array(one_each(reranker.score(queries[index[-1]], mine).scores, mine), np.float64)
        if not np.isfinite(scores).all():
            raise NonFiniteScore("the reranker gave NaN or infinity; no ranking could be trusted")
        values[index][filled] = scores
    return values


def final(cells: Cells, ranks: Places, depth: int) -> tuple[Places, Scores]:
    """The rankings after the last stage that ranks: reranked from the first `depth` candidates, or as searched.

    `ranks` settle ties (see ranking.id_ranks). Places that hold nothing come last.
    """
    places, scores = cells.places[..., :depth], cells.scores[..., :depth]
    if cells.rerank_scores is not None:
        return reordered(places, cells.rerank_scores[..., :depth], ranks)
    order = np.argsort(places < 0, axis=-1, kind="stable")
    return np.take_along_axis(places, order, axis=-1), np.take_along_axis(scores, order, axis=-1)


def store_groups(pipelines: Sequence[Parts]) -> list[list[Parts]]:
    """Pipelines that search the same store, so that it is searched once for all of them."""
    groups: dict[int, list[Parts]] = {}
    for parts in pipelines:
        groups.setdefault(id(parts.store), []).append(parts)
    return list(groups.values())
