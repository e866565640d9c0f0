"""Looking more than once: which latency gates are decided after so many rounds, and how noisy the machine is.

Each look is judged at a level divided by the number of looks allowed (Bonferroni), and by the number of gates, so that
a pipeline whose gates are all decided at some look is decided in the end, where Holm's correction is at most as strict.
A pipeline with another gate undecided is asked again, and then all its gates are judged on all its rounds.

The noise is by how much a machine tells apart two processes of the same version that answered by turns. What is timed
is compared in quantiles, what is billed by time in means: both are learned. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ragprof.core import in_order
from ragprof.core.quantities import LATENCIES, Quantity, quantity
from ragprof.evals import GateMargin, GateSettings
from ragprof.statistics.draws import resampled_counts
from ragprof.statistics.paired import Effect, Timed, finite_interval, quantile_effects
from ragprof.statistics.unseen import CONFIDENCE
from ragprof.studies.gate.document import GateVerdict, Noise
from ragprof.studies.gate.evidence import WHOLE
from ragprof.studies.gate.verdicts import better_of, bound, gate_verdict, given_tolerance


@dataclass(frozen=True)
class Watched:
    """A latency gate of one pipeline."""

    pipeline: str
    quantity: Quantity
    margin: GateMargin


def watched(gate: GateSettings, stages: Mapping[str, Sequence[str]]) -> list[Watched]:
    """The latency gates, in every pipeline that is named for them and has the stage; `stages` by pipeline."""
    return [
        Watched(pipeline, asked, margin)
        for label, margin in gate.quantities.items()
        if (asked := quantity(label)).kind == "latency"
        for pipeline in margin.pipelines or gate.pipelines or tuple(stages)
        if not asked.stage or asked.stage in stages.get(pipeline, ())
    ]


@dataclass(frozen=True)
class LookLevel:
    """How sure a look must be: `looks` are allowed, and `family` gates are judged together."""

    alpha: float
    looks: int
    family: int
    seed: int


def told(
    base: pd.DataFrame, candidate: pd.DataFrame, gates: Sequence[Watched], *, noise: Noise, level: LookLevel
) -> list[GateVerdict]:
    """A verdict a gate, in order; `undecided` too where no query was timed on both sides."""
    strict = level.alpha / level.looks / level.family
    found: list[GateVerdict] = []
    for gate in gates:
        effect = effect_of(base, candidate, gate, seed=level.seed, looks=level.looks, alpha=level.alpha)
        if effect is None:
            found.append("undecided")
            continue
        floor = noise.get(gate.pipeline, {}).get(gate.quantity.label)
        margin = bound(given_tolerance(gate.margin), base=effect.base, noise=floor).value
        better = better_of(gate.quantity, gate.margin)
        found.append(gate_verdict(effect.interval, margin=margin, p=effect.p, better=better, alpha=strict))
    return found


def undecided(gates: Sequence[Watched], verdicts: Sequence[GateVerdict]) -> set[str]:
    """The pipelines of which some gate cannot be told yet."""
    return {gate.pipeline for gate, verdict in zip(gates, verdicts, strict=True) if verdict == "undecided"}


def effect_of(
    base: pd.DataFrame, other: pd.DataFrame, gate: Watched, *, seed: int, looks: int, alpha: float
) -> Effect | None:
    """None where no query was timed on both sides."""
    stage = gate.quantity.stage or WHOLE
    sides = [side[(side["pipeline"] == gate.pipeline) & (side["stage"] == stage)] for side in (base, other)]
    timed = Timed.of(*sides)
    if timed is None:
        return None
    (effect,) = quantile_effects(timed, [gate.quantity.name], seed=seed, confidence=1 - alpha / looks)
    return effect


def learned(base: pd.DataFrame, twin: pd.DataFrame, *, seed: int) -> Noise:
    """pipeline -> quantity -> how far from 0 the interval of (twin / base - 1) reaches, where both are the same.

    Under the name of a bill stands the noise of the time that it is made of; of the bill it is only that share.
    """
    noise: dict[str, dict[str, float]] = {}
    for name, mine in base.groupby("pipeline"):
        other = twin[twin["pipeline"] == name]
        for stage in (WHOLE, *in_order({*mine["stage"]} - {WHOLE})):
            timed = Timed.of(mine[mine["stage"] == stage], other[other["stage"] == stage])
            if timed is None or len(timed.base) < 2:
                continue
            found, of = noise.setdefault(str(name), {}), "" if stage == WHOLE else stage
            effects = quantile_effects(timed, LATENCIES, seed=seed, confidence=CONFIDENCE)
            for level, effect in zip(LATENCIES, effects, strict=True):
                if effect.relative_interval is not None:
                    found[Quantity("latency", of, level).label] = max(map(abs, effect.relative_interval))
            if timed.base.any():
                counts = resampled_counts(len(timed.base), seed=seed)
                ratios = (counts @ timed.candidate.mean(axis=1)) / (counts @ timed.base.mean(axis=1)) - 1
                if (ends := finite_interval(ratios)) is not None:
                    found[Quantity("cost", of, "").label] = max(map(abs, ends))
    return noise
