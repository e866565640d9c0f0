"""How far other work on the machine reached into timings: one flag a pipeline, read here by all that would compare.

A flag subtracts nothing. It says whether latency, and money that is billed by time, may stand in a headline, a verdict
or a gate. Two things raise it: threads that waited for a core (`busy`), and rounds that disagree (`noisy`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragprof.evals import Timing, settings_of
from ragprof.evals.recorded import SPANS
from ragprof.statistics.estimates import noise

if TYPE_CHECKING:
    import pandas as pd


ROUND = "round"
"""The phase of rows that hold all queries of a pipeline in a round, and what the cores did meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Of the timed queries of one pipeline. None is what was not measured, as in recordings of older versions."""

    waiting: float | None
    """Share of their time in which threads waited for a core."""
    waiting_bound: float
    spread: float | None
    """Between the rounds' medians, as a share of the median of all."""
    spread_bound: float

    @property
    def busy(self) -> bool:
        return self.waiting is not None and self.waiting > self.waiting_bound

    @property
    def noisy(self) -> bool:
        return self.spread is not None and self.spread > self.spread_bound

    @property
    def reason(self) -> str:
        """Why latency is withheld, to follow "because"; empty where it is not."""
        if self.busy:
            return f"the machine was busy ({self.waiting:.0%} of the time waiting for a core)"
        if self.noisy:
            return f"the rounds' median latencies differ by {self.spread:.0%} (bound {self.spread_bound:.0%})"
        return ""


def disturbances(folder: Path) -> dict[str, Disturbance]:
    """The flag of every pipeline of a recording, by name. Raises BadInput for a folder that holds none."""
    spans, settings = SPANS.read(folder / "spans.parquet"), settings_of(folder)
    return {
        pipeline["name"]: disturbance_of(spans[spans["pipeline"] == pipeline["name"]], settings["timing"])
        for pipeline in settings["pipelines"]
    }


def disturbance_of(spans: pd.DataFrame, timing: Mapping[str, Any]) -> Disturbance:
    """The flag of one pipeline, from its rows of spans.parquet and the eval's [timing]."""
    timed = spans[spans["phase"] == "timed"]
    whole = timed[timed["stage"] == "query"]
    spread = noise(whole, bound=0.0)["spread"] if len(whole) else None
    return _flag(waiting_of(spans), spread, timing)


def busy_words(live: pd.DataFrame, timing: Mapping[str, Any]) -> str:
    """Why no sentence rests on live queries of a study, from `end_to_end_ns` and what their threads did; else empty."""
    return _flag(waiting_share(live, duration="end_to_end_ns"), None, timing).reason


def _flag(waiting: float | None, spread: float | None, timing: Mapping[str, Any]) -> Disturbance:
    """By the bounds of a [timing], or by the usual ones where an older version wrote it."""
    waiting_bound, spread_bound = (
        timing.get(key, Timing.model_fields[key].default) for key in ("waiting_bound", "noise_bound")
    )
    return Disturbance(waiting=waiting, waiting_bound=waiting_bound, spread=spread, spread_bound=spread_bound)


def waiting_of(spans: pd.DataFrame) -> float | None:
    """Share of the rounds' time that was waiting: for a core of this machine, and for what a hypervisor took away.

    Where the system keeps no waiting by thread it is the share in which any task of the machine waited.
    """
    rounds = spans[spans["phase"] == ROUND]
    waited, took = waiting_share(rounds), rounds["duration_ns"].sum()
    if waited is None:
        pressed = _sum(rounds, "pressure_ns")
        return None if pressed is None or not took else min(1.0, pressed / took)
    stolen, machine, own = (_sum(rounds, column) for column in ("stolen_ns", "machine_ns", "cpu_ns"))
    if not stolen or machine is None or own is None:
        return waited
    # a core is stolen from whoever runs on it: this process in the share of its own time that it ran
    return min(1.0, waited + stolen / (machine + stolen) * min(1.0, own / took))


def busiest_share(live: pd.DataFrame, *, by: Sequence[str]) -> float:
    """The highest share of waiting of live queries that belong together; 0 where nobody read it."""
    groups = live.groupby(list(by), sort=False)
    return max((waiting_share(rows, duration="end_to_end_ns") or 0.0 for _, rows in groups), default=0.0)


def waiting_share(rows: pd.DataFrame, *, duration: str = "duration_ns") -> float | None:
    """Time that threads waited for a core / the time of the rows; None where nobody read it.

    Several threads wait and run for longer than the clock shows. A span's time is then what they took together, so the
    share is never above 1; where they slept instead, as for a server's answer, it is what the clock shows.
    """
    if "waiting_ns" not in rows or not rows["waiting_ns"].notna().any():
        return None
    read = rows[rows["waiting_ns"].notna()]
    wanted = (read["cpu_ns"] + read["waiting_ns"]).astype("float64")
    total = float(wanted.clip(lower=read[duration].astype("float64")).sum())
    return float(read["waiting_ns"].sum()) / total if total else 0.0


def _sum(rows: pd.DataFrame, column: str) -> float | None:
    return float(rows[column].sum()) if column in rows and rows[column].notna().any() else None
