"""Record rerankers in <recording>/reranker/. Knows no relevance judgement and no price.

candidates, live, lengths, windows and signals.parquet; manifest.json is written last. Each store is searched once to
the greatest depth and each pair scored once, untimed; a listwise reranker is asked at every depth, and so is a store
whose shallower search is no prefix of a deeper one. Vectors and pair scores are in the cache as they come, so a killed
run is continued where it stopped. Live queries at every depth always start anew: nothing of them is reused, and their
rounds are interleaved over pipelines and depths, as the main recording's are over pipelines. Depth 0 is the pipeline
without its reranker, over the candidates of its own depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import RETRIEVAL_STAGES, Doc, EmbeddedQuery, PairLength, Query, Ranking, environment, files
from ragprof.core.clock import Progress
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.core.ranking import without
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import LengthLimited, RemoteReranker, Reranker
from ragprof.core.tokens import counter, remembering
from ragprof.evals.recorded import USAGE
from ragprof.record.budget import shares
from ragprof.record.disturbance import busiest_share
from ragprof.record.pipeline import Parts
from ragprof.record.query import one_each, traced
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
from ragprof.record.timings import QuietMoments, unless_it_fails, warmed
from ragprof.studies.reranker.apps import GivenOrder, traced_app
from ragprof.studies.reranker.plan import Arm, RerankerPlan
from ragprof.studies.reranker.recorded import ListwiseCheck, RecordedArm

CHECKED = 3
# Batches of other shapes move a bfloat16 score by about a fiftieth of the scores' standard deviation.
MOVED = 0.1
"""A score that moves by more than this share of the scores' standard deviation depends on its neighbours."""


def depends_on_neighbours(reranker: Reranker, found: Iterable[tuple[Query, Ranking]]) -> ListwiseCheck:
    """Score all candidates of a few queries together, then each half alone in reverse.

    One that declares itself listwise is believed. `found` are queries with their candidates; those with fewer than four
    are passed over.
    """
    if not reranker.pointwise:
        return ListwiseCheck(declared=False, listwise=True)
    asked = [each for each in found if len(each[1]) >= 4][:CHECKED]
    moves = []
    for query, ranking in asked:
        docs = [item.doc for item in ranking]
        together, half = scores_of(reranker, query, docs), len(docs) // 2
        apart = np.concatenate([scores_of(reranker, query, part[::-1])[::-1] for part in (docs[:half], docs[half:])])
        spread, move = float(together.std()), float(np.abs(together - apart).max())
        moves.append(move / spread if spread > 0 else float(move > 0))
    largest = max(moves, default=None)
    listwise = largest is not None and largest > MOVED
    return ListwiseCheck(checked_queries=len(asked), largest_difference=largest, listwise=listwise)


def scores_of(reranker: Reranker, query: Query, docs: Sequence[Doc]) -> NDArray[np.float64]:
    """One finite score for each document. Raises NonFiniteScore."""
    scores = np.array(one_each(reranker.score(query, docs).scores, docs) if docs else (), np.float64)
    if not np.isfinite(scores).all():
        raise NonFiniteScore("the reranker gave NaN or infinity; no ranking could be trusted")
    return scores


COLUMNS = (
    "arm", "depth", "query_id", "rank", "doc_id", "document_id", "search_score", "rerank_score", "tokens",
)  # fmt: skip


