"""LangChain: a runnable, a retriever, a chain or a graph, watched by callbacks. Needs ragprof[langchain]."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any
from uuid import UUID

from ragprof.core import STAGES, AppAnswer
from ragprof.core.errors import BadInput
from ragprof.core.spans import AppSpan, Listener, Marked
from ragprof.core.stages import App
from ragprof.parts.arguments import fresh
from ragprof.parts.hits import member
from ragprof.parts.returned import answer_of, text_of, units_of

CALLBACKS, PROXIES = "callbacks of LangChain", "proxies around embeddings and compressors of LangChain"
QUESTIONS = ("question", "input", "query", "q")
MESSAGES = "messages"
OURS = "__ragprof_proxy__"
MACHINERY = "LangChain"
"""The name of runs that only hold others together: sequences, branches, pass-throughs."""


class LangChainApp:
    """`target.invoke(question)`, or with a mapping where the runnable takes one: `question` is the key of it.

    Retrievers, prompts and models are runs of their own, and so is a step that is named like a stage. Embeddings and
    document compressors have no runs: the call of each is timed by a proxy.
    """

    identity = None

    def __init__(
        self,
        target: Any,
        question: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        documents: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Raises BadInput where the runnable takes a mapping and nobody says by which key the question goes."""
        self._target, self._arguments = target, dict(arguments or {})
        self._documents, self._answer = documents, answer
        self._question = question or _key_of(target, self._arguments)

    @staticmethod
    def fits(target: object) -> bool:
        """Whether it is a runnable of langchain_core."""
        return any((kind.__module__, kind.__name__) == ("langchain_core.runnables.base", "Runnable")
                   for kind in type(target).__mro__)  # fmt: skip

    @property
    def description(self) -> str:
        return f"LangChain {type(self._target).__name__}"

    def load(self) -> None:
        """Nothing to load."""

    def call(self, question: str) -> object:
        if self._question is None:
            return self._target.invoke(question)
        asked: Any = [("user", question)] if self._question == MESSAGES else question
        return self._target.invoke({**fresh(self._arguments), self._question: asked})

    @staticmethod
    def watched(listener: Listener, /) -> AbstractContextManager[None]:
        """Callbacks for every run of the context, and proxies around what has no runs."""
        return _watched(listener) if "langchain_core" in sys.modules else nullcontext()

    def read(self, returned: object) -> AppAnswer | None:
        """As of any app; of a graph's state the last message is the answer."""
        read = answer_of(returned, documents=self._documents, answer=self._answer)
        messages = returned.get(MESSAGES) if isinstance(returned, Mapping) else None
        if isinstance(messages, list) and messages and (read is None or read.text is None):
            documents = None if read is None else read.documents
            return AppAnswer(documents, text_of(messages[-1]))
        return read


def _key_of(target: Any, arguments: Mapping[str, Any]) -> str | None:
    """The key that the question goes by; None where the runnable takes a text."""
    schema = target.get_input_jsonschema()
    keys = list(schema.get("properties", ())) if schema.get("type") == "object" else []
    if not keys:
        if arguments:
            raise BadInput(
                f"{type(target).__name__} takes no mapping that {', '.join(arguments)} could be in; for a knob give a "
                "dotted path to what it sets (settings.reranker), for a key of a mapping say with question by which "
                "key the question goes"
            )
        return None
    known = [key for key in (*QUESTIONS, MESSAGES) if key in keys]
    left = [key for key in keys if key not in arguments]
    if known or len(left) == 1:
        return known[0] if known else left[0]
    raise BadInput(f"{type(target).__name__} takes {', '.join(keys)}; say with question which of them is the question")


@cache
def _handler_variable() -> ContextVar[Any]:
    """Where LangChain looks for our handler, once for the process."""
    from langchain_core.tracers.context import register_configure_hook

    variable: ContextVar[Any] = ContextVar("ragprof_handler", default=None)
    register_configure_hook(variable, inheritable=True)
    return variable


@contextmanager
def _watched(listener: Listener) -> Iterator[None]:
    for kind, method, stage in _without_runs():
        _put_proxy(kind, method, stage)
    variable = _handler_variable()
    token = variable.set(_handler_class()(listener))
    try:
        yield
    finally:
        variable.reset(token)


def _without_runs() -> Iterator[tuple[type, str, str]]:
    """Methods of embeddings and compressors, where a class has one of its own: they are no runs of LangChain."""
    from langchain_core.documents.compressor import BaseDocumentCompressor
    from langchain_core.embeddings import Embeddings

    bases: tuple[tuple[type, tuple[str, ...], str], ...] = (
        (Embeddings, ("embed_query", "aembed_query"), "embed"),
        (BaseDocumentCompressor, ("compress_documents", "acompress_documents"), "rerank"),
    )
    for base, methods, stage in bases:
        for kind in _subclasses(base):
            yield from ((kind, method, stage) for method in methods if method in vars(kind))


