"""What one step measured: latency from the intended start, goodput, lateness of the generator, whether it was steady.

All latencies are kept, so quantiles are those of every other figure (`statistics/estimates.py`) and nothing is merged
or binned. Requests that follow each other wait in one queue and are no independent witnesses: intervals rest on blocks
of neighbours, longer than a queue's memory; what is read off several steps resamples them (Carlstein, Annals of
Statistics 14, 1986). A request that failed at once
has no latency; one that ran into a time limit, or was under way when the step ended, took at least that long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ragprof.core import STAGES, Estimate
from ragprof.evals.load import Promise
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import (
    QUANTILES,
    mean_estimate,
    quantile,
    quantile_draws,
    quantile_interval,
    share_estimate,
)
from ragprof.studies.load.recorded import RecordedStep
from ragprof.studies.load.requests import OK, TIMED_OUT, UNFINISHED

BLOCKS, FEWEST_BLOCKS = 25, 20
BEYOND = 10
"""Requests above a quantile without which it has no interval."""
LATE_SHARE = 0.10
"""Of the latency: a generator that is later than that is what was measured."""
DRIFT = 1.5
REMEMBERS = 0.5
"""Correlation of neighbouring blocks; independent ones reach it once in two hundred times."""
STAGE_NAMES = (*STAGES, "other")


def needed(level: float) -> int:
    """How many requests a quantile's interval takes."""
    return round(BEYOND / (1 - level))