@dataclass
class FoundCandidates:
    """What was found and scored so far. `found` is (id of the store, depth) -> one ranking a query."""

    queries: Mapping[int, list[EmbeddedQuery]]
    cache: Path
    count: Callable[[str], int]
    progress: Progress
    found: dict[tuple[int, int], list[Ranking]] = field(default_factory=dict)
    listwise_check: dict[str, ListwiseCheck] = field(default_factory=dict)
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
        return (arm.deepest,) if arm.prefix and not self.listwise_check[arm.name].listwise else arm.depths

    def add(self, arm: Arm) -> None:
        """Find and score all that the arm needs."""
        self.listwise_check[arm.name] = depends_on_neighbours(arm.reranker, self.found_at(arm, arm.deepest))
        if self.listwise_check[arm.name].listwise:
            self._score_each_depth(arm)
        else:
            self._score_once(arm)

    def found_at(self, arm: Arm, depth: int) -> Iterator[tuple[Query, Ranking]]:
        """Every query with its candidates."""
        return zip(self.asked(arm), self.search(arm, depth), strict=True)

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
        if not isinstance(arm.reranker, GivenOrder):  # the app has scored them
            self.work["pairs_scored"] += reranker.pairs_scored

    def _write(self, arm: Arm, depth: int, rankings: Sequence[Ranking], reranker: Reranker) -> None:
        """A candidate's rank is its place in the store's answer: a depth holds the ranks up to it."""
        for query, whole, ranking in zip(self.asked(arm), self._searched(arm, depth), rankings, strict=True):
            docs = [item.doc for item in ranking]
            ranks = {item.doc.doc_id: rank for rank, item in enumerate(whole, start=1)}
            for item, score in zip(ranking, scores_of(reranker, query, docs), strict=True):
                doc = item.doc
                self.rows.append(
                    (arm.name, depth, query.query_id, ranks[doc.doc_id], doc.doc_id, doc.document_id, item.score,
                     float(score), self.count(doc.content))
                )  # fmt: skip

    def best_windows(self, arm: Arm, cut: Sequence[tuple[Query, Doc]]) -> list[tuple[object, ...]]:
        """The score of the best piece of every pair that is cut.

        The best piece counts (MaxP: Dai and Callan, Deeper text understanding for IR with contextual neural language
        modeling, SIGIR 2019).
        """
        reranker, counted = arm.reranker, economical(arm.reranker, self.cache)
        if not isinstance(reranker, LengthLimited) or not isinstance(counted, PairScores) or not cut:
            return []
        pieces = [(query, doc, reranker.windows(query, doc)) for query, doc in cut]
        counted.prepare([(query, piece) for query, _, parts in pieces for piece in parts], self.progress)
        rows: list[tuple[object, ...]] = [
            (arm.name, query.query_id, doc.doc_id, len(parts), float(max(counted.score(query, parts).scores)))
            for query, doc, parts in pieces
        ]
        self.work["pairs_scored"] += counted.pairs_scored
        return rows


LENGTH_COLUMNS = ("arm", "query_id", "doc_id", "tokens", "kept_tokens")
WINDOW_COLUMNS = ("arm", "query_id", "doc_id", "windows", "score")
SIGNAL_COLUMNS = ("arm", "signal", "query_id", "value")
FORMAT = 1
DERIVED = (
    "manifest.json", "settings.json", "judgement.json", "rates.json", "judged.parquet", "others.parquet",
    "moves.parquet", "cuts.parquet", "costs.parquet", "prompts.parquet",
)  # fmt: skip


def record(plan: RerankerPlan, bench: Bench) -> None:
    """Make the recording. What was made of an older one in the folder is taken away first."""
    folder, subject = bench.folder / "reranker", plan.subject
    files.ready_folder(folder, remedy="give another folder with --out (in Python out=)")
    for name in DERIVED:
        (folder / name).unlink(missing_ok=True)
    plan, apps = plan.settled(bench.folder, bench.progress)
    load([arm.parts for arm in plan.arms], bench.progress)
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
        found = FoundCandidates(queries, bench.cache, count, bench.progress)
        for app in apps:
            store = app.by_depth[app.own_depth].store
            found.found |= {(id(store), depth): list(rankings) for depth, rankings in app.found.items()}
        for arm in plan.arms:
            found.add(arm)
        files.write_table(folder / "candidates.parquet", pd.DataFrame(found.rows, columns=list(COLUMNS)))
        _write_lengths(plan, found, folder, bench)
        files.write_table(folder / "signals.parquet", signal_table(plan, found))
        live = time_depths(plan, shuffled(subject.queries, plan.settings.seed), bench, count=count)
    files.write_table(folder / "live.parquet", live)
    write_sealed(
        folder / "manifest.json",
        _manifest(plan, found, bench.folder),
        *(f"{name}.parquet" for name in ("candidates", "lengths", "windows", "signals", "live")),
    )


