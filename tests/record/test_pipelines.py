"""Names, tables, parts and callables become parts; equal declarations share them."""

from __future__ import annotations

from typing import Any

import pytest

from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.registry import PartSpec
from ragprof.evals import PipelineConfig
from ragprof.parts.rerankers.overlap import OverlapReranker
from ragprof.parts.stores.faiss_flat import FaissFlatStore
from ragprof.record.pipeline import Parts, Pipeline, Workshop, closing, part


def built(workshop: Workshop, **choices: Any) -> Parts:
    """One more pipeline from the workshop: hashed words in FAISS unless chosen otherwise."""
    table = {"name": "p", "embedder": "hashing", "store": "faiss_flat", **choices}
    return workshop.parts(PipelineConfig.model_validate(table))


def test_equal_declarations_share_their_parts() -> None:
    workshop = Workshop()
    first, second = built(workshop), built(workshop, reranker="overlap", depth=7)
    assert first.embedder is second.embedder
    assert first.store is second.store
    assert first.injector is second.injector
    assert (first.reranker, first.depth, second.depth) == (None, 20, 7)


def test_other_options_are_other_parts() -> None:
    workshop = Workshop()
    first, second = (built(workshop, injector={"name": "top_k", "k": k}) for k in (3, 4))
    assert first.injector is not second.injector


def test_a_store_over_another_embedder_is_another_index() -> None:
    workshop = Workshop()
    first, second = built(workshop), built(workshop, embedder={"name": "hashing", "dimensions": 32})
    assert first.store is not second.store


def test_two_workshops_share_nothing() -> None:
    assert built(Workshop()).store is not built(Workshop()).store


@pytest.mark.parametrize("given", ["overlap", {"name": "overlap"}, PartSpec(name="overlap"), OverlapReranker()])
def test_a_part_by_name_table_specification_or_object(given: Any) -> None:
    assert type(part("rerankers", given)) is OverlapReranker


def test_a_callable_is_adapted() -> None:
    reranker = part("rerankers", lambda question, texts: [1.0] * len(texts))
    assert (reranker.identity, reranker.pointwise) == (None, False)


def test_something_else_is_refused() -> None:
    expected = r"^3 is no reranker: give a plugin's name, a table, a part or a callable$"
    with pytest.raises(BadInput, match=expected):
        part("rerankers", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("reranker", [None, "none"])
def test_no_reranker_is_no_stage(reranker: str | None) -> None:
    parts = Pipeline("p", store="bm25s", reranker=reranker).parts()
    assert parts.reranker is None
    assert len(parts.stages) == 2


def test_unknown_names_are_refused_with_a_guess() -> None:
    with pytest.raises(UnknownName, match="no store named 'bm25'; did you mean 'bm25s'"):
        Pipeline("p", store="bm25").parts()


def test_a_retriever_may_only_name_documents_of_the_corpus() -> None:
    from clockwork import DOCS, QUESTIONS

    from ragprof.record.query import ask, bare

    def elsewhere(question: str, depth: int) -> list[tuple[str, float]]:
        return [("nowhere", 1.0)]

    parts = Pipeline("p", store=elsewhere).parts()
    parts.store.add(DOCS, None)
    with pytest.raises(BadInput, match="retriever 'elsewhere' returned the document 'nowhere', which is not in"):
        ask(parts, QUESTIONS[0], bare)


class Tables(FaissFlatStore):
    """A store that makes tables outside this process, and gives them back."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        raise ConnectionError("gone")


def test_stores_give_back_what_they_made_once_also_after_an_error_of_another() -> None:
    shared, own = Tables(), Tables()
    pipelines = [Pipeline(name, store=store).parts() for name, store in zip("abc", (shared, shared, own), strict=True)]
    with pytest.raises(ConnectionError), closing(pipelines):
        raise BadInput("in the middle of it")
    assert (shared.closed, own.closed) == (1, 1)
