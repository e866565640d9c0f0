"""Quality, cost and latency at every (depth, k): all from one pass of scoring, latency timed live. Reads no file.

The study's metric, the gain and the loss belong to a depth and are the same for every k of it; what k chunks hold
(nDCG@k, P@k, evidence@k), and what the prompt is long, belong to both. A depth below k holds fewer chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ragprof.price.pricing import QUERIES
from ragprof.statistics import quantile_estimates
from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.data import RERANK, RerankerData
from ragprof.studies.reranking.figures import money
from ragprof.studies.reranking.latency_model import composed_p50s
from ragprof.studies.reranking.means import estimates

ENOUGH = 0.95
GAIN, LOSS = "gain", "loss"


def depth_curve(data: RerankerData, arm: str, nets: Callable[[int], str | None] | None = None) -> list[dict[str, Any]]:
    """A row for each depth and k, rising. `nets` gives a depth's net cost in USD per 1,000 queries, where known."""
    ks = ks_of(data, arm)
    table = _estimates(data, arm, ks)
    composed = composed_p50s(data, arm)
    rows = []
    for depth in data.arm(arm)["depths"]:
        shared = {
            **_latency(data, arm, depth),
            "composed_p50_ns": composed.get(depth),
            "usd_per_1000_queries": usd_per_1000(data.usd(arm, depth)),
            "net_usd_per_1000_queries": None if nets is None else nets(depth),
            "gain": table[depth][GAIN],
            "loss": table[depth][LOSS],
        }
        prompts = prompt_tokens(data, arm, depth)
        for k in ks:
            scores = {metric: table[depth][metric] for metric in _metrics(data.metric, [k])}
            rows.append({"depth": depth, "k": k, "scores": scores, "prompt_tokens": float(prompts[k - 1]), **shared})
    return rows


def ks_of(data: RerankerData, arm: str) -> list[int]:
    """The eval's ks and the pipeline's own."""
    return sorted({*data.settings["ks"], int(data.arm(arm)["own_k"])})


def prompt_tokens(data: RerankerData, arm: str, depth: int) -> Array:
    """Mean tokens of a prompt with the first 1, 2, ... max_k passages: template, question and context."""
    fixed = float(data.manifest["template_tokens"]) + float(data.manifest["query_tokens"])
    return np.asarray(fixed + data.context_tokens(arm, RERANK, depth).mean(axis=1))


def usd_per_1000(usd: Array | None) -> str | None:
    """Mean over the queries whose cost is known, as a decimal string; None where UNPRICED."""
    if usd is None or np.isnan(usd).all():
        return None
    return money(float(np.nanmean(usd)) * QUERIES)


def knee(curve: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The smallest depth with at least 95 % of the gain of the best depth, by means; None where no depth gains."""
    gains = {int(row["depth"]): row["gain"] for row in curve}
    if not gains or max(gain["mean"] or 0.0 for gain in gains.values()) <= 0:
        return None
    best = max(gains, key=lambda depth: (gains[depth]["mean"], -depth))
    depth = min(depth for depth in gains if gains[depth]["mean"] >= ENOUGH * gains[best]["mean"])
    share = gains[depth]["mean"] / gains[best]["mean"]
    return {
        "depth": depth,
        "share_of_gain": share,
        "sentence": (
            f"Depth {depth} is the smallest that has at least {100 * ENOUGH:.0f} % of the gain of the best depth, "
            f"{best}: {gains[depth]['mean']:+.3f} of {gains[best]['mean']:+.3f}."
        ),
    }


def _metrics(metric: str, ks: Sequence[int]) -> list[str]:
    """Column names, each once, the study's first."""
    return list(dict.fromkeys([metric, *(f"{family}@{k}" for k in ks for family in ("nDCG", "P", "evidence"))]))


def _estimates(data: RerankerData, arm: str, ks: Sequence[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """Depth -> metric, gain or loss -> estimate; one matrix product for all of them."""
    metrics, depths = _metrics(data.metric, ks), data.arm(arm)["depths"]
    own = data.reranked(arm, data.metric)
    columns = []
    for depth in depths:
        columns += [data.values(arm, RERANK, depth, metric) for metric in metrics]
        columns += [data.gain(arm, data.metric, depth), own - data.reranked(arm, data.metric, depth)]
    found = iter(estimates(data.draws, np.column_stack(columns)))
    return {depth: {name: next(found) for name in [*metrics, GAIN, LOSS]} for depth in depths}


def _latency(data: RerankerData, arm: str, depth: int) -> dict[str, Any]:
    """End to end as timed live at this depth; the interval resamples queries with all their rounds."""
    rows = data.timed(arm, depth)
    clusters = [times.to_numpy(float) for _, times in rows.groupby("query_id")["end_to_end_ns"]]
    p50, p95 = quantile_estimates(clusters, (0.5, 0.95), seed=data.seed)
    return {
        "p50_ns": p50.mean,
        "p50_interval_ns": None if p50.interval is None else list(p50.interval),
        "p95_ns": p95.mean,
        "p95_interval_ns": None if p95.interval is None else list(p95.interval),
        "timed_queries": len(clusters),
    }