def _write_lengths(plan: RerankerPlan, found: FoundCandidates, folder: Path, bench: Bench) -> None:
    """How much of each pair at the own depth is read, and what the reranker says of those that it cuts."""
    measured: list[tuple[Arm, list[tuple[Query, Doc]], list[PairLength]]] = []
    bench.progress.start("measure lengths", len(plan.own))
    for arm in plan.own:
        pairs = [(query, item.doc) for query, ranking in found.found_at(arm, arm.own_depth) for item in ranking]
        lengths = arm.reranker.lengths(pairs) if isinstance(arm.reranker, LengthLimited) else []
        measured.append((arm, pairs, lengths))
        bench.progress.advance(1)
    bench.progress.done()
    length_rows = [
        (arm.name, query.query_id, doc.doc_id, length.tokens, length.kept)
        for arm, pairs, lengths in measured
        if lengths
        for (query, doc), length in zip(pairs, lengths, strict=True)
    ]
    window_rows: list[tuple[object, ...]] = []
    for arm, pairs, lengths in measured:
        if plan.settings.windows and not found.listwise_check[arm.name].listwise:
            cut = [pair for pair, length in zip(pairs, lengths, strict=False) if length.kept < length.tokens]
            window_rows += found.best_windows(arm, cut)
    files.write_table(folder / "lengths.parquet", pd.DataFrame(length_rows, columns=list(LENGTH_COLUMNS)))
    files.write_table(folder / "windows.parquet", pd.DataFrame(window_rows, columns=list(WINDOW_COLUMNS)))


def signal_table(plan: RerankerPlan, found: FoundCandidates) -> pd.DataFrame:
    """How sure the search of each pipeline was of each query, by every signal. Raises BadInput for no finite number."""
    rows = []
    for arm in plan.own:
        for name, signal in plan.signals.items():
            for query, ranking in found.found_at(arm, arm.own_depth):
                value = signal.value(query, ranking)
                if not isinstance(value, int | float) or not math.isfinite(value):
                    raise BadInput(
                        f"the signal '{name}' gave {value!r} for query '{query.query_id}'; it must be a finite number"
                    )
                rows.append((arm.name, name, query.query_id, float(value)))
    return pd.DataFrame(rows, columns=list(SIGNAL_COLUMNS))


def _manifest(plan: RerankerPlan, found: FoundCandidates, home: Path) -> dict[str, Any]:
    """What the recording rests on; the mean tokens of template and question are those of the main recording."""
    subject = plan.subject
    config = subject.config.model_copy(update={"reranker": plan.settings})
    usage = USAGE.read(home / "usage.parquet")
    mine = usage[usage["pipeline"].isin([arm.pipeline for arm in plan.own]) & (usage["stage"] == "inject")]
    means = mine.groupby("unit")["count"].mean()
    return {
        "format": FORMAT,
        "recording": uuid4().hex,
        "config": redacted(config.model_dump(mode="json")),
        "corpus_sha256": subject.corpus.sha256,
        "questions_sha256": fingerprint_of(subject.queries),
        "identities": redacted(identities([replace(arm.parts, name=arm.name) for arm in plan.arms])),
        "query_ids": sorted(query.query_id for query in subject.queries),
        "arms": {arm.name: _recorded(arm, found.listwise_check[arm.name]).model_dump(mode="json") for arm in plan.arms},
        "max_k": plan.max_k,
        **{unit: float(means[unit]) for unit in ("template_tokens", "query_tokens")},
        "work": found.work,
        "environment": environment.describe(),
    }


def _recorded(arm: Arm, check: ListwiseCheck) -> RecordedArm:
    reranker = arm.reranker
    return RecordedArm(
        pipeline=arm.pipeline,
        student=arm.student,
        reranker=redacted(arm.spec.model_dump(mode="json")),
        own_depth=arm.own_depth,
        own_k=arm.own_k,
        depths=arm.depths,
        against=arm.against,
        pointwise=check,
        remote=isinstance(reranker, RemoteReranker) and reranker.remote,
        max_tokens=reranker.max_tokens if isinstance(reranker, LengthLimited) else None,
        prefix=arm.prefix and not check.listwise,
        app=arm.app is not None,
        without_live=arm.app is None or arm.app.without is not None,
    )


