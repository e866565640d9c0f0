"""A made-up injection study with plausible figures: six pipelines, three of them swept over k, budgets and orders."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

MS = 1_000_000
NAMES = ("bm25", "static", "dense", "hybrid", "dense+maxsim", "hybrid+maxsim")
SWEPT = ("bm25", "dense", "dense+maxsim")
QUESTIONS = 60
CORRECT = dict(zip(NAMES, (20, 15, 23, 25, 27, 28), strict=True))
IN_CONTEXT = dict(zip(NAMES, (35, 28, 39, 41, 44, 45), strict=True))
RETRIEVAL_S = dict(zip(NAMES, (0.004, 0.006, 0.02, 0.023, 0.079, 0.082), strict=True))
NDCG = dict(zip(NAMES, (0.402, 0.361, 0.47, 0.503, 0.524, 0.541), strict=True))
RERANKED = ("dense+maxsim", "hybrid+maxsim")
UNPRICED = "hybrid+maxsim"
LENGTHS = (128, 256, 512, 1024, 2048)
A_NS, B_NS, C_NS = 41.2 * MS, 1_310_000.0, 172.0
OFF = (0.021, -0.014, 0.008, -0.011, 0.002)
PRESETS = {"creative": 0.1, "support": 0.5, "incident response": 1.0, "trading": 2.0}
REASONS = ("nobody waits for a draft", "a chat is given up after seconds", "minutes are lost", "a late answer is wrong")
FORMULAS = {
    "usd_per_query": "USD of all answered questions / questions",
    "usd_per_correct_answer": "USD of all answered questions / correct answers",
    "usd_per_token_of_correctness": "USD of all answered questions / output tokens of correct answers",
    "correct_answers_per_million_tokens": "correct answers / tokens consumed, times a million",
    "joules_per_query": "watts x busy seconds / questions",
    "joules_per_correct_answer": "joules of all questions / correct answers",
    "energy_usd_per_1000_queries": "kWh of 1,000 queries x USD per kWh",
    "kg_co2_per_1000_queries": "kWh of 1,000 queries x kg per kWh",
    "utility": "A * R / L^k",
}


def injection() -> dict[str, Any]:
    """A fresh copy each time, so that a test may change it."""
    return copy.deepcopy(_INJECTION)


def economics() -> dict[str, dict[str, Any]]:
    """pipeline -> its economics; a fresh copy each time."""
    return {name: _economics(name) for name in NAMES}


def with_answers(summary: dict[str, Any], study: dict[str, Any] | None = None) -> dict[str, Any]:
    """A run's summary with the study and the economics of its pipelines."""
    found = economics()
    pipelines = {
        name: {**pipeline, "economics": found[name]} if name in found else pipeline
        for name, pipeline in summary["pipelines"].items()
    }
    return {**summary, "pipelines": pipelines, "injection": injection() if study is None else study}


def _share(count: float, n: int = QUESTIONS) -> dict[str, Any]:
    """A share with its interval after Wald, cut off at 0 and 1."""
    mean = count / n
    half = 1.96 * math.sqrt(mean * (1 - mean) / n)
    return _estimate(mean, half, n)


def _estimate(mean: float, half: float, n: int = QUESTIONS) -> dict[str, Any]:
    return {"mean": round(mean, 5), "interval": [round(max(0.0, mean - half), 5), round(mean + half, 5)], "n": n}


def _change(mean: float, half: float) -> dict[str, Any]:
    return {"mean": round(mean, 5), "interval": [round(mean - half, 5), round(mean + half, 5)], "n": QUESTIONS}


def _around(value: float, share: float = 0.06) -> dict[str, Any]:
    digits = {"mean": value, "interval": [value * (1 - share), value * (1 + share)]}
    return {key: _rounded(found) for key, found in digits.items()} | {"n": QUESTIONS}


def _rounded(value: Any) -> Any:
    return [_rounded(end) for end in value] if isinstance(value, list) else float(f"{value:.5g}")


def first_token_ns(tokens: float) -> float:
    return A_NS + B_NS * tokens + C_NS * tokens**2


