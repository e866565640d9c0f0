"""One query through one pipeline: the eight hops. The same function serves the timed and the bare loop."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np

from ragprof.core import Answer, EmbeddedQuery, Injected, Query, Ranking, Span, StageName, Trace, Usage, Vectors, cores
from ragprof.core.caches import sound, unknown_rows
from ragprof.core.clock import Clock, exclude, excluded_ns
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.core.ranking import ranked, without
from ragprof.core.reasoning import apart
from ragprof.core.stages import Embedder, Reranker, WordEmbedder
from ragprof.record.pipeline import Parts

T = TypeVar("T")
SHOWN = 80


class Call(Protocol):
    """How a stage is called: straight, or between two readings of the clock."""

    def __call__(self, stage: StageName, function: Callable[..., T], /, *arguments: Any) -> T: ...


def ask(parts: Parts, query: Query, call: Call) -> Answer:
    """Embed, search, rerank, inject, generate; an app is asked whole.

    Raises NonFiniteScore where a stage yields NaN, and AppFailed.
    """
    if parts.app is not None:
        return parts.app.answer(query)
    rankings: dict[StageName, Ranking] = {}
    usage: dict[StageName, Usage] = {}
    vector = None
    if parts.embedder is not None:
        embedded = call("embed", parts.embedder.embed_queries, [query.text])
        vector, usage["embed"] = trusted(embedded.vectors, [query.text], parts.embedder)[0], embedded.usage
    found = call("search", parts.store.search, EmbeddedQuery(query, vector), parts.depth)
    ranking, usage["search"] = without(found.ranking, query.own_document), found.usage
    rankings["search"] = ranking
    if parts.reranker is not None:
        ranking, usage["rerank"] = call("rerank", reranked, parts.reranker, query, ranking)
        rankings["rerank"] = ranking
    injected = call("inject", within_window, parts, query, ranking)
    rankings["inject"], usage["inject"] = injected.ranking, injected.usage
    generated = None
    if parts.generator is not None:
        generated = apart(call("generate", parts.generator.generate, injected.prompt))
        usage["generate"] = generated.usage
    return Answer(query, rankings, injected.prompt, usage, generated)


def within_window(parts: Parts, query: Query, ranking: Ranking) -> Injected:
    """The prompt, with as few of the lowest ranked chunks left out as its generator's window asks for.

    Usage then counts `docs_dropped`. Raises BadInput where not even the prompt without chunks fits.
    """
    injected = parts.injector.inject(query, ranking)
    generator = parts.generator
    if generator is None or generator.context_tokens is None:
        return injected
    room, dropped = generator.context_tokens - generator.max_new_tokens, 0
    while generator.count_tokens(injected.prompt) > room:
        if not injected.ranking:
            raise BadInput(
                f"the prompt of query '{query.query_id}' takes {generator.count_tokens(injected.prompt):,} tokens "
                f"without any chunk, and the model's window of {generator.context_tokens:,} leaves {room:,} beside an "
                f"answer of {generator.max_new_tokens:,}; shorten the question or the template, or use another model"
            )
        dropped += 1
        kept = {item.doc.doc_id for item in injected.ranking}
        inside = [item for item in ranking if item.doc.doc_id in kept]
        injected = parts.injector.inject(query, tuple(inside[:-1]))
    return replace(injected, usage={**injected.usage, "docs_dropped": dropped})


def reranked(reranker: Reranker, query: Query, ranking: Ranking) -> tuple[Ranking, Usage]:
    """The candidates in the reranker's order. Ties are settled where all ties are."""
    docs = [item.doc for item in ranking]
    scored = reranker.score(query, docs)
    return ranked(zip(docs, one_each(scored.scores, docs), strict=True)), scored.usage


def trusted(vectors: Vectors, texts: Sequence[str], embedder: Embedder) -> Vectors:
    """The vectors of these texts as float32. Raises NonFiniteScore for NaN, infinity, and zeros all through.

    A vector of zeros is as far from everything as from anything: what it finds is the order of the store. It stays only
    where the embedder says that it knows no word of such a text.
    """
    if len(vectors) != len(texts):
        raise NonFiniteScore(f"the embedder gave {counted(len(vectors), 'vector')} for {counted(len(texts), 'text')}")
    right = sound(vectors)
    if may_know_nothing(embedder):
        right |= unknown_rows(vectors)
    if not right.all():
        text = texts[int(np.argmin(right))]
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        fault = "a vector of zeros" if np.isfinite(vectors).all() else "NaN or infinity"
        raise NonFiniteScore(f"the embedder returned {fault}; no ranking could be trusted. The text: {shown!r}")
    return np.ascontiguousarray(vectors, np.float32)


def may_know_nothing(embedder: Embedder) -> bool:
    """Whether a vector of zeros is no fault of this embedder."""
    return isinstance(embedder, WordEmbedder) and embedder.zeros_are_unknown


def one_each(scores: Sequence[float], docs: Sequence[object]) -> Sequence[float]:
    """The same scores. Raises NonFiniteScore where some document has none."""
    if len(scores) != len(docs):
        raise NonFiniteScore(f"the reranker gave {counted(len(scores), 'score')} for {counted(len(docs), 'document')}")
    return scores


def bare(_stage: StageName, function: Callable[..., T], *arguments: Any) -> T:
    """Call a stage without measuring it."""
    return function(*arguments)


def unmeasured(parts: Parts, query: Query, clock: Clock) -> tuple[int, int]:
    """Ask without instruments; when it began, and how long it took, in ns. Of an app its own time alone counts."""
    if parts.app is not None:
        heard = parts.app.hear(query, clock, watched=False)
        return heard.start_ns, heard.end_ns - heard.start_ns
    start, apart = clock(), excluded_ns()
    ask(parts, query, bare)
    return start, clock() - start - (excluded_ns() - apart)


def traced(parts: Parts, query: Query, clock: Clock, *, read: Container[str] = ()) -> tuple[Answer, Trace]:
    """`ask` with a span around each stage and one around the whole; what a stage `excluded` is in none of them.

    What the cores did is read around the stages named in `read`, and around the whole where "query" is one of them.
    Readings are in no duration.
    """
    if parts.app is not None:
        return parts.app.traced(query, clock, read_cores="query" in read)
    spans: list[Span] = []
    meter = cores.meter()

    def call(stage: StageName, function: Callable[..., T], *arguments: Any) -> T:
        if stage not in read:
            start, apart = clock(), excluded_ns()
            result = function(*arguments)
            spans.append(Span(stage, start, clock() - start - (excluded_ns() - apart)))
            return result
        reached, before = clock(), meter.of_process()
        start, apart = clock(), excluded_ns()
        result = function(*arguments)
        end = clock()
        duration, added = end - start - (excluded_ns() - apart), meter.of_process().since(before)
        spans.append(Span(stage, start, duration, added))
        exclude(start - reached + clock() - end)
        return result

    before = meter.of_process() if "query" in read else cores.NOTHING
    start, apart = clock(), excluded_ns()
    answer = ask(parts, query, call)
    duration = clock() - start - (excluded_ns() - apart)
    added = meter.of_process().since(before) if "query" in read else cores.NOTHING
    return answer, Trace(query.query_id, tuple(spans), start, duration, added)
