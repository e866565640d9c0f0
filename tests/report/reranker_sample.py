"""A made-up section on two rerankers: one told in full, one that nobody has priced and of which little is known."""

from __future__ import annotations

import copy
import math
from typing import Any

MS = 1_000_000
QUERIES, TIMED, MONTHLY = 160, 24, 100_000
FULL, SPARSE = "dense+maxsim", "hybrid+maxsim"
HOSTILE = "<script>alert('x')</script> **bold** | [link](javascript:alert(1)) @team"
DEPTHS, KS = (5, 10, 20, 30, 50), (1, 3, 5, 8)
OWN_DEPTH, OWN_K = 20, 5
COST, TOKENS_SAVED, LLM_USD = 0.0212, 402.0, 2.5
SPREAD = 0.22
UNPRICED = "no rate named 'rerank-hosted' in the book"


def section() -> dict[str, Any]:
    """summary["reranker"]; a fresh copy each time, so that a test may change it."""
    return copy.deepcopy({FULL: _FULL, SPARSE: _SPARSE})


def study() -> dict[str, Any]:
    """summary["reranker_study"]; a fresh copy each time."""
    return copy.deepcopy(_STUDY)


def reranked(summary: dict[str, Any]) -> dict[str, Any]:
    """A run's summary with both."""
    return {**summary, "reranker": section(), "reranker_study": study()}


def estimate(mean: float, half: float, n: int = QUERIES) -> dict[str, Any]:
    return {"mean": round(mean, 5), "interval": [round(mean - half, 5), round(mean + half, 5)], "n": n}


def _money(value: float) -> str:
    return f"{value:.6f}".rstrip("0")


def _ends(value: float, half: float) -> list[str]:
    return [_money(value - half), _money(value + half)]


def _gain(without: float, reached: float, half: float, p: float) -> dict[str, Any]:
    change = estimate(reached - without, half)
    return {
        **{"difference": change["mean"], "interval": change["interval"], "p": p, "n": QUERIES},
        **{"without": without, "with": reached},
    }


def _saved(usd_per_million: float) -> float:
    return TOKENS_SAVED * usd_per_million / 1_000


def _net(factor: float, price: float) -> float:
    return COST * factor - _saved(price)


def _told(factor: float, price: float) -> str:
    """The interval of the tokens that are saved is 22 % either way."""
    half = _saved(price) * SPREAD
    net = _net(factor, price)
    return "undecided" if abs(net) <= half else "costs" if net > 0 else "saves"


def _grid() -> dict[str, Any]:
    factors = [round(0.01 * 10 ** (step / 4), 6) for step in range(13)]
    prices = [round(0.02 * 1500 ** (step / 12), 6) for step in range(13)]
    return {
        "reranker_factor": factors,
        "llm_usd_per_million_tokens": prices,
        "cells": [
            {
                **{"reranker_factor": factor, "llm_usd_per_million_tokens": price},
                **{"net": _net(factor, price), "told": _told(factor, price)},
            }
            for factor in factors
            for price in prices
        ],
        "here": {"reranker_factor": 1.0, "llm_usd_per_million_tokens": LLM_USD},
    }


def _scenario(llm: str, price: float, verdict: str, reason: str) -> dict[str, Any]:
    net, half = _net(1.0, price), _saved(price) * SPREAD
    return {
        **{"llm": llm, "usd_per_million_tokens": f"{price:g}", "llm_usd_saved_per_1000_queries": _money(_saved(price))},
        **{"net_usd_per_1000_queries": _money(net), "net_interval": _ends(net, half)},
        **{"verdict": verdict, "reason": reason},
    }


def _alternative(name: str, what: str, change: float, relation: str, usd: str | None) -> dict[str, Any]:
    larger = what == "larger k"
    return {
        **{"name": name, "what": what, "k": 8 if larger else OWN_K, "depth": 10 if what == "smaller depth" else None},
        **{"metric": "evidence@8" if larger else "nDCG@10", "quality": estimate(0.563 + change, 0.051)},
        **{"difference": estimate(change, 0.018), "relation": relation, "usd_per_1000_queries": usd},
        **{"p50_ns": 24.1 * MS, "tokens_per_query": 1834.0 if larger else 1146.2},
    }


