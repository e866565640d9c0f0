"""Spans of a user's own pipeline while a question runs through it: `ragprof.span` and `ragprof.stage` mark them.

Hooks of frameworks write theirs into the same listener. Where nobody listens a mark costs two look-ups and changes
nothing. A span belongs to the question in whose context it began; in a thread that was started without one, to the
question that is being asked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, cast

from ragprof.core import OTHER, STAGES
from ragprof.core.clock import Clock, now_ns
from ragprof.core.plain import line

F = TypeVar("F", bound=Callable[..., Any])
NAME_CHARACTERS, UNNAMED = 80, "(no name)"
NUMBER = re.compile(r"(?=[A-Fa-f-]*\d)[0-9A-Fa-f-]{8,}")
"""An id in a name, of which no two are equal."""
MARK = "ragprof.span"
"""The source of spans that the user's own code marks."""


@dataclass(eq=False, slots=True)
class AppSpan:
    """One piece of work in a user's own pipeline. Times in ns; `end_ns` is None until it has ended.

    `documents` is what left it, best first, as the framework has it; `candidates` how many went in. `returned` is what
    a marked function returned. `first_ns` is when the first piece of an answer came. `source` names who told of it.
    """

    name: str
    source: str = MARK
    start_ns: int = 0
    end_ns: int | None = None
    parent: AppSpan | None = None
    documents: Any = None
    candidates: int | None = None
    prompt: str | None = None
    text: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    first_ns: int | None = None
    returned: Any = None

    @property
    def stage(self) -> str:
        """One of STAGES, or OTHER and the name."""
        if self.name in STAGES:
            return self.name
        name = NUMBER.sub("#", line(self.name)[:NAME_CHARACTERS]).removeprefix(OTHER)
        return f"{OTHER}{name or UNNAMED}"


class Listener:
    """Collects the spans of one question; what comes after it was closed is not heard.

    `first_ns` is when the first piece of the app's own answer came, where it streams.
    """

    def __init__(self, clock: Clock = now_ns) -> None:
        self.spans: list[AppSpan] = []
        self.first_ns: int | None = None
        self.clock, self.is_open = clock, True

    def begin(self, name: str, source: str, parent: AppSpan | None = None) -> AppSpan:
        """A span that begins now."""
        begun = AppSpan(name, source, parent=parent)
        if self.is_open:
            self.spans.append(begun)
        begun.start_ns = self.clock()
        return begun

    def end(self, span: AppSpan) -> None:
        """Ends it now; what goes on behind the answer has ended with the question."""
        if self.is_open:
            span.end_ns = self.clock()

    def close(self) -> Sequence[AppSpan]:
        """All spans that have begun; one that has not ended by now ends now."""
        self.is_open, at_ns = False, self.clock()
        for span in self.spans:
            if span.end_ns is None:
                span.end_ns = at_ns
        return self.spans


_within: ContextVar[tuple[Listener, AppSpan | None] | None] = ContextVar("within", default=None)
_asked: list[Listener] = []
"""The listener of the question that is being asked, for threads that were started without a context."""


def listening() -> tuple[Listener, AppSpan | None] | None:
    """Who listens here, and the marked span around this place; None where nobody does."""
    here = _within.get()
    if here is None:
        return next(((each, None) for each in reversed(_asked) if each.is_open), None)
    return here if here[0].is_open else None


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Let all spans that begin within, in this context or in a thread without one, go to this listener."""
    token = _within.set((listener, None))
    _asked.append(listener)
    try:
        yield
    finally:
        _asked.remove(listener)
        _within.reset(token)


class Marked:
    """A mark around a block of code, which lies within the mark around it whoever made that."""

    __slots__ = ("_listener", "_name", "_source", "_span", "_token")

    def __init__(self, name: str, source: str = MARK) -> None:
        self._name, self._source = name, source
        self._listener: Listener | None = None
        self._token: Token[tuple[Listener, AppSpan | None] | None] | None = None

    def __enter__(self) -> AppSpan:
        here = listening()
        if here is None:
            self._span = AppSpan(self._name)
            return self._span
        self._listener, parent = here
        self._span = self._listener.begin(self._name, self._source, parent)
        self._token = _within.set((self._listener, self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None and self._token is not None:
            self._listener.end(self._span)
            # A generator that is closed in another context than it was begun in, or a mark that was left before.
            with suppress(ValueError, RuntimeError):
                _within.reset(self._token)


def span(name: str) -> Marked:
    """Mark a block of your own pipeline: `with ragprof.span("rerank") as marked:`.

    The name is a stage (embed, search, rerank, inject, generate) or any other word, which is shown as `other:word`.
    Set `marked.documents` to what left a search or a reranker, best first, so that it can be judged there; `prompt`,
    `text` and `usage` of a model call may be set too. Outside a profile this does nothing.
    """
    return Marked(name)


def stage(name: str) -> Callable[[F], F]:
    """Mark a function of your own pipeline, async ones and generators too: `@ragprof.stage("search")`.

    What a function of a stage that ranks returns is taken as its documents; the first piece of a generator is timed.
    """

    def marked(function: F) -> F:
        return cast(F, _wrapper_of(function, name))

    return marked


def _wrapper_of(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def each_later(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            with span(name) as here:
                async for piece in function(*arguments, **named):
                    here.first_ns = here.first_ns or now_ns()
                    yield piece

        return each_later
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def each(*arguments: Any, **named: Any) -> Iterator[Any]:
            with span(name) as here:
                for piece in function(*arguments, **named):
                    here.first_ns = here.first_ns or now_ns()
                    yield piece

        return each
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def later(*arguments: Any, **named: Any) -> Any:
            with span(name) as here:
                here.returned = await function(*arguments, **named)
            return here.returned

        return later

    @wraps(function)
    def at_once(*arguments: Any, **named: Any) -> Any:
        with span(name) as here:
            here.returned = function(*arguments, **named)
        return here.returned

    return at_once
