"""What a reranker does: how much quality it adds and how many milliseconds; and how such figures are written.

Both are paired: the same queries with the reranker and without it, `without` being the search order at the pipeline's
own depth. An added quantile is the quantile with the reranker minus the one without it, each over all live rounds of
the queries that were timed both ways, resampled together.

Arrays hold one value a query, in the order of `data.query_ids`, NaN where it is not known; a mean in every resample is
an array of 1 + resamples, row 0 what was found. Money is computed in floats and written as a decimal string of six
significant digits; what is not known is None, never 0. Reads no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from ragprof.core.quantities import LATENCIES
from ragprof.price.pricing import plain
from ragprof.report import figures
from ragprof.report.tables import open_span
from ragprof.statistics.draws import Array, ends, resampled
from ragprof.statistics.estimates import FEWEST, QUANTILES, quantile_draws, rounds_of
from ragprof.statistics.paired import paired_ps
from ragprof.statistics.unseen import SIGNED, UNIT, Bounds, all_equal, unseen_share
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.section import AddedLatency, PairedDifference, QualityGain

NOISE = 12
"""Decimals of USD beyond which there is rounding only."""
TIMES = 2.0


def means(data: RerankerData, values: Array) -> Array:
    """(queries,) -> (1 + resamples,); (n, queries) -> (1 + resamples, n).

    A query without a value takes no part; NaN where a resample drew no query that has one.
    """
    found = data.draws.means(np.atleast_2d(values).T)
    return np.asarray(found[:, 0] if values.ndim == 1 else found)


def estimates(data: RerankerData, columns: Array, bounds: Sequence[Bounds | None]) -> list[EstimateValue]:
    """Of the mean of each column of (queries, columns); `bounds` are those of one value of it."""
    return [EstimateValue(**found) for found in data.draws.estimates(columns, bounds=bounds)]


def estimate(data: RerankerData, values: Array, bounds: Bounds | None = UNIT) -> EstimateValue:
    """Of the mean over queries."""
    return estimates(data, values[:, None], [bounds])[0]


def known(values: Array) -> int:
    """How many queries have a value."""
    return int((~np.isnan(values)).sum())


def ratio(numerator: Array, denominator: Array) -> Array:
    """Infinite with the numerator's sign where the denominator is not above 0; NaN for 0 / 0.

    A share has no size where what it is a share of is not above 0, so that end of an interval is open.
    """
    above = denominator > 0
    endless = np.where(numerator == 0, np.nan, np.copysign(np.inf, numerator))
    return np.asarray(np.where(above, numerator / np.where(above, denominator, 1.0), endless))


def ratio_estimate(numerator: Array, denominator: Array, *, n: int, most: float = np.inf) -> EstimateValue:
    """Of two means of scores in every resample; no mean where the denominator as found is not above 0.

    `most` is the largest that it can be. Where it is the same in every resample, the scores of queries that were not
    seen may differ by as much as scores can.
    """
    drawn = ratio(numerator, denominator)
    found = EstimateValue(**resampled(drawn, n))
    told = drawn[np.isfinite(drawn)]  # a resample without room has no ratio
    if n < 2 or not np.isfinite(drawn[0]) or not all_equal(told, SIGNED):
        return found
    reach = unseen_share(n) / float(denominator[0])
    return found.model_copy(update={"interval": (float(drawn[0]) - reach, min(most, float(drawn[0]) + reach))})


def metrics_of(data: RerankerData, arm: str) -> list[str]:
    """The metrics of the statement: the study's first, each once."""
    k = data.arm(arm).own_k
    wanted = [data.metric, "nDCG@10", "RR@10", "Success@5", f"R@{k}", f"evidence@{k}"]
    return list(dict.fromkeys(wanted))


def quality_gain(data: RerankerData, arm: str, depth: int | None = None) -> dict[str, QualityGain]:
    """Of each metric; a query counts where both sides are known."""
    metrics = metrics_of(data, arm)
    without = np.stack([data.plain(arm, metric) for metric in metrics])
    reranked = np.stack([data.reranked(arm, metric, depth) for metric in metrics])
    gains = paired_differences(data, reranked - without)
    both = ~np.isnan(reranked - without)
    return {
        metric: QualityGain(
            **gain.as_json(),
            without=float(before[each].mean()) if each.any() else None,
            reached=float(after[each].mean()) if each.any() else None,
        )
        for metric, gain, before, after, each in zip(metrics, gains, without, reranked, both, strict=True)
    }


