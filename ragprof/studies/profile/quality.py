"""What the rankings are worth: means with intervals, differences with tests, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from ragprof.statistics.estimates import finite, gained, mean_estimate
from ragprof.statistics.paired import compared, holm, paired_ps
from ragprof.statistics.unseen import SIGNED, UNIT
from ragprof.studies.contract import ComparedPair, EstimateValue


def final_stage(scores: pd.DataFrame) -> Literal["rerank", "search"]:
    """The stage whose ranking is the pipeline's own: rerank where there is one, else search."""
    return "rerank" if (scores["stage"] == "rerank").any() else "search"


def estimates(scores: pd.DataFrame, *, seed: int) -> dict[str, dict[str, EstimateValue]]:
    """stage -> metric -> mean with interval, for one pipeline."""
    result: dict[str, dict[str, EstimateValue]] = {}
    for (stage, metric), rows in scores.groupby(["stage", "metric"], sort=False):
        estimate = mean_estimate(rows.sort_values("query_id")["value"].to_numpy(), bounds=UNIT, seed=seed)
        result.setdefault(str(stage), {})[str(metric)] = EstimateValue.of(estimate)
    return result


def per_query(scores: pd.DataFrame, metric: str) -> pd.Series:
    """The metric of one pipeline's final ranking by query_id, sorted by it."""
    rows = scores[(scores["stage"] == final_stage(scores)) & (scores["metric"] == metric)]
    return rows.set_index("query_id")["value"].sort_index()


def change_by_reranking(scores: pd.DataFrame, metric: str, *, seed: int) -> EstimateValue | None:
    """The metric after rerank less that after search, of the queries judged at both; None where one is not there."""
    values = scores[scores["metric"] == metric].pivot(index="query_id", columns="stage", values="value")
    if not {"search", "rerank"} <= {*values.columns}:
        return None
    return EstimateValue.of(
        mean_estimate(gained(values["rerank"], values["search"]).to_numpy(), bounds=SIGNED, seed=seed)
    )


def comparisons(scores: Mapping[str, pd.DataFrame], metric: str, *, seed: int) -> list[ComparedPair]:
    """Every pair of pipelines on one metric: paired difference, interval, randomisation p, Holm over all pairs."""
    values = {name: per_query(rows, metric) for name, rows in scores.items()}
    columns = [finite(values[b]) - finite(values[a]) for a, b in combinations(values, 2)]
    found = paired_ps(np.column_stack(columns), seed=seed).tolist() if columns else []
    raw = {f"{a}|{b}": p for (a, b), p in zip(combinations(values, 2), found, strict=True)}
    adjusted = holm(raw)
    return [
        ComparedPair(
            **compared(
                values[a],
                values[b],
                a,
                b,
                metric=metric,
                p=raw[f"{a}|{b}"],
                p_holm=adjusted[f"{a}|{b}"],
                pairs=len(raw),
                seed=seed,
            )
        )
        for a, b in combinations(values, 2)
    ]


def pareto(quality: Mapping[str, float | None], price: Mapping[str, float | None]) -> tuple[str, ...]:
    """Names that no other beats in quality without costing more; those without either figure are left out."""
    points = {
        name: (worth, paid)
        for name in quality
        if (worth := quality[name]) is not None and (paid := price[name]) is not None
    }
    return tuple(
        name
        for name, point in points.items()
        if not any(other != point and other[0] >= point[0] and other[1] <= point[1] for other in points.values())
    )
