"""A made-up comparison: every verdict and every verdict of a gate, three pipelines, worst queries, differences."""

from __future__ import annotations

import copy
from typing import Any

HOSTILE = "<script>alert('x')</script> **bold** | [link](javascript:alert(1)) @team"
QUERIES = 300
DENSE, RERANKED, SPARSE = "dense", "dense+maxsim", "bm25"
NOT_TIMED = "the machines differ: environment.cpu"
NO_RATE = "the candidate has no rate named 'rerank-hosted'"


def document() -> dict[str, Any]:
    """Without a gate; a fresh copy each time, so that a test may change it."""
    return copy.deepcopy(_DOCUMENT)


def gated(verdict: str = "regression") -> dict[str, Any]:
    """With a gate of that verdict: of every verdict for `regression`, else of what leads to that one."""
    kept = {
        "regression": ("regression", "unpriced", "incomparable", "undecided", "holds"),
        "incomparable": ("incomparable", "undecided", "holds"),
        "undecided": ("undecided", "holds"),
        "holds": ("holds",),
    }[verdict]
    gates = [gate for gate in copy.deepcopy(_GATES) if gate["gate"] in kept]
    exit_code = {"regression": 1, "incomparable": 3}.get(verdict, 0)
    gate = {"verdict": verdict, "exit_code": exit_code, "strict": False, "family": len(gates), "gates": gates}
    return {**document(), "gate": gate}


def interleaved() -> dict[str, Any]:
    """A gate over two sides that ran interleaved, with the machine's noise."""
    return {**gated("holds"), "same_job": True, "against": copy.deepcopy(_AGAINST)}


def bare() -> dict[str, Any]:
    """Nothing but nulls: one row without figures."""
    row = dict.fromkeys(_row(SPARSE, "nDCG@10", "quality", 0.0, 0.0))
    lone = {**row, "pipeline": "lonely", "base_pipeline": "lonely", "quantity": "nDCG@10", "kind": "quality"}
    keys = dict.fromkeys(_DOCUMENT)
    return {**keys, "format": 1, "eval": "e", "rows": [{**lone, "primary": True, "verdict": "missing"}]}


def many(pipelines: int) -> dict[str, Any]:
    """A gated document of so many pipelines, each with every row and gate: too long for a comment."""
    found = gated()
    names = [f"pipeline-{number:03d}" for number in range(pipelines)]
    found["rows"] = [{**row, "pipeline": name, "base_pipeline": name} for name in names for row in _of(RERANKED)]
    found["worst"] = {name: copy.deepcopy(_DOCUMENT["worst"][RERANKED]) for name in names}
    gate = found["gate"]
    gate["gates"] = [{**one, "pipeline": name, "base_pipeline": name} for name in names for one in gate["gates"]]
    return found


def hostile() -> dict[str, Any]:
    """Names and texts that would be markup."""
    found = gated()
    for row in [*found["rows"], *found["gate"]["gates"]]:
        row.update(pipeline=HOSTILE, base_pipeline=HOSTILE, margin_why=HOSTILE, reason=HOSTILE)
    found["gate"]["gates"][0]["message"] = HOSTILE
    worst = found["worst"][RERANKED]
    worst["queries"][0].update(query_id=HOSTILE, before=[HOSTILE, "d2"], after=["d2", HOSTILE])
    difference = {"field": HOSTILE, "base": HOSTILE, "candidate": HOSTILE, "blocks": "latency"}
    change = {"part": HOSTILE, "base": HOSTILE, "candidate": None}
    found.update(title=HOSTILE, notes=[HOSTILE], differences=[difference])
    found.update(worst={HOSTILE: worst}, changed={HOSTILE: [change]})
    found["base"]["label"] = HOSTILE
    return found


def _of(name: str) -> list[dict[str, Any]]:
    return [row for row in _ROWS if row["pipeline"] == name]


_UNITS = {"quality": "", "latency": "ms", "cost": "USD"}
_WHY = {
    "quality": "0.01 of a metric, the default",
    "latency": "26% between two jobs, the default",
    "usage": "1%, the default",
    "cost": "2%, the default",
}
_MARGINS = {"quality": (0.01, 0.0), "latency": (0.0, 0.26), "usage": (0.0, 0.01), "cost": (0.0, 0.02)}


