"""What a reranker does: how much quality it adds and how many milliseconds. Knows no price and reads no file.

Both are paired: the same queries with the reranker and without it, `without` being the search order at the pipeline's
own depth. An added quantile is the quantile with the reranker minus the one without it, each over all live rounds of
the queries that were timed both ways, resampled together.

How figures about a reranker are made and written: means in every resample, sign-flip tests, estimates and money.

Arrays hold one value a query, in the order of `data.query_ids`, NaN where it is not known; a mean in every resample is
an array of 1 + replicates, row 0 what was found. Money is computed in floats and written as a decimal string of six
significant digits; what is not known is None, never 0. Reads no file.

Shares of one mean in another, resample by resample, and how they and other estimates are told in a sentence.

A share has no sign, and so no size, where what it is a share of is not above 0: such an end of an interval is open
(null). Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from ragprof.core.quantities import LATENCIES
from ragprof.price.pricing import plain
from ragprof.statistics.draws import Array, ends, resampled
from ragprof.statistics.estimates import QUANTILES, quantile_draws, rounds_of
from ragprof.statistics.paired import paired_ps
from ragprof.studies.reranker.data import RerankerData

NOISE = 12
"""Decimals of USD beyond which there is rounding only."""


def means(data: RerankerData, values: Array) -> Array:
    """(queries,) -> (1 + replicates,); (n, queries) -> (1 + replicates, n).

    A query without a value takes no part; NaN where a resample drew no query that has one.
    """
    found = data.draws.means(np.atleast_2d(values).T)
    return np.asarray(found[:, 0] if values.ndim == 1 else found)


def known(values: Array) -> int:
    """How many queries have a value."""
    return int((~np.isnan(values)).sum())


def money(usd: float | None) -> str | None:
    """None where it is not known or infinite."""
    if usd is None or not np.isfinite(usd):
        return None
    return plain(Decimal(repr(round(float(usd), NOISE))))


def found_money(usd: Array | None) -> str | None:
    """What was found, row 0, of a figure in every resample."""
    return None if usd is None else money(float(usd[0]))


def money_ends(usd: Array | None, n: int) -> list[str | None] | None:
    """The interval of a figure in every resample; None below two queries, an end that is infinite is None."""
    found = None if usd is None or n < 2 or np.isnan(usd[0]) else ends(usd)
    return None if found is None else [money(end) for end in found]


def dollars(usd: float) -> str:
    """For sentences: $ and three significant digits."""
    text = plain(Decimal(f"{abs(usd):.3g}"))
    return f"-${text}" if usd < 0 else f"${text}"


def metrics_of(data: RerankerData, arm: str) -> list[str]:
    """The metrics of the statement: the study's first, each once."""
    k = data.arm(arm)["own_k"]
    wanted = [data.metric, "nDCG@10", "RR@10", "Success@5", f"R@{k}", f"evidence@{k}"]
    return list(dict.fromkeys(wanted))


def quality_gain(data: RerankerData, arm: str, depth: int | None = None) -> dict[str, Any]:
    """metric -> {"difference", "interval", "p", "n", "without", "with"}; a query counts where both are known."""
    metrics = metrics_of(data, arm)
    without = np.stack([data.plain(arm, metric) for metric in metrics])
    reranked = np.stack([data.reranked(arm, metric, depth) for metric in metrics])
    gains = reranked - without
    drawn = means(data, gains)
    ps = paired_ps(np.nan_to_num(gains.T), seed=data.seed).tolist()
    return {
        metric: _gain(drawn[:, row], gains[row], p=ps[row], without=without[row], reranked=reranked[row])
        for row, metric in enumerate(metrics)
    }


def _gain(drawn: Array, gains: Array, *, p: float, without: Array, reranked: Array) -> dict[str, Any]:
    both = ~np.isnan(gains)
    found = resampled(drawn, known(gains))
    return {
        "difference": found["mean"],
        "interval": found["interval"],
        "p": p if both.any() else None,
        "n": found["n"],
        "without": float(without[both].mean()) if both.any() else None,
        "with": float(reranked[both].mean()) if both.any() else None,
    }


def added_latency(data: RerankerData, arm: str, depth: int | None = None) -> dict[str, Any]:
    """ns that the reranker adds at p50 and p95; null where nothing was timed both ways."""
    own = depth or data.arm(arm)["own_depth"]
    both = sorted(set(data.timed(arm, 0)["query_id"]) & set(data.timed(arm, own)["query_id"]))
    plain, reranked = (live_rounds(data, arm, each, both) for each in (0, own))
    result: dict[str, Any] = {f"added_{name}_{what}": None for name in LATENCIES for what in ("ns", "interval_ns")}
    if both:
        levels = [QUANTILES[name] for name in LATENCIES]
        added = quantile_draws(reranked, levels, seed=data.seed) - quantile_draws(plain, levels, seed=data.seed)
        for name, figures in zip(LATENCIES, added.T, strict=True):
            result[f"added_{name}_ns"] = round(float(figures[0]))
            result[f"added_{name}_interval_ns"] = _whole(ends(figures)) if len(both) > 1 else None
    return {**result, "timed_queries": len(both)}


def live_rounds(data: RerankerData, arm: str, depth: int, queries: Sequence[str] | None = None) -> Array:
    """End to end ns at a depth (0: without the reranker), (queries, rounds), of the queries that were timed at it."""
    return rounds_of(data.timed(arm, depth), column="end_to_end_ns", queries=queries)


def _whole(interval: list[float | None] | None) -> list[int | None] | None:
    return None if interval is None else [None if end is None else round(end) for end in interval]


TIMES = 2.0


def ratio(numerator: Array, denominator: Array) -> Array:
    """Infinite with the numerator's sign where the denominator is not above 0; NaN for 0 / 0."""
    told = denominator > 0
    endless = np.where(numerator == 0, np.nan, np.copysign(np.inf, numerator))
    return np.asarray(np.where(told, numerator / np.where(told, denominator, 1.0), endless))


def ratio_estimate(numerator: Array, denominator: Array, *, n: int) -> dict[str, Any]:
    """Of two means in every resample; no mean where the denominator as found is not above 0."""
    return resampled(ratio(numerator, denominator), n)


def percent(share: Mapping[str, Any]) -> str:
    """ "99 % [97, 101]"; "an unknown share" where there is no mean."""
    if share["mean"] is None:
        return "an unknown share"
    return f"{100 * share['mean']:.0f} %{shown(share['interval'], scale=100, digits=0)}"


def share_of(share: Mapping[str, Any]) -> str:
    """ "48 % [45, 51] of", or "23.6 times [22.6, 24.3]" where it is more than twice as much."""
    if share["mean"] is None or share["mean"] <= TIMES:
        return f"{percent(share)} of"
    return f"{share['mean']:.3g} times{shown(share['interval'], digits=1)}"


def change(difference: Mapping[str, Any]) -> str:
    """Of a metric: "+0.031 [+0.012, +0.049]"."""
    return f"{difference['mean']:+.3f}{shown(difference['interval'], sign='+')}"


def level(metric: Mapping[str, Any]) -> str:
    """Of a metric itself: "0.612 [0.550, 0.671]"."""
    return f"{metric['mean']:.3f}{shown(metric['interval'])}"


def shown(ends: Sequence[float | None] | None, *, scale: float = 1.0, digits: int = 3, sign: str = "") -> str:
    """ " [0.550, 0.671]": each end times `scale`, "open" where there is none; nothing without an interval."""
    if ends is None:
        return ""
    low, high = ("open" if end is None else f"{scale * end:{sign}.{digits}f}" for end in ends)
    return f" [{low}, {high}]"
