"""Quality, cost and latency at every (depth, k): all from one pass of scoring, latency timed live. Reads no file.

The study's metric, the gain and the loss belong to a depth and are the same for every k of it; what k chunks hold
(nDCG@k, P@k, evidence@k), and what the prompt is long, belong to both. A depth below k holds fewer chunks.

Jacob and others, Drowning in documents: consequences of scaling reranker inference, arXiv 2411.11767, found rerankers
whose quality falls as they are given more. Here each smaller depth is compared with the greatest one. The best of
several depths was picked by what was found, so the comparison has the simultaneous band of all of them: mean +- c x
standard error, with c the 95 % quantile, over the resamples, of the largest deviation of any depth in standard errors
(the max-type bootstrap; Romano and Wolf, Econometrica 73, 2005).

The latency of a depth is also composed from what other depths took, to see how far that is from what was timed live.
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

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core.quantities import LATENCIES
from ragprof.price.pricing import QUERIES
from ragprof.report.figures import difference, span
from ragprof.statistics.draws import Array, observed_interval
from ragprof.statistics.estimates import QUANTILES, quantile, quantile_estimates
from ragprof.statistics.unseen import CONFIDENCE, SIGNED, UNIT
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import estimates, live_rounds, money
from ragprof.studies.reranker.recorded import RERANK
from ragprof.studies.reranker.section import DepthStep, FallsFrom, Knee, LatencyCheck

METHOD = (
    "composed: everything but the reranker as measured at the other depths, plus a + b x candidates + c x tokens fitted"
    " (non-negative least squares) to the reranker's times at the other depths; compared with what was timed live"
)
NEEDED_DEPTHS = 2
ENOUGH = 0.95


def depth_curve(data: RerankerData, arm: str, nets: Callable[[int], str | None] | None = None) -> tuple[DepthStep, ...]:
    """A step for each depth and k, rising. `nets` gives a depth's net cost in USD per 1,000 queries, where known."""
    ks = sorted({*data.settings.ks, data.arm(arm).own_k})
    composed = composed_p50s(data, arm)
    fixed = float(data.manifest["template_tokens"]) + float(data.manifest["query_tokens"])
    families = ("nDCG", "P", "evidence")
    metrics = list(dict.fromkeys([data.metric, *(f"{family}@{k}" for k in ks for family in families)]))
    own, columns = data.reranked(arm, data.metric), []
    within = len(data.arm(arm).depths) * [*len(metrics) * [UNIT], SIGNED, SIGNED]
    for depth in data.arm(arm).depths:
        columns += [data.values(arm, RERANK, depth, metric) for metric in metrics]
        columns += [data.gain(arm, data.metric, depth), own - data.reranked(arm, data.metric, depth)]
    found, rows = iter(estimates(data, np.column_stack(columns), within)), []
    for depth in data.arm(arm).depths:
        scored = {metric: next(found) for metric in metrics}
        gain, loss = next(found), next(found)
        if depth == data.arm(arm).own_depth:  # nothing is lost against itself, for whichever queries
            loss = loss.model_copy(update={"interval": None})
        prompts = data.context_tokens(arm, RERANK, depth).mean(axis=1)
        usd = data.usd(arm, depth)
        shared = {
            **_latency(data, arm, depth),
            "composed_p50_ns": composed.get(depth),
            "usd_per_1000_queries": None if usd is None else money(float(np.nanmean(usd)) * QUERIES),
            "net_usd_per_1000_queries": None if nets is None else nets(depth),
        }
        for k in ks:
            at_k = {metric: scored[metric] for metric in [data.metric, *(f"{family}@{k}" for family in families)]}
            tokens = fixed + float(prompts[k - 1])
            rows.append(DepthStep(depth=depth, k=k, scores=at_k, prompt_tokens=tokens, **shared, gain=gain, loss=loss))
    return tuple(rows)


