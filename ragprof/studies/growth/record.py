"""The growth pass: rankings in every sub-corpus for about the price of one, then live timings at each size.

Writes <recording>/growth/: plan.json (what it rests on; first), docs.parquet, queries.parquet, cells/, prompts/,
exact/, tails/, live/, sizes/<size>/ (each a recording of its own, as the price pass reads them) and manifest.json
(last). Knows no relevance judgement and no price. A killed run continues: vectors and pair scores are in the cache, a
curve of a pipeline and a timed cell are whole or not there.

growth/tails/<pipeline>.parquet holds the scores that quality is forecast from: those of the passages that are kept, and
the best of all at the largest sizes. Only of pipelines that end with an exact search over vectors: there a passage's
score does not depend on the corpus around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from ragprof.core import EmbeddedQuery, Layout, Vectors, environment, files
from ragprof.core.ranking import id_ranks
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import ApproximateStore, NestedStore, Store
from ragprof.core.tokens import counter, remembering
from ragprof.corpus import layouts
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import PairScores, economical
from ragprof.record.recording import Bench, Embedding, embed, embedded_queries, load, redacted
from ragprof.record.unread import UnreadTexts, unknown_to_embedders, unread_by_embedders, unread_by_rerankers
from ragprof.studies.growth import record_cells as arrays
from ragprof.studies.growth.plan import Growing, claim, docs_table, entry_table, fingerprint, sweep
from ragprof.studies.growth.record_apps import AppAsker, Asking, whole_afterwards
from ragprof.studies.growth.record_cells import Cells, searched
from ragprof.studies.growth.record_live import (
    LIVE_CURVE,
    LIVE_ORDER,
    InjectedPrompts,
    cell_table,
    cells_path,
    injected,
    is_recorded,
    laid_out,
    time_sizes,
    write_cells,
    write_sizes,
)
from ragprof.studies.growth.recorded import CELLS, WORK, GrownApp

BLOCK = 16_384


def layouts_of(growing: Growing, vectors: Mapping[int, Vectors]) -> dict[str, list[Layout]]:
    """curve -> one layout per order. `vectors` are the pool's by id() of the embedder; `similar` takes the first's."""
    ground, kinds = growing.ground, growing.pool.kinds
    drawn: dict[str, Callable[[int], Layout]] = {
        "all_judged": partial(layouts.all_judged, ground),
        "proportional": partial(layouts.proportional, ground),
        **{kind: partial(layouts.added, ground, distractors=places) for kind, places in kinds.items()},
    }
    if "similar" in growing.growth.curves:
        # The highest similarity of each passage of the corpus with any that is kept, by the eval's first embedder.
        first = next(parts.embedder for parts in growing.subject.pipelines if parts.embedder is not None)
        rows = vectors[id(first)][: growing.pool.corpus]
        kept = np.ascontiguousarray(rows[ground.kept].T)
        blocks = (rows[start : start + BLOCK] @ kept for start in range(0, len(rows), BLOCK))
        closeness = np.concatenate([block.max(axis=1) for block in blocks])
        drawn["similar"] = partial(layouts.nearest_first, ground, closeness=closeness)
    return {curve: [drawn[curve](order) for order in range(growing.growth.orders)] for curve in growing.growth.curves}


DEEPEST = 256
TAIL_COLUMNS = ("order", "size", "query", "place", "score")
KEPT = 0
"""The `size` of a row that holds the score of a passage that is kept, for every query: whose it is, the judge knows."""


def write_tails(growing: Growing, layouts: Sequence[Layout], embedding: Embedding, folder: Path) -> None:
    """One file for each pipeline that this kind of forecast can be made for, unless it is there."""
    docs, kept = growing.pool.docs, growing.ground.kept
    largest = [Layout(layout.members, layout.sizes[-2:]) for layout in layouts]
    alone = [Layout(kept, (len(kept),))]
    for parts in growing.subject.pipelines:
        path, store = folder / "tails" / f"{parts.name}.parquet", parts.store
        exact = isinstance(store, NestedStore) and store.needs_vectors and not isinstance(store, ApproximateStore)
        if not exact or parts.reranker is not None or path.exists():
            continue
        queries = embedded_queries(growing.subject.queries, embedding.queries[id(parts.embedder)])
        find = partial(searched, store, docs, embedding.documents[id(parts.embedder)], queries=queries)
        (best,) = find(curves={"best": largest}, depth=min(DEEPEST, largest[0].sizes[0])).values()
        (own,) = find(curves={"kept": alone}, depth=len(kept)).values()
        tables = [cell_table(Cells((KEPT,), own.places, own.scores)), cell_table(best)]
        path.parent.mkdir(exist_ok=True)
        files.write_table(path, pd.concat(tables, ignore_index=True)[list(TAIL_COLUMNS)])


@dataclass(frozen=True)
class Site:
    """One growth recording on its way: what grows, where it is written, with which vectors and sub-corpora."""

    growing: Growing
    bench: Bench
    folder: Path
    embedding: Embedding
    curves: Mapping[str, list[Layout]]
    tokens: dict[int, int]

    @cached_property
    def ranks(self) -> arrays.Places:
        return id_ranks([doc.doc_id for doc in self.growing.pool.docs])

    def queries(self, parts: Parts) -> list[EmbeddedQuery]:
        return embedded_queries(self.growing.subject.queries, self.embedding.queries.get(id(parts.embedder)))


def record_growth(growing: Growing, bench: Bench) -> None:
    """Record in `bench.folder`/growth, or continue what is there. Raises BadInput where it is another recording."""
    folder = bench.folder / "growth"
    claim(folder, growing)
    sweep(folder)
    (folder / "manifest.json").unlink(missing_ok=True)
    load(growing.subject.pipelines, bench.progress)
    embedding = embed(growing.subject, growing.pool.docs, bench)
    curves = layouts_of(growing, embedding.documents)
    site = Site(growing, bench, folder, embedding, curves, {})
    count_work(
        folder, docs_embedded=embedding.work["docs_embedded"], queries_embedded=embedding.work["queries_embedded"]
    )
    asker = AppAsker(
        growing.pool.docs, growing.subject.queries, counter(growing.subject.config.tokenizer), bench.progress
    )
    with whole_afterwards(growing.subject.pipelines, growing.subject.corpus.docs, bench.progress):
        record_rankings(site)
        ask_apps(site, asker)
        _record_rest(site, asker)


def _record_rest(site: Site, asker: AppAsker) -> None:
    """What follows the rankings: tails, tables, live timings, and the manifest last."""
    growing, folder, bench, embedding, curves = site.growing, site.folder, site.bench, site.embedding, site.curves
    write_tails(growing, curves["all_judged"], embedding, folder)
    files.write_table(folder / "docs.parquet", docs_table(growing, injected_tokens(site)))
    files.write_table(folder / "entry.parquet", entry_table(growing, curves))
    files.write_table(folder / "queries.parquet", pd.DataFrame({"query_id": growing.query_ids}))
    rows = laid_out(growing, curves["all_judged"][0], embedding.documents, bench.cache)
    time_sizes(growing, rows, bench, folder)
    write_sizes(growing, folder)
    write_sealed(
        folder / "manifest.json",
        _manifest(site, asker.notes),
        *(f"{name}.parquet" for name in ("docs", "entry", "queries", "cells/*/*", "prompts/*/*", "tails/*", "exact/*")),
        "live/*/*.parquet",
    )


def ask_apps(site: Site, asker: AppAsker) -> None:
    """Cells of every app that is not recorded yet."""
    apps = [parts for parts in site.growing.subject.pipelines if parts.app is not None]
    for group in arrays.store_groups(apps):
        missing = {
            curve: layouts
            for curve, layouts in site.curves.items()
            if not all(is_recorded(site.folder, parts.name, curve) for parts in group)
        }
        # Of a run that was killed later, in its live rounds, nothing is missing.
        for name, curves in (asker.ask(group, missing) if missing else {}).items():
            for curve, answered in curves.items():
                write_cells(site.folder, name, curve, cells=answered.cells, inside=answered.inside)


def record_rankings(site: Site) -> None:
    """Cells of every pipeline that is not recorded yet: each store is searched once, each pair scored once."""
    missing = [
        parts
        for parts in site.growing.declared
        if not all(is_recorded(site.folder, parts.name, curve) for curve in site.curves)
    ]
    found: dict[str, dict[str, Cells]] = {}
    groups = arrays.store_groups(missing)
    site.bench.progress.start("search every sub-corpus", len(groups))
    for group in groups:
        found.update(_searched(site, group))
        site.bench.progress.advance(1)
    site.bench.progress.done()
    scored = _scored(site, missing, found)
    site.bench.progress.start("inject", len(missing) * len(site.curves))
    with remembering():
        for parts in missing:
            _write(site, parts, scored[parts.name])
    site.bench.progress.done()


def _searched(site: Site, group: Sequence[Parts]) -> dict[str, dict[str, Cells]]:
    """The cells of all pipelines over one store: once to the greatest depth, where shallower searches follow from it.

    Elsewhere once for each depth that is asked for; those of the depth curve are `all_judged@<depth>`.
    """
    store, depths = group[0].store, site.growing.depths
    if isinstance(store, NestedStore) and store.shallower_is_prefix:
        deepest = _at_depth(site, group[0], store, site.curves, site.growing.depth)
        return {parts.name: dict(deepest) for parts in group}
    own = {depth: _at_depth(site, group[0], store, site.curves, depth) for depth in {parts.depth for parts in group}}
    chosen = {LIVE_CURVE: site.curves[LIVE_CURVE]}
    swept = {
        f"{LIVE_CURVE}@{depth}": _at_depth(site, group[0], store, chosen, depth)[LIVE_CURVE]
        for depth in depths
        if any(has_depth_curve(parts) for parts in group)
    }
    _write_exact(site, group)
    return {parts.name: (swept if has_depth_curve(parts) else {}) | own[parts.depth] for parts in group}


def has_depth_curve(parts: Parts) -> bool:
    """Whether it reranks, and its scores hold for every depth."""
    return parts.reranker is not None and parts.reranker.pointwise


def _at_depth(
    site: Site, parts: Parts, store: Store, curves: Mapping[str, list[Layout]], depth: int
) -> dict[str, Cells]:
    vectors = site.embedding.documents.get(id(parts.embedder))
    return arrays.searched(
        store, site.growing.pool.docs, vectors, queries=site.queries(parts), curves=curves, depth=depth
    )


def _write_exact(site: Site, group: Sequence[Parts]) -> None:
    """What the exact counterpart of an approximate store finds, beside the pipelines over that store."""
    store = group[0].store
    counterpart = store.exact() if isinstance(store, ApproximateStore) else store
    if counterpart.identity == store.identity:
        return
    (site.folder / "exact").mkdir(exist_ok=True)
    chosen = {LIVE_CURVE: site.curves[LIVE_CURVE]}
    for parts in group:
        exact = _at_depth(site, parts, counterpart, chosen, parts.depth)[LIVE_CURVE]
        files.write_table(site.folder / "exact" / f"{parts.name}.parquet", cell_table(exact))


def _scored(
    site: Site, pipelines: Sequence[Parts], found: Mapping[str, Mapping[str, Cells]]
) -> dict[str, dict[str, Cells]]:
    """The same cells with the reranker's scores: each pair once where scores may be reused, else cell by cell."""
    docs, queries, progress = site.growing.pool.docs, site.growing.subject.queries, site.bench.progress
    scored = {parts.name: dict(found[parts.name]) for parts in pipelines}
    rerankers = {id(parts.reranker): parts.reranker for parts in pipelines if parts.reranker is not None}
    for key, reranker in rerankers.items():
        mine = [parts for parts in pipelines if id(parts.reranker) == key]
        every = [(parts, curve, cells) for parts in mine for curve, cells in scored[parts.name].items()]
        counted = economical(reranker, site.bench.cache)
        if isinstance(counted, PairScores):
            candidates = arrays.union([cells for _, _, cells in every], passages=len(docs))
            values = arrays.pair_values(counted, candidates, queries, docs, progress)
            count_work(site.folder, pairs_reused=len(values) - counted.pairs_scored)
            for parts, curve, cells in every:
                scored[parts.name][curve] = replace(cells, rerank_scores=candidates.spread(values, cells.places))
        else:
            progress.start("score every cell", len(every))
            for parts, curve, cells in every:
                depth = cells.places.shape[-1] if counted.pointwise else parts.depth
                values = arrays.scored_cell_by_cell(counted, cells, queries, docs, depth)
                scored[parts.name][curve] = replace(cells, rerank_scores=values)
                progress.advance(1)
            progress.done()
        count_work(site.folder, pairs_scored=counted.pairs_scored)
    return scored