def _statement() -> dict[str, Any]:
    net, half = _net(1.0, LLM_USD), _saved(LLM_USD) * SPREAD
    monthly = MONTHLY / 1_000
    return {
        "quality_gain": {
            "nDCG@10": _gain(0.512, 0.563, 0.019, 0.0004),
            "RR@10": _gain(0.478, 0.541, 0.026, 0.002),
            "Success@5": _gain(0.64, 0.71, 0.04, 0.011),
            "R@5": _gain(0.581, 0.652, 0.033, 0.006),
            "evidence@5": _gain(0.581, 0.652, 0.033, 0.006),
        },
        **{"added_p50_ns": 58.2 * MS, "added_p50_interval_ns": [55.9 * MS, 61.0 * MS]},
        **{"added_p95_ns": 91.4 * MS, "added_p95_interval_ns": [82.0 * MS, 110.3 * MS], "timed_queries": TIMED},
        **{"reranker_usd_per_1000_queries": _money(COST), "reranker_usd_interval": _ends(COST, 0.0011)},
        "billing": {
            **{"rate": "cpu-4-cores", "shape": "per_hour", "unit": "hour", "usd": "0.17", "per": 1},
            **{"units_per_query": estimate(0.000125, 0.000006, TIMED), "utilisation": "0.35", "since": "2025-11-01"},
            **{"source": "https://example.org/prices", "verified": "2026-10-02", "note": None, "unpriced": None},
        },
        "iso_quality_k": {
            **{"metric": "evidence@5", "k_without": 5, "k_with": 3, "interval": [3, 4]},
            **{"quality_without": estimate(0.581, 0.05), "quality_with": estimate(0.596, 0.05)},
            "tokens_saved_per_query": estimate(TOKENS_SAVED, TOKENS_SAVED * SPREAD),
        },
        "llm": "gpt-4o",
        "llm_usd_saved_per_1000_queries": _money(_saved(LLM_USD)),
        "llm_usd_saved_interval": _ends(_saved(LLM_USD), half),
        **{"net_usd_per_1000_queries": _money(net), "net_interval": _ends(net, half)},
        "per_month": {
            **{"queries": MONTHLY, "reranker_usd": _money(COST * monthly)},
            **{"llm_usd_saved": _money(_saved(LLM_USD) * monthly), "net_usd": _money(net * monthly)},
        },
        **{"usd_per_point": _money(net / 5.1), "usd_per_point_interval": _ends(net / 5.1, 0.09)},
        "break_even": _BREAK_EVEN,
        "scenarios": [
            _scenario("gemini-2.0-flash-lite", 0.075, "KEEP", "It lifts nDCG@10 by 0.051 and is cheap."),
            _scenario("gpt-4o-mini", 0.15, "KEEP", "It lifts nDCG@10 by 0.051 and pays for itself."),
            _scenario("gpt-4o", 2.5, "KEEP", "It lifts nDCG@10 by 0.051 and saves $0.98 per 1,000 queries."),
        ],
        "alternatives": [
            _alternative("dense without its reranker, k = 8", "larger k", 0.004, "as good", "5.012"),
            _alternative("hybrid", "another search", -0.016, "undecided", "3.004"),
            _alternative("bm25+maxsim", "another search", -0.061, "worse", "2.991"),
            _alternative("dense+maxsim, depth 10", "smaller depth", -0.009, "undecided", "2.902"),
            _alternative("dense, large vectors", "another embedder", -0.022, "worse", None),
        ],
        "own": {
            **{"usd_per_1000_queries": "2.92", "p50_ns": 78.3 * MS, "tokens_per_query": 1151.9},
            "quality": estimate(0.563, 0.05),
        },
    }


_BREAK_EVEN = {
    "reranker_usd": {
        **{"value": "8.04", "per": 1, "unit": "hour", "interval": ["6.3", "9.81"]},
        "sentence": "It pays for itself up to $8.04 per hour; its price is $0.17.",
    },
    "llm_usd_per_million_tokens": {
        **{"value": "0.0527", "interval": ["0.0432", "0.0676"]},
        "sentence": "It pays for itself where a million LLM tokens cost $0.0527 or more; they cost $2.5.",
    },
    "queries_per_month": {
        "value": 123_483.0,
        "sentence": "One cpu-4-cores that is always on costs $124 a month, as much as the tokens of 123,483 queries.",
    },
    "grid": _grid(),
}


def _quality_at(depth: int) -> float:
    return 0.512 + 0.053 * (1 - math.exp(-depth / 8)) - 0.0003 * max(0, depth - 25)


