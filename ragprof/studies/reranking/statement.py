"""The reranker's statement per 1,000 queries and per month: quality, time, its price, the tokens it saves, the net.

Net is the reranker's cost minus the LLM money saved: above 0 it costs. What is not priced is null, never 0. Machine
time is billed for the timed queries alone: their mean stands for all. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ragprof.errors import UnknownName
from ragprof.price.pricing import QUERIES
from ragprof.studies.query_draws import Array, over
from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.effects import added_latency, quality_gain
from ragprof.studies.reranking.figures import estimate, found_money, known, means, money_ends
from ragprof.studies.reranking.iso_quality import IsoQuality, iso_quality

TOKENS = 1_000_000
POINTS = 100
BILLING = ("shape", "unit", "usd", "per", "since", "source", "verified", "note")


@dataclass(frozen=True)
class Net:
    """What a reranker costs and saves, found (row 0) and in every resample: arrays of 1 + replicates.

    Money is USD per 1,000 queries; None where the reranker or the LLM is unpriced. `tokens_saved` is a query's, minus
    infinity where no number of chunks held the quality: such a net is infinite. `gain` is of the study's metric.
    `priced_queries` is how many queries the cost rests on.
    """

    gain: Array
    tokens_saved: Array
    usd: Array | None
    priced_queries: int
    queries: int
    llm_usd_per_million_tokens: float | None
    reranker_factor: float = 1.0

    @property
    def cost(self) -> Array | None:
        return None if self.usd is None else self.usd * self.reranker_factor

    @property
    def saved(self) -> Array | None:
        price = self.llm_usd_per_million_tokens
        if price is None:
            return None
        return np.zeros(len(self.tokens_saved)) if price == 0 else self.tokens_saved * (price * QUERIES / TOKENS)

    @property
    def net(self) -> Array | None:
        cost, saved = self.cost, self.saved
        return None if cost is None or saved is None else cost - saved

    @property
    def n(self) -> int:
        """Queries that the net rests on."""
        return min(self.priced_queries, self.queries)

    def at(self, *, llm_usd_per_million_tokens: float | None, reranker_factor: float = 1.0) -> Net:
        """The same at other prices."""
        return replace(self, llm_usd_per_million_tokens=llm_usd_per_million_tokens, reranker_factor=reranker_factor)


def net_of(
    data: RerankerData,
    arm: str,
    *,
    depth: int | None = None,
    llm_usd_per_million_tokens: float | None = None,
    reranker_factor: float = 1.0,
) -> Net:
    """At the price of the eval's LLM unless another is given, and at this many times the reranker's price."""
    price = usd_of(llm_of(data, arm)) if llm_usd_per_million_tokens is None else llm_usd_per_million_tokens
    net = _net(data, arm, iso_quality(data, arm, depth), depth=depth)
    return net.at(llm_usd_per_million_tokens=price, reranker_factor=reranker_factor)


def llm_of(data: RerankerData, arm: str, name: str | None = None) -> Mapping[str, Any] | None:
    """The LLM of that name, the pipeline's own unless one is given; None where none is named. Raises UnknownName."""
    if name is None:
        return next((llm for llm in data.llms(arm) if llm["primary"]), None)
    named = {llm["name"]: llm for llm in data.llms(arm)}
    if name not in named:
        raise UnknownName("LLM among the priced ones", name, named)
    return dict(named[name])


def usd_of(llm: Mapping[str, Any] | None) -> float | None:
    """USD per million tokens; None where it is unpriced."""
    return None if llm is None or llm["usd_per_million_tokens"] is None else float(llm["usd_per_million_tokens"])


def statement(data: RerankerData, arm: str, *, depth: int | None = None, llm: str | None = None) -> dict[str, Any]:
    """The `statement` of an arm, less its break-even, scenarios and alternatives. `llm` is one of the priced ones."""
    named = llm_of(data, arm, llm)
    iso = iso_quality(data, arm, depth)
    net = _net(data, arm, iso, depth=depth).at(llm_usd_per_million_tokens=usd_of(named))
    return {
        "quality_gain": quality_gain(data, arm, depth),
        **added_latency(data, arm, depth),
        "reranker_usd_per_1000_queries": found_money(net.cost),
        "reranker_usd_interval": money_ends(net.cost, net.priced_queries),
        "billing": billing(data, arm, depth),
        "iso_quality_k": dict(iso.figure),
        "llm": None if named is None else named["name"],
        "llm_usd_saved_per_1000_queries": found_money(net.saved),
        "llm_usd_saved_interval": money_ends(net.saved, net.queries),
        "net_usd_per_1000_queries": found_money(net.net),
        "net_interval": money_ends(net.net, net.n),
        "per_month": per_month(data, net),
        **usd_per_point(net),
    }


def billing(data: RerankerData, arm: str, depth: int | None = None) -> dict[str, Any]:
    """What the reranker bills for and at which rate; its fields are null where it is unpriced, and `unpriced` why."""
    entry = data.rates["arms"][arm]
    rate = entry["rate"] or {}
    return {
        "rate": rate.get("name"),
        **{key: rate.get(key) for key in BILLING},
        "units_per_query": estimate(data, data.units(arm, depth or data.arm(arm)["own_depth"])),
        "utilisation": entry["utilisation"],
        "unpriced": entry["unpriced"],
    }


def per_month(data: RerankerData, net: Net) -> dict[str, Any]:
    """The lines of the statement at the eval's traffic, with the intervals that they have."""
    queries = data.rates["queries_per_month"]
    lines = {
        "reranker_usd": (net.cost, net.priced_queries),
        "llm_usd_saved": (net.saved, net.queries),
        "net_usd": (net.net, net.n),
    }
    result: dict[str, Any] = {"queries": queries}
    for key, (usd, n) in lines.items():
        monthly = None if usd is None or not queries else usd * queries / QUERIES
        result[key] = found_money(monthly)
        result[f"{key.removesuffix('_usd')}_interval" if key == "net_usd" else f"{key}_interval"] = money_ends(
            monthly, n
        )
    return result


def usd_per_point(net: Net) -> dict[str, Any]:
    """What 0.01 of the study's metric costs at equal k, in USD per 1,000 queries; null without a gain or a price.

    The tokens saved at equal quality are not taken off: that would count the same profit twice.
    """
    if net.cost is None or not net.gain[0] > 0:
        return {"usd_per_point": None, "usd_per_point_interval": None}
    points = over(net.cost, net.gain * POINTS)
    return {"usd_per_point": found_money(points), "usd_per_point_interval": money_ends(points, net.n)}


def _net(data: RerankerData, arm: str, iso: IsoQuality, *, depth: int | None) -> Net:
    """Without a price of the LLM."""
    usd = data.usd(arm, depth or data.arm(arm)["own_depth"])
    gain = data.gain(arm, data.metric, depth)
    return Net(
        gain=means(data, gain),
        tokens_saved=iso.tokens_saved,
        usd=None if usd is None else means(data, usd) * QUERIES,
        priced_queries=0 if usd is None else known(usd),
        queries=known(gain),
        llm_usd_per_million_tokens=None,
    )
