"""Any index of FAISS by its index_factory string: clusters, quantised vectors, graphs, refinement."""

from __future__ import annotations

from ragprof.core.stages import Store
from ragprof.parts.faiss_index import FaissStore

plugin: type[Store] = FaissStore
