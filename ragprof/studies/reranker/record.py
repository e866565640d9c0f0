"""Record rerankers in <recording>/reranker/. Knows no relevance judgement and no price.

candidates, live, lengths, windows and signals.parquet; manifest.json is written last. Vectors and pair scores are in
the cache as they come, so a killed run goes on where it stopped; live timings always start anew.

Candidates and their scores: each store searched once to the greatest depth, each pair scored once. Nothing is timed.

A listwise reranker is asked at every depth, and so is a store whose shallower search is no prefix of a deeper one.

How much of each pair a reranker reads, and what it would say of documents that it cuts, read piece by piece.

The best piece counts (MaxP: Dai and Callan, Deeper text understanding for IR with contextual neural language
modeling, SIGIR 2019).

Whether a reranker's score of a document depends on the documents beside it, found out by asking it twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from ragprof.core import Doc, EmbeddedQuery, PairLength, Query, Ranking, environment, files
from ragprof.core.clock import Progress
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.core.ranking import without
from ragprof.core.stages import LengthLimited, RemoteReranker, Reranker
from ragprof.core.tokens import counter, remembering
from ragprof.record.query import one_each
from ragprof.record.rankings import CountedReranker, PairScores, economical
from ragprof.record.recording import (
    Bench,
    build_indexes,
    embed,
    embedded_queries,
    fingerprint_of,
    identities,
    load,
    redacted,
    shuffled,
)
from ragprof.studies.reranker.plan import Arm, Weighing
from ragprof.studies.reranker.record_live import time_depths

CHECKED = 3
MOVED = 0.1
"""A score that moves by more than this share of the scores' standard deviation depends on its company.

Batches of other shapes move a bfloat16 score by about a fiftieth of it.
"""


@dataclass(frozen=True, slots=True)
class Company:
    """What was found: `largest` is the largest move as a share of the scores' standard deviation; None: not asked."""

    declared: bool
    checked: int
    largest: float | None

    @property
    def listwise(self) -> bool:
        return not self.declared or (self.largest is not None and self.largest > MOVED)

    def as_json(self) -> dict[str, Any]:
        return {
            "declared": self.declared,
            "checked_queries": self.checked,
            "largest_difference": self.largest,
            "listwise": self.listwise,
        }


def company_of(reranker: Reranker, found: Iterable[tuple[Query, Ranking]]) -> Company:
    """Score all candidates of a few queries together, then each half alone in reverse.

    One that declares itself listwise is believed. `found` are queries with their candidates; those with fewer than four
    are passed over.
    """
    if not reranker.pointwise:
        return Company(False, 0, None)
    asked = [each for each in found if len(each[1]) >= 4][:CHECKED]
    moves = [_moved(reranker, query, ranking) for query, ranking in asked]
    return Company(True, len(asked), max(moves) if moves else None)


def _moved(reranker: Reranker, query: Query, ranking: Ranking) -> float:
    docs = [item.doc for item in ranking]
    together = _scores(reranker, query, docs)
    half = len(docs) // 2
    apart = np.concatenate([_scores(reranker, query, part[::-1])[::-1] for part in (docs[:half], docs[half:])])
    spread = float(together.std())
    move = float(np.abs(together - apart).max())
    return move / spread if spread > 0 else float(move > 0)