def _time_to_first_token() -> dict[str, Any]:
    measured = {n: first_token_ns(n) * (1 + off) for n, off in zip(LENGTHS, OFF, strict=True)}
    curve = [round(64 + place * (2048 - 64) / 31) for place in range(32)]
    return {
        "model": "gemma-3-270m bfloat16",
        "points": [
            {"prompt_tokens": n, "p50_ns": int(ns), "interval_ns": [int(ns * 0.97), int(ns * 1.05)], "n": 4}
            for n, ns in measured.items()
        ],
        "fit": {
            **{"a_ns": A_NS, "b_ns_per_token": B_NS, "c_ns_per_token2": C_NS, "residual_ns": 9.1 * MS},
            **{"quadratic_from_tokens": 869, "relative_residual": 0.0127},
            "intervals": {
                "a_ns": [12.0 * MS, 70.1 * MS],
                "b_ns_per_token": [1_210_000.0, 1_400_000.0],
                "c_ns_per_token2": [121.0, 229.0],
            },
            "residuals": [{"prompt_tokens": n, "residual_ns": ns - first_token_ns(n)} for n, ns in measured.items()],
            "curve": [_curve_point(n) for n in curve],
            "statement": (
                "The quadratic term is there: c n\u00b2 makes up a tenth of the time to first token from 869 tokens on."
            ),
        },
        "decode_ns_per_token": _around(38.4 * MS, 0.03),
    }


def _curve_point(n: int) -> dict[str, Any]:
    ns, wide = first_token_ns(n), 12 * MS + 18_000 * n
    return {"prompt_tokens": n, "value_ns": int(ns), "interval_ns": [int(ns - wide), int(ns + wide)]}


def _tokens(k: float, chunk: float, relevant: float) -> dict[str, float]:
    context = chunk * k
    kept = min(context, 1900.0)
    duplicate = 0.03 * kept * (k - 1) / 5
    parts = {"relevant": relevant * kept / k**0.35, "unjudged": 0.07 * kept, "duplicate": duplicate}
    parts["irrelevant"] = kept - sum(parts.values())
    whole = {"template": 71.0, "question": 15.4, **parts, "truncated": context - kept}
    return {part: round(value, 1) for part, value in whole.items()}


def _answers_at(name: str, reach: float) -> dict[str, Any]:
    """At a depth in chunks, which a token budget turns into a fraction."""
    found = IN_CONTEXT[name] * (1 - 0.52 * math.exp(-0.55 * (reach - 1)))
    used = CORRECT[name] * (1 - 0.38 * math.exp(-0.75 * (reach - 1))) - 0.9 * max(0.0, reach - 3)
    return {
        "correct": _share(round(used)),
        "answer_f1": _estimate(0.92 * used / QUESTIONS, 0.09),
        "exact_match": _share(round(0.43 * used)),
        "answer_in_context": _share(round(found)),
        "answer_in_answer": _share(round(used + 2)),
        "ndcg": _estimate(NDCG[name] * (0.78 + 0.044 * reach), 0.05),
    }


def _step(name: str, reach: float) -> dict[str, Any]:
    tokens = _tokens(reach, 412.0 if name == "bm25" else 388.0, NDCG[name])
    prompt = sum(value for part, value in tokens.items() if part != "truncated") * 1.06
    usd = prompt * 0.15 / 1000 + 0.021
    return {
        "prompt_tokens": _around(prompt, 0.04),
        **_answers_at(name, reach),
        "time_to_first_token_ns": _around(first_token_ns(prompt), 0.05),
        "usd_per_1000_queries": f"{usd:.5f}",
        "usd_interval": [f"{usd * 0.96:.5f}", f"{usd * 1.04:.5f}"],
        "tokens": tokens,
        "usd_per_relevant_token": f"{usd / 1000 / tokens['relevant']:.10f}",
    }


def _by_k(name: str) -> list[dict[str, Any]]:
    return [{"k": k, "setting": f"k={k}", **_step(name, k)} for k in range(1, 6)]


def _by_budget(name: str) -> list[dict[str, Any]]:
    return [
        {"budget_tokens": tokens, "setting": f"tokens={tokens}", **_step(name, max(1.0, tokens / 400))}
        for tokens in (500, 1000, 2000)
    ]


def _orders(name: str) -> list[dict[str, Any]]:
    def of(order: str, change: int, place: float) -> dict[str, Any]:
        count = CORRECT[name] + change
        told = {"difference": None, "p": None, "verdict": None}
        if change:
            told = {"difference": _change(change / QUESTIONS, 0.06), "p": 0.31, "p_holm": 0.62, "verdict": "undecided"}
        marks = {"correct": _share(count), "answer_f1": _estimate(0.92 * count / QUESTIONS, 0.09)}
        return {"order": order, "k": 5, **marks, **told, "evidence_position": _estimate(place, 0.05)}

    return [of("best_first", 0, 0.24), of("best_last", 2, 0.76), of("edges", -1, 0.41)]


