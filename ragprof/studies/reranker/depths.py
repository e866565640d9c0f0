"""Quality, cost and latency at every (depth, k): all from one pass of scoring, latency timed live. Reads no file.

The study's metric, the gain and the loss belong to a depth and are the same for every k of it; what k chunks hold
(nDCG@k, P@k, evidence@k), and what the prompt is long, belong to both. A depth below k holds fewer chunks.

The depth from which more candidates make the ranking worse, if there is one, with its interval. Reads no file.

Jacob and others: Drowning in documents: consequences of scaling reranker inference, arXiv 2411.11767, found rerankers
whose quality falls as they are given more. Here each smaller depth is compared with the greatest one. The best of
several depths was picked by what was found, so the comparison has the simultaneous band of all of them: mean +- c x
standard error, with c the 95 % quantile, over the resamples, of the largest deviation of any depth in standard errors
(the max-type bootstrap; Romano and Wolf, Econometrica 73, 2005).

Latency of a depth composed from what other depths took, and how far that is from what was timed live.

For each depth in turn, nothing that was timed at it is used:
1. For every other depth and timed query, the median over rounds of the reranker's time.
2. rerank_ns = a + b x candidates + c x candidate_tokens, with a, b, c >= 0 (Lawson and Hanson's non-negative least
   squares), each row divided by its measured time, so that errors count in proportion to what they are errors of.
3. For each query that was timed at the depth: the median, over its rows at the other depths, of everything but the
   reranker (end to end minus reranking), plus what the model says of its candidates and their tokens at this depth.
4. The composed p50 is that of those sums over queries, as every p50 is estimated.
At least two other depths are needed; with fewer nothing is composed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core.quantities import LATENCIES
from ragprof.price.pricing import QUERIES
from ragprof.statistics.draws import CONFIDENCE, Array, observed_interval
from ragprof.statistics.estimates import QUANTILES, quantile, quantile_estimates
from ragprof.studies.reranker.candidates import searched
from ragprof.studies.reranker.data import RERANK, RerankerData
from ragprof.studies.reranker.effects import live_rounds, money, shown

METHOD = (
    "composed: everything but the reranker as measured at the other depths, plus a + b x candidates + c x tokens fitted"
    " (non-negative least squares) to the reranker's times at the other depths; compared with what was timed live"
)
NEEDED_DEPTHS = 2


def composed_p50s(data: RerankerData, arm: str) -> dict[int, float]:
    """Depth -> composed p50 in ns, for the depths for which there is one."""
    rows = data.table("live", arm)
    found = {int(depth): _composed(data, arm, rows, int(depth)) for depth in data.arm(arm)["depths"]}
    return {depth: p50 for depth, p50 in found.items() if p50 is not None}


def latency_check(data: RerankerData, arm: str) -> dict[str, Any] | None:
    """Composed against live medians, as shares of the live ones; None where no depth has both."""
    errors = {}
    for depth, composed in composed_p50s(data, arm).items():
        live = quantile(live_rounds(data, arm, depth), 0.5)
        errors[depth] = composed / live - 1
    if not errors:
        return None
    worst = max(errors, key=lambda depth: abs(errors[depth]))
    mean = float(np.mean([abs(error) for error in errors.values()]))
    return {
        "method": METHOD,
        "largest_error": abs(errors[worst]),
        "mean_error": mean,
        "sentence": (
            f"Latency composed from the other depths is off by {100 * mean:.1f} % on average and by "
            f"{100 * abs(errors[worst]):.1f} % at most (depth {worst}, too {'high' if errors[worst] > 0 else 'low'}) "
            "from what was timed live."
        ),
    }


def _composed(data: RerankerData, arm: str, rows: pd.DataFrame, depth: int) -> float | None:
    others = rows[(rows["depth"] != depth) & rows["end_to_end_ns"].notna()]
    reranked = others[(others["depth"] > 0) & others["rerank_ns"].notna()]
    asked = sorted(set(rows.loc[rows["depth"] == depth, "query_id"]) & set(others["query_id"]))
    if not asked or reranked["depth"].nunique() < NEEDED_DEPTHS:
        return None
    sizes = _sizes(data, arm, depth).reindex(asked).fillna(0).to_numpy(float)
    sums = _rest(others).loc[asked].to_numpy(float) + _design(sizes) @ _fitted(reranked)
    # In as many rounds as the rest was timed, so that the estimator smooths over as many neighbours as it does live.
    return quantile(np.repeat(sums[:, None], rows["round"].nunique(), axis=1), 0.5)


def _fitted(rows: pd.DataFrame) -> Array:
    """a, b and c."""
    from scipy.optimize import nnls

    cells = rows.groupby(["depth", "query_id"])[["candidates", "candidate_tokens", "rerank_ns"]].median()
    cells = cells[cells["rerank_ns"] > 0]
    if cells.empty:
        return np.zeros(3)
    taken = cells["rerank_ns"].to_numpy(float)
    weighed = _design(cells[["candidates", "candidate_tokens"]].to_numpy(float)) / taken[:, None]
    scale = np.maximum(weighed.max(axis=0), np.finfo(float).tiny)
    return np.asarray(nnls(weighed / scale, np.ones(len(taken)))[0] / scale)


def _design(sizes: Array) -> Array:
    return np.column_stack([np.ones(len(sizes)), sizes])


def _rest(rows: pd.DataFrame) -> pd.Series:
    """Median of everything but the reranker, by query."""
    rest = rows["end_to_end_ns"] - rows["rerank_ns"].fillna(0)
    return rest.groupby(rows["query_id"]).median()


def _sizes(data: RerankerData, arm: str, depth: int) -> pd.DataFrame:
    """Candidates and their tokens by query, from the rankings and not from the clock."""
    groups = searched(data, arm, depth).groupby("query_id")["tokens"]
    return pd.DataFrame({"candidates": groups.size(), "candidate_tokens": groups.sum()})


ENOUGH = 0.95
GAIN, LOSS = "gain", "loss"


def depth_curve(data: RerankerData, arm: str, nets: Callable[[int], str | None] | None = None) -> list[dict[str, Any]]:
    """A row for each depth and k, rising. `nets` gives a depth's net cost in USD per 1,000 queries, where known."""
    ks = ks_of(data, arm)
    table = _estimates(data, arm, ks)
    composed = composed_p50s(data, arm)
    rows = []
    for depth in data.arm(arm)["depths"]:
        shared = {
            **_latency(data, arm, depth),
            "composed_p50_ns": composed.get(depth),
            "usd_per_1000_queries": usd_per_1000(data.usd(arm, depth)),
            "net_usd_per_1000_queries": None if nets is None else nets(depth),
            "gain": table[depth][GAIN],
            "loss": table[depth][LOSS],
        }
        prompts = prompt_tokens(data, arm, depth)
        for k in ks:
            scores = {metric: table[depth][metric] for metric in _metrics(data.metric, [k])}
            rows.append({"depth": depth, "k": k, "scores": scores, "prompt_tokens": float(prompts[k - 1]), **shared})
    return rows


