"""The token budget: never exceeded by the finished prompt, whole chunks only, the ranking's order kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passages import DOCS, ranking_of

from ragprof.core import Doc, Query, ScoredDoc, prompt
from ragprof.core.errors import BadInput
from ragprof.core.tokens import counter
from ragprof.parts.injectors.token_budget import TokenBudgetInjector

QUERY = Query("q", "Which of these is about tea?")
count = counter("o200k_base")
EMPTY_PROMPT = count(prompt.build(prompt.TEMPLATE, QUERY.text, []))
texts = st.lists(st.text(max_size=60) | st.sampled_from([doc.text for doc in DOCS]), max_size=8)


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(1, 250), st.integers(1, 8))
def test_the_budget_holds_chunks_are_whole_and_their_order_is_kept(contents: list[str], tokens: int, k: int) -> None:
    ranking = tuple(
        ScoredDoc(Doc(f"d{place}", "", text, f"d{place}"), 1.0 - place / 100) for place, text in enumerate(contents)
    )
    injected = TokenBudgetInjector(tokens=tokens, k=k).inject(QUERY, ranking)
    assert count(injected.prompt) <= tokens or injected.ranking == ()
    assert len(injected.ranking) <= k
    assert list(injected.ranking) == [item for item in ranking if item in injected.ranking]
    assert injected.prompt == prompt.build(prompt.TEMPLATE, QUERY.text, [item.doc for item in injected.ranking])


def test_with_room_for_all_it_is_top_k() -> None:
    injected = TokenBudgetInjector(tokens=5000, k=3).inject(QUERY, ranking_of(4, 0, 8, 2))
    assert injected.ranking == ranking_of(4, 0, 8)
    assert dict(injected.usage) == {"docs_injected": 3, "docs_passed_over": 0}


def test_a_chunk_that_does_not_fit_is_passed_over_for_a_later_one_that_does() -> None:
    long = ScoredDoc(Doc("long", "", "word " * 300, "long"), 2.0)
    injected = TokenBudgetInjector(tokens=EMPTY_PROMPT + 60, k=5).inject(QUERY, (long, *ranking_of(0)))
    assert [item.doc.doc_id for item in injected.ranking] == ["d00"]
    assert dict(injected.usage) == {"docs_injected": 1, "docs_passed_over": 1}


def test_tokens_that_come_about_where_the_template_is_cut_in_two_count() -> None:
    exclaimed = ScoredDoc(Doc("d", "", "Boil water!", "d"), 1.0)
    # "Looking" is one token, "Look" and "ing" are two: 3 + 7 tokens in parts are 11 in one
    injector = TokenBudgetInjector(tokens=10, template="Look{passages}ing {question}")
    injected = injector.inject(Query("q", "why?"), (exclaimed,))
    assert injected.ranking == ()
    assert dict(injected.usage) == {"docs_injected": 0, "docs_passed_over": 1}


def test_a_budget_below_the_template_leaves_the_question_without_chunks() -> None:
    injected = TokenBudgetInjector(tokens=3).inject(QUERY, ranking_of(4, 0))
    assert injected.ranking == ()
    assert QUERY.text in injected.prompt


def test_a_budget_of_exactly_the_prompt_is_enough() -> None:
    whole = count(prompt.build(prompt.TEMPLATE, QUERY.text, [DOCS[4]]))
    chosen = {
        spare: len(TokenBudgetInjector(tokens=whole + spare).inject(QUERY, ranking_of(4)).ranking)
        for spare in (-1, 0, 2)
    }
    assert (chosen[-1], chosen[2]) == (0, 1)


def test_the_prompt_is_the_users_own_template() -> None:
    injector = TokenBudgetInjector(tokens=500, template="{question}\n{passages}")
    assert injector.inject(QUERY, ranking_of(3)).prompt == f"{QUERY.text}\n[1] {DOCS[3].content}"


def test_a_template_without_a_place_for_the_question_is_refused() -> None:
    with pytest.raises(BadInput, match=r"the prompt template lacks {question}"):
        TokenBudgetInjector(tokens=500, template="{passages}")


def test_the_identity_names_budget_k_tokenizer_and_template() -> None:
    parts = [
        TokenBudgetInjector(tokens=100),
        TokenBudgetInjector(tokens=200),
        TokenBudgetInjector(tokens=100, k=3),
        TokenBudgetInjector(tokens=100, tokenizer="cl100k_base"),
        TokenBudgetInjector(tokens=100, template="{passages}{question}"),
    ]
    assert len({part.identity for part in parts}) == len(parts)
