"""Two sides of a comparison built by hand: few queries, literal figures, one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ragprof.core.quantities import Kind
from ragprof.studies.gate.document import Comparison, QuantityRow
from ragprof.studies.gate.evidence import FIGURES, RANKINGS, TIMES, SideEvidence

Values = Sequence[float | None]
"""By query q00, q01, ...; None where a query was not measured."""

ENVIRONMENT: Mapping[str, Any] = {
    "cpu": "AMD EPYC",
    "cores": 2,
    "threads": 2,
    "memory_bytes": 1,
    "os": "Linux 6.1",
    "python": "3.11.7",
    "gpu": None,
    "packages": {"torch": "2.13.0", "bm25s": "0.3.9"},
}


def query(number: int) -> str:
    return f"q{number:02}"


def figures(pipeline: str, kind: Kind, stage: str, name: str, values: Values) -> list[tuple[Any, ...]]:
    """Rows of one quantity."""
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    return [(pipeline, kind, stage, name, query(at), float(value)) for at, value in known]


def ndcg(values: Values, pipeline: str = "a") -> list[tuple[Any, ...]]:
    return figures(pipeline, "quality", "search", "nDCG@10", values)


def tokens(values: Values, pipeline: str = "a") -> list[tuple[Any, ...]]:
    return figures(pipeline, "usage", "inject", "prompt_tokens", values)


def cost(
    values: Values, stage: str = "inject", item: str = "prompt tokens", pipeline: str = "a"
) -> list[tuple[Any, ...]]:
    return figures(pipeline, "cost", stage, item, values)


def timings(rounds: Sequence[Values], stage: str = "query", pipeline: str = "a") -> list[tuple[Any, ...]]:
    """`rounds` are lists of ms by query, one a round."""
    return [
        (pipeline, stage, number, query(at), round(value * 1_000_000))
        for number, values in enumerate(rounds)
        for at, value in enumerate(values)
        if value is not None
    ]


def ranking(query_id: str, documents: Sequence[str], pipeline: str = "a") -> list[tuple[Any, ...]]:
    return [(pipeline, query_id, rank, document) for rank, document in enumerate(documents, start=1)]


def facts(pipelines: Sequence[str] = ("a",), **other: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "eval": "handmade",
        "title": "Handmade",
        "created": "2026-01-01T00:00:00Z",
        "recording": "r1",
        "job": "j1",
        "ragprof_version": "0.1.0",
        "eval_sha256": "e1",
        "corpus": {"name": "small", "docs": 3, "sha256": "c1"},
        "questions": "s1",
        "qrels_sha256": "l1",
        "queries": 4,
        "seed": 0,
        "tokenizer": "o200k_base",
        "metrics": ["nDCG@10", "R@50"],
        "environment": ENVIRONMENT,
        "pipelines": {name: {"store": "bm25s", "reranker": None} for name in pipelines},
        "depths": dict.fromkeys(pipelines, 50),
        "rates": {},
        "priced_on": "2026-01-01",
        "unpriced": {name: [] for name in pipelines},
        "clocked": {name: [] for name in pipelines},
        "noise": dict.fromkeys(pipelines),
    }
    return {**made, **other}


def side(
    *rows: list[tuple[Any, ...]],
    times: Sequence[list[tuple[Any, ...]]] = (),
    rankings: Sequence[list[tuple[Any, ...]]] = (),
    label: str = "base",
    pipelines: Sequence[str] = ("a",),
    **other: Any,
) -> SideEvidence:
    """`rows` and `times` are what the functions above make; `other` are facts that differ from `facts`."""
    return SideEvidence(
        label=label,
        source="recording",
        facts=facts(pipelines, **other),
        figures=pd.DataFrame([row for each in rows for row in each], columns=list(FIGURES)),
        times=pd.DataFrame([row for each in times for row in each], columns=list(TIMES)),
        rankings=pd.DataFrame([row for each in rankings for row in each], columns=list(RANKINGS)),
    )


def environment(**other: Any) -> dict[str, Any]:
    return {**ENVIRONMENT, **other}


def row(found: Comparison, quantity: str, pipeline: str = "a") -> QuantityRow:
    """The one row of a quantity."""
    (only,) = [each for each in found.quantities if (each.quantity, each.pipeline) == (quantity, pipeline)]
    return only


def rising(first: float, step: float, n: int) -> list[float]:
    return [first + step * at for at in range(n)]
