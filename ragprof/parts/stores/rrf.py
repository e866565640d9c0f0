"""Hybrid search: several stores asked for the same depth, fused by reciprocal rank (RRF).

score(d) = sum over stores of 1 / (k + rank of d in that store), ranks from 1.
Cormack, Clarke and Buettcher: Reciprocal rank fusion outperforms Condorcet, SIGIR 2009; k = 60 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import copy, deepcopy
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from ragprof.core import Doc, EmbeddedQuery, Found, Layout, Nearest, Vectors, registry
from ragprof.core.errors import BadInput
from ragprof.core.ranking import best_first, id_ranks, ranked
from ragprof.core.stages import ApproximateStore, ClosableStore, IndexesLater, Lexical, NamedEngine, ServedStore, Store
from ragprof.parts.nested import nothing, search_nested


class RrfStore:
    """A store made of stores; `stores` are names or tables as in the eval file."""

    shallower_is_prefix = False

    def __init__(self, stores: list[registry.PartSpec], k: PositiveInt = 60) -> None:
        if len(stores) < 2:
            raise BadInput('the store \'rrf\' fuses at least two stores; give stores = ["bm25s", "faiss_flat"]')
        self._makers: list[Callable[[], Store]] = [partial(registry.create, "stores", spec) for spec in stores]
        self._stores = [make() for make in self._makers]
        self._k, self._settled = k, False

    @property
    def identity(self) -> str:
        return f"rrf k={self._k} [{'; '.join(str(store.identity) for store in self._stores)}]"

    @property
    def needs_vectors(self) -> bool:
        return any(store.needs_vectors for store in self._stores)

    @property
    def remote(self) -> bool:
        """Whether any of them is asked on another machine."""
        return any(getattr(store, "remote", False) for store in self._stores)

    @property
    def engine(self) -> str:
        return " and ".join(store.engine for store in self._stores if isinstance(store, NamedEngine))

    @property
    def precision(self) -> str:
        used = (store.precision for store in self._stores if isinstance(store, NamedEngine))
        return " and ".join(dict.fromkeys(used))

    @property
    def index_bytes(self) -> int:
        return sum(store.index_bytes for store in self._stores)

    def load(self) -> None:
        for store in self._stores:
            store.load()

    @property
    def language(self) -> str:
        """Of its lexical stores, each once, in their order; empty where there is none."""
        spoken = (store.language for store in self._stores if isinstance(store, Lexical))
        return " and ".join(dict.fromkeys(filter(None, spoken)))

    def settle(self, docs: Sequence[Doc]) -> None:
        if self._settled:
            return
        self._settled = True
        for place, make in enumerate(self._makers):
            empty = make()
            if isinstance(empty, Lexical):
                empty.settle(docs)
                self._makers[place], self._stores[place] = partial(deepcopy, empty), deepcopy(empty)

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        self.settle(docs)
        for store in self._stores:
            store.add(docs, vectors)

    def await_index(self) -> None:
        for store in self._stores:
            if isinstance(store, IndexesLater):
                store.await_index()

    def close(self) -> None:
        """Of its stores, all of them whatever one of them raises."""
        with ExitStack() as stack:
            for store in self._stores:
                if isinstance(store, ClosableStore):
                    stack.callback(store.close)

    def connected(self) -> RrfStore:
        twin = copy(self)
        twin._stores = [store.tuned() if isinstance(store, ServedStore) else store for store in self._stores]
        return twin

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        fused: dict[str, float] = {}
        docs: dict[str, Doc] = {}
        usage: Counter[str] = Counter()
        for store in self._stores:
            found = store.search(query, depth)
            usage.update(found.usage)
            for rank, item in enumerate(found.ranking, start=1):
                docs[item.doc.doc_id] = item.doc
                fused[item.doc.doc_id] = fused.get(item.doc.doc_id, 0.0) + 1.0 / (self._k + rank)
        return Found(ranked((docs[doc_id], score) for doc_id, score in fused.items())[:depth], usage)

    def search_nested(
        self,
        docs: Sequence[Doc],
        vectors: Vectors | None,
        *,
        queries: Sequence[EmbeddedQuery],
        layouts: Sequence[Layout],
        depth: int,
    ) -> list[list[Nearest]]:
        """Each store's own nested search, fused; stores are made for it, so that those that are filled stay so."""
        self.settle(docs)
        parts = [
            search_nested(make(), docs, vectors, queries=queries, layouts=layouts, depth=depth) for make in self._makers
        ]
        ranks = id_ranks([doc.doc_id for doc in docs])
        return [
            [_fused(cells, k=self._k, ranks=ranks) for cells in zip(*of_layout, strict=True)]
            for of_layout in zip(*parts, strict=True)
        ]

    def exact(self) -> RrfStore:
        """The same fusion of exact stores, none of them filled yet."""

        def exactly(make: Callable[[], Store]) -> Store:
            store = make()
            return store.exact() if isinstance(store, ApproximateStore) else store

        twin = copy(self)
        twin._makers = [partial(exactly, make) for make in self._makers]
        twin._stores = [make() for make in twin._makers]
        return twin


def _fused(parts: Sequence[Nearest], *, k: int, ranks: NDArray[np.int64]) -> Nearest:
    """What `search` makes of the rankings of several stores, for all queries at once."""
    found = nothing(*parts[0].places.shape)
    depth = found.places.shape[1]
    places = np.concatenate([part.places for part in parts], axis=1)
    shares = np.tile(1.0 / (k + np.arange(1, depth + 1)), (len(places), len(parts)))
    order = np.argsort(places, axis=1, kind="stable")  # those of one document side by side, in the order of the stores
    places, shares = np.take_along_axis(places, order, axis=1), np.take_along_axis(shares, order, axis=1)
    same = places[:, 1:] == places[:, :-1]
    for column in range(1, places.shape[1]):
        shares[:, column] += np.where(same[:, column - 1], shares[:, column - 1], 0.0)
    whole = np.pad(~same, ((0, 0), (0, 1)), constant_values=True) & (places >= 0)
    scores = np.where(whole, shares, -np.inf)
    order = best_first(scores, ranks[places])[:, :depth]
    places, scores = np.take_along_axis(places, order, axis=1), np.take_along_axis(scores, order, axis=1)
    np.copyto(found.places, places, where=np.isfinite(scores))
    np.copyto(found.scores, scores, where=np.isfinite(scores))
    return found


plugin: type[Store] = RrfStore
