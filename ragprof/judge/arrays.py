"""Metrics of many rankings at once, as array work. Equal to ir_measures (trec_eval), which a test holds them to.

Rankings are judged on documents: a document stands where its best passage does. Knows no file, no clock, no price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.core.ranking import closed_up

Places = NDArray[np.int64]
Values = NDArray[np.float64]
UNJUDGED = -np.inf
FAMILIES = ("nDCG", "P", "R", "Judged")


@dataclass(frozen=True)
class Labels:
    """Relevance judgements over numbered documents. `keys` are query number * documents + document, sorted.

    `grades` are theirs; `ideal` holds each query's relevant grades, best first, shape (queries, most), 0 behind them.
    """

    keys: Places
    grades: Values
    documents: int
    ideal: Values

    def of(self, codes: Places) -> Values:
        """Grades of documents (..., queries, depth), UNJUDGED where nobody judged, NaN for codes below 0."""
        keys = np.arange(codes.shape[-2])[:, None] * self.documents + codes
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        grades = np.where(self.keys[found] == keys, self.grades[found], UNJUDGED)
        return np.where(codes < 0, np.nan, grades)


def labels(qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str], codes: Mapping[str, int]) -> Labels:
    """Judgements of the queries, in their order. Documents that have no code, so are nowhere, count for the ideal."""
    judged = [(number, qrels.get(query_id, {})) for number, query_id in enumerate(query_ids)]
    rows = [
        (number * len(codes) + codes[document], grade)
        for number, grades in judged
        for document, grade in grades.items()
        if document in codes
    ]
    rows.sort()
    most = max((sum(grade > 0 for grade in grades.values()) for _, grades in judged), default=0)
    ideal = np.zeros((len(query_ids), max(1, most)))
    for number, grades in judged:
        best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
        ideal[number, : len(best)] = best
    keys, values = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.array([-1]), np.zeros(1))
    return Labels(keys.astype(np.int64), values.astype(np.float64), len(codes), ideal)


def repeated(codes: Places) -> NDArray[np.bool_]:
    """Whether the same number stands further up in its ranking."""
    seen = np.zeros(codes.shape, bool)
    for rank in range(1, codes.shape[-1]):
        seen[..., rank] = (codes[..., :rank] == codes[..., rank : rank + 1]).any(axis=-1)
    return seen


def by_document(codes: Places) -> Places:
    """Document numbers of rankings, each document where it comes first, the rest moved up; -1 behind the last."""
    return closed_up(np.where(repeated(codes), -1, codes))


def metrics(grades: Values, ideal: Values, cutoffs: Sequence[int]) -> dict[str, Values]:
    """metric -> values (..., queries) of rankings of documents by their grades, as `Labels.of` gives them.

    `ideal` are the relevant grades that could have been found, best first, (..., queries, most).
    """
    findable = np.count_nonzero(ideal > 0, axis=-1)
    relevant = np.where(grades > 0, grades, 0.0)
    retrieved = ~np.isnan(grades)
    result: dict[str, Values] = {}
    for cutoff in cutoffs:
        top, hits = relevant[..., :cutoff], (relevant[..., :cutoff] > 0).sum(axis=-1)
        filled = retrieved[..., :cutoff].sum(axis=-1)
        judged = ((grades[..., :cutoff] != UNJUDGED) & retrieved[..., :cutoff]).sum(axis=-1)
        result[f"nDCG@{cutoff}"] = _share(dcg(top), dcg(ideal[..., :cutoff]))
        result[f"P@{cutoff}"] = hits / cutoff
        result[f"R@{cutoff}"] = _share(hits, findable)
        result[f"Judged@{cutoff}"] = _share(judged, filled)
    return result


def reciprocal_rank(grades: Values, cutoff: int) -> Values:
    """1 / rank of the first relevant document among the first `cutoff`, else 0: RR@cutoff, (..., queries)."""
    top = grades[..., :cutoff] > 0
    ranks = 1.0 / np.arange(1, top.shape[-1] + 1)
    return np.asarray(np.where(top, ranks, 0.0).max(axis=-1, initial=0.0))


def success(grades: Values, cutoff: int) -> Values:
    """1 where a relevant document is among the first `cutoff`, else 0: Success@cutoff, (..., queries)."""
    return np.asarray((grades[..., :cutoff] > 0).any(axis=-1), np.float64)


def evidence(codes: Places, grades: Values, ideal: Values, ks: Sequence[int]) -> dict[str, Values]:
    """evidence@k of rankings of passages: the share of a query's relevant documents that have one among the first k.

    `codes` are the passages' documents (..., queries, depth), `grades` theirs as `Labels.of` gives them. A ranking
    shorter than k holds what it holds; a query without relevant documents has 0.
    """
    found = np.cumsum((grades > 0) & ~repeated(codes), axis=-1)
    findable = np.count_nonzero(ideal > 0, axis=-1)
    none = np.zeros(grades.shape[:-1])
    depth = grades.shape[-1]
    held = {k: found[..., min(k, depth) - 1] if depth else none for k in ks}
    return {f"evidence@{k}": _share(hits, findable) for k, hits in held.items()}


def dcg(gains: Values) -> Values:
    """Discounted cumulative gain with linear gains and log2(rank + 1), added up rank by rank as trec_eval does."""
    if not gains.shape[-1]:
        return np.zeros(gains.shape[:-1])
    discounts = np.log2(np.arange(2, gains.shape[-1] + 2))
    return np.asarray(np.cumsum(gains / discounts, axis=-1)[..., -1])


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Values:
    """part / whole, 0 where there is nothing to have."""
    whole = np.broadcast_to(whole, part.shape)
    share: Values = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return share
