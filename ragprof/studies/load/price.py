"""The price pass over a load recording: what a target's machine costs an hour, and a question besides machine time."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd

from ragprof.core.recorded import write_sealed
from ragprof.evals.recorded import COSTS
from ragprof.evals.settings import settings_of
from ragprof.price.bills import PriceList, price_entries
from ragprof.price.pricing import MACHINE_TIME, plain
from ragprof.price.rates import PublishedRate, Unpriced
from ragprof.studies.contract import Pricing
from ragprof.studies.load.recorded import MANIFEST, LoadBill

NO_MACHINE = "no hourly rate; name one under [prices] as machine, such as aws/m7i.large"


def price_load(folder: Path, pricing: Pricing) -> None:
    """costs.json, by the rates that the recording's settings name now."""
    place, config = folder / "load", settings_of(folder)
    manifest = MANIFEST.read(place / "manifest.json")
    prices = PriceList.of(config, books=pricing.books, on=pricing.on, file=folder / "manifest.json")
    declared = {each["name"]: each for each in config["pipelines"]}
    costs = COSTS.read(folder / "costs.parquet") if (folder / "costs.parquet").exists() else None
    bills: dict[str, LoadBill] = {}
    for target in manifest["targets"]:
        entries = price_entries(config, declared.get(target["pipeline"], {}), llm=pricing.llm)
        rate, reason = None, NO_MACHINE
        try:
            if entries.get("machine"):
                rate, reason = prices.machine(entries["machine"], target["name"]), ""
        except Unpriced as missing:
            reason = str(missing)
        other = None if costs is None else _besides(costs, target["pipeline"], reranked=target["reranked"] is not False)
        bills[target["name"]] = _bill(rate, reason, other)
    write_sealed(place / "costs.json", {"bills": bills})


def _bill(rate: PublishedRate | None, reason: str, other: Decimal | None) -> LoadBill:
    told = {} if rate is None else rate.as_json()
    return {
        "usd_per_hour": None if rate is None else plain(rate.usd / rate.per),
        "rate": None if rate is None else rate.name,
        "since": told.get("since"),
        "source": told.get("source"),
        "verified": told.get("verified"),
        "reason": reason,
        "other_usd_per_question": None if other is None else plain(other),
    }


def _besides(costs: pd.DataFrame, pipeline: str, *, reranked: bool) -> Decimal | None:
    """Mean USD of a question besides machine time, as the main recording was priced; None where some is UNPRICED."""
    mine = costs[(costs["pipeline"] == pipeline) & (costs["item"] != MACHINE_TIME)]
    if not reranked:
        mine = mine[mine["stage"] != "rerank"]
    total = Decimal(0)
    for _, rows in mine.groupby(["stage", "item"], sort=False):
        values = [Decimal(str(each)) for each in rows["usd"].dropna()]
        if not values:
            return None
        total += sum(values, Decimal(0)) / len(values)
    return total
