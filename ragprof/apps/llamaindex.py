"""LlamaIndex: a query engine, a chat engine or a retriever, watched by its dispatcher. Needs ragprof[llamaindex]."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from inspect import BoundArguments
from typing import Any

from ragprof.core import AppAnswer
from ragprof.core.spans import AppSpan, Listener
from ragprof.core.stages import App
from ragprof.parts.arguments import fresh
from ragprof.parts.hits import member, value_at
from ragprof.parts.returned import answer_of, joined, text_of, units_of

DISPATCHER = "the dispatcher of LlamaIndex"
MACHINERY = "LlamaIndex"
"""The name of what only holds the stages together: query engines, synthesizers."""
METHODS: Mapping[str, str] = {"BaseQueryEngine": "query", "BaseChatEngine": "chat", "BaseRetriever": "retrieve"}
STAGES_OF: Mapping[str, str] = {
    "BaseEmbedding": "embed", "BaseSparseEmbedding": "embed", "BaseRetriever": "search",
    "BaseNodePostprocessor": "rerank", "BaseLLM": "generate",
}  # fmt: skip
PACKAGE = "llama_index"
TOLD = ("raw.usage", "additional_kwargs", "message.additional_kwargs", "raw")
"""Where a model's response may say how many tokens there were."""
PIECES = frozenset({"LLMChatInProgressEvent", "LLMCompletionInProgressEvent"})
ENDS = frozenset({"LLMChatEndEvent", "LLMCompletionEndEvent"})
"""Events of the dispatcher: a piece of an answer came, and all of it is there."""


class LlamaIndexApp:
    """`query`, `chat` or `retrieve` of the target, with the question; `arguments` are given beside it.

    A response that streams is run to its end: before that its model is not even asked.
    """

    identity = None

    def __init__(
        self,
        target: Any,
        arguments: Mapping[str, Any] | None = None,
        documents: str | None = None,
        answer: str | None = None,
    ) -> None:
        self._target, self._arguments = target, dict(arguments or {})
        self._documents, self._answer = documents, answer
        self._method = next(METHODS[base] for base in _bases(target) if base in METHODS)

    @staticmethod
    def fits(target: object) -> bool:
        """Whether it is a query engine, a chat engine or a retriever of llama_index."""
        return any(base in METHODS for base in _bases(target))

    @property
    def description(self) -> str:
        return f"LlamaIndex {type(self._target).__name__}"

    def load(self) -> None:
        """Nothing to load."""

    def call(self, question: str) -> object:
        returned = getattr(self._target, self._method)(question, **fresh(self._arguments))
        pieces = member(returned, "response_gen")
        if pieces is None:
            return returned
        return {"answer": joined(pieces), "source_nodes": member(returned, "source_nodes") or []}

    @staticmethod
    def watched(listener: Listener, /) -> AbstractContextManager[None]:
        """A span handler and an event handler at the root of all dispatchers."""
        return _watched(listener) if "llama_index_instrumentation" in sys.modules else nullcontext()

    def read(self, returned: object) -> AppAnswer | None:
        return answer_of(returned, documents=self._documents, answer=self._answer)


def _bases(target: object) -> Iterator[str]:
    """Names of the classes of llama_index that it is of."""
    return (kind.__name__ for kind in type(target).__mro__ if kind.__module__.startswith(PACKAGE))


@contextmanager
def _watched(listener: Listener) -> Iterator[None]:
    from llama_index_instrumentation import get_dispatcher

    root, handler = get_dispatcher(), _handler_class()(listener)
    pieces = _pieces_class()(handler.told)
    root.add_span_handler(handler)
    root.add_event_handler(pieces)
    try:
        yield
    finally:
        root.span_handlers[:] = [each for each in root.span_handlers if each is not handler]
        root.event_handlers[:] = [each for each in root.event_handlers if each is not pieces]


