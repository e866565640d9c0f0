"""The cells of one curve of one pipeline, judged: a row a cell and query, a column a metric. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.judge.arrays import UNJUDGED, Labels, Values, by_document, metrics
from ragprof.ranking import reordered

Places = NDArray[np.int64]
KINDS = ("relevant", "irrelevant", "unjudged", "duplicate", "contradicting")
EDITED = ("duplicate", "contradicting")


@dataclass(frozen=True)
class Collection:
    """The pool as the judge sees it: for each place a document's number, a kind, a number of its text, its tokens.

    The arrays have one entry more than there are places: what -1 points at, which is nothing.
    """

    codes: Places
    numbers: Mapping[str, int]
    kinds: NDArray[np.object_]
    contents: Places
    tokens: Values
    ranks: Places
    query_ids: list[str]


@dataclass(frozen=True)
class Rankings:
    """Arrays of shape (orders, sizes, queries, depth); -1, NaN and 0 where there is nothing."""

    sizes: tuple[int, ...]
    places: Places
    rerank_scores: Values
    injected: Places


@dataclass(frozen=True)
class Judged:
    """Rankings with what they are judged by. `depth` is the pipeline's own; `reranked`, whether it has a reranker."""

    rankings: Rankings
    collection: Collection
    labels: Labels
    depth: int
    cutoffs: Sequence[int]
    reranked: bool

    def stages(self) -> list[pd.DataFrame]:
        """After search, after rerank where there is one, and of what was injected."""
        after = [self.final("rerank", self.depth)] if self.reranked else []
        return [self.searched("search"), *after, self._table("inject", self.depth, self._injected())]

    def searched(self, stage: str) -> pd.DataFrame:
        return self._table(stage, self.depth, self.rankings.places[..., : self.depth])

    def final(self, stage: str, depth: int, *, ideal: Values | None = None) -> pd.DataFrame:
        """The last ranking from the first `depth` candidates; by other judgements' ideal where one is given."""
        return self._table(stage, depth, self._final(depth), ideal=ideal)

    def _final(self, depth: int) -> Places:
        places = self.rankings.places[..., :depth]
        if not self.reranked:
            return places
        return reordered(places, self.rankings.rerank_scores[..., :depth], self.collection.ranks)[0]

    def _injected(self) -> Places:
        """The prompt's passages in its order."""
        order = np.argsort(np.where(self.rankings.injected > 0, self.rankings.injected, np.inf), axis=-1, kind="stable")
        inside = np.where(self.rankings.injected > 0, self.rankings.places, -1)
        return np.take_along_axis(inside, order, axis=-1)

    def _table(self, stage: str, depth: int, places: Places, *, ideal: Values | None = None) -> pd.DataFrame:
        """Values of every metric; NaN for a query without anything to find in an ideal of its own."""
        possible = self.labels.ideal if ideal is None else ideal
        grades = self.labels.of(by_document(self.collection.codes[places]))
        values = metrics(grades, possible, self.cutoffs)
        answerable = np.broadcast_to(ideal is None or (possible > 0).any(axis=-1), grades.shape[:-1])
        keys = self._keys().assign(stage=stage, depth=depth)
        return keys.assign(**{name: np.where(answerable, each, np.nan).ravel() for name, each in values.items()})

    def context(self) -> pd.DataFrame:
        """Injected tokens by kind: edited passages as such, a repeated text as a duplicate, the rest as judged."""
        places = self._injected()
        grades = self.labels.of(self.collection.codes[places])
        kinds = np.select(
            [self._repeats(places) | (self.collection.kinds[places] == "duplicate"),
             self.collection.kinds[places] == "contradicting", grades > 0, grades == UNJUDGED],
            ["duplicate", "contradicting", "relevant", "unjudged"],
            "irrelevant",
        )  # fmt: skip
        tokens = np.where(places < 0, 0.0, self.collection.tokens[places])
        return self._keys().assign(**{kind: (tokens * (kinds == kind)).sum(axis=-1).ravel() for kind in KINDS})

    def _repeats(self, places: Places) -> NDArray[np.bool_]:
        """Whether the same text stands further up in the same prompt."""
        texts = self.collection.contents[places]
        repeated = np.zeros(places.shape, bool)
        for rank in range(1, places.shape[-1]):
            repeated[..., rank] = (texts[..., :rank] == texts[..., rank : rank + 1]).any(axis=-1)
        return repeated & (places >= 0)

    def _keys(self) -> pd.DataFrame:
        orders, sizes, queries, _ = self.rankings.places.shape
        order, size, query = np.indices((orders, sizes, queries)).reshape(3, -1)
        return pd.DataFrame({"order": order, "size": np.array(self.rankings.sizes)[size], "query": query})


def cell_index(table: pd.DataFrame, sizes: Sequence[int]) -> tuple[Places, Places, Places]:
    """Where the rows of a table of cells belong in an array of shape (orders, sizes, queries)."""
    size = np.searchsorted(np.array(sizes), table["size"].to_numpy())
    return table["order"].to_numpy(), size, table["query"].to_numpy()