def _write(site: Site, parts: Parts, curves: Mapping[str, Cells]) -> None:
    docs, queries = site.growing.pool.docs, site.growing.subject.queries
    prompts = InjectedPrompts(parts.injector, docs, counter(site.growing.subject.config.tokenizer), site.tokens)
    for curve, cells in curves.items():
        if curve not in site.curves:
            write_cells(site.folder, parts.name, curve, cells=cells)
            continue
        ranked = arrays.final(cells, site.ranks, parts.depth)
        inside = injected(prompts, queries, cells.places[..., : parts.depth], ranked)
        write_cells(site.folder, parts.name, curve, cells=cells, inside=inside)
        site.bench.progress.advance(1)


def injected_tokens(site: Site) -> dict[int, int]:
    """Tokens of every passage that some prompt holds, those of an earlier run included."""
    count, docs = counter(site.growing.subject.config.tokenizer), site.growing.pool.docs
    for path in sorted((site.folder / "cells").glob("*/*.parquet")):
        cells = CELLS.read(path)
        for place in cells.loc[cells["injected"] > 0, "place"].unique().tolist():
            if place not in site.tokens:
                site.tokens[place] = count(docs[place].content)
    return site.tokens


def unread(site: Site) -> list[UnreadTexts]:
    """What embedders leave unread of the pool and the queries, and rerankers of what they get in the largest corpus."""
    subject, docs, sizes = site.growing.subject, site.growing.pool.docs, site.growing.ground.sizes
    candidates = {}
    for parts in subject.pipelines:
        if parts.reranker is not None:
            cells = CELLS.read(cells_path(site.folder, parts.name, LIVE_CURVE))
            mine = (cells["order"] == LIVE_ORDER) & (cells["size"] == sizes[-1]) & (cells["rank"] <= parts.depth)
            at = zip(cells.loc[mine, "query"].tolist(), cells.loc[mine, "place"].tolist(), strict=True)
            candidates[parts.name] = [(subject.queries[query], docs[place]) for query, place in at]
    passages, queries = [doc.content for doc in docs], [query.text for query in subject.queries]
    cache = site.bench.cache
    return [
        *unread_by_embedders(subject.config, subject.pipelines, passages=passages, queries=queries, cache=cache),
        *unknown_to_embedders(
            subject.config, subject.pipelines, site.embedding.unknown, of=(len(passages), len(queries))
        ),
        *unread_by_rerankers(subject.config, subject.pipelines, candidates, cache=cache),
    ]


