"""A made-up growth study with plausible figures: six pipelines, eight sizes, six curves."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

MS = 1_000_000
SIZES = [1234, 1835, 2727, 4053, 6025, 8956, 13313, 19740]
TARGETS = [100_000, 400_000]
RERANKED = ("dense+maxsim", "hybrid+maxsim")
NAMES = ("bm25", "static", "dense", "hybrid", *RERANKED)
STARTS = dict(zip(NAMES, (0.512, 0.231, 0.498, 0.547, 0.583, 0.601), strict=True))
FALLS = dict(zip(NAMES, (0.041, 0.047, 0.036, 0.038, 0.031, 0.033), strict=True))
KINDS = ("similar", "duplicate", "contradicting", "foreign")
STEEPER = {"all_judged": 1.0, "similar": 2.4, "duplicate": 3.1, "contradicting": 3.9, "foreign": 0.45}
ENDS = {"similar": 8, "duplicate": 5, "contradicting": 6, "foreign": 8}
WHAT = {
    "all_judged": "Every passage of a judged-relevant document is kept; random others fill up.",
    "proportional": "A plain random part of the corpus: judged documents enter in proportion.",
    "similar": "The passages nearest to relevant ones enter first.",
    "duplicate": "Near-copies of relevant passages enter.",
    "contradicting": "Contradictions of relevant passages enter: figures, names or negations changed.",
    "foreign": "Passages of another corpus enter.",
}
SEARCH_MS: dict[str, Callable[[float], float]] = {
    "bm25": lambda size: 0.35 + 0.00009 * size,
    "static": lambda size: 0.25 + 0.00021 * size,
    "dense": lambda size: 0.4 + 0.00034 * size,
    "hybrid": lambda size: 0.75 + 0.00043 * size,
}
EMBED_MS = {"static": 0.31, "dense": 7.2, "hybrid": 7.3}


def growth() -> dict[str, Any]:
    """A fresh copy each time, so that a test may change it."""
    return copy.deepcopy(_GROWTH)


def _estimate(mean: float, half: float = 0.042) -> dict[str, Any]:
    return {"mean": round(mean, 5), "interval": [round(max(0.0, mean - half), 5), round(mean + half, 5)], "n": 160}


def _change(mean: float) -> dict[str, Any]:
    return {"mean": round(mean, 5), "interval": [round(mean - 0.012, 5), round(mean + 0.012, 5)], "n": 160}


def _growth_of(size: int) -> float:
    return math.log(size / SIZES[0])


def _quality(name: str, size: int, curve: str) -> float:
    lost = FALLS[name] * _growth_of(size) * STEEPER.get(curve, 1.0)
    missing = 0.062 * math.log(SIZES[-1] / size) if curve == "proportional" else 0.0
    return max(0.02, STARTS[name] - lost - missing)


def _scores(name: str, size: int, curve: str) -> dict[str, Any]:
    final = _quality(name, size, curve)
    stages = {"search": final - 0.06, "rerank": final} if name in RERANKED else {"search": final}
    stages["inject"] = final - 0.03
    return {stage: _metrics(value) for stage, value in stages.items()}


def _metrics(ndcg: float) -> dict[str, Any]:
    values = {"nDCG@10": ndcg, "P@5": ndcg / 2.6, "R@10": min(1.0, ndcg + 0.18), "Judged@10": 0.94, "Judged@5": 0.98}
    return {metric: _estimate(value) for metric, value in values.items()}


def _shares(name: str, size: int, curve: str) -> dict[str, float]:
    relevant = 0.62 * _quality(name, size, curve)
    planted = 0.09 * _growth_of(size) if curve in ("duplicate", "contradicting") else 0.0
    shares = {"relevant": relevant, "unjudged": 0.06, "duplicate": 0.0, "contradicting": 0.0} | {curve: planted}
    shares = {kind: shares[kind] for kind in ("relevant", "unjudged", "duplicate", "contradicting")}
    return shares | {"irrelevant": 1 - sum(shares.values())}


def _point(name: str, size: int, curve: str) -> dict[str, Any]:
    shares = _shares(name, size, curve)
    point: dict[str, Any] = {
        "size": size,
        "scores": _scores(name, size, curve),
        "change": _change(_quality(name, size, curve) - _quality(name, SIZES[0], curve)),
        "context_tokens": {kind: round(1800 * share, 1) for kind, share in shares.items()},
        "context_share": {kind: _estimate(share, 0.02) for kind, share in shares.items()},
        "prompt_tokens": {"mean": 1852.9, "interval": [1679.4, 2040.4], "n": 160},
    }
    if curve == "proportional":
        point |= {"coverage": _estimate(size / SIZES[-1], 0.015), "present": {"nDCG@10": _estimate(STARTS[name])}}
    if curve == "all_judged":
        point |= _live(name, size)
        point["by_depth"] = [_depth(name, size, depth) for depth in (5, 10, 15, 20)] if name in RERANKED else []
    return point


def _depth(name: str, size: int, depth: int) -> dict[str, Any]:
    won = 0.055 * (1 - math.exp(-depth / 6)) + 0.008 * math.log(depth / 5)
    return {"depth": depth, "scores": _metrics(_quality(name, size, "all_judged") - 0.055 + won)}


def _live(name: str, size: int) -> dict[str, Any]:
    plain = name.removesuffix("+maxsim")
    means = {"embed": EMBED_MS[plain]} if plain in EMBED_MS else {}
    means["search"] = SEARCH_MS[plain](size)
    if name in RERANKED:
        means["rerank"] = 148.0 + 2.2 * _growth_of(size)
    means["inject"] = 0.86
    whole = sum(means.values()) * 1.004
    return {
        "stages": {stage: _latency(mean) for stage, mean in means.items()},
        "end_to_end": _latency(whole),
        "unaccounted": {"mean_ns": int(whole * 0.004 * MS), "share": 0.004},
        "build": {"duration_ns": size * 150_000, "index_bytes": size * 1536, "peak_rss_bytes": 1_200_000_000},
        "cost_usd_per_1000_queries": _cost(name, whole),
    }


def _latency(mean_ms: float) -> dict[str, Any]:
    quantiles = {"p50": 0.97, "p95": 1.24, "p99": 1.46}
    values = {f"{quantile}_ns": int(mean_ms * factor * MS) for quantile, factor in quantiles.items()}
    ends = {
        f"{quantile}_interval_ns": [int(mean_ms * factor * 0.94 * MS), int(mean_ms * factor * 1.09 * MS)]
        for quantile, factor in quantiles.items()
    }
    return {**values, **ends, "mean_ns": int(mean_ms * MS), "n": 48, "queries": 16}


def _usd(name: str, whole_ms: float) -> float:
    return 0.21 + 0.013 * NAMES.index(name) + whole_ms * 0.00021


def _cost(name: str, whole_ms: float) -> dict[str, Any]:
    if name == "hybrid+maxsim":
        reasons = ["rerank: no rate named 'rerank-hosted' in the book"]
        return {"total": None, "interval": None, "inject": "0.278", "unpriced": reasons}
    total = _usd(name, whole_ms)
    ends = [f"{total * 0.93:.5f}", f"{total * 1.08:.5f}"]
    return {"total": f"{total:.5f}", "interval": ends, "inject": "0.21", "unpriced": []}


def _curve(name: str, curve: str) -> list[dict[str, Any]]:
    return [_point(name, size, curve) for size in SIZES[: ENDS.get(curve, len(SIZES))]]


def _evidence(name: str) -> list[dict[str, Any]]:
    def at(size: int) -> dict[str, Any]:
        here, proportional = (_quality(name, size, curve) for curve in ("all_judged", "proportional"))
        parts = {"distractors": STARTS[name] - here, "missing_evidence": here - proportional}
        return {"size": size, **{part: _estimate(value, 0.012) for part, value in parts.items()}}

    return [at(size) for size in SIZES]


def _loss(name: str) -> list[dict[str, Any]]:
    def at(size: int) -> dict[str, Any]:
        steps = _growth_of(size)
        parts: dict[str, Any] = {"embedding": 0.21 + 0.034 * steps, "index": 0.004 + 0.003 * steps, "rerank": None}
        if name in RERANKED:
            parts["rerank"] = -0.02 - 0.012 * steps
        if name == "bm25":
            parts["index"] = None
        parts["packing"] = 0.03 + 0.002 * steps
        parts["total"] = sum(value for value in parts.values() if value is not None)
        ends = {"total_interval": [parts["total"] - 0.04, parts["total"] + 0.04]}
        return {"size": size, "metric": "nDCG@10", **parts, **ends, "embedding_interval": [0.18, 0.34]}

    return [at(size) for size in SIZES]


def _forecast(name: str, quantity: str, unit: str, model: str, value: Callable[[int], float]) -> dict[str, Any]:
    held, money = SIZES[-1], quantity.startswith("cost")

    def write(number: float) -> Any:
        return f"{number:.5f}" if money else round(number, 5)

    def around(number: float, wide: float) -> list[Any]:
        return [write(number * (1 - wide)), write(number * (1 + wide))]

    measured, predicted = value(held), value(held) * 1.02
    return {
        "pipeline": name,
        "quantity": quantity,
        "unit": unit,
        "model": model,
        "held_out": {
            **{"size": held, "predicted": write(predicted), "interval": around(predicted, 0.07)},
            **{"measured": write(measured), "error": write(predicted - measured)},
        },
        **{"abstained": False, "reason": "", "interval_kind": "queries and orders"},
        "at": [
            {"size": size, "value": write(value(size)), "interval": around(value(size), 0.09 + 0.03 * place)}
            for place, size in enumerate(TARGETS)
        ],
    }


def _forecasts(name: str) -> list[dict[str, Any]]:
    plain = name.removesuffix("+maxsim")

    def whole(size: int) -> float:
        return float(_live(name, size)["end_to_end"]["p50_ns"])

    def search(size: int) -> float:
        return SEARCH_MS[plain](size) * MS

    def quality(size: int) -> float:
        return _quality(name, size, "all_judged")

    def price(size: int) -> float:
        return _usd(name, whole(size) / MS) * (1 + 0.02 * math.log(size / SIZES[-1]))

    found = [
        _forecast(name, "nDCG@10", "score", "log-linear", quality),
        _forecast(name, "nDCG@10", "score", "score distribution", lambda size: quality(size) * 0.97),
        _forecast(name, "search_p50_ns", "ns", "power law", search),
        _forecast(name, "end_to_end_p50_ns", "ns", "power law", whole),
        _forecast(name, "end_to_end_p95_ns", "ns", "power law", lambda size: whole(size) * 1.28),
        _forecast(name, "index_bytes", "bytes", "power law", lambda size: size * 1536.0),
        _forecast(name, "build_ns", "ns", "power law", lambda size: size * 150_000.0),
        _forecast(name, "prompt_tokens", "tokens", "log-linear", lambda size: 1852.9),
    ]
    if name == "static":
        found[0] |= {"abstained": True, "reason": "predicted 0.113 for 19,740, measured 0.101", "at": []}
        found[1] |= {"abstained": True, "reason": "too few relevant scores for a tail", "at": []}
    if name != "hybrid+maxsim":
        found.append(_forecast(name, "cost_usd_per_1000_queries", "USD", "power law", price))
    return found


def _crossing(what: str, candidate: str, baseline: str, status: str, **found: Any) -> dict[str, Any]:
    sides = {"what": what, "metric": "nDCG@10", "candidate": candidate, "baseline": baseline, "status": status}
    return {"bound": 0.0, "size": None, "interval": None, **sides, **found}


_GROWTH: dict[str, Any] = {
    "seed": 0,
    "orders": 5,
    "sizes": SIZES,
    "metric": "nDCG@10",
    "cutoffs": [5, 10, 20],
    "depths": [5, 10, 15, 20],
    "kept": {"documents": 420, "passages": 611},
    "curves": {curve: {"what": what, "flatters": curve == "all_judged"} for curve, what in WHAT.items()},
    "pipelines": {name: {curve: _curve(name, curve) for curve in WHAT} for name in NAMES},
    "evidence": {name: _evidence(name) for name in NAMES},
    "loss": {name: _loss(name) for name in NAMES},
    "crossovers": [
        _crossing("hybrid beats dense", "hybrid", "dense", "from the smallest size"),
        _crossing("dense beats bm25", "dense", "bm25", "crosses", size=5200, interval=[3100, 8900]),
        _crossing("static beats bm25", "static", "bm25", "not within the measured range"),
        _crossing(
            "dense+maxsim gains more than 0.02 over dense",
            *("dense+maxsim", "dense", "undecided"),
            **{"bound": 0.02, "interval": [4100, None]},
        ),
    ],
    "forecast": [one for name in NAMES for one in _forecasts(name)],
    "work": {
        **{"docs_embedded": 22140, "docs_reused": 19740, "queries_embedded": 320},
        **{"pairs_scored": 14210, "pairs_reused": 61390, "cells": 5760},
    },
    "notes": [
        "Keeping every judged document flatters the small sizes: there the evidence is complete and distractors few.",
        "The curve 'duplicate' ends at 6,025 passages: there are no more relevant passages to copy.",
    ],
}
