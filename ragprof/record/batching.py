"""Dynamic batching: questions that several threads ask at the same moment go through a part together, as a server that
batches does it.

The first to come opens a batch and waits `max_wait_ms` for others, or until it is full; one batch runs at a time, and
while it runs the next one gathers. What a question waited for its batch is no part of the stage's time: `batch_waits`
tells it. A part that fails a batch is asked again question by question, so that a bad question fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import Generic, TypeVar

from ragprof.core import Doc, Embedded, Query, Scored
from ragprof.core.clock import Clock, exclude
from ragprof.core.stages import Embedder, RemoteEmbedder, Reranker, TogetherReranker, WordEmbedder
from ragprof.evals.load import Batching
from ragprof.record.pipeline import Parts

Asked = TypeVar("Asked")
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class BatchWaits:
    """What the questions of one thread have waited for batches so far, and how many shared the last one's batch."""

    waited_ns: int = 0
    together: int = 0


NONE = BatchWaits()
_waits: ContextVar[BatchWaits] = ContextVar("batch_waits", default=NONE)


def batch_waits() -> BatchWaits:
    """Of this thread."""
    return _waits.get()


@dataclass(eq=False)
class _Batch(Generic[Asked, Told]):
    asked: list[Asked] = field(default_factory=list)
    told: Sequence[Told] | None = None
    full: Event = field(default_factory=Event)
    done: Event = field(default_factory=Event)
    begun: int = 0


class Batcher(Generic[Asked, Told]):
    """Calls `work` with what several threads ask; `work` returns one answer each, in order."""

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Told]], limits: Batching, clock: Clock) -> None:
        self._work, self._limits, self._clock = work, limits, clock
        self._open: _Batch[Asked, Told] | None = None
        self._gathering, self._running = Lock(), Lock()

    def ask(self, asked: Asked) -> Told:
        """The answer to one; raises what `work` raises for it alone."""
        came = self._clock()
        with self._gathering:
            leads = self._open is None
            batch = self._open = self._open or _Batch()
            place = len(batch.asked)
            batch.asked.append(asked)
            if len(batch.asked) >= self._limits.max_batch:
                self._open = None
                batch.full.set()
        if leads:
            batch.full.wait(self._limits.max_wait_ms / 1e3)
            with self._running:
                self._run(batch)
        else:
            batch.done.wait()
        waited = batch.begun - came
        _waits.set(BatchWaits(batch_waits().waited_ns + waited, len(batch.asked)))
        exclude(waited)
        if batch.told is not None:
            return batch.told[place]
        with self._running:
            return self._work([asked])[0]

    def _run(self, batch: _Batch[Asked, Told]) -> None:
        with self._gathering:
            if self._open is batch:
                self._open = None
        batch.begun = self._clock()
        try:
            told = self._work(batch.asked)
            batch.told = told if len(told) == len(batch.asked) else None
        except Exception:  # whose question it was is found out one by one
            batch.told = None
        finally:
            batch.done.set()


class BatchingEmbedder:
    """An embedder before which queries gather. Tokens of a batch cannot be told apart: usage counts texts alone."""

    def __init__(self, embedder: Embedder, limits: Batching, clock: Clock) -> None:
        self.inner = embedder
        self._batcher: Batcher[str, Embedded] = Batcher(self._together, limits, clock)

    @property
    def identity(self) -> str | None:
        return self.inner.identity

    @property
    def zeros_are_unknown(self) -> bool:
        return isinstance(self.inner, WordEmbedder) and self.inner.zeros_are_unknown

    def load(self) -> None:
        self.inner.load()

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        return self.inner.embed_documents(texts)

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """One query joins a batch; several are one already."""
        return self._batcher.ask(texts[0]) if len(texts) == 1 else self.inner.embed_queries(texts)

    def _together(self, texts: Sequence[str]) -> list[Embedded]:
        vectors = self.inner.embed_queries(list(texts)).vectors
        return [Embedded(vectors[row : row + 1], {"texts": 1}) for row in range(len(vectors))]


class BatchingReranker:
    """A reranker before which queries gather, each with its candidates."""

    def __init__(self, reranker: TogetherReranker, limits: Batching, clock: Clock) -> None:
        self.inner = reranker
        self._batcher: Batcher[tuple[Query, Sequence[Doc]], Scored] = Batcher(reranker.score_together, limits, clock)

    @property
    def identity(self) -> str | None:
        return self.inner.identity

    @property
    def pointwise(self) -> bool:
        return self.inner.pointwise

    def load(self) -> None:
        self.inner.load()

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return self._batcher.ask((query, docs))


def can_batch(parts: Parts) -> bool:
    """Whether its embedder or reranker, in this process, takes several queries at once."""
    return parts.app is None and (_batches_queries(parts.embedder) or isinstance(parts.reranker, TogetherReranker))


def _batches_queries(embedder: Embedder | None) -> bool:
    """A server that embeds batches for itself."""
    return embedder is not None and not (isinstance(embedder, RemoteEmbedder) and embedder.remote)


def batched(parts: Parts, limits: Batching, clock: Clock) -> Parts:
    """The same pipeline with a batching front before each part that can take one; scores are equal within rounding."""
    embedder, reranker = parts.embedder, parts.reranker
    fronted: Embedder | None = embedder
    if embedder is not None and _batches_queries(embedder):
        fronted = BatchingEmbedder(embedder, limits, clock)
    ranked: Reranker | None = reranker
    if isinstance(reranker, TogetherReranker):
        ranked = BatchingReranker(reranker, limits, clock)
    return replace(parts, embedder=fronted, reranker=ranked)
