"""One query through one pipeline: the eight hops. The same function serves the timed and the bare loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ragprof.clock import Clock
from ragprof.core import Answer, EmbeddedQuery, Query, Ranking, Span, StageName, Trace, Usage
from ragprof.errors import NonFiniteScore
from ragprof.ranking import ranked, without
from ragprof.record.pipeline import Parts
from ragprof.stages import Reranker

T = TypeVar("T")


class Call(Protocol):
    """How a stage is called: straight, or between two readings of the clock."""

    def __call__(self, stage: StageName, function: Callable[..., T], /, *arguments: Any) -> T: ...


def ask(parts: Parts, query: Query, call: Call) -> Answer:
    """Embed, search, rerank, inject. Raises NonFiniteScore where a stage yields NaN."""
    rankings: dict[StageName, Ranking] = {}
    usage: dict[StageName, Usage] = {}
    vector = None
    if parts.embedder is not None:
        embedded = call("embed", parts.embedder.embed_queries, [query.text])
        vector, usage["embed"] = embedded.vectors[0], embedded.usage
    found = call("search", parts.store.search, EmbeddedQuery(query, vector), parts.depth)
    ranking, usage["search"] = without(found.ranking, query.own_document), found.usage
    rankings["search"] = ranking
    if parts.reranker is not None:
        ranking, usage["rerank"] = call("rerank", reranked, parts.reranker, query, ranking)
        rankings["rerank"] = ranking
    injected = call("inject", parts.injector.inject, query, ranking)
    rankings["inject"], usage["inject"] = injected.ranking, injected.usage
    return Answer(query, rankings, injected.prompt, usage)


def reranked(reranker: Reranker, query: Query, ranking: Ranking) -> tuple[Ranking, Usage]:
    """The candidates in the reranker's order. Ties are settled where all ties are."""
    docs = [item.doc for item in ranking]
    scored = reranker.score(query, docs)
    return ranked(zip(docs, one_each(scored.scores, docs), strict=True)), scored.usage


def one_each(scores: Sequence[float], docs: Sequence[object]) -> Sequence[float]:
    """The same scores. Raises NonFiniteScore where some document has none."""
    if len(scores) != len(docs):
        raise NonFiniteScore(f"the reranker gave {len(scores)} scores for {len(docs)} documents")
    return scores


def bare(_stage: StageName, function: Callable[..., T], *arguments: Any) -> T:
    """Call a stage without measuring it."""
    return function(*arguments)


def traced(parts: Parts, query: Query, clock: Clock) -> tuple[Answer, Trace]:
    """`ask` with a span around each stage and one around the whole."""
    spans: list[Span] = []

    def call(stage: StageName, function: Callable[..., T], *arguments: Any) -> T:
        start = clock()
        result = function(*arguments)
        spans.append(Span(stage, start, clock() - start))
        return result

    start = clock()
    answer = ask(parts, query, call)
    return answer, Trace(query.query_id, tuple(spans), start, clock() - start)
