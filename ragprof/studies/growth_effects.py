"""What moves quality as the corpus grows: evidence or distractors, losses on the way, and who overtakes whom."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from ragprof.studies.crossovers import crossover
from ragprof.studies.growth_data import BIASED, UNBIASED, Array, GrowthData, PipelineData
from ragprof.studies.resampling import estimate

PARTS = ("embedding", "index", "rerank", "packing")


def evidence(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Per size: what distractors have cost since the smallest size, and what the missing evidence costs.

    Distractors: `all_judged` at its smallest size minus here, where only distractors were added. Missing evidence:
    `all_judged` minus `proportional` at the same size, where the number of passages is the same.
    """
    kept, natural = pipeline.quality(BIASED), pipeline.quality(UNBIASED)
    drawn = pipeline.data.weights
    return [
        {
            "size": size,
            "distractors": estimate(kept[:, 0] - kept[:, place], drawn),
            "missing_evidence": estimate(kept[:, place] - natural[:, place], drawn),
        }
        for place, size in enumerate(pipeline.data.sizes())
    ]


def losses(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Where a perfect score is lost, per size of `all_judged`; the parts sum to the total.

    embedding: what exact search by the pipeline's own scores does not rank as the labels do; index: what an
    approximate index misses of that; rerank: what reordering loses (below 0: wins); packing: what is not injected.
    A store that says neither that it is exact nor what an exact one would be has no index loss (null): it is in
    embedding. The total is 1 minus the metric of what is injected.
    """
    data = pipeline.data
    at = {stage: pipeline.at_stage(BIASED, stage, [data.metric]) for stage in ("search", "rerank", "inject", "exact")}
    search, inject = at["search"], at["inject"]
    if search is None or inject is None:
        return []
    reranked = search if at["rerank"] is None else at["rerank"]
    known = pipeline.name not in data.manifest["exactness_unknown"]
    exact = search if at["exact"] is None else at["exact"]
    parts = {
        "embedding": 1 - exact,
        "index": exact - search if known else np.full(search.shape, np.nan),
        "rerank": search - reranked,
        "packing": reranked - inject,
        "total": 1 - inject,
    }
    return [_loss(parts, place, size, data) for place, size in enumerate(data.sizes())]


def _loss(parts: Mapping[str, Array], place: int, size: int, data: GrowthData) -> dict[str, Any]:
    line: dict[str, Any] = {"size": size, "metric": data.metric}
    for name, values in parts.items():
        found = estimate(values[:, place, :, 0], data.weights)
        line[name], line[f"{name}_interval"] = found["mean"], found["interval"]
    return line


def crossovers(data: GrowthData, quality: Mapping[str, Array]) -> list[dict[str, Any]]:
    """From which size one pipeline beats another, and a reranker gains more than the bound that the eval sets."""
    return [
        {
            "what": what,
            "metric": data.metric,
            "candidate": candidate,
            "baseline": baseline,
            "bound": bound,
            **crossover(
                data.sizes(),
                quality[candidate].swapaxes(0, 1),
                quality[baseline].swapaxes(0, 1),
                bound=bound,
                weights=data.weights,
            ),
        }
        for what, candidate, baseline, bound in questions(data, quality)
    ]


def questions(data: GrowthData, quality: Mapping[str, Array]) -> list[tuple[str, str, str, float]]:
    """What is asked: (words, candidate, baseline, bound).

    Every reranker against the same search without it, by the eval's bound; of every two pipelines without a reranker,
    the one that is ahead at the largest size against the other.
    """
    bound = float(data.settings["gain_bound"])
    found: list[tuple[str, str, str, float]] = []
    for pair in combinations(data.names, 2):
        behind, ahead = sorted(pair, key=lambda name: float(quality[name][:, -1].mean()))
        reranked = [name for name in pair if data.is_reranked(name)]
        if not reranked:
            found.append((f"{ahead} beats {behind}", ahead, behind, 0.0))
        elif len(reranked) == 1 and _same_search(data, *pair):
            plain = next(name for name in pair if name not in reranked)
            found.append((f"{reranked[0]} gains more than {bound:g} over {plain}", reranked[0], plain, bound))
    return found


def _same_search(data: GrowthData, first: str, second: str) -> bool:
    return all(data.pipeline(first)[part] == data.pipeline(second)[part] for part in ("embedder", "store"))
