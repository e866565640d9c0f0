"""The words of a verdict's reason: gains, prices and money as a reader is told them. Decides nothing."""

from __future__ import annotations

import numpy as np

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.case import POINT, AtDepth, Case, limits

SAVED = 0.05


def gain_words(case: Case, at: AtDepth) -> str:
    low, high = case.gain_limits(at)
    return f"ranking quality by {abs(at.gain[0]):.3f} {case.metric} (95 % interval {low:+.3f} to {high:+.3f})"


def worth_words(case: Case) -> str:
    return f"at {usd(case.worth_usd_per_point or 0)} a point (0.01 {case.metric}) and 1,000 queries"


def price_words(case: Case) -> str:
    """What it costs, in the words of a sentence's second half."""
    if case.own.cost is None:
        return "its price is not known (UNPRICED), so this rests on quality and time alone"
    if case.free:
        return "it is free"
    cost = float(case.own.cost[0])
    words = f"costs {usd(cost)} per 1,000 queries, {usd(cost * POINT / float(case.own.gain[0]))} for each point of it"
    return words if case.net is None else f"{words}; {_net_words(case.net)}"


def _net_words(net: Array) -> str:
    low, high = limits(net)
    if np.isposinf(net[0]):
        return "no number of chunks that was looked at makes its prompts shorter at equal quality"
    if high < 0:
        return f"at equal quality it saves {usd(-float(net[0]))} more in prompt tokens than it costs"
    if low > 0:
        return "at equal quality the prompt tokens that it saves pay for less than that"
    return "whether the prompt tokens saved at equal quality pay for it cannot be told"


def savings_words(case: Case, at: AtDepth) -> str:
    """What a smaller depth saves, where it saves a twentieth of it or more: money, time or both. Empty for neither."""
    said, own = [], case.own
    if own.cost is not None and at.cost is not None and own.cost[0] - at.cost[0] > SAVED * own.cost[0]:
        said.append(f"{usd(float(own.cost[0] - at.cost[0]))} per 1,000 queries")
    if own.added_p95_ms and at.added_p95_ms and own.added_p95_ms[0] - at.added_p95_ms[0] > SAVED * own.added_p95_ms[0]:
        said.append(f"{own.added_p95_ms[0] - at.added_p95_ms[0]:,.0f} ms at p95")
    return " and ".join(said)


def signed(value: float) -> str:
    return f"{value:+.3f}"


def usd(value: float) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 or size == 0 else f"{sign}${float(f'{size:.2g}'):.10f}".rstrip("0")
