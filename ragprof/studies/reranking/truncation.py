"""What the reranker does not read: pairs over its length, tokens dropped, relevant texts cut, the quality that costs.

The quality is that of reading cut texts piece by piece, the best piece counting (MaxP; Dai and Callan, SIGIR 2019),
minus the reranker's own. Judges nothing: grades come from the judge pass.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ragprof.studies.reranking.data import WINDOWED, RerankerData
from ragprof.studies.reranking.figures import sign_flip_ps
from ragprof.studies.reranking.means import estimate
from ragprof.studies.reranking.ratios import change


def truncation(data: RerankerData, arm: str) -> dict[str, Any]:
    """At the own depth; null throughout where the reranker does not say how much it reads."""
    lengths = data.table("lengths", arm)
    limit = data.arm(arm)["max_tokens"]
    if lengths.empty:
        return _untold(limit)
    dropped = lengths["tokens"] - lengths["kept_tokens"]
    found = {
        "pairs": len(lengths),
        "max_tokens": limit,
        "over_length_share": float((dropped > 0).mean()),
        "tokens_dropped": float(dropped.mean()),
        "tokens_dropped_share": float(dropped.sum() / lengths["tokens"].sum()) if lengths["tokens"].sum() else 0.0,
        "judged_cut": _judged_cut(data.table("cuts", arm)),
        "quality_cost": _quality_cost(data, arm),
    }
    return {**found, "sentence": _sentence(found, data.metric)}


def _untold(limit: int | None) -> dict[str, Any]:
    keys = ("pairs", "over_length_share", "tokens_dropped", "tokens_dropped_share", "judged_cut", "quality_cost")
    sentence = "The reranker does not say how much of a text it reads, so what it leaves out is not known."
    return {**dict.fromkeys(keys), "max_tokens": limit, "sentence": sentence}


def _judged_cut(cuts: pd.DataFrame) -> dict[str, Any] | None:
    """Relevant candidates, one for each query that they are relevant to; None where there is none."""
    relevant = cuts[cuts["relevant"].eq(True).fillna(False).astype(bool)]
    if relevant.empty:
        return None
    cut = int((relevant["tokens"] > relevant["kept_tokens"]).sum())
    return {"documents": cut, "of": len(relevant), "share": cut / len(relevant)}


def _quality_cost(data: RerankerData, arm: str) -> dict[str, Any] | None:
    """Windowed minus own; None where cut pairs were not read in pieces."""
    if not data.has(arm, WINDOWED, int(data.arm(arm)["own_depth"])):
        return None
    windowed = data.values(arm, WINDOWED, int(data.arm(arm)["own_depth"]), data.metric)
    own = data.reranked(arm, data.metric)
    difference = estimate(data.draws, windowed - own)
    return {
        "difference": difference["mean"],
        "interval": difference["interval"],
        "p": sign_flip_ps((windowed - own)[None], seed=data.seed)[0],
        "n": difference["n"],
    }


def _sentence(found: dict[str, Any], metric: str) -> str:
    limit = "" if found["max_tokens"] is None else f" of {found['max_tokens']:,} tokens"
    if not found["over_length_share"]:
        return f"The reranker reads all {found['pairs']:,} pairs whole; none is over its length{limit}."
    return (
        f"{100 * found['over_length_share']:.1f} % of {found['pairs']:,} pairs are over the reranker's length{limit}; "
        f"{100 * found['tokens_dropped_share']:.1f} % of all tokens are never read ({found['tokens_dropped']:,.1f} a "
        f"pair). {_cut(found['judged_cut'])}{_cost(found['quality_cost'], metric)}"
    )


def _cut(judged: dict[str, Any] | None) -> str:
    if judged is None:
        return "No relevant passage is among the candidates."
    were = "was" if judged["documents"] == 1 else "were"
    return f"Of {judged['of']:,} relevant passages among the candidates, {judged['documents']:,} {were} cut."


def _cost(cost: dict[str, Any] | None, metric: str) -> str:
    if cost is None:
        return ""
    told = change({"mean": cost["difference"], "interval": cost["interval"]})
    return f" Reading them piece by piece changes {metric} by {told}."