@dataclass(frozen=True)
class MeasuredStep:
    """One step, or several of equal settings together."""

    steps: tuple[RecordedStep, ...]
    tables: tuple[pd.DataFrame, ...]
    """In each the requests after the warm-up, in the order in which they were due."""
    seed: int = 0

    @classmethod
    def of(cls, step: RecordedStep, table: pd.DataFrame, *, seed: int = 0) -> MeasuredStep:
        """Leave out the warm-up, unless nothing would be left."""
        later = table[table["due_ns"] >= step["warm_s"] * 1e9]
        kept = (later if len(later) else table).sort_values("due_ns", kind="stable")
        return cls((step,), (kept.reset_index(drop=True),), seed)

    def joined(self, other: MeasuredStep) -> MeasuredStep:
        """Both as one: a repetition."""
        return MeasuredStep(self.steps + other.steps, self.tables + other.tables, self.seed)

    @cached_property
    def as_first(self) -> MeasuredStep:
        """The same with the first token for the answer; an answer of which it was not seen coming counts whole."""
        tables = []
        for table in self.tables:
            seen = (table["outcome"] == OK) & table["first_ns"].notna()
            first = table["first_ns"].where(seen, table["ended_ns"]).astype("int64")
            tables.append(table.assign(ended_ns=first))
        return MeasuredStep(self.steps, tuple(tables), self.seed)

    def promised(self, promise: Promise) -> MeasuredStep:
        """What a promise speaks of: the answers, or their first tokens."""
        return self.as_first if promise.of_first_token else self

    @property
    def tells_first(self) -> bool:
        """Whether first tokens were seen coming before their answers ended."""
        seen = self.table[(self.table["outcome"] == OK) & self.table["first_ns"].notna()]
        return bool((seen["first_ns"] < seen["ended_ns"]).any())

    @cached_property
    def table(self) -> pd.DataFrame:
        return pd.concat(self.tables, ignore_index=True) if len(self.tables) > 1 else self.tables[0]

    @property
    def n(self) -> int:
        return len(self.table)

    @property
    def seconds(self) -> float:
        """In which requests were due, warm-up apart; until it was cut off."""
        return sum(max(1e-9, min(each["seconds"], each["cut_ns"] / 1e9) - each["warm_s"]) for each in self.steps)

    @cached_property
    def latencies(self) -> Array:
        """In ns, of all but those that failed at once."""
        return np.concatenate([_latencies(table) for table in self.tables])

    def quantile(self, level: float) -> float | None:
        return quantile(self.latencies[:, None], level) if len(self.latencies) else None

    @cached_property
    def blocks(self) -> Array | None:
        """(blocks, requests of each) in time; None where there are too few requests for blocks."""
        most = len(self.latencies) // 2
        blocks = min(BLOCKS, most)
        if blocks < FEWEST_BLOCKS:
            return None
        size = len(self.latencies) // blocks
        rows = []
        for table in self.tables:
            values = _latencies(table)
            many = len(values) // size
            rows.append(values[: many * size].reshape(many, size))
        found = np.concatenate(rows)
        return found if len(found) >= FEWEST_BLOCKS else None

    @cached_property
    def draws(self) -> Array | None:
        """p50, p95, p99 as measured and in every resample of blocks, (1 + resamples, 3)."""
        if self.blocks is None:
            return None
        return quantile_draws(self.blocks, list(QUANTILES.values()), seed=self.seed)

    def estimate(self, name: str) -> Estimate:
        """A quantile by its name, with an interval where there are requests enough beyond it."""
        level = QUANTILES[name]
        value, span = self.quantile(level), None
        if value is not None and self.blocks is not None and len(self.latencies) >= needed(level):
            low, high = quantile_interval(self.blocks, level)
            span = (min(low, value), max(high, value))
        return Estimate(value, span, len(self.latencies))

    def failures(self) -> Estimate:
        """The share of requests that were not answered."""
        return share_estimate(int((self.table["outcome"] != OK).sum()), self.n)

    def within(self, bound_ns: float) -> int:
        """How many were answered in time."""
        took = self.table["ended_ns"] - self.table["due_ns"]
        return int(((self.table["outcome"] == OK) & (took <= bound_ns)).sum())

    def goodput(self, bound_ns: float) -> float:
        """Answers within the bound per second."""
        return self.within(bound_ns) / self.seconds

    @property
    def answered(self) -> float:
        """Answers per second, late ones too, of those that came before the end."""
        answers = 0
        for step, table in zip(self.steps, self.tables, strict=True):
            ends = min(step["seconds"], step["cut_ns"] / 1e9) * 1e9
            answers += int(((table["outcome"] == OK) & (table["ended_ns"] <= ends)).sum())
        return answers / self.seconds

    @property
    def offered(self) -> float:
        """Requests per second that were due."""
        return self.n / self.seconds

    def late(self) -> Estimate:
        """The generator's own lateness in ns, its median, of requests of which it is known."""
        late = self.table["late_ns"].dropna().to_numpy(float)
        return Estimate(quantile(late[:, None], 0.5) if len(late) else None, None, len(late))

    @property
    def generator_bound(self) -> bool:
        """Whether the generator's lateness is a part of the latencies that matters."""
        late = self.table["late_ns"].dropna().to_numpy(float)
        if not len(late) or not len(self.latencies):
            return False
        return float(late.mean()) > LATE_SHARE * float(self.latencies.mean()) and float(late.mean()) > 1e6

    @property
    def unsteady(self) -> str:
        """Why it was not in a steady state; empty where nothing speaks against it."""
        if any(each["stopped"] for each in self.steps):
            return next(each["stopped"] for each in self.steps if each["stopped"])
        growing = []
        for table in self.tables:
            values = _latencies(table)
            third = len(values) // 3
            if third < 10:
                continue
            first, last = (mean_estimate(_means(each), bounds=None) for each in (values[:third], values[-third:]))
            if first.interval and last.interval and last.interval[0] > DRIFT * first.interval[1]:
                growing.append((last.mean or 0) / (first.mean or 1))
        if growing:
            return f"latency grew {max(growing):.1f} times from its first to its last third"
        if self.blocks is not None and _memory(self.blocks.mean(axis=1)) > REMEMBERS:
            return "its queue remembers longer than a block of time, so its intervals are too narrow; give it more time"
        return ""

    def stage_means(self) -> dict[str, float]:
        """The mean ns of each stage, over the requests that tell of it."""
        found = {}
        for stage in STAGE_NAMES:
            values = self.table[f"{stage}_ns"].dropna()
            if len(values) and float(values.sum()):
                found[stage] = float(values.mean())
        return found

    def batched(self) -> tuple[float, float] | None:
        """The mean ns that requests waited for batches, and the mean size of these; None where nothing was batched."""
        if "batch_ns" not in self.table or not self.table["batch_ns"].notna().any():
            return None
        return float(self.table["batch_ns"].dropna().mean()), float(self.table["together"].dropna().mean())

    def on_cores(self) -> tuple[float, float] | None:
        """The mean ns that a request's worker was on a core, and was ready to run and had none; None: not told."""
        if "ran_ns" not in self.table or not self.table["ran_ns"].notna().any():
            return None
        return float(self.table["ran_ns"].dropna().mean()), float(self.table["waited_ns"].dropna().mean())

    def queued(self) -> float | None:
        """The mean ns from when a request was due until a worker took it."""
        taken = self.table[self.table["sent_ns"].notna()]
        return float((taken["sent_ns"] - taken["due_ns"]).mean()) if len(taken) else None

    def held(self) -> float | None:
        """The mean ns for which a request held its worker, or its connection."""
        taken = self.table[self.table["sent_ns"].notna() & (self.table["outcome"] != UNFINISHED)]
        return float((taken["ended_ns"] - taken["sent_ns"]).mean()) if len(taken) else None

    def pool_share(self, workers: int) -> float:
        """The share of the workers' time that was spent on requests."""
        busy = 0.0
        for step, table in zip(self.steps, self.tables, strict=True):
            low, high = step["warm_s"] * 1e9, min(step["seconds"] * 1e9, step["cut_ns"])
            taken = table[table["sent_ns"].notna()]
            start, end = (np.clip(taken[name].to_numpy(float), low, high) for name in ("sent_ns", "ended_ns"))
            busy += float((end - start).sum())
        return busy / (workers * self.seconds * 1e9)


def _latencies(table: pd.DataFrame) -> Array:
    has_time = table["outcome"].isin([OK, TIMED_OUT, UNFINISHED]).to_numpy()
    return (table["ended_ns"] - table["due_ns"]).to_numpy(float)[has_time]


def _memory(means: Array) -> float:
    """Correlation of neighbouring blocks; 0 where all are equal."""
    off = means - means.mean()
    whole = float((off**2).sum())
    return float((off[1:] * off[:-1]).sum()) / whole if whole else 0.0


def _means(values: Array) -> Array:
    """Means of up to ten blocks."""
    return np.array([part.mean() for part in np.array_split(values, 10)])
