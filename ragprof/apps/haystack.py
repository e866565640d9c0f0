"""Haystack: a pipeline, watched by its tracing. Needs ragprof[haystack]."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache, wraps
from typing import Any

from ragprof.core import STAGES, AppAnswer
from ragprof.core.errors import BadInput
from ragprof.core.spans import AppSpan, Listener, Marked, listening
from ragprof.core.stages import App
from ragprof.parts.arguments import fresh
from ragprof.parts.hits import member, value_at
from ragprof.parts.returned import alone, answer_of, documents_of, text_of, units_of

TRACING = "the tracing of Haystack"
MACHINERY = "Haystack"
"""The name of what only holds the components together: the pipeline itself."""
QUESTIONS = ("query", "question", "text", "prompt")
STAGES_OF: Mapping[str, str] = {
    "embedder": "embed", "retriever": "search", "ranker": "rerank", "promptbuilder": "inject", "generator": "generate",
}  # fmt: skip
"""How the class of a component ends, or the name that the pipeline knows it by."""
OUTPUT, CALLBACK = "haystack.component.output", "streaming_callback"


class HaystackApp:
    """`run` of a pipeline. The question goes into every open input that is called query, question or text.

    `question` names the one input instead, as "component.input"; `arguments` are further data, by component.
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
        """Raises BadInput where no input is one for a question."""
        for name, given in (arguments or {}).items():
            if not isinstance(given, Mapping):
                raise BadInput(
                    f"'{name}' is an argument of no component; write arguments by component, as in {{ retriever = "
                    "{ top_k = 5 } }, and a knob as retriever.top_k"
                )
        self._target, self._arguments = target, {name: dict(given) for name, given in (arguments or {}).items()}
        self._documents, self._answer = documents, answer
        self._places = [_place(question)] if question else list(_open(target, self._arguments))
        if not self._places:
            every = [f"{name}.{given}" for name, inputs in target.inputs().items() for given in inputs]
            raise BadInput(
                f"no input of this pipeline is one for a question: name one with question ({', '.join(every)})"
            )

    @staticmethod
    def fits(target: object) -> bool:
        """Whether it is a pipeline of haystack, or a component that holds one."""
        return any(kind.__module__.startswith("haystack.core") and kind.__name__ in ("PipelineBase", "_SuperComponent")
                   for kind in type(target).__mro__)  # fmt: skip

    @property
    def description(self) -> str:
        return f"Haystack {type(self._target).__name__}"

    def load(self) -> None:
        """Load the models of the components, as the pipeline would with its first question."""
        warm_up = getattr(self._target, "warm_up", None)
        if warm_up is not None:
            warm_up()

    def call(self, question: str) -> object:
        data: dict[str, Any] = fresh(self._arguments)
        for component, name in self._places:
            data.setdefault(component, {})[name] = question
        for given in data.values():
            if callable(own := given.get(CALLBACK)):
                given[CALLBACK] = _first_told(own)
        with ExitStack() as put_back:
            for each in self._streaming() if listening() is not None else ():
                own = getattr(each, CALLBACK)
                put_back.callback(setattr, each, CALLBACK, own)
                setattr(each, CALLBACK, _first_told(own))
            return self._target.run(data)

    def _streaming(self) -> Iterator[Any]:
        """The components of the pipeline that call back with every piece of an answer."""
        graph = getattr(self._target, "graph", None)
        components = [] if graph is None else [facts.get("instance") for _, facts in graph.nodes(data=True)]
        return (each for each in components if callable(getattr(each, CALLBACK, None)))

    @staticmethod
    def watched(_listener: Listener, /) -> AbstractContextManager[None]:
        """A tracer of ours in place of the one that is set, which goes back afterwards."""
        return _watched() if "haystack.tracing" in sys.modules else nullcontext()

    def read(self, returned: object) -> AppAnswer | None:
        """As of any app; else what each component gives that nobody takes."""
        if self._documents or self._answer or not isinstance(returned, Mapping):
            return answer_of(returned, documents=self._documents, answer=self._answer)
        outputs = [each for each in returned.values() if isinstance(each, Mapping)]
        found = [some for each in outputs if (some := documents_of(each.get("documents"))) is not None]
        found += [some for each in outputs if (some := documents_of(value_at(each, "answers.0.documents"))) is not None]
        texts = [text for each in outputs if (text := _text(each)) is not None]
        usage = next((units for each in outputs if (units := _usage(each))), {})
        return AppAnswer(found[-1] if found else None, texts[-1] if texts else None, None, usage)


