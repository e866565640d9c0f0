"""The stores pass: every index built once, every setting asked for every question, then all timed in turns.

Writes <recording>/stores/: rankings/<number>.parquet (a file a setting), found.parquet (what each search returned),
builds.parquet, spans.parquet (live searches through the store's own call) and, last, manifest.json. What a killed run
has ranked and changed stays; indexes are built and other times taken anew. Knows no judgement and no price.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, EmbeddedQuery, Found, Query, Ranking, Vectors, environment, files, registry
from ragprof.core.clock import excluded_ns
from ragprof.core.ranking import without
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import (
    ClosableStore,
    FilteredStore,
    IndexesLater,
    NamedEngine,
    Store,
    TellsMemory,
    TellsServerTime,
)
from ragprof.record.budget import shares
from ragprof.record.query import reranked
from ragprof.record.rankings import PairScores, economical
from ragprof.record.recording import (
    Bench,
    embed,
    embedded_queries,
    fingerprint_of,
    identities,
    load,
    redacted,
    shuffled,
)
from ragprof.record.timings import QuietMoments, Timings, busiest, warmed
from ragprof.studies.stores.churn import churned, record_churn
from ragprof.studies.stores.cold import record_cold, reopened
from ragprof.studies.stores.plan import Index, StoresPlan, can_filter
from ragprof.studies.stores.truth import TIE, ExactScores, found_right

RANKING_COLUMNS = ("query_id", "stage", "rank", "doc_id", "document_id", "score", "exact_score")
SERVER_QUERIES = 100
"""Questions for which a server is asked how long it took, apart from all that is timed."""


APART = " | "
"""Between a setting and a field."""
Search: TypeAlias = Callable[[EmbeddedQuery], Found]


@dataclass(frozen=True)
class IndexedPassages:
    """What is indexed."""

    docs: Sequence[Doc]
    vectors: Vectors
    exact: ExactScores


@dataclass(frozen=True)
class ReadyStore:
    """A setting of a built index, under its number."""

    number: int
    name: str
    store: Store


def record_stores(plan: StoresPlan, bench: Bench) -> None:
    """Build, rank, rerank and time. Raises BadInput where a store refuses what it is given."""
    folder = bench.folder / "stores"
    files.ready_folder(folder / "rankings", remedy="give another one with --out")
    facts = _facts(plan)
    _continue_or_clear(folder, facts)
    load(plan.subject.pipelines, bench.progress)
    docs = plan.subject.corpus.docs
    embedding = embed(plan.subject, docs, bench)
    key = id(plan.parts.embedder)
    queries = embedded_queries(plan.subject.queries, embedding.queries[key])
    with ExitStack() as stack:
        for index in plan.indexes:
            if isinstance(index.store, ClosableStore):
                stack.callback(index.store.close)
        asked = _build(plan, docs, embedding.documents[key], folder, bench)
        exact = ExactScores(docs, embedding.documents[key])
        _rank(plan, asked, queries, exact, folder, bench)
        plain = {each.name: partial(_plain, each.store, plan.parts.depth) for each in asked}
        spans = _timed(plan, plain, queries, bench)
        if plan.filters:
            _filtered(plan, asked, IndexedPassages(docs, embedding.documents[key], exact), queries, folder, bench)
        engines = {each.name: each.store.engine for each in asked if isinstance(each.store, NamedEngine)}
        made = {each.name: each.store.identity for each in asked}
        record_cold(plan, queries, bench)
        record_churn(plan, docs, embedding.documents[key], queries, bench)  # last: it leaves other passages behind
    files.write_table(folder / "spans.parquet", spans)
    write_sealed(
        folder / "manifest.json",
        {**facts, "recording": uuid4().hex, "engines": redacted(engines), "stores": redacted(made),
         "environment": environment.describe()},
        *(f"{name}.parquet" for name in ("builds", "spans", "filtered", "filtered_spans", "rankings/*", "found/*")),
        *("churn/*/*.parquet", "cold.parquet", "opened.parquet"),
    )  # fmt: skip


def _facts(plan: StoresPlan) -> dict[str, Any]:
    """What the recording rests on."""
    subject = plan.subject
    return {
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {"name": subject.corpus.name, "docs": len(subject.corpus.docs),
                   "documents": subject.corpus.documents, "sha256": subject.corpus.sha256},
        "questions": fingerprint_of(subject.queries),
        "identities": {plan.parts.name: {
            name: value for name, value in redacted(identities(subject.pipelines))[plan.parts.name].items()
            if name in ("embedder",)
        }},
        "query_ids": [query.query_id for query in subject.queries],
        "pipeline": plan.parts.name,
        "reranker": plan.reranker if plan.parts.reranker is not None else "",
        "reranker_identity": None if plan.parts.reranker is None else redacted(plan.parts.reranker.identity or ""),
        "injector": redacted(plan.parts.injector.identity or ""),
        "depth": plan.parts.depth,
        "k": plan.settings.k,
        "tie": TIE,
        "filters": {field.name: field.share for field in plan.filters},
        "values": {field.name: field.wanted for field in plan.filters if not field.is_made_up},
        "churn": None if plan.settings.churn is None else plan.settings.churn.model_dump(),
        "churned": [] if plan.settings.churn is None else [index.name for index in churned(plan)],
        "cold": None if plan.settings.cold is None else plan.settings.cold.model_dump(),
        "reopened": [] if plan.settings.cold is None else [index.name for index in reopened(plan)],
        "settings": [
            {"name": setting.name, "index": index.label, "built": index.name, "number": number,
             "knobs": dict(setting.knobs), "spec": redacted(index.spec.model_dump(mode="json"))}
            for number, (index, setting) in enumerate(_every(plan))
        ],
    }  # fmt: skip


def _every(plan: StoresPlan) -> list[tuple[Index, Any]]:
    return [(index, setting) for index in plan.indexes for setting in index.settings]


def _continue_or_clear(folder: Path, facts: Mapping[str, Any]) -> None:
    """Keep rankings that a killed run of the same plan left; a finished recording is made anew."""
    path = folder / "plan.json"
    basis = {key: value for key, value in facts.items() if key != "config"}
    same = path.exists() and files.read_json(path, remedy="delete it") == basis
    if not same or (folder / "manifest.json").exists():
        for name in ("rankings", "found", "churn"):
            shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    for name in ("rankings", "found"):
        (folder / name).mkdir(exist_ok=True)
    files.write_json(path, basis)


def _build(plan: StoresPlan, docs: Sequence[Doc], vectors: Vectors, folder: Path, bench: Bench) -> list[ReadyStore]:
    """Every index once; its seconds until `add` returns, and until what it holds is searched through it."""
    rows, asked, clock = [], list[ReadyStore](), bench.clock
    labels = {field.name: field.values for field in plan.filters}
    bench.progress.start("build indexes", len(plan.indexes))
    for index in plan.indexes:
        store = index.store
        store.load()
        environment.reset_peak()
        start, apart = clock(), excluded_ns()
        if labels and isinstance(store, FilteredStore) and store.can_filter:
            store.add_labelled(docs, vectors, labels)
        else:
            store.add(docs, vectors)
        built = clock() - start - (excluded_ns() - apart)
        if isinstance(store, IndexesLater):
            store.await_index()
        ready = clock() - start - (excluded_ns() - apart)
        memory = store.memory_bytes if isinstance(store, TellsMemory) else None
        for setting in index.settings:
            rows.append((setting.name, built, ready, store.index_bytes, memory, environment.peak_rss_bytes()))
            asked.append(ReadyStore(len(asked), setting.name, setting.of(store)))
        bench.progress.advance(1)
    bench.progress.done()
    columns = ["setting", "build_ns", "ready_ns", "index_bytes", "memory_bytes", "peak_rss_bytes"]
    files.write_table(folder / "builds.parquet", pd.DataFrame(rows, columns=columns).astype({"memory_bytes": "Int64"}))
    return asked


def _rank(
    plan: StoresPlan, asked: Sequence[ReadyStore], queries: Sequence[EmbeddedQuery], exact: ExactScores, folder: Path,
    bench: Bench,
) -> None:  # fmt: skip
    """Search, rerank and inject what was found: each pair is scored once, whichever settings found it."""
    missing = [each for each in asked if not _ranked_path(folder, each).exists()]
    rankings: dict[int, list[Ranking]] = {}
    bench.progress.start("search with every setting", len(missing) * len(queries))
    for each in missing:
        rankings[each.number] = _searched(each, queries, plan.parts.depth, folder, bench)
    bench.progress.done()
    reranker = plan.parts.reranker
    counted = None if reranker is None else economical(reranker, bench.cache)
    if isinstance(counted, PairScores):
        pairs = {
            (embedded.query.query_id, item.doc.doc_id): (embedded.query, item.doc)
            for found in rankings.values()
            for embedded, ranking in zip(queries, found, strict=True)
            for item in ranking
        }
        counted.prepare(pairs.values(), bench.progress)
    bench.progress.start("rerank every setting", 0 if counted is None else len(missing))
    for each in missing:
        rows = []
        for embedded, ranking in zip(queries, rankings[each.number], strict=True):
            stages: dict[str, Ranking] = {"search": ranking}
            if counted is not None:
                stages["rerank"] = reranked(counted, embedded.query, ranking)[0] if ranking else ()
            ids = [item.doc.doc_id for item in ranking]
            right = dict(zip(ids, exact.of(embedded, ids).tolist(), strict=True))
            last = stages.get("rerank", ranking)
            stages["inject"] = plan.parts.injector.inject(embedded.query, last).ranking
            query_id = embedded.query.query_id
            rows += [
                (query_id, stage, rank, item.doc.doc_id, item.doc.document_id, item.score, right[item.doc.doc_id])
                for stage, one in stages.items()
                for rank, item in enumerate(one, start=1)
            ]
        files.write_table(_ranked_path(folder, each), pd.DataFrame(rows, columns=list(RANKING_COLUMNS)))
        if counted is not None:
            bench.progress.advance(1)
    bench.progress.done()


def _ranked_path(folder: Path, asked: ReadyStore) -> Path:
    return folder / "rankings" / f"{asked.number}.parquet"


def _searched(
    asked: ReadyStore, queries: Sequence[EmbeddedQuery], depth: int, folder: Path, bench: Bench
) -> list[Ranking]:
    """The rankings of one setting, and beside them how many documents each search found and the server's own time."""
    rankings, rows = list[Ranking](), []
    for place, embedded in enumerate(queries):
        found = asked.store.search(embedded, depth)
        server = None
        if isinstance(asked.store, TellsServerTime) and place < SERVER_QUERIES:
            server = asked.store.search_with_server_time(embedded, depth).usage.get("server_ns")
        rows.append((asked.name, embedded.query.query_id, len(found.ranking), server))
        rankings.append(without(found.ranking, embedded.query.own_document))
        bench.progress.advance(1)
    table = pd.DataFrame(rows, columns=["setting", "query_id", "found", "server_ns"]).astype({"server_ns": "Int64"})
    files.write_table(folder / "found" / f"{asked.number}.parquet", table)
    return rankings


