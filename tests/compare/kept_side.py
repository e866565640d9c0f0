"""A small side of a comparison whose figures can be worked out by hand: two pipelines, one with a reranker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from ragprof.studies.gate.evidence import FIGURES, RANKINGS, TIMES, SideEvidence

QUERIES = tuple(f"q{number:02d}" for number in range(20))
STAGES_MS = {"search": 2.0, "inject": 1.0, "rerank": 7.0}


def side(**facts: Any) -> SideEvidence:
    """20 queries, two rounds. The second round is 4 % slower in `plain`, 30 % slower in the rerank stage."""
    rankings = pd.DataFrame(
        [(name, query, rank, f"d{rank}") for name in ("plain", "reranked") for query in QUERIES for rank in (1, 2)],
        columns=list(RANKINGS),
    )
    return SideEvidence(
        "reports/small", "recording", {**FACTS, **facts}, pd.DataFrame(_figures(), columns=list(FIGURES)), _times(),
        rankings,
    )  # fmt: skip


def only_plain(evidence: SideEvidence) -> SideEvidence:
    """Without the pipeline that reranks."""
    facts = {**evidence.facts, "pipelines": {"plain": evidence.facts["pipelines"]["plain"]}}
    named = {name: getattr(evidence, name) for name in ("figures", "times", "rankings")}
    return replace(evidence, facts=facts, **{name: each[each["pipeline"] == "plain"] for name, each in named.items()})


def _figures() -> list[tuple[str, str, str, str, str, float]]:
    rows = []
    for number, query in enumerate(QUERIES):
        rows += [("plain", "quality", "search", "nDCG@10", query, (number % 4) / 4)]
        rows += [("plain", "quality", "search", "R@50", query, float(number % 2))]
        rows += [("reranked", "quality", "search", "nDCG@10", query, (number % 4) / 4)]
        rows += [("reranked", "quality", "rerank", "nDCG@10", query, 0.75 if number % 2 else 0.25)]
        rows += [("reranked", "quality", "rerank", "R@50", query, float(number % 2))]
        for name in ("plain", "reranked"):
            rows += [(name, "usage", "inject", "prompt_tokens", query, 1000.0 + number)]
            rows += [(name, "cost", "inject", "prompt tokens", query, (1000 + number) / 1000)]
        rows += [("reranked", "usage", "rerank", "docs_scored", query, 50.0)]
        rows += [("reranked", "cost", "rerank", "machine time", query, 1.0)]
    return rows


def _times() -> pd.DataFrame:
    rows = []
    for at, query in enumerate(QUERIES):
        for number in (0, 1):
            scale = {"search": 1.0 + 0.04 * number, "inject": 1.0 + 0.04 * number, "rerank": 1.0 + 0.30 * number}
            ns = {stage: round(1e6 * ms * scale[stage] * (1 + at / 100)) for stage, ms in STAGES_MS.items()}
            for name, stages in (("plain", ("search", "inject")), ("reranked", ("search", "rerank", "inject"))):
                rows += [(name, stage, number, query, ns[stage]) for stage in stages]
                rows += [(name, "query", number, query, sum(ns[stage] for stage in stages))]
    return pd.DataFrame(rows, columns=list(TIMES))


FACTS: dict[str, Any] = {
    "eval": "small",
    "title": "A small one",
    "created": "2026-11-20T10:00:00Z",
    "recording": "0123456789abcdef",
    "job": "fedcba9876543210",
    "ragprof_version": "0.1.0",
    "eval_sha256": "e" * 64,
    "corpus": {"name": "small", "docs": 12, "sha256": "c" * 64},
    "questions": "a" * 64,
    "qrels_sha256": "b" * 64,
    "queries": 20,
    "seed": 0,
    "tokenizer": "o200k_base",
    "metrics": ["nDCG@10", "RR@10", "R@50"],
    "environment": {"cpu": "a cpu", "cores": 2, "threads": 2, "python": "3.11.7", "gpu": None, "packages": {}},
    "pipelines": {
        "plain": {"embedder": None, "store": "bm25s", "reranker": None, "injector": "top_k k=5", "generator": None},
        "reranked": {
            "embedder": None,
            "store": "bm25s",
            "reranker": "maxsim",
            "injector": "top_k k=5",
            "generator": None,
        },
    },
    "depths": {"plain": 50, "reranked": 50},
    "rates": {"machine": {"usd": "0.1", "since": "2026-11-01"}},
    "priced_on": "2026-11-20",
    "unpriced": {"plain": [], "reranked": []},
    "clocked": {"plain": [], "reranked": ["rerank"]},
    "noise": {"plain": 0.04, "reranked": 0.21},
}
