"""Any callable as a stage: what it returns is checked and counted, and never reused."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from passages import CONTENTS, DOCS, embedded, ranking_of

from ragprof.core import Doc, Query
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.parts.adapters import (
    FunctionEmbedder,
    FunctionGenerator,
    FunctionInjector,
    FunctionReranker,
    FunctionStore,
)
from ragprof.record.pipeline import Pipeline

QUERY = Query("q", "why?")


def lengths(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


def retriever(question: str, depth: int) -> list[tuple[str, float]]:
    return [("d03", 0.5), ("d07", 0.9), ("d01", 0.5)]


def count_words(question: str, texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_nothing_that_a_function_returns_may_be_reused() -> None:
    parts = [FunctionEmbedder(lengths), FunctionStore(retriever), FunctionReranker(count_words), FunctionInjector(max)]
    assert [part.identity for part in parts] == [None] * 4
    assert not FunctionReranker(count_words).pointwise


@pytest.mark.parametrize(
    ("stage", "function", "told"),
    [
        ("store", lambda question: [], "retriever '<lambda>' takes (question); it is called with (question, depth)"),
        ("embedder", lambda: [], "embedder '<lambda>' takes (); it is called with (texts)"),
        ("reranker", lambda texts: [], "reranker '<lambda>' takes (texts); it is called with (question, texts)"),
        (
            "injector",
            lambda question, texts, *, style: "",
            "injector '<lambda>' takes (question, texts, *, style); it is called with (question, texts)",
        ),
        ("generator", lambda prompt, k: "", "generator '<lambda>' takes (prompt, k); it is called with (prompt)"),
    ],
)
def test_a_function_that_takes_something_else_is_told_before_it_is_called(stage: str, function: Any, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        Pipeline("p", **{"embedder": "hashing", "store": "faiss_flat", stage: function}).parts()
    assert str(raised.value) == told


def test_a_function_that_takes_more_than_it_is_given_may_have_defaults() -> None:
    store = FunctionStore(lambda question, depth, site="docs", **more: [])
    store.add(DOCS, None)
    assert store.search(embedded("why?"), 2).ranking == ()


def test_an_embedder_becomes_float32_rows() -> None:
    embedded_texts = FunctionEmbedder(lengths).embed_queries(["ab", "abcd"])
    assert embedded_texts.vectors.dtype == np.float32
    assert embedded_texts.vectors.tolist() == [[2.0, 1.0], [4.0, 1.0]]
    assert dict(embedded_texts.usage) == {"texts": 2}


def test_an_embedder_may_give_its_rows_one_by_one() -> None:
    rows = FunctionEmbedder(lambda texts: (np.array([len(text), 1]) for text in texts)).embed_documents(["ab", "abcd"])
    assert rows.vectors.tolist() == [[2.0, 1.0], [4.0, 1.0]]


@pytest.mark.parametrize("returned", [[[1.0, 2.0]], [1.0, 2.0], [[[1.0]], [[2.0]]]])
def test_an_embedder_that_does_not_give_one_row_a_text_is_told_so(returned: object) -> None:
    def wrong(texts: list[str]) -> object:
        return returned

    with pytest.raises(BadInput, match=r"embedder 'wrong' gave shape .* for 2 texts; it owes one row a text"):
        FunctionEmbedder(wrong).embed_documents(CONTENTS[:2])


def test_a_retriever_is_ranked_and_cut_like_every_store() -> None:
    store = FunctionStore(retriever)
    store.add(DOCS, None)
    found = store.search(embedded("why?"), 2)
    assert [(item.doc.doc_id, item.score) for item in found.ranking] == [("d07", 0.9), ("d03", 0.5)]
    assert dict(found.usage) == {"searches": 1}


def test_a_retriever_that_finds_nothing_gives_an_empty_ranking() -> None:
    store = FunctionStore(lambda question, depth: iter(()))
    store.add(DOCS, None)
    assert store.search(embedded("why?"), 2).ranking == ()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("nowhere", 1.0)], r"returned the document 'nowhere', which is not in the corpus"),
        ([("d01", 2.0), ("d02", 1.5), ("d01", 1.0)], r"returned the document 'd01' twice; give each one once"),
    ],
)
def test_a_retriever_with_unknown_or_repeated_documents_is_told_which(
    pairs: list[tuple[str, float]], message: str
) -> None:
    store = FunctionStore(lambda question, depth: pairs)
    store.add(DOCS, None)
    with pytest.raises(BadInput, match=message):
        store.search(embedded("why?"), 5)


def test_a_retrievers_nan_is_an_error() -> None:
    store = FunctionStore(lambda question, depth: [("d01", math.nan)])
    store.add(DOCS, None)
    with pytest.raises(NonFiniteScore, match="document 'd01' got the score nan"):
        store.search(embedded("why?"), 5)


def test_a_reranker_is_given_contents_and_gives_floats() -> None:
    scored = FunctionReranker(count_words).score(QUERY, DOCS[:2])
    assert scored.scores == (16.0, 16.0)
    assert dict(scored.usage) == {"requests": 1, "docs_scored": 2}


def test_a_reranker_with_too_few_scores_is_told_so() -> None:
    def stingy(question: str, texts: list[str]) -> list[float]:
        return [1.0]

    with pytest.raises(BadInput, match="reranker 'stingy' gave 1 score for 3 documents"):
        FunctionReranker(stingy).score(QUERY, DOCS[:3])


def test_an_injector_is_given_the_k_best_contents() -> None:
    def join(question: str, texts: list[str]) -> str:
        return "\n".join([*texts, question])

    injected = FunctionInjector(join, k=2).inject(QUERY, ranking_of(4, 0, 8))
    assert injected.prompt == f"{DOCS[4].content}\n{DOCS[0].content}\nwhy?"
    assert injected.ranking == ranking_of(4, 0)
    assert dict(injected.usage) == {"docs_injected": 2}


def test_an_object_that_can_be_called_is_named_by_its_class() -> None:
    class Stingy:
        def __call__(self, question: str, texts: list[str]) -> list[float]:
            return []

    with pytest.raises(BadInput, match="reranker 'Stingy' gave 0 scores for 1 document"):
        FunctionReranker(Stingy()).score(QUERY, DOCS[:1])


@dataclass
class Document:
    """As LangChain has it."""

    page_content: str
    metadata: dict[str, object] = field(default_factory=dict)
    id: str | None = None

    def __iter__(self) -> Iterator[tuple[str, object]]:
        return iter(vars(self).items())


@dataclass
class Node:
    """As LlamaIndex has it: a node and its score."""

    node: object
    score: float


PAGES = [
    Doc("guides/leave.md#0001", "Leave", "Thirty days a year.", "guides/leave.md"),
    Doc("guides/leave.md#0002", "Leave", "Sick leave is paid.", "guides/leave.md"),
    Doc("travel.md#0001", "Travel", "Second class.", "travel.md"),
    Doc("42", "Number", "Forty-two.", "42"),
]
RESULTS: dict[str, tuple[object, list[tuple[str, float]]]] = {
    "ids, best first": (["travel.md#0001", "42"], [("travel.md#0001", 0.0), ("42", -1.0)]),
    "a generator of ids": ((name for name in ["42", "travel.md#0001"]), [("42", 0.0), ("travel.md#0001", -1.0)]),
    "an array of pairs": (np.array([("42", 0.5), ("travel.md", 0.4)], object), [("42", 0.5), ("travel.md#0001", 0.4)]),
    "numbers as ids": (np.array([42]), [("42", 0.0)]),
    "ids of documents": (["guides/leave.md", "travel.md"], [("guides/leave.md#0001", 0.0), ("travel.md#0001", -1.0)]),
    "a mapping of scores": ({"42": 0.25, "travel.md": 0.5}, [("travel.md#0001", 0.5), ("42", 0.25)]),
    "hits of a search engine": (
        [{"_id": "42", "_score": 7.5, "_source": {"text": "x"}}, {"id": "travel.md", "score": 3.0}],
        [("42", 7.5), ("travel.md#0001", 3.0)],
    ),
    "documents with a source, whose text tells the passage": (
        [
            Document("Sick leave is paid.", {"source": "/home/me/docs/guides/leave.md"}),
            Document("Second", {"source": "travel.md"}),
        ],
        [("guides/leave.md#0002", 0.0), ("travel.md#0001", -1.0)],
    ),
    "several chunks of one passage": (
        [Document("Second", {"source": "travel.md"}), Document("class.", {"source": "travel.md"})],
        [("travel.md#0001", 0.0)],
    ),
    "documents with an id of their own beside the corpus's": (
        [Document("x", {"doc_id": "42"}, id="0b5c")], [("42", 0.0)]
    ),
    "pairs of a document and a score": (
        [(Document("x", id="42"), 0.9), (Document("x", id="travel.md"), 0.4)],
        [("42", 0.9), ("travel.md#0001", 0.4)],
    ),
    "nodes": (
        [Node(Document("Sick leave is paid.", {"file_path": "guides\\leave.md"}), 0.8)], [("guides/leave.md#0002", 0.8)]
    ),
}  # fmt: skip


def found_by(returned: object) -> list[tuple[str, float]]:
    store = FunctionStore(lambda question, depth: returned)
    store.add(PAGES, None)
    return [(item.doc.doc_id, item.score) for item in store.search(embedded("why?"), 3).ranking]


@pytest.mark.parametrize("name", RESULTS)
def test_a_retriever_may_return_what_people_return(name: str) -> None:
    returned, expected = RESULTS[name]
    assert found_by(returned) == expected


@pytest.mark.parametrize(
    ("returned", "named"),
    [
        (None, "None"),
        ("leave", "str 'leave'"),
        (7, "7"),
        ([("42", 0.5, "more")], "(str '42', 0.5, str 'more')"),
        ([("42", "much")], "(str '42', str 'much')"),
        ([Document("long " * 50_000, {"page": 3})], "Document"),
        ([{"text": "long " * 50_000}], "dict"),
        ({"documents": [Document("long " * 50_000)]}, "(str 'documents', list)"),
        ([None], "None"),
        ({"42", "travel.md"}, "set"),
        (frozenset({"42"}), "frozenset"),
        (np.array("42"), "ndarray"),
        ([("42", 10**400)], f"(str '42', {10**400})"),
    ],
)
def test_what_is_no_result_is_told_in_one_short_line(returned: object, named: str) -> None:
    with pytest.raises(BadInput) as told:
        found_by(returned)
    assert str(told.value) == (
        f"retriever '<lambda>' returned {named}; expected ids, pairs (id, score), or objects with an id or a "
        "metadata source, best first"
    )


def test_an_unknown_id_is_shown_short_beside_one_of_the_corpus() -> None:
    with pytest.raises(
        BadInput, match=r"which is not in the corpus \(whose ids look like 'guides/leave.md#0001'\)"
    ) as told:
        found_by([Document("long " * 50_000, {"source": "elsewhere" * 1_000})])
    assert len(str(told.value)) < 250


def test_distances_for_scores_are_refused_and_not_ranked_upside_down() -> None:
    with pytest.raises(BadInput, match=r"scores that rise from 0\.1 to 0\.7, but the best result comes first"):
        found_by([(Document("x", id="42"), 0.1), (Document("x", id="travel.md"), 0.7)])
    with pytest.raises(BadInput, match="some results with a score and some without"):
        found_by([("42", 0.5), "travel.md"])


def test_every_stage_may_be_an_async_function_in_or_outside_of_a_running_loop() -> None:
    loops = set()

    async def search(question: str, depth: int) -> list[str]:
        loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return ["42"]

    async def score(question: str, texts: list[str]) -> list[float]:
        return [float(len(text)) for text in texts]

    async def embed(texts: list[str]) -> list[list[float]]:
        return lengths(texts)

    async def answer(prompt: str) -> str:
        return f"{prompt}!"

    async def prompt(question: str, texts: list[str]) -> str:
        return question

    store = FunctionStore(search)
    store.add(PAGES, None)

    def all_stages() -> list[object]:
        return [
            [item.doc.doc_id for item in store.search(embedded("why?"), 3).ranking],
            FunctionReranker(score).score(QUERY, PAGES[:1]).scores,
            FunctionEmbedder(embed).embed_queries(["ab"]).vectors.tolist(),
            FunctionGenerator(answer).generate("why").text,
            FunctionInjector(prompt).inject(QUERY, ranking_of(0)).prompt,
        ]

    async def within_a_notebook() -> list[object]:
        return all_stages()

    expected = [["42"], (float(len(PAGES[0].content)),), [[2.0, 1.0]], "why!", "why?"]
    assert all_stages() == expected
    assert asyncio.run(within_a_notebook()) == expected
    assert len(loops) == 1  # clients keep their connections on the loop that they were made on


@pytest.mark.parametrize(
    ("part", "returned", "message"),
    [
        (FunctionReranker, None, "reranker '<lambda>' returned None; expected one number for each of 2 texts"),
        (
            FunctionReranker,
            ["good", "bad"],
            "returned list; expected one number for each of 2 texts",
        ),
        (FunctionReranker, {0: 0.5, 1: 0.4}, "returned dict; expected one number for each of 2 texts"),
        (FunctionReranker, {0.5, 0.4}, "returned set; expected one number for each of 2 texts"),
        (FunctionReranker, "12", "returned str '12'; expected one number for each of 2 texts"),
        (FunctionReranker, b"12", "returned bytes b'12'; expected one number for each of 2 texts"),
        (FunctionReranker, [10**400, 1], "returned list; expected one number for each of 2 texts"),
        (FunctionEmbedder, [[10**400], [1]], "returned list; expected numbers of shape (2, dimensions)"),
        (FunctionEmbedder, np.ones((2, 2), complex), "returned ndarray; expected numbers of shape (2, dimensions)"),
        (FunctionEmbedder, [[1.0], [1.0, 2.0]], "returned list; expected numbers of shape (2, dimensions)"),
        (FunctionGenerator, None, "generator '<lambda>' returned None; expected a text"),
        (FunctionInjector, [{"role": "user"}], "injector '<lambda>' returned list; expected a text"),
    ],
)
def test_every_stage_says_what_was_expected_and_what_came(part: Any, returned: object, message: str) -> None:
    made = part(lambda *_: returned)
    calls = {
        FunctionReranker: lambda: made.score(QUERY, PAGES[:2]),
        FunctionEmbedder: lambda: made.embed_documents(["a", "b"]),
        FunctionGenerator: lambda: made.generate("why?"),
        FunctionInjector: lambda: made.inject(QUERY, ranking_of(0)),
    }
    with pytest.raises(BadInput) as told:
        calls[part]()
    assert str(told.value).endswith(message)


def test_a_message_object_is_a_text_and_a_column_of_scores_is_scores() -> None:
    class Message:
        content = "thirty days"

    assert FunctionGenerator(lambda prompt: Message()).generate("why?").text == "thirty days"
    scored = FunctionReranker(lambda question, texts: np.array([[0.5], [0.25]], np.float32)).score(QUERY, PAGES[:2])
    assert scored.scores == (0.5, 0.25)


def test_what_is_no_part_is_named_without_what_it_holds() -> None:
    class Retriever:
        def __init__(self) -> None:
            self.docs = ["long " * 50_000]

        def __repr__(self) -> str:
            return f"Retriever({self.docs})"

        def invoke(self, question: str) -> list[str]:
            return self.docs

    with pytest.raises(BadInput) as told:
        Pipeline("own", store=Retriever()).parts()  # type: ignore[arg-type]
    assert str(told.value) == (
        "Retriever is no store: give a plugin's name, a table, a part or a callable; wrap it, as in "
        "lambda question, depth: retriever.invoke(question)"
    )
