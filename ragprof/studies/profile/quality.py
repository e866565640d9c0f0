"""What the rankings are worth: means with intervals, differences with tests, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.paired import compared, holm, paired_p


def final_stage(scores: pd.DataFrame) -> str:
    """The stage whose ranking is the pipeline's own: rerank where there is one, else search."""
    return "rerank" if (scores["stage"] == "rerank").any() else "search"


def estimates(scores: pd.DataFrame, *, seed: int) -> dict[str, dict[str, Any]]:
    """stage -> metric -> mean with interval, for one pipeline."""
    result: dict[str, dict[str, Any]] = {}
    for (stage, metric), rows in scores.groupby(["stage", "metric"], sort=False):
        estimate = mean_estimate(rows.sort_values("query_id")["value"].to_numpy(), seed=seed)
        interval = list(estimate.interval) if estimate.interval else None
        result.setdefault(str(stage), {})[str(metric)] = {"mean": estimate.mean, "interval": interval, "n": estimate.n}
    return result


def per_query(scores: pd.DataFrame, metric: str) -> pd.Series:
    """The metric of one pipeline's final ranking by query_id, sorted by it."""
    rows = scores[(scores["stage"] == final_stage(scores)) & (scores["metric"] == metric)]
    return rows.set_index("query_id")["value"].sort_index()


def comparisons(scores: pd.DataFrame, names: Sequence[str], metric: str, *, seed: int) -> list[dict[str, Any]]:
    """Every pair of pipelines on one metric: paired difference, interval, randomisation p, Holm over all pairs."""
    values = {name: per_query(scores[scores["pipeline"] == name], metric) for name in names}
    pairs = list(combinations(names, 2))
    raw = {f"{a}|{b}": paired_p(values[b], values[a], seed=seed) for a, b in pairs}
    adjusted = holm(raw)
    return [
        compared(
            values[a],
            values[b],
            a,
            b,
            metric=metric,
            p=raw[f"{a}|{b}"],
            p_holm=adjusted[f"{a}|{b}"],
            pairs=len(pairs),
            seed=seed,
        )
        for a, b in pairs
    ]


def pareto(quality: Mapping[str, float | None], price: Mapping[str, float | None]) -> list[str]:
    """Names that no other beats in quality without costing more; those without either figure are left out."""
    known = {name: (quality[name], price[name]) for name in quality}
    points = {name: (q, p) for name, (q, p) in known.items() if q is not None and p is not None}
    return [name for name, point in points.items() if not any(_dominates(other, point) for other in points.values())]


def _dominates(other: tuple[float, float], point: tuple[float, float]) -> bool:
    return other != point and other[0] >= point[0] and other[1] <= point[1]
