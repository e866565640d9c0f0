"""Another reranker made slower by a stated share, to see whether a latency gate finds that. For tests of gates only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ragprof.core import Doc, Query, Scored, registry
from ragprof.core.clock import now_ns
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Reranker


class SlowedReranker:
    """Scores as `reranker` does and then keeps the processor busy for `share` of the time that this took."""

    def __init__(
        self, reranker: str | dict[str, Any] = "overlap", share: Annotated[float, Field(ge=0, le=10)] = 0.1
    ) -> None:
        self._inner: Reranker = registry.create("rerankers", PartSpec.model_validate(reranker))
        self._share = share

    @property
    def pointwise(self) -> bool:
        return self._inner.pointwise

    @property
    def identity(self) -> str | None:
        inner = self._inner.identity
        return None if inner is None else f"slowed by {self._share:g}: {inner}"

    def load(self) -> None:
        self._inner.load()

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        start = now_ns()
        scored = self._inner.score(query, docs)
        end = now_ns() + int(self._share * (now_ns() - start))
        while now_ns() < end:
            pass
        return scored


plugin: type[Reranker] = SlowedReranker
