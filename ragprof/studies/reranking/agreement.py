"""How far two rankings of the same queries agree: the first result, the first k, the order of what both hold.

Kendall's tau is variant b, which counts ties (Kendall, Biometrika 33, 1945), of the documents that both rankings hold.
A query that either ranking lacks takes no part. Reads no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.means import estimates

MEASURES = ("same_first", "overlap", "kendall_tau")
DECIMALS = 12
"""Beyond them tau is rounding only: the same order is exactly 1."""


def agreement(data: RerankerData, first: pd.DataFrame, second: pd.DataFrame, *, k: int) -> dict[str, dict[str, Any]]:
    """Estimates of MEASURES. Each ranking has query_id, rank (from 1), doc_id and score.

    `overlap` is the share of the first k (of the shorter ranking, where that is shorter) that both hold.
    """
    both = first.merge(second, on=["query_id", "doc_id"], suffixes=("_first", "_second"))
    figures = pd.DataFrame(index=pd.Index(data.query_ids), columns=list(MEASURES), dtype=float)
    asked = figures.index.intersection(pd.Index(first["query_id"])).intersection(pd.Index(second["query_id"]))
    top = both[(both["rank_first"] <= k) & (both["rank_second"] <= k)].groupby("query_id").size()
    same = both[(both["rank_first"] == 1) & (both["rank_second"] == 1)].groupby("query_id").size()
    lengths = [each.groupby("query_id").size().reindex(asked).clip(upper=k) for each in (first, second)]
    figures.loc[asked, "same_first"] = same.reindex(asked).fillna(0).astype(float)
    figures.loc[asked, "overlap"] = top.reindex(asked).fillna(0) / np.minimum(lengths[0], lengths[1])
    figures["kendall_tau"] = pd.Series(_taus(both), dtype=float).reindex(figures.index)
    return dict(zip(MEASURES, estimates(data.draws, figures.to_numpy(float)), strict=True))


def unknown() -> dict[str, dict[str, Any]]:
    """Where there is no ranking to compare."""
    return {measure: {"mean": None, "interval": None, "n": 0} for measure in MEASURES}


def kendall_tau(first: Array, second: Array) -> float:
    """Variant b of two lists of scores; NaN below two, or where all of one are equal."""
    from scipy.stats import kendalltau

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return round(float(kendalltau(first, second, variant="b").statistic), DECIMALS)


def _taus(both: pd.DataFrame) -> dict[str, float]:
    pairs = both.groupby("query_id")[["score_first", "score_second"]]
    return {str(query_id): kendall_tau(*rows.to_numpy(float).T) for query_id, rows in pairs}
