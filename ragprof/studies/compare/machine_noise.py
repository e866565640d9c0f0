"""A machine's own noise: by how much it tells apart two processes of the same version that answered by turns.

Reads no file. What is timed is compared in quantiles, what is billed by time in means: both are learned.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd

from ragprof.core import STAGES
from ragprof.quantities import Quantity
from ragprof.statistics import CONFIDENCE, RESAMPLES
from ragprof.studies.compare.effects import interval
from ragprof.studies.compare.latencies import QUANTILES, STREAM, Timed, quantile_effects, timed
from ragprof.studies.query_draws import Draws

Noise: TypeAlias = dict[str, dict[str, float]]
WHOLE = "query"


def learned(base: pd.DataFrame, twin: pd.DataFrame, *, seed: int) -> Noise:
    """pipeline -> quantity -> how far from 0 the interval of (twin / base - 1) reaches, where both are the same.

    Under the name of a bill stands the noise of the time that it is made of; of the bill it is only that share.
    """
    noise: Noise = {}
    for name, mine in base.groupby("pipeline"):
        other = twin[twin["pipeline"] == name]
        for stage in (WHOLE, *STAGES):
            found = timed(mine[mine["stage"] == stage], other[other["stage"] == stage])
            if found is not None and len(found.queries) > 1:
                noise.setdefault(str(name), {}).update(_of_stage(found, "" if stage == WHOLE else stage, seed=seed))
    return noise


def _of_stage(found: Timed, stage: str, *, seed: int) -> dict[str, float]:
    effects = quantile_effects(found, list(QUANTILES), seed=seed, confidence=CONFIDENCE)
    noise = {
        Quantity("latency", stage, name).label: max(map(abs, effect.relative_interval))
        for name, effect in zip(QUANTILES, effects, strict=True)
        if effect.relative_interval is not None
    }
    return {**noise, Quantity("cost", stage, "").label: _of_means(found, seed=seed)} if found.base.any() else noise


def _of_means(found: Timed, *, seed: int) -> float:
    counts = Draws.of(found.queries, seed=seed, stream=STREAM, replicates=RESAMPLES).counts
    ratios = (counts @ found.candidate.mean(axis=1)) / (counts @ found.base.mean(axis=1)) - 1
    ends = interval(ratios[1:], CONFIDENCE)
    return float(np.abs(ends).max()) if ends is not None else float(abs(ratios[0]))