def _plain(store: Store, depth: int, query: EmbeddedQuery) -> Found:
    return store.search(query, depth)


def _timed(
    plan: StoresPlan, searches: Mapping[str, Search], queries: Sequence[EmbeddedQuery], bench: Bench
) -> pd.DataFrame:
    """Warm-up and interleaved rounds of live searches: A B C, then C A B."""
    timing, clock, names = plan.settings.timing, bench.clock, list(searches)
    vectors = {each.query.query_id: each for each in queries}
    order = shuffled(plan.subject.queries, plan.subject.config.seed)

    def took(search: Search, query: Query) -> int:
        start, apart = clock(), excluded_ns()
        search(vectors[query.query_id])
        return clock() - start - (excluded_ns() - apart)

    askers: dict[str, Callable[[Query], int]] = {name: partial(took, search) for name, search in searches.items()}
    patience = QuietMoments(timing, clock, bench.progress)
    medians = warmed(askers, order, timing=timing, progress=bench.progress, patience=patience)
    counts = shares(medians, len(order), timing, asked=timing.rounds)

    def one_round(number: int) -> Timings:
        timings = Timings()
        for place in range(len(names)):
            name = names[(place - number) % len(names)]
            with timings.reading(name, number, clock):
                for query in order[: counts[name]]:
                    start = clock()
                    timings.add_whole(name, "timed", number, query.query_id, start, askers[name](query))
            bench.progress.advance(1)
        return timings

    rounds = patience.rounds(one_round, busiest, range(timing.rounds), task="time live searches", steps=len(names))
    return Timings.of(rounds).span_table()


