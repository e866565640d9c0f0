"""The rankings that one reranker makes of one search, judged: at every depth, best possible, and read in windows.

Arrays in, tables out. Knows no file, no clock and no price. Passages are numbers; -1 is where nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ragprof.core.ranking import id_ranks
from ragprof.judge.arrays import (
    Labels,
    Places,
    Values,
    by_document,
    evidence,
    metrics,
    reciprocal_rank,
    repeated,
    success,
)
from ragprof.studies.reranker.recorded import ORACLE, RERANK, SEARCH, WINDOWED, CandidateTable

RECIPROCAL = 10


@dataclass(frozen=True)
class Passages:
    """Every passage that stands in some ranking, numbered; `documents` are the numbers of what they were cut from.

    The arrays have one entry more than there are passages: what -1 points at, which is nothing.
    """

    doc_ids: tuple[str, ...]
    documents: Places
    numbers: Mapping[str, int]
    ranks: Places

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame]) -> Passages:
        """From the `doc_id` and `document_id` of tables."""
        known = pd.concat([table[["doc_id", "document_id"]] for table in tables]).drop_duplicates("doc_id")
        codes, documents = pd.factorize(known["document_id"])
        doc_ids = known["doc_id"].tolist()
        return cls(
            tuple(doc_ids),
            np.append(codes, -1).astype(np.int64),
            {str(document): number for number, document in enumerate(documents)},
            np.append(id_ranks(doc_ids), -1),
        )

    def numbered(self, table: pd.DataFrame, query_ids: Sequence[str]) -> pd.DataFrame:
        """The table with the numbers `query` and `place` of its `query_id` and `doc_id`; -1 for one unknown."""
        query = pd.Index(query_ids).get_indexer(pd.Index(table["query_id"]))
        return table.assign(query=query, place=self._places.get_indexer(pd.Index(table["doc_id"])))

    @cached_property
    def _places(self) -> pd.Index:
        return pd.Index(self.doc_ids)


@dataclass(frozen=True)
class Yardstick:
    """What rankings of passages are judged by: all metrics of the documents, and evidence@1 to evidence@max_k."""

    passages: Passages
    labels: Labels
    cutoffs: Sequence[int]
    max_k: int

    def values(self, places: Places) -> dict[str, Values]:
        """column -> (..., queries) of rankings of shape (..., queries, depth)."""
        codes, ideal = self.passages.documents[places], self.labels.ideal
        grades = self.labels.of(by_document(codes))
        return {
            **metrics(grades, ideal, self.cutoffs),
            f"RR@{RECIPROCAL}": reciprocal_rank(grades, RECIPROCAL),
            **{f"Success@{cutoff}": success(grades, cutoff) for cutoff in self.cutoffs},
            **evidence(codes, self.labels.of(codes), ideal, range(1, self.max_k + 1)),
        }


@dataclass(frozen=True)
class DepthCurve:
    """One arm: its candidates at each of its depths. `own` is the depth that its pipeline declares."""

    yardstick: Yardstick
    candidates: Mapping[int, CandidateTable]
    own: int

    def tables(self, query_ids: Sequence[str], windowed: CandidateTable | None) -> pd.DataFrame:
        """A row a ranking, depth and query; `windowed` are the own depth's candidates with the windows' scores."""
        own, depths = (self.own,), tuple(self.candidates)
        rankings = [(SEARCH, own, self.searched), (RERANK, depths, self.reranked), (ORACLE, depths, self._oracle())]
        if windowed is not None:
            rankings.append((WINDOWED, own, windowed.reranked(self.yardstick.passages.ranks)))
        tables = []
        for ranking, at, places in rankings:
            columns = {name: values.ravel() for name, values in self.yardstick.values(places).items()}
            keys = {"ranking": ranking, "depth": np.repeat(at, len(query_ids)), "query_id": [*query_ids] * len(at)}
            tables.append(pd.DataFrame({**keys, **columns}))
        return pd.concat(tables, ignore_index=True)

    @property
    def searched(self) -> Places:
        """The search's order at the own depth, (queries, own depth)."""
        return self.candidates[self.own].searched

    @cached_property
    def reranked(self) -> Places:
        """(depths, queries, deepest)."""
        return self._stacked.reranked(self.yardstick.passages.ranks)

    @property
    def reranked_at_own(self) -> Places:
        return np.asarray(self.reranked[list(self.candidates).index(self.own)])

    def _oracle(self) -> Places:
        """The best order of the same candidates: relevance falling, otherwise as the search had them.

        A document counts once: its further passages stand behind, so that the first k passages hold all they can.
        """
        places = self._stacked.places
        documents = self.yardstick.passages.documents[places]
        grades = self.yardstick.labels.of(documents)
        relevance = np.where((grades > 0) & ~repeated(documents), grades, 0.0)
        order = np.argsort(np.where(places < 0, np.inf, -relevance), axis=-1, kind="stable")
        return np.take_along_axis(places, order, axis=-1)

    @cached_property
    def _stacked(self) -> CandidateTable:
        """The candidates of all depths in one shape, (depths, queries, deepest)."""
        queries = len(self.yardstick.labels.ideal)
        width = max(each.places.shape[-1] for each in self.candidates.values())
        shape = (len(self.candidates), queries, width)
        stacked = CandidateTable(np.full(shape, -1, np.int64), np.full(shape, np.nan))
        for row, each in enumerate(self.candidates.values()):
            stacked.places[row, :, : each.places.shape[-1]] = each.places
            stacked.scores[row, :, : each.places.shape[-1]] = each.scores
        return stacked


def rescored(candidates: CandidateTable, rows: pd.DataFrame) -> CandidateTable:
    """The candidates with another score where `rows` (`query`, `place`, `score`) have one."""
    known = rows[(rows["query"] >= 0) & (rows["place"] >= 0) & rows["score"].notna()]
    query, place = known["query"].to_numpy(np.int64), known["place"].to_numpy(np.int64)
    row, rank = np.nonzero(candidates.places[query] == place[:, None])
    scores = candidates.scores.copy()
    scores[query[row], rank] = known["score"].to_numpy(float)[row]
    return CandidateTable(candidates.places, scores)
