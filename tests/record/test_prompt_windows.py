"""Prompts that fit the model's window, and chunks in other orders. A word is a token here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragprof.core import Doc, Injected, Query, Ranking, ScoredDoc, prompt
from ragprof.core.errors import BadInput
from ragprof.core.prompt import Order
from ragprof.core.stages import Injector
from ragprof.core.tokens import counter
from ragprof.parts.generators.extractive import ExtractiveGenerator
from ragprof.parts.injectors.token_budget import TokenBudgetInjector
from ragprof.parts.injectors.top_k import TopKInjector
from ragprof.record.pipeline import Parts, Pipeline
from ragprof.record.query import ask, bare, within_window

ANSWER = 5
TEMPLATE = "{passages} Q: {question}"
QUERY = Query("q7", "why so?")
ORDERS: tuple[Order, ...] = ("best_first", "best_last", "edges")
count = counter("o200k_base")


def ranking(*texts: str) -> Ranking:
    """d1, d2, ... with falling scores."""
    return tuple(
        ScoredDoc(Doc(f"d{rank}", "", text, f"d{rank}"), 1.0 / rank) for rank, text in enumerate(texts, start=1)
    )


FOUR = ranking(*["owls see well"] * 4)
"""Each takes four words of the prompt, with its number; the question and the template take three more."""


def pipeline(injector: Injector, *, room: int | None) -> Parts:
    """A pipeline whose model reads prompts of so many words; None for any length."""
    window = None if room is None else room + ANSWER
    return Pipeline(
        "p",
        store=lambda question, depth: [("d1", 1.0)],
        depth=4,
        injector=injector,
        generator=ExtractiveGenerator(max_new_tokens=ANSWER, context_tokens=window),
    ).parts()


def ids(injected: Injected) -> list[str]:
    return [item.doc.doc_id for item in injected.ranking]


@pytest.mark.parametrize(
    ("order", "ranked", "expected"),
    [
        ("best_first", "12345", "12345"),
        ("best_last", "12345", "54321"),
        ("edges", "12345", "13542"),
        ("edges", "1234", "1342"),
        ("edges", "123", "132"),
        ("edges", "12", "12"),
        ("edges", "1", "1"),
        ("best_first", "", ""),
        ("best_last", "", ""),
        ("edges", "", ""),
    ],
)
def test_orders_of_what_is_ranked(order: Order, ranked: str, expected: str) -> None:
    assert prompt.arranged(ranked, order) == tuple(expected)


@given(st.lists(st.integers(), max_size=12), st.sampled_from(ORDERS))
def test_an_order_loses_nothing(ranked: list[int], order: Order) -> None:
    assert sorted(prompt.arranged(ranked, order)) == sorted(ranked)


@pytest.mark.parametrize(
    ("order", "dropped_by_room"),
    [
        ("best_first", {19: "1234", 18: "123", 11: "12", 7: "1", 6: "", 3: ""}),
        ("best_last", {19: "4321", 18: "321", 11: "21", 7: "1", 6: "", 3: ""}),
        ("edges", {19: "1342", 18: "132", 11: "12", 7: "1", 6: "", 3: ""}),
    ],
)
def test_the_lowest_ranked_chunk_is_left_out_first_wherever_it_stands(
    order: Order, dropped_by_room: dict[int, str]
) -> None:
    for room, expected in dropped_by_room.items():
        parts = pipeline(TopKInjector(k=4, template=TEMPLATE, order=order), room=room)
        injected = within_window(parts, QUERY, FOUR)
        assert "".join(ids(injected)).replace("d", "") == expected
        assert injected.usage == {"docs_injected": len(expected), "docs_dropped": 4 - len(expected)}
        assert len(injected.prompt.split()) <= room


def test_only_chunks_of_the_prompt_count_as_dropped() -> None:
    parts = pipeline(TopKInjector(k=2, template=TEMPLATE), room=7)
    injected = within_window(parts, QUERY, FOUR)
    assert (ids(injected), injected.usage) == (["d1"], {"docs_injected": 1, "docs_dropped": 1})


def test_the_lowest_ranked_goes_even_where_another_is_longer() -> None:
    long_first = ranking("owls " * 6, "see well")
    injected = within_window(pipeline(TopKInjector(k=2, template=TEMPLATE), room=10), QUERY, long_first)
    assert ids(injected) == ["d1"]


def test_a_budget_that_passed_a_chunk_over_keeps_its_choice() -> None:
    texts = ["owls see well", "owls " * 60, "owls see well", "owls see well"]
    injector = TokenBudgetInjector(tokens=40, k=4, template=TEMPLATE, order="best_last")
    assert ids(within_window(pipeline(injector, room=None), QUERY, ranking(*texts))) == ["d4", "d3", "d1"]
    injected = within_window(pipeline(injector, room=11), QUERY, ranking(*texts))
    assert ids(injected) == ["d3", "d1"]
    assert injected.usage["docs_dropped"] == 1


def test_a_model_without_a_known_window_gets_the_prompt_as_it_is() -> None:
    parts = pipeline(TopKInjector(k=4, template=TEMPLATE), room=None)
    assert within_window(parts, QUERY, FOUR) == parts.injector.inject(QUERY, FOUR)
    without_model = replace(parts, generator=None)
    assert within_window(without_model, QUERY, FOUR) == parts.injector.inject(QUERY, FOUR)


def test_a_question_that_does_not_fit_is_named() -> None:
    with pytest.raises(BadInput) as raised:
        within_window(pipeline(TopKInjector(k=4, template=TEMPLATE), room=2), QUERY, FOUR)
    assert str(raised.value) == (
        "the prompt of query 'q7' takes 3 tokens without any chunk, and the model's window of 7 leaves 2 beside an "
        "answer of 5; shorten the question or the template, or use another model"
    )


def test_the_live_query_fits_the_window_too() -> None:
    parts = replace(
        pipeline(TopKInjector(k=4, template=TEMPLATE), room=11),
        store=Pipeline("s", store=lambda question, depth: [(f"d{rank}", 1.0 / rank) for rank in (1, 2, 3, 4)])
        .parts()
        .store,
    )
    parts.store.add([item.doc for item in FOUR], None)
    answer = ask(parts, QUERY, bare)
    assert [item.doc.doc_id for item in answer.rankings["inject"]] == ["d1", "d2"]
    assert answer.usage["inject"] == {"docs_injected": 2, "docs_dropped": 2}
    assert answer.usage["generate"]["input_tokens"] == 11


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("best_first", "[1] one\n\n[2] two\n\n[3] three Q: why so?"),
        ("best_last", "[1] three\n\n[2] two\n\n[3] one Q: why so?"),
        ("edges", "[1] one\n\n[2] three\n\n[3] two Q: why so?"),
    ],
)
@pytest.mark.parametrize(
    "made",
    [
        lambda order: TopKInjector(k=3, template=TEMPLATE, order=order),
        lambda order: TokenBudgetInjector(tokens=100, k=3, template=TEMPLATE, order=order),
    ],
    ids=["top_k", "token_budget"],
)
def test_chunks_are_numbered_as_they_stand_and_the_ranking_is_the_prompts(
    made: Callable[[Order], Injector], order: Order, expected: str
) -> None:
    injected = made(order).inject(QUERY, ranking("one", "two", "three", "four"))
    assert injected.prompt == expected
    assert injected.prompt == prompt.build(TEMPLATE, QUERY.text, [item.doc for item in injected.ranking])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=7), st.integers(1, 90), st.sampled_from(ORDERS))
def test_a_budget_holds_in_every_order(texts: Sequence[str], tokens: int, order: Order) -> None:
    ranked = ranking(*texts)
    injected = TokenBudgetInjector(tokens=tokens, k=5, template=TEMPLATE, order=order).inject(QUERY, ranked)
    assert count(injected.prompt) <= tokens or injected.ranking == ()
    inside = tuple(item for item in ranked if item in injected.ranking)
    assert injected.ranking == prompt.arranged(inside, order)


@pytest.mark.parametrize("injector", [TopKInjector, lambda **given: TokenBudgetInjector(tokens=9, **given)])
def test_the_identity_names_the_order(injector: Callable[..., Injector]) -> None:
    assert len({injector(order=order).identity for order in ORDERS}) == 3