@cache
def _pieces_class() -> Any:
    from llama_index_instrumentation.event_handlers import BaseEventHandler

    class StreamedPieces(BaseEventHandler):  # type: ignore[misc]  # its package is not read by mypy
        """Times the first piece of a model's answer; a stream's span ends with its last one, and so does what it is in.

        The dispatcher ends the span of a call that streams as soon as there is something to be streamed from.
        """

        def __init__(self, told: tuple[Listener, dict[str, AppSpan]]) -> None:
            super().__init__()
            self._told = told

        def handle(self, event: Any, **_: Any) -> None:
            name = type(event).__name__
            listener, spans = self._told
            span = spans.get(event.span_id or "") if name in PIECES or name in ENDS else None
            if span is None or not listener.is_open:
                return
            at_ns = listener.clock()
            if name in PIECES and span.first_ns is None:
                span.first_ns = at_ns
            if name in ENDS and span.text is None:
                _describe(span, event.response)
            around: AppSpan | None = span
            while around is not None:
                around.end_ns = None if around.end_ns is None else at_ns
                around = around.parent

    return StreamedPieces


@cache
def _handler_class() -> Any:
    from llama_index_instrumentation.span.base import BaseSpan
    from llama_index_instrumentation.span_handlers import BaseSpanHandler

    class DispatchedSpans(BaseSpanHandler[BaseSpan]):  # type: ignore[misc]  # its package is not read by mypy
        """Writes every span of the dispatcher into a listener. Keeps none of LlamaIndex's own."""

        def __init__(self, listener: Listener) -> None:
            super().__init__()
            self._told = (listener, dict[str, AppSpan]())

        @property
        def told(self) -> tuple[Listener, dict[str, AppSpan]]:
            """The listener, and the spans by LlamaIndex's own ids."""
            return self._told

        def new_span(
            self, id_: str, bound_args: BoundArguments, instance: Any = None, parent_span_id: str | None = None,
            tags: Any = None, **_: Any,
        ) -> None:  # fmt: skip
            listener, spans = self._told
            stage = next((STAGES_OF[base] for base in _bases(instance) if base in STAGES_OF), None)
            span = listener.begin(stage or _plain(instance), DISPATCHER, spans.get(parent_span_id or ""))
            spans[id_] = span
            if stage == "generate":
                span.prompt = _prompt(bound_args.arguments)
            nodes = bound_args.arguments.get("nodes")
            if stage == "rerank" and nodes is not None:
                span.candidates = len(nodes)

        def prepare_to_exit_span(
            self, id_: str, bound_args: BoundArguments, instance: Any = None, result: Any = None, **_: Any
        ) -> None:
            listener, spans = self._told
            if (span := spans.get(id_)) is None:
                return
            listener.end(span)
            if span.name in ("search", "rerank"):
                # Whether these are documents is looked at once the clock has stopped.
                span.returned = list(result) if isinstance(result, list) else result
            elif span.name == "generate":
                _describe(span, result)

        def prepare_to_drop_span(
            self, id_: str, bound_args: BoundArguments, instance: Any = None, err: BaseException | None = None, **_: Any
        ) -> None:
            listener, spans = self._told
            if (span := spans.get(id_)) is not None:
                listener.end(span)

    return DispatchedSpans


def _describe(span: AppSpan, response: Any) -> None:
    """What a model's response says: its text, and how many tokens there were."""
    found = (units_of(told) for path in TOLD if (told := value_at(response, path)) is not None)
    span.text, span.usage = text_of(response), next((units for units in found if units), {})


def _plain(instance: object) -> str:
    """The name of a class of the user's own, or that of the machinery."""
    kind = type(instance)
    return MACHINERY if instance is None or kind.__module__.startswith(PACKAGE) else kind.__name__


def _prompt(arguments: Mapping[str, Any]) -> str | None:
    """What a model is called with, as text."""
    messages = arguments.get("messages")
    if messages:
        return "\n".join(str(member(each, "content") or "") for each in messages)
    prompt = arguments.get("prompt")
    return prompt if isinstance(prompt, str) else None


plugin: type[App] = LlamaIndexApp