def _row(
    pipeline: str, quantity: str, kind: str, base: float, candidate: float, *, half: float = 0.0, **said: Any
) -> dict[str, Any]:
    """`half` is half the interval of the difference."""
    stage, dot, name = quantity.partition(".")
    difference = round(candidate - base, 6)
    absolute, share = _MARGINS[kind]
    spread = [round(difference - half, 6), round(difference + half, 6)]
    return {
        "pipeline": pipeline,
        "base_pipeline": pipeline,
        "quantity": quantity,
        "kind": kind,
        "stage": stage if dot else "",
        "name": name or stage,
        "unit": _UNITS.get(kind, name),
        "better": "higher" if kind == "quality" else "lower",
        "primary": not dot or quantity == "inject.prompt_tokens",
        "base": base,
        "candidate": candidate,
        "difference": difference,
        "interval": spread,
        "relative": difference / base if base else None,
        "relative_interval": [end / base for end in spread] if base else None,
        "p": 0.4,
        "p_holm": 1.0,
        "n": QUERIES,
        "margin": max(absolute, share * base),
        "margin_why": _WHY[kind],
        "verdict": "equivalent",
        "reason": "",
        "more_queries": None,
        "noise": None,
        **said,
    }


_NO_FIGURES = dict.fromkeys(("difference", "interval", "relative", "relative_interval", "p", "p_holm"))
_CLEAR = {"p": 0.0001, "p_holm": 0.0012}
_ROWS = [
    _row(SPARSE, "nDCG@10", "quality", 0.664, 0.664, p=1.0),
    _row(SPARSE, "R@10", "quality", 0.79, 0.792, half=0.004),
    _row(SPARSE, "latency_p50", "latency", 0.277, 0.281, half=0.004, p=0.06, p_holm=0.36),
    _row(SPARSE, "latency_p95", "latency", 0.694, 0.81, half=0.28, verdict="undecided", more_queries=940),
    _row(SPARSE, "inject.prompt_tokens", "usage", 1214.6, 1214.6, p=1.0),
    _row(SPARSE, "usd_per_1000_queries", "cost", 0.000123, 0.000124, half=0.000001),
    _row(DENSE, "nDCG@10", "quality", 0.645, 0.671, half=0.011, verdict="better", **_CLEAR),
    _row(DENSE, "R@10", "quality", 0.783, 0.79, half=0.012, verdict="undecided", more_queries=420),
    _row(DENSE, "search.R@20", "quality", 0.83, 0.861, half=0.012, verdict="better", **_CLEAR),
    _row(DENSE, "latency_p50", "latency", 12.4, 12.6, half=0.5),
    _row(DENSE, "latency_p95", "latency", 18.2, 17.9, half=0.9),
    _row(DENSE, "inject.prompt_tokens", "usage", 1187.3, 1189.0, half=3.1),
    _row(DENSE, "usd_per_1000_queries", "cost", 2.98, 2.99, half=0.01),
    _row(RERANKED, "nDCG@10", "quality", 0.712, 0.679, half=0.012, verdict="worse", **_CLEAR),
    _row(RERANKED, "R@10", "quality", 0.811, 0.806, half=0.006),
    _row(RERANKED, "latency_p50", "latency", 70.6, 82.1, half=1.9, verdict="worse", **_CLEAR),
    _row(RERANKED, "latency_p95", "latency", 84.0, 97.3, half=16.0, verdict="undecided", more_queries=310),
    _row(RERANKED, "rerank.latency_p95", "latency", 66.1, 78.0, half=2.4, verdict="worse", **_CLEAR),
    _row(RERANKED, "generate.latency_p95", "latency", 0.0, 0.0) | _NO_FIGURES | {
        "base": None, "candidate": None, "margin": None, "margin_why": "", "verdict": "incomparable",
        "reason": NOT_TIMED, "n": 0,
    },
    _row(RERANKED, "inject.prompt_tokens", "usage", 1187.3, 1250.9, half=6.0, verdict="worse", **_CLEAR),
    _row(RERANKED, "rerank.pairs", "usage", 50.0, 20.0, verdict="better", **_CLEAR),
    _row(RERANKED, "usd_per_1000_queries", "cost", 3.02, 0.0) | _NO_FIGURES | {
        "candidate": None, "verdict": "unpriced", "reason": NO_RATE,
    },
    _row(RERANKED, "rerank.truncated_pairs", "usage", 0.0, 0.0) | _NO_FIGURES | {
        "base": None, "candidate": 1.2, "margin": None, "margin_why": "", "verdict": "missing", "n": 0,
        "reason": "the base did not record it",
    },
]  # fmt: skip


