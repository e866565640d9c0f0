"""Metrics as array work agree with ir_measures, on random rankings with ties, chunks, gaps and odd judgements."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from ir_measures import iter_calc

from ragprof.judge.arrays import Labels, by_document, labels, metrics

CUTOFFS = (1, 3, 5, 10)
DOCUMENTS = 30
QUERIES = [f"q{number}" for number in range(40)]
CODES = {f"d{number}": number for number in range(DOCUMENTS)}


@pytest.fixture(scope="module")
def qrels() -> dict[str, dict[str, int]]:
    rng = np.random.default_rng(5)
    made = {
        query: {f"d{doc}": int(rng.integers(0, 4)) for doc in rng.choice(DOCUMENTS, rng.integers(1, 9), replace=False)}
        for query in QUERIES
    }
    made["q0"] = {"d1": 0}
    made["q1"] = {"nowhere": 2, "d2": 1}
    made["q2"] = {"d3": -1, "d4": 1}
    return made


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    """Documents of rankings of passages: repeats, and -1 where nothing was found, also in between."""
    rng = np.random.default_rng(6)
    made = rng.integers(0, DOCUMENTS, (2, len(QUERIES), 12))
    made[rng.random(made.shape) < 0.15] = -1
    made[0, 3] = -1
    return made


def expected(codes: np.ndarray, qrels: dict[str, dict[str, int]], metric: str) -> list[float]:
    """By ir_measures, of rankings of distinct documents."""
    run = {
        query: {f"d{code}": float(-rank) for rank, code in enumerate(row.tolist()) if code >= 0}
        for query, row in zip(QUERIES, codes, strict=True)
    }
    found = dict.fromkeys(QUERIES, 0.0)
    for each in iter_calc(
        [ir_measures.parse_measure(metric)], qrels, {query: row for query, row in run.items() if row}
    ):
        found[each.query_id] = each.value
    return [found[query] for query in QUERIES]


def labelled(qrels: dict[str, dict[str, int]]) -> Labels:
    return labels(qrels, QUERIES, CODES)


@pytest.mark.parametrize(
    "metric", [f"{family}@{cutoff}" for family in ("nDCG", "P", "R", "Judged") for cutoff in CUTOFFS]
)
def test_every_metric_is_that_of_ir_measures(places: np.ndarray, qrels: dict[str, dict[str, int]], metric: str) -> None:
    ranked = by_document(places)
    found = metrics(labelled(qrels).of(ranked), labelled(qrels).ideal, CUTOFFS)[metric]
    for order in range(2):
        assert found[order].tolist() == pytest.approx(expected(ranked[order], qrels, metric), abs=1e-12)


def test_a_document_stands_where_its_best_passage_does() -> None:
    assert by_document(np.array([[7, -1, 7, 3, 7, 3, 9]])).tolist() == [[7, 3, 9, -1, -1, -1, -1]]


def test_a_query_without_judgements_scores_nothing() -> None:
    made = labels({}, ["q"], CODES)
    found = metrics(made.of(np.array([[1, 2, 3]])), made.ideal, (3,))
    assert {name: values.tolist() for name, values in found.items()} == {
        "nDCG@3": [0.0],
        "P@3": [0.0],
        "R@3": [0.0],
        "Judged@3": [0.0],
    }
