"""One query asked live with every stage listened to, and what another outcome of a stage would have led to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ragprof.core import Answer, Generated, Query, Ranking, StageName, Vectors
from ragprof.record.audit.checks import NO_EFFECT, Effect, ids
from ragprof.record.pipeline import Parts
from ragprof.record.query import ask, within_window
from ragprof.record.rankings import answer_of

ASKED_APART = Generated("", {}, None, "stop")
"""In the place of an answer: a model is slow, so answers are asked for apart, of fewer queries."""


@dataclass(frozen=True, slots=True)
class Live:
    """A query's answer, its vector (None without an embedder), and all that the store returned for it."""

    answer: Answer
    vector: Vectors | None
    found: Ranking

    @property
    def query(self) -> Query:
        return self.answer.query

    @property
    def searched(self) -> Ranking:
        return self.answer.rankings["search"]

    @property
    def final(self) -> Ranking:
        return final_of(self.answer)

    @property
    def injected(self) -> Ranking:
        return self.answer.rankings["inject"]


def ask_live(parts: Parts, query: Query) -> Live:
    """Every stage but the generator, with nothing reused. Raises NonFiniteScore where a stage yields NaN."""
    heard: dict[StageName, Any] = {}

    def call(stage: StageName, function: Callable[..., Any], *arguments: Any) -> Any:
        heard[stage] = ASKED_APART if stage == "generate" else function(*arguments)
        return heard[stage]

    answer = ask(parts, query, call)
    return Live(answer, heard["embed"].vectors[0] if "embed" in heard else None, heard["search"].ranking)


def final_of(answer: Answer) -> Ranking:
    """The pipeline's own ranking: the reranker's where there is one."""
    return answer.rankings.get("rerank", answer.rankings["search"])


def effect_of_search(parts: Parts, live: Live, found: Ranking) -> Effect:
    """What another search result leads to; the hops behind it are taken only where its order is another one."""
    if ids(found) == ids(live.searched):
        return NO_EFFECT
    answer = answer_of(parts, live.query, found, parts.reranker)
    return Effect(True, ids(answer.rankings["inject"]) != ids(live.injected), final_of(answer))


def effect_of_rerank(parts: Parts, live: Live, ranking: Ranking) -> Effect:
    """What another order of the candidates leads to."""
    if ids(ranking) == ids(live.final):
        return NO_EFFECT
    injected = within_window(parts, live.query, ranking).ranking
    return Effect(True, ids(injected) != ids(live.injected), ranking)
