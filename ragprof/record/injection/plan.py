"""What is asked of the generators: questions, pipelines, and the ways in which chunks go into their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ragprof.core import Query
from ragprof.evals import Injection
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Subject
from ragprof.stages import Generator, Injector

OWN = "own"


@dataclass(frozen=True)
class Setting:
    """One way of putting chunks into the prompt.

    `wanted` is how many chunks it asks for, `timed` whether live queries are asked in it too, and `questions` how many
    of the questions are asked in it; None for all.
    """

    name: str
    injector: Injector
    wanted: int
    timed: bool = False
    questions: int | None = None


@dataclass(frozen=True)
class Injecting:
    """A subject whose pipelines all have a generator, what is asked of it, and the settings of each pipeline.

    `queries` have gold answers; `unanswerable` have none in the corpus and are asked in the pipelines' own setting.
    `electricity` is written beside the energy that is measured; the record pass reads nothing in it.
    """

    subject: Subject
    injection: Injection
    queries: tuple[Query, ...]
    unanswerable: tuple[Query, ...]
    settings: Mapping[str, tuple[Setting, ...]]
    own_k: Mapping[str, int]
    electricity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> Subject:
        """The subject with the questions of this study in place of its own."""
        return replace(self.subject, queries=(*self.queries, *self.unanswerable))

    @property
    def generators(self) -> list[Generator]:
        """Each once, in the order of the pipelines."""
        every = {
            id(parts.generator): parts.generator for parts in self.subject.pipelines if parts.generator is not None
        }
        return list(every.values())

    def queries_of(self, setting: Setting) -> Sequence[Query]:
        if setting.name == OWN:
            return (*self.queries, *self.unanswerable)
        return self.queries[: setting.questions]


def with_injector(parts: Parts, setting: Setting) -> Parts:
    """The pipeline as it is in a setting."""
    return replace(parts, injector=setting.injector)