def count_work(folder: Path, **more: int) -> Counter[str]:
    """Add to growth/work.json, which is of all runs that this recording took, killed ones included."""
    path = folder / "work.json"
    counted = Counter(WORK.read(path) if path.exists() else {})
    counted.update(more)
    files.write_json(path, counted)
    return counted


def work_done(site: Site) -> dict[str, int]:
    """What was computed for this recording, and what was there already."""
    counted = count_work(site.folder, pairs_scored=0, pairs_reused=0)
    texts = len({doc.content for doc in site.growing.pool.docs}) * len(site.embedding.queries)
    return {
        **counted,
        "docs_reused": max(0, texts - counted["docs_embedded"]),
        "cells": sum(len(each) * len(each[0].sizes) for each in site.curves.values()),
    }


def _of_app(site: Site, name: str, happened: Asking) -> GrownApp:
    """What the cells of an app say of it, those of an earlier run included, and what happened in this run."""
    tables = [CELLS.read(cells_path(site.folder, name, curve)) for curve in site.curves]
    return {
        "depth": max((int(table["rank"].max()) for table in tables if len(table)), default=1),
        "reranked": any(bool(table["rerank_score"].notna().any()) for table in tables),
        "asked": happened.asked,
        "failed": happened.failed,
        "first_failure": happened.first_failure,
        "unknown": len(happened.unknown),
    }


