"""At which prices, and at which volume, a reranker costs as much as the tokens that it saves. Reads no file.

The net is linear in the reranker's price and in the LLM's, so both break-even prices are ratios, and the chart of both
is computed on all resamples at once. Volume decides only where a machine is paid by the hour or the month whether it is
busy or not: a bill by use grows as the savings do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ragprof.price.pricing import QUERIES
from ragprof.studies.query_draws import ENDS, Array, over
from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.figures import dollars, known, means, money, money_ends
from ragprof.studies.reranking.statement import TOKENS, Net, llm_of, net_of, usd_of

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
