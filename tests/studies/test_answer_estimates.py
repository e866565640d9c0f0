"""Answers by pipeline and order, from verdicts written out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from ragprof.studies.injection.analysis import answers_of, comparisons, orders


def asked(correct: Sequence[float | None], lost: Sequence[str] | None = None, *, place: float = 0.5) -> pd.DataFrame:
    values = pd.Series(correct, index=[f"q{number:02}" for number in range(len(correct))], dtype=float)
    return pd.DataFrame(
        {
            "correct": values, "f1": values / 2, "exact_match": values, "in_context": values.notna() * 1.0,
            "in_answer": values, "abstained": 0.0, "evidence_position": place,
            "ending": "whole",
            "lost_at": lost or ["" if value else "model" for value in values.fillna(1.0)],
        }
    )  # fmt: skip


def test_wrong_answers_are_counted_by_where_they_were_lost() -> None:
    rows = asked([1, 0, 0, 0, 0, None], ["", "search", "search", "packing", "model", ""])
    found = answers_of(rows, asked([]), judge=None, seed=0).as_json()
    assert found["attribution_counts"] == {"search": 2, "rerank": 0, "packing": 1, "model": 1}
    assert found["attribution"] == {"search": 0.4, "rerank": 0.0, "packing": 0.2, "model": 0.2}
    assert (found["n"], found["correct"]["mean"], found["correct"]["n"]) == (5, 0.2, 5)
    assert sum(found["attribution"].values()) == pytest.approx(1 - found["correct"]["mean"])


def test_abstaining_is_right_on_the_unanswerable_and_wrong_on_the_others() -> None:
    unanswerable = asked([None] * 4).assign(abstained=[1.0, 1.0, 1.0, 0.0])
    found = answers_of(asked([1, 0]).assign(abstained=[0.0, 1.0]), unanswerable, judge=None, seed=0).as_json()[
        "abstention"
    ]
    assert (found["unanswerable"]["mean"], found["answerable"]["mean"]) == (0.75, 0.5)


def test_nothing_unanswerable_was_asked() -> None:
    assert answers_of(asked([1, 0]), asked([]), judge=None, seed=0).abstention.unanswerable is None


def test_questions_without_gold_answers_leave_null_and_not_0() -> None:
    found = answers_of(asked([None, None]), asked([]), judge=None, seed=0).as_json()
    assert found["correct"] == {"mean": None, "interval": None, "n": 0}
    assert found["attribution"] == {"search": None, "rerank": None, "packing": None, "model": None}


def test_pipelines_are_compared_on_both_metrics_question_by_question() -> None:
    rows = comparisons({"a": asked([0] * 10), "b": asked([1] * 10), "c": asked([0, 1] * 5)}, seed=0)
    found = {(row.metric, row.baseline, row.candidate): row for row in rows}
    assert len(found) == 6
    clear = found["correct", "a", "b"]
    assert (clear.difference, clear.p, clear.verdict, clear.n) == (1.0, 2 / 2**10, "better", 10)
    assert clear.p_holm == 3 * clear.p
    unclear = found["f1", "a", "c"]
    assert (unclear.difference, unclear.p, unclear.verdict) == (0.25, 2 / 2**5, "undecided")
    assert (unclear.more_queries or 0) > 0


def test_a_question_that_one_of_two_has_no_verdict_for_is_left_out_of_the_pair() -> None:
    (row, _) = comparisons({"a": asked([0, 0, None]), "b": asked([1, 0, 1])}, seed=0)
    assert (row.n, row.difference) == (2, 0.5)


def test_orders_are_compared_with_best_first() -> None:
    found = orders(
        {
            "best_first": asked([1] * 10, place=0.0),
            "best_last": asked([0] * 10, place=1.0),
            "edges": asked([1] * 9 + [0], place=0.25),
        },
        k=5,
        seed=0,
    )
    assert [line.verdict for line in found] == [None, "worse", "undecided"]
    assert [line.evidence_position.mean for line in found] == [0.0, 1.0, 0.25]
    assert found[0].difference is None
    assert (found[1].difference.mean, found[1].difference.n) == (-1.0, 10)
    assert found[1].difference.interval == pytest.approx((-1.0, -0.383006), abs=1e-6)
    assert (found[1].p, found[1].p_holm) == (2 / 2**10, 4 / 2**10)


def test_without_best_first_there_is_nothing_to_compare_with() -> None:
    assert orders({"edges": asked([1, 0])}, k=5, seed=0) == []
