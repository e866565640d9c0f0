"""How two vectors are compared, as a score: higher is nearer. And an exact search by it, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors, registry
from ragprof.core.caches import unknown_rows
from ragprof.core.errors import BadInput
from ragprof.core.ranking import top
from ragprof.core.stages import Store

Metric: TypeAlias = Literal["inner_product", "cosine", "l2"]


def scores(metric: Metric, query: Vectors, rows: Vectors) -> NDArray[np.float32]:
    """One score a row: the inner product, the cosine, or the Euclidean distance below zero."""
    if metric == "inner_product":
        return np.asarray(rows @ query, np.float32)
    if metric == "cosine":
        return np.asarray(rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query)), np.float32)
    return np.asarray(-np.linalg.norm(rows - query, axis=1), np.float32)


def exact(metric: Metric) -> Store:
    """An exact store of this metric in memory, not filled yet."""
    if metric != "inner_product":
        return ExactSearch(metric)
    store: Store = registry.create("stores", registry.PartSpec(name="faiss_flat"))
    return store


class ExactSearch:
    """Every vector compared with every query."""

    needs_vectors = True

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._docs: Sequence[Doc] = ()
        self._rows: Vectors = np.empty((0, 0), np.float32)

    @property
    def identity(self) -> str:
        return f"exact {self._metric}"

    @property
    def index_bytes(self) -> int:
        return self._rows.nbytes

    def load(self) -> None:
        """Nothing to load."""

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        if vectors is None:
            raise BadInput("an exact search compares vectors; give this pipeline an embedder")
        known = ~unknown_rows(vectors)
        self._docs, self._rows = [docs[place] for place in np.flatnonzero(known).tolist()], np.asarray(vectors[known])

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        if query.vector is None or not self._docs or not query.vector.any():
            return Found((), {"searches": 1, "vectors_scanned": 0})
        ranking = top(scores(self._metric, query.vector, self._rows), self._docs, min(depth, len(self._docs)))
        return Found(ranking, {"searches": 1, "vectors_scanned": len(self._docs)})
