"""A made-up summary of six pipelines with plausible figures, one of them with a reranker that nobody has priced."""

from __future__ import annotations

import copy
from typing import Any

MS = 1_000_000
QUERIES, ROUNDS = 160, 5
RERANKED = ("dense+maxsim", "hybrid+maxsim")
DESCRIPTIONS = {
    "bm25": "bm25(20) → 5 chunks",
    "static": "static vectors(20) → 5 chunks",
    "dense": "dense vectors(20) → 5 chunks",
    "hybrid": "bm25 + dense, fused(20) → 5 chunks",
    "dense+maxsim": "dense → maxsim(20) → 5 chunks",
    "hybrid+maxsim": "hybrid → maxsim(20) → 5 chunks",
}
MEANS_MS: dict[str, dict[str, float]] = {
    "bm25": {"search": 3.1, "inject": 0.42},
    "static": {"embed": 0.31, "search": 4.6, "inject": 0.43},
    "dense": {"embed": 11.8, "search": 6.9, "inject": 0.44},
    "hybrid": {"embed": 11.9, "search": 10.4, "inject": 0.44},
    "dense+maxsim": {"embed": 11.9, "search": 6.9, "rerank": 58.2, "inject": 0.45},
    "hybrid+maxsim": {"embed": 12.0, "search": 10.5, "rerank": 59.6, "inject": 0.45},
}
NDCG = {
    "bm25": {"search": 0.441, "inject": 0.402},
    "static": {"search": 0.398, "inject": 0.361},
    "dense": {"search": 0.512, "inject": 0.470},
    "hybrid": {"search": 0.547, "inject": 0.503},
    "dense+maxsim": {"search": 0.512, "rerank": 0.563, "inject": 0.524},
    "hybrid+maxsim": {"search": 0.547, "rerank": 0.581, "inject": 0.541},
}
COSTS: dict[str, dict[str, str]] = {
    "bm25": {"search": "0.00118", "inject": "0.1841"},
    "static": {"embed": "0.00012", "search": "0.00176", "inject": "0.1906"},
    "dense": {"embed": "0.00451", "search": "0.00264", "inject": "0.2012"},
    "hybrid": {"embed": "0.00455", "search": "0.00398", "inject": "0.1987"},
    "dense+maxsim": {"embed": "0.00455", "search": "0.00264", "rerank": "0.0223", "inject": "0.2031"},
    "hybrid+maxsim": {"embed": "0.00459", "search": "0.00402", "inject": "0.2024"},
}
TOTALS = {"bm25": "0.18528", "static": "0.19248", "dense": "0.20835", "hybrid": "0.20723", "dense+maxsim": "0.23259"}
CONTEXT = {
    "bm25": 1041.2,
    "static": 1079.6,
    "dense": 1140.3,
    "hybrid": 1124.8,
    "dense+maxsim": 1151.9,
    "hybrid+maxsim": 1147.5,
}
INDEX_BYTES = {"bm25": 24_100_000, "static": 20_213_760, "dense": 30_320_640, "hybrid": 54_420_640}


def summary() -> dict[str, Any]:
    """A fresh copy each time, so that a test may change it."""
    return copy.deepcopy(_summary())


def first_pipelines(count: int) -> dict[str, Any]:
    """The same run with only some of its pipelines."""
    cut = summary()
    cut["pipelines"] = dict(list(cut["pipelines"].items())[:count])
    names = set(cut["pipelines"])
    cut["comparisons"] = [entry for entry in cut["comparisons"] if {entry["baseline"], entry["candidate"]} <= names]
    cut["pareto"] = {front: [name for name in members if name in names] for front, members in cut["pareto"].items()}
    return cut


def many_pipelines() -> dict[str, Any]:
    """Twelve pipelines, some with long names and some that nearly coincide."""
    grown = summary()
    for place, (name, pipeline) in enumerate(list(grown["pipelines"].items())):
        twin = f"{name} with a long descriptive suffix, variant {place}" if place % 2 else f"{name}-int8"
        grown["pipelines"][twin] = _scaled(pipeline, 1.04 + 0.05 * place)
        grown["final_stage"][twin] = grown["final_stage"][name]
    return grown


def _scaled(pipeline: dict[str, Any], factor: float) -> dict[str, Any]:
    twin = copy.deepcopy(pipeline)
    for latency in (*twin["stages"].values(), twin["end_to_end"]):
        for key, value in latency.items():
            if key.endswith("_ns"):
                latency[key] = [int(end * factor) for end in value] if isinstance(value, list) else int(value * factor)
    return twin


