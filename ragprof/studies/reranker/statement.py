"""The reranker's statement per 1,000 queries and per month: quality, time, its price, the tokens it saves, the net.

Net is the reranker's cost minus the LLM money saved: above 0 it costs. What is not priced is null, never 0. Machine
time is billed for the timed queries alone: their mean stands for all. Reads no file.

At which prices, and at which volume, a reranker costs as much as the tokens that it saves. Reads no file.

The net is linear in the reranker's price and in the LLM's, so both break-even prices are ratios, and the chart of both
is computed on all resamples at once. Volume decides only where a machine is paid by the hour or the month whether it is
busy or not: a bill by use grows as the savings do.

How the verdict moves if LLM prices fall, and what the reranker's own price did. Forecasts no price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ragprof.core.errors import UnknownName
from ragprof.price.pricing import QUERIES
from ragprof.statistics.draws import ENDS, Array, over
from ragprof.studies.reranker.chunks import IsoQuality, iso_quality
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import (
    added_latency,
    dollars,
    found_money,
    known,
    means,
    money,
    money_ends,
    quality_gain,
)

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
        "units_per_query": data.draws.estimate(data.units(arm, depth or data.arm(arm)["own_depth"])),
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


HOURS_A_MONTH = 730
STEPS = 13
FACTORS = (0.01, 10.0)
LLM_PRICES = (0.02, 30.0)
COSTS, SAVES, UNDECIDED = "costs", "saves", "undecided"


def break_even(data: RerankerData, arm: str, *, depth: int | None = None, llm: str | None = None) -> dict[str, Any]:
    """The `break_even` of the statement, at the price of the eval's LLM or of a named one."""
    net = net_of(data, arm, depth=depth).at(llm_usd_per_million_tokens=usd_of(llm_of(data, arm, llm)))
    units = data.units(arm, depth or data.arm(arm)["own_depth"])
    entry = data.rates["arms"][arm]
    drawn = means(data, units)
    return {
        "reranker_usd": reranker_price(net, entry, units=drawn, n=known(units)),
        "llm_usd_per_million_tokens": llm_price(net),
        "queries_per_month": volume(net, entry, units=float(drawn[0])),
        "grid": grid(net),
    }


def reranker_price(net: Net, entry: Mapping[str, Any], *, units: Array, n: int) -> dict[str, Any]:
    """The price of `per` units up to which the reranker pays for itself; of 1,000 queries where no unit is billed."""
    rate = entry["rate"]
    by_unit = rate is not None and units[0] > 0
    per, unit = (rate["per"], rate["unit"]) if by_unit else (QUERIES, "query")
    if net.saved is None:
        return _price(None, "The LLM is unpriced, so what the saved tokens are worth is not known.", per=per, unit=unit)
    if not net.saved[0] > 0:
        return _price(None, f"{_no_saving(net)}, so it pays for itself at no price.", per=per, unit=unit)
    prices = over(net.saved, units * QUERIES) * per if by_unit else net.saved
    value = float(prices[0])
    now = f"; its price is {dollars(float(rate['usd']))}" if by_unit else ""
    sentence = f"It pays for itself up to {dollars(value)} per {_many(per, unit)}{now}."
    interval = money_ends(np.maximum(prices, 0.0), min(n, net.queries) if by_unit else net.queries)
    return {**_price(value, sentence, per=per, unit=unit), "interval": interval}


def llm_price(net: Net) -> dict[str, Any]:
    """The price of a million LLM tokens from which the reranker pays for itself."""
    if net.cost is None:
        return {"value": None, "sentence": "The reranker is unpriced.", "interval": None}
    if not net.tokens_saved[0] > 0:
        sentence = f"{_no_saving(net)}, so it pays for itself at no price of the LLM's tokens."
        return {"value": None, "sentence": sentence, "interval": None}
    prices = over(net.cost, net.tokens_saved * (QUERIES / TOKENS))
    value, now = float(prices[0]), net.llm_usd_per_million_tokens
    from_it = f"It pays for itself where a million LLM tokens cost {dollars(value)} or more"
    sentence = f"{from_it}." if now is None else f"{from_it}; they cost {dollars(now)}."
    return {"value": money(value), "sentence": sentence, "interval": money_ends(prices, net.n)}


def volume(net: Net, entry: Mapping[str, Any], *, units: float) -> dict[str, Any]:
    """Queries a month at which what is paid whether it is busy or not costs as much as the saved tokens.

    An hourly machine is taken to be always on. Null where more queries would be needed than one machine can serve.
    """
    monthly, machine = _fixed_usd(entry)
    if monthly is None:
        return _volume(None, _by_use(entry))
    if net.saved is None:
        return _volume(None, "The LLM is unpriced, so what the saved tokens are worth is not known.")
    if not net.saved[0] > 0:
        return _volume(None, f"{_no_saving(net)}, so no volume pays for {machine}.")
    needed = monthly / (float(net.saved[0]) / QUERIES)
    served = _served(entry, units)
    bill = f"{machine[0].upper()}{machine[1:]} costs {dollars(monthly)} a month"
    if needed > served:
        many = f"one machine serves about {served:,.0f}"
        return _volume(None, f"{bill}, as much as the tokens of {needed:,.0f} queries, but {many}: no volume pays.")
    return _volume(needed, f"{bill}, as much as the tokens that are saved at {needed:,.0f} queries a month.")


def _by_use(entry: Mapping[str, Any]) -> str:
    """Why volume decides nothing."""
    if entry["rate"] is None:
        return "The reranker is unpriced."
    if not float(entry["rate"]["usd"]):
        return "It costs nothing at any volume."
    return "It is billed by use: costs and savings grow together, and no volume flips the sign."


