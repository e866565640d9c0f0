"""Which model a store has, and which forecast is quoted where two models answer."""

from __future__ import annotations

from typing import Any

from ragprof.studies.growth.forecasts import SEARCHED, by_store, preferred


def line(model: str, error: float, *sizes: int) -> dict[str, Any]:
    at = [{"size": size, "value": 0.5, "interval": [0.4, 0.6]} for size in sizes]
    return {"quantity": "nDCG@10", "model": model, "held_out": {"error": error}, "at": at}


def test_the_model_that_answers_for_most_sizes_is_quoted() -> None:
    lines = [line("log-linear", 0.001, 100), line("score distribution", 0.01, 100, 200)]
    assert preferred(lines, "nDCG@10") is lines[1]


def test_among_equals_the_one_that_erred_least() -> None:
    lines = [line("log-linear", -0.02, 100), line("score distribution", 0.01, 100)]
    assert preferred(lines, "nDCG@10") is lines[1]


def test_none_is_quoted_where_all_abstain() -> None:
    assert preferred([line("log-linear", 0.2)], "nDCG@10") is None
    assert preferred([line("log-linear", 0.2, 100)], "search_p50_ns") is None


def test_a_fusion_grows_as_its_fastest_store_and_of_an_unknown_one_nothing_is_known() -> None:
    stores: dict[str, dict[str, Any]] = {
        "linear": {"name": "rrf", "stores": ["bm25s", {"name": "faiss_hnsw"}]},
        "logarithmic": {"name": "faiss_hnsw"},
        "power law": {"name": "rrf", "stores": ["bm25s", "a_database"]},
    }
    assert {by_store(store, SEARCHED): store for store in stores.values()} == stores
