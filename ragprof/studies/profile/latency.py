"""Where the time of a query goes: quantiles a stage, closure, overhead, noise and cold start, from spans.parquet."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ragprof.core import STAGES
from ragprof.statistics.estimates import (
    latency_quantiles,
    mean_estimate,
    noise,
    quantile,
    quantile_estimates,
    rounds_of,
)


def latency_of(spans: pd.DataFrame, *, noise_bound: float, seed: int) -> dict[str, Any]:
    """The timing entries of one pipeline's summary, from its rows of spans.parquet. All durations in ns."""
    timed = spans[spans["phase"] == "timed"]
    whole = timed[timed["stage"] == "query"]
    present = [stage for stage in STAGES if (timed["stage"] == stage).any()]
    stages = {stage: latency_quantiles(timed[timed["stage"] == stage], seed=seed) for stage in present}
    unaccounted = float(whole["duration_ns"].mean()) - sum(stages[stage]["mean_ns"] for stage in present)
    return {
        "stages": stages,
        "end_to_end": latency_quantiles(whole, seed=seed),
        "unaccounted": {"mean_ns": round(unaccounted), "share": unaccounted / float(whole["duration_ns"].mean())},
        "closure": closure(timed),
        **overhead(spans, seed=seed),
        "noise": noise(whole, noise_bound),
        "cold_start_ns": cold_start(spans),
    }


def closure(timed: pd.DataFrame) -> float:
    """Mean over timed queries of (sum of the stages' spans / the end-to-end span)."""
    keyed = timed.set_index(["round", "query_id"])
    whole = keyed.loc[keyed["stage"] == "query", "duration_ns"]
    staged = keyed.loc[keyed["stage"] != "query", "duration_ns"].groupby(level=[0, 1]).sum()
    return float((staged / whole).mean())


def overhead(spans: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """(instrumented - bare) / bare: the median of the paired differences over the median of the bare loop.

    Each query was asked both ways in a row once, so a machine that drifts moves both; the interval resamples queries.
    """
    keyed = spans.set_index(["round", "query_id"])
    bare = keyed.loc[keyed["phase"] == "bare", "duration_ns"]
    difference = (keyed.loc[keyed["phase"] == "instrumented", "duration_ns"] - bare).dropna()
    base = quantile(rounds_of(bare.reset_index()), 0.5)
    (estimate,) = quantile_estimates(rounds_of(difference.reset_index()) / base, [0.5], seed=seed)
    return {"overhead": estimate.mean, "overhead_interval": list(estimate.interval) if estimate.interval else None}


def cold_start(spans: pd.DataFrame) -> dict[str, int]:
    """First call of each stage in the recording's process, ns."""
    cold = spans[(spans["phase"] == "cold") & (spans["stage"] != "query")]
    return {str(stage): int(duration) for stage, duration in zip(cold["stage"], cold["duration_ns"], strict=True)}


def mean_usage(usage: pd.DataFrame, *, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Mean count a query of each `stage.unit` of one pipeline, and the same as estimates with intervals."""
    means: dict[str, float] = {}
    estimates: dict[str, Any] = {}
    for (stage, unit), rows in usage.groupby(["stage", "unit"]):
        estimate = mean_estimate(rows["count"].to_numpy(), seed=seed)
        means[f"{stage}.{unit}"] = float(rows["count"].mean())
        interval = list(estimate.interval) if estimate.interval else None
        estimates[f"{stage}.{unit}"] = {"mean": estimate.mean, "interval": interval, "n": estimate.n}
    return means, estimates
