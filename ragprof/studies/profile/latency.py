"""Where the time of a query goes: quantiles a stage, closure, overhead, noise and cold start, from spans.parquet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import pandas as pd

from ragprof.core import STAGES, Estimate, in_order
from ragprof.record.disturbance import ROUND, Disturbance, disturbance_of, waiting_share
from ragprof.statistics.estimates import latency_quantiles, mean_estimate, noise
from ragprof.statistics.paired import crossed_ratio
from ragprof.studies.contract import EstimateValue, Latency
from ragprof.studies.profile.section import Noise, StageCores, Unaccounted, Waiting


class PipelineTiming(TypedDict):
    """The fields of `PipelineFigures` that come from spans.parquet."""

    stages: dict[str, Latency]
    end_to_end: Latency
    unaccounted: Unaccounted
    closure: float
    overhead: float | None
    overhead_interval: tuple[float, float] | None
    noise: Noise
    waiting: Waiting | None
    cold_start_ns: dict[str, int]


def latency_of(spans: pd.DataFrame, *, timing: Mapping[str, Any], seed: int) -> PipelineTiming:
    """Return the timing of one pipeline, from its rows of spans.parquet and the eval's [timing]."""
    timed = spans[spans["phase"] == "timed"]
    whole = timed[timed["stage"] == "query"]
    present = in_order({*timed["stage"]} - {"query"})
    stages: dict[str, Latency] = {
        stage: Latency(**latency_quantiles(timed[timed["stage"] == stage], seed=seed)) for stage in present
    }
    mean = float(whole["duration_ns"].mean())
    unaccounted = mean - sum(latency.mean_ns for latency in stages.values())
    extra = overhead(spans, seed=seed)
    return {
        "stages": stages,
        "end_to_end": Latency(**latency_quantiles(whole, seed=seed)),
        "unaccounted": Unaccounted(mean_ns=round(unaccounted), share=unaccounted / mean),
        "closure": closure(timed),
        "overhead": extra.mean,
        "overhead_interval": extra.interval,
        "noise": Noise(**noise(whole, timing["noise_bound"])),
        "waiting": waiting(spans, disturbance_of(spans, timing)),
        "cold_start_ns": cold_start(spans),
    }


def waiting(spans: pd.DataFrame, flag: Disturbance) -> Waiting | None:
    """What the cores did while the pipeline was timed; None where nothing of it was recorded."""
    rounds, timed = spans[spans["phase"] == ROUND], spans[spans["phase"] == "timed"]
    if rounds.empty or not rounds["cpu_ns"].notna().any():
        return None
    stages = {}
    for stage in STAGES:
        rows = timed[(timed["stage"] == stage) & timed["cpu_ns"].notna()]
        if len(rows):
            waited = _mean(rows, "waiting_ns")
            stages[stage] = StageCores(
                cpu_ns=round(float(rows["cpu_ns"].mean())), waiting_ns=None if waited is None else round(waited),
                share=waiting_share(rows),
            )  # fmt: skip
    asked = int((spans["phase"].isin(["timed", "bare"]) & (spans["stage"] == "query")).sum())
    switches = _mean(rounds, "switches")
    stolen, machine, pressed = (_mean(rounds, column) for column in ("stolen_ns", "machine_ns", "pressure_ns"))
    return Waiting(
        share=flag.waiting, bound=flag.waiting_bound, busy=flag.busy, reason=flag.reason if flag.busy else "",
        stages=stages, switches_per_query=None if switches is None else switches * len(rounds) / asked,
        stolen_share=None if stolen is None or not machine else stolen / (machine + stolen),
        # it is counted by the microsecond and read around the clock, so a little more of it passes than time
        pressure_share=None if pressed is None else min(1.0, pressed / float(rounds["duration_ns"].mean())),
    )  # fmt: skip


def _mean(rows: pd.DataFrame, column: str) -> float | None:
    return float(rows[column].mean()) if rows[column].notna().any() else None


def closure(timed: pd.DataFrame) -> float:
    """Mean over timed queries of (sum of the stages' spans / the end-to-end span); 0 where nobody told of a stage."""
    keyed = timed[["round", "query_id", "stage", "duration_ns"]].set_index(["round", "query_id"])
    whole = keyed.loc[keyed["stage"] == "query", "duration_ns"]
    staged = keyed.loc[keyed["stage"] != "query", "duration_ns"].groupby(level=[0, 1]).sum()
    return float((staged.reindex(whole.index, fill_value=0) / whole).mean())


def overhead(spans: pd.DataFrame, *, seed: int) -> Estimate:
    """(instrumented - bare) / bare of the same query, asked both ways in a row once, each first in turn.

    A machine that drifts moves both; the interval resamples queries.
    """
    columns = ["round", "query_id", "start_ns", "duration_ns"]
    bare, instrumented = (
        spans.loc[spans["phase"] == phase, columns].set_index(columns[:2]) for phase in ("bare", "instrumented")
    )
    both = bare.index.intersection(instrumented.index)
    bare, instrumented = bare.loc[both], instrumented.loc[both]
    return crossed_ratio(
        instrumented["duration_ns"].clip(lower=1), bare["duration_ns"].clip(lower=1),
        instrumented["start_ns"] < bare["start_ns"], seed=seed,
    )  # fmt: skip


def cold_start(spans: pd.DataFrame) -> dict[str, int]:
    """First call of each stage in the recording's process, ns."""
    cold = spans[(spans["phase"] == "cold") & (spans["stage"] != "query")]
    return {str(stage): int(duration) for stage, duration in zip(cold["stage"], cold["duration_ns"], strict=True)}


def mean_usage(usage: pd.DataFrame, *, seed: int) -> dict[str, EstimateValue]:
    """Mean count per query of each `stage.unit` of one pipeline."""
    return {
        f"{stage}.{unit}": EstimateValue.of(mean_estimate(rows["count"].to_numpy(), bounds=None, seed=seed))
        for (stage, unit), rows in usage.groupby(["stage", "unit"])
    }
