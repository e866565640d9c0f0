"""A clock that a test moves, and pipelines of callables that take known times by moving it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Query
from ragprof.record.pipeline import Parts, Pipeline

DOCS = tuple(Doc(f"d{number}", "", f"passage {number}", f"d{number}") for number in range(1, 5))
QUESTIONS = tuple(Query(f"q{number}", f"question {number}") for number in range(1, 7))


@dataclass
class HandClock:
    """Stands still but for what `moved` adds and for `per_reading`, the ns that each reading of it takes."""

    per_reading: int = 0
    now: int = 0
    readings: int = field(default=0, init=False)

    def __call__(self) -> int:
        self.readings += 1
        reading = self.now
        self.now += self.per_reading
        return reading

    def moved(self, nanoseconds: int) -> None:
        self.now += nanoseconds


@dataclass
class Workbench:
    """Callables for every stage. Each takes `times[stage]` ns, the first call of each `first` ns more."""

    clock: HandClock
    times: dict[str, int] = field(default_factory=lambda: {"embed": 10, "search": 20, "rerank": 30, "inject": 40})
    first: int = 0
    calls: list[str] = field(default_factory=list)

    def work(self, stage: str) -> None:
        self.clock.moved(self.times[stage] + (self.first if stage not in self.calls else 0))
        self.calls.append(stage)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.work("embed")
        return np.ones((len(texts), 2), np.float32)

    def search(self, question: str, depth: int) -> list[tuple[str, float]]:
        self.work("search")
        return [(doc.doc_id, 1.0 / place) for place, doc in enumerate(DOCS[:depth], start=1)]

    def rerank(self, question: str, texts: Sequence[str]) -> list[float]:
        self.work("rerank")
        return [float(place) for place in range(len(texts))]

    def inject(self, question: str, texts: Sequence[str]) -> str:
        self.work("inject")
        return " ".join([*texts, question])

    def pipeline(self, name: str = "a") -> Parts:
        """All four stages, over DOCS."""
        parts = Pipeline(
            name, embedder=self.embed, store=self.search, depth=4, reranker=self.rerank, injector=self.inject
        ).parts()
        parts.store.add(DOCS, None)
        return parts
