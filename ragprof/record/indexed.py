"""An app whose index is filled anew: it stands where a store stands, and is built and timed like one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors
from ragprof.core.clock import exclude, now_ns
from ragprof.core.stages import ExistingIndex
from ragprof.record.apps import AskedApp
from ragprof.record.indexing import PostedIndexing, documents_of, index_bytes
from ragprof.record.pipeline import Parts

WITHOUT_INDEX = "pipeline '{}' is an app without index(documents): it cannot be given a sub-corpus"

OF_OTHERS = "pipeline '{}' searches an index that exists, which cannot be given a sub-corpus"


class IndexedApp:
    """Fills an app's index. Variants of one app share it, and so one index.

    `index_bytes` is 0 where the app does not tell it.
    """

    identity = None
    needs_vectors = False

    def __init__(self) -> None:
        self.apps: list[AskedApp] = []
        self.index_bytes = 0
        self.is_filled = False

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process fills it, whose memory nobody sees."""
        return isinstance(self.apps[0].indexing, PostedIndexing)

    def load(self) -> None:
        """Nothing to load."""

    def add(self, docs: Sequence[Doc], vectors: Vectors | None = None) -> None:
        """Have the app index these and no others. Of the time that takes only the app's own is not `excluded`."""
        start = now_ns()
        documents = documents_of(docs)
        for app in self.apps:
            app.add(docs, None)
        exclude(now_ns() - start)
        self.is_filled = True
        self.index_bytes = index_bytes(self.apps[0].reindex(documents)) or 0

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        """Of the app as it is declared. Raises AppFailed."""
        return self.apps[0].search(query, depth)


def with_indexes(pipelines: Sequence[Parts], variant_of: Mapping[str, str]) -> tuple[tuple[Parts, ...], dict[str, str]]:
    """The pipelines that can grow, apps among them with an index to fill; and of the others why they cannot."""
    indexes: dict[str, IndexedApp] = {}
    kept: list[Parts] = []
    left_out: dict[str, str] = {}
    for parts in pipelines:
        if parts.app is None and isinstance(parts.store, ExistingIndex) and parts.store.is_existing:
            left_out[parts.name] = OF_OTHERS.format(parts.name)
        elif parts.app is None:
            kept.append(parts)
        elif parts.app.indexing is None:
            left_out[parts.name] = WITHOUT_INDEX.format(parts.name)
        else:
            store = indexes.setdefault(variant_of.get(parts.name) or parts.name, IndexedApp())
            store.apps.append(parts.app)
            kept.append(replace(parts, store=store))
    return tuple(kept), left_out
