"""Small recordings made by hand, so that every expected price can be worked out on paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

NONE = {"llm": None, "embed": None, "search": None, "rerank": None, "machine": None, "utilisation": "0.5"}

Recorded = Callable[..., Path]


@pytest.fixture(scope="session")
def write_recording() -> Recorded:
    """Write a recording into a folder; see `written` for what may be chosen."""
    return written


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Write a recording into this test's own folder."""

    def build(**choices: Any) -> Path:
        return written(tmp_path / "recording", **choices)

    return build


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    """Write a rate book from its text."""

    def write(text: str, name: str = "own.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def written(
    folder: Path,
    *,
    prices: Mapping[str, Any] | None = None,
    pipelines: Mapping[str, Mapping[str, Any]] | None = None,
    candidates: Mapping[str, Sequence[int]] | None = None,
    query_tokens: int = 20,
    prompt_tokens: int = 1_000,
    timed_ns: Mapping[str, Sequence[int]] | None = None,
    stages: Sequence[str] = ("embed", "search", "rerank", "inject"),
    traffic: Mapping[str, Any] | None = None,
    answers: Mapping[str, int] | None = None,
    generator: str = "local",
) -> Path:
    """`candidates`: query -> tokens of each document searched; `timed_ns`: query -> every stage's ns in each round.

    `answers`: query -> output tokens, of the queries that were answered.
    """
    candidates = {"q1": [100] * 10, "q2": [100] * 10} if candidates is None else candidates
    pipelines = {"dense": {}} if pipelines is None else pipelines
    (folder / "rankings").mkdir(parents=True, exist_ok=True)
    config = {
        "prices": {**NONE, **(prices or {})},
        "traffic": {"queries_per_month": 1_000_000} if traffic is None else dict(traffic),
        "pipelines": [
            {"name": name, "prices": dict(own), "generator": {"name": generator} if answers else None}
            for name, own in pipelines.items()
        ],
    }
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "config": config}), encoding="utf-8")
    usage = usage_of(pipelines, candidates, stages, query_tokens, prompt_tokens)
    pd.concat([usage, answers_of(pipelines, answers or {})]).to_parquet(folder / "usage.parquet")
    tokens_of(candidates, query_tokens).to_parquet(folder / "tokens.parquet")
    if timed_ns:  # without timings there is no such file
        spans_of(pipelines, stages, timed_ns).to_parquet(folder / "spans.parquet")
    for name in pipelines:
        ranking_of(candidates).to_parquet(folder / "rankings" / f"{name}.parquet")
    return folder


def usage_of(
    pipelines: Mapping[str, Any], candidates: Mapping[str, Any], stages: Sequence[str], query: int, prompt: int
) -> pd.DataFrame:
    units = {
        "embed": {"input_tokens": query},
        "search": {"searches": 1, "vectors_scanned": 500},
        "rerank": {"docs_scored": 10, "input_tokens": 7, "requests": 1},
        "inject": {"prompt_tokens": prompt, "context_tokens": prompt - query, "docs_injected": 5},
    }
    rows = [
        (pipeline, query_id, stage, unit, count)
        for pipeline in pipelines
        for query_id in candidates
        for stage in stages
        for unit, count in units.get(stage, {}).items()
    ]
    return pd.DataFrame(rows, columns=["pipeline", "query_id", "stage", "unit", "count"])


def answers_of(pipelines: Mapping[str, Any], answers: Mapping[str, int]) -> pd.DataFrame:
    rows = [(name, query, "generate", "output_tokens", count) for name in pipelines for query, count in answers.items()]
    return pd.DataFrame(rows, columns=["pipeline", "query_id", "stage", "unit", "count"])


def tokens_of(candidates: Mapping[str, Sequence[int]], query_tokens: int) -> pd.DataFrame:
    docs = [
        ("doc", f"{query}-{place}", count) for query, counts in candidates.items() for place, count in enumerate(counts)
    ]
    queries = [("query", query, query_tokens) for query in candidates]
    return pd.DataFrame([*docs, *queries], columns=["kind", "id", "tokens"])


def ranking_of(candidates: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """The search's documents, and after it a rerank of the first five, which must not be billed again."""
    rows = [
        (query, stage, place + 1, f"{query}-{place}", f"{query}-{place}", 1.0 / (place + 1))
        for query, counts in candidates.items()
        for stage, depth in (("search", len(counts)), ("rerank", 5))
        for place in range(min(depth, len(counts)))
    ]
    return pd.DataFrame(rows, columns=["query_id", "stage", "rank", "doc_id", "document_id", "score"])


def spans_of(
    pipelines: Mapping[str, Any], stages: Sequence[str], timed_ns: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """Timed spans as asked for, and a cold and a bare one a thousand times as long, which must not count."""
    rows = [
        (pipeline, phase, turn, query, stage, 0, duration)
        for pipeline in pipelines
        for query, durations in timed_ns.items()
        for stage in [*stages, "query"]
        for phase, turn, duration in [
            ("cold", 0, 1_000 * max(durations)),
            ("bare", 0, 1_000 * max(durations)),
            *(("timed", turn, duration) for turn, duration in enumerate(durations)),
        ]
    ]
    return pd.DataFrame(rows, columns=["pipeline", "phase", "round", "query_id", "stage", "start_ns", "duration_ns"])
