"""How much of each query's evidence is in the sub-corpora that take judged documents in proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.judge.arrays import Values
from ragprof.judge.growth_cells import Collection

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Presence:
    """Relevant grades that are present, best first, (orders, sizes, queries, most), and how many there are at all."""

    sizes: tuple[int, ...]
    ideal: Values
    relevant: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        entry: pd.DataFrame,
        *,
        sizes: Sequence[int],
        collection: Collection,
        qrels: Mapping[str, Mapping[str, int]],
    ) -> Presence:
        """From the positions at which kept passages enter; a document is there when its first passage is."""
        orders = int(entry["order"].max()) + 1
        first = np.full((orders, len(collection.numbers)), NEVER, np.int64)
        np.minimum.at(
            first, (entry["order"].to_numpy(), collection.codes[entry["place"]]), entry["position"].to_numpy()
        )
        grades = [_relevant(qrels.get(query_id, {}), collection.numbers) for query_id in collection.query_ids]
        most = max((len(each) for each in grades), default=0) or 1
        ideal = np.zeros((orders, len(sizes), len(grades), most))
        for number, found in enumerate(grades):
            for column, (code, grade) in enumerate(found):
                ideal[:, :, number, column] = grade * (first[:, code, None] < np.array(sizes))
        return cls(tuple(sizes), -np.sort(-ideal, axis=-1), np.array([_wanted(qrels, q) for q in collection.query_ids]))

    def table(self) -> pd.DataFrame:
        """order, size, query, coverage: the share of the query's relevant documents; NaN for one that has none."""
        orders, sizes, queries, _ = self.ideal.shape
        order, size, query = np.indices((orders, sizes, queries)).reshape(3, -1)
        present = (self.ideal > 0).sum(axis=-1)
        share = np.divide(present, self.relevant, out=np.full(present.shape, np.nan), where=self.relevant > 0)
        return pd.DataFrame(
            {"order": order, "size": np.array(self.sizes)[size], "query": query, "coverage": share.ravel()}
        )


def _relevant(judged: Mapping[str, int], numbers: Mapping[str, int]) -> list[tuple[int, int]]:
    return [(numbers[document], grade) for document, grade in judged.items() if grade > 0 and document in numbers]


def _wanted(qrels: Mapping[str, Mapping[str, int]], query_id: str) -> int:
    return sum(grade > 0 for grade in qrels.get(query_id, {}).values())
