"""A small recording of answers, written as the record, judge and price passes write theirs: twelve questions.

Pipeline `good` is right on nine of them and `poor` on three, whatever the setting but k: with `k=1` good is right on
three, with `k=2` and `k=3` on nine. Money, tokens and times are round numbers, so that ratios can be told by heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ragprof.core import files

QUESTIONS = [f"q{number:02}" for number in range(12)]
UNANSWERABLE = ["u0", "u1"]
SETTINGS = {
    "good": ["own", "k=1", "k=2", "k=3", "tokens=500", "best_first", "best_last"],
    "poor": ["own"],
}
USD = pd.ArrowDtype(pa.decimal128(38, 18))
A_NS, B_NS, C_NS = 20_000_000, 400_000, 30


def right(pipeline: str, setting: str) -> int:
    """How many of the questions, the first ones, are answered correctly."""
    return 3 if pipeline == "poor" or setting == "k=1" else 9


def cells() -> list[tuple[str, str, str]]:
    """(pipeline, setting, query_id) of all that was asked."""
    return [
        (pipeline, setting, query_id)
        for pipeline, settings in SETTINGS.items()
        for setting in settings
        for query_id in [*QUESTIONS, *(UNANSWERABLE if setting == "own" else [])]
    ]


def prompts() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "pipeline": pipeline, "setting": setting, "query_id": query_id,
                "digest": f"{pipeline}/{setting}/{query_id}", "prompt_tokens": 850, "template_tokens": 50,
                "context_tokens": 780, "query_tokens": 20, "model_tokens": 900, "docs_injected": 3, "docs_dropped": 0,
                "truncated_tokens": 40,
            }
            for pipeline, setting, query_id in cells()
        ]
    )  # fmt: skip


def judged() -> pd.DataFrame:
    return pd.DataFrame([_judged(*cell) for cell in cells()])


def _judged(pipeline: str, setting: str, query_id: str) -> dict[str, Any]:
    known = query_id in QUESTIONS
    correct = known and QUESTIONS.index(query_id) < right(pipeline, setting)
    nan = float("nan")
    return {
        "pipeline": pipeline, "setting": setting, "query_id": query_id, "answerable": known,
        "exact_match": float(correct) if known else nan, "f1": 0.5 * correct if known else nan,
        "in_context": 1.0 if known else nan, "in_answer": float(correct) if known else nan,
        "correct": float(correct) if known else nan, "abstained": query_id == "u0",
        "lost_at": "model" if known and not correct else "", "ndcg": 0.8 if known else nan,
        "relevant_tokens": 300.0, "irrelevant_tokens": 200.0, "unjudged_tokens": 180.0, "duplicate_tokens": 100.0,
        "evidence_position": 0.25 if known else nan,
    }  # fmt: skip


def answers(output_tokens: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"digest": digest, "text": "so", "output_tokens": output_tokens, "answer_tokens": 95, "finish": "stop"}
            for digest in prompts()["digest"]
        ]
    )


def live() -> pd.DataFrame:
    """Two rounds of six questions; good takes 0.5 s to its first token and poor 0.25 s, with 0.1 s of retrieval."""
    return pd.DataFrame(
        [
            {
                "pipeline": pipeline, "setting": setting, "round": round_, "query_id": query_id,
                "end_to_end_ns": 2_000_000_000, "embed_ns": None, "search_ns": 60_000_000, "rerank_ns": None,
                "inject_ns": 40_000_000, "generate_ns": 1_900_000_000,
                "first_token_ns": 400_000_000 if pipeline == "good" else 150_000_000, "decode_ns": 990_000_000,
                "input_tokens": 900, "output_tokens": 100, "cached_tokens": None, "retries": 0, "excluded_ns": 0,
                "joules": None,
            }
            for pipeline, settings in SETTINGS.items()
            for setting in settings
            for round_ in range(2)
            for query_id in QUESTIONS[:6]
        ]
    )  # fmt: skip


def prefill() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"round": round_, "prompt_tokens": n, "first_token_ns": A_NS + B_NS * n + C_NS * n * n}
            for round_ in range(2)
            for n in (128, 256, 512, 1024, 2048)
        ]
    )


def costs() -> pd.DataFrame:
    """A tenth of a cent for the prompt, half of that for the answer and for retrieval: 0.002 USD a question."""
    items = {"prompt tokens": "0.001", "output tokens": "0.0005", "retrieval": "0.0005"}
    rows = [(*cell, item, Decimal(usd), "openai:gpt-4o-mini") for cell in cells() for item, usd in items.items()]
    table = pd.DataFrame(rows, columns=["pipeline", "setting", "query_id", "item", "usd", "rate"])
    return table.astype({"usd": USD})


def config(**tables: Mapping[str, Any]) -> dict[str, Any]:
    """As much of an eval's configuration as the study reads."""
    plain = {"embedder": None, "store": {"name": "bm25s"}, "prices": {"llm": "openai:gpt-4o-mini"}, "generator": None}
    injection = {
        "seed": 0, "correct": "contains", "order_k": 3, "orders": ["best_first", "best_last"], "sensitivities": [],
        "timing": {"waiting_bound": 0.1, "noise_bound": 0.1},
    }  # fmt: skip
    limits = {"tokens_per_query": None, "usd_per_1000_queries": None, "usd_per_correct_answer": None}
    return {
        "pipelines": [{"name": name, **plain} for name in SETTINGS],
        "injection": {**injection, **tables.get("injection", {})},
        "budget": {**limits, **tables.get("budget", {})},
    }


def manifest(**tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "recording": "r1", "config": config(**tables), "corpus_sha256": "c1", "questions_sha256": "s1",
        "generators": dict.fromkeys(SETTINGS, "tiny"), "questions": QUESTIONS, "unanswerable": UNANSWERABLE,
        "own_k": dict.fromkeys(SETTINGS, 3),
        "generator": {"name": "local", "model": "tiny", "precision": "float32", "device": "cpu"},
        "work": {"prompts": 108, "distinct": 108, "generated": 108, "reused": 0},
        "energy": {
            "source": "estimate", "watts": 36.0, "region": "world", "usd_per_kwh": 0.2, "kg_co2_per_kwh": 0.5,
            "date": "2025-06-30", "statement": "Estimated from 36 stated watts.",
        },
    }  # fmt: skip


def rates() -> dict[str, Any]:
    named = dict.fromkeys(SETTINGS, "openai:gpt-4o-mini")
    return {"format": 1, "priced_as": named, "pipelines": {name: {"applied": [], "unpriced": []} for name in SETTINGS}}


def write(folder: Path, **changed: Any) -> Path:
    """Write the recording into `folder`/injection; a table or document by name replaces the usual one, None leaves
    it out."""
    tables = {
        "prompts": prompts, "judged": judged, "answers": answers, "live": live, "prefill": prefill, "costs": costs,
    }  # fmt: skip
    documents = {
        "manifest": manifest,
        "judgement": lambda: {"recording": "r1", "qrels_sha256": "j1"},
        "rates": rates,
    }
    for name, make in tables.items():
        table = changed[name] if name in changed else make()
        if table is not None:
            files.write_table(folder / "injection" / f"{name}.parquet", table)
    for name, document in documents.items():
        found = changed[name] if name in changed else document()
        if found is not None:
            files.write_json(folder / "injection" / f"{name}.json", found)
    return folder
