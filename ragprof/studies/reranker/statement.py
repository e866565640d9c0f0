"""The reranker's statement per 1,000 queries and per month, and at which prices and volumes its sign flips.

Net is the reranker's cost minus the LLM money saved: above 0 it costs. What is not priced is None, never 0. Machine
time is billed for the timed queries alone: their mean stands for all. The net is linear in the reranker's price and in
the LLM's, so both break-even prices are ratios, and the grid of both is computed on all resamples at once. Volume
decides only where a machine is paid by the hour or the month whether it is busy or not: a bill by use grows as the
savings do. Reads no file and forecasts no price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core.errors import UnknownName
from ragprof.price.pricing import QUERIES
from ragprof.report import figures
from ragprof.statistics.draws import ENDS, Array, over
from ragprof.studies.contract import VerdictWord
from ragprof.studies.reranker.chunks import ChunksSaved, iso_quality
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import (
    added_latency,
    estimate,
    found_money,
    known,
    means,
    money,
    money_ends,
    quality_gain,
)
from ragprof.studies.reranker.section import (
    BreakEven,
    DatedPrice,
    FlipPrice,
    FlipVolume,
    PerMonth,
    PriceCell,
    PriceGrid,
    PriceTrend,
    RerankerBilling,
    RerankerFlip,
    StatementLines,
    TodaysPrices,
    Told,
    TrendYear,
)

TOKENS = 1_000_000
POINTS = 100
HOURS_A_MONTH = 730
STEPS = 13
FACTORS = (0.01, 10.0)
LLM_PRICES = (0.02, 30.0)
YEARS = 5


@dataclass(frozen=True)
class Net:
    """What a reranker costs and saves, found (row 0) and in every resample: arrays of 1 + resamples.

    Money is USD per 1,000 queries; None where the reranker or the LLM is unpriced. `gain` is of the study's metric.
    `priced_queries` is how many queries the cost rests on. A net is infinite where no number of chunks held the
    quality.
    """

    gain: Array
    chunks: ChunksSaved
    cost: Array | None
    priced_queries: int
    queries: int
    llm_usd: float | None
    """USD per million tokens."""

    @property
    def tokens_saved(self) -> Array:
        return self.chunks.tokens_saved

    @property
    def saved(self) -> Array | None:
        if self.llm_usd is None:
            return None
        # Tokens without a price save nothing, even where an infinite number of them is spent.
        return self.tokens_saved * (self.llm_usd * QUERIES / TOKENS) if self.llm_usd else np.zeros(len(self.gain))

    @property
    def net(self) -> Array | None:
        return None if self.cost is None or self.saved is None else self.cost - self.saved

    @property
    def n(self) -> int:
        """Queries that the net rests on."""
        return min(self.priced_queries, self.queries)

    def at(self, llm_usd: float | None) -> Net:
        """The same at another price of the LLM."""
        return replace(self, llm_usd=llm_usd)


def net_of(data: RerankerData, arm: str, *, depth: int | None = None) -> Net:
    """At the price of the eval's LLM."""
    usd = data.usd(arm, depth or data.arm(arm).own_depth)
    gain = data.gain(arm, data.metric, depth)
    return Net(
        gain=means(data, gain),
        chunks=iso_quality(data, arm, depth),
        cost=None if usd is None else means(data, usd) * QUERIES,
        priced_queries=0 if usd is None else known(usd),
        queries=known(gain),
        llm_usd=usd_of(llm_of(data, arm)),
    )


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


def statement(
    data: RerankerData,
    arm: str,
    *,
    depth: int | None = None,
    llm: str | None = None,
    reported: Mapping[str, pd.Series] | None = None,
) -> StatementLines:
    """`llm` is one of the priced ones; `reported` is what the reranker itself said that it took, by unit."""
    named = llm_of(data, arm, llm)
    net = net_of(data, arm, depth=depth).at(usd_of(named))
    # What 0.01 of the metric costs at equal k. The tokens saved at equal quality are not taken off: that would count
    # the same profit twice.
    gains = net.cost is not None and net.gain[0] > 0
    per_point = over(net.cost, net.gain * POINTS) if net.cost is not None and gains else None
    return StatementLines(
        **dict(added_latency(data, arm, depth)),
        quality_gain=quality_gain(data, arm, depth),
        reranker_usd_per_1000_queries=found_money(net.cost),
        reranker_usd_interval=money_ends(net.cost, net.priced_queries),
        billing=_billing(data, arm, depth, reported or {}),
        iso_quality_k=net.chunks.figure,
        llm=None if named is None else named["name"],
        llm_usd_saved_per_1000_queries=found_money(net.saved),
        llm_usd_saved_interval=money_ends(net.saved, net.queries),
        net_usd_per_1000_queries=found_money(net.net),
        net_interval=money_ends(net.net, net.n),
        per_month=_per_month(net, data.rates["queries_per_month"]),
        usd_per_point=found_money(per_point),
        usd_per_point_interval=money_ends(per_point, net.n),
    )


