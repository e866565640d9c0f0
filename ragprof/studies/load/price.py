"""The price pass over a load recording: what a target's machine costs an hour, and a question besides machine time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ragprof.core.recorded import write_sealed
from ragprof.evals.recorded import COSTS
from ragprof.evals.settings import settings_of
from ragprof.price.bills import PriceList, price_entries, question_costs, read_recording
from ragprof.price.pricing import MACHINE_TIME, plain
from ragprof.price.rates import PublishedRate, Unpriced
from ragprof.statistics.estimates import mean_estimate
from ragprof.studies.contract import Pricing
from ragprof.studies.load.recorded import (
    MANIFEST,
    PREFIX_TABLE,
    PREFIXES,
    ApiBill,
    LoadBill,
    PrefixBill,
    RecordedTarget,
)

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
        other = (
            None
            if costs is None or "only" in target
            else _besides(costs, target["pipeline"], reranked=target["reranked"] is not False)
        )
        bills[target["name"]] = _bill(rate, reason, other)
    api = list(_api_bills(folder, config, manifest["targets"], prices))
    prefixes = list(_prefix_bills(place, config, prices, pricing.llm))
    write_sealed(place / "costs.json", {"bills": bills, "api": api, "prefixes": prefixes})


RATE_OF = {"embed": "embed", "rerank": "rerank", "generate": "llm"}


def _api_bills(
    folder: Path, config: Mapping[str, Any], targets: Sequence[RecordedTarget], prices: PriceList
) -> Iterator[ApiBill]:
    """What the APIs that [economics.api] names would take for the parts that were loaded alone, or for nobody's."""
    named = (config.get("economics") or {}).get("api") or {}
    recording = read_recording(folder, config) if any(named.values()) and (folder / "usage.parquet").exists() else None
    for stage, key in RATE_OF.items():
        name = named.get(key)
        if not name:
            continue
        mine = [each["pipeline"] for each in targets if each.get("only") == stage]
        for pipeline in mine or [config["pipelines"][0]["name"]]:
            bill: dict[str, Any] = {
                "pipeline": pipeline, "stage": stage, "rate": name, "usd": None, "interval": None, "n": 0, "reason": "",
            }  # fmt: skip
            try:
                if recording is None:
                    raise Unpriced("the recording around it has no usage; run 'ragprof run'")
                costs = question_costs(recording, pipeline, stage, prices.rate(name))
                found = mean_estimate([float(each) for each in costs], bounds=None)
                span = None if found.interval is None else list(found.interval)
                yield cast(ApiBill, {**bill, "usd": found.mean, "interval": span, "n": found.n})
            except Unpriced as missing:
                yield cast(ApiBill, {**bill, "reason": str(missing)})


def _prefix_bills(place: Path, config: Mapping[str, Any], prices: PriceList, llm: str | None) -> Iterator[PrefixBill]:
    """The prompts of each order at the pipeline's LLM's price, with and without its price of cached tokens."""
    path = place / PREFIX_TABLE
    if not path.exists():
        return
    economics = config.get("economics") or {}
    first, step = int(economics.get("cached_from_tokens") or 1024), int(economics.get("cached_step_tokens") or 128)
    declared = {each["name"]: each for each in config["pipelines"]}
    for (pipeline, order), mine in PREFIXES.read(path).groupby(["pipeline", "order"], sort=False):
        name = price_entries(config, declared.get(str(pipeline), {}), llm=llm).get("llm")
        tokens, repeated = mine["tokens"].tolist(), mine["repeated"].tolist()
        cached = [0 if many < first else many - (many - first) % step for many in repeated]
        bill: dict[str, Any] = {
            "pipeline": str(pipeline), "order": str(order), "rate": name, "usd": None, "usd_cached": None,
            "saved_interval": None, "cached_tokens": sum(cached) / max(1, len(cached)), "reason": "",
        }  # fmt: skip
        try:
            if not name:
                raise Unpriced("no rate for the prompt; name one under [prices] as llm")
            rate = prices.rate(name)
            whole = [float(rate.call(prompt_tokens=many, answer_tokens=0).prompt) for many in tokens]
            less = [float(rate.call(prompt_tokens=many, answer_tokens=0, cached_tokens=kept).prompt)
                    for many, kept in zip(tokens, cached, strict=True)]  # fmt: skip
            saved = mean_estimate([one - other for one, other in zip(whole, less, strict=True)], bounds=None)
            span = None if saved.interval is None else list(saved.interval)
            bill |= {"usd": sum(whole) / len(whole), "usd_cached": sum(less) / len(less), "saved_interval": span}
        except Unpriced as missing:
            bill["reason"] = str(missing)
        yield cast(PrefixBill, bill)


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
