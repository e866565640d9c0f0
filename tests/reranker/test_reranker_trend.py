"""A reranker when prices fall and when the corpus grows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from complete_tables import complete
from reranker_data import Arm, data_of

from ragprof.core import files
from ragprof.evals import unpriced
from ragprof.studies.growth.recorded import CONTEXT
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.growth_value import growth_value
from ragprof.studies.reranker.section import GrowthValue, PaysFrom
from ragprof.studies.reranker.statement import price_history, price_trend

PERFECT = Arm(search=[5] * 20, reranked=[1] * 20)
SIZES = [100, 1_000, 10_000]
QUERIES = 20


def keep_above(bound: float) -> Any:
    return lambda price: "KEEP" if price > bound else "DROP"


def test_prices_fall_by_a_share_of_what_is_left_each_year() -> None:
    found = price_trend(data_of(PERFECT, llm="10"), "reranked", 50, keep_above(0.0))
    assert found is not None
    assert [year.llm_usd_per_million_tokens for year in found.years] == [
        "10", "5", "2.5", "1.25", "0.625", "0.3125",
    ]  # fmt: skip
    assert [year.net_usd_per_1000_queries for year in found.years] == ["-3", "-1", "0", "0.5", "0.75", "0.875"]
    assert found.sentence == "If LLM prices fall by 50 % a year, the verdict stays KEEP for 5 years."


def test_a_trend_says_in_which_year_the_verdict_turns() -> None:
    found = price_trend(data_of(PERFECT, llm="10"), "reranked", 50, keep_above(2.0))
    assert found is not None
    assert [year.verdict for year in found.years] == ["KEEP"] * 3 + ["DROP"] * 3
    assert found.sentence == (
        "If LLM prices fall by 50 % a year, the verdict is KEEP today and DROP from year 3 ($1.25 a million tokens)."
    )


def test_prices_may_rise() -> None:
    found = price_trend(data_of(PERFECT), "reranked", -100 / 10, keep_above(0.0))
    assert found is not None
    assert found.years[1].llm_usd_per_million_tokens == "1.1"
    assert found.sentence.startswith("If LLM prices rise by 10 % a year")


def test_there_is_no_trend_of_what_is_unpriced() -> None:
    assert price_trend(data_of(PERFECT, llm=None), "reranked", 30, keep_above(0.0)) is None


def test_an_unpriced_reranker_has_a_trend_without_a_net() -> None:
    found = price_trend(data_of(Arm([5] * 20, [1] * 20, usd=None)), "reranked", 30, keep_above(0.0))
    assert found is not None
    assert {year.net_usd_per_1000_queries for year in found.years} == {None}


def test_the_history_is_in_order_of_time() -> None:
    history = [{"since": "2026-01-01", "usd": "1.00"}, {"since": "2024-01-01", "usd": "2.00"}]
    found = price_history(data_of(Arm([5], [1], history=history)), "reranked")
    assert [entry.usd for entry in found] == ["2.00", "1.00"]


def grown(folder: Path, data: RerankerData, *, gains: list[float], metric: str = "nDCG@10", orders: int = 2) -> Path:
    """A judged growth recording in the folder: a plain score of 0.2, and so much more when reranked, by size."""
    config, growth = data.manifest["config"], folder / "growth"
    files.write_json(
        folder / "manifest.json",
        {
            "recording": "main", "corpus": {"sha256": "c"}, "questions": "q", "identities": {},
            "config": {**config, "tokenizer": "t"},
        },
    )  # fmt: skip
    files.write_json(folder / "judgement.json", {"recording": "main", "qrels_sha256": "j"})
    files.write_json(
        growth / "manifest.json",
        {
            "recording": "growth", "sizes": {"all_judged": SIZES},
            "config": {"seed": 0, "pipelines": config["pipelines"], "growth": {"metric": metric}},
            "plan": {
                "corpus": "c", "questions": "q", "pipelines": unpriced(config["pipelines"]), "identities": {},
                "tokenizer": "t", "orders": orders, "depth": 10,
            },
        },
    )  # fmt: skip
    files.write_json(growth / "judgement.json", {"recording": "growth", "qrels_sha256": "j"})
    files.write_table(growth / "queries.parquet", pd.DataFrame({"query_id": [f"q{n:03}" for n in range(QUERIES)]}))
    rows = [
        {
            "order": order,
            "size": size,
            "query": query,
            "stage": stage,
            "depth": 10,
            "curve": "all_judged",
            metric: score,
        }
        for order in range(orders)
        for size, gain in zip(SIZES, gains, strict=True)
        for query in range(QUERIES)
        for stage, score in (("search", 0.2), ("rerank", 0.2 + gain))
    ]
    files.write_table(growth / "scores" / "reranked.parquet", pd.DataFrame(rows))
    context = complete(pd.DataFrame({"curve": ["all_judged"]}), CONTEXT)
    files.write_table(growth / "context" / "reranked.parquet", context)
    return folder


def valued(folder: Path, gains: list[float], *, metric: str = "nDCG@10", **settings: Any) -> GrowthValue:
    data = data_of(PERFECT, **settings)
    found = growth_value(replace(data, home=grown(folder, data, gains=gains, metric=metric)), "reranked")
    assert found is not None
    return found


def test_there_is_no_value_by_size_without_a_growth_recording() -> None:
    assert growth_value(data_of(PERFECT), "reranked") is None


def test_a_reranker_that_gains_only_in_a_large_corpus_pays_from_a_size(tmp_path: Path) -> None:
    found = valued(tmp_path, [0.0, 0.02, 0.2])
    assert [point.gain.mean for point in found.points] == pytest.approx([0.0, 0.02, 0.2])
    assert found.pays_from == PaysFrom(size=316, interval=(316, 316), status="crosses")
    assert found.sentence.startswith(
        "It gains more than 1 point of nDCG@10 from about 316 passages (95% CI 316\u2013316)."
    )


def test_tokens_by_size_are_not_recorded_so_the_net_is_null(tmp_path: Path) -> None:
    found = valued(tmp_path, [0.0, 0.02, 0.2])
    assert {point.net_usd_per_1000_queries for point in found.points} == {None}
    assert found.sentence.endswith("LLM money saved is not in it.")


def test_where_a_point_has_a_worth_the_net_is_the_cost_minus_it(tmp_path: Path) -> None:
    found = valued(tmp_path, [0.0, 0.02, 0.2], worth_usd_per_point=0.1)
    assert [point.worth for point in found.points] == ["0", "0.2", "2"]
    assert [point.net_usd_per_1000_queries for point in found.points] == ["1", "0.8", "-1"]
    assert found.bound == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("gains", "status", "words"),
    [
        ([0.1, 0.1, 0.2], "from the smallest size", "at every size that was measured"),
        ([0.0, 0.0, 0.0], "not within the measured range", "does not gain"),
    ],
)
def test_a_gain_everywhere_or_nowhere_is_said(tmp_path: Path, gains: list[float], status: str, words: str) -> None:
    found = valued(tmp_path, gains)
    assert found.pays_from == PaysFrom(size=None, interval=None, status=status)
    assert words in found.sentence


def test_another_metric_of_the_growth_recording_is_named(tmp_path: Path) -> None:
    found = valued(tmp_path, [0.1, 0.1, 0.1], metric="nDCG@20")
    assert found.metric == "nDCG@20"
    assert found.sentence.startswith("The growth recording has no nDCG@10, so the gain is in nDCG@20.")


def test_a_growth_recording_of_other_judgements_is_left_out(tmp_path: Path) -> None:
    data = data_of(PERFECT)
    home = grown(tmp_path, data, gains=[0.1, 0.1, 0.1])
    files.write_json(home / "judgement.json", {"recording": "main", "qrels_sha256": "other"})
    assert growth_value(replace(data, home=home), "reranked") is None


def test_a_student_has_no_growth_of_its_own(tmp_path: Path) -> None:
    student = Arm(search=[5] * 20, reranked=[1] * 20, pipeline="reranked", student="tiny")
    data = data_of({"reranked": PERFECT, "reranked ~ tiny": student})
    home = grown(tmp_path, data, gains=[0.1, 0.1, 0.1])
    assert growth_value(replace(data, home=home), "reranked ~ tiny") is None
