"""What a reranker does: how much quality it adds and how many milliseconds. Knows no price and reads no file.

Both are paired: the same queries with the reranker and without it, `without` being the search order at the pipeline's
own depth. A query's time is the mean over its live rounds; an added quantile is the quantile of these times with the
reranker minus the quantile without it, over the queries that were timed both ways, resampled together.

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

from ragprof.price.pricing import plain
from ragprof.statistics import draws as on_draws
from ragprof.statistics.draws import Array, ends, resampled
from ragprof.studies.reranker.data import RerankerData

FLIPS = 9_999
NOISE = 12
"""Decimals of USD beyond which there is rounding only."""


def means(data: RerankerData, values: Array) -> Array:
    """(queries,) -> (1 + replicates,); (n, queries) -> (1 + replicates, n).

    A query without a value takes no part; NaN where a resample drew no query that has one.
    """
    found = on_draws.means(data.draws, np.atleast_2d(values).T)
    return np.asarray(found[:, 0] if values.ndim == 1 else found)


def estimate(data: RerankerData, values: Array) -> dict[str, Any]:
    """{"mean", "interval", "n"} of the mean over queries."""
    return on_draws.means_estimate(data.draws, values)


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


def sign_flip_ps(differences: Array, *, seed: int) -> list[float]:
    """p of the two-sided paired randomisation test of each row of (n, queries): the same flips for all of them.

    As paired_p: every pattern of signs where there are at most 9,999 of them, else 9,999 drawn ones
    and the one that was found. 1.0 where no query differs. NaN counts as no difference.
    """
    rows = np.nan_to_num(differences)
    patterns = _signs(rows.shape[1], seed)
    found = np.abs(rows.sum(1))
    beyond = (np.abs(patterns @ rows.T) >= found * (1 - 1e-12) - 1e-12).sum(0)
    drawn = int(len(patterns) == FLIPS)
    return [float(each) for each in (beyond + drawn) / (len(patterns) + drawn)]


def _signs(queries: int, seed: int) -> Array:
    """(patterns, queries) of -1 and 1."""
    if 2**queries <= FLIPS:
        places = np.arange(2**queries)[:, None] >> np.arange(queries)
        return np.asarray((places & 1) * 2.0 - 1.0)
    drawn = np.random.default_rng(seed).integers(0, 2, size=(FLIPS, queries), dtype=np.int8)
    return np.asarray(drawn * 2.0 - 1.0)


QUANTILES = {"p50": 0.50, "p95": 0.95}


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
    ps = sign_flip_ps(gains, seed=data.seed)
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
    """Milliseconds' worth of ns that the reranker adds at p50 and p95; null where nothing was timed both ways."""
    plain, reranked = end_to_end(data, arm, 0), end_to_end(data, arm, depth or data.arm(arm)["own_depth"])
    both = ~np.isnan(plain) & ~np.isnan(reranked)
    timed = int(both.sum())
    quantiles = list(QUANTILES.values())
    nowhere = np.full(len(both), np.nan)
    added = drawn_quantiles(data, np.where(both, reranked, nowhere), quantiles) - drawn_quantiles(
        data, np.where(both, plain, nowhere), quantiles
    )
    result: dict[str, Any] = {}
    for column, name in enumerate(QUANTILES):
        result[f"added_{name}_ns"] = round(float(added[0, column])) if timed else None
        result[f"added_{name}_interval_ns"] = _whole(ends(added[:, column])) if timed > 1 else None
    return {**result, "timed_queries": timed}


def end_to_end(data: RerankerData, arm: str, depth: int) -> Array:
    """ns of each query, the mean over its rounds, at a depth (0: without the reranker); NaN where it was not timed."""
    rows = data.timed(arm, depth)
    by_query = rows["end_to_end_ns"].astype(float).groupby(rows["query_id"]).mean()
    return np.asarray(by_query.reindex(data.query_ids).to_numpy(float, na_value=np.nan))


def drawn_quantiles(data: RerankerData, values: Array, quantiles: list[float]) -> Array:
    """Quantiles of the known values, found and in every resample: (1 + replicates, quantiles).

    Interpolated as numpy does; NaN where nothing is known or a resample drew nothing that is.
    """
    timed = np.flatnonzero(~np.isnan(values))
    if not timed.size:
        return np.full((len(data.draws.counts), len(quantiles)), np.nan)
    rising = timed[np.argsort(values[timed], kind="stable")]
    upto = data.draws.counts[:, rising].cumsum(axis=1)
    return np.stack([_quantile(values[rising], upto, quantile) for quantile in quantiles], axis=1)


def _quantile(rising: Array, upto: Array, quantile: float) -> Array:
    """The quantile of the multiset that holds the i-th value upto[i] - upto[i - 1] times, of each row."""
    total = upto[:, -1]
    place = quantile * np.maximum(total - 1, 0)
    low, high = np.floor(place), np.ceil(place)
    last = len(rising) - 1
    below, above = (rising[np.minimum((upto <= at[:, None]).sum(1), last)] for at in (low, high))
    return np.asarray(np.where(total > 0, below + (place - low) * (above - below), np.nan))


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
