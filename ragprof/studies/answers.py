"""How well each pipeline answers, where wrong answers are lost, and which pipelines and orders can be told apart.

A figure rests on the answerable questions that have a gold answer; a question without one has no verdict (NaN) and
takes no part. Every mean resamples questions with the same seed. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from ragprof.statistics import holm, paired_p
from ragprof.studies.quality import compared
from ragprof.studies.query_draws import estimated, gained

ATTRIBUTED = ("search", "rerank", "packing", "model")
COMPARED = ("correct", "f1")
MEASURES = {
    "exact_match": "exact_match",
    "f1": "f1",
    "answer_in_context": "in_context",
    "answer_in_answer": "in_answer",
    "correct": "correct",
}
"""Key of the summary -> column of judged.parquet."""
FIRST_ORDER = "best_first"


def answers_of(
    asked: pd.DataFrame, unanswerable: pd.DataFrame, *, judge: Mapping[str, Any] | None, seed: int
) -> dict[str, Any]:
    """The `answers` of one pipeline at its own setting; tables are rows of cells by query_id."""
    counts = attribution(asked)
    n = int(asked["correct"].notna().sum())
    return {
        "setting": "own",
        "n": n,
        **{key: estimated(asked[column], seed=seed) for key, column in MEASURES.items()},
        "attribution": {stage: count / n if n else None for stage, count in counts.items()},
        "attribution_counts": counts,
        "abstention": {
            "unanswerable": estimated(unanswerable["abstained"], seed=seed) if len(unanswerable) else None,
            "answerable": estimated(asked["abstained"], seed=seed),
        },
        "judge": None if judge is None else dict(judge),
    }


def attribution(asked: pd.DataFrame) -> dict[str, int]:
    """How many of the questions with a verdict were lost where; together with the correct ones they are all."""
    lost = asked[asked["correct"].notna()]["lost_at"]
    return {stage: int((lost == stage).sum()) for stage in ATTRIBUTED}


def comparisons(answers: Mapping[str, pd.DataFrame], *, seed: int) -> list[dict[str, Any]]:
    """Every two pipelines on `correct` and on `f1`: paired difference, sign-flip p, Holm over the pairs of a metric."""
    return [row for metric in COMPARED for row in _compared_on(metric, answers, seed)]


def _compared_on(metric: str, answers: Mapping[str, pd.DataFrame], seed: int) -> list[dict[str, Any]]:
    columns = {(a, b): _common(answers[a][metric], answers[b][metric]) for a, b in combinations(answers, 2)}
    raw = {f"{a}|{b}": paired_p(theirs, ours, seed=seed) for (a, b), (ours, theirs) in columns.items()}
    adjusted = holm(raw)
    rows = [
        compared(
            ours, theirs, a, b, metric=metric, p=raw[f"{a}|{b}"], p_holm=adjusted[f"{a}|{b}"], pairs=len(raw), seed=seed
        )
        for (a, b), (ours, theirs) in columns.items()
    ]
    return [{**row, "stage": "generate"} for row in rows]


def orders(by_order: Mapping[str, pd.DataFrame], *, k: int, seed: int) -> list[dict[str, Any]]:
    """One row an order of the same chunks; all others are compared with FIRST_ORDER, Holm-corrected over them."""
    if FIRST_ORDER not in by_order:
        return []
    first = by_order[FIRST_ORDER]["correct"]
    pairs = {order: _common(first, rows["correct"]) for order, rows in by_order.items() if order != FIRST_ORDER}
    raw = {order: paired_p(theirs, ours, seed=seed) for order, (ours, theirs) in pairs.items()}
    adjusted = holm(raw)
    found = []
    for order, rows in by_order.items():
        line = {
            "order": order,
            "k": k,
            "answer_f1": estimated(rows["f1"], seed=seed),
            "correct": estimated(rows["correct"], seed=seed),
            "evidence_position": estimated(rows["evidence_position"], seed=seed),
        }
        if order == FIRST_ORDER:
            found.append({**line, "difference": None, "p": None, "p_holm": None, "verdict": None})
            continue
        verdict = compared(
            *pairs[order], FIRST_ORDER, order,
            metric="correct", p=raw[order], p_holm=adjusted[order], pairs=len(raw), seed=seed,
        )  # fmt: skip
        difference = estimated(gained(rows["correct"], first), seed=seed)
        found.append({**line, "difference": difference, **{key: verdict[key] for key in ("p", "p_holm", "verdict")}})
    return found


def order_settings(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The orders that were recorded, FIRST_ORDER in front."""
    return sorted((order for order in wanted if order in set(present)), key=lambda order: order != FIRST_ORDER)


def _common(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Both columns, over the questions that have a value in both."""
    both = pd.concat([first, second], axis=1, join="inner").dropna().sort_index()
    return both.iloc[:, 0], both.iloc[:, 1]