def _first_told(own: Callable[..., Any]) -> Callable[..., Any]:
    """The user's own callback of a stream, whose first call is timed as the first piece of the model's answer."""

    def told() -> None:
        here = listening()
        if here is not None and here[1] is not None and here[1].name == "generate" and here[1].first_ns is None:
            here[1].first_ns = here[0].clock()

    if inspect.iscoroutinefunction(own):

        @wraps(own)
        async def later(*given: Any, **named: Any) -> Any:
            told()
            return await own(*given, **named)

        return later

    @wraps(own)
    def at_once(*given: Any, **named: Any) -> Any:
        told()
        return own(*given, **named)

    return at_once


def _place(written: str) -> tuple[str, str]:
    component, dot, name = written.rpartition(".")
    if not dot:
        raise BadInput(f"question = '{written}' names no input; write component.input, such as retriever.query")
    return component, name


def _open(target: Any, arguments: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Inputs that nothing is connected to and that are called like a question; texts and prompts where they must be."""
    for component, inputs in target.inputs().items():
        for name, facts in inputs.items():
            wanted = name in QUESTIONS[:2] or (name in QUESTIONS and facts.get("is_mandatory"))
            if wanted and name not in arguments.get(component, {}):
                yield component, name


def _text(output: Mapping[str, Any]) -> str | None:
    reply = alone(output.get("replies"))
    answer = value_at(output, "answers.0.data")
    return text_of(reply) if reply is not None else answer if isinstance(answer, str) else None


def _usage(output: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of a generator: in the meta of its reply, or beside it."""
    told = value_at(output, "replies.0.meta.usage") or value_at(output, "meta.0.usage")
    return units_of(told or {})


@contextmanager
def _watched() -> Iterator[None]:
    from haystack import tracing

    found, kind = tracing.tracer.actual_tracer, _tracer_class()
    # Ours is there still where a question that was given up has not ended.
    own = found.own if isinstance(found, kind) else found
    ours = tracing.tracer.actual_tracer = kind(own)
    try:
        yield
    finally:
        if tracing.tracer.actual_tracer is ours:
            tracing.tracer.actual_tracer = own


@cache
def _tracer_class() -> Any:
    from haystack import tracing

    class ComponentSpan(tracing.Span):  # type: ignore[misc]  # its package is not read by mypy
        """A span of ours around one of the tracer that the user has set, if any. Keeps what leaves a component."""

        def __init__(self, span: AppSpan, own: Any) -> None:
            self._span, self._own = span, own

        def set_tag(self, key: str, value: Any) -> None:
            self._own.set_tag(key, value)

        def set_content_tag(self, key: str, value: Any) -> None:
            """The output is kept by reference: Haystack has copied what goes in already, whoever traces it."""
            self._own.set_content_tag(key, value)
            if key != OUTPUT or not isinstance(value, Mapping):
                return
            span = self._span
            if span.name in ("search", "rerank"):
                # Whether these are documents is looked at once the clock has stopped.
                found = value.get("documents")
                span.returned = list(found) if isinstance(found, list) else found
            elif span.name == "inject":
                span.prompt = _prompt(value.get("prompt"))
            elif span.name == "generate":
                span.text, span.usage = _text(value), _usage(value)

        def raw_span(self) -> Any:
            return self._own.raw_span()

        def get_correlation_data_for_logs(self) -> dict[str, Any]:
            return dict(self._own.get_correlation_data_for_logs())

    class ComponentTracer(tracing.Tracer):  # type: ignore[misc]  # its package is not read by mypy
        """Marks every component as a span, within whatever is around it."""

        def __init__(self, own: Any) -> None:
            self.own = own

        @contextmanager
        def trace(self, operation_name: str, tags: Any = None, parent_span: Any = None) -> Iterator[Any]:
            with (
                self.own.trace(operation_name, tags=tags, parent_span=parent_span) as own,
                Marked(_name(operation_name, tags or {}), TRACING) as span,
            ):
                yield ComponentSpan(span, own)

        def current_span(self) -> Any:
            return self.own.current_span()

    return ComponentTracer


def _name(operation: str, tags: Mapping[str, Any]) -> str:
    """The stage of a component, by how its class or its own name ends; else its name."""
    kind, name = str(tags.get("haystack.component.type", "")), str(tags.get("haystack.component.name", ""))
    if not operation.startswith("haystack.component") or not name:
        return MACHINERY
    if name in STAGES:
        return name
    plain = (kind.lower(), name.lower().replace("_", ""))
    return next((stage for ending, stage in STAGES_OF.items() if any(each.endswith(ending) for each in plain)), name)


def _prompt(given: Any) -> str | None:
    if isinstance(given, list):
        return "\n".join(str(member(each, "text") or "") for each in given)
    return given if isinstance(given, str) else None


plugin: type[App] = HaystackApp