def ks_of(data: RerankerData, arm: str) -> list[int]:
    """The eval's ks and the pipeline's own."""
    return sorted({*data.settings["ks"], int(data.arm(arm)["own_k"])})


def prompt_tokens(data: RerankerData, arm: str, depth: int) -> Array:
    """Mean tokens of a prompt with the first 1, 2, ... max_k passages: template, question and context."""
    fixed = float(data.manifest["template_tokens"]) + float(data.manifest["query_tokens"])
    return np.asarray(fixed + data.context_tokens(arm, RERANK, depth).mean(axis=1))


def usd_per_1000(usd: Array | None) -> str | None:
    """Mean over the queries whose cost is known, as a decimal string; None where UNPRICED."""
    if usd is None or np.isnan(usd).all():
        return None
    return money(float(np.nanmean(usd)) * QUERIES)


def knee(curve: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The smallest depth with at least 95 % of the gain of the best depth, by means; None where no depth gains."""
    gains = {int(row["depth"]): row["gain"] for row in curve}
    if not gains or max(gain["mean"] or 0.0 for gain in gains.values()) <= 0:
        return None
    best = max(gains, key=lambda depth: (gains[depth]["mean"], -depth))
    depth = min(depth for depth in gains if gains[depth]["mean"] >= ENOUGH * gains[best]["mean"])
    share = gains[depth]["mean"] / gains[best]["mean"]
    return {
        "depth": depth,
        "share_of_gain": share,
        "sentence": (
            f"Depth {depth} is the smallest that has at least {100 * ENOUGH:.0f} % of the gain of the best depth, "
            f"{best}: {gains[depth]['mean']:+.3f} of {gains[best]['mean']:+.3f}."
        ),
    }


def _metrics(metric: str, ks: Sequence[int]) -> list[str]:
    """Column names, each once, the study's first."""
    return list(dict.fromkeys([metric, *(f"{family}@{k}" for k in ks for family in ("nDCG", "P", "evidence"))]))


def _estimates(data: RerankerData, arm: str, ks: Sequence[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """Depth -> metric, gain or loss -> estimate; one matrix product for all of them."""
    metrics, depths = _metrics(data.metric, ks), data.arm(arm)["depths"]
    own = data.reranked(arm, data.metric)
    columns = []
    for depth in depths:
        columns += [data.values(arm, RERANK, depth, metric) for metric in metrics]
        columns += [data.gain(arm, data.metric, depth), own - data.reranked(arm, data.metric, depth)]
    found = iter(data.draws.estimates(np.column_stack(columns)))
    return {depth: {name: next(found) for name in [*metrics, GAIN, LOSS]} for depth in depths}


def _latency(data: RerankerData, arm: str, depth: int) -> dict[str, Any]:
    """End to end as timed live at this depth; the interval resamples queries with all their rounds."""
    rounds = live_rounds(data, arm, depth)
    levels = [QUANTILES[name] for name in LATENCIES]
    found: dict[str, Any] = {}
    for name, estimate in zip(LATENCIES, quantile_estimates(rounds, levels, seed=data.seed), strict=True):
        found[f"{name}_ns"] = None if estimate.mean is None else round(estimate.mean)
        found[f"{name}_interval_ns"] = None if estimate.interval is None else [round(end) for end in estimate.interval]
    return {**found, "timed_queries": len(rounds)}


FALLS, HOLDS, OPEN = "falls", "does not fall", "undecided"


def falls_from(data: RerankerData, arm: str) -> dict[str, Any]:
    """Status "falls" where the best smaller depth is told from the greatest; "does not fall" where none is better by
    `margin`; else "undecided". `depth` is the peak, null unless quality falls; its interval is that of
    the resamples' peaks.
    """
    depths = [int(depth) for depth in data.arm(arm)["depths"]]
    if len(depths) < 2 or len(data.query_ids) < 2:
        what = f"depth {depths[0]} was looked at" if len(depths) < 2 else "one question was asked"
        sentence = f"Only {what}, so nothing can be said of more candidates."
        return {"depth": None, "interval": None, "status": OPEN, "sentence": sentence}
    columns = np.column_stack([data.reranked(arm, data.metric, depth) for depth in depths])
    peak = depths[int(columns.mean(axis=0).argmax())]
    differences, band = _banded(data.draws.means(columns[:, :-1] - columns[:, -1:]))
    best = int(differences.argmax())
    status = _status(band, best, float(data.settings["margin"]))
    told = shown([float(end) for end in band[best]], sign="+")
    found = f"{differences[best]:+.3f}{told} in {data.metric} at depth {depths[best]} against depth {depths[-1]}"
    interval = _peaks(data.draws.means(columns), depths)
    return {
        "depth": peak if status == FALLS else None,
        "interval": None if status == HOLDS else interval,
        "status": status,
        "sentence": _sentence(status, found, peak, interval, len(depths) - 1),
    }


def _banded(figures: Array) -> tuple[Array, Array]:
    """(1 + resamples, depths) of differences -> what was found (depths,) and the ends of their band (depths, 2)."""
    found, drawn = figures[0], figures[1:]
    errors = drawn.std(axis=0)
    errors = np.where(errors > 1e-12, errors, 0.0)
    deviations = np.abs(drawn - found) / np.where(errors > 0, errors, np.inf)
    width = np.quantile(deviations.max(axis=1), CONFIDENCE) * errors
    return found, np.column_stack([found - width, found + width])


def _status(band: Array, best: int, margin: float) -> str:
    if band[best, 0] > 0:
        return FALLS
    return HOLDS if band[:, 1].max() < margin else OPEN


def _peaks(figures: Array, depths: list[int]) -> list[int]:
    """95 % of the resamples have their best depth in here; the smallest of equals."""
    peaks = np.array(depths, dtype=float)[figures[1:].argmax(axis=1)]
    return [int(end) for end in observed_interval(peaks) or ()]


def _sentence(status: str, found: str, peak: int, interval: list[int], compared: int) -> str:
    band = f"95 % band over {compared} depths" if compared > 1 else "95 % interval"
    if status == FALLS:
        within = f"95 % of resamples: {interval[0]} to {interval[1]}"
        return f"Quality falls beyond depth {peak} ({within}): {found} ({band})."
    if status == HOLDS:
        return f"Quality does not fall with depth by as much as counts: {found} ({band})."
    return f"Whether quality falls with depth is undecided: {found} ({band})."
