"""The verbs: what a part of a pipeline can do. A part returns its value together with its usage.

`identity` names everything that the part's output depends on besides its input (model, revision, dtype, maximum
length, prompt); equal identities may share cached results, and None means: never reuse what this part returned.
`load` brings models into memory, so that loading never falls inside a timed span. It may be called twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ragprof.core import Doc, Embedded, EmbeddedQuery, Found, Injected, Query, Ranking, Scored, Vectors


class Part(Protocol):
    """What every stage has in common."""

    @property
    def identity(self) -> str | None: ...

    def load(self) -> None: ...


class Embedder(Part, Protocol):
    """Texts to vectors. Vectors are compared by inner product: normalise them for cosine similarity."""

    def embed_documents(self, texts: Sequence[str]) -> Embedded: ...

    def embed_queries(self, texts: Sequence[str]) -> Embedded: ...


class Store(Part, Protocol):
    """An index over one corpus. A store with `needs_vectors` is given vectors, shape (docs, dimensions)."""

    @property
    def needs_vectors(self) -> bool: ...

    @property
    def index_bytes(self) -> int: ...

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None: ...

    def search(self, query: EmbeddedQuery, depth: int) -> Found: ...


class Reranker(Part, Protocol):
    """Scores candidates. `pointwise`: the score of a pair depends on no other candidate, so it may be reused."""

    @property
    def pointwise(self) -> bool: ...

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored: ...


@runtime_checkable
class PairReranker(Protocol):
    """A reranker that scores many pairs of several queries faster than query by query. Only ever used untimed."""

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]: ...


class Injector(Part, Protocol):
    """Puts chunks of a ranking into a prompt."""

    def inject(self, query: Query, ranking: Ranking) -> Injected: ...