def _marginal(name: str) -> dict[str, Any]:
    found = _by_k(name)
    return {
        "steps": [_marginal_step(before, after) for before, after in itertools.pairwise(found)],
        "last_worthwhile_k": 3,
        "statement": f"{name}: from k = 3 on one more chunk costs more than it brings.",
        "status": "undecided" if name == "bm25" else "told",
    }


def _marginal_step(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    gain, f1, wait = (_gap(before, after, key) for key in ("correct", "answer_f1", "time_to_first_token_ns"))
    usd = float(after["usd_per_1000_queries"]) - float(before["usd_per_1000_queries"])
    return {
        **{"from_k": before["k"], "to_k": after["k"], "correct_gain": _change(gain, 0.055)},
        **{"f1_gain": _change(f1, 0.04), "added_usd_per_1000": f"{usd:.5f}"},
        "added_first_token_ns": _around(wait, 0.08),
        "usd_per_extra_correct": f"{usd / gain / 1000:.6f}" if gain > 0 else None,
        "usd_per_extra_correct_interval": [f"{usd / (gain + 0.055) / 1000:.6f}", None] if gain > 0 else None,
    }


def _gap(before: dict[str, Any], after: dict[str, Any], key: str) -> float:
    return float(after[key]["mean"] - before[key]["mean"])


def _counts(name: str) -> dict[str, int]:
    search = round(0.55 * (QUESTIONS - IN_CONTEXT[name]))
    rerank = 2 if name in RERANKED else 0
    packing = QUESTIONS - IN_CONTEXT[name] - search - rerank
    lost = {"search": search, "rerank": rerank, "packing": packing}
    return lost | {"model": QUESTIONS - CORRECT[name] - sum(lost.values())}


def _answers(name: str) -> dict[str, Any]:
    counts, correct = _counts(name), CORRECT[name]
    return {
        **{"setting": "own", "n": QUESTIONS, "exact_match": _share(round(0.43 * correct))},
        **{"f1": _estimate(0.92 * correct / QUESTIONS, 0.09), "correct": _share(correct)},
        **{"answer_in_context": _share(IN_CONTEXT[name]), "answer_in_answer": _share(correct + 2)},
        "attribution": {part: round(count / QUESTIONS, 5) for part, count in counts.items()},
        "attribution_counts": counts,
        "abstention": {"unanswerable": _share(9 + NAMES.index(name), 30), "answerable": _share(5)},
        "judge": _judge(name) if name in SWEPT else None,
    }


def _judge(name: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "agreement": 0.883, "kappa": 0.741, "kappa_interval": [0.56, 0.89], "n": QUESTIONS}


def _wait_s(name: str) -> float:
    tokens = 1700.0 if name == "bm25" else 1585.0
    return RETRIEVAL_S[name] + first_token_ns(tokens) / 1e9


def _utility(name: str, k: float) -> float:
    return CORRECT[name] / QUESTIONS * NDCG[name] / _wait_s(name) ** k


def _economics(name: str) -> dict[str, Any]:
    tokens = 1742.0 if name == "bm25" else 1627.0
    usd, share = tokens * 0.15e-6 + 0.000024 * (1 + NAMES.index(name)), CORRECT[name] / QUESTIONS
    joules = 28.0 * (_wait_s(name) + 0.9)
    money: dict[str, Any] = {
        "usd_per_query": _around(usd),
        "usd_per_correct_answer": _around(usd / share, 0.27),
        "usd_per_token_of_correctness": _around(usd / share / 21, 0.29),
        "usd_per_1000_queries": f"{usd * 1000:.5f}",
        "usd_interval": [f"{usd * 940:.5f}", f"{usd * 1060:.5f}"],
        "unpriced": [],
    }
    if name == UNPRICED:
        money = {**dict.fromkeys(money), "unpriced": ["rerank: no rate named 'rerank-hosted' in the book"]}
    return {
        **{"setting": "own", "formulas": FORMULAS, **money},
        "correct_answers_per_million_tokens": _around(1e6 * share / tokens, 0.27),
        **{"joules_per_query": _around(joules, 0.04), "joules_per_correct_answer": _around(joules / share, 0.28)},
        "energy_usd_per_1000_queries": _around(joules / 3.6e3 * 0.17, 0.04),
        "kg_co2_per_1000_queries": _around(joules / 3.6e3 * 0.473, 0.04),
        **{"tokens_per_query": _around(tokens, 0.03), "accuracy": _share(CORRECT[name])},
        **{"relevance": _estimate(NDCG[name], 0.05), "time_to_first_token_s": _around(_wait_s(name), 0.04)},
        "utility": {f"{k:g}": _around(_utility(name, k), 0.3) for k in PRESETS.values()},
    }


def _comparison(baseline: str, candidate: str, metric: str, difference: float, verdict: str) -> dict[str, Any]:
    return {
        **{"baseline": baseline, "candidate": candidate, "metric": metric, "difference": difference},
        **{"interval": [round(difference - 0.09, 3), round(difference + 0.09, 3)], "p": 0.021, "p_holm": 0.063},
        **{"verdict": verdict, "more_queries": 47 if verdict == "undecided" else None, "n": QUESTIONS},
    }


def _budget() -> dict[str, Any]:
    found = {}
    for name in NAMES:
        economics = _economics(name)
        tokens, usd = economics["tokens_per_query"]["mean"], economics["usd_per_query"]
        within = None if usd is None else tokens <= 1700
        money = None if usd is None else f"{usd['mean'] * 1000:.5f}"
        found[name] = {"tokens_per_query": tokens, "usd_per_1000_queries": money, "within": within}
    return {"tokens_per_query": 1700, "usd_per_1000_queries": "0.5", "pipelines": found}


_INJECTION: dict[str, Any] = {
    "generator": {"name": "local", "model": "gemma-3-270m", "precision": "bfloat16", "device": "cpu"},
    **{"priced_as": "openai:gpt-4o-mini", "questions": QUESTIONS, "unanswerable": 30, "correct": "contains", "seed": 0},
    "time_to_first_token": _time_to_first_token(),
    "by_k": {name: _by_k(name) for name in SWEPT},
    "by_budget": {name: _by_budget(name) for name in SWEPT},
    "orders": {name: _orders(name) for name in SWEPT},
    "marginal": {name: _marginal(name) for name in SWEPT},
    "answers": {name: _answers(name) for name in NAMES},
    "comparisons": [
        _comparison("bm25", "dense", "correct", 0.05, "undecided"),
        _comparison("dense", "dense+maxsim", "correct", 0.067, "undecided"),
        _comparison("static", "hybrid+maxsim", "correct", 0.217, "better"),
        _comparison("dense", "static", "f1", -0.12, "worse"),
    ],
    "utility": {
        "presets": [
            {"name": name, "k": k, "reason": reason} for (name, k), reason in zip(PRESETS.items(), REASONS, strict=True)
        ],
        "curve": [
            {"k": float(f"{10**exponent:.4g}"), "values": {name: _utility(name, 10**exponent) for name in NAMES}}
            for exponent in (place / 10 - 2 for place in range(31))
        ],
        "winners": [
            {"from_k": 0.01, "to_k": 7.9, "pipeline": "hybrid+maxsim", "share": 0.71},
            {"from_k": 7.9, "to_k": 10.0, "pipeline": "hybrid", "share": 0.52},
        ],
        "statement": "hybrid+maxsim is worth most up to k = 7.9, hybrid beyond.",
        "formula": "U = A * R / L^k",
    },
    "budget": _budget(),
    "energy": {
        **{"source": "estimate", "watts": 28.0, "region": "world", "usd_per_kwh": 0.17, "kg_co2_per_kwh": 0.473},
        **{"date": "2025-12-31", "statement": "Estimated from a stated wattage while busy; nothing was metered."},
    },
    "work": {"prompts": 2430, "distinct": 1604, "generated": 1604, "reused": 826},
    "statements": [
        "hybrid+maxsim answers 46.7% of 60 questions correctly (95% interval 34.0% to 59.3%).",
        "hybrid+maxsim loses more answers to the model than to search: a gold answer stood in 45 prompts.",
        "From k = 3 on one more chunk costs more than it brings.",
    ],
    "notes": [
        "60 questions: differences below about 12 percentage points cannot be told.",
        "Time to first token is that of 2 cores without a GPU.",
    ],
}
