"""A small eval with a gate of its own making, recorded before: what the tests of gates share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ragprof
from ragprof.session.gating import gate

DATA = Path(__file__).parents[1] / "data"
EVAL = """# Two ways to the same handbook.
name = "small"
metrics = ["nDCG@10", "R@10"]

[corpus]
path = "handbook"

[timing]  # short
seconds = 0.05
rounds = 2
min_queries = 2
warmup = 1
waiting_bound = 1
noise_bound = 1000

[prices]
llm = "openai:gpt-4o-mini"

[[pipelines]]
name = "plain"
store = "bm25s"
depth = 10

[[pipelines]]
name = "reranked"
embedder = "hashing"
store = "faiss_flat"
depth = 10
reranker = "overlap"
"""
QUALITY = '"nDCG@10" = { absolute = 0.02 }'
TOKENS = '"inject.prompt_tokens" = { relative = 0.02 }'


@dataclass(frozen=True)
class Recorded:
    """The small eval, recorded twice alike and once with a reranker that puts the worst first. Only read them."""

    base: Path
    same: Path
    worse: Path


def gating(eval_file: Path, *quantities: str, table: str = "") -> Path:
    """The eval file with a [gate] of these."""
    eval_file.write_text("\n".join([eval_file.read_text(), "[gate]", table, "[gate.quantities]", *quantities, ""]))
    return eval_file


def refused(eval_file: Path, **given: Any) -> str:
    """Why nothing was run: neither a folder nor a file was made or changed."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    with pytest.raises(ragprof.RagprofError) as problem:
        gate(eval_file, **given)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return str(problem.value)
