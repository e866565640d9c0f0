"""The result of the price pass, read from costs.parquet and rates.json. Prices nothing itself.

Money is USD per 1,000 queries, exactly in Decimal: the mean over a column's queries, summed over columns. Only the
intervals, which are statistics, go through floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ragprof.core.errors import BadInput
from ragprof.evals.recorded import COSTS, RATES
from ragprof.statistics.draws import Array, Draws, ends

if TYPE_CHECKING:
    import pandas as pd


EXACT = Context(prec=60)
QUERIES = 1_000
MACHINE_TIME = "machine time"
"""What is billed by the hour is called so in a bill."""
DIGITS = Context(prec=6)
Interval: TypeAlias = tuple[Decimal, Decimal]
Column: TypeAlias = tuple[str, str]
"""stage, item"""


@dataclass(frozen=True)
class PipelinePricing:
    """One pipeline's bill in USD per 1,000 queries; None where something is unpriced, never 0.

    `priced_subtotal` is what is known. Intervals resample queries jointly over all columns (percentile bootstrap,
    2,000 replicates, seed 0); None where unpriced, or with fewer than two queries in a column.
    """

    total: Decimal | None
    total_interval: Interval | None
    priced_subtotal: Decimal
    stages: Mapping[str, Decimal | None]
    stage_intervals: Mapping[str, Interval | None]
    unpriced: tuple[str, ...]
    per_month: Decimal | None
    billed_by_time: tuple[str, ...] = ()
    """Stages whose price is measured machine time."""

    def as_json(self) -> dict[str, Any]:
        """The `cost_usd_per_1000_queries` of summary.json: decimal strings of six significant digits."""
        return {
            "total": _text(self.total),
            "interval": _texts(self.total_interval),
            "priced_subtotal": _text(self.priced_subtotal),
            **{stage: _text(usd) for stage, usd in self.stages.items()},
            "stage_intervals": {stage: _texts(interval) for stage, interval in self.stage_intervals.items()},
            "unpriced": list(self.unpriced),
            "per_month": _text(self.per_month),
        }


@dataclass(frozen=True)
class PricedRecording:
    """The bills of all pipelines, in the eval's order."""

    pipelines: Mapping[str, PipelinePricing]

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Everything without a price, with its pipeline in front."""
        return tuple(f"{name}: {what}" for name, bill in self.pipelines.items() for what in bill.unpriced)

    def as_json(self) -> dict[str, dict[str, Any]]:
        return {name: bill.as_json() for name, bill in self.pipelines.items()}


def read_pricing(folder: Path) -> PricedRecording:
    """What price_recording wrote into the folder, without pricing anew. Raises BadInput where it is missing."""
    if not (folder / "rates.json").exists():
        raise BadInput("it is missing; price the recording first", file=folder / "rates.json")
    rates, table = RATES.read(folder / "rates.json"), COSTS.read(folder / "costs.parquet")
    monthly = rates["queries_per_month"]
    return PricedRecording(
        {
            name: _pipeline(table[table["pipeline"] == name], entry, monthly=monthly)
            for name, entry in rates["pipelines"].items()
        }
    )


def plain(value: Decimal) -> str:
    """Six significant digits without an exponent: 0.0000560000 -> 0.000056, 1234567 -> 1234570."""
    rounded = DIGITS.create_decimal(value)
    return "0" if rounded == 0 else format(rounded.normalize(), "f")


def _pipeline(rows: pd.DataFrame, entry: Mapping[str, Any], *, monthly: int | None) -> PipelinePricing:
    missing = {line["stage"] for line in entry["unpriced"]}
    columns: dict[Column, dict[str, Decimal]] = {}
    priced = rows[rows["usd"].notna()]
    for stage, item, query_id, usd in zip(*(priced[of] for of in ("stage", "item", "query_id", "usd")), strict=True):
        columns.setdefault((stage, item), {})[query_id] = usd
    with localcontext(EXACT):
        means = {column: sum(paid.values(), Decimal(0)) / len(paid) * QUERIES for column, paid in columns.items()}
        stages = {
            stage: None if stage in missing else sum((means[c] for c in means if c[0] == stage), Decimal(0))
            for stage in entry["stages"]
        }
        subtotal = sum(means.values(), Decimal(0))
        total = None if missing else subtotal
        per_month = None if total is None or not monthly else total / QUERIES * monthly
    total_interval, stage_intervals = _intervals(columns, sorted(set(rows["query_id"])), list(stages))
    return PipelinePricing(
        total=total,
        total_interval=None if missing else total_interval,
        priced_subtotal=subtotal,
        stages=stages,
        stage_intervals={stage: None if stage in missing else stage_intervals[stage] for stage in stages},
        unpriced=tuple(f"{line['stage']}: {line['reason']}" for line in entry["unpriced"]),
        per_month=per_month,
        billed_by_time=tuple(sorted({line["stage"] for line in entry["applied"] if line["item"] == MACHINE_TIME})),
    )


def _intervals(
    columns: Mapping[Column, Mapping[str, Decimal]], query_ids: list[str], stages: list[str]
) -> tuple[Interval | None, dict[str, Interval | None]]:
    if not columns:
        return None, dict.fromkeys(stages)
    matrix = np.array(
        [[float(usd[query_id]) if query_id in usd else np.nan for usd in columns.values()] for query_id in query_ids]
    )
    whole, n = Draws.of(query_ids, seed=0).means(matrix) * QUERIES, min(map(len, columns.values()))
    usable = [len(usd) > 1 for usd in columns.values()]
    by_stage = {stage: [index for index, column in enumerate(columns) if column[0] == stage] for stage in stages}
    chosen = {
        stage: _interval(whole[:, at], n) if all(usable[i] for i in at) else None for stage, at in by_stage.items()
    }
    return _interval(whole, n) if all(usable) else None, chosen


def _interval(whole: Array, n: int) -> Interval | None:
    """Of bills of n queries: as billed in row 0, then in every resample."""
    low, high = (ends(whole.sum(axis=1), n=n) if whole.shape[1] else None) or (None, None)
    return None if low is None or high is None else (Decimal(repr(low)), Decimal(repr(high)))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _texts(interval: Interval | None) -> list[str] | None:
    return None if interval is None else [plain(end) for end in interval]
