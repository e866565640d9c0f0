"""Freshness: an index that changes while it is asked, against exact search over what is in it at that moment.

Each index is filled anew without the passages that will come, asked, then changed by a second thread while questions go
on, asked again, built anew and asked for the last time. What is right depends on when a search ran: a passage that is
being written during it may be found or not, and counts neither way. A replaced passage keeps its id and gets the text
and vector of another one, so that an old version that is still found can be told from the new one.

Writes churn/<number>/ for each index: searches.parquet, writes.parquet and, last, sizes.parquet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Vectors, files
from ragprof.core.caches import unknown_rows
from ragprof.core.clock import Clock, excluded_ns, sleep
from ragprof.core.stages import IndexesLater, MutableStore, Store, TunableStore
from ragprof.evals.stores import StoresChurn
from ragprof.record.recording import Bench
from ragprof.studies.stores.plan import Index, IndexSetting, StoresPlan, can_change, counts_of
from ragprof.studies.stores.truth import TIE

Kind: TypeAlias = Literal["delete", "replace", "insert"]
Rows: TypeAlias = NDArray[np.int64]
PHASES = ("before", "during", "after", "rebuilt")
NEVER = np.iinfo(np.int64).max
VISIBLE_WITHIN_S = 10.0
"""How long a new passage is looked for."""
NEAREST = 50
"""Times k: so many of the nearest are looked through before all are."""


@dataclass(frozen=True)
class Write:
    """Versions of passages, by row, of which those leave the index and these come."""

    kind: Kind
    gone: Rows
    come: Rows


@dataclass(frozen=True)
class Changes:
    """Every version of every passage with its vector: those of the corpus first. `first` are in it at the beginning."""

    docs: Sequence[Doc]
    vectors: Vectors
    first: Rows
    writes: Sequence[Write]

    @property
    def last(self) -> Rows:
        """What is in the index at the end."""
        gone = np.concatenate([write.gone for write in self.writes])
        come = np.concatenate([write.come for write in self.writes])
        return np.union1d(np.setdiff1d(self.first, gone), come)


def changes_of(asked: StoresChurn, docs: Sequence[Doc], vectors: Vectors, *, seed: int) -> Changes:
    """Draw by the seed what comes, goes and is replaced, in writes of one kind each whose order is drawn, too.

    Raises BadInput where a share is too small for these passages.
    """
    known = np.flatnonzero(~unknown_rows(vectors))
    random = np.random.default_rng([seed, 1])
    left = random.permutation(known)
    inserted, deleted, replaced, _ = np.split(left, np.cumsum(counts_of(asked, len(known))))
    texts = np.roll(replaced, -1)
    versions = [
        replace(docs[old], title=docs[new].title, text=docs[new].text)
        for old, new in zip(replaced.tolist(), texts.tolist(), strict=True)
    ]
    nothing, renewed = np.empty(0, np.int64), np.arange(len(docs), len(docs) + len(versions))

    def cut(rows: Rows) -> list[Rows]:
        return [rows[start : start + asked.batch] for start in range(0, len(rows), asked.batch)]

    writes = [Write("delete", rows, nothing) for rows in cut(deleted)]
    writes += [Write("insert", nothing, rows) for rows in cut(inserted)]
    writes += [Write("replace", *rows) for rows in zip(cut(replaced), cut(renewed), strict=True)]
    return Changes(
        [*docs, *versions],
        np.concatenate([vectors, vectors[texts]]) if len(texts) else vectors,
        np.setdiff1d(known, inserted),
        [writes[place] for place in random.permutation(len(writes)).tolist()],
    )


@dataclass
class InIndex:
    """When each version came and went, in ns of the clock: the beginning and the end of the write that did it."""

    coming: tuple[Rows, Rows]
    going: tuple[Rows, Rows]

    @classmethod
    def of(cls, made: Changes) -> InIndex:
        never = np.full(len(made.docs), NEVER)
        came = never.copy()
        came[made.first] = -1
        return cls((came, came.copy()), (never, never.copy()))

    def possible(self, start: int, end: int) -> NDArray[np.bool_]:
        """Which may have been in the index at some moment from `start` to `end`."""
        return (self.coming[0] <= end) & (self.going[1] >= start)

    def certain(self, start: int, end: int) -> NDArray[np.bool_]:
        """Which were in it all that time."""
        return (self.coming[1] < start) & (self.going[0] > end)


@dataclass
class Log:
    """What is written down of one index; a search has the rows that it found, best first."""

    searches: list[tuple[str, str, int, EmbeddedQuery, int, int, int, list[int]]] = field(default_factory=list)
    """setting, phase, round, query, start, end, duration, rows"""
    writes: list[tuple[str, int, int, int, int | None]] = field(default_factory=list)
    """kind, passages, start, duration, until the first of them is found"""


def churned(plan: StoresPlan) -> list[Index]:
    """The indexes that can be changed."""
    return [index for index in plan.indexes if can_change(index.store)]


def record_churn(
    plan: StoresPlan, docs: Sequence[Doc], vectors: Vectors, queries: Sequence[EmbeddedQuery], bench: Bench
) -> None:
    """Change every index that can be changed; what a killed run has finished of them stays."""
    if plan.settings.churn is None:
        return
    made = changes_of(plan.settings.churn, docs, vectors, seed=plan.subject.config.seed)
    for number, index in enumerate(churned(plan)):
        place = bench.folder / "stores" / "churn" / str(number)
        if (place / "sizes.parquet").exists():
            continue
        place.mkdir(parents=True, exist_ok=True)
        _Churn(plan, index, made, queries, bench).run(place)


class _Churn:
    """One index through all phases."""

    def __init__(
        self, plan: StoresPlan, index: Index, made: Changes, queries: Sequence[EmbeddedQuery], bench: Bench
    ) -> None:
        self._plan, self._index, self._made, self._bench = plan, index, made, bench
        self._queries, self._store, self._clock = queries, index.store, bench.clock
        self._settings = plan.settings.churn or StoresChurn(deleted=0.1)
        self._present, self._log, self._written = InIndex.of(made), Log(), 0
        self._rows: dict[Doc, list[int]] = {}
        for row, doc in enumerate(made.docs):
            self._rows.setdefault(doc, []).append(row)

    def run(self, place: Path) -> None:
        """Write the three files."""
        progress, label = self._bench.progress, self._index.name
        progress.start(f"change {label}: build it without what will come", 1)
        self._filled(self._made.first)
        before = self._store.index_bytes
        progress.done()
        asked = self._asked()
        self._rounds("before", asked)
        self._change(asked)
        self._rounds("after", asked)
        after = self._store.index_bytes
        progress.start(f"change {label}: build it anew", 1)
        built = self._filled(self._made.last)
        rebuilt = self._store.index_bytes
        progress.done()
        self._rounds("rebuilt", self._asked())
        files.write_table(place / "searches.parquet", self._searches())
        columns = ["kind", "passages", "start_ns", "duration_ns", "visible_ns"]
        writes = pd.DataFrame(self._log.writes, columns=columns).astype({"visible_ns": "Int64"})
        files.write_table(place / "writes.parquet", writes)
        sizes = {"before_bytes": before, "after_bytes": after, "rebuilt_bytes": rebuilt, "rebuild_ns": built}
        files.write_table(place / "sizes.parquet", pd.DataFrame([sizes]))

    def _filled(self, rows: Rows) -> int:
        """Ns that it takes until all of these are searched through the index."""
        start, apart = self._clock(), excluded_ns()
        self._store.add([self._made.docs[row] for row in rows.tolist()], self._made.vectors[rows])
        if isinstance(self._store, IndexesLater):
            self._store.await_index()
        return self._clock() - start - (excluded_ns() - apart)

    def _asked(self) -> Mapping[str, Store]:
        """Every setting with a connection of its own, so that no search waits for a write on the same one."""
        return {setting.name: _reader(self._store, setting) for setting in self._index.settings}

    def _rounds(self, phase: str, asked: Mapping[str, Store]) -> None:
        timing = self._plan.settings.timing
        self._bench.progress.start(f"change {self._index.name}: ask {phase}", timing.rounds)
        for query in self._queries[: timing.warmup]:
            for store in asked.values():
                store.search(query, self._plan.parts.depth)
        for number in range(timing.rounds):
            for query in self._queries:
                self._ask(asked, phase, number, query)
            self._bench.progress.advance(1)
        self._bench.progress.done()

    def _ask(self, asked: Mapping[str, Store], phase: str, number: int, query: EmbeddedQuery) -> None:
        for name, store in asked.items():
            start, apart = self._clock(), excluded_ns()
            ranking = store.search(query, self._plan.parts.depth).ranking
            end = self._clock()
            rows = [self._row(item.doc, start, end) for item in ranking]
            duration = end - start - (excluded_ns() - apart)
            self._log.searches.append((name, phase, number, query, start, end, duration, rows))

    def _row(self, doc: Doc, start: int, end: int) -> int:
        """Its row; of versions that do not differ the one that may be in the index."""
        rows = self._rows[doc]
        return next((row for row in rows if self._present.possible(start, end)[row]), rows[-1]) if rows[1:] else rows[0]

    def _change(self, asked: Mapping[str, Store]) -> None:
        """Write from another thread, and ask until it has ended."""
        progress, stop = self._bench.progress, Event()
        progress.start(f"change {self._index.name}: write while it is asked", len(self._made.writes))
        told = 0
        with ThreadPoolExecutor(1) as pool:
            writer: Future[None] = pool.submit(self._write, stop)
            try:
                for number, query in self._cycle():
                    if writer.done():
                        break
                    self._ask(asked, "during", number, query)
                    progress.advance(self._written - told)
                    told = self._written
            finally:
                stop.set()
            writer.result()
        progress.done()

    def _cycle(self) -> Iterator[tuple[int, EmbeddedQuery]]:
        number = 0
        while True:
            yield from ((number, query) for query in self._queries)
            number += 1

    def _write(self, stop: Event) -> None:
        """All writes, spread over the seconds that were asked for."""
        clock, began = self._clock, self._clock()
        step_ns = self._settings.seconds * 1e9 / len(self._made.writes)
        for number, write in enumerate(self._made.writes):
            while (wait_ns := began + number * step_ns - clock()) > 0:
                if stop.is_set():
                    return
                sleep(min(0.05, wait_ns / 1e9))
            start = clock()
            self._present.going[0][write.gone] = self._present.coming[0][write.come] = start
            took = self._written_to(write)
            end = clock()
            self._present.going[1][write.gone] = self._present.coming[1][write.come] = end
            visible = self._visible(int(write.come[0]), start, clock) if len(write.come) else None
            self._log.writes.append((write.kind, max(len(write.gone), len(write.come)), start, took, visible))
            self._written += 1

    def _written_to(self, write: Write) -> int:
        """Ns that the store's own calls take."""
        store, docs = self._store, self._made.docs
        if not isinstance(store, MutableStore):
            raise TypeError("a store that cannot be changed was asked to")
        ids, new = [docs[row].doc_id for row in write.gone.tolist()], [docs[row] for row in write.come.tolist()]
        vectors = self._made.vectors[write.come]
        start, apart = self._clock(), excluded_ns()
        if ids:
            store.delete(ids)
        if new:
            store.insert(new, vectors)
        return self._clock() - start - (excluded_ns() - apart)

    def _visible(self, row: int, start: int, clock: Clock) -> int | None:
        """Ns from the beginning of the write until a search by the passage's own vector finds it; None: not in time."""
        doc = self._made.docs[row]
        query = replace(self._queries[0], vector=np.ascontiguousarray(self._made.vectors[row]))
        while True:
            found = any(item.doc == doc for item in self._store.search(query, self._plan.parts.depth).ranking)
            waited = clock() - start
            if found or waited > VISIBLE_WITHIN_S * 1e9:
                return waited if found else None
            sleep(0.005)

    def _searches(self) -> pd.DataFrame:
        """What each search found of what it should have, and what it found of what was gone."""
        rows, k, of_query = [], self._plan.settings.k, dict[str, list[int]]()
        longest = max(float(np.linalg.norm(row)) for row in self._made.vectors)
        renewed = {row for write in self._made.writes if write.kind == "replace" for row in write.gone.tolist()}
        for place, search in enumerate(self._log.searches):
            of_query.setdefault(search[3].query.query_id, []).append(place)
        for query_id, places in of_query.items():
            query = self._log.searches[places[0]][3]
            if query.vector is None or not query.vector.any():
                continue
            scores = np.asarray(self._made.vectors @ query.vector, np.float64)
            tie = TIE * float(np.linalg.norm(query.vector)) * longest
            nearest = np.argsort(-scores, kind="stable")[: NEAREST * k]
            for place in places:
                name, phase, number, _, start, end, duration, found = self._log.searches[place]
                possible, certain = self._present.possible(start, end), self._present.certain(start, end)
                best = nearest[possible[nearest]][:k]
                if len(best) < k:
                    all_possible = np.flatnonzero(possible)
                    best = all_possible[np.argsort(-scores[all_possible], kind="stable")[:k]]
                border, met = scores[best].min() - tie, np.asarray(found[:k], np.int64)
                wanted = int(certain[best].sum())
                hits = min(int((certain[met] & (scores[met] >= border)).sum()), wanted)
                gone = np.asarray(found, np.int64)
                gone = gone[self._present.going[1][gone] < start]
                stale = sum(row in renewed for row in gone.tolist())
                rows.append(
                    (name, phase, number, query_id, start, duration, wanted, hits, len(gone) - stale, stale, len(found))
                )
        columns = ["setting", "phase", "round", "query_id", "start_ns", "duration_ns", "wanted", "hits", "ghosts",
                   "stale", "found"]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)


def _reader(store: Store, setting: IndexSetting) -> Store:
    if isinstance(store, TunableStore) and store.search_knobs:
        return store.tuned(**setting.knobs)
    return store
