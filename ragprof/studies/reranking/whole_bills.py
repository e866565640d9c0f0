"""What whole pipelines cost and take, from the main recording that the rerankers' lies in. Prices nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pandas as pd

from ragprof import files
from ragprof.price import read_pricing

NEEDED = ("costs.parquet", "rates.json", "spans.parquet", "usage.parquet")


@dataclass(frozen=True)
class Whole:
    """By pipeline; a name that is missing, or None, is not known.

    `usd` is the bill of all stages and `rerank_usd` the reranker's part, USD per 1,000 queries; `p50_ns` is the median
    end-to-end time of live queries; `prompt_tokens` are the mean of a query. `reported` is what the rerankers
    themselves said that they took: unit -> count by query_id, of the live queries.
    """

    usd: Mapping[str, float | None]
    rerank_usd: Mapping[str, float | None]
    p50_ns: Mapping[str, int]
    prompt_tokens: Mapping[str, float]
    reported: Mapping[str, Mapping[str, pd.Series]] = field(default_factory=dict)


def whole_bills(home: Path) -> Whole:
    """Of a recording's folder; nothing is known where it was not recorded or not priced."""
    if not all((home / name).exists() for name in NEEDED):
        return Whole({}, {}, {}, {})
    bills = read_pricing(home).pipelines
    spans, usage = files.read_table(home / "spans.parquet"), files.read_table(home / "usage.parquet")
    timed = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
    prompts = usage[(usage["stage"] == "inject") & (usage["unit"] == "prompt_tokens")]
    medians = timed.groupby("pipeline")["duration_ns"].median()
    tokens = prompts.groupby("pipeline")["count"].mean()
    return Whole(
        {name: _float(bill.total) for name, bill in bills.items()},
        {name: _float(bill.stages.get("rerank")) for name, bill in bills.items()},
        {str(name): round(float(median)) for name, median in medians.items()},
        {str(name): float(mean) for name, mean in tokens.items()},
        _reported(usage),
    )


def _reported(usage: pd.DataFrame) -> dict[str, dict[str, pd.Series]]:
    found: dict[str, dict[str, pd.Series]] = {}
    for (name, unit), rows in dict(list(usage[usage["stage"] == "rerank"].groupby(["pipeline", "unit"]))).items():
        found.setdefault(str(name), {})[str(unit)] = rows.set_index("query_id")["count"].astype(float)
    return found


def _float(usd: Decimal | None) -> float | None:
    return None if usd is None else float(usd)
