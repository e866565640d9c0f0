"""Looking more than once: which latency gates are decided after so many rounds.

Each look is judged at a level divided by the number of looks allowed (Bonferroni), and by the number of gates, so that
a pipeline whose gates are all decided at some look is decided in the end, where Holm's correction is at most as strict.
A pipeline with another gate undecided is asked again, and then all its gates are judged on all its rounds. Reads no
file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ragprof.evals import Gate, Margin
from ragprof.quantities import Quantity, quantity
from ragprof.studies.compare.effects import Effect
from ragprof.studies.compare.latencies import quantile_effects, timed
from ragprof.studies.compare.verdicts import better_of, bound, gate_verdict, given_tolerance


@dataclass(frozen=True)
class Watched:
    """A latency gate of one pipeline."""

    pipeline: str
    quantity: Quantity
    margin: Margin


def watched(gate: Gate, stages: Mapping[str, Sequence[str]]) -> list[Watched]:
    """The latency gates, in every pipeline that is named for them and has the stage; `stages` by pipeline."""
    return [
        Watched(pipeline, asked, margin)
        for label, margin in gate.quantities.items()
        if (asked := quantity(label)).kind == "latency"
        for pipeline in margin.pipelines or gate.pipelines or tuple(stages)
        if not asked.stage or asked.stage in stages.get(pipeline, ())
    ]


@dataclass(frozen=True)
class Level:
    """How sure a look must be: `looks` are allowed, and `family` gates are judged together."""

    alpha: float
    looks: int
    family: int
    seed: int


def told(
    base: pd.DataFrame,
    candidate: pd.DataFrame,
    gates: Sequence[Watched],
    *,
    noise: Mapping[str, Mapping[str, float]],
    level: Level,
) -> list[str]:
    """A verdict a gate, in order; `undecided` too where no query was timed on both sides."""
    found = []
    for gate in gates:
        effect = effect_of(base, candidate, gate, seed=level.seed, looks=level.looks, alpha=level.alpha)
        floor = noise.get(gate.pipeline, {}).get(gate.quantity.label)
        strict = level.alpha / level.looks / level.family
        found.append("undecided" if effect is None else _verdict(effect, gate, floor, alpha=strict))
    return found


def undecided(gates: Sequence[Watched], verdicts: Sequence[str]) -> set[str]:
    """The pipelines of which some gate cannot be told yet."""
    return {gate.pipeline for gate, verdict in zip(gates, verdicts, strict=True) if verdict == "undecided"}


def effect_of(
    base: pd.DataFrame, other: pd.DataFrame, gate: Watched, *, seed: int, looks: int, alpha: float
) -> Effect | None:
    """None where no query was timed on both sides."""
    stage = gate.quantity.stage or "query"
    sides = [side[(side["pipeline"] == gate.pipeline) & (side["stage"] == stage)] for side in (base, other)]
    found = timed(*sides)
    if found is None:
        return None
    (effect,) = quantile_effects(found, [gate.quantity.name], seed=seed, confidence=1 - alpha / looks)
    return effect


def _verdict(effect: Effect, gate: Watched, floor: float | None, *, alpha: float) -> str:
    better = better_of(gate.quantity, gate.margin)
    limit = bound(given_tolerance(gate.margin), base=effect.base, noise=floor).value
    return gate_verdict(effect.interval, margin=limit, p=effect.p, better=better, alpha=alpha)
