"""Candidates and their scores: each store searched once to the greatest depth, each pair scored once. Nothing is timed.

A listwise reranker is asked at every depth, and so is a store whose shallower search is no prefix of a deeper one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof.core import EmbeddedQuery, Query, Ranking
from ragprof.errors import NonFiniteScore
from ragprof.progress import Progress
from ragprof.ranking import without
from ragprof.record.query import one_each
from ragprof.record.rankings import CountedReranker, PairScores, economical
from ragprof.record.reranking.listwise import Company, company_of
from ragprof.record.reranking.plan import Arm
from ragprof.stages import Reranker

COLUMNS = (
    "arm", "depth", "query_id", "rank", "doc_id", "document_id", "search_score", "rerank_score", "tokens",
)  # fmt: skip


@dataclass
class Candidates:
    """What was found and scored so far. `found` is (id of the store, depth) -> one ranking a query."""

    queries: Mapping[int, list[EmbeddedQuery]]
    cache: Path
    count: Callable[[str], int]
    progress: Progress
    found: dict[tuple[int, int], list[Ranking]] = field(default_factory=dict)
    company: dict[str, Company] = field(default_factory=dict)
    rows: list[tuple[object, ...]] = field(default_factory=list)
    work: dict[str, int] = field(default_factory=lambda: {"pairs_scored": 0, "pairs_reused": 0, "searches": 0})

    def search(self, arm: Arm, depth: int) -> list[Ranking]:
        """The arm's candidates from a depth, a query each: documents that the query was taken from are left out."""
        pairs = zip(self.asked(arm), self._searched(arm, depth), strict=True)
        return [without(ranking, query.own_document) for query, ranking in pairs]

    def _searched(self, arm: Arm, depth: int) -> list[Ranking]:
        """What the store answers, each store and depth asked once."""
        key = (id(arm.parts.store), depth)
        if key not in self.found:
            queries = self.queries[id(arm.parts.embedder)]
            self.progress.start(f"search to depth {depth}", len(queries))
            rankings = []
            for query in queries:
                rankings.append(arm.parts.store.search(query, depth).ranking)
                self.progress.advance(1)
            self.progress.done()
            self.found[key] = rankings
            self.work["searches"] += len(queries)
        return self.found[key]

    def asked(self, arm: Arm) -> list[Query]:
        return [each.query for each in self.queries[id(arm.parts.embedder)]]

    def sets(self, arm: Arm) -> tuple[int, ...]:
        """The depths that the arm's candidates are written for."""
        return (arm.deepest,) if arm.prefix and not self.company[arm.name].listwise else arm.depths

    def add(self, arm: Arm) -> None:
        """Find and score all that the arm needs."""
        self.company[arm.name] = company_of(arm.reranker, self._asked_and_found(arm))
        if self.company[arm.name].listwise:
            self._score_each_depth(arm)
        else:
            self._score_once(arm)

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    def _asked_and_found(self, arm: Arm) -> Iterator[tuple[Query, Ranking]]:
        return zip(self.asked(arm), self.search(arm, arm.deepest), strict=True)

    def _score_once(self, arm: Arm) -> None:
        every = {depth: self.search(arm, depth) for depth in self.sets(arm)}
        pairs = {
            (query.query_id, item.doc.doc_id): (query, item.doc)
            for rankings in every.values()
            for query, ranking in zip(self.asked(arm), rankings, strict=True)
            for item in ranking
        }
        reranker = economical(arm.reranker, self.cache)
        if isinstance(reranker, PairScores):
            reranker.prepare(pairs.values(), self.progress)
            self.work["pairs_reused"] += len(pairs) - reranker.pairs_scored
        for depth, rankings in every.items():
            self._write(arm, depth, rankings, reranker)
        self.work["pairs_scored"] += reranker.pairs_scored

    def _score_each_depth(self, arm: Arm) -> None:
        reranker = CountedReranker(arm.reranker)
        self.progress.start("score every depth", len(arm.depths))
        for depth in arm.depths:
            self._write(arm, depth, self.search(arm, depth), reranker)
            self.progress.advance(1)
        self.progress.done()
        self.work["pairs_scored"] += reranker.pairs_scored

    def _write(self, arm: Arm, depth: int, rankings: Sequence[Ranking], reranker: Reranker) -> None:
        """A candidate's rank is its place in the store's answer: a depth holds the ranks up to it."""
        for query, whole, ranking in zip(self.asked(arm), self._searched(arm, depth), rankings, strict=True):
            docs = [item.doc for item in ranking]
            ranks = {item.doc.doc_id: rank for rank, item in enumerate(whole, start=1)}
            scores = one_each(reranker.score(query, docs).scores, docs) if docs else ()
            if not np.isfinite(np.array(scores, np.float64)).all():
                raise NonFiniteScore("the reranker gave NaN or infinity; no ranking could be trusted")
            for item, score in zip(ranking, scores, strict=True):
                doc = item.doc
                self.rows.append(
                    (arm.name, depth, query.query_id, ranks[doc.doc_id], doc.doc_id, doc.document_id, item.score,
                     float(score), self.count(doc.content))
                )  # fmt: skip
