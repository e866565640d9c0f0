"""A teacher or a student: what is known of a reranker or of an embedder before two of them are compared.

A reranker is known from the rerankers' recording alone. An embedder is known from the recording that it lies in: final
rankings, spans and costs of whole pipelines; what is missing there is not known, and not 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.candidates import reranked
from ragprof.studies.reranking.data import RerankerData

DEFAULT_K = 5


@dataclass(frozen=True)
class Side:
    """`quality`, `gain` and `usd` have a value a query (NaN: not known); `gain` and `usd` are None where unknown.

    `ranking` has query_id, rank, doc_id and score. `times` is the median over rounds in ns, by query_id.
    """

    name: str
    quality: Array
    gain: Array | None
    ranking: pd.DataFrame | None
    usd: Array | None
    times: pd.Series


def reranker_side(data: RerankerData, arm: str, name: str) -> Side:
    """At the arm's own depth; the time is that of reranking alone."""
    depth = int(data.arm(arm)["own_depth"])
    timed = data.timed(arm, depth).dropna(subset=["rerank_ns"])
    return Side(
        name,
        quality=data.reranked(arm, data.metric),
        gain=data.gain(arm, data.metric),
        ranking=reranked(data, arm, depth)[["query_id", "rank", "doc_id", "score"]],
        usd=data.usd(arm, depth),
        times=timed.groupby("query_id")["rerank_ns"].median().astype(float),
    )


def embedder_side(data: RerankerData, pipeline: str) -> Side:
    """A whole pipeline by its final ranking; time and cost are those of embedding the query alone."""
    return Side(
        pipeline,
        quality=data.other(pipeline, data.metric),
        gain=None,
        ranking=_final_ranking(data, pipeline),
        usd=_embedding_usd(data, pipeline),
        times=_embedding_times(data, pipeline),
    )


def injected_k(data: RerankerData, pipeline: Mapping[str, Any]) -> int:
    """How many passages a pipeline's prompt holds; 10 where its injector does not say."""
    arm = data.manifest["arms"].get(pipeline["name"])
    return int(arm["own_k"] if arm else (pipeline.get("injector") or {}).get("k") or DEFAULT_K)


def _final_ranking(data: RerankerData, pipeline: str) -> pd.DataFrame | None:
    path = data.home / "rankings" / f"{pipeline}.parquet"
    if not path.exists():
        return None
    rows = files.read_table(path)
    stage = "rerank" if (rows["stage"] == "rerank").any() else "search"
    mine = rows[(rows["stage"] == stage) & rows["query_id"].isin(data.query_ids)]
    return mine[["query_id", "rank", "doc_id", "score"]]


def _embedding_times(data: RerankerData, pipeline: str) -> pd.Series:
    path = data.home / "spans.parquet"
    if not path.exists():
        return pd.Series(dtype=float)
    rows = files.read_table(path)
    mine = rows[(rows["pipeline"] == pipeline) & (rows["phase"] == "timed") & (rows["stage"] == "embed")]
    return mine.groupby("query_id")["duration_ns"].median().astype(float)


def _embedding_usd(data: RerankerData, pipeline: str) -> Array | None:
    path = data.home / "costs.parquet"
    if not path.exists():
        return None
    rows = files.read_table(path)
    mine = rows[(rows["pipeline"] == pipeline) & (rows["stage"] == "embed")]
    if mine.empty or mine["usd"].isna().any():
        return None
    usd = mine["usd"].astype(float).groupby(mine["query_id"]).sum()
    return np.asarray(usd.reindex(data.query_ids).to_numpy(float, na_value=np.nan))
