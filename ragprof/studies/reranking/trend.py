"""How the verdict moves if LLM prices fall, and what the reranker's own price did. Forecasts no price."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.figures import dollars, found_money, money, money_ends
from ragprof.studies.reranking.statement import llm_of, net_of, usd_of

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
