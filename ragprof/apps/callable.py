"""Any function or object that is called with a question, async ones and generators too."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ragprof.core import AppAnswer
from ragprof.core.errors import BadInput
from ragprof.core.spans import Listener
from ragprof.core.stages import App
from ragprof.parts.arguments import fresh
from ragprof.parts.returned import answer_of


class CallableApp:
    """`target(question, **arguments)`; with `question`, the question goes by that name.

    `documents` and `answer` are dotted paths to both in what it returns, where these stand under no usual name.
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
        """Raises BadInput where the target does not take what it would be given."""
        self._target, self._question, self._arguments = target, question, dict(arguments or {})
        self._documents, self._answer = documents, answer
        name = getattr(target, "__name__", type(target).__name__)
        try:
            signature = inspect.signature(target)
        except (TypeError, ValueError):  # it tells nobody what it takes, as some that are written in C
            return
        try:
            signature.bind(*([] if question else ["?"]), **self._named("?"))
        except TypeError:
            given = ", ".join([*([] if question else ["question"]), *self._named("?")])
            raise BadInput(
                f"app '{name}' takes {signature}; it is called with ({given}): name what the question goes by with "
                "question, and others with arguments"
            ) from None

    @staticmethod
    def fits(target: object) -> bool:
        """Whether it can be called."""
        return callable(target)

    @property
    def description(self) -> str:
        return "callable"

    def load(self) -> None:
        """Nothing to load."""

    def call(self, question: str) -> object:
        return self._target(*([] if self._question else [question]), **self._named(question))

    @staticmethod
    def watched(_listener: Listener, /) -> AbstractContextManager[None]:
        """No framework, no hooks."""
        return nullcontext()

    def read(self, returned: object) -> AppAnswer | None:
        return answer_of(returned, documents=self._documents, answer=self._answer)

    def _named(self, question: str) -> dict[str, Any]:
        return {**({self._question: question} if self._question else {}), **fresh(self._arguments)}


plugin: type[App] = CallableApp