def _billing(
    data: RerankerData, arm: str, depth: int | None, reported: Mapping[str, pd.Series]
) -> RerankerBilling:  # fmt: skip
    entry = data.rates["arms"][arm]
    rate = entry["rate"] or {}
    keys = ("shape", "unit", "usd", "per", "since", "source", "verified", "note")
    return RerankerBilling(
        rate=rate.get("name"),
        **{key: rate.get(key) for key in keys},
        units_per_query=estimate(data, data.units(arm, depth or data.arm(arm).own_depth), None),
        utilisation=entry["utilisation"],
        unpriced=entry["unpriced"],
        reported_per_query={unit: float(counts.mean()) for unit, counts in reported.items()} or None,
    )


def _per_month(net: Net, queries: int | None) -> PerMonth:
    cost, saved, left = (None if usd is None or not queries else usd * queries / QUERIES
                         for usd in (net.cost, net.saved, net.net))  # fmt: skip
    return PerMonth(
        queries=queries,
        reranker_usd=found_money(cost),
        reranker_usd_interval=money_ends(cost, net.priced_queries),
        llm_usd_saved=found_money(saved),
        llm_usd_saved_interval=money_ends(saved, net.queries),
        net_usd=found_money(left),
        net_interval=money_ends(left, net.n),
    )


def break_even(data: RerankerData, arm: str, *, depth: int | None = None, llm: str | None = None) -> BreakEven:
    """At the price of the eval's LLM or of a named one."""
    net = net_of(data, arm, depth=depth).at(usd_of(llm_of(data, arm, llm)))
    units = data.units(arm, depth or data.arm(arm).own_depth)
    entry, drawn = data.rates["arms"][arm], means(data, units)
    return BreakEven(
        reranker_usd=_reranker_price(net, entry["rate"], units=drawn, n=known(units)),
        llm_usd_per_million_tokens=_llm_price(net),
        queries_per_month=_volume(net, entry, units=float(drawn[0])),
        grid=_grid(net),
    )


def _reranker_price(net: Net, rate: Mapping[str, Any] | None, *, units: Array, n: int) -> RerankerFlip:
    """The price of `per` units up to which the reranker pays for itself; of 1,000 queries where no unit is billed."""
    by_unit = rate is not None and units[0] > 0
    per, unit = (rate["per"], rate["unit"]) if rate is not None and by_unit else (QUERIES, "query")
    if net.saved is None or not net.saved[0] > 0:
        no_price = f"{_no_saving(net)}, so it pays for itself at no price."
        sentence = _LLM_UNPRICED if net.saved is None else no_price
        return RerankerFlip(value=None, per=per, unit=unit, sentence=sentence, interval=None)
    prices = over(net.saved, units * QUERIES) * per if by_unit else net.saved
    now = f"; its price is {figures.plain_usd(rate['usd'])}" if rate is not None and by_unit else ""
    return RerankerFlip(
        value=found_money(prices),
        per=per,
        unit=unit,
        sentence=f"It pays for itself up to {figures.usd(float(prices[0]))} per {figures.per_words(per, unit)}{now}.",
        interval=money_ends(np.maximum(prices, 0.0), min(n, net.queries) if by_unit else net.queries),
    )


def _llm_price(net: Net) -> FlipPrice:
    """The price of a million LLM tokens from which the reranker pays for itself."""
    if net.cost is None:
        return FlipPrice(value=None, sentence="The reranker is unpriced.", interval=None)
    if not net.tokens_saved[0] > 0:
        sentence = f"{_no_saving(net)}, so it pays for itself at no price of the LLM's tokens."
        return FlipPrice(value=None, sentence=sentence, interval=None)
    prices = over(net.cost, net.tokens_saved * (QUERIES / TOKENS))
    now = "" if net.llm_usd is None else f"; they cost {figures.plain_usd(net.llm_usd)}"
    sentence = f"It pays for itself where a million LLM tokens cost {figures.usd(float(prices[0]))} or more{now}."
    return FlipPrice(value=found_money(prices), sentence=sentence, interval=money_ends(prices, net.n))


def _volume(net: Net, entry: Mapping[str, Any], *, units: float) -> FlipVolume:
    """Queries a month at which what is paid whether it is busy or not costs as much as the saved tokens.

    An hourly machine is taken to be always on. None where more queries would be needed than one machine can serve.
    """
    rate = entry["rate"]
    if rate is None:
        return FlipVolume(value=None, sentence="The reranker is unpriced.")
    usd = float(rate["usd"]) / rate["per"]
    if not entry["hourly"] and rate["shape"] != "per_month":
        by_use = "It is billed by use: costs and savings grow together, and no volume flips the sign."
        return FlipVolume(value=None, sentence=by_use if usd else "It costs nothing at any volume.")
    monthly, paid_for = usd, f"the fee of {rate['name']}"
    served = np.inf
    if entry["hourly"]:
        monthly, paid_for = usd * HOURS_A_MONTH, f"one {rate['name']} that is always on"
        busy = units * float(entry["utilisation"] or 1)
        served = HOURS_A_MONTH / busy if busy > 0 else np.inf
    if net.saved is None:
        return FlipVolume(value=None, sentence=_LLM_UNPRICED)
    if not net.saved[0] > 0:
        return FlipVolume(value=None, sentence=f"{_no_saving(net)}, so no volume pays for {paid_for}.")
    needed = monthly / (float(net.saved[0]) / QUERIES)
    bill = f"{paid_for[0].upper()}{paid_for[1:]} costs {figures.usd(monthly)} a month"
    if needed > served:
        sentence = (
            f"{bill}, as much as the tokens of {needed:,.0f} queries, but one machine serves about {served:,.0f}: no "
            "volume pays."
        )
        return FlipVolume(value=None, sentence=sentence)
    sentence = f"{bill}, as much as the tokens that are saved at {needed:,.0f} queries a month."
    return FlipVolume(value=needed, sentence=sentence)


