"""What two sides recorded of one quantity, as arrays of the same queries; or why it cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ragprof.core import STAGES
from ragprof.quantities import Quantity
from ragprof.studies.compare.effects import Array, Paired
from ragprof.studies.compare.evidence import MACHINE_TIME
from ragprof.studies.compare.latencies import QUANTILES, Timed, quantile, rounds, shared
from ragprof.studies.compare.pairing import WHOLE, Cell, Pair, Side

UNSHARED = "no query was measured on both sides"


def unpriced(pair: Pair, quantity: Quantity) -> str | None:
    """Which stage of which side has no price; None where the money of a quantity is known on both."""
    if quantity.kind != "cost":
        return None
    lines = [f"{name}: {line}" for name, side in _named(pair) for line in _unpriced_lines(side, quantity)]
    return "; ".join(lines) or None


def missing(pair: Pair, quantity: Quantity) -> str | None:
    """Which side did not record a quantity, or that no query was measured on both; None where it can be compared."""
    lacking = [name for name, side in _named(pair) if not _is_recorded(side, quantity)]
    if lacking:
        return f"the {' and the '.join(lacking)} did not record it"
    if quantity.kind == "latency":
        return None if shared(*_stage_times(pair, quantity.stage)) else UNSHARED
    unshared = [cell[2] for cell, (before, after) in _columns(pair, quantity).items() if np.isnan(before + after).all()]
    return f"{UNSHARED} ({', '.join(unshared)})" if unshared else None


def paired(pair: Pair, quantity: Quantity) -> Paired:
    """Of a quantity that is not missing, and no latency.

    A line that only one side's bill has is 0 on the other, whose bill was priced without it: a pipeline without a
    reranker pays nothing for reranking.
    """
    columns = _columns(pair, quantity)
    return Paired(
        np.column_stack([before for before, _ in columns.values()]),
        np.column_stack([after for _, after in columns.values()]),
        tuple(cell[0] == "cost" and cell[2] == MACHINE_TIME for cell in columns),
    )


def timed_of(pair: Pair, stage: str) -> Timed:
    """The live queries of a stage (empty: end to end) whose latency is not missing."""
    base, candidate = _stage_times(pair, stage)
    return Timed.of(base, candidate, shared(base, candidate))


def own_figure(side: Side, quantity: Quantity) -> float | None:
    """What one side alone found, on all of its queries; None where it has no figure or no price."""
    if not _is_recorded(side, quantity) or _unpriced_lines(side, quantity):
        return None
    if quantity.kind == "latency":
        times = side.times[quantity.stage or WHOLE]
        return quantile(rounds(times, sorted(set(times["query_id"]))), QUANTILES[quantity.name])
    means = [each[~np.isnan(each)].mean() for each in side.items(quantity).values() if not np.isnan(each).all()]
    return float(sum(means)) if means else None


def _stage_times(pair: Pair, stage: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    key = stage or WHOLE
    return pair.base.times[key], pair.candidate.times[key]


def _columns(pair: Pair, quantity: Quantity) -> Mapping[Cell, tuple[Array, Array]]:
    before, after = pair.base.items(quantity), pair.candidate.items(quantity)
    if quantity.kind != "cost":
        return {_one(before)[0]: (_one(before)[1], _one(after)[1])}
    nothing = np.zeros(len(pair.base.queries))
    cells = sorted({*before, *after}, key=lambda cell: (STAGES.index(cell[1]), cell[2]))
    return {cell: (before.get(cell, nothing), after.get(cell, nothing)) for cell in cells}


def _one(items: Mapping[Cell, Array]) -> tuple[Cell, Array]:
    ((cell, column),) = items.items()
    return cell, column


def _named(pair: Pair) -> Sequence[tuple[str, Side]]:
    return ("base", pair.base), ("candidate", pair.candidate)


def _is_recorded(side: Side, quantity: Quantity) -> bool:
    if quantity.kind == "latency":
        return (quantity.stage or WHOLE) in side.times
    return bool(side.items(quantity)) or bool(_unpriced_lines(side, quantity))


def _unpriced_lines(side: Side, quantity: Quantity) -> list[str]:
    if quantity.kind != "cost":
        return []
    return [f"{stage}: {why}" for stage, why in side.unpriced.items() if quantity.stage in ("", stage)]