WITHOUT = 0
STAGES = (*RETRIEVAL_STAGES, "inject")
LIVE_COLUMNS = (
    "arm", "depth", "round", "query_id", "end_to_end_ns", *(f"{stage}_ns" for stage in STAGES), "candidates",
    "candidate_tokens", "cpu_ns", "waiting_ns",
)  # fmt: skip


@dataclass(frozen=True)
class TimedDepth:
    """A pipeline at one depth."""

    arm: str
    depth: int
    parts: Parts
    app: Literal["", "whole", "without", "student"] = ""
    """Of an app: asked as it is, with its reranker's time left out, or with a student in place of that."""

    @property
    def key(self) -> str:
        return f"{self.arm} {self.depth}"


def time_depths(
    plan: RerankerPlan, queries: Sequence[Query], bench: Bench, *, count: Callable[[str], int]
) -> pd.DataFrame:
    """Warm-up, then rounds over every depth. `queries` must be in a seeded order: a prefix of them is timed.

    The time is shared out by how long the warm-up took; depths of one arm answer the same number of queries.
    """

    def ask(timed: TimedDepth, query: Query) -> tuple[int, tuple[object, ...]]:
        """One live query: its duration in ns, and what there is to write down of it."""
        if timed.app:
            reranked, trace = traced_app(timed.parts, query, bench.clock, timed.app)
        else:
            answer, trace = traced(timed.parts, query, bench.clock, read={"query"})
            reranked = answer.rankings.get("rerank", ())
        spans = {str(span.stage): span.duration_ns for span in trace.spans}
        tokens = sum(count(item.doc.content) for item in reranked)
        facts = (
            query.query_id, trace.duration_ns, *(spans.get(stage) for stage in STAGES), len(reranked), tokens,
            trace.cores.cpu_ns, trace.cores.waiting_ns,
        )  # fmt: skip
        return trace.duration_ns, facts

    def duration(timed: TimedDepth, query: Query) -> int:
        start = bench.clock()
        with unless_it_fails(timed.parts, query, of=len(queries)):
            return ask(timed, query)[0]
        return bench.clock() - start

    timing, every = plan.settings.timing, timed_depths(plan)
    asking = {timed.key: partial(duration, timed) for timed in every}
    patience = QuietMoments(timing, bench.clock, bench.progress)
    estimates = warmed(asking, queries, timing=timing, progress=bench.progress, patience=patience)
    by_arm: dict[str, int] = {}
    for timed in every:
        by_arm[timed.arm] = by_arm.get(timed.arm, 0) + estimates[timed.key]
    counts = shares(by_arm, len(queries), timing, asked=timing.rounds)

    def one_round(number: int) -> pd.DataFrame:
        rows: list[tuple[object, ...]] = []
        for place in range(len(every)):
            # Each round starts one further (A B C, C A B, ...), so that no depth always follows the same other.
            timed = every[(place - number) % len(every)]
            for query in queries[: counts[timed.arm]]:
                with unless_it_fails(timed.parts, query, of=len(queries)):
                    rows.append((timed.arm, timed.depth, number, *ask(timed, query)[1]))
                bench.progress.advance(1)
        table = pd.DataFrame(rows, columns=list(LIVE_COLUMNS))
        return table.astype({column: "Int64" for column in LIVE_COLUMNS if column not in ("arm", "query_id")})

    steps = sum(counts[timed.arm] for timed in every)
    busiest = partial(busiest_share, by=["arm", "depth"])
    rounds = patience.rounds(one_round, busiest, range(timing.rounds), task="time every depth", steps=steps)
    live: pd.DataFrame = pd.concat(rounds, ignore_index=True)
    return live


def timed_depths(plan: RerankerPlan) -> list[TimedDepth]:
    """Each pipeline without its reranker, and every depth of every arm."""
    plain = [TimedDepth(arm.name, WITHOUT, arm.plain, "without" if arm.app else "") for arm in plan.own]
    return plain + [
        TimedDepth(arm.name, depth, arm.at(depth), "" if arm.app is None else "student" if arm.student else "whole")
        for arm in plan.arms
        for depth in arm.depths
    ]
