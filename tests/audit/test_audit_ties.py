"""Ties are counted where a cut goes through them, and nowhere else."""

from __future__ import annotations

import pytest

from ragprof.core import Answer, Doc, Query, Ranking, ScoredDoc
from ragprof.record.pipeline import Parts, Pipeline
from ragprof.studies.audit.checks import LiveQuery, tie_table, tied_at_depth, tied_at_k

LETTERS = "abcdef"


def ranking(**scores: float) -> Ranking:
    return tuple(ScoredDoc(Doc(name, "", name, name), score) for name, score in scores.items())


def live(found: Ranking, *, injected: int, reranked: Ranking | None = None) -> LiveQuery:
    """A query whose store found these, with the best of the last ranking in the prompt."""
    query = Query("q", "which?")
    final = found if reranked is None else reranked
    stages = {"search": found} if reranked is None else {"search": found, "rerank": reranked}
    return LiveQuery(Answer(query, {**stages, "inject": final[:injected]}, "", {}), None, found)  # type: ignore[dict-item]


def pipeline(*scores: float, depth: int) -> Parts:
    """A store with these scores for the documents a, b, c, ..., of which a search gives the first."""
    given = list(zip(LETTERS, scores, strict=False))
    parts = Pipeline("p", store=lambda question, depth: given[:depth], depth=depth).parts()
    parts.store.add([Doc(name, "", name, name) for name in LETTERS], None)
    return parts


@pytest.mark.parametrize(
    ("found", "injected", "tied"),
    [
        (ranking(a=3.0, b=2.0, c=2.0, d=1.0), 2, True),
        (ranking(a=3.0, b=2.0, c=2.0, d=1.0), 1, False),
        (ranking(a=3.0, b=2.0, c=2.0, d=1.0), 3, False),
        (ranking(a=1.0, b=1.0, c=1.0), 3, False),
        (ranking(a=1.0, b=1.0, c=1.0), 0, False),
        (ranking(), 0, False),
    ],
)
def test_a_tie_at_k_has_one_side_in_the_prompt(found: Ranking, injected: int, tied: bool) -> None:
    assert tied_at_k(live(found, injected=injected)) is tied


def test_it_is_the_last_ranking_whose_ties_decide_the_prompt() -> None:
    found, reranked = ranking(a=3.0, b=2.0, c=1.0), ranking(c=0.5, a=0.5, b=0.5)
    assert tied_at_k(live(found, injected=2, reranked=reranked)) is True
    assert tied_at_k(live(reranked, injected=2, reranked=found)) is False


@pytest.mark.parametrize(
    ("scores", "tied"),
    [
        ((4.0, 3.0, 3.0, 1.0), True),
        ((4.0, 3.0, 2.0, 1.0), False),
        ((4.0, 4.0, 3.0, 3.0), False),
        ((4.0, 4.0), False),
        ((4.0,), False),
    ],
)
def test_a_tie_at_the_depth_has_one_side_outside(scores: tuple[float, ...], tied: bool) -> None:
    parts = pipeline(*scores, depth=2)
    found = ranking(**dict(zip("ab", scores, strict=False)))
    assert tied_at_depth(parts, live(found, injected=1), documents=6) is tied


def test_nothing_stands_outside_of_a_search_for_all_documents() -> None:
    parts = pipeline(4.0, 4.0, depth=2)
    assert tied_at_depth(parts, live(ranking(a=4.0, b=4.0), injected=1), documents=2) is False


def test_both_cuts_stand_in_the_table() -> None:
    parts = pipeline(4.0, 3.0, 3.0, depth=2)
    table = tie_table(parts, [live(ranking(a=4.0, b=3.0), injected=1)], documents=6)
    assert table.to_dict("records") == [{"pipeline": "p", "query_id": "q", "at_depth": True, "at_k": False}]