def _latency(data: RerankerData, arm: str, depth: int) -> dict[str, Any]:
    """End to end as timed live at this depth; the interval resamples queries with all their rounds."""
    rounds = live_rounds(data, arm, depth)
    levels = [QUANTILES[name] for name in LATENCIES]
    found: dict[str, Any] = {}
    for name, estimate in zip(LATENCIES, quantile_estimates(rounds, levels, seed=data.seed), strict=True):
        found[f"{name}_ns"] = None if estimate.mean is None else round(estimate.mean)
        found[f"{name}_interval_ns"] = None if estimate.interval is None else [round(end) for end in estimate.interval]
    return {**found, "timed_queries": len(rounds)}


def knee(curve: Sequence[DepthStep]) -> Knee | None:
    """The smallest depth with at least 95 % of the gain of the best depth, by means; None where no depth gains."""
    gains = {step.depth: step.gain.mean or 0.0 for step in curve}
    if max(gains.values(), default=0.0) <= 0:
        return None
    best = max(gains, key=lambda depth: (gains[depth], -depth))
    depth = min(depth for depth in gains if gains[depth] >= ENOUGH * gains[best])
    sentence = (
        f"Depth {depth} is the smallest that has at least {100 * ENOUGH:.0f} % of the gain of the best depth, "
        f"{best}: {difference(gains[depth])} of {difference(gains[best])}."
    )
    return Knee(depth=depth, share_of_gain=gains[depth] / gains[best], sentence=sentence)


def falls_from(data: RerankerData, arm: str) -> FallsFrom:
    """It "falls" where the best smaller depth is significantly better than the greatest; it "does not fall" where none
    is better by `margin`; else it is "undecided". `depth` is the peak, None unless quality falls; its interval is that
    of the resamples' peaks.
    """
    depths = data.arm(arm).depths
    if len(depths) < 2 or len(data.query_ids) < 2:
        what = f"depth {depths[0]} was looked at" if len(depths) < 2 else "one question was asked"
        sentence = f"Only {what}, so nothing can be said of more candidates."
        return FallsFrom(depth=None, interval=None, status="undecided", sentence=sentence)
    columns = np.column_stack([data.reranked(arm, data.metric, depth) for depth in depths])
    peak = depths[int(columns.mean(axis=0).argmax())]
    differences, band = _banded(data.draws.means(columns[:, :-1] - columns[:, -1:]))
    best = int(differences.argmax())
    peaks = np.array(depths, dtype=float)[data.draws.means(columns)[1:].argmax(axis=1)]
    low, high = (int(end) for end in observed_interval(peaks) or (peak, peak))
    compared = len(depths) - 1
    kind = f"95% band over {compared} depths" if compared > 1 else "95% CI"
    found = (
        f"{difference(differences[best])} ({kind} {span(band[best].tolist(), difference)}) in {data.metric} at depth "
        f"{depths[best]} against depth {depths[-1]}."
    )
    if band[best, 0] > 0:
        sentence = f"Quality falls beyond depth {peak} (95 % of resamples: {low} to {high}): {found}"
        return FallsFrom(depth=peak, interval=(low, high), status="falls", sentence=sentence)
    if band[:, 1].max() < data.settings.margin:
        sentence = f"Quality does not fall with depth by as much as counts: {found}"
        return FallsFrom(depth=None, interval=None, status="does not fall", sentence=sentence)
    sentence = f"Whether quality falls with depth is undecided: {found}"
    return FallsFrom(depth=None, interval=(low, high), status="undecided", sentence=sentence)


def _banded(figures: Array) -> tuple[Array, Array]:
    """(1 + resamples, depths) of differences -> what was found (depths,) and the ends of their band (depths, 2)."""
    found, drawn = figures[0], figures[1:]
    errors = drawn.std(axis=0)
    errors = np.where(errors > 1e-12, errors, 0.0)
    deviations = np.abs(drawn - found) / np.where(errors > 0, errors, np.inf)
    width = np.quantile(deviations.max(axis=1), CONFIDENCE) * errors
    return found, np.column_stack([found - width, found + width])