def paired_differences(data: RerankerData, differences: Array) -> list[PairedDifference]:
    """Of (n, queries): means with intervals, and p by the same flips of sign for all of them."""
    drawn, ps = means(data, differences), paired_ps(np.nan_to_num(differences.T), seed=data.seed).tolist()
    found = []
    for row, p in enumerate(ps):
        estimate = resampled(drawn[:, row], known(differences[row]), bounds=SIGNED)
        found.append(
            PairedDifference(
                difference=estimate["mean"],
                interval=estimate["interval"],
                p=p if estimate["n"] else None,
                n=estimate["n"],
            )
        )
    return found


def added_latency(data: RerankerData, arm: str, depth: int | None = None) -> AddedLatency:
    """ns that the reranker adds at p50 and p95; None where nothing was timed both ways."""
    own = depth or data.arm(arm).own_depth
    both = sorted(set(data.timed(arm, 0)["query_id"]) & set(data.timed(arm, own)["query_id"]))
    result: dict[str, Any] = {f"added_{name}_{what}": None for name in LATENCIES for what in ("ns", "interval_ns")}
    if both:
        levels = [QUANTILES[name] for name in LATENCIES]
        plain, reranked = (
            quantile_draws(live_rounds(data, arm, each, both), levels, seed=data.seed) for each in (0, own)
        )
        for name, drawn in zip(LATENCIES, (reranked - plain).T, strict=True):
            span = ends(drawn, n=len(both)) if len(both) >= FEWEST[name] else None
            result[f"added_{name}_ns"] = round(float(drawn[0]))
            result[f"added_{name}_interval_ns"] = span and [None if end is None else round(end) for end in span]
    return AddedLatency(**result, timed_queries=len(both))


def live_rounds(data: RerankerData, arm: str, depth: int, queries: Sequence[str] | None = None) -> Array:
    """End to end ns at a depth (0: without the reranker), (queries, rounds), of the queries that were timed at it."""
    return rounds_of(data.timed(arm, depth), column="end_to_end_ns", queries=queries)


def money(usd: float | None) -> str | None:
    """None where it is not known or infinite."""
    if usd is None or not np.isfinite(usd):
        return None
    return plain(Decimal(repr(round(float(usd), NOISE))))


def found_money(usd: Array | None) -> str | None:
    """What was found, row 0, of a figure in every resample."""
    return None if usd is None else money(float(usd[0]))


def money_ends(usd: Array | None, n: int) -> tuple[str | None, str | None] | None:
    """The interval of a figure in every resample; None below two queries, an end that is infinite is None."""
    found = None if usd is None or n < 2 or np.isnan(usd[0]) else ends(usd, n=n)
    return None if found is None else (money(found[0]), money(found[1]))


def told(value: float | None, interval: Sequence[float | None] | None, write: Callable[[Any], str]) -> str:
    """For sentences: "0.612 (95% CI 0.550-0.671)", without an interval the value alone."""
    span = open_span(interval, write)
    return write(value) if span == figures.ABSENT else f"{write(value)} (95% CI {span})"


def percent(share: EstimateValue) -> str:
    """ "99.0% (95% CI 97.0%-101.0%)"; "an unknown share" where there is no mean."""
    return "an unknown share" if share.mean is None else told(share.mean, share.interval, figures.share)


def share_of(share: EstimateValue) -> str:
    """ "48.0% (95% CI 45.0%-51.0%) of", or "23.6 times (95% CI 22.6-24.3)" where it is more than twice as much."""
    if share.mean is None or share.mean <= TIMES:
        return f"{percent(share)} of"
    return told(share.mean, share.interval, figures.three_digits).replace(" (", " times (", 1)


def change(difference: EstimateValue) -> str:
    """Of a metric: "+0.031 (95% CI +0.012 to +0.049)"."""
    return told(difference.mean, difference.interval, figures.difference)


def level(metric: EstimateValue) -> str:
    """Of a metric itself: "0.612 (95% CI 0.550-0.671)"."""
    return told(metric.mean, metric.interval, figures.score)
