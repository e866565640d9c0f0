"""What of a load recording is compared with another's: capacity, and the steps that were repeated at set rates.

Small enough for a baseline, which holds no requests. Computes no difference. Reads the recording, not its report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from ragprof.report import figures

if TYPE_CHECKING:
    from ragprof.evals.load import LoadSettings
    from ragprof.studies.load.analysis import TargetData
    from ragprof.studies.load.measured import MeasuredStep

NS_PER_MS = 1e6


class KeptStep(TypedDict):
    """One rate of the curve, repetitions together. Tails in ms by name; an interval is null with too few requests.

    `withheld` is why nothing is to be concluded from it; empty where nothing speaks against it.
    """

    rate: float
    requests: int
    tails: Mapping[str, float | None]
    intervals: Mapping[str, Sequence[float] | None]
    goodput: float
    goodput_interval: Sequence[float]
    withheld: str


class KeptLoad(TypedDict):
    """One pipeline. `plan` is what has to be the same on both sides, in words by its key; `capacity` a second."""

    plan: Mapping[str, str]
    status: str
    capacity: float | None
    interval: Sequence[float] | None
    trials: int
    withheld: str
    steps: Sequence[KeptStep]
    noise: NotRequired[Mapping[str, float]]


def kept_load(folder: Path, manifest: Mapping[str, Any]) -> dict[str, KeptLoad]:
    """Pipeline -> what its load came to; nothing where no load of this very recording lies in the folder.

    Raises BadInput for a file that is missing or broken.
    """
    from ragprof.studies.load.analysis import is_loaded, load_belongs

    if not is_loaded(folder) or not load_belongs(folder, manifest, {}):
        return {}
    return read_load(folder / "load")


def read_load(place: Path) -> dict[str, KeptLoad]:
    """The same of a folder of load, whatever it lies in."""
    from ragprof.evals.load import LoadSettings
    from ragprof.studies.load.analysis import TargetData
    from ragprof.studies.load.recorded import MANIFEST

    own = MANIFEST.read(place / "manifest.json")
    settings = LoadSettings.model_validate(own["settings"])
    found = {}
    for number, facts in enumerate(own["targets"]):
        if facts["name"] != facts["pipeline"]:  # what it could be cut down to is no pipeline of the eval
            continue
        data = TargetData(facts, place / str(number), settings.slo, own["cores"], settings.seed)
        found[facts["name"]] = _kept(data, settings)
    return found


def _kept(data: TargetData, settings: LoadSettings) -> KeptLoad:
    from ragprof.studies.load.capacity import estimate

    trials = [step for step in data.steps if step.steps[0]["mode"] == "open" and step.steps[0]["purpose"] in SOUGHT]
    found = estimate(trials, data.promise, alone=data.alone)
    # Far beyond the capacity everything is late, the generator too: what is said of those steps says nothing.
    below = [step for step in trials if (step.steps[0]["rate"] or 0) <= NEAR * (found.rate or 0)]
    reasons = [_withheld(each, data) for each in below]
    return KeptLoad(
        plan=_plan(data, settings),
        status=found.status,
        capacity=0.0 if found.status == "never" else found.rate,
        interval=None if found.interval is None else list(found.interval),
        trials=len(trials),
        withheld=next((reason for reason in reasons if reason), ""),
        steps=[_step(each, data) for each in data.joined if each.steps[0]["purpose"] == "curve"],
    )


SOUGHT = ("capacity", "curve")
NEAR = 1.1
"""Rates up to so many times the capacity are what it was read off."""


def _plan(data: TargetData, settings: LoadSettings) -> dict[str, str]:
    promise = data.promise
    return {
        "slo": f"{promise.words}, error_rate {promise.error_rate:g}",
        "arrivals": settings.arrivals if settings.trace is None else f"{settings.arrivals} of {settings.trace}",
        "workers": str(data.facts["workers"] or "the service's own"),
        "kind": data.facts["kind"],
    }


def _step(step: MeasuredStep, data: TargetData) -> KeptStep:
    tails, intervals = {}, {}
    for name in ("p50", "p95", "p99"):
        found = step.promised(data.promise).estimate(name)
        tails[name] = None if found.mean is None else found.mean / NS_PER_MS
        intervals[name] = None if found.interval is None else [end / NS_PER_MS for end in found.interval]
    rate = float(step.steps[0]["rate"] or 0)
    goodput, ends = _goodput(step.promised(data.promise), data.promise.ms * NS_PER_MS, rate)
    return KeptStep(
        rate=rate, requests=step.n, tails=tails, intervals=intervals, goodput=goodput, goodput_interval=ends,
        withheld=_withheld(step, data),
    )  # fmt: skip


BLOCKS = 25


def _goodput(step: MeasuredStep, bound_ns: float, rate: float) -> tuple[float, list[float]]:
    """The share that was answered in time, times the rate that was meant: how many happened to come is no merit.

    The interval is that of the share in blocks of neighbours, and never narrower than the exact one of a share.
    """
    from ragprof.statistics.estimates import Z, share_estimate

    table, within = step.table, step.within(bound_ns)
    exact = share_estimate(within, step.n)
    low, high = exact.interval or (0.0, 1.0)
    share = within / step.n
    if step.n >= 2 * BLOCKS:
        good = (table["outcome"] == "ok") & (table["ended_ns"] - table["due_ns"] <= bound_ns)
        means = np.array([part.mean() for part in np.array_split(good.to_numpy(float), BLOCKS)])
        reach = Z * float(means.std(ddof=1)) / np.sqrt(BLOCKS)
        low, high = max(0.0, min(low, share - reach)), min(1.0, max(high, share + reach))
    return share * rate, [low * rate, high * rate]


def _withheld(step: MeasuredStep, data: TargetData) -> str:
    from ragprof.studies.load.analysis import others_share
    from ragprof.studies.load.words import OTHERS

    if step.generator_bound:
        return "the generator itself was late"
    taken = others_share(step, data)
    if taken is not None and taken > OTHERS:
        return f"the machine was busy (other processes took {figures.share(taken)} of its cores)"
    return ""