def _filtered(
    plan: StoresPlan, asked: Sequence[ReadyStore], passages: IndexedPassages, queries: Sequence[EmbeddedQuery],
    folder: Path, bench: Bench,
) -> None:  # fmt: skip
    """filtered.parquet: what each setting finds of the nearest that a filter lets through; then the same, live."""
    depth, k, rows = plan.parts.depth, plan.settings.k, []
    able = [each for each in asked if can_filter(each.store)]
    searches: dict[str, Search] = {}
    bench.progress.start("search with filters", len(plan.filters) * len(able))
    for field in plan.filters:
        places = field.places
        truth: Store = registry.create("stores", registry.PartSpec(name="faiss_flat"))
        truth.add([passages.docs[place] for place in places], passages.vectors[places])
        best = [_scores(passages.exact, query, truth.search(query, k).ranking) for query in queries]
        for each in able:
            search = partial(_where, each.store, depth, {field.name: field.wanted})
            searches[f"{each.name}{APART}{field.name}"] = search
            for query, wanted in zip(queries, best, strict=True):
                found = search(query).ranking
                hits = found_right(_scores(passages.exact, query, found[:k]), wanted)
                rows.append((each.name, field.name, query.query.query_id, hits, len(wanted), len(found), len(places)))
            bench.progress.advance(1)
    bench.progress.done()
    columns = ["setting", "field", "query_id", "hits", "wanted", "found", "matching"]
    files.write_table(folder / "filtered.parquet", pd.DataFrame(rows, columns=columns))
    files.write_table(folder / "filtered_spans.parquet", _timed(plan, searches, queries, bench))


def _scores(exact: ExactScores, query: EmbeddedQuery, ranking: Ranking) -> NDArray[np.float64]:
    return exact.of(query, [item.doc.doc_id for item in ranking])


def _where(store: Store, depth: int, where: Mapping[str, str], query: EmbeddedQuery) -> Found:
    if not isinstance(store, FilteredStore):
        raise TypeError("a store that cannot filter was asked to")
    return store.search_where(query, depth, where)
