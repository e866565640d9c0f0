"""Metrics of many rankings at once, as array work. Equal to ir_measures (trec_eval), which a test holds them to.

Rankings are judged on documents: a document stands where its best passage does. Knows no file, no clock, no price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def by_document(codes: Places) -> Places:
    """Document numbers of rankings, each document where it comes first, the rest moved up; -1 behind the last."""
    depth = codes.shape[-1]
    seen = np.zeros(codes.shape, bool)
    for rank in range(1, depth):
        seen[..., rank] = (codes[..., :rank] == codes[..., rank : rank + 1]).any(axis=-1)
    kept = np.where(seen, -1, codes)
    order = np.argsort(kept < 0, axis=-1, kind="stable")
    return np.take_along_axis(kept, order, axis=-1)


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


def dcg(gains: Values) -> Values:
    """Discounted cumulative gain with linear gains and log2(rank + 1), as trec_eval has it."""
    discounts: Values = 1.0 / np.log2(np.arange(2, gains.shape[-1] + 2))
    return np.asarray(gains @ discounts)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Values:
    """part / whole, 0 where there is nothing to have."""
    whole = np.broadcast_to(whole, part.shape)
    share: Values = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return share
