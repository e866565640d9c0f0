"""The words of a verdict's reason: gains, prices and money as a reader is told them. Decides nothing."""

from __future__ import annotations

from ragprof.studies.reranking.case import POINT, AtDepth, Case, limits


def gain_words(case: Case, at: AtDepth) -> str:
    low, high = limits(at.gain)
    return f"ranking quality by {abs(at.gain[0]):.3f} {case.metric} (95 % interval {low:+.3f} to {high:+.3f})"


def price_words(case: Case) -> str:
    """What it costs, in the words of a sentence's second half."""
    if case.own.cost is None:
        return "its price is not known (UNPRICED), so this rests on quality and time alone"
    if case.free:
        return "it is free"
    cost = float(case.own.cost[0])
    words = f"costs {usd(cost)} per 1,000 queries, {usd(cost * POINT / float(case.own.gain[0]))} for each point of it"
    net = case.net
    if net is None:
        return words
    low, high = limits(net)
    if high < 0:
        return f"{words}; at equal quality it saves {usd(-float(net[0]))} more in prompt tokens than it costs"
    if low > 0:
        return f"{words}; at equal quality the prompt tokens that it saves pay for less than that"
    return f"{words}; whether the prompt tokens saved at equal quality pay for it cannot be told"


def signed(value: float) -> str:
    return f"{value:+.3f}"


def usd(value: float) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 or size == 0 else f"{sign}${float(f'{size:.2g}'):.10f}".rstrip("0")
