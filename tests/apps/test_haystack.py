"""Haystack as it is: a pipeline of haystack-ai with its own retriever and prompt builder, watched by its tracing."""

from __future__ import annotations

import os
from typing import Any

import pytest
from passages import DOCS, EMBEDDER

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
pytest.importorskip("haystack", reason="haystack-ai is not installed")
from haystack import Document, Pipeline, component, tracing
from haystack.components.builders import PromptBuilder
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

import ragprof
from ragprof.apps.haystack import TRACING
from ragprof.core import Answer, Query
from ragprof.core.errors import BadInput
from ragprof.core.spantree import StageTime

QUERY = Query("q1", "spring tides come when sun and moon pull along one line")
TEMPLATE = "{% for page in documents %}{{ page.content }}\n{% endfor %}{{ question }}"


@component
class HashingEmbedder:
    """An embedder that needs no weights."""

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        return {"embedding": EMBEDDER.embed_queries([text]).vectors[0].tolist()}


@component
class BackwardsRanker:
    """Turns the order round and keeps two."""

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        return {"documents": documents[::-1][:2]}


@component
class EchoGenerator:
    """Answers with the first words of its prompt."""

    @component.output_types(replies=list[str], meta=list[dict[str, Any]])
    def run(self, prompt: str) -> dict[str, Any]:
        words = prompt.split()
        usage = {"prompt_tokens": len(words), "completion_tokens": 3}
        return {"replies": [" ".join(words[:3])], "meta": [{"usage": usage}]}


@component
class StreamingGenerator:
    """Calls back with every piece."""

    def __init__(self, streaming_callback: Any) -> None:
        self.streaming_callback = streaming_callback

    @component.output_types(replies=list[str])
    def run(self, prompt: str) -> dict[str, Any]:
        for piece in ("twice", "a month"):
            self.streaming_callback(piece)
        return {"replies": ["twice a month"]}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    vectors = EMBEDDER.embed_documents([doc.content for doc in DOCS]).vectors.tolist()
    store.write_documents(
        [Document(content=doc.content, meta={"page": doc.doc_id}, embedding=row) for doc, row in zip(DOCS, vectors)]  # noqa: B905
    )
    made = Pipeline()
    made.add_component("embedder", HashingEmbedder())
    made.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=4))
    made.add_component("ranker", BackwardsRanker())
    made.add_component("builder", PromptBuilder(TEMPLATE, required_variables=["documents", "question"]))
    made.add_component("llm", EchoGenerator())
    made.connect("embedder.embedding", "retriever.query_embedding")
    made.connect("retriever.documents", "ranker.documents")
    made.connect("ranker.documents", "builder.documents")
    made.connect("builder.prompt", "llm.prompt")
    return made


def heard(app: Any, **options: Any) -> tuple[Answer, dict[str, StageTime]]:
    asked = ragprof.Pipeline("prod", app=app, **options).parts().app
    assert asked is not None
    assert asked.kind == "haystack"
    asked.add(DOCS, None)
    answer, times, _ = asked.told(QUERY, asked.hear(QUERY, watched=True))
    return answer, dict(times)


def ids(answer: Answer, stage: str) -> list[str]:
    return [item.doc.doc_id for item in answer.rankings[stage]]  # type: ignore[index]


def test_a_pipeline_shows_its_stages_and_what_the_framework_takes(pipeline: Pipeline) -> None:
    answer, times = heard(pipeline, doc_id="meta.page")
    assert {stage: time.source for stage, time in times.items()} == dict.fromkeys(
        ("other:Haystack", "embed", "search", "rerank", "inject", "generate"), TRACING
    )
    assert ids(answer, "search")[0] == "d09"
    assert len(ids(answer, "search")) == 4
    assert ids(answer, "rerank") == ids(answer, "search")[::-1][:2] == ids(answer, "inject")


def test_its_answer_its_prompt_and_its_tokens_are_taken(pipeline: Pipeline) -> None:
    answer, _ = heard(pipeline, doc_id="meta.page")
    assert answer.generated is not None
    assert len(answer.generated.text.split()) == 3
    assert answer.usage["generate"]["output_tokens"] == 3
    assert answer.usage["generate"]["input_tokens"] == len(answer.prompt.split())
    assert answer.prompt.endswith(QUERY.text)


def test_the_question_goes_where_it_is_told_to(pipeline: Pipeline) -> None:
    with pytest.raises(BadInput, match=r"question = .text. names no input"):
        heard(pipeline, question="text")
    with pytest.raises(BadInput, match=r"[Mm]issing"):
        heard(pipeline, question="embedder.text")
    told = {"builder": {"question": "fixed"}}
    answer, _ = heard(pipeline, question="embedder.text", arguments=told, doc_id="meta.page")
    assert answer.prompt.endswith("fixed")


def test_a_knob_leads_to_a_component_by_its_name(pipeline: Pipeline) -> None:
    made = ragprof.Pipeline("prod", app=pipeline, doc_id="meta.page", knobs={"retriever.top_k": [4, 2]}).variants()
    for parts, found in zip(made, (4, 2), strict=True):
        assert parts.app is not None
        parts.app.add(DOCS, None)
        assert len(ids(parts.app.answer(QUERY), "search")) == found
    assert pipeline.get_component("retriever").top_k == 4
    with pytest.raises(BadInput, match="'top_k' is an argument of no component; write arguments by component"):
        ragprof.Pipeline("prod", app=pipeline, knobs={"top_k": [4, 2]}).variants()


def test_the_tracer_that_was_set_is_set_again(pipeline: Pipeline) -> None:
    own = tracing.tracer.actual_tracer
    heard(pipeline)
    assert tracing.tracer.actual_tracer is own


def test_the_first_piece_of_a_generator_that_calls_back_is_timed() -> None:
    pieces: list[str] = []
    own = pieces.append
    made = Pipeline()
    made.add_component("llm", StreamingGenerator(own))
    answer, times = heard(made, question="llm.prompt")
    assert pieces == ["twice", "a month"]
    assert made.get_component("llm").streaming_callback is own
    assert answer.generated is not None
    assert answer.generated.first_token_ns is not None
    assert 0 < answer.generated.first_token_ns <= times["generate"].path_ns
