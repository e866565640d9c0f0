"""The handbook's scores, worked out a second time by the formulas as they stand in the books, and as literals.

nDCG: Jaervelin and Kekaelaeinen, TOIS 20 (2002), with the gain that trec_eval takes: the grade itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from ragprof.corpus import read_qrels

Grades = Mapping[str, int]
QRELS = read_qrels(Path(__file__).parents[1] / "data" / "handbook" / "qrels" / "test.tsv")
FINAL = {"bm25": "search", "dense": "search", "hybrid": "search", "hybrid+overlap": "rerank"}
GOLDEN = {
    "bm25": (0.775641, 0.833333, 0.75, 0.2, 0.69375, 0.833333, 0.327778),
    "dense": (0.827404, 0.810417, 1.0, 0.216667, 0.725893, 0.833333, 0.266667),
    "hybrid": (0.855093, 0.852083, 1.0, 0.216667, 0.759821, 0.833333, 0.283333),
    "hybrid+overlap": (0.849848, 0.854497, 1.0, 0.216667, 0.737235, 0.833333, 0.3),
}
"""Means of the FORMULAS, in their order."""


def ndcg_at_10(order: Sequence[str], grades: Grades) -> float:
    gains = [grades.get(doc, 0) for doc in order[:10]]
    ideal = sorted(grades.values(), reverse=True)[:10]
    return discounted(gains) / discounted(ideal)


def discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def rr_at_10(order: Sequence[str], grades: Grades) -> float:
    return next((1 / rank for rank, doc in enumerate(order[:10], start=1) if grades.get(doc, 0) > 0), 0.0)


def recall_at_10(order: Sequence[str], grades: Grades) -> float:
    relevant = {doc for doc, grade in grades.items() if grade > 0}
    return len(relevant & set(order[:10])) / len(relevant)


def precision_at_5(order: Sequence[str], grades: Grades) -> float:
    return sum(grades.get(doc, 0) > 0 for doc in order[:5]) / 5


def average_precision(order: Sequence[str], grades: Grades) -> float:
    hits = [rank for rank, doc in enumerate(order, start=1) if grades.get(doc, 0) > 0]
    relevant = sum(grade > 0 for grade in grades.values())
    return sum(number / rank for number, rank in enumerate(hits, start=1)) / relevant


def success_at_5(order: Sequence[str], grades: Grades) -> float:
    return float(any(grades.get(doc, 0) > 0 for doc in order[:5]))


def judged_at_5(order: Sequence[str], grades: Grades) -> float:
    return sum(doc in grades for doc in order[:5]) / max(1, len(order[:5]))


FORMULAS: Mapping[str, Callable[[Sequence[str], Grades], float]] = {
    "nDCG@10": ndcg_at_10,
    "RR@10": rr_at_10,
    "R@10": recall_at_10,
    "P@5": precision_at_5,
    "AP": average_precision,
    "Success@5": success_at_5,
    "Judged@5": judged_at_5,
}


def order_of(recording: Path, pipeline: str, stage: str) -> dict[str, list[str]]:
    """query_id -> documents as the ranking table has them, best first."""
    table = pd.read_parquet(recording / "rankings" / f"{pipeline}.parquet")
    rows = table[table["stage"] == stage].sort_values("rank")
    return {str(query_id): list(group["doc_id"]) for query_id, group in rows.groupby("query_id")}


@pytest.mark.parametrize("metric", FORMULAS)
@pytest.mark.parametrize("pipeline", FINAL)
def test_every_query_scores_what_the_formula_says(recorded_handbook: Path, pipeline: str, metric: str) -> None:
    scores = pd.read_parquet(recorded_handbook / "scores.parquet")
    chosen = (scores["pipeline"] == pipeline) & (scores["metric"] == metric)
    for stage in scores[chosen]["stage"].unique():
        found = scores[chosen & (scores["stage"] == stage)].set_index("query_id")["value"].to_dict()
        orders = order_of(recorded_handbook, pipeline, stage)
        expected = {query_id: FORMULAS[metric](orders.get(query_id, []), grades) for query_id, grades in QRELS.items()}
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pipeline", FINAL)
def test_means_are_those_worked_out_once(recorded_handbook: Path, pipeline: str) -> None:
    scores = pd.read_parquet(recorded_handbook / "scores.parquet")
    final = scores[(scores["pipeline"] == pipeline) & (scores["stage"] == FINAL[pipeline])]
    means = final.groupby("metric")["value"].mean()
    assert tuple(means[list(FORMULAS)].round(6)) == GOLDEN[pipeline]


def test_the_three_best_passages_for_one_question(recorded_handbook: Path) -> None:
    best = {name: order_of(recorded_handbook, name, stage)["q02"][:3] for name, stage in FINAL.items()}
    assert best == {
        "bm25": ["leave-sick", "it-passwords", "it-phishing"],
        "dense": ["leave-sick", "leave-moving", "it-passwords"],
        "hybrid": ["leave-sick", "it-passwords", "leave-moving"],
        "hybrid+overlap": ["leave-sick", "it-passwords", "travel-trains"],
    }


def test_a_question_that_finds_nothing_scores_nothing(recorded_handbook: Path) -> None:
    assert "q12" not in order_of(recorded_handbook, "bm25", "search")
    scores = pd.read_parquet(recorded_handbook / "scores.parquet")
    row = scores[(scores["pipeline"] == "bm25") & (scores["query_id"] == "q12") & (scores["stage"] == "search")]
    assert len(row) == 8
    assert not row["value"].any()
