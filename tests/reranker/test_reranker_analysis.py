"""Whole verdicts on constructed recordings whose right answer is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from reranker_data import Arm, data_of

from ragprof.studies.reranker import growth_value
from ragprof.studies.reranker.alternatives import MainBills
from ragprof.studies.reranker.analysis import study_of, verdict_of
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.section import RerankerVerdict

NOTHING = MainBills({}, {}, {}, {})
TIMED = {0: [1_000_000] * 40, 20: [5_000_000] * 40}


def verdict(arm: Arm, **settings: Any) -> RerankerVerdict:
    found = verdict_of(data_of(arm, **settings), "reranked", NOTHING)
    json.dumps(found.as_json(), allow_nan=False)
    return found


def arm(search: Any, reranked: Any, **more: Any) -> Arm:
    return Arm(search, reranked, depths=(20,), timed=TIMED, **more)


def test_a_perfect_reranker_that_no_number_of_chunks_replaces_is_kept() -> None:
    found = verdict(arm([12] * 40, [1] * 40))
    assert (found.verdict, found.depth) == ("KEEP", 20)
    assert found.headroom.captured_share is not None
    assert found.headroom.captured_share.mean == 1.0
    assert found.statement.added_p50_ns == 4_000_000


def test_a_perfect_reranker_that_two_more_chunks_replace_for_less_is_dropped() -> None:
    found = verdict(arm([7] * 40, [1] * 40))
    assert found.verdict == "DROP"
    assert "sending 7 chunks without it" in found.reason


def test_and_is_kept_where_the_llm_is_dear() -> None:
    found = verdict(arm([7] * 40, [1] * 40), llm="1", llms={"dear": "10"})
    assert [row.verdict for row in found.statement.scenarios] == ["DROP", "KEEP"]


def test_an_inert_one_is_dropped_and_called_so() -> None:
    found = verdict(arm([2] * 40, [2] * 40))
    assert found.verdict == "DROP"
    assert "inert" in found.reason


def test_a_harmful_one_is_dropped() -> None:
    found = verdict(arm([1] * 40, [3] * 40))
    assert found.verdict == "DROP"
    assert found.reason.startswith("It makes results worse")


def test_a_free_one_is_kept_for_a_small_gain() -> None:
    """One query in 40 goes from rank 2 to 1: too few to tell. Ten in 400 are told, and gain less than counts."""
    few, many = [2] + [1] * 39, [2] * 10 + [1] * 390
    assert verdict(Arm(few, [1] * 40, depths=(20,), usd=0.0)).verdict == "UNDECIDED"
    assert verdict(Arm(many, [1] * 400, depths=(20,), usd=0.0), margin=0.05).verdict == "KEEP"
    assert verdict(Arm(many, [1] * 400, depths=(20,), usd=0.001), margin=0.05).verdict == "DROP"


def test_too_few_queries_leave_it_undecided_with_a_number() -> None:
    found = verdict(Arm([2, 2, 1, 1, 1, 1, 1, 3], [1, 1, 1, 1, 2, 1, 1, 1], depths=(20,)))
    assert found.verdict == "UNDECIDED"
    assert found.more_queries
    assert found.sensitive_to.what == "the number of queries"


def test_an_unpriced_one_has_no_money_at_all() -> None:
    found = verdict(arm([12] * 40, [1] * 40, usd=None))
    assert found.verdict == "KEEP"
    assert "UNPRICED" in found.reason
    assert found.statement.reranker_usd_per_1000_queries is None
    assert found.statement.net_usd_per_1000_queries is None


def test_the_study_tells_every_pipeline_in_a_sentence() -> None:
    data = data_of(arm([12] * 40, [1] * 40))
    study = study_of(data, {"reranked": verdict_of(data, "reranked", NOTHING)})
    assert study.statements[0].startswith("reranked: KEEP. It lifts ranking quality by ")
    assert (study.priced_as, study.replicates) == ("the LLM", 10_000)


class Grown:
    """A growth recording made by hand: the reranker gains nothing up to 1,000 passages and 0.2 from 4,000 on."""

    names = ("reranked",)
    curves = ("all_judged",)
    metric = "nDCG@10"
    metrics = ("nDCG@10",)

    def __init__(self) -> None:
        from ragprof.statistics.draws import Draws

        self.draws = Draws.of([f"q{at:02}" for at in range(30)], seed=0, orders=2)

    def is_reranked(self, name: str) -> bool:
        return name == "reranked"

    def sizes(self) -> list[int]:
        return [250, 1_000, 4_000, 16_000]

    def read(self, name: str) -> Grown:
        return self

    def at_stage(self, curve: str, stage: str, metrics: list[str]) -> Any:
        noise = np.random.default_rng(1).normal(0.5, 0.01, (2, 4, 30, 1))
        gains = np.array([0.0, 0.0, 0.2, 0.2])[None, :, None, None]
        return noise + (gains if stage == "rerank" else 0.0)


def test_one_that_is_good_only_beyond_a_corpus_size_says_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth_value, "recorded_growth", lambda _home: Grown())
    data: RerankerData = data_of(arm([12] * 40, [1] * 40))
    found = growth_value.growth_value(data, "reranked")
    assert found is not None
    assert [round(point.gain.mean or 0.0, 3) for point in found.points] == [0.0, 0.0, 0.2, 0.2]
    assert found.pays_from.status == "crosses"
    assert 1_000 < (found.pays_from.size or 0) < 4_000