def _step(depth: int, k: int) -> dict[str, Any]:
    chunks = min(depth, k)
    held = 0.36 + 0.25 * (1 - math.exp(-chunks / 3)) + 0.02 * math.log(depth)
    live = (20.1 + 2.9 * depth) * MS
    found = _quality_at(depth)
    timed = depth in (5, 20, 50)
    return {
        **{"depth": depth, "k": k},
        "scores": {
            "nDCG@10": estimate(found, 0.05),
            **({"nDCG@5": estimate(found - 0.02, 0.05)} if k == OWN_K else {f"nDCG@{k}": estimate(found - 0.03, 0.05)}),
            f"P@{k}": estimate(0.5 - 0.04 * chunks, 0.03),
            f"evidence@{k}": estimate(held, 0.04),
        },
        "p50_ns": live if timed else None,
        "p50_interval_ns": [live * 0.96, live * 1.05] if timed else None,
        "p95_ns": live * 1.4 if timed else None,
        "timed_queries": TIMED if timed else None,
        "composed_p50_ns": live * 1.03,
        "usd_per_1000_queries": _money(COST * depth / OWN_DEPTH),
        "prompt_tokens": 120 + 201.0 * chunks,
        "net_usd_per_1000_queries": _money(_net(depth / OWN_DEPTH, LLM_USD)),
        "gain": estimate(found - 0.512, 0.019),
        "loss": estimate(_quality_at(OWN_DEPTH) - found, 0.011),
    }


def _changed(kind: str, many: int) -> list[dict[str, Any]]:
    sign = {"helped": 1, "hurt": -1, "unchanged": 0}[kind]
    return [
        {
            **{"query_id": f"q{kind}{place}", "text": f"how do I close a file that is {kind}, case {place}?"},
            **{
                "change": sign * round(0.9 - 0.07 * place, 3),
                "before": round(0.05 if sign > 0 else 0.96 - place / 20, 3),
            },
            **{"after": round(0.95 - 0.07 * place if sign > 0 else 0.06 if sign else 0.96 - place / 20, 3)},
            **{"doc_id": f"io.html#{place}", "doc_text": f"io: close() flushes and closes this stream, part {place}."},
            **{"from_rank": 14 - place if sign > 0 else 1 + place, "to_rank": 1 if sign > 0 else 19 - place},
        }
        for place in range(many)
    ]


def _routing(signal: str, bend: float) -> list[dict[str, Any]]:
    shares = [tenth / 10 for tenth in range(11)]
    return [
        {
            **{"signal": signal, "threshold": 0.1, "share_reranked": share},
            "share_of_gain_kept": round(share**bend, 4),
            "interval": [
                round(share**bend - 0.5 * share * (1 - share) - 0.02, 4),
                round(share**bend + 0.6 * share * (1 - share), 4),
            ],
            **{"share_of_cost_saved": round(1 - share, 4), "random": share},
        }
        for share in shares
    ]