def _subclasses(base: type) -> Iterator[type]:
    kinds: list[type] = base.__subclasses__()
    for kind in kinds:
        yield kind
        yield from _subclasses(kind)


def _put_proxy(kind: type, method: str, stage: str) -> None:
    """Once for each class; it stays, since a question that was given up may be within it, and is idle where nobody
    listens."""
    own: Callable[..., Any] = vars(kind)[method]
    if not hasattr(own, OURS):
        proxy = _proxy(own, stage, is_async=method.startswith("a"))
        setattr(proxy, OURS, True)
        setattr(kind, method, proxy)


def _proxy(own: Callable[..., Any], stage: str, *, is_async: bool) -> Callable[..., Any]:
    """The same call in a span; a compressor's documents are counted as they go in and kept as they come out."""

    def noted(span: AppSpan, given: Sequence[Any], returned: Any) -> Any:
        if stage == "rerank":
            span.documents = returned
            span.candidates = len(given[0]) if given and isinstance(given[0], Sequence) else None
        return returned

    if is_async:

        @wraps(own)
        async def later(self: Any, *given: Any, **named: Any) -> Any:
            with Marked(stage, PROXIES) as span:
                return noted(span, given or tuple(named.values()), await own(self, *given, **named))

        return later

    @wraps(own)
    def at_once(self: Any, *given: Any, **named: Any) -> Any:
        with Marked(stage, PROXIES) as span:
            return noted(span, given or tuple(named.values()), own(self, *given, **named))

    return at_once


@cache
def _handler_class() -> type:
    from langchain_core.callbacks import BaseCallbackHandler

    class RunListener(BaseCallbackHandler):  # type: ignore[misc]  # its package is not read by mypy
        """Writes every run as a span."""

        run_inline = True

        def __init__(self, listener: Listener) -> None:
            self._listener = listener
            self._runs: dict[UUID, AppSpan] = {}

        def _begin(self, name: str, run_id: UUID, parent_run_id: UUID | None) -> AppSpan:
            parent = None if parent_run_id is None else self._runs.get(parent_run_id)
            span = self._runs[run_id] = self._listener.begin(name, CALLBACKS, parent)
            return span

        def _end(self, run_id: UUID) -> AppSpan | None:
            span = self._runs.get(run_id)
            if span is not None:
                self._listener.end(span)
            return span

        def on_chain_start(
            self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **named: Any
        ) -> None:
            name = str(named.get("name") or "chain")
            stage = "inject" if named.get("run_type") == "prompt" else _plain(name)
            self._begin(stage, run_id, parent_run_id)

        def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
            span = self._end(run_id)
            if span is None or span.name not in STAGES:
                return
            to_text = getattr(outputs, "to_string", None)
            if span.name == "inject" and to_text is not None:
                span.prompt = to_text()
            else:
                span.returned = outputs

        def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
            self._end(run_id)

        def on_retriever_start(
            self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any
        ) -> None:
            self._begin("search", run_id, parent_run_id)

        def on_retriever_end(self, documents: Any, *, run_id: UUID, **_: Any) -> None:
            if (span := self._end(run_id)) is not None:
                span.documents = documents

        def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
            self._end(run_id)

        def on_llm_start(
            self, serialized: Any, prompts: list[str], *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any
        ) -> None:
            self._begin("generate", run_id, parent_run_id).prompt = "\n".join(prompts)

        def on_chat_model_start(
            self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any
        ) -> None:
            texts = [text for some in messages for each in some if (text := text_of(each)) is not None]
            self._begin("generate", run_id, parent_run_id).prompt = "\n".join(texts)

        def on_llm_new_token(self, token: str, *, run_id: UUID, **_: Any) -> None:
            span = self._runs.get(run_id)
            if span is not None and span.first_ns is None:
                span.first_ns = self._listener.clock()

        def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
            span = self._end(run_id)
            if span is None:
                return
            first = next((each for some in response.generations for each in some), None)
            span.text = getattr(first, "text", None)
            told = member(member(first, "message"), "usage_metadata") or (response.llm_output or {}).get("token_usage")
            span.usage = units_of(told or {})

        def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
            self._end(run_id)

        def on_tool_start(
            self, serialized: Any, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None, **named: Any
        ) -> None:
            self._begin(
                _plain(str(named.get("name") or (serialized or {}).get("name") or "tool")), run_id, parent_run_id
            )

        def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
            self._end(run_id)

        def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
            self._end(run_id)

    return RunListener


def _plain(name: str) -> str:
    """A step's own name, or that of the machinery around steps."""
    return MACHINERY if name.startswith(("Runnable", "LangGraph", "ChannelWrite")) else name


plugin: type[App] = LangChainApp
