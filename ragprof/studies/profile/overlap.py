"""How alike the results of two pipelines are. Needs no relevance judgement, and says nothing of which is better."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.unseen import UNIT
from ragprof.studies.contract import EstimateValue
from ragprof.studies.profile.section import Overlap

DEPTH = 10


def overlaps(rankings: Mapping[str, pd.DataFrame], final_stage: Mapping[str, str], *, seed: int) -> tuple[Overlap, ...]:
    """Every pair of pipelines, by the documents of their final rankings, over queries that one answers."""
    firsts: dict[str, dict[str, list[str]]] = {}
    for name, table in rankings.items():
        final = table[table["stage"] == final_stage[name]].sort_values("rank")
        found = firsts[name] = {}
        for query_id, document_id in zip(final["query_id"].tolist(), final["document_id"].tolist(), strict=True):
            mine = found.setdefault(query_id, [])
            if len(mine) < DEPTH and document_id not in mine:  # a document stands where its best passage does
                mine.append(document_id)
    return tuple(_overlap(one, other, firsts, seed) for one, other in combinations(firsts, 2))


def _overlap(one: str, other: str, firsts: Mapping[str, Mapping[str, list[str]]], seed: int) -> Overlap:
    pairs = [
        (firsts[one].get(query_id, []), firsts[other].get(query_id, []))
        for query_id in sorted({*firsts[one], *firsts[other]})
    ]
    shared = np.array([len({*mine} & {*theirs}) / max(len(mine), len(theirs)) for mine, theirs in pairs])
    same = np.array([float(mine[:1] == theirs[:1]) for mine, theirs in pairs])
    return Overlap(
        one=one,
        other=other,
        depth=DEPTH,
        shared=EstimateValue.of(mean_estimate(shared, bounds=UNIT, seed=seed)),
        same_first=EstimateValue.of(mean_estimate(same, bounds=UNIT, seed=seed)),
    )
