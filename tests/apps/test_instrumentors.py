"""Apps that OpenInference's instrumentors trace: their spans give the stages, and beside hooks count nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import pytest
from passages import DOCS, EMBEDDER

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
from one_provider import provider

from ragprof.core import Answer, Query
from ragprof.core.spantree import StageTime
from ragprof.record.opentelemetry import SOURCE
from ragprof.record.pipeline import Pipeline

QUERY = Query("q1", "spring tides come when sun and moon pull along one line")


@pytest.fixture
def instrumented(request: pytest.FixtureRequest) -> Iterator[None]:
    module, name = request.param
    instrumentor = getattr(pytest.importorskip(f"openinference.instrumentation.{module}"), name)()
    instrumentor.instrument(tracer_provider=provider())
    yield
    instrumentor.uninstrument()


def langchain() -> Any:
    vectorstores, embeddings = (import_module(f"langchain_core.{name}") for name in ("vectorstores", "embeddings"))
    prompts, messages = (import_module(f"langchain_core.{name}") for name in ("prompts", "messages"))
    models = import_module("langchain_core.language_models.fake_chat_models")
    runnables = import_module("langchain_core.runnables")
    store = vectorstores.InMemoryVectorStore(embeddings.DeterministicFakeEmbedding(size=8))
    store.add_texts([doc.content for doc in DOCS], ids=[doc.doc_id for doc in DOCS])
    told = {"input_tokens": 70, "output_tokens": 3, "total_tokens": 73}
    model = models.GenericFakeChatModel(messages=iter([messages.AIMessage("twice", usage_metadata=told)] * 9))
    question = {"context": store.as_retriever(), "question": runnables.RunnablePassthrough()}
    return question | prompts.ChatPromptTemplate.from_template("{context} {question}") | model


def llamaindex() -> Any:
    core, llms = import_module("llama_index.core"), import_module("llama_index.core.llms")
    documents = [core.Document(text=doc.content, doc_id=doc.doc_id) for doc in DOCS]
    index = core.VectorStoreIndex.from_documents(documents, embed_model=core.MockEmbedding(embed_dim=8))
    return index.as_query_engine(llm=llms.MockLLM(max_tokens=8), similarity_top_k=4)


def haystack() -> Any:
    parts = import_module("haystack_parts")  # components have to be names of a module
    from haystack import Document
    from haystack import Pipeline as Haystack
    from haystack.components.builders import PromptBuilder
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    rows = EMBEDDER.embed_documents([doc.content for doc in DOCS]).vectors.tolist()
    store.write_documents(
        [Document(id=doc.doc_id, content=doc.content, embedding=row) for doc, row in zip(DOCS, rows, strict=True)]
    )
    made = Haystack()
    made.add_component("embedder", parts.HashingEmbedder())
    made.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=4))
    template = "{% for page in documents %}{{ page.content }}{% endfor %}{{ question }}"
    made.add_component("builder", PromptBuilder(template, required_variables=["documents", "question"]))
    made.add_component("llm", parts.EchoGenerator())
    made.connect("embedder.embedding", "retriever.query_embedding")
    made.connect("retriever.documents", "builder.documents")
    made.connect("builder.prompt", "llm.prompt")
    return made


def heard(app: Any) -> tuple[Answer, Mapping[str, StageTime]]:
    asked = Pipeline("prod", app=app).parts().app
    assert asked is not None
    asked.add(DOCS, None)
    asked.hear(QUERY, watched=True)  # the first call of an instrumentor takes its time
    answer, times, _ = asked.told(QUERY, asked.hear(QUERY, watched=True))
    return answer, times


FRAMEWORKS = [
    pytest.param(("langchain", "LangChainInstrumentor"), "langchain.LangChainApp", langchain, id="langchain"),
    pytest.param(("llama_index", "LlamaIndexInstrumentor"), "llamaindex.LlamaIndexApp", llamaindex, id="llamaindex"),
    pytest.param(("haystack", "HaystackInstrumentor"), "haystack.HaystackApp", haystack, id="haystack"),
]


@pytest.mark.parametrize(("instrumented", "plugin", "build"), FRAMEWORKS, indirect=["instrumented"])
@pytest.mark.usefixtures("instrumented")
@pytest.mark.filterwarnings("ignore")  # the instrumentors use what pydantic calls deprecated
def test_an_instrumented_app_counts_once_with_our_hooks_and_has_its_stages_without(
    plugin: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = build()
    both, _ = heard(app)
    monkeypatch.setattr(f"ragprof.apps.{plugin}.watched", staticmethod(lambda _listener: nullcontext()))
    alone, times = heard(app)
    assert {times[stage].source for stage in ("search", "generate")} == {SOURCE}
    for answer in (both, alone):
        assert answer.usage["search"] == {"searches": 1}
        assert len(answer.rankings["search"]) == 4
        assert answer.usage["generate"]["requests"] == 1
    assert both.usage["generate"] == alone.usage["generate"]
    assert both.rankings["inject"] == alone.rankings["inject"]