_FULL: dict[str, Any] = {
    "verdict": "KEEP",
    "reason": "It lifts nDCG@10 by 0.051 (95 % interval +0.032 to +0.070), and saves $0.98 per 1,000 queries.",
    **{"against": "dense", "depth": OWN_DEPTH, "own_depth": OWN_DEPTH, "k": OWN_K, "metric": "nDCG@10"},
    **{"reranker": "maxsim", "listwise": False, "more_queries": None},
    "sensitive_to": {
        "what": "the price of the LLM's tokens",
        "sentence": "It hangs most on the price of the LLM's tokens: at a 47th of what it is the verdict is DROP.",
        **{"factor": 0.0211, "becomes": "DROP"},
    },
    "statement": _statement(),
    "headroom": {
        **{"metric": "nDCG@10", "search": estimate(0.512, 0.051), "reranked": estimate(0.563, 0.05)},
        **{"oracle": estimate(0.744, 0.048), "captured_share": estimate(0.22, 0.08)},
        **{"missed_by_search": estimate(0.256, 0.048), "left_by_reranker": estimate(0.181, 0.03), "limit": "recall"},
        "sentence": "Search misses 0.256 of nDCG@10; of what any reranker could win, this one wins 22 %.",
    },
    "depth_curve": [_step(depth, k) for depth in DEPTHS for k in KS],
    "knee": {"depth": 10, "share_of_gain": 0.93, "sentence": "Depth 10 brings 93 % of the gain of depth 20."},
    "falls_from": {
        **{"depth": 50, "interval": [30, 50], "status": "falls"},
        "sentence": "From depth 50 on (30 to 50) quality falls.",
    },
    "latency_check": {
        **{"method": "linear in candidates", "largest_error": 0.041, "mean_error": 0.03},
        "sentence": "The composed estimate is off by at most 4.1 % of what was timed live.",
    },
    "truncation": {
        **{"pairs": 3_200, "max_tokens": 512, "over_length_share": 0.083, "tokens_dropped": 21.7},
        **{"tokens_dropped_share": 0.064, "judged_cut": {"documents": 19, "of": 231, "share": 0.0823}},
        "quality_cost": {"difference": 0.006, "interval": [-0.002, 0.014], "p": 0.17, "n": QUERIES},
        "sentence": "8.3 % of 3,200 pairs are over the reranker's length of 512 tokens.",
    },
    "queries": {
        **{"helped": 71, "hurt": 38, "unchanged": 51},
        "clearest": {
            "helped": _changed("helped", 10),
            "hurt": _changed("hurt", 10),
            "unchanged": _changed("unchanged", 2),
        },
    },
    "routing": [*_routing("margin", 0.38), *_routing("entropy", 0.72)],
    "routing_choice": {
        **{"signal": "margin", "threshold": 0.1, "share_reranked": 0.3, "share_of_gain_kept": 0.6328},
        **{"interval": [0.508, 0.759], "share_of_cost_saved": 0.7},
        "sentence": "Rerank 30 % of queries (margin at most 0.1), keep 63 % of the gain, save 70 % of the cost.",
    },
    "growth": {
        "curve": "all_judged",
        "points": [
            {
                "size": size,
                "gain": estimate(gain, 0.02),
                "net_usd_per_1000_queries": _money(-0.98 + gain),
                "worth": gain > 0.03,
            }
            for size, gain in ((1_000, 0.006), (3_000, 0.019), (10_000, 0.036), (30_000, 0.051))
        ],
        "pays_from": {"size": 10_000, "interval": [3_000, 30_000], "status": "within the measured range"},
        "sentence": "The reranker pays from 10,000 passages on (3,000 to 30,000).",
    },
    "price_trend": {
        "percent_a_year": 50.0,
        "years": [
            {
                **{"year": year, "llm_usd_per_million_tokens": _money(LLM_USD / 2**year)},
                **{"net_usd_per_1000_queries": _money(_net(1.0, LLM_USD / 2**year)), "verdict": "KEEP"},
            }
            for year in range(6)
        ],
        "sentence": "If LLM prices fall by 50 % a year, the verdict stays KEEP for 5 years.",
    },
    "price_history": [{"since": "2024-06-01", "usd": "0.19"}, {"since": "2025-11-01", "usd": "0.17"}],
    "notes": ["Timed on one machine; another one has other machine hours."],
}
_NOTHING = {"mean": None, "interval": None, "n": QUERIES}
_SPARSE: dict[str, Any] = {
    "verdict": "UNDECIDED",
    "reason": "With 160 queries its gain of +0.012 nDCG@10 cannot be told from none (95 % interval -0.006 to +0.030).",
    **{"against": "hybrid", "depth": OWN_DEPTH, "own_depth": OWN_DEPTH, "k": OWN_K, "metric": "nDCG@10"},
    **{"reranker": "rerank-hosted", "listwise": True, "more_queries": 420},
    "sensitive_to": {
        **{"what": "the number of queries", "factor": 3.6, "becomes": None},
        "sentence": "It hangs most on the number of queries: 3.6 times as many would tell.",
    },
    "statement": {
        "quality_gain": {"nDCG@10": _gain(0.547, 0.559, 0.018, 0.21)},
        **dict.fromkeys(("added_p50_ns", "added_p50_interval_ns", "added_p95_ns", "added_p95_interval_ns")),
        **dict.fromkeys(("timed_queries", "reranker_usd_per_1000_queries", "reranker_usd_interval")),
        "billing": {
            **dict.fromkeys(
                ("rate", "shape", "unit", "usd", "per", "utilisation", "since", "source", "verified", "note")
            ),
            **{"units_per_query": _NOTHING, "unpriced": UNPRICED},
        },
        "iso_quality_k": {
            **{"metric": "evidence@5", "k_without": 5, "k_with": None, "interval": None},
            **{"quality_without": estimate(0.611, 0.05), "quality_with": None, "tokens_saved_per_query": _NOTHING},
        },
        **dict.fromkeys(("llm", "llm_usd_saved_per_1000_queries", "llm_usd_saved_interval")),
        **dict.fromkeys(("net_usd_per_1000_queries", "net_interval", "usd_per_point", "usd_per_point_interval")),
        "per_month": {"queries": MONTHLY, **dict.fromkeys(("reranker_usd", "llm_usd_saved", "net_usd"))},
        "break_even": {
            "reranker_usd": {
                "value": None,
                "per": 1_000,
                "unit": "query",
                "sentence": "The LLM is unpriced.",
                "interval": None,
            },
            "llm_usd_per_million_tokens": {"value": None, "sentence": "The reranker is unpriced.", "interval": None},
            "queries_per_month": {"value": None, "sentence": "The reranker is unpriced."},
            "grid": None,
        },
        **{"scenarios": [], "alternatives": []},
        "own": {
            **dict.fromkeys(("usd_per_1000_queries", "p50_ns")),
            "tokens_per_query": 1147.5,
            "quality": estimate(0.559, 0.05),
        },
    },
    "headroom": {
        **{"metric": "nDCG@10", "search": estimate(0.547, 0.05), "reranked": estimate(0.559, 0.05), "oracle": _NOTHING},
        **{"captured_share": None, "missed_by_search": _NOTHING, "left_by_reranker": _NOTHING, "limit": "neither"},
        "sentence": "Without judged candidates there is no best order.",
    },
    "depth_curve": [
        {
            **{
                "depth": depth,
                "k": OWN_K,
                "scores": {"nDCG@10": {"mean": 0.55 + depth / 2000, "interval": None, "n": QUERIES}},
            },
            **dict.fromkeys(("p50_ns", "p50_interval_ns", "p95_ns", "timed_queries", "composed_p50_ns")),
            **dict.fromkeys(("usd_per_1000_queries", "net_usd_per_1000_queries", "prompt_tokens", "gain", "loss")),
        }
        for depth in (10, 20)
    ],
    **dict.fromkeys(("knee", "falls_from", "latency_check", "routing_choice", "growth", "price_trend")),
    "truncation": {
        **dict.fromkeys(("pairs", "max_tokens", "over_length_share", "tokens_dropped", "tokens_dropped_share")),
        **{"judged_cut": None, "quality_cost": None, "sentence": "This reranker does not say how long its pairs are."},
    },
    "queries": {
        **{"helped": 44, "hurt": 40, "unchanged": 76},
        "clearest": {
            "helped": [
                {
                    **{"query_id": HOSTILE, "text": HOSTILE, "change": 0.5, "before": 0.0, "after": 0.5},
                    **{"doc_id": "d1", "doc_text": HOSTILE, "from_rank": None, "to_rank": 2},
                }
            ],
            "hurt": [
                {
                    **{"query_id": "q7", "text": None, "change": -0.3, "before": 0.5, "after": 0.2},
                    **{"doc_id": "d2", "doc_text": None, "from_rank": 2, "to_rank": None},
                }
            ],
            "unchanged": [],
        },
    },
    **{"routing": [], "price_history": [], "notes": []},
}
_STUDY: dict[str, Any] = {
    **{"metric": "nDCG@10", "k": {FULL: OWN_K, SPARSE: OWN_K}, "margin": 0.01, "worth_usd_per_point": None},
    **{"priced_as": "gpt-4o", "queries": QUERIES, "timed_queries": TIMED, "replicates": 10_000},
    "side_by_side": [
        {
            **{"kind": "reranker", "teacher": "maxsim", "student": "maxsim int8", "over": FULL},
            **{"retained": estimate(0.99, 0.03), "quality_share": estimate(0.998, 0.004)},
            **{"difference": estimate(-0.001, 0.003), "p": 0.62},
            "agreement": {
                **{"same_first": estimate(0.94, 0.03), "overlap": estimate(0.97, 0.01)},
                "kendall_tau": estimate(0.91, 0.02),
            },
            **{"cost_ratio": 0.43, "latency_ratio": estimate(0.47, 0.05, TIMED)},
            "sentence": "maxsim int8 keeps 99 % of the gain of maxsim at 43 % of the cost.",
        }
    ],
    "statements": [
        "Keep the reranker of dense+maxsim: it lifts nDCG@10 by 0.051 and saves $0.98 per 1,000 queries.",
        "maxsim int8 keeps 99 % of the gain of maxsim at 43 % of the cost.",
    ],
    "notes": ["Unjudged passages count as not relevant.", "The tokens saved hold for prompts of the eval's template."],
    "work": {"pairs_scored": 8_000, "pairs_reused": 0},
}