def _gate(pipeline: str, quantity: str, verdict: str, message: str = "", **said: Any) -> dict[str, Any]:
    row = next(row for row in _ROWS if (row["pipeline"], row["quantity"]) == (pipeline, quantity))
    absolute, relative = _MARGINS[row["kind"]]
    margins = {"margin_absolute": absolute, "margin_relative": relative}
    return {**row, **margins, "noise": None, "gate": verdict, "message": message, **said}


_GATES = [
    _gate(SPARSE, "nDCG@10", "holds"),
    _gate(SPARSE, "latency_p95", "undecided"),
    _gate(DENSE, "nDCG@10", "holds", p_holm=0.0009),
    _gate(DENSE, "inject.prompt_tokens", "holds"),
    _gate(DENSE, "latency_p95", "holds", noise=0.031, margin_why="26% between two jobs; noise 3.1%"),
    _gate(RERANKED, "nDCG@10", "regression", "nDCG@10 of dense+maxsim fell by 0.033 (0.021 to 0.045), margin 0.010"),
    _gate(RERANKED, "rerank.latency_p95", "incomparable", reason=NOT_TIMED, **_NO_FIGURES),
    _gate(RERANKED, "inject.prompt_tokens", "regression"),
    _gate(RERANKED, "usd_per_1000_queries", "unpriced"),
]


def _side(label: str, source: str, created: str) -> dict[str, Any]:
    corpus = {"name": "scifact", "docs": 5183, "sha256": "1bff" * 16}
    found = {"label": label, "source": source, "created": created, "ragprof_version": "0.1.0"}
    return {**found, "recording": f"{label}-0f3a", "corpus": corpus, "queries": QUERIES}


_DOCUMENT: dict[str, Any] = {
    "format": 1,
    "eval": "scifact",
    "title": "SciFact: scientific claims",
    "base": _side("baselines/main", "baseline", "2026-11-20T09:14:00Z"),
    "candidate": _side("reports/scifact", "recording", "2026-11-22T11:36:06Z"),
    "queries": QUERIES,
    "same_job": False,
    "differences": [
        {"field": "environment.packages.torch", "base": "2.12.0", "candidate": "2.13.0", "blocks": "nothing"},
        {"field": "environment.cpu", "base": "AMD EPYC", "candidate": "Intel Xeon", "blocks": "latency"},
    ],
    "notes": ["pipeline 'hybrid' is only in the candidate, so it is not compared"],
    "alpha": 0.05,
    "confidence": 0.95,
    "family": 21,
    "rows": _ROWS,
    "worst": {
        RERANKED: {
            "metric": "nDCG@10",
            "queries": [
                {
                    "query_id": "q-0042", "base": 0.91, "candidate": 0.2,
                    "before": ["d17", "d4", "d99", "d3"], "after": ["d4", "d17", "d512", "d3"],
                },
                {"query_id": "q-0107", "base": 1.0, "candidate": 0.631, "before": ["d8", "d1"], "after": ["d1", "d8"]},
            ],
        }
    },
    "changed": {RERANKED: [{"part": "reranker", "base": "maxsim(depth 50)", "candidate": "maxsim(depth 20)"}]},
    "gate": None,
    "against": None,
}  # fmt: skip
_AGAINST = {
    "budget_seconds": 300.0,
    "spent_seconds": 184.2,
    "looks": 2,
    "looks_allowed": 4,
    "rounds": 6,
    "queries": 40,
    "noise": {DENSE: {"latency_p50": 0.004, "latency_p95": 0.031}, RERANKED: {"latency_p95": 0.012}},
}