def _manifest(site: Site, happened: Mapping[str, Asking]) -> dict[str, Any]:
    growing = site.growing
    apps = {
        parts.name: _of_app(site, parts.name, happened.get(parts.name, Asking()))
        for parts in growing.subject.pipelines
        if parts.app is not None
    }
    return {
        "recording": uuid4().hex,
        "plan": fingerprint(growing),
        "corpus_docs": growing.pool.corpus,
        "config": redacted(growing.subject.config.model_dump(mode="json")),
        "kept": {
            "documents": len({growing.pool.docs[place].document_id for place in growing.ground.kept.tolist()}),
            "passages": len(growing.ground.kept),
        },
        "pool": {kind: len(places) for kind, places in growing.pool.kinds.items()},
        "sizes": {curve: list(layouts[0].sizes) for curve, layouts in site.curves.items()},
        "depths": {parts.name: parts.depth for parts in growing.subject.pipelines},
        "left_out": dict(growing.left_out),
        "listwise": [
            parts.name for parts in growing.subject.pipelines if parts.reranker and not parts.reranker.pointwise
        ],
        # Stores of which it cannot be told what an exact search would have found.
        "exactness_unknown": [
            parts.name
            for parts in growing.subject.pipelines
            if parts.store.needs_vectors and not isinstance(parts.store, ApproximateStore | NestedStore)
        ],
        "unread": [each.model_dump(mode="json") for each in unread(site)],
        **({"apps": apps} if apps else {}),
        "apps_left_out": list(growing.apps_left_out.values()),
        "work": work_done(site),
        "environment": environment.describe(),
    }
