"""What every cell puts into the prompt, by the pipeline's own injector; the same ranking and scores, injected once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, Query, ScoredDoc
from ragprof.stages import Injector

Places = NDArray[np.int64]
Prompt = tuple[int, int, int]
"""prompt tokens, question tokens, context tokens"""


@dataclass
class Prompts:
    """Injects and counts. `tokens` are those of every passage that some prompt holds, by its place."""

    injector: Injector
    docs: Sequence[Doc]
    count: Callable[[str], int]
    tokens: dict[int, int]
    _known: dict[tuple[int, bytes, bytes], tuple[list[int], Prompt]] = field(default_factory=dict)

    def of(self, number: int, query: Query, places: Places, scores: NDArray[np.float64]) -> tuple[list[int], Prompt]:
        """The places injected for one ranking, in the prompt's order, and what the prompt counts."""
        key = (number, places.tobytes(), scores.tobytes())
        if key not in self._known:
            self._known[key] = self._injected(query, places, scores)
        return self._known[key]

    def _injected(self, query: Query, places: Places, scores: NDArray[np.float64]) -> tuple[list[int], Prompt]:
        filled = [(place, score) for place, score in zip(places.tolist(), scores.tolist(), strict=True) if place >= 0]
        known = {self.docs[place].doc_id: place for place, _ in filled}
        done = self.injector.inject(query, tuple(ScoredDoc(self.docs[place], score) for place, score in filled))
        chosen = [known[item.doc.doc_id] for item in done.ranking]
        prompt, question = self.count(done.prompt), self.count(query.text)
        context = min(sum(map(self.tokens_of, chosen)), prompt - question)
        return chosen, (prompt, question, context)

    def tokens_of(self, place: int) -> int:
        if place not in self.tokens:
            self.tokens[place] = self.count(self.docs[place].content)
        return self.tokens[place]


@dataclass(frozen=True)
class InjectedCells:
    """`positions`: 1 for the first passage of the prompt, 0 for one that is not in it, in the places' own layout;
    `prompts`: (orders, sizes, queries, 3) tokens of prompt, question and context."""

    positions: NDArray[np.int16]
    prompts: Places


def injected(
    prompts: Prompts, queries: Sequence[Query], candidates: Places, ranked: tuple[Places, NDArray[np.float64]]
) -> InjectedCells:
    """Inject every cell. `candidates` are the places as the store had them, `ranked` the final rankings."""
    positions = np.zeros(candidates.shape, np.int16)
    counts = np.zeros((*candidates.shape[:-1], 3), np.int64)
    places, scores = ranked
    for index in np.ndindex(candidates.shape[:-1]):
        number = index[-1]
        chosen, counts[index] = prompts.of(number, queries[number], places[index], scores[index])
        for position, place in enumerate(chosen, start=1):
            positions[index][candidates[index] == place] = position
    return InjectedCells(positions, counts)
