"""Scores that quality is forecast from: those of the passages that are kept, and the best of all at the largest sizes.

Only of pipelines that end with an exact search over vectors: there a passage's score does not depend on the corpus
around it. Written as growth/tails/<pipeline>.parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ragprof import files
from ragprof.core import EmbeddedQuery, Layout, Vectors
from ragprof.record.growth.cells import Cells, searched
from ragprof.record.growth.plan import Growing
from ragprof.record.growth.tables import cell_table
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Embedding, embedded_queries
from ragprof.stages import ApproximateStore, NestedStore

DEEPEST = 256
TAIL_COLUMNS = ("order", "size", "query", "place", "score")
KEPT = 0
"""The `size` of a row that holds the score of a passage that is kept, for every query: whose it is, the judge knows."""


def write_tails(growing: Growing, layouts: Sequence[Layout], embedding: Embedding, folder: Path) -> None:
    """One file for each pipeline that this kind of forecast can be made for, unless it is there."""
    for parts in growing.subject.pipelines:
        path = folder / "tails" / f"{parts.name}.parquet"
        if ends_with_exact_search(parts) and not path.exists():
            path.parent.mkdir(exist_ok=True)
            queries = embedded_queries(growing.subject.queries, embedding.queries[id(parts.embedder)])
            files.write_table(path, _tails(growing, parts, layouts, embedding.documents[id(parts.embedder)], queries))


def ends_with_exact_search(parts: Parts) -> bool:
    store = parts.store
    absolute = isinstance(store, NestedStore) and store.needs_vectors and not isinstance(store, ApproximateStore)
    return absolute and parts.reranker is None


def _tails(
    growing: Growing, parts: Parts, layouts: Sequence[Layout], vectors: Vectors, queries: Sequence[EmbeddedQuery]
) -> pd.DataFrame:
    docs, kept = growing.pool.docs, growing.ground.kept
    largest = [Layout(layout.members, layout.sizes[-2:]) for layout in layouts]
    alone = [Layout(kept, (len(kept),))]
    (best,) = searched(
        parts.store, docs, vectors, queries=queries, curves={"best": largest}, depth=min(DEEPEST, largest[0].sizes[0])
    ).values()
    (own,) = searched(parts.store, docs, vectors, queries=queries, curves={"kept": alone}, depth=len(kept)).values()
    tables = [cell_table(Cells((KEPT,), own.places, own.scores)), cell_table(best)]
    return pd.concat(tables, ignore_index=True)[list(TAIL_COLUMNS)]