def _scores(reranker: Reranker, query: Query, docs: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    scores = np.array(one_each(reranker.score(query, docs).scores, docs), np.float64)
    if not np.isfinite(scores).all():
        raise NonFiniteScore("the reranker gave NaN or infinity; no ranking could be trusted")
    return scores


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


LENGTH_COLUMNS = ("arm", "query_id", "doc_id", "tokens", "kept_tokens")
WINDOW_COLUMNS = ("arm", "query_id", "doc_id", "windows", "score")
Pairs = Sequence[tuple[Query, Doc]]


def lengths_of(arm: Arm, pairs: Pairs) -> list[PairLength]:
    """One length a pair; none where the reranker does not say how much it reads."""
    return arm.reranker.lengths(pairs) if isinstance(arm.reranker, LengthLimited) else []


def length_table(arm: Arm, pairs: Pairs, lengths: Sequence[PairLength]) -> pd.DataFrame:
    rows = [
        (arm.name, query.query_id, doc.doc_id, length.tokens, length.kept)
        for (query, doc), length in zip(pairs if lengths else (), lengths, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(LENGTH_COLUMNS))


def window_table(
    arm: Arm, pairs: Pairs, lengths: Sequence[PairLength], *, cache: Path, progress: Progress
) -> tuple[pd.DataFrame, int]:
    """The best piece of every pair that is cut, and how many pairs had to be scored for that."""
    reranker = arm.reranker
    counted = economical(reranker, cache)
    cut = [pair for pair, length in zip(pairs, lengths, strict=False) if length.kept < length.tokens]
    if not isinstance(reranker, LengthLimited) or not isinstance(counted, PairScores) or not cut:
        return pd.DataFrame(columns=list(WINDOW_COLUMNS)), 0
    pieces = [(query, doc, reranker.windows(query, doc)) for query, doc in cut]
    counted.prepare([(query, piece) for query, _, parts in pieces for piece in parts], progress)
    rows = [
        (arm.name, query.query_id, doc.doc_id, len(parts), float(max(counted.score(query, parts).scores)))
        for query, doc, parts in pieces
    ]
    return pd.DataFrame(rows, columns=list(WINDOW_COLUMNS)), counted.pairs_scored


FORMAT = 1
SIGNAL_COLUMNS = ("arm", "signal", "query_id", "value")
DERIVED = (
    "manifest.json", "settings.json", "judgement.json", "rates.json", "judged.parquet", "others.parquet",
    "moves.parquet", "cuts.parquet", "costs.parquet", "prompts.parquet",
)  # fmt: skip


def record_rerankers(weighing: Weighing, bench: Bench) -> None:
    """Make the recording. What was made of an older one in the folder is taken away first."""
    folder, subject = bench.folder / "reranker", weighing.subject
    files.ready_folder(folder, remedy="give another folder with --out (in Python out=)")
    for name in DERIVED:
        (folder / name).unlink(missing_ok=True)
    load([arm.parts for arm in weighing.arms], bench.progress)
    embedding = embed(subject, subject.corpus.docs, bench)
    build_indexes(
        subject.pipelines, subject.corpus.docs, embedding.documents, clock=bench.clock, progress=bench.progress
    )
    queries = {
        id(parts.embedder): embedded_queries(subject.queries, embedding.queries.get(id(parts.embedder)))
        for parts in subject.pipelines
    }
    count = counter(subject.config.tokenizer)
    with remembering():
        candidates = Candidates(queries, bench.cache, count, bench.progress)
        for arm in weighing.arms:
            candidates.add(arm)
        files.write_table(folder / "candidates.parquet", candidates.table())
        _write_lengths(weighing, candidates, folder, bench)
        files.write_table(folder / "signals.parquet", signal_table(weighing, candidates))
        live = time_depths(weighing, shuffled(subject.queries, weighing.settings.seed), bench, count=count)
    files.write_table(folder / "live.parquet", live)
    files.write_json(folder / "manifest.json", manifest(weighing, candidates, bench.folder))


def _write_lengths(weighing: Weighing, candidates: Candidates, folder: Path, bench: Bench) -> None:
    lengths, windows = [], []
    bench.progress.start("measure lengths", len(weighing.own))
    measured = []
    for arm in weighing.own:
        pairs = _pairs(arm, candidates)
        measured.append((arm, pairs, lengths_of(arm, pairs)))
        bench.progress.advance(1)
    bench.progress.done()
    for arm, pairs, found in measured:
        lengths.append(length_table(arm, pairs, found))
        if weighing.settings.windows and not candidates.company[arm.name].listwise:
            table, scored = window_table(arm, pairs, found, cache=bench.cache, progress=bench.progress)
            windows.append(table)
            candidates.work["pairs_scored"] += scored
    files.write_table(folder / "lengths.parquet", _joined(lengths, length_table(weighing.own[0], (), ())))
    empty = pd.DataFrame(columns=["arm", "query_id", "doc_id", "windows", "score"])
    files.write_table(folder / "windows.parquet", _joined(windows, empty))


def _joined(tables: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    """The tables that hold anything, behind each other."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else empty


def _pairs(arm: Arm, candidates: Candidates) -> list[tuple[Query, Doc]]:
    """Every pair that the arm's own depth holds."""
    found = zip(candidates.asked(arm), candidates.search(arm, arm.own_depth), strict=True)
    return [(query, item.doc) for query, ranking in found for item in ranking]


def signal_table(weighing: Weighing, candidates: Candidates) -> pd.DataFrame:
    """How sure the search of each pipeline was of each query, by every signal."""
    rows = [
        (arm.name, name, query.query_id, _finite(name, query, signal.value(query, ranking)))
        for arm in weighing.own
        for name, signal in weighing.signals.items()
        for query, ranking in zip(candidates.asked(arm), candidates.search(arm, arm.own_depth), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(SIGNAL_COLUMNS))


def _finite(name: str, query: Query, value: object) -> float:
    """Raises BadInput for what is no number, NaN or infinite."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise BadInput(f"the signal '{name}' gave {value!r} for query '{query.query_id}'; it must be a finite number")


def manifest(weighing: Weighing, candidates: Candidates, home: Path) -> dict[str, Any]:
    """What the recording rests on."""
    subject = weighing.subject
    config = subject.config.model_copy(update={"reranker": weighing.settings})
    return {
        "format": FORMAT,
        "recording": uuid4().hex,
        "config": redacted(config.model_dump(mode="json")),
        "corpus_sha256": subject.corpus.sha256,
        "questions_sha256": fingerprint_of(subject.queries),
        "identities": redacted(identities([replace(arm.parts, name=arm.name) for arm in weighing.arms])),
        "query_ids": sorted(query.query_id for query in subject.queries),
        "arms": {arm.name: _arm(arm, candidates) for arm in weighing.arms},
        "max_k": weighing.max_k,
        **_prompt_tokens(home, [arm.pipeline for arm in weighing.own]),
        "work": candidates.work,
        "environment": environment.describe(),
    }


def _arm(arm: Arm, candidates: Candidates) -> dict[str, Any]:
    reranker = arm.reranker
    return {
        "pipeline": arm.pipeline,
        "student": arm.student,
        "reranker": redacted(arm.spec.model_dump(mode="json")),
        "own_depth": arm.own_depth,
        "own_k": arm.own_k,
        "depths": list(arm.depths),
        "against": arm.against,
        "pointwise": candidates.company[arm.name].as_json(),
        "remote": isinstance(reranker, RemoteReranker) and reranker.remote,
        "max_tokens": reranker.max_tokens if isinstance(reranker, LengthLimited) else None,
        "prefix": arm.prefix and not candidates.company[arm.name].listwise,
    }


def _prompt_tokens(home: Path, pipelines: Sequence[str]) -> dict[str, float]:
    """Mean tokens of the template and of the question, as the main recording counted them."""
    usage = files.read_table(home / "usage.parquet")
    mine = usage[usage["pipeline"].isin(pipelines) & (usage["stage"] == "inject")]
    means = mine.groupby("unit")["count"].mean()
    return {unit: float(means[unit]) for unit in ("template_tokens", "query_tokens")}
