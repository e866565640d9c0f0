"""Which passages every sub-corpus holds, for each curve and order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Layout, Vectors
from ragprof.corpus import layouts
from ragprof.record.growth.plan import Growing

BLOCK = 16_384


def layouts_of(growing: Growing, vectors: Mapping[int, Vectors]) -> dict[str, list[Layout]]:
    """curve -> one layout an order. `vectors` are the pool's by id() of the embedder; `similar` takes the first's."""
    orders, ground, kinds = range(growing.growth.orders), growing.ground, growing.pool.kinds
    made: dict[str, list[Layout]] = {}
    for curve in growing.growth.curves:
        if curve == "all_judged":
            made[curve] = [layouts.all_judged(ground, order) for order in orders]
        elif curve == "proportional":
            made[curve] = [layouts.proportional(ground, order) for order in orders]
        elif curve == "similar":
            closeness = closeness_to_kept(growing, vectors)
            made[curve] = [layouts.nearest_first(ground, order, closeness) for order in orders]
        else:
            made[curve] = [layouts.added(ground, order, kinds[curve]) for order in orders]
    return made


def closeness_to_kept(growing: Growing, vectors: Mapping[int, Vectors]) -> NDArray[np.float32]:
    """The highest similarity of each passage of the corpus with any that is kept, by the eval's first embedder."""
    first = next(parts.embedder for parts in growing.subject.pipelines if parts.embedder is not None)
    rows = vectors[id(first)][: growing.pool.corpus]
    kept = np.ascontiguousarray(rows[growing.ground.kept].T)
    blocks = (rows[start : start + BLOCK] @ kept for start in range(0, len(rows), BLOCK))
    return np.concatenate([block.max(axis=1) for block in blocks])