def _summary() -> dict[str, Any]:
    return {
        "format": 1,
        "ragprof_version": "0.1.0",
        "eval": "python-docs",
        "title": "Search over the Python documentation",
        "created": "2026-11-22T01:02:03Z",
        "corpus": {
            "name": "python-docs",
            "docs": 19740,
            "tokens": 4_123_456,
            "sha256": "9f2c4be1a7d05c3386e1f0b94d7a25c8e6b1034f9d8a7c6b5e4f3a2b1c0d9e8f",
            "versions": {"python": "3.11.9", "numpy": "2.3.1"},
        },
        "queries": QUERIES,
        "qrels_sha256": "0" * 64,
        "seed": 20261122,
        "environment": {
            "cpu": "AMD EPYC 7B13",
            "cores": 2,
            "threads": 2,
            "memory_bytes": 16_777_216_000,
            "os": "Linux 6.1",
            "python": "3.11.9",
            "ragprof": "0.1.0",
            "packages": {"numpy": "2.3.1", "torch": "2.8.0", "bm25s": "0.2.14", "faiss-cpu": "1.12.0"},
            "gpu": None,
        },
        "work": {"docs_embedded": 39480, "queries_embedded": 320, "pairs_scored": 5120, "docs_reused": 19740},
        "headline": [
            "Reranking dense search raises nDCG@10 by 0.051 (95% interval 0.022 to 0.080) and costs 58.2 ms and "
            "$0.022 per 1,000 queries.",
            "Where a query is reranked, three quarters of its time are spent there.",
            "Nine tenths of the money go into prompt tokens, not into retrieval.",
            "Reranking hybrid search cannot be told apart from not reranking it with 160 queries.",
        ],
        "warnings": ["hybrid+maxsim has no total cost: no rate is known for its reranker."],
        "limits": [
            "One machine without a GPU; latencies of other machines will differ.",
            "Judgements come from a pool of four systems; a fifth could find relevant passages that nobody judged.",
            "Queries were answered one at a time: nothing here is said about throughput under load.",
        ],
        "method": [
            "Timings: live queries, one at a time, 5 rounds interleaved over the pipelines after a warm-up.",
            "Quality: every ranking judged with the same qrels; 95% percentile bootstrap over queries.",
            "Comparisons: paired randomisation test by query, corrected after Holm.",
        ],
        "pipelines": {name: _pipeline(name) for name in DESCRIPTIONS},
        "comparisons": [
            _comparison("bm25", "dense", 0.071, 0.027, 0.115, 0.0021, "better", None),
            _comparison("bm25", "static", -0.043, -0.081, -0.006, 0.0031, "worse", None),
            _comparison("dense", "hybrid", 0.035, 0.004, 0.066, 0.031, "undecided", 62),
            _comparison("dense", "dense+maxsim", 0.051, 0.022, 0.080, 0.0004, "better", None),
            _comparison("hybrid", "hybrid+maxsim", 0.034, -0.001, 0.069, 0.058, "undecided", 85),
        ],
        "pareto": {
            "latency": ["bm25", "dense", "hybrid", "dense+maxsim", "hybrid+maxsim"],
            "cost": ["bm25", "hybrid", "dense+maxsim"],
        },
        "final_stage": {name: "rerank" if name in RERANKED else "search" for name in DESCRIPTIONS},
        "traffic": {"queries_per_month": 1_000_000},
        "rates": [
            _rate("machine-hour", "0.0832", "busy_hours", 1, "https://aws.amazon.com/ec2/pricing/on-demand/"),
            _rate("llm-input", "0.15", "input_tokens", 1_000_000, "https://openai.com/api/pricing/"),
            {
                "name": "own-hardware",
                "shape": "per_search",
                "usd": "0",
                "per": 1,
                "unit": "searches",
                "since": "2026-01-01",
                "source": "agreed",
                "verified": False,
                "note": "",
            },
        ],
    }


