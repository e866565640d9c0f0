"""LangChain as it is: retrievers, chains and chat models of langchain-core, watched by its own callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from passages import DOCS, EMBEDDER

pytest.importorskip("langchain_core", reason="langchain-core is not installed")
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from ragprof.apps.langchain import CALLBACKS, PROXIES
from ragprof.core import Answer, Query
from ragprof.core.errors import BadInput
from ragprof.core.spantree import StageTime
from ragprof.record.pipeline import Pipeline

QUERY = Query("q1", "spring tides come when sun and moon pull along one line")


class Hashing(Embeddings):
    """Embeddings that need no weights."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return EMBEDDER.embed_documents(texts).vectors.tolist()

    def embed_query(self, text: str) -> list[float]:
        return EMBEDDER.embed_queries([text]).vectors[0].tolist()


class Backwards(BaseDocumentCompressor):
    """A reranker that turns the order round and keeps two."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        return list(documents)[::-1][:2]


class Compressing(BaseRetriever):
    """As langchain's ContextualCompressionRetriever: one retriever within another, and a compressor behind it."""

    inner: BaseRetriever
    compressor: BaseDocumentCompressor

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        found = self.inner.invoke(query, config={"callbacks": run_manager.get_child()})
        return list(self.compressor.compress_documents(found, query))


@pytest.fixture(scope="module")
def retriever() -> BaseRetriever:
    store = InMemoryVectorStore(Hashing())
    store.add_documents([Document(doc.content, metadata={"source": f"/srv/{doc.doc_id}"}, id=None) for doc in DOCS])
    return store.as_retriever(search_kwargs={"k": 4})


def heard(app: Any, **options: Any) -> tuple[Answer, dict[str, StageTime]]:
    asked = Pipeline("prod", app=app, **options).parts().app
    assert asked is not None
    assert asked.kind == "langchain"
    asked.add(DOCS, None)
    answer, times, _ = asked.told(QUERY, asked.hear(QUERY, watched=True))
    return answer, dict(times)


def ids(answer: Answer, stage: str) -> list[str]:
    return [item.doc.doc_id for item in answer.rankings[stage]]  # type: ignore[index]


def test_a_retriever_is_searched_and_its_embedding_is_timed_by_a_proxy(retriever: BaseRetriever) -> None:
    answer, times = heard(retriever)
    assert {stage: time.source for stage, time in times.items()} == {"search": CALLBACKS, "embed": PROXIES}
    assert ids(answer, "search")[0] == "d09"
    assert ids(answer, "search") == ids(answer, "inject")
    assert len(ids(answer, "search")) == 4


def test_a_compressor_within_a_retriever_reranks_what_the_inner_one_found(retriever: BaseRetriever) -> None:
    answer, times = heard(Compressing(inner=retriever, compressor=Backwards()))
    assert [*times] == ["search", "embed", "rerank"]
    assert len(ids(answer, "search")) == 4
    assert ids(answer, "rerank") == ids(answer, "search")[::-1][:2]
    assert answer.usage["rerank"] == {"requests": 1, "docs_scored": 4}
    assert times["rerank"].source == PROXIES


def chain_of(retriever: BaseRetriever, model: Any) -> Any:
    def rerank(documents: list[Document]) -> list[Document]:
        return documents[::-1]

    prompt = ChatPromptTemplate.from_template("Answer from this:\n{context}\n\n{question}")
    found = RunnableParallel(context=retriever | RunnableLambda(rerank), question=RunnablePassthrough())
    return found | RunnablePassthrough.assign(answer=prompt | model | StrOutputParser())


def test_a_chain_shows_all_its_stages_and_what_the_framework_takes(retriever: BaseRetriever) -> None:
    message = AIMessage("twice a month", usage_metadata={"input_tokens": 70, "output_tokens": 3, "total_tokens": 73})
    answer, times = heard(chain_of(retriever, GenericFakeChatModel(messages=iter([message] * 2))))
    assert {*times} == {"embed", "search", "rerank", "inject", "generate", "other:LangChain", "other:StrOutputParser"}
    assert ids(answer, "rerank") == ids(answer, "search")[::-1]
    assert answer.generated is not None
    assert answer.generated.text == "twice a month"
    assert answer.usage["generate"] == {"requests": 1, "input_tokens": 70, "output_tokens": 3}
    assert answer.prompt.startswith("Human: Answer from this:")


def test_a_function_that_uses_langchain_is_watched_as_well(retriever: BaseRetriever) -> None:
    asked = (
        Pipeline("prod", app=lambda question: [each.page_content for each in retriever.invoke(question)]).parts().app
    )
    assert asked is not None
    assert asked.kind == "callable"
    heard_spans = asked.hear(QUERY, watched=True).spans
    assert [(span.name, span.source) for span in heard_spans] == [("search", CALLBACKS), ("embed", PROXIES)]


def test_a_proxy_is_put_once_and_changes_nothing(retriever: BaseRetriever) -> None:
    before = Hashing().embed_query("tides")
    heard(retriever)
    once = vars(Hashing)["embed_query"]
    heard(retriever)
    assert vars(Hashing)["embed_query"] is once
    assert Hashing().embed_query("tides") == before
    assert once.__name__ == "embed_query"


def test_an_error_in_a_step_ends_its_spans_and_is_the_questions(retriever: BaseRetriever) -> None:
    def broken(documents: list[Document]) -> None:
        raise ValueError("no such field")

    with pytest.raises(BadInput, match="question 'q1': ValueError: no such field"):
        heard(retriever | RunnableLambda(broken))


def test_which_key_takes_the_question_is_guessed_or_named() -> None:
    prompt = ChatPromptTemplate.from_template("{style} {query}") | RunnableLambda(lambda prompt: prompt.to_string())
    assert heard(prompt, arguments={"style": "Briefly:"})[0].generated.text == f"Human: Briefly: {QUERY.text}"  # type: ignore[union-attr]
    odd = ChatPromptTemplate.from_template("{one} {other}") | RunnableLambda(lambda prompt: prompt.to_string())
    assert heard(odd, question="one", arguments={"other": "please"})[0].generated is not None
    with pytest.raises(BadInput, match="RunnableSequence takes one, other; say with question which of them"):
        heard(odd)