def grid(net: Net) -> dict[str, Any] | None:
    """The net over multiples of the reranker's price and prices of the LLM; None where the reranker is unpriced.

    A cell is told where its 95 % interval excludes 0.
    """
    if net.usd is None:
        return None
    factors = np.geomspace(*FACTORS, STEPS).round(6)
    prices = _with(np.geomspace(*LLM_PRICES, STEPS), net.llm_usd_per_million_tokens)
    at = [(float(factor), float(price)) for factor in factors for price in prices]
    steps = np.array(at)
    cells = np.outer(net.usd, steps[:, 0]) - np.outer(net.tokens_saved, steps[:, 1] * (QUERIES / TOKENS))
    told = _told(cells[1:][~np.isnan(cells[1:, 0])])
    return {
        "reranker_factor": [float(factor) for factor in factors],
        "llm_usd_per_million_tokens": [float(price) for price in prices],
        "cells": [
            {"reranker_factor": factor, "llm_usd_per_million_tokens": price, "net": _finite(found), "told": word}
            for (factor, price), found, word in zip(at, cells[0], told, strict=True)
        ],
        "here": {"reranker_factor": 1.0, "llm_usd_per_million_tokens": net.llm_usd_per_million_tokens},
    }


def _told(drawn: Array) -> list[str]:
    """Of (resamples, cells), by how many resamples lie on the other side of 0."""
    allowed = np.floor(ENDS[0] * (len(drawn) - 1))
    costs, saves = (drawn <= 0).sum(0) <= allowed, (drawn >= 0).sum(0) <= allowed
    both = [COSTS if up else SAVES if down else UNDECIDED for up, down in zip(costs, saves, strict=True)]
    return both if len(drawn) else [UNDECIDED] * drawn.shape[1]


def _with(prices: Array, actual: float | None) -> Array:
    """Rising, the actual price among them unless it is 0, for which a logarithmic chart has no place."""
    return np.unique([*prices.round(6), *([actual] if actual else [])])


def _fixed_usd(entry: Mapping[str, Any]) -> tuple[float | None, str]:
    """What is paid a month whatever the traffic, and what it is paid for; None where the bill goes by use."""
    rate = entry["rate"]
    if rate is None:
        return None, ""
    usd = float(rate["usd"]) / rate["per"]
    if entry["hourly"]:
        return usd * HOURS_A_MONTH, f"one {rate['name']} that is always on"
    return (usd, f"the fee of {rate['name']}") if rate["shape"] == "per_month" else (None, "")


def _served(entry: Mapping[str, Any], units: float) -> float:
    """Queries that one hourly machine can rerank in a month; no bound for a fee."""
    busy = units * float(entry["utilisation"] or 1)
    return HOURS_A_MONTH / busy if entry["hourly"] and busy > 0 else float("inf")


def _no_saving(net: Net) -> str:
    if np.isneginf(net.tokens_saved[0]):
        return "It needs more chunks than were looked at"
    return "It saves no tokens" if net.tokens_saved[0] <= 0 else "The LLM's tokens are free"


def _many(per: int, unit: str) -> str:
    if per == 1:
        return unit
    return f"{per:,} {'queries' if unit == 'query' else f'{unit}es' if unit.endswith('ch') else f'{unit}s'}"


def _price(value: float | None, sentence: str, *, per: int, unit: str) -> dict[str, Any]:
    return {"value": money(value), "per": per, "unit": unit, "sentence": sentence, "interval": None}


def _volume(value: float | None, sentence: str) -> dict[str, Any]:
    return {"value": value, "sentence": sentence}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


YEARS = 5


def price_trend(
    data: RerankerData,
    arm: str,
    percent: float,
    verdict_at: Callable[[float], str],
    *,
    depth: int | None = None,
    llm: str | None = None,
) -> dict[str, Any] | None:
    """The `price_trend`: years 0 to 5 with the LLM's price falling by `percent` a year, compounded.

    `verdict_at` tells the verdict at a price of a million tokens. None where the LLM is unpriced.
    """
    today = usd_of(llm_of(data, arm, llm))
    if today is None:
        return None
    net = net_of(data, arm, depth=depth)
    prices = [today * (1 - percent / 100) ** year for year in range(YEARS + 1)]
    verdicts = [verdict_at(price) for price in prices]
    years = [
        {
            "year": year,
            "llm_usd_per_million_tokens": money(price),
            "net_usd_per_1000_queries": found_money(net.at(llm_usd_per_million_tokens=price).net),
            "net_interval": money_ends(net.at(llm_usd_per_million_tokens=price).net, net.n),
            "verdict": verdict,
        }
        for year, (price, verdict) in enumerate(zip(prices, verdicts, strict=True))
    ]
    return {"percent_a_year": percent, "years": years, "sentence": _sentence(percent, prices, verdicts)}


def price_history(data: RerankerData, arm: str) -> list[dict[str, Any]]:
    """What the rate books say of the reranker's rate, oldest first."""
    return sorted((dict(entry) for entry in data.rates["arms"][arm]["history"]), key=lambda entry: str(entry["since"]))


def _sentence(percent: float, prices: list[float], verdicts: list[str]) -> str:
    way = "fall" if percent >= 0 else "rise"
    start = f"If LLM prices {way} by {abs(percent):g} % a year"
    changes = [
        f"{after} from year {year} ({dollars(prices[year])} a million tokens)"
        for year, (before, after) in enumerate(pairwise(verdicts), start=1)
        if before != after
    ]
    if not changes:
        return f"{start}, the verdict stays {verdicts[0]} for {YEARS} years."
    return f"{start}, the verdict is {verdicts[0]} today and {', then '.join(changes)}."