_LLM_UNPRICED = "The LLM is unpriced, so what the saved tokens are worth is not known."


def _no_saving(net: Net) -> str:
    if np.isneginf(net.tokens_saved[0]):
        return "It needs more chunks than were looked at"
    return "It saves no tokens" if net.tokens_saved[0] <= 0 else "The LLM's tokens are free"


def _grid(net: Net) -> PriceGrid | None:
    """The net over multiples of the reranker's price and prices of the LLM; None where the reranker is unpriced.

    The LLM's price of today is among them unless it is 0, for which a logarithmic chart has no place.
    """
    if net.cost is None:
        return None
    factors = np.geomspace(*FACTORS, STEPS).round(6)
    prices = np.unique([*np.geomspace(*LLM_PRICES, STEPS).round(6), *([net.llm_usd] if net.llm_usd else [])])
    at = [(float(factor), float(price)) for factor in factors for price in prices]
    steps = np.array(at)
    cells = np.outer(net.cost, steps[:, 0]) - np.outer(net.tokens_saved, steps[:, 1] * (QUERIES / TOKENS))
    words = _told(cells[1:][~np.isnan(cells[1:, 0])])
    return PriceGrid(
        reranker_factor=factors.tolist(),
        llm_usd_per_million_tokens=prices.tolist(),
        cells=tuple(
            PriceCell(
                reranker_factor=factor,
                llm_usd_per_million_tokens=price,
                net=float(found) if np.isfinite(found) else None,
                told=word,
            )
            for (factor, price), found, word in zip(at, cells[0], words, strict=True)
        ),
        here=TodaysPrices(reranker_factor=1.0, llm_usd_per_million_tokens=net.llm_usd),
    )


def _told(drawn: Array) -> list[Told]:
    """Of (resamples, cells): whether so many lie on one side of 0 that the 95 % interval excludes it."""
    allowed = np.floor(ENDS[0] * (len(drawn) - 1))
    costs, saves = (drawn <= 0).sum(0) <= allowed, (drawn >= 0).sum(0) <= allowed
    if not len(drawn):
        return ["undecided"] * drawn.shape[1]
    return ["costs" if up else "saves" if down else "undecided" for up, down in zip(costs, saves, strict=True)]


def price_trend(
    data: RerankerData,
    arm: str,
    percent: float,
    verdict_at: Callable[[float], VerdictWord],
    *,
    depth: int | None = None,
    llm: str | None = None,
) -> PriceTrend | None:
    """Years 0 to 5 with the LLM's price falling by `percent` a year, compounded.

    `verdict_at` tells the verdict at a price of a million tokens. None where the LLM is unpriced.
    """
    today = usd_of(llm_of(data, arm, llm))
    if today is None:
        return None
    net = net_of(data, arm, depth=depth)
    prices = [today * (1 - percent / 100) ** year for year in range(YEARS + 1)]
    verdicts = [verdict_at(price) for price in prices]
    nets = [net.at(price).net for price in prices]
    years = tuple(
        TrendYear(
            year=year,
            llm_usd_per_million_tokens=money(price),
            net_usd_per_1000_queries=found_money(left),
            net_interval=money_ends(left, net.n),
            verdict=verdict,
        )
        for year, (price, left, verdict) in enumerate(zip(prices, nets, verdicts, strict=True))
    )
    start = f"If LLM prices {'fall' if percent >= 0 else 'rise'} by {abs(percent):g} % a year"
    changes = [
        f"{after} from year {year} ({figures.usd(prices[year])} a million tokens)"
        for year, (before, after) in enumerate(pairwise(verdicts), start=1)
        if before != after
    ]
    sentence = f"{start}, the verdict stays {verdicts[0]} for {YEARS} years."
    if changes:
        sentence = f"{start}, the verdict is {verdicts[0]} today and {', then '.join(changes)}."
    return PriceTrend(percent_a_year=percent, years=years, sentence=sentence)


def price_history(data: RerankerData, arm: str) -> tuple[DatedPrice, ...]:
    """What the rate books say of the reranker's rate, oldest first."""
    entries = sorted(data.rates["arms"][arm]["history"], key=lambda entry: str(entry["since"]))
    return tuple(DatedPrice(since=entry["since"], usd=entry["usd"]) for entry in entries)
