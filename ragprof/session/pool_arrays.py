"""Pooled passages of queries as arrays, and metrics of them under many grades at once: what choosing draws needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragprof.judge import arrays
from ragprof.labels.choice import UNGRADED, Grades
from ragprof.labels.pool import PooledQuery


@dataclass(frozen=True)
class PoolArrays:
    """Pooled passages of queries as (queries, places)."""

    order: tuple[tuple[str, str], ...]
    index: Mapping[tuple[str, str], tuple[int, int]]
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, every: Sequence[PooledQuery], queries: Sequence[str]) -> PoolArrays:
        pool = {each.query_id: each for each in every}
        index = {
            (query, doc): (row, place)
            for row, query in enumerate(queries)
            for place, doc in enumerate(pool[query].pooled)
        }
        there = np.zeros((len(queries), max(len(pool[query].pooled) for query in queries)), bool)
        for row, place in index.values():
            there[row, place] = True
        return cls(tuple(index), index, there)

    def grades(self, given: Mapping[tuple[str, str], int]) -> Grades:
        found = np.full(self.there.shape, UNGRADED)
        for pair, grade in given.items():
            if pair in self.index:
                found[self.index[pair]] = grade
        return found

    def ranks(self, final: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
        """Ranks from 0 of the pooled passages; beyond every cutoff where a pipeline did not find one."""
        found = np.full(self.there.shape, 10**6)
        for pair, at in self.index.items():
            ranked = final.get(pair[0], ())
            if pair[1] in ranked:
                found[at] = list(ranked).index(pair[1])
        return found


def metric_of(metric: str, grades: Grades, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of a metric by query from grades and ranks of pooled passages; nDCG@10 for what is not known here."""
    family, _, written = metric.partition("@")
    cutoff = int(written) if written.isdigit() else 10
    width = int(min(cutoff, ranks.shape[1]))
    gains = np.maximum(grades, 0).astype(float)
    order = np.argsort(ranks, axis=1, kind="stable")
    ranked = np.take_along_axis(np.where(ranks < cutoff, gains, 0.0), order, axis=1)
    at = np.take_along_axis(ranks, order, axis=1)
    if family in ("P", "Success", "RR", "R"):
        hits = ranked > 0
        if family == "P":
            return np.asarray(hits.sum(axis=1) / cutoff)
        if family == "Success":
            return np.asarray(hits.any(axis=1), float)
        if family == "RR":
            return np.asarray(np.where(hits, 1 / (at + 1), 0.0).max(axis=1))
        findable = (gains > 0).sum(axis=1)
        return np.asarray(np.divide(hits.sum(axis=1), findable, out=np.zeros(len(hits)), where=findable > 0))
    found = np.where(at < cutoff, ranked / np.log2(at + 2), 0.0).sum(axis=1)
    ideal = arrays.dcg(-np.sort(-gains, axis=1)[:, :width])
    return np.asarray(np.divide(found, ideal, out=np.zeros(len(found)), where=ideal > 0))
