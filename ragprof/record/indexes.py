"""Indexes: each distinct store built once, live, with its duration, its bytes and the memory that it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ragprof import environment
from ragprof.clock import Clock
from ragprof.core import Doc, Vectors
from ragprof.errors import BadInput
from ragprof.progress import Progress
from ragprof.record.pipeline import Parts

BUILD_COLUMNS = ("pipeline", "duration_ns", "index_bytes", "peak_rss_bytes")


def build_indexes(
    pipelines: Sequence[Parts],
    docs: Sequence[Doc],
    vectors: Mapping[int, Vectors],
    *,
    clock: Clock,
    progress: Progress,
) -> pd.DataFrame:
    """Fill every store and return one row a pipeline; pipelines that share a store show the same build.

    `vectors` are the corpus's vectors by id() of the embedder. Embedding is not part of the build.
    """
    _check_sharing(pipelines)
    built: dict[int, tuple[int, int, int]] = {}
    progress.start("build indexes", len({id(parts.store) for parts in pipelines}))
    for parts in pipelines:
        if id(parts.store) not in built:
            environment.reset_peak()
            start = clock()
            parts.store.add(docs, vectors.get(id(parts.embedder)) if parts.store.needs_vectors else None)
            duration = clock() - start
            built[id(parts.store)] = (duration, parts.store.index_bytes, environment.peak_rss_bytes())
            progress.advance(1)
    progress.done()
    rows = [(parts.name, *built[id(parts.store)]) for parts in pipelines]
    return pd.DataFrame(rows, columns=list(BUILD_COLUMNS))


def _check_sharing(pipelines: Sequence[Parts]) -> None:
    """One store holds the vectors of one embedder. Raises BadInput where two pipelines would fill it differently."""
    embedders: dict[int, int] = {}
    for parts in pipelines:
        first = embedders.setdefault(id(parts.store), id(parts.embedder))
        if parts.store.needs_vectors and first != id(parts.embedder):
            raise BadInput(
                f"pipeline '{parts.name}' shares its store with another embedder; give it a store of its own"
            )
