"""LlamaIndex as it is: an index, a retriever and a query engine of llama-index-core, watched by its dispatcher."""

from __future__ import annotations

from typing import Any

import pytest
from passages import DOCS, EMBEDDER

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed")
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index_instrumentation import get_dispatcher

from ragprof.apps.llamaindex import DISPATCHER
from ragprof.core import Answer, Query
from ragprof.core.spantree import StageTime
from ragprof.record.pipeline import Pipeline

QUERY = Query("q1", "spring tides come when sun and moon pull along one line")


class Hashing(BaseEmbedding):
    """Embeddings that need no weights."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return EMBEDDER.embed_queries([text]).vectors[0].tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class Backwards(BaseNodePostprocessor):
    """A reranker that turns the order round and keeps two."""

    def _postprocess_nodes(self, nodes: list[Any], query_bundle: Any = None) -> list[Any]:
        return nodes[::-1][:2]


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    documents = [Document(text=doc.content, doc_id=doc.doc_id) for doc in DOCS]
    return VectorStoreIndex.from_documents(documents, embed_model=Hashing())


def heard(app: Any, **options: Any) -> tuple[Answer, dict[str, StageTime]]:
    asked = Pipeline("prod", app=app, **options).parts().app
    assert asked is not None
    assert asked.kind == "llamaindex"
    asked.add(DOCS, None)
    answer, times, _ = asked.told(QUERY, asked.hear(QUERY, watched=True))
    return answer, dict(times)


def ids(answer: Answer, stage: str) -> list[str]:
    return [item.doc.doc_id for item in answer.rankings[stage]]  # type: ignore[index]


def test_a_retriever_is_known_by_the_documents_that_its_nodes_were_cut_from(index: VectorStoreIndex) -> None:
    answer, times = heard(index.as_retriever(similarity_top_k=4))
    assert {stage: time.source for stage, time in times.items()} == {"search": DISPATCHER, "embed": DISPATCHER}
    assert ids(answer, "search")[0] == "d09"
    assert len(ids(answer, "search")) == 4
    assert answer.usage["search"]["searches"] == 1


def test_a_query_engine_shows_its_stages_and_what_the_framework_takes(index: VectorStoreIndex) -> None:
    engine = RetrieverQueryEngine.from_args(
        index.as_retriever(similarity_top_k=4), llm=MockLLM(max_tokens=8), node_postprocessors=[Backwards()]
    )
    answer, times = heard(engine)
    assert {*times} == {"embed", "search", "rerank", "generate", "other:LlamaIndex"}
    assert ids(answer, "rerank") == ids(answer, "search")[::-1][:2] == ids(answer, "inject")
    assert answer.usage["rerank"] == {"requests": 1, "docs_scored": 4}
    assert answer.generated is not None
    assert len(answer.generated.text) > 0
    assert "Greenland" in answer.prompt or "tides" in answer.prompt


def test_nothing_of_it_is_left_after_a_question(index: VectorStoreIndex) -> None:
    before = list(get_dispatcher().span_handlers)
    heard(index.as_retriever())
    assert get_dispatcher().span_handlers == before


def test_a_stream_is_run_to_its_end_and_its_first_piece_is_timed(index: VectorStoreIndex) -> None:
    engine = index.as_query_engine(llm=MockLLM(max_tokens=8), streaming=True, similarity_top_k=2)
    answer, times = heard(engine)
    assert {"search", "generate"} <= {*times}
    assert answer.generated is not None
    assert answer.generated.text.startswith("text text")
    assert answer.generated.first_token_ns is not None
    assert 0 < answer.generated.first_token_ns <= times["generate"].path_ns
    assert len(ids(answer, "inject")) == 2
