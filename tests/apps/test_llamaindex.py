"""LlamaIndex as it is: an index, a retriever and a query engine of llama-index-core, watched by its dispatcher."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from passages import DOCS

from ragprof.apps.llamaindex import DISPATCHER
from ragprof.core import Answer, Query
from ragprof.core.spantree import StageTime
from ragprof.record.pipeline import Pipeline

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex

# Whoever only collects these tests does not wait for the framework.
pytestmark = pytest.mark.skipif(find_spec("llama_index") is None, reason="llama-index-core is not installed")
QUERY = Query("q1", "spring tides come when sun and moon pull along one line")


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    import llamaindex_parts

    return llamaindex_parts.index()


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
    from llamaindex_parts import engine

    answer, times = heard(engine(index))
    assert {*times} == {"embed", "search", "rerank", "generate", "other:LlamaIndex"}
    assert ids(answer, "rerank") == ids(answer, "search")[::-1][:2] == ids(answer, "inject")
    assert answer.usage["rerank"] == {"requests": 1, "docs_scored": 4}
    assert answer.generated is not None
    assert len(answer.generated.text) > 0
    assert "Greenland" in answer.prompt or "tides" in answer.prompt


def test_nothing_of_it_is_left_after_a_question(index: VectorStoreIndex) -> None:
    from llama_index_instrumentation import get_dispatcher

    before = list(get_dispatcher().span_handlers)
    heard(index.as_retriever())
    assert get_dispatcher().span_handlers == before


def test_a_stream_is_run_to_its_end_and_its_first_piece_is_timed(index: VectorStoreIndex) -> None:
    from llamaindex_parts import streaming

    answer, times = heard(streaming(index))
    assert {"search", "generate"} <= {*times}
    assert answer.generated is not None
    assert answer.generated.text.startswith("text text")
    assert answer.generated.first_token_ns is not None
    assert 0 < answer.generated.first_token_ns <= times["generate"].path_ns
    assert len(ids(answer, "inject")) == 2