def _pipeline(name: str) -> dict[str, Any]:
    stages = {stage: _latency(mean) for stage, mean in MEANS_MS[name].items()}
    whole_ms = sum(MEANS_MS[name].values()) * 1.004
    return {
        "description": DESCRIPTIONS[name],
        "config": {"depth": 20, "inject": 5},
        "stages": stages,
        "end_to_end": _latency(whole_ms),
        "unaccounted": {"mean_ns": int(whole_ms * 0.004 * MS), "share": 0.004},
        "closure": 0.996,
        "overhead": 0.0012,
        "overhead_interval": [-0.0008, 0.0031],
        "cold_start_ns": {stage: int(mean * 9.4 * MS) for stage, mean in MEANS_MS[name].items()},
        "noise": {"spread": 0.118, "bound": 0.1, "noisy": True}
        if name == "static"
        else {"spread": 0.041, "bound": 0.1, "noisy": False},
        "build": _build(name),
        "peak_rss_bytes": 912_000_000 if "embed" in MEANS_MS[name] else 301_000_000,
        "usage_per_query": _usage(name),
        "usage_estimates": {},
        "cost_usd_per_1000_queries": _cost(name),
        "scores": {stage: _scores(ndcg, stage) for stage, ndcg in NDCG[name].items()},
    }


def _latency(mean_ms: float) -> dict[str, Any]:
    def around(value_ms: float, wide: float) -> list[int]:
        return [int(value_ms * (1 - wide) * MS), int(value_ms * (1 + wide) * MS)]

    p50, p95, p99 = mean_ms * 0.97, mean_ms * 1.21, mean_ms * 1.43
    return {
        "p50_ns": int(p50 * MS),
        "p95_ns": int(p95 * MS),
        "p99_ns": int(p99 * MS),
        "p50_interval_ns": around(p50, 0.021),
        "p95_interval_ns": around(p95, 0.054),
        "p99_interval_ns": around(p99, 0.11),
        "mean_ns": int(mean_ms * MS),
        "n": QUERIES * ROUNDS,
        "queries": QUERIES,
    }


def _build(name: str) -> dict[str, int]:
    index = INDEX_BYTES[name.removesuffix("+maxsim")]
    seconds = {"bm25": 7, "static": 19}.get(name, 1312)
    return {"duration_ns": seconds * 1_000 * MS, "index_bytes": index, "peak_rss_bytes": 1_420_000_000}


def _usage(name: str) -> dict[str, float]:
    usage = {
        "inject.prompt_tokens": round(CONTEXT[name] + 86.4, 1),
        "inject.context_tokens": CONTEXT[name],
        "inject.template_tokens": 71.0,
        "inject.query_tokens": 15.4,
    }
    return {**usage, "rerank.docs_scored": 20.0} if name in RERANKED else usage


def _cost(name: str) -> dict[str, Any]:
    total = TOTALS.get(name)
    interval = None if total is None else [f"{float(total) * 0.98:.5f}", f"{float(total) * 1.02:.5f}"]
    return {
        **COSTS[name],
        "total": total,
        "interval": interval,
        "priced_subtotal": total or "0.21101",
        "stage_intervals": {},
        "unpriced": [] if total else ["rerank: no rate named 'rerank-hosted' in the book"],
        "per_month": None if total is None else f"{float(total) * 1000:.2f}",
    }


def _scores(ndcg: float, stage: str) -> dict[str, Any]:
    values = {
        "nDCG@10": ndcg,
        "RR@10": ndcg + 0.082,
        "R@20": min(1.0, ndcg + 0.21),
        "P@5": ndcg - 0.19,
        "AP": ndcg - 0.071,
        "Success@5": min(1.0, ndcg + 0.24),
        "Judged@5": 0.971,
        "Judged@10": 0.904 if stage != "inject" else 0.5,
    }
    return {
        metric: {
            "mean": round(value, 4),
            "interval": [round(value - 0.046, 4), round(min(1.0, value + 0.045), 4)],
            "n": QUERIES,
        }
        for metric, value in values.items()
    }


def _comparison(
    baseline: str, candidate: str, difference: float, low: float, high: float, p: float, verdict: str, more: int | None
) -> dict[str, Any]:
    return {
        "metric": "nDCG@10",
        "stage": "final",
        "baseline": baseline,
        "candidate": candidate,
        "difference": difference,
        "interval": [low, high],
        "p": p,
        "p_holm": min(1.0, round(p * 3, 5)),
        "verdict": verdict,
        "more_queries": more,
        "n": QUERIES,
    }


def _rate(name: str, usd: str, unit: str, per: int, source: str) -> dict[str, Any]:
    return {
        "name": name,
        "shape": "per_hour",
        "usd": usd,
        "per": per,
        "unit": unit,
        "since": "2026-10-01",
        "source": source,
        "verified": "2026-11-20",
        "note": "list price, no discount",
    }