def latency_check(data: RerankerData, arm: str, curve: Sequence[DepthStep]) -> LatencyCheck | None:
    """Composed against live medians, as shares of the live ones; None where no depth has both."""
    composed = {step.depth: step.composed_p50_ns for step in curve if step.composed_p50_ns is not None}
    errors = {depth: p50 / quantile(live_rounds(data, arm, depth), 0.5) - 1 for depth, p50 in composed.items()}
    if not errors:
        return None
    worst = max(errors, key=lambda depth: abs(errors[depth]))
    mean, largest = float(np.mean([abs(error) for error in errors.values()])), abs(errors[worst])
    sentence = (
        f"Latency composed from the other depths is off by {100 * mean:.1f} % on average and by "
        f"{100 * largest:.1f} % at most (depth {worst}, too {'high' if errors[worst] > 0 else 'low'}) "
        "from what was timed live."
    )
    return LatencyCheck(method=METHOD, largest_error=largest, mean_error=mean, sentence=sentence)


def composed_p50s(data: RerankerData, arm: str) -> dict[int, float]:
    """Depth -> composed p50 in ns, for the depths for which there is one."""
    rows = data.table("live", arm)
    timed = rows[rows["end_to_end_ns"].notna()]
    rest = (timed["end_to_end_ns"] - timed["rerank_ns"].fillna(0)).rename("rest_ns")
    others = pd.concat([timed[["depth", "query_id"]], rest], axis=1)
    reranked = timed[(timed["depth"] > 0) & timed["rerank_ns"].notna()]
    if reranked.empty:
        return {}
    sizes = reranked.groupby(["depth", "query_id"])[["candidates", "candidate_tokens", "rerank_ns"]].median()
    cells, rounds = sizes.reset_index(level="depth"), rows["round"].nunique()
    found = {}
    for depth in data.arm(arm).depths:
        asked = {*rows.loc[rows["depth"] == depth, "query_id"]}
        p50 = _composed(data.candidates(arm, depth), others[others["depth"] != depth], cells[cells["depth"] != depth],
                        asked=asked, rounds=rounds)  # fmt: skip
        if p50 is not None:
            found[depth] = p50
    return found


def _composed(
    candidates: pd.DataFrame, others: pd.DataFrame, cells: pd.DataFrame, *, asked: set[str], rounds: int
) -> float | None:
    """From what all but the reranker took at the other depths, and the reranker's median times of each query there."""
    both = sorted(asked & {*others["query_id"]})
    if not both or cells["depth"].nunique() < NEEDED_DEPTHS:
        return None
    # Candidates and their tokens come from the rankings and not from the clock.
    tokens = candidates.groupby("query_id")["tokens"]
    sizes = pd.DataFrame({"candidates": tokens.size(), "candidate_tokens": tokens.sum()}).reindex(both).fillna(0)
    rest = others.groupby("query_id")["rest_ns"].median()
    sums = rest.loc[both].to_numpy(float) + _design(sizes.to_numpy(float)) @ _fitted(cells)
    # In as many rounds as the rest was timed, so that the estimator smooths over as many neighbours as it does live.
    return quantile(np.repeat(sums[:, None], rounds, axis=1), 0.5)


def _fitted(cells: pd.DataFrame) -> Array:
    """a, b and c, from the median times of each query at each depth."""
    from scipy.optimize import nnls

    cells = cells[cells["rerank_ns"] > 0]
    if cells.empty:
        return np.zeros(3)
    taken = cells["rerank_ns"].to_numpy(float)
    weighed = _design(cells[["candidates", "candidate_tokens"]].to_numpy(float)) / taken[:, None]
    scale = np.maximum(weighed.max(axis=0), np.finfo(float).tiny)
    return np.asarray(nnls(weighed / scale, np.ones(len(taken)))[0] / scale)


def _design(sizes: Array) -> Array:
    return np.column_stack([np.ones(len(sizes)), sizes])
