"""Answers of each dialect, taken apart: which are none, and which counts are the server's."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
from reranked import DIALECTS

from ragprof.core.errors import NonFiniteScore
from ragprof.parts.http.calls import CallFailed
from ragprof.parts.http.formats import FORMATS, Dialect, scores_in
from ragprof.parts.http.formats import units_counted as counted

each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
LISTS = {"cohere": "results", "jina": "results", "voyage": "data", "vllm": "results"}


def answer(dialect: Dialect, *pairs: tuple[Any, Any]) -> Any:
    """These indices and scores as the dialect writes them."""
    results = [{"index": index, FORMATS[dialect].score: score} for index, score in pairs]
    return results if dialect == "tei" else {LISTS[dialect]: results}


def complaint_of(dialect: Dialect, payload: object) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        scores_in(FORMATS[dialect], payload, 2)
    return caught.value


def test_every_dialect_has_its_format() -> None:
    assert set(FORMATS) == set(get_args(Dialect)) == set(DIALECTS)


@each_dialect
def test_whole_numbers_are_scores_too(dialect: Dialect) -> None:
    scores = scores_in(FORMATS[dialect], answer(dialect, (1, 1), (0, -3)), 2)
    assert (scores, [type(score) for score in scores]) == ([-3.0, 1.0], [float, float])


@each_dialect
@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "it scored 0 of 2 documents; the first without a score is 0"),
        ([(0, 0.5)], "it scored 1 of 2 documents; the first without a score is 1"),
        ([(0, 0.5), (0, 0.5)], "it scored document 0 twice"),
        ([(0, 0.5), (1, 0.5), (2, 0.5)], "it scored document 2 of 2, counted from 0"),
        ([(-1, 0.5), (0, 0.5)], "it scored document -1 of 2, counted from 0"),
        ([(0, 0.5), (True, 0.5)], "a result has 'index' and"),
        ([(0, 0.5), ("1", 0.5)], "a result has 'index' and"),
        ([(0, 0.5), (1, "high")], "the score of document 1 is no number"),
        ([(0, 0.5), (1, True)], "the score of document 1 is no number"),
    ],
)
def test_an_answer_that_is_none_would_be_none_again(
    dialect: Dialect, pairs: list[tuple[Any, Any]], message: str
) -> None:
    complaint = complaint_of(dialect, answer(dialect, *pairs))
    assert message in complaint.reason
    assert not complaint.again


@each_dialect
@pytest.mark.parametrize("payload", [{}, None, 3, "[]", {"results": {}}, {"error": "busy"}, [1, 2], [{"index": 0}]])
def test_what_is_not_of_the_format(dialect: Dialect, payload: object) -> None:
    bare = dialect == "tei" and isinstance(payload, list)
    message = "a result has 'index' and 'score'; one has not" if bare else "a list of results should be"
    assert message in complaint_of(dialect, payload).reason


@each_dialect
@pytest.mark.parametrize(("score", "name"), [(math.nan, "nan"), (math.inf, "inf"), (None, "null")])
def test_what_is_not_finite_is_an_error_of_its_own(dialect: Dialect, score: float | None, name: str) -> None:
    with pytest.raises(NonFiniteScore, match=f"gave {name} as the score of document 1; no ranking could be trusted"):
        scores_in(FORMATS[dialect], answer(dialect, (0, 0.5), (1, score)), 2)


@pytest.mark.parametrize(
    ("dialect", "payload", "counts"),
    [
        ("cohere", {"meta": {"billed_units": {"search_units": 2}}}, {"search_units": 2}),
        ("cohere", {"meta": {"billed_units": {"search_units": 2.0}}}, {"search_units": 2}),
        ("cohere", {"meta": {"billed_units": {"search_units": 0.5}}}, {}),
        ("cohere", {"meta": {"billed_units": None, "tokens": {"input_tokens": 7}}}, {"input_tokens": 7}),
        ("cohere", {"meta": {"billed_units": {"input_tokens": 9}, "tokens": {"input_tokens": 7}}}, {"input_tokens": 9}),
        ("jina", {"usage": {"total_tokens": 5}}, {"input_tokens": 5}),
        ("voyage", {"usage": {"total_tokens": "5"}}, {}),
        ("vllm", {"usage": {"total_tokens": -1}}, {}),
        ("vllm", {"usage": {"total_tokens": True}}, {}),
        ("vllm", {"usage": []}, {}),
        ("tei", [], {"input_tokens": 12}),
    ],
)
def test_counts_are_those_of_the_server(dialect: Dialect, payload: object, counts: dict[str, int]) -> None:
    assert counted(FORMATS[dialect], payload, {"x-compute-tokens": "12"}) == counts


@pytest.mark.parametrize("header", ["", "many", "-1", "1.5"])
def test_a_header_that_is_no_count_is_none(header: str) -> None:
    assert counted(FORMATS["tei"], [], {"x-compute-tokens": header}) == {}
