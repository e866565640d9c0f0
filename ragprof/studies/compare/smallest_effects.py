"""The smallest effect that a recording's queries will tell from none, guessed before there is anything to compare with.

Power 0.8, paired by query (`power.detectable`). How much the differences will scatter is taken from the most similar
other pipeline of the recording, else from the pipeline's own scatter and a correlation of 0.8, and said which: a guess
either way. For latency it is the pipeline's own first and last rounds, so such an effect holds within one job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ragprof.studies.compare.effects import DUST, Array
from ragprof.studies.compare.latencies import STREAM, resampled_quantiles
from ragprof.studies.compare.pairing import Cell
from ragprof.studies.compare.power import detectable, spread
from ragprof.studies.query_draws import Draws

ASSUMED_CORRELATION = 0.8
REPLICATES = 1_000
Items: TypeAlias = Mapping[Cell, Array]
"""Values of each item by query, all in one order; NaN where a query has none."""


@dataclass(frozen=True, slots=True)
class Smallest:
    """The effect in the unit of what was given, on so many queries; None where nothing can be said, and why."""

    effect: float | None
    queries: int
    rests_on: str


def of_means(own: Items, others: Mapping[str, Items], *, alpha: float) -> Smallest:
    """Of a sum of means, as a metric or a bill is. An item that a whole pipeline lacks is 0 there.

    A pipeline that differs in no query tells nothing of how a changed one would, and is passed by.
    """
    guesses = {name: _smallest(_difference(own, other), alpha) for name, other in others.items()}
    telling = {name: (effect, n) for name, (effect, n) in guesses.items() if effect}
    if telling:
        like = min(telling, key=lambda name: telling[name])
        return Smallest(*telling[like], f"differences from {like}")
    effect, n = _smallest(np.column_stack(list(own.values())), alpha)
    if effect is None:
        return Smallest(None, n, "it was measured on a single query")
    if effect == 0:
        return Smallest(0.0, n, "every query has the same")
    return Smallest(
        effect * math.sqrt(2 * (1 - ASSUMED_CORRELATION)), n, f"assuming a correlation of {ASSUMED_CORRELATION}"
    )


def of_quantile(rounds: Array, queries: tuple[str, ...], level: float, *, alpha: float, seed: int) -> Smallest:
    """Relative: of the log ratio of a quantile of (queries, rounds), first rounds against last, resampled by query."""
    half = rounds.shape[1] // 2
    if half == 0 or len(queries) < 2 or (rounds <= 0).any():
        return Smallest(None, len(queries), "two queries in two rounds are needed, each with a time above 0")
    counts = Draws.of(queries, seed=seed, stream=STREAM, replicates=REPLICATES).counts.astype(np.int32)
    first, last = (resampled_quantiles(each, counts, [level])[0] for each in (rounds[:, :half], rounds[:, -half:]))
    sd = float(np.log(last[1:] / first[1:]).std(ddof=1)) * math.sqrt(len(queries))
    effect = math.expm1(detectable(sd, len(queries), alpha=alpha))
    return Smallest(effect, len(queries), "its own first and last rounds")


def _difference(own: Items, other: Items) -> Array:
    nothing = np.zeros(len(next(iter(own.values()))))
    return np.column_stack([own.get(cell, nothing) - other.get(cell, nothing) for cell in {**own, **other}])


def _smallest(table: Array, alpha: float) -> tuple[float | None, int]:
    """(queries, items) -> the smallest effect on the sum of the items' means, and the queries that have any item."""
    known = ~np.isnan(table[:, ~np.isnan(table).all(axis=0)])
    cells = np.where(known, table[:, ~np.isnan(table).all(axis=0)], 0.0)
    n, counts = int(known.any(axis=1).sum()), known.sum(axis=0)
    if n < 2:
        return None, n
    shares = (known * (cells - cells.sum(axis=0) / counts) / counts).sum(axis=1)[known.any(axis=1)]
    effect = detectable(spread(shares * n), n, alpha=alpha)
    return (0.0 if effect <= DUST * float(np.abs(cells).max()) else effect), n
